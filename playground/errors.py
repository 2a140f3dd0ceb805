"""Errors a person is meant to read."""


class PlaygroundError(Exception):
    """One sentence for a person: the command line prints it and exits with 2, a page shows it."""
