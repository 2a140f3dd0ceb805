"""A class at work: many readers of one server, each moving sliders; how long does each wait for the figure?

    python -m bench.bench_class [--readers 1 10 30] [--seconds 40] [--pause 3 8] [--watchers 30]

Readers speak to the server as a browser does, in Streamlit's messages over a websocket, but draw nothing: what is
measured is the server's part, from the press to the first message that carries a figure (`bench_app` measures the
browser's). Like a browser they ask for the rest of the page when nothing was pressed for a while. They share the
lessons with sliders, open their page at once, and press again `pause` seconds after a page has answered. Milliseconds
are of this machine, on which the readers run, too. Then as many as asked for watch one training together (`watchers`).
Results are written to bench/results/.
"""

import argparse
import asyncio
import datetime
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.Slider_pb2 import Slider
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bench import watchers
from bench.bench_app import p95
from bench.report import save
from bench.served import served

LESSONS = (
    "images", "mlp", "convolution", "channels", "pooling", "augmentation", "normalization", "batch-norm", "dropout",
)
FIGURES = {"plotly_chart", "bidi_component", "imgs", "component_instance"}
BROKEN_OFF = ForwardMsg.FINISHED_EARLY_FOR_RERUN
PATIENCE = 120  # seconds after which an answer is not waited for


