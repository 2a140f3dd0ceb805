"""The command line: `python -m playground COMMAND`. Progress goes to stderr, the answer to stdout."""

import sys

from playground.commands.run import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
