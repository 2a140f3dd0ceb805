"""The command that reads a network: its parts, what it costs, what is wrong with it, and its code; or lists presets."""

import argparse

from playground.commands.output import print_json
from playground.errors import PlaygroundError


def network(options: argparse.Namespace) -> int:
    """Print a network's parts, counts, faults and cures, or its code in one of three libraries; without one, what
    presets there are."""
    from playground.network import code, report
    from playground.network.parts import leaves
    from playground.network.presets import PRESETS, network_named
    from playground.training.scratch.numpy_fit import memory

    takes = options.input
    if options.network is None:
        if options.json:
            print_json({name: {"title": one.title, "about": one.about, "sick": one.sick}
                        for name, one in PRESETS.items()})
            return 0
        for name, one in PRESETS.items():
            print(f"{name:16} {one.title}: {one.about}")
        return 0
    asked = network_named(options.network, takes, options.classes)
    found = report.report(asked, takes, options.classes, batch=options.batch_size, memory=memory())
    if options.code:
        stopping = next((fault for fault in found["faults"] if fault["level"] == "stop"), None)
        if stopping is not None and not any(leaves(asked.parts)):
            raise PlaygroundError(stopping["sentence"])
        text = code.code(asked, takes, options.code)
        if options.json:
            print_json(found | {"code": text})
        else:
            print(text)
        return 0
    if options.json:
        print_json(found)
    else:
        print(report.report_text(found))
    return 0


def shape(text: str) -> tuple[int, int, int]:
    """An argparse type: a picture's shape as CxHxW."""
    words = text.lower().replace("×", "x").split("x")
    if len(words) != 3 or not all(word.isdigit() and 1 <= int(word) <= 4096 for word in words):
        raise argparse.ArgumentTypeError(f"{text!r} is no shape of a picture: say CxHxW, such as 1x28x28")
    channels, height, width = map(int, words)
    return channels, height, width
