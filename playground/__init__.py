"""Everything between the engine and the pages: datasets, training, deployment, figures, the app and the command line."""
