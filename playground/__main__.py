"""The command line: `python -m playground COMMAND`. Progress goes to stderr, the answer to stdout.

A run started here is the same run the app would start: it shows up there, and a page can stop it. Rooms are imported by
the command that needs them, so that `--help` answers at once.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from playground import home
from playground.errors import PlaygroundError

BAD_INPUT, NOT_VERIFIED, INTERRUPTED = 2, 1, 130
POLL_SECONDS = 0.1


class Parser(argparse.ArgumentParser):
    """argparse that says what is wrong in one sentence instead of a screen of usage, and knows options by full name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise PlaygroundError(f"{message[0].upper()}{message[1:]}; see {self.prog} --help.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 (verify found something), 2 (a sentence says why not)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):  # a file name may hold what the terminal's encoding does not
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = parser().parse_args(given)
        status: int = options.command(options)
        sys.stdout.flush()
        return status
    except PlaygroundError as error:
        return refuse(str(error), "--json" in given)
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
                      "--json" in given)


def refuse(message: str, as_json: bool) -> int:
    print(message, file=sys.stderr)
    if as_json:
        print(json.dumps({"error": message}))
    return BAD_INPUT


def parser() -> argparse.ArgumentParser:
    """Every command and what it takes."""
    top = Parser(prog="python -m playground", description="See how a convolutional network computes, train one, "
                                                          "and take it with you as an ONNX file.")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(run: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        one = commands.add_parser(run.__name__, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        one.add_argument("--json", action="store_true", help="print exactly one JSON object to stdout")
        one.set_defaults(command=run)
        return one

    def training(one: argparse.ArgumentParser, epochs: int | None) -> None:
        one.add_argument("--epochs", type=whole(1), default=epochs, metavar="N",
                         help=f"how often every training picture is seen (default: {epochs or 'what suits the mode'})")
        one.add_argument("--seed", type=whole(0), default=0, metavar="S",
                         help="the same seed gives the same run (default: %(default)s)")
        one.add_argument("--name", required=True, help="what the model is called on the shelf: a-z, 0-9, - and _")
        one.add_argument("--replace", action="store_true", help="a model of that name on the shelf may go")

    one = command(app, "start the app in the browser")
    one.add_argument("--port", type=whole(1, 65535), default=8501, help="where it listens (default: %(default)s)")

    one = command(train, "train a small CNN from scratch with the NumPy engine, and export it")
    one.add_argument("--data", default="digits", help="digits, or a folder of IDX files such as MNIST comes in "
                                                      "(default: %(default)s)")
    training(one, 15)
    one.add_argument("--batch-size", type=whole(2), default=None, metavar="N", help="pictures a step")
    one.add_argument("--learning-rate", type=positive, default=None, metavar="R", help="how far a step goes")

    one = command(transfer, "retrain a pretrained network on photographs with PyTorch, and export it")
    one.add_argument("--data", default="faces", metavar="DIR",
                     help="a folder DIR/CLASS/*.jpg, or DIR/train/CLASS/* and DIR/validation/CLASS/*, or faces, a "
                          "sample that is always there (default: %(default)s)")
    one.add_argument("--mode", default="frozen", choices=("frozen", "fine-tune", "scratch"),
                     help="what learns: a new head, the last blocks too, or a small network from random weights "
                          "(default: %(default)s)")
    one.add_argument("--backbone", default="efficientnet_lite0", help="the pretrained network (default: %(default)s)")
    one.add_argument("--head", choices=("linear", "hidden", "sigmoid"), help="what turns features into classes")
    one.add_argument("--blocks", type=whole(1), metavar="N", help="how many of the last blocks are fine-tuned")
    one.add_argument("--image-size", type=whole(32), metavar="N", help="pixels a side that the network sees")
    one.add_argument("--batch-size", type=whole(1), metavar="N", help="pictures a step")
    one.add_argument("--learning-rate", type=positive, metavar="R", help="how far a step goes")
    one.add_argument("--patience", type=whole(1), metavar="N",
                     help="stop after so many epochs without gain and keep the best")
    one.add_argument("--augment", type=step, nargs="+", metavar="STEP=NUMBER",
                     help="what is done to pictures at random: mirror=0.5 crop=0.2 ...")
    training(one, None)

    one = command(resume, "let a run go on that was killed or failed")
    one.add_argument("run", metavar="RUN", help="its id, the name of its folder in .runs")

    one = command(download, "fetch a set of photographs, checked and unpacked; without a name, list what there is")
    one.add_argument("set", metavar="NAME", nargs="?", help="which set")

    one = command(predict, "ask an exported model, through onnxruntime and nothing else")
    one.add_argument("model", metavar="MODEL", help="a name on the shelf, or an .onnx file")
    one.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="picture files of any size")
    one.add_argument("--top", type=whole(1), default=3, metavar="K", help="how many labels (default: %(default)s)")

    one = command(verify, "check that an exported model is what it was and still answers as its trainer did")
    one.add_argument("model", metavar="MODEL", help="a name on the shelf, or an .onnx file")

    one = command(bench, "measure the NumPy engine against PyTorch on this machine, some minutes")
    one.add_argument("--quick", action="store_true", help="fewer rounds, PyTorch's defaults only")
    return top


def bench(options: argparse.Namespace) -> int:
    """The engine's benchmark, which comes with the source and prints its own table."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "bench" / "bench_engine.py").exists():
        raise PlaygroundError("The benchmark is not here: it comes with the project's source, in the folder bench.")
    asked = [f"--{name}" for name in ("quick", "json") if getattr(options, name)]
    return subprocess.run([sys.executable, "-m", "bench.bench_engine", *asked], cwd=root).returncode


def whole(least: int, most: int = 2**32 - 1) -> Callable[[str], int]:
    """An argparse type: a whole number of a range."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            upto = f"of {least} or more" if most > 10**6 else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number {upto}")
        return number

    return read


