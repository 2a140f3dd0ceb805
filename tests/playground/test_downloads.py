"""Downloads from a server that truncates, stalls, corrupts, redirects and refuses: whole and right, or a sentence."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground import __main__ as cli
from playground import jobs
from playground.datasets import downloads, folders
from playground.datasets.downloads import Downloadable, Progress, download
from playground.errors import PlaygroundError
from playground.training.runs import runs, worker
from playground.training.runs.runs import DOWNLOAD, RunSpec
from tests.playground.a_server import Server, here, offered, pets_zip, serving
from tests.waiting import HOPE_SECONDS, ended, until

PETS = "/pets.zip"


@pytest.fixture
def server(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(monkeypatch) as one:
        yield one


@pytest.fixture
def pets(server: Server, monkeypatch: pytest.MonkeyPatch) -> Downloadable:
    """A small set `pets` in the catalogue, of one zip."""
    monkeypatch.setattr(downloads, "CHUNK", 256)
    return put(server, monkeypatch, "pets", "cats_and_dogs_filtered", {"pets.zip": pets_zip()})


def put(server: Server, monkeypatch: pytest.MonkeyPatch, name: str, like: str, files: dict[str, bytes],
        checked: bool = True) -> Downloadable:
    one = offered(server, like, files, checked)
    monkeypatch.setitem(downloads.CATALOGUE, name, one)
    return one


def refusal(name: str = "pets") -> str:
    with pytest.raises(PlaygroundError) as raised:
        list(download(name))
    said = str(raised.value)
    assert said.endswith(".")
    assert "\n" not in said
    return said


def is_whole(playground_home: Path) -> bool:
    """Sixteen photos and the script beside them; nothing half done anywhere."""
    names = here(playground_home / "data")
    return len([name for name in names if name.endswith(".png")]) == 16 and not any(
        ".incoming" in name or ".downloads/pets/" in name for name in names)


def test_a_download_tells_how_far_it_is_and_becomes_a_folder_that_can_be_trained_on(
        pets: Downloadable, playground_home: Path) -> None:
    told = list(download("pets"))
    coming = [step for step in told if step.doing == "downloading"]
    assert coming[0] == Progress("downloading", 0, pets.size)
    assert coming[-1] == Progress("downloading", pets.size, pets.size)
    assert [step.done for step in coming] == sorted(step.done for step in coming)
    assert len(coming) > 5
    assert is_whole(playground_home)
    found = folders.scan(downloads.folder("pets") or Path(), seed=0)
    assert (found.classes, len(found.train), len(found.validation)) == (("cats", "dogs"), 8, 8)


def test_what_is_there_is_not_fetched_again(pets: Downloadable, server: Server) -> None:
    list(download("pets"))
    server.asked.clear()
    assert list(download("pets")) == []
    assert server.asked == []


@pytest.mark.parametrize("plan", ["truncate", "stall"])
def test_a_download_that_breaks_off_goes_on_where_it_was(
        plan: str, pets: Downloadable, server: Server, playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 1.0)
    server.plans[PETS] = [plan, plan]
    done = [step.done for step in download("pets") if step.doing == "downloading"]
    assert done == sorted(done)
    half = pets.size // 2
    assert [span for _, span in server.asked] == [None, f"bytes={half}-", f"bytes={half + (pets.size - half) // 2}-"]
    assert is_whole(playground_home)


def test_a_server_that_knows_no_ranges_starts_again_cleanly(
        pets: Downloadable, server: Server, playground_home: Path) -> None:
    server.plans[PETS] = ["truncate", "no range"]
    list(download("pets"))
    assert len(server.asked) == 2
    assert is_whole(playground_home)


def test_a_range_that_is_refused_is_not_asked_for_again(
        pets: Downloadable, server: Server, playground_home: Path) -> None:
    server.plans[PETS] = ["truncate", "416"]
    list(download("pets"))
    assert [span for _, span in server.asked][-1] is None
    assert is_whole(playground_home)


def test_a_server_that_always_breaks_off_at_the_same_place_is_given_up_and_what_came_is_kept(
        pets: Downloadable, server: Server) -> None:
    server.plans[PETS] = ["truncate"] + ["503"] * 99
    assert "goes on from there" in refusal()
    assert len(server.asked) == 1 + downloads.TRIES
    assert downloads.received("pets") == pets.size // 2
    server.plans.clear()
    list(download("pets"))
    assert server.asked[-1][1] == f"bytes={pets.size // 2}-"
    assert downloads.received("pets") == 0


def test_a_corrupted_file_is_deleted_and_nothing_is_unpacked(
        pets: Downloadable, server: Server, playground_home: Path) -> None:
    server.plans[PETS] = ["corrupt"]
    assert "SHA-256" in refusal()
    assert here(playground_home / "data") == [".downloads/pets.lock"]
    list(download("pets"))
    assert is_whole(playground_home)


def test_pieces_that_do_not_fit_together_are_fetched_once_more_in_one_piece(
        pets: Downloadable, server: Server, playground_home: Path) -> None:
    part = playground_home / "data" / downloads.PARTIAL / "pets" / "pets.zip"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"something else" * 9)
    list(download("pets"))
    assert [span is None for _, span in server.asked] == [False, True]
    assert is_whole(playground_home)


def test_without_a_checksum_a_damaged_zip_is_found_and_fetched_anew(
        server: Server, playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(server, monkeypatch, "pets", "cats_and_dogs_filtered", {"pets.zip": pets_zip()}, checked=False)
    server.plans[PETS] = ["corrupt"]
    assert "not a zip" in refusal()
    list(download("pets"))
    assert is_whole(playground_home)


@pytest.mark.parametrize("plan", ["portal", "endless"])
def test_an_answer_of_another_size_is_refused(plan: str, pets: Downloadable, server: Server,
                                              playground_home: Path) -> None:
    server.plans[PETS] = [plan]
    assert "expected" in refusal()
    assert here(playground_home / "data") == [".downloads/pets.lock"]


def test_redirects_are_followed(pets: Downloadable, server: Server, playground_home: Path) -> None:
    server.files["/elsewhere"] = server.files[PETS]
    server.plans[PETS] = ["truncate", "to /elsewhere"]
    list(download("pets"))
    assert server.asked[-1] == ("/elsewhere", f"bytes={pets.size // 2}-")
    assert is_whole(playground_home)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/pets.zip", PETS])
def test_redirects_to_files_and_in_circles_are_refused(target: str, pets: Downloadable, server: Server,
                                                       playground_home: Path) -> None:
    server.plans[PETS] = [f"to {target}"] * 50
    assert "127.0.0.1" in refusal()
    assert downloads.folder("pets") is None


def test_https_is_not_led_back_to_http() -> None:
    import urllib.request

    request = urllib.request.Request("https://example.org/a.zip")
    with pytest.raises(PlaygroundError, match="not followed"):
        downloads._Redirects().redirect_request(request, None, 302, "", {}, "http://example.org/a.zip")


def test_what_is_gone_is_said_to_be(pets: Downloadable, server: Server) -> None:
    server.files.clear()
    assert "404 Not Found" in refusal()
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(pets: Downloadable, server: Server, playground_home: Path) -> None:
    server.plans[PETS] = ["503", "429"]
    list(download("pets"))
    assert is_whole(playground_home)


def test_without_a_network_one_sentence_names_what_needs_none(
        playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PLAYGROUND_MIRROR", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        for name in downloads.CATALOGUE:
            said = refusal(name)
            assert "cannot be reached" in said
            assert "digits" in said
            assert "faces" in said


def test_a_stopped_download_is_kept_and_goes_on(pets: Downloadable, server: Server, playground_home: Path) -> None:
    told: list[Progress] = []
    for step in download("pets", should_stop=lambda: len(told) > 3):
        told.append(step)
    assert 0 < downloads.received("pets") < pets.size
    assert downloads.folder("pets") is None
    list(download("pets"))
    assert server.asked[-1][1] is not None
    assert is_whole(playground_home)


def test_two_at_once_fetch_once(pets: Downloadable, server: Server, playground_home: Path) -> None:
    first = download("pets")
    next(first)
    told: list[Progress] = []
    second = threading.Thread(target=lambda: told.extend(download("pets")))
    second.start()
    list(first)
    second.join(HOPE_SECONDS)
    assert not second.is_alive()
    assert len(server.asked) == 1
    assert {step.doing for step in told} <= {"waiting"}


def test_a_mirror_is_asked_instead_and_a_file_put_there_by_hand_is_used(
        pets: Downloadable, server: Server, playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_MIRROR", f"{server.url}/mirror/")
    assert "404" in refusal()
    assert server.asked[-1][0] == "/mirror/pets/pets.zip"
    by_hand = playground_home / "data" / downloads.PARTIAL / "pets" / "pets.zip"
    by_hand.write_bytes(server.files[PETS])
    list(download("pets"))
    assert len(server.asked) == 1
    assert is_whole(playground_home)


def test_a_full_disk_is_told_of_before_anything_is_fetched(
        pets: Downloadable, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: usage)
    assert "of disk" in refusal()
    assert server.asked == []



# -- as a run ----------------------------------------------------------------------------------------------------------


def begun(playground_home: Path, name: str = "pets") -> Path:
    folder = playground_home / ".runs" / "20260101-000000-000000-abcd"
    folder.mkdir(parents=True)
    runs.write_spec(folder, RunSpec(DOWNLOAD, {"set": name}, 0, name), "cpu")
    return folder


def test_a_run_downloads_and_exports_nothing(pets: Downloadable, playground_home: Path) -> None:
    folder = begun(playground_home)
    assert worker.work(folder, jobs.events) == 0
    view = runs.view(folder.name)
    assert (view.state, view.progress, view.exported) == ("completed", 1.0, None)
    assert is_whole(playground_home)
    assert not list((playground_home / "exports").glob("*"))


def test_a_run_that_is_stopped_keeps_what_has_come(pets: Downloadable, playground_home: Path, server: Server) -> None:
    folder = begun(playground_home)
    server.plans[PETS] = ["truncate"] + ["503"] * 9
    (folder / "stop").touch()
    assert worker.work(folder, jobs.events) == 0
    assert runs.view(folder.name).state == "stopped"
    assert downloads.folder("pets") is None


def test_a_run_that_fails_says_why(pets: Downloadable, playground_home: Path, server: Server) -> None:
    server.files.clear()
    folder = begun(playground_home)
    assert worker.work(folder, jobs.events) == 1
    view = runs.view(folder.name)
    assert view.state == "failed"
    assert view.failed is not None
    assert "404" in view.failed.message


def test_thirty_who_ask_share_one_run(playground_home: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_MIRROR", server.url)
    path = "/fashion-mnist/train-images-idx3-ubyte.gz"
    server.files[path] = bytes(26_421_880)
    server.plans[path] = ["stall"] * 9
    spec = RunSpec(DOWNLOAD, {"set": "fashion-mnist"}, 0, "fashion-mnist")
    try:
        assert len({runs.start_once(spec) for _ in range(30)}) == 1
        (run_id,) = runs.run_ids()
        until(lambda: downloads.received("fashion-mnist") >= 1_000_000 or runs.view(run_id).ended)
        assert not runs.view(run_id).ended
    finally:
        runs.stop(runs.run_ids()[0])
        server.released.set()
    assert ended(run_id).state == "stopped"
    assert downloads.received("fashion-mnist") > 1_000_000


# -- on the command line -----------------------------------------------------------------------------------------------


def test_the_command_line_downloads(pets: Downloadable, playground_home: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["download", "pets", "--json"]) == 0
    out, err = capsys.readouterr()
    assert str(playground_home / "data" / "pets") in out
    assert pets.licence in err
    assert is_whole(playground_home)
    assert cli.main(["download", "pets"]) == 0
    assert "is here already" in capsys.readouterr().err


def test_the_command_line_lists_what_there_is_and_refuses_the_rest(
        playground_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["download"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in downloads.CATALOGUE)
    assert cli.main(["download", "imagenet"]) == 2
    assert "choose cats_and_dogs_filtered" in capsys.readouterr().err
