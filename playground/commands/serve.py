"""The command that starts the app."""

import argparse
import os
import socket
import sys

from playground import home
from playground.classroom import keys, workspaces
from playground.commands.output import print_json
from playground.errors import PlaygroundError

LOOPBACK = "127.0.0.1"
OWN = (LOOPBACK, "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - only compared with, and asked for
CLASS_OPTIONS = ("--server.maxUploadSize", "100")
"""Megabytes a reader may send at once: all of them lie in memory while they arrive."""
UNROUTABLE = ("192.0.2.1", 9)
"""An address that is kept for documentation: nobody has it."""


def app(options: argparse.Namespace) -> int:
    """Become the Streamlit server. Where no address is asked for, this computer alone can reach it; the whole network,
    where it is for a class."""
    address = options.address or (EVERYWHERE[0] if options.for_class else LOOPBACK)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, options.port))
        except OSError as error:
            raise PlaygroundError(f"Port {options.port} of {address} cannot be listened on ({error.strerror}): "
                                  "stop what is there, or name another with --port.") from error
    os.environ[home.HOME] = str(home.base())  # a relative one is meant from here, not from the repository
    os.environ.pop(home.CLASS, None)
    os.chdir(home.REPOSITORY)  # where .streamlit/config.toml is looked for
    urls = addresses(address, options.port)
    only = " (this computer only; --address 0.0.0.0 lets others in)" if address == LOOPBACK else ""
    print(f"The app answers on {' and '.join(urls)}{only}", file=sys.stderr, flush=True)
    teacher = ""
    if options.for_class:
        os.environ[home.CLASS] = "1"
        url = behind(address) or urls[-1]
        teacher = f"{url}/teach/{keys.teacher_key()}"
        gone = workspaces.expire()
        announce(url, teacher)
        if gone:
            print(f"Workspaces removed that were not used for {workspaces.EXPIRE_DAYS} days: {len(gone)}",
                  file=sys.stderr)
    if options.json:
        print_json({"url": urls[0], "urls": urls, "pid": os.getpid(), **({"teacher": teacher} if teacher else {})})
        os.dup2(2, 1)  # what the server prints is not JSON
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", "playground/app.py", "--server.port",  # noqa: S606 - a list of arguments
                              str(options.port), "--server.address", address,
                              *(CLASS_OPTIONS if options.for_class else ())])


def announce(url: str, teacher: str) -> None:
    """Print what a class needs: its address as a QR code for the projector, and the teacher's link, for him alone."""
    import segno

    segno.make(url, micro=False).terminal(sys.stderr, compact=True)
    print(f"For the class:    {url}\nFor the teacher:  {teacher}\n"
          "(Whoever has the second link can stop and remove what students make: keep it.)", file=sys.stderr, flush=True)


def behind(address: str) -> str | None:
    """Where readers reach a server that only this computer does: a proxy answers them, under the first name in
    PLAYGROUND_HOSTS, over TLS. None where there is no such name, or they reach it themselves."""
    from playground.server import hosts

    name = next((one for one in hosts.configured() if one != "*"), None) if address in OWN else None
    return f"https://{name}" if name else None


def addresses(address: str, port: int) -> list[str]:
    """The addresses under which a server that listens there can be reached, the one for this computer first."""
    if address in OWN:
        return [f"http://localhost:{port}"]
    if address in EVERYWHERE:
        return [f"http://localhost:{port}", *(f"http://{one}:{port}" for one in [own_address()] if one)]
    return [f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"]


def own_address() -> str | None:
    """This computer's address in its network, None where it is in none. Asked of the routing table: connecting a UDP
    socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(UNROUTABLE)
            found: str = asked.getsockname()[0]
        except OSError:
            return None
    return None if found.startswith("127.") or found == "0.0.0.0" else found  # noqa: S104 - only compared with, and asked for
