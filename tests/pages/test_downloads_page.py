"""Downloading on a page: what is offered, how far it is, what came of it, and every way it goes wrong in a sentence."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from playground import jobs
from playground.datasets import downloads
from playground.training.runs import runs, worker
from playground.training.runs.runs import DOWNLOAD, RunSpec
from playground.ui.studio import transfer
from tests.pages.on_a_page import OpenPage, errors, texts
from tests.playground.a_server import Server, idx, offered, pets_zip, serving
from tests.waiting import HOPE_SECONDS, until


@pytest.fixture
def server(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with small sets in the catalogue's places, and workers that are threads, so that they know of them."""
    with serving(monkeypatch) as one:
        monkeypatch.setattr(downloads, "CHUNK", 256)
        files = {f"{half}-{what}-ubyte.gz": idx(array) for half in ("train", "t10k") for what, array in (
            ("images-idx3", np.zeros((20, 8, 8), np.uint8)), ("labels-idx1", np.arange(20, dtype=np.uint8) % 10))}
        sets = {"cats_and_dogs_filtered": {"pets.zip": pets_zip()}, "fashion-mnist": files}
        for name, content in sets.items():
            monkeypatch.setitem(downloads.CATALOGUE, name, offered(one, name, content))
        threads: list[threading.Thread] = []

        def start(spec: RunSpec, suggested: bool = False) -> str:
            run_id = f"20260101-000000-{len(threads):06d}-abcd"
            folder = playground_home / ".runs" / run_id
            folder.mkdir(parents=True)
            runs.write_spec(folder, spec, "cpu")
            threads.append(threading.Thread(target=worker.work, args=(folder, jobs.events)))
            threads[-1].start()
            return run_id

        monkeypatch.setattr(runs, "start", start)
        monkeypatch.setattr(runs, "is_alive", lambda folder: any(thread.is_alive() for thread in threads))
        yield one
        for thread in threads:
            thread.join(HOPE_SECONDS)


def test_a_set_is_offered_with_its_size_source_and_licence(open_page: OpenPage, server: Server) -> None:
    app = open_page("transfer", photos=transfer.DOWNLOAD)
    assert errors(app) == []
    for name in app.selectbox(key="set").options:
        app.selectbox(key="set").set_value(next(n for n in downloads.CATALOGUE if downloads.find(n).title in name))
        app.run()
        assert errors(app) == []
        assert "licence:" in texts(app)
        assert "MB to fetch" in texts(app)
    assert "First choose photos" in texts(app)
    assert not server.asked


def test_one_button_and_the_photos_are_there_to_train_on(open_page: OpenPage, server: Server) -> None:
    app = open_page("transfer", photos=transfer.DOWNLOAD)
    app.button(key="download-cats_and_dogs_filtered").click().run()
    assert errors(app) == []
    until(lambda: runs.view(runs.run_ids()[0]).ended)
    app.run()
    assert errors(app) == []
    assert list(app.dataframe[0].value["class"]) == ["cats", "dogs"]
    assert app.text_input[0].value == "cats-and-dogs-filtered"
    assert "Start training" in [button.label for button in app.button]
    assert not [box for box in app.selectbox if box.label == "Runs on this server"], "a download is no training"


def test_progress_is_watched_and_a_stopped_download_can_go_on(
        open_page: OpenPage, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.plans["/pets.zip"] = ["stall"]
    app = open_page("transfer", photos=transfer.DOWNLOAD)
    app.button(key="download-cats_and_dogs_filtered").click().run()
    run_id = runs.run_ids()[0]
    until(lambda: downloads.received("cats_and_dogs_filtered") > 0)
    app.run()
    app.button(key=f"stop-{run_id}").click().run()
    server.released.set()
    until(lambda: runs.view(run_id).ended)
    app.run()
    assert errors(app) == []
    assert "what has come is kept" in texts(app)
    go_on = app.button(key="download-cats_and_dogs_filtered")
    assert go_on.label == "Go on downloading"
    go_on.click().run()
    until(lambda: len(runs.run_ids()) == 2 and runs.view(runs.run_ids()[0]).ended)
    app.run()
    assert list(app.dataframe[0].value["class"]) == ["cats", "dogs"]
    assert server.asked[-1][1] is not None


def test_what_went_wrong_stands_beside_the_button(open_page: OpenPage, server: Server) -> None:
    server.files.clear()
    app = open_page("transfer", photos=transfer.DOWNLOAD)
    app.button(key="download-cats_and_dogs_filtered").click().run()
    until(lambda: runs.view(runs.run_ids()[0]).ended)
    app.run()
    assert not app.exception
    assert len(app.error) == 1
    assert "404" in app.error[0].value
    assert app.button(key="download-cats_and_dogs_filtered").label == "Download"


def test_two_readers_press_and_one_download_begins(open_page: OpenPage, server: Server) -> None:
    server.plans["/pets.zip"] = ["stall"]
    readers = [open_page("transfer", photos=transfer.DOWNLOAD) for _ in range(2)]
    for reader in readers:
        reader.button(key="download-cats_and_dogs_filtered").click().run()
        assert errors(reader) == []
    assert len(runs.run_ids()) == 1
    server.released.set()


def test_fashion_mnist_is_fetched_on_the_training_page_and_then_among_its_data(
        open_page: OpenPage, server: Server) -> None:
    app = open_page("train")
    box = app.selectbox(key="small-set")
    box.set_value("fashion-mnist").run()
    app.button(key="download-fashion-mnist").click().run()
    until(lambda: runs.view(runs.run_ids()[0]).ended)
    app.run()
    assert errors(app) == []
    assert "fashion-mnist" in app.selectbox(key="data").options
    app.selectbox(key="data").set_value("fashion-mnist").run()
    assert errors(app) == []
    assert "Zalando" in texts(app)


def test_the_lab_offers_cats_and_dogs(open_page: OpenPage, server: Server) -> None:
    app = open_page("lab", photos=transfer.DOWNLOAD)
    assert errors(app) == []
    assert app.button(key="download-cats_and_dogs_filtered").label == "Download"


def test_a_download_in_the_address_is_not_taken_for_a_training(open_page: OpenPage, server: Server) -> None:
    run_id = runs.start(RunSpec(DOWNLOAD, {"set": "cats_and_dogs_filtered"}, 0, "cats_and_dogs_filtered"))
    until(lambda: runs.view(run_id).ended)
    for page in ("transfer", "train", "models"):
        app = open_page(page, run=run_id)
        assert errors(app) == []
        assert "What came out" not in texts(app)
