"""The command line's commands. What they need is imported by the command that needs it, so that `--help` answers at
once."""
