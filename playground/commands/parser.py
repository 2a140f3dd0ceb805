"""Every command of the command line, and what it takes."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from playground.commands.design import network, shape
from playground.commands.files import convert, inspect, profile
from playground.commands.models import predict, verify
from playground.commands.serve import LOOPBACK, app
from playground.commands.sets import bench, browser, download
from playground.commands.train import LEVELS, resume, train, transfer
from playground.errors import PlaygroundError


class Parser(argparse.ArgumentParser):
    """argparse that says what is wrong in one sentence instead of a screen of usage, and knows options by full name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise PlaygroundError(f"{message[0].upper()}{message[1:]}; see {self.prog} --help.")


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
        one.add_argument("--name", required=True, help="what the model is called: a-z, 0-9, - and _")
        one.add_argument("--replace", action="store_true", help="a model of that name may go")

    one = command(app, "start the app in the browser")
    one.add_argument("--port", type=whole(1, 65535), default=8501, help="where it listens (default: %(default)s)")
    one.add_argument("--address", metavar="HOST",
                     help=f"who can reach it: {LOOPBACK} is this computer only (the default without --class), 0.0.0.0 "
                          "everybody in the network (the default with --class)")
    one.add_argument("--class", dest="for_class", action="store_true",
                     help="for a class: it listens on the network where no --address is named, every browser has a "
                          "workspace of its own, and the teacher's link is printed")

    one = command(network, "look at a network: its parts, what it costs, what is wrong with it, its code; without one, "
                           "list the presets")
    one.add_argument("network", metavar="SPELLING|PRESET", nargs="?",
                     help="such as c32k3n-b-r-p2-[c32n-b-r-c32n-b]-r-g-d10, or a preset's name, such as resnet8")
    one.add_argument("--input", type=shape, default=(1, 28, 28), metavar="CxHxW",
                     help="the shape of a picture (default: 1x28x28)")
    one.add_argument("--classes", type=whole(1, 100_000), default=10, metavar="K",
                     help="how many classes (default: %(default)s)")
    one.add_argument("--batch-size", type=whole(2), default=32, metavar="N",
                     help="pictures a step, on which the memory of its training depends (default: %(default)s)")
    one.add_argument("--code", choices=("engine", "torch", "keras"), help="print the lines that make it instead")

    one = command(train, "train a small CNN from scratch with the NumPy engine, and export it")
    one.add_argument("--data", default="digits", help="digits, a folder of IDX files such as MNIST comes in, or "
                                                      "photos:48:FOLDER (default: %(default)s)")
    one.add_argument("--network", metavar="SPELLING|PRESET",
                     help="which network (default: one that suits the pictures' size); see the command network")
    training(one, 15)
    settings(one)

    one = command(transfer, "retrain a pretrained network on photographs with PyTorch, and export it")
    one.add_argument("--data", default="faces", metavar="DIR",
                     help="a folder DIR/CLASS/*.jpg, or DIR/train/CLASS/* and DIR/validation/CLASS/*, or faces, a "
                          "sample that is always there (default: %(default)s)")
    one.add_argument("--mode", default="frozen", choices=("frozen", "fine-tune", "scratch"),
                     help="what learns: a new head, the last blocks too, or a small network from random weights "
                          "(default: %(default)s)")
    one.add_argument("--backbone", default="efficientnet_lite0",
                     help="the pretrained network (default: %(default)s), or an .onnx file of anybody's, of which the "
                          "last layer is replaced")
    one.add_argument("--levels", choices=tuple(LEVELS), help="what 0 to 255 become for that file (default: guessed "
                                                             "from it)")
    one.add_argument("--order", choices=("RGB", "BGR"), help="in which order that file takes the channels (default: "
                                                             "RGB)")
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
    one.add_argument("--name", help="what the model will be called instead, where its name is taken")
    one.add_argument("--finish", action="store_true",
                     help="train no more: make a model of what was learnt before it broke off")

    one = command(download, "fetch a set of photographs, checked and unpacked; without a name, list what there is")
    one.add_argument("set", metavar="NAME", nargs="?", help="which set")

    command(browser, "fetch onnxruntime-web, so that a reader's own browser can run a model")

    one = command(predict, "ask an exported model, through onnxruntime and nothing else")
    one.add_argument("model", metavar="MODEL", help="a model's name, or an .onnx file")
    one.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="picture files of any size")
    one.add_argument("--top", type=whole(1), default=3, metavar="K", help="how many labels (default: %(default)s)")

    one = command(verify, "check that an exported model is what it was and still answers as its trainer did")
    one.add_argument("model", metavar="MODEL", help="a model's name, or an .onnx file")
    one.add_argument("--pictures", type=whole(1, 1000), default=16, metavar="N",
                     help="how many pictures go through source, onnxruntime and engine (default: %(default)s)")

    one = command(inspect, "look into any ONNX file: operators, shapes, weights, costs")
    one.add_argument("model", metavar="MODEL", help="a model's name, or an .onnx file of anybody's")

    one = command(convert, "write an ONNX file in another operator set, in half precision, or in 8 bits")
    one.add_argument("model", metavar="MODEL", help="a model's name, or an .onnx file of anybody's")
    one.add_argument("way", metavar="WAY", help="opset15, opset17, opset22, float16 or int8")
    one.add_argument("target", metavar="FILE", type=Path, help="where it is written")
    one.add_argument("images", metavar="IMAGE", nargs="*", type=Path,
                     help="pictures that int8 takes its scales from (default: crops of sample photographs; both files "
                          "are compared on crops of others)")

    one = command(profile, "measure how fast onnxruntime runs any ONNX file that takes pictures")
    one.add_argument("model", metavar="MODEL", help="a model's name, or an .onnx file of anybody's")

    one = command(bench, "measure the NumPy engine against PyTorch on this machine, some minutes")
    one.add_argument("--quick", action="store_true", help="fewer rounds, PyTorch's defaults only")
    return top


