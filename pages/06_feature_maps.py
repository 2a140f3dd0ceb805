"""Feature maps: what every layer of a network makes of a picture, down to one number and its multiply-adds."""

from playground.ui.lessons import feature_maps
from playground.ui.parts import lesson

feature_maps.formula()
setting = lesson.figure_first(feature_maps.network)
if setting:
    feature_maps.predict(setting)
    feature_maps.one_number(setting)
    feature_maps.gradient(setting)
feature_maps.in_code()
