"""A class that opens the first pages after the start together."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench import bench_class
from bench.served import served
from playground.training.runs import runs
from playground.ui.contents import CHAPTERS
from tests.waiting import HOPE_SECONDS


@pytest.mark.slow
def test_all_pages_opened_at_once_on_a_server_that_has_just_started_are_whole(
        playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reader is a thread, and nothing is loaded yet: modules must not be met half loaded."""
    monkeypatch.setattr(bench_class, "PATIENCE", HOPE_SECONDS)
    # In a thread of its own: the browser of other tests may have a loop running in this one.
    with served(playground_home) as url, ThreadPoolExecutor(1) as elsewhere:
        asked = bench_class.together(url, [chapter.url for chapter in CHAPTERS] * 2)
        readers = elsewhere.submit(asyncio.run, asked).result()
    assert [reader.page for reader in readers if reader.errors] == []
    shown = {reader.page: len(reader.sliders) for reader in readers}
    assert min(shown[page] for page in ("images", "convolution", "normalization", "batch-norm")) >= 2
    (network,) = runs.run_ids()  # that all of them need, begun once
    assert runs.read_spec(runs.run_dir(network)).kind == runs.PRETRAINED
    assert not runs.is_alive(runs.run_dir(network)), "it ends with its server"
