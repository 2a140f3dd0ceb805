"""Random networks that can be built, for tests that ask many of them."""

import numpy as np

from playground.network.edits import ACTIONS, Edit, edited
from playground.network.faults import STOP, faults
from playground.network.parts import Network
from playground.network.spelling import network_of

SHAPES = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 17, 23))
ACTIVATIONS = "r lr0.2 el0.7 ge si hs sg th".split()


def _maps(rng: np.random.Generator, depth: int) -> list[str]:
    """Some parts that take maps and give maps."""
    found = []
    for _ in range(rng.integers(1, 4)):
        width, kernel = rng.choice([4, 6, 8, 12]), rng.choice([1, 2, 3, 5])
        drawn = rng.integers(12 if depth < 2 else 8)
        if drawn < 3:
            found.append(f"c{width}k{kernel}" + rng.choice(["", "s2", "p1", "p0", "d2", "n", "g2"]))
        elif drawn == 3:
            found.append(f"dw{rng.choice([1, 2])}k3" + rng.choice(["", "s2", "n"]))
        elif drawn == 4:
            found.append(rng.choice(["p2", "p3s2p1", "a2", "a3s1p1", "p3s1p1", "p2s1"]))
        elif drawn == 5:
            found.append(rng.choice(["b", "gn2", "ln", "bm0.05e0.001"]))
        elif drawn == 6:
            found.append(rng.choice(["u2", "u2b", f"ct{width}", f"ct{width}k3s2p1", "oc0.2", "o0.3"]))
        elif drawn == 7:
            found.append(str(rng.choice(ACTIVATIONS)))
        elif drawn < 10:
            short = rng.choice(["", f":c{width}k1n-b"])
            found.append(f"[c{width}n-b-r-c{width}{short}]")
        elif drawn == 10:
            found.append("(" + ",".join("-".join(_maps(rng, depth + 1)) for _ in range(rng.integers(2, 4))) + ")")
        else:
            found.append("{" + "-".join(_maps(rng, depth + 1)) + "}")
        found += [str(rng.choice(ACTIVATIONS))] if rng.random() < 0.5 else []
    return found


def random_design(rng: np.random.Generator, takes: tuple[int, int, int], classes: int) -> Network:
    """A network of up to about twenty parts that fits the shape: what does not fit is cured, or drawn anew."""
    while True:
        ending = rng.choice(["g", "f"]) + str(rng.choice(["", "-d12-r", "-d12-b-th", "-o0.2"])) + f"-d{classes}"
        network = network_of("-".join([*_maps(rng, 0), *_maps(rng, 0), ending]))
        for _ in range(6):
            stops = [f for f in faults(network, takes, classes) if f.level == STOP]
            if not stops:
                return network
            if not stops[0].cures:
                break
            network = edited(network, stops[0].cures[0].edit)


def random_edit(rng: np.random.Generator, network: Network) -> Edit:
    """An edit that may or may not fit the network."""
    depth = int(rng.choice([1, 1, 1, 3]))
    path = tuple(int(rng.integers(0, 2 if k % 2 else len(network) + 2)) for k in range(depth))
    action = str(rng.choice(ACTIONS))
    text = str(rng.choice(["c8-r", "b", "[c4-b]", "(c4,c4k5)", "p2", "", "d10", "(c3)", "c0", "[", "{", "("]))
    name = str(rng.choice(["filters", "kernel_size", "stride", "padding", "p", "units", "nothing"]))
    value = float(rng.choice([-1, 0, 1, 2, 3, 16, 0.5, 1e9, float("nan"), float("inf")]))
    return Edit(action, path, text, tuple(int(n) for n in rng.integers(0, len(network) + 2, size=depth)), name, value,
                int(rng.integers(0, 4)))


