"""Training runs: a trainer yields events, a worker writes them to a log, whoever wants to watch reads the log."""
