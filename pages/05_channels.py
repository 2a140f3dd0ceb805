"""Many channels: one kernel a channel, summed to one feature map; many filters; a mix of channels."""

from playground.ui.lessons import channels

picture = channels.own_picture()
channels.one_filter(picture)
channels.many_filters(picture)
channels.mix(picture)
channels.in_code()