def positive(text: str) -> float:
    """An argparse type: a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def app(options: argparse.Namespace) -> int:
    """Become the Streamlit server."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", options.port))
        except OSError as error:
            raise PlaygroundError(f"Port {options.port} cannot be listened on ({error.strerror}): stop what is there, "
                                  "or name another with --port.") from error
    os.environ["PLAYGROUND_HOME"] = str(home.home())  # a relative one is meant from here, not from the repository
    os.chdir(home.REPOSITORY)  # where .streamlit/config.toml is looked for
    if options.json:
        print(json.dumps({"url": f"http://localhost:{options.port}", "pid": os.getpid()}), flush=True)
        os.dup2(2, 1)  # what the server prints is not JSON
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", "playground/app.py", "--server.port",
                              str(options.port)])


def train(options: argparse.Namespace) -> int:
    """Train from scratch."""
    data = options.data
    if data != "digits":
        from playground.datasets import named

        named.load(data)  # a folder that is no data set is refused before there is a run
        data = str(Path(data).expanduser().resolve())
    request = {"data": data, "epochs": options.epochs}
    chosen = {"batch_size": options.batch_size, "learning_rate": options.learning_rate}
    return follow(options, "digits", request | {key: value for key, value in chosen.items() if value is not None})


def transfer(options: argparse.Namespace) -> int:
    """Retrain on photographs."""
    data = options.data
    if data != "faces":
        folder = Path(data).expanduser().resolve()
        if not folder.is_dir():
            raise PlaygroundError(f"There is no folder {data}: name one with a folder of photographs for each class.")
        data = str(folder)
    from playground.training.recipe import RECIPES, SCRATCH, Request

    request = {"data": data, "mode": options.mode,
               "epochs": RECIPES[options.mode]["epochs"] if options.epochs is None else options.epochs}
    if options.mode != SCRATCH:
        request["backbone"] = options.backbone
    chosen = {"head": options.head, "blocks": options.blocks, "image_size": options.image_size,
              "batch_size": options.batch_size, "learning_rate": options.learning_rate, "patience": options.patience,
              "augment": dict(options.augment or ())}
    request |= {key: value for key, value in chosen.items() if value}
    Request.of(request)  # what cannot be done is refused before there is a run
    return follow(options, "transfer", request)


def resume(options: argparse.Namespace) -> int:
    """Let a run that died or failed go on, and follow it."""
    from playground.training import runs

    log = runs.run_dir(options.run) / "events.jsonl"
    told = log.stat().st_size if log.exists() else 0
    runs.resume(options.run)
    return follow_run(options, options.run, told)


