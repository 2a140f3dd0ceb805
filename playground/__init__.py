"""Everything between the engine and the pages: datasets, training, export, figures, the app, the command line."""
