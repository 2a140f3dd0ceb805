"""One command from its words to its exit status; whatever goes wrong is said in one sentence."""

import os
import sys
from collections.abc import Callable, Sequence

from playground.commands.output import print_json
from playground.errors import PlaygroundError

BAD_INPUT, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 (verify found something, predict could not read all), 2 (a
    sentence says why not)."""
    from playground.commands.parser import parser

    given = list(sys.argv[1:] if arguments is None else arguments)

    def command() -> int:
        options = parser().parse_args(given)
        status: int = options.command(options)
        return status

    return answered(command, "--json" in given)


def answered(command: Callable[[], int], as_json: bool) -> int:
    """What a command returns, or 2 after one sentence that says why it could not be done."""
    for stream in (sys.stdout, sys.stderr):  # a file name may hold what the terminal's encoding does not
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = command()
        sys.stdout.flush()
        return status
    except PlaygroundError as error:
        return refuse(str(error), as_json)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough; without this Python complains again when it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("PLAYGROUND_DEBUG"):
            raise
        said = " ".join(str(error).split())[:300]
        return refuse(f"An error nobody expected, {type(error).__name__}: {said} (PLAYGROUND_DEBUG=1 shows where).",
                      as_json)


def refuse(message: str, as_json: bool) -> int:
    """Say why not."""
    print(message, file=sys.stderr)
    if as_json:
        print_json({"error": message})
    return BAD_INPUT