def step(text: str) -> tuple[str, float]:
    """An augmentation's step as NAME=NUMBER."""
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no step: say NAME=NUMBER, such as mirror=0.5") from None


def download(options: argparse.Namespace) -> int:
    """Fetch a set, or list what could be fetched."""
    from playground.datasets import downloads

    if options.set is None:
        if options.json:
            print(json.dumps({name: {"title": one.title, "bytes": one.size, "licence": one.licence,
                                     "here": downloads.folder(name) is not None}
                              for name, one in downloads.CATALOGUE.items()}))
            return 0
        for name, one in downloads.CATALOGUE.items():
            print(f"{name:24} {one.size / 1e6:6,.1f} MB  {'(here) ' if downloads.folder(name) else ''}{one.about}")
        return 0
    wanted, told = downloads.find(options.set), Telling()
    if downloads.folder(options.set) is not None:
        told.line(f"{wanted.title} is here already")
    else:
        told.line(f"{wanted.title}, {wanted.size / 1e6:,.1f} MB, from {wanted.source}; licence: {wanted.licence}")
        try:
            for step in downloads.download(options.set):
                told.passing(f"{step.doing}: {step.done / 1e6:,.1f} of {step.total / 1e6:,.1f} MB"
                             if step.doing == "downloading" else f"{step.doing} {100 * step.done // step.total} %")
        except KeyboardInterrupt:
            told.line("what has come is kept: the same command goes on from there")
            raise
        told.end()
    path = downloads.folder(options.set)
    print(json.dumps({"set": options.set, "folder": str(path)}) if options.json else path)
    return 0


def predict(options: argparse.Namespace) -> int:
    """Ask a model about pictures."""
    from playground.datasets import photos
    from playground.deploy import session, shelf

    found = shelf.get(options.model)
    classifier = session.Classifier(found if isinstance(found, Path) else found.onnx)
    predictions = []
    for path in options.images:  # one at a time: a folder of photographs need not fit into memory
        try:
            (answer,) = classifier.predict([photos.for_model(path, classifier.labels)])
        except PlaygroundError as error:
            message = str(error)
            raise PlaygroundError(message if path.name in message else f"{path}: {message}") from error
        top = [{"label": label, "probability": probability} for label, probability in answer.top(options.top)]
        predictions.append({"image": str(path), "top": top})
        if not options.json:
            print(path)
            for one in top:
                print(f"  {one['probability']:7.2%}  {printable(str(one['label']))}")
    if options.json:
        print(json.dumps({"model": options.model, "predictions": predictions}))
    return 0


def verify(options: argparse.Namespace) -> int:
    """Check a model."""
    from playground.deploy import shelf

    result = shelf.verify(shelf.get(options.model))
    if options.json:
        print(json.dumps(result.to_dict()))
    else:
        for check in result.checks:
            print(f"{'ok ' if check.ok else 'NOT'}  {check.name}: {printable(check.sentence)}")
    if not result.ok:
        wrong = ", ".join(check.name for check in result.checks if not check.ok)
        print(f"{printable(result.name)} is not what it should be: {wrong}.", file=sys.stderr)
    return 0 if result.ok else NOT_VERIFIED


def follow(options: argparse.Namespace, kind: str, request: dict[str, Any]) -> int:
    """Start a run, tell of its progress until it has ended, and give its result."""
    from playground.deploy import shelf
    from playground.training import runs

    shelf.check_name(options.name)
    if not options.replace:
        try:
            shelf.check_free(options.name)
        except PlaygroundError as error:
            raise PlaygroundError(f"{str(error).rstrip('.')}, or allow it with --replace.") from error
    return follow_run(options, runs.start(runs.RunSpec(kind, request, options.seed, options.name, options.replace)))


