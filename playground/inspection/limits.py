"""What a process that opens somebody else's file may take of the computer."""

import resource
from pathlib import Path

ROOM_BYTES = 2**30
CPU_SECONDS = 150
TIMES_THE_FILE = 4  # read, parsed, and twice in onnxruntime, which rewrites weights
BYTES_A_PIXEL = 40  # a picture as bytes, and three times as float32 on its way through the preprocessing


def limit_memory(file: Path, pixels: int = 0, room: int = ROOM_BYTES) -> None:
    """Allow the memory in use now and room for a model of that file and a picture of so many pixels; never less than
    was allowed before. Only on Linux."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    wanted = used + room + TIMES_THE_FILE * file.stat().st_size + BYTES_A_PIXEL * pixels
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
