"""Network: a whole network at work on one picture, forward and backward, down to one product."""

from playground.ui.lessons import feature_maps
from playground.ui.network import whole

feature_maps.formula()
setting = whole.network()
if setting:
    feature_maps.predict(setting)
feature_maps.in_code()
