"""Commands that fetch what others offer, sets of photographs and a runtime for browsers, and the benchmark."""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from playground.commands.output import Telling, print_json
from playground.errors import PlaygroundError
from playground.home import REPOSITORY

if TYPE_CHECKING:
    from playground.datasets.catalogue import Progress


def download(options: argparse.Namespace) -> int:
    """Fetch a set, or list what could be fetched."""
    from playground.datasets import downloads

    if options.set is None:
        if options.json:
            print_json({name: {"title": one.title, "bytes": one.size, "licence": one.licence,
                               "here": downloads.folder(name) is not None}
                        for name, one in downloads.CATALOGUE.items()})
            return 0
        for name, one in downloads.CATALOGUE.items():
            print(f"{name:24} {one.size / 1e6:6,.1f} MB  {'(here) ' if downloads.folder(name) else ''}{one.about}")
        return 0
    wanted, told = downloads.find(options.set), Telling()
    if downloads.folder(options.set) is not None:
        told.line(f"{wanted.title} is here already")
    else:
        told.line(f"{wanted.title}, {wanted.size / 1e6:,.1f} MB, from {wanted.source}; licence: {wanted.licence}")
        follow(downloads.download(options.set), told)
    path = downloads.folder(options.set)
    if options.json:
        print_json({"set": options.set, "folder": str(path)})
    else:
        print(path)
    return 0


def browser(options: argparse.Namespace) -> int:
    """Fetch onnxruntime-web, so that readers' own browsers can run models."""
    from playground.browser import fetching, runtime

    told = Telling()
    if runtime.folder() is None:
        one = fetching.PACKAGE
        told.line(f"{one.title}, {one.size / 1e6:,.1f} MB, from {one.source}; licence: {one.licence}")
        follow(fetching.fetch(), told)
    folder = runtime.folder()
    if folder is None:
        raise PlaygroundError(f"There is a folder {runtime.NAME} below data that does not hold the files of "
                              "onnxruntime-web: delete it, and ask again.")
    if options.json:
        print_json({"version": runtime.VERSION, "folder": str(folder), "files": [file.name for file in runtime.FILES]})
    else:
        print(folder)
    return 0


def follow(steps: "Iterator[Progress]", told: Telling) -> None:
    """Tell how far a download is until it is here."""
    try:
        for step in steps:
            told.passing(f"{step.doing}: {step.done / 1e6:,.1f} of {step.total / 1e6:,.1f} MB"
                         if step.doing == "downloading" else f"{step.doing} {100 * step.done // step.total} %")
    except KeyboardInterrupt:
        told.line("what has come is kept: the same command goes on from there")
        raise
    told.end()


def bench(options: argparse.Namespace) -> int:
    """The engine's benchmark, which comes with the source and prints its own table."""
    root = REPOSITORY
    if not (root / "bench" / "bench_engine.py").exists():
        raise PlaygroundError("The benchmark is not here: it comes with the project's source, in the folder bench.")
    asked = [f"--{name}" for name in ("quick", "json") if getattr(options, name)]
    return subprocess.run([sys.executable, "-m", "bench.bench_engine", *asked], cwd=root).returncode