def settings(one: argparse.ArgumentParser) -> None:
    """The options of a training from scratch, as `training.scratch.settings` knows them: what is not said is None, and
    a sick preset's own settings count."""
    def option(name: str, metavar: str, help: str, type: Callable[[str], Any] = str) -> None:
        one.add_argument(name, type=type, metavar=metavar, help=help)

    option("--batch-size", "N", "pictures a step (default: 32)", whole(2))
    option("--learning-rate", "R", "how far a step goes (default: 0.003)", positive)
    option("--optimizer", "NAME", "sgd, momentum, nesterov, adam, adamw or rmsprop (default: adam)")
    option("--schedule", "NAME", "how the learning rate falls: cosine, constant, step, linear or warmup (default: "
                                 "cosine)")
    option("--loss", "NAME", "what is made small: cross-entropy, squared-error or hinge (default: cross-entropy)")
    option("--weight-decay", "W", "how much of every weight each step takes away, 0 to 1 (default: 0)", real)
    option("--label-smoothing", "S", "the share of a label that is spread over all classes, below 1 (default: 0)", real)
    option("--clip-norm", "G", "the largest joint norm of all gradients; 0: any (default: 0)", real)
    option("--init", "NAME", "the first weights: default, kaiming, xavier, normal or zeros")
    option("--weights-gain", "F", "the first weights times this (default: 1)", real)
    option("--first-bias", "B", "what the biases of all layers but the last begin with", real)
    one.add_argument("--normalize", action=argparse.BooleanOptionalAction, default=None,
                     help="bring the pixels to mean 0 and deviation 1, or let the network see 0 to 255 (default: yes)")
    option("--train-pictures", "N", "at most so many pictures learn; 0: all (default: 0)", whole(0))
    option("--early-stopping", "N", "stop after so many epochs without a better validation loss; 0: never (default: 0)",
           whole(0))
    option("--engine", "NAME", "who computes scores and gradients: ours or torch (default: ours)")
    one.add_argument("--augment", type=step, nargs="+", metavar="STEP=NUMBER",
                     help="what is done to pictures at random: mirror=0.5 rotate=10 ...")


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


def real(text: str) -> float:
    """An argparse type: a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def step(text: str) -> tuple[str, float]:
    """An augmentation's step as NAME=NUMBER."""
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no step: say NAME=NUMBER, such as mirror=0.5") from None
