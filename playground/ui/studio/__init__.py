"""Where networks are trained and looked after: sets of photos, training, models, understanding."""
