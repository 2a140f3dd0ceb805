"""A whole network at work on one picture: every part's numbers and gradients, read off the engine's tape, in the form
in which a browser draws them. Knows nothing of pages."""
