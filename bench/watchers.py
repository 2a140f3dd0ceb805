"""Many who watch one training: each asks for its picture twice a second, and how long does each wait?

A part of `bench.bench_class`. A training is started in the served home, a page that shows it is opened, and the address
its view asks for frames is then asked by so many readers at once, as a browser does: each on a connection of its own,
with the ETag of what it has, half a second after its last question or, where the answer took longer, at once.
"""

import asyncio
import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from bench.bench_app import p95
from playground.training.runs import runs
from playground.training.runs.runs import RunSpec

BETWEEN_SECONDS = 0.5
TOKEN = re.compile(rb'"token": ?"([0-9a-f]{32})"')


class Watcher:
    """One who watches: how long each answer took, and what it was."""

    def __init__(self) -> None:
        self.waits: list[float] = []  # milliseconds, of all answers
        self.new: list[float] = []  # of those that were another picture
        self.errors = 0
        self.bytes = 0

    async def watch(self, client: httpx2.AsyncClient, address: str, asks: int, between: float, late: float) -> None:
        """Ask so many times, for the first time after `late` seconds."""
        etag = ""
        await asyncio.sleep(late)
        for _ in range(asks):
            began = time.perf_counter()
            found = await client.get(address, headers={"If-None-Match": etag} if etag else {})
            took = time.perf_counter() - began
            self.waits.append(1000 * took)
            if found.status_code == 200:
                self.new.append(1000 * took)
                self.bytes += int(found.headers["content-length"])
                etag = found.headers["etag"]
            elif found.status_code != 304:
                self.errors += 1
            await asyncio.sleep(max(0.0, between - took))


async def together(clients: Sequence[httpx2.AsyncClient], address: str, asks: int,
                   between: float = BETWEEN_SECONDS) -> list[Watcher]:
    """A watcher a client, who begin at different moments of the first half second."""
    dice = random.Random(0)
    watchers = [Watcher() for _ in clients]
    await asyncio.gather(*(one.watch(client, address, asks, between, dice.uniform(0, between))
                           for one, client in zip(watchers, clients, strict=True)))
    return watchers


async def watched(url: str, address: str, count: int, seconds: float) -> list[Watcher]:
    """So many watch for so long, each on a connection of its own."""
    clients = [httpx2.AsyncClient(base_url=url, timeout=60) for _ in range(count)]
    try:
        return await together(clients, address, max(1, round(seconds / BETWEEN_SECONDS)))
    finally:
        await asyncio.gather(*(client.aclose() for client in clients))


def row(watchers: Sequence[Watcher]) -> dict[str, Any]:
    waits = [wait for one in watchers for wait in one.waits]
    new = [wait for one in watchers for wait in one.new]
    return {"watchers": len(watchers), "asked": len(waits), "new": len(new), "p95_ms": p95(waits),
            "new_p95_ms": p95(new), "most_ms": max(waits), "kilobytes": sum(one.bytes for one in watchers) / 1000
            / max(1, len(new)), "errors": sum(one.errors for one in watchers)}


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| watchers | asked | of it another picture | KB each | asked to answer, ms: p95 | p95 of pictures | most "
             "| errors |", "|---|---|---|---|---|---|---|---|"]
    lines += [f"| {r['watchers']} | {r['asked']} | {r['new']} | {r['kilobytes']:.0f} | {r['p95_ms']:.0f} "
              f"| {r['new_p95_ms']:.0f} | {r['most_ms']:.0f} | {r['errors']} |" for r in rows]
    return "\n".join(lines)


@contextmanager
def training(home: Path, network: str = "usual") -> Iterator[str]:
    """The name of a training that goes on in a served home until it is no longer needed."""
    os.environ["PLAYGROUND_HOME"] = str(home)
    run_id = runs.start(RunSpec("digits", {"data": "digits", "network": network, "epochs": 1000}, 0, "watched"))
    try:
        limit = time.monotonic() + 60
        while not runs.view(run_id).epochs:
            if time.monotonic() > limit or runs.view(run_id).ended:
                raise RuntimeError("The training did not begin.")
            time.sleep(0.1)
        yield run_id
    finally:
        runs.stop(run_id)
        while runs.is_alive(runs.run_dir(run_id)):
            time.sleep(0.05)


async def frames_of(url: str, token: str) -> str:
    """The address of all parts of a live view."""
    async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
        structure = (await client.get(f"/api/view/{token}/structure")).raise_for_status().json()
    parts = ",".join(str(part["i"]) for part in structure["parts"])
    return f"/api/view/{token}/frame?epoch=live&parts={parts}"