def follow_run(options: argparse.Namespace, run_id: str, offset: int = 0) -> int:
    """Tell of a run's progress, from that place of its log on, until it has ended, and give its result."""
    from playground.training import runs
    from playground.training.log import read

    folder = runs.run_dir(run_id)
    told = Telling()
    told.line(f"run {run_id} (the app shows it too; Ctrl-C stops it and keeps what was learnt)")
    while True:
        try:
            alive = runs.is_alive(folder)
            events, offset = read(folder / "events.jsonl", offset)
            for event in events:
                told.event(event)
                if type(event).__name__ == "Started":
                    from playground.training import photo_list

                    for remark in photo_list.remarks(folder):
                        told.line(printable(remark))
            if not alive and not events:
                break
            time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            if (folder / "stop").exists():
                raise PlaygroundError(f"Left; the run {run_id} ends by itself.") from None
            runs.stop(run_id)
            told.line("stopping, then exporting what was learnt")
    told.end()

    view = runs.view(run_id)
    if view.state == "stopped" and view.started is None:
        raise PlaygroundError(f"The run {run_id} was stopped before it began.")
    if view.failed is not None:
        goes_on = "" if view.saved is None else f" What was saved is kept: python -m playground resume {run_id}"
        raise PlaygroundError(f"{view.failed.message}{goes_on}")
    if view.finished is None or view.exported is None:
        raise PlaygroundError(f"The run {run_id} ended without a last word: it was killed, or the machine ran out of "
                              f"memory. It can go on: python -m playground resume {run_id}")
    finished, exported = view.finished, view.exported
    kind = view.spec.kind
    split = "test" if kind == "digits" else "validation"
    if options.json:
        result = {"name": exported.name, "run": run_id, "model": exported.path, "reason": finished.reason,
                  "epochs": finished.epochs, "seconds": finished.seconds}
        if kind == "digits":
            result["validation_accuracy"] = view.epochs[-1].validation_accuracy if view.epochs else None
        result |= {f"{split}_accuracy": finished.test_accuracy, f"{split}_count": finished.test_count,
                   "max_difference": exported.max_difference, "compared": exported.samples}
        print(json.dumps(result))
        return 0
    right = "" if finished.test_accuracy is None else \
        f"{finished.test_accuracy:.1%} of {finished.test_count} {split} pictures right "
    print(f"{exported.name}: {right}after {finished.epochs} epochs in {finished.seconds:.0f} s; onnxruntime gives the "
          f"trainer's answers to {exported.max_difference:.0e} on {exported.samples} pictures.\n{exported.path}")
    return 0


class Telling:
    """A run's progress on stderr: one line an epoch, and on a terminal a last line that is written over."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.total = 0
        self.stage = ""

    def line(self, text: str) -> None:
        print(f"\r\033[K{text}" if self.terminal else text, file=sys.stderr, flush=True)

    def passing(self, text: str) -> None:
        if self.terminal:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        self.passing("")

    def event(self, event: Any) -> None:
        """Tell of one event, whatever it is (`training.events`; its class's name decides)."""
        match type(event).__name__:
            case "Queued" if event.place:
                from playground.training.events import ordinal

                self.line(f"{ordinal(event.place)} in the queue (PLAYGROUND_RUNS says how many train at once)")
            case "Started":
                self.total = event.total_epochs
                counts = ", ".join(f"{count:,} {split}" for split, count in event.samples.items())
                self.line(f"pictures of {len(event.classes)} classes: {counts}; {event.parameters:,} parameters to "
                          f"train on {event.device}")
            case "Stage":
                if event.text != self.stage:
                    self.line(f"{event.text} ({event.total:,})" if event.total > 1 else event.text)
                    self.stage = event.text
                if event.total > 1:
                    self.passing(f"{event.text}: {event.done:,} of {event.total:,}")
            case "Batch":
                self.passing(f"epoch {event.epoch}/{self.total}  batch {event.batch}/{event.batches}  "
                             f"loss {event.loss:.3f}")
            case "Epoch":
                self.line(f"epoch {event.epoch}/{self.total}  loss {event.train_loss:.3f}  accuracy "
                          f"{event.train_accuracy:.1%}  held out: loss {event.validation_loss:.3f}  accuracy "
                          f"{event.validation_accuracy:.1%}  ({event.seconds:.1f} s)")


def printable(text: str) -> str:
    """Text that somebody else wrote, for a terminal: without what would move its cursor or change its colours.

    >>> printable("cat\\x1b[2J")
    'cat?[2J'
    """
    return "".join(c if c.isprintable() else "?" for c in text)


if __name__ == "__main__":
    sys.exit(main())
