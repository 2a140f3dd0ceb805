"""Feature maps: what every layer of a network makes of a picture, down to one number and its multiply-adds."""

from playground.ui import feature_maps

feature_maps.formula()
setting = feature_maps.controls()
if setting:
    strongest = feature_maps.gallery(setting)
    feature_maps.predict(setting)
    feature_maps.one_number(setting, strongest)
    feature_maps.gradient(setting)
feature_maps.in_code()