class Reader:
    """One open page: what it shows of sliders, and what it has waited for."""

    def __init__(self, socket: ClientConnection, page: str, dice: random.Random):
        self.socket, self.page, self.dice = socket, page, dice
        self.script = ""
        self.token = ""  # of the view of a network on the page
        self.sliders: dict[str, tuple[Slider, str]] = {}  # by its id: the slider, and the fragment it stands in
        self.moved: dict[str, float] = {}
        self.opened = 0.0
        self.waits: list[float] = []
        self.errors = 0
        self._begun = False  # whether what was asked for last is what the server is answering
        self._figure, self._ended = asyncio.Event(), asyncio.Event()
        self._rest: asyncio.Task[None] | None = None

    async def ask(self, fragment: str = "") -> None:
        """Have the page, or one fragment of it, run with all sliders where they have been moved to."""
        message = BackMsg()
        message.rerun_script.page_script_hash = self.script
        message.rerun_script.fragment_id = fragment
        if not self.script:
            message.rerun_script.page_name = self.page
        for name, value in self.moved.items():
            state = message.rerun_script.widget_states.widgets.add()
            state.id = name
            state.double_array_value.data.append(value)
        self._begun = False
        self._figure.clear()
        self._ended.clear()
        await self.socket.send(message.SerializeToString())

    async def listen(self) -> None:
        """Take in what the server says, until it or the reader leaves."""
        async for said in self.socket:
            message = ForwardMsg()
            message.ParseFromString(said if isinstance(said, bytes) else said.encode())
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self._begun = True
            elif kind == "navigation":  # the whole page is drawn anew
                self.script = message.navigation.page_script_hash
                self.sliders.clear()
            elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                element = message.delta.new_element
                if element.WhichOneof("type") == "bidi_component" and (found := watchers.TOKEN.search(
                        element.SerializeToString())):
                    self.token = found[1].decode()
                if element.WhichOneof("type") == "slider":
                    self.sliders[element.slider.id] = element.slider, message.delta.fragment_id
                wrong = element.WhichOneof("type") == "alert" and element.alert.body.startswith("Something went wrong")
                self.errors += wrong or element.WhichOneof("type") == "exception"
                if self._begun and element.WhichOneof("type") in FIGURES:
                    self._figure.set()
            elif kind == "auto_rerun":
                again = message.auto_rerun
                self._rest = asyncio.create_task(self._later(again.interval, again.fragment_id))
            elif kind == "script_finished" and self._begun and message.script_finished != BROKEN_OFF:
                self._ended.set()

    def forget_the_rest(self) -> None:
        """Do not ask for the rest of the page: another press comes first."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    async def _later(self, seconds: float, fragment: str) -> None:
        await asyncio.sleep(seconds)
        self._rest = None
        await self.ask(fragment)

    async def open(self) -> None:
        began = time.perf_counter()
        await self.ask()
        await asyncio.wait_for(self._ended.wait(), PATIENCE)
        self.opened = 1000 * (time.perf_counter() - began)

    async def press(self) -> None:
        """Move one slider by one step, and note how long the first figure takes; nothing where it moves none."""
        while not self.sliders:
            await asyncio.sleep(0.01)
        able = [(slider, fragment) for slider, fragment in self.sliders.values() if slider.type == Slider.SLIDER
                and len(slider.default) == 1 and not slider.disabled and slider.min < slider.max]
        slider, fragment = self.dice.choice(able)
        value = self.moved.get(slider.id, slider.default[0])
        self.moved[slider.id] = value + slider.step if value + slider.step <= slider.max else value - slider.step
        self.forget_the_rest()
        began = time.perf_counter()
        await self.ask(fragment)
        figure, ended = (asyncio.create_task(event.wait()) for event in (self._figure, self._ended))
        await asyncio.wait((figure, ended), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if self._figure.is_set():
            self.waits.append(1000 * (time.perf_counter() - began))
        await asyncio.wait_for(ended, PATIENCE)
        figure.cancel()


async def read(url: str, page: str, dice: random.Random, seconds: float, pause: Sequence[float],
               headers: Mapping[str, str] | None = None) -> Reader:
    """Open a page and press its sliders for so many seconds (0: only open it), then leave."""
    address = f"{url.replace('http', 'ws', 1)}/_stcore/stream"
    async with connect(address, subprotocols=[Subprotocol("streamlit")], max_size=None, compression=None,
                       additional_headers=headers) as socket:
        reader = Reader(socket, page, dice)
        listening = asyncio.create_task(reader.listen())
        await reader.open()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            await asyncio.sleep(dice.uniform(*pause))
            await reader.press()
        reader.forget_the_rest()
        listening.cancel()
    return reader


async def token_of(url: str, page: str) -> str:
    """The name of the view that a page shows. It stays with the server when the page is closed."""
    reader = await read(url, page, random.Random(0), 0, (0, 0))
    if not reader.token:
        raise RuntimeError(f"The page {page} shows no network at work.")
    return reader.token


async def together(url: str, pages: Sequence[str], seconds: float = 0, pause: Sequence[float] = (1, 3)) -> list[Reader]:
    """A reader a page, all at once."""
    return await asyncio.gather(*(
        read(url, page, random.Random(k), seconds, pause) for k, page in enumerate(pages)
    ))


def row(readers: list[Reader]) -> dict[str, Any]:
    waits = [wait for reader in readers for wait in reader.waits]
    opened = [reader.opened for reader in readers]
    return {
        "readers": len(readers), "presses": len(waits), "figure_median_ms": statistics.median(waits),
        "figure_p95_ms": p95(waits), "figure_most_ms": max(waits), "opened_median_ms": statistics.median(opened),
        "opened_most_ms": max(opened), "errors": sum(reader.errors for reader in readers),
    }


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| readers | presses | press to figure, ms: median | p95 | most | page opened, ms: median | most "
             "| errors |", "|---|---|---|---|---|---|---|---|"]
    keys = ("figure_median_ms", "figure_p95_ms", "figure_most_ms", "opened_median_ms", "opened_most_ms")
    lines += [f"| {r['readers']} | {r['presses']} | {' | '.join(f'{r[key]:.0f}' for key in keys)} | {r['errors']} |"
              for r in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, nargs="*", default=[1, 10, 30])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--pause", type=float, nargs=2, default=(3, 8), metavar="SECONDS")
    parser.add_argument("--watchers", type=int, nargs="*", default=[30])
    options = parser.parse_args()
    rows, watching, load = [], [], os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as url:
        asyncio.run(together(url, LESSONS, 3))  # the server is warm
        for count in options.readers:
            pages = [LESSONS[k % len(LESSONS)] for k in range(count)]
            rows.append(row(asyncio.run(together(url, pages, options.seconds, options.pause))))
            print(table(rows).splitlines()[-1], file=sys.stderr, flush=True)
        if options.watchers:
            with watchers.training(Path(folder)):
                address = asyncio.run(watchers.frames_of(url, asyncio.run(token_of(url, "network"))))
                for count in options.watchers:
                    found = asyncio.run(watchers.watched(url, address, count, options.seconds))
                    watching.append(watchers.row(found))
    about = (f"{datetime.date.today()}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores (the "
             f"readers' as well), load {load:.1f} before, a press {options.pause[0]:g} to {options.pause[1]:g} s "
             "after each answer")
    tables = "\n\n".join([*([table(rows)] if rows else []), *([watchers.table(watching)] if watching else [])])
    print(f"{about}\n\n{tables}\n")
    save("class", about, tables, rows=rows, watching=watching)


if __name__ == "__main__":
    main()
