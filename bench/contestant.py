"""One contestant in a process of its own: reads {"work": name, "times": k} lines, answers with the seconds each took.

Between two lines it waits for input, so it is asleep while another one runs.

    python -m bench.contestant engine|torch|torch_best|mygrad [--threads 1]
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module

from threadpoolctl import threadpool_info

from bench.shapes import NETWORKS, OPS

MODULES = {"engine": "bench.of_engine", "torch": "bench.of_torch", "torch_best": "bench.of_torch",
           "mygrad": "bench.of_mygrad"}


def peak_bytes() -> int:
    """The most memory this process ever held (VmHWM: unlike ru_maxrss it does not count the parent's)."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def kernels() -> str:
    """The matrix kernels this process runs, by threadpoolctl; torch's own by what it says of itself."""
    found = [f"{library['internal_api']} {library['version']}, {library['architecture']} kernel"
             for library in threadpool_info() if library.get("architecture")]
    if "torch" in sys.modules:
        from torch.backends import cpu, mkl, mkldnn

        own = [name for name, there in (("oneDNN", mkldnn.is_available()), ("MKL", mkl.is_available())) if there]
        found = [f"{' and '.join(own)}, {cpu.get_cpu_capability()} kernels"]  # NumPy's BLAS is loaded, but not used
    return " and ".join(found) or "no known BLAS"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("who", choices=MODULES)
    parser.add_argument("--threads", type=int, default=1)
    wanted = parser.parse_args()
    made = import_module(MODULES[wanted.who])
    made.prepare(wanted.threads, best=wanted.who == "torch_best")
    steps: dict[str, Callable[[], None]] = {}
    print(json.dumps({"ready": f"{made.version()}; {kernels()}"}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        name = order["work"]
        if name not in steps:
            steps.clear()  # one workload's arrays at a time
            gc.collect()
            steps[name] = made.network(NETWORKS[name]) if name in NETWORKS else made.op(name, OPS[name])
        step, wall, cpu = steps[name], [], []
        for _ in range(order["times"]):
            w, c = time.perf_counter(), time.process_time()
            step()
            wall.append(time.perf_counter() - w)
            cpu.append(time.process_time() - c)
        print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak_bytes()}), flush=True)


if __name__ == "__main__":
    main()
