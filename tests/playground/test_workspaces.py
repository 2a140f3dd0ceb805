"""Workspaces of a class: what one has made, nobody else finds by whatever handle; the queue is fair; limits hold."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground import home, jobs
from playground.classroom import keys, workspaces
from playground.datasets import allowed, collection, downloads, intake, photo_set, uploads
from playground.deploy import registry
from playground.errors import PlaygroundError
from playground.training.runs import class_runs, queue, runs, turns
from playground.training.runs.runs import EXPERIMENT, PRETRAINED, RunSpec
from playground.training.transfer import imported
from playground.ui.studio import onnx_convert
from tests.a_class import class_home, place_of, working
from tests.pages.on_a_page import put_model
from tests.waiting import until

__all__ = ["class_home"]

ROOT = Path(__file__).resolve().parents[2]
SPEC = RunSpec("digits", {"data": "/nowhere/at all", "epochs": 1}, 0, "mine")


@pytest.fixture
def two(class_home: Path) -> Iterator[tuple[str, str]]:
    """The keys of two readers. What they started is ended after."""
    both = keys.new(), keys.new()
    yield both
    for key in both:
        with working(key):
            for run_id in runs.run_ids():
                if runs.may_change(run_id):
                    runs.stop(run_id)
            until(lambda: not any(runs.is_alive(runs.run_dir(run_id)) for run_id in runs.run_ids()))


def run_of_hand(name: str = "mine", kind: str = "digits", **request: object) -> str:
    """A run without a worker."""
    spec = RunSpec(kind, dict(request), 0, name)
    with class_runs.place_of(spec):
        folder = runs.new_folder()
        class_runs.begun(folder)
        runs.write_spec(folder, spec, "cpu")
        return folder.name


def photo(gray: int = 90) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((12, 12, 3), gray, np.uint8)).save(file, "PNG")
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for label in ("a", "b"):
            archive.writestr(f"{label}/1.png", photo())
    return file.getvalue()


def test_a_key_opens_one_workspace_and_nothing_else_opens_any(class_home: Path) -> None:
    one, other = keys.new(), keys.new()
    assert place_of(one) != place_of(other)
    assert place_of(one) == place_of(one)
    random, signature = one.split(".")
    forged = hashlib.sha256(random.encode()).hexdigest()[:16]
    for wrong in ("", ".", random, f"{random}.", f"{random}.{forged}", f"{random[:-1]}-.{signature}", one + "0",
                  f"../{one}", "é" * 20, "a" * 10_000, f".{signature}", keys.teacher_key(), place_of(one).name):
        assert keys.workspace_of(wrong) is None, wrong
    assert not {one, random} & {part for path in class_home.rglob("*") for part in path.parts}
    assert keys.is_teacher_key(keys.teacher_key())
    assert not any(keys.is_teacher_key(wrong) for wrong in ("", one, keys.teacher_cookie(), "é"))


def test_the_servers_secret_is_made_once_and_for_its_owner_alone(class_home: Path) -> None:
    code = "from playground.classroom import keys; print(keys.teacher_key())"
    several = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
               for _ in range(3)]
    assert len({process.communicate()[0] for process in several} | {keys.teacher_key() + "\n"}) == 1
    secret = class_home / ".class" / "secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in secret.parent.iterdir()] == ["secret"]


def test_who_is_nobody_gets_nothing(class_home: Path) -> None:
    for ask in (home.home, home.runs_dir, home.exports_dir, home.data_dir, runs.run_ids, registry.entries):
        with pytest.raises(PlaygroundError, match="whose work this is"):
            ask()


def test_without_a_class_all_is_one_home(playground_home: Path) -> None:
    assert home.home() == home.base() == home.shared() == playground_home
    assert home.downloads_dir() == home.data_dir() == home.derived_dir() == playground_home / "data"
    assert home.importable()[home.HOME] == str(playground_home)
    assert home.BASE not in home.importable()
    with class_runs.place_of(RunSpec(PRETRAINED, {}, 0, "x")):
        assert home.home() == playground_home
    home.demand_room(10**15)


def test_no_handle_of_one_workspace_works_in_another(two: tuple[str, str]) -> None:
    mine, other = two
    with working(mine) as place:
        run_id = run_of_hand(data="digits")
        put_model("secret")
        made = collection.create("secret", ["a", "b"])
        intake.add(made.set_id, "a", [("secret.png", photo())])
        zip_name = uploads.keep(zipped()).name
        assert runs.run_ids() == [run_id]
        assert [one.name for one in registry.entries()] == ["secret", "digits-example"]
    handles = (run_id, f"../../{place.name}/.runs/{run_id}", str(place / ".runs" / run_id), f"{run_id}/.")
    with working(other):
        assert runs.run_ids() == []
        for ask in (runs.run_dir, runs.view, runs.stop, runs.resume, runs.finish, runs.remove, runs.may_change):
            for handle in handles:
                with pytest.raises(PlaygroundError, match="no training run"):
                    ask(handle)
        assert [one.name for one in registry.entries()] == ["digits-example"]
        for name in ("secret", f"../../{place.name}/exports/secret", str(place / "exports" / "secret")):
            assert registry.find(name) is None
            with pytest.raises(PlaygroundError):
                registry.remove(name)
        for known in (made.set_id, f"../../../{place.name}/data/sets/{made.set_id}", str(photo_set.sets_dir())):
            for ask in (photo_set.folder_of, photo_set.read, collection.remove):
                with pytest.raises(PlaygroundError):
                    ask(known)
        for known in (zip_name, f"../../../{place.name}/data/uploads/{zip_name}", str(place / "data")):
            assert uploads.find(known) is None
            assert uploads.remove(known) == set()
        assert not allowed.is_inside(place / "data" / "uploads" / zip_name)
        assert runs.free_name("secret") == "secret"
        put_model("secret")
        registry.remove("secret")
    with working(mine):
        assert registry.find("secret") is not None
        assert photo_set.read(made.set_id).photos
        assert uploads.find(zip_name) is not None
        assert not (runs.run_dir(run_id) / "stop").exists()


def test_a_process_that_works_for_one_has_his_home(two: tuple[str, str], class_home: Path) -> None:
    code = ("from playground import home; print(home.home(), home.base(), home.shared(), home.downloads_dir(), "
            "home.is_class(), sep='\\n')")
    with working(two[0]) as place:
        said = subprocess.run([sys.executable, "-c", code], env=home.importable(), capture_output=True, text=True,
                              check=True)
    assert said.stdout.split("\n")[:5] == [str(place), str(class_home), str(class_home / ".class"),
                                           str(class_home / "data"), "False"]


def test_what_is_nobodys_is_done_once_for_all(two: tuple[str, str], class_home: Path) -> None:
    mine, other = two
    with working(mine):
        common = run_of_hand("imagenet", PRETRAINED, backbone="x"), run_of_hand("race", EXPERIMENT, data="digits")
        own = run_of_hand("race", EXPERIMENT, data=str(photo_set.sets_dir() / "0123"))
        assert {runs.run_dir(run_id).parent.parent for run_id in common} == {class_home / ".class"}
        assert set(runs.run_ids()) == {*common, own}
        assert all(map(runs.may_change, (*common, own)))
    with working(other):
        assert set(runs.run_ids()) == set(common)
        assert runs.same(RunSpec(EXPERIMENT, {"data": "digits"}, 0, "other")) is None  # it was lost
        assert runs.view(common[0]).spec.name == "imagenet"
        for ask in (runs.stop, runs.resume, runs.finish, runs.remove):
            with pytest.raises(PlaygroundError, match="only who began it"):
                ask(common[1])
    with home.entered(home.shared()):
        put_model("imagenet")
    with working(other):
        found = registry.find("imagenet")
        assert found is not None
        assert found.shipped
        for ask in (registry.remove, registry.check_free, put_model):
            with pytest.raises(PlaygroundError, match="class's"):
                ask("imagenet")
        assert runs.free_name("imagenet") == "imagenet-2"


def test_downloads_are_everybodys_and_photos_published_too(two: tuple[str, str], class_home: Path) -> None:
    name = next(name for name, one in downloads.CATALOGUE.items() if one.photographs)
    places = {name: class_home / "data" / name, "class/birds": class_home / ".class" / "data" / "class" / "birds",
              "own": class_home / "data" / "sets" / "0123", "operator": class_home / "data" / "operators"}
    for folder in places.values():
        for label in ("a", "b"):
            (folder / label).mkdir(parents=True)
            (folder / label / "1.png").write_bytes(photo())
    with working(two[0]):
        assert set(allowed.folders_offered()) == {name, "class/birds"}
        assert class_runs.is_nobodys(str(places[name]))
        assert class_runs.is_nobodys(str(places["class/birds"]))
        assert not class_runs.is_nobodys(str(places["own"]))
        assert not class_runs.is_nobodys(str(home.data_dir() / "sets" / "0123"))
        folder = runs.run_dir(run_of_hand(data=str(places[name])))
        assert class_runs.home_of_derived(folder) == home.shared()
        assert class_runs.home_of_derived(runs.run_dir(run_of_hand(data="/elsewhere"))) == home.home()
        assert jobs.public_name(str(places["class/birds"])) == "data/class/birds"


@pytest.mark.slow
def test_forty_trainings_of_one_keep_nobody_waiting_for_forty(two: tuple[str, str],
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_RUNS", "1")
    mine, other = two
    taken = queue.take("digits", place_of(mine).name)
    assert taken is not None
    with taken[1]:
        with working(mine):
            ids = [runs.start(replace(SPEC, name=f"mine-{k}")) for k in range(turns.MOST_WAITING)]
            with pytest.raises(PlaygroundError, match="wait for their turn"):
                runs.start(replace(SPEC, name="too-many"))
        with working(other):
            late = runs.start(SPEC)
            until(lambda: runs.view(late).place == 1)
        with working(mine):
            until(lambda: [runs.view(run_id).place for run_id in ids] == [2, 3])
    with working(other):
        until(lambda: runs.view(late).state == "failed")


def test_going_on_waits_in_the_same_queue(two: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    mine, _ = two
    launched: list[bool] = []
    monkeypatch.setattr(runs, "_launch", lambda *_, queued=True: launched.append(queued))
    monkeypatch.setattr(turns, "waiting", lambda: [turns.Turn("digits", Path(str(k)), place_of(mine).name)
                                                   for k in range(turns.MOST_WAITING)])
    for key in two:
        with working(key):
            lost = run_of_hand(data="digits")
            assert runs.view(lost).can_go_on
            if key == mine:
                with pytest.raises(PlaygroundError, match="wait for their turn"):
                    runs.resume(lost)
                common = run_of_hand("race", EXPERIMENT, data="digits")
                with pytest.raises(PlaygroundError, match="wait for their turn"):
                    runs.resume(common)
                assert launched == []
            else:
                runs.resume(lost)
    assert launched == [True]


def test_a_workspace_takes_no_more_of_the_disk_than_it_may(two: tuple[str, str],
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.QUOTA, "1")
    monkeypatch.setattr(home, "USED_SECONDS", -1.0)
    with working(two[0]):
        made = collection.create("own", ["a", "b"])
        lost = run_of_hand(data="digits")
        imported.put(16 * "a", b"graph", {})
        (home.data_dir() / "much").write_bytes(bytes(1_000_000))
        imported.put(16 * "a", b"graph", {})  # the same takes no more
        onnx = home.opened_dir() / "file.onnx"
        onnx.write_bytes(b"x")
        converted = lambda: onnx_convert._written(str(onnx), "key", "opset 15", "input", "digest", 0,  # noqa: E731
                                                      np.zeros(1), None)
        for ask in (converted, lambda: runs.resume(lost), lambda: imported.put(16 * "b", b"graph", {}),
                    lambda: intake.add(made.set_id, "a", [("1.png", photo())]), lambda: uploads.keep(zipped()),
                    lambda: runs.start(SPEC), lambda: intake.add_folder(made.set_id, ROOT / "tests")):
            with pytest.raises(PlaygroundError, match=r"1 of the 1 MB|no folders with photos"):
                ask()
    with working(two[1]):
        assert uploads.keep(zipped()).is_dir()
        big = io.BytesIO()
        with zipfile.ZipFile(big, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/1.png", bytes(2_000_000))
        with pytest.raises(PlaygroundError, match="of the 1 MB"):  # a kilobyte that becomes two megabytes
            uploads.keep(big.getvalue())


@pytest.mark.slow
def test_what_is_deleted_is_gone_and_what_trains_for_it_ends(two: tuple[str, str]) -> None:
    mine, other = two
    with working(mine) as place:
        run_id = runs.start(RunSpec("digits", {"data": "digits", "epochs": 5000}, 0, "long"))
        folder = runs.run_dir(run_id)
        until(lambda: runs.view(run_id).state == "running")
        process = int((folder / "worker").read_text())
    with working(other):
        run_of_hand(data="digits")
    workspaces.rename(place, "Ada")
    workspaces.remove(place)
    assert not place.exists()
    assert not list(place.parent.glob("*.gone"))
    until(lambda: not is_running(process))
    assert [one.id for one in workspaces.all_of_them()] == [place_of(other).name]
    with working(mine):
        assert runs.run_ids() == []  # the key opens an empty one


@pytest.mark.slow
def test_a_training_outlives_its_server_and_goes_on_at_another(two: tuple[str, str], class_home: Path) -> None:
    mine, other = two
    code = ("import sys; from pathlib import Path; from playground import home\n"
            "from playground.training.runs import runs\n"
            "with home.entered(Path(sys.argv[1])): print(runs.start(runs.RunSpec('digits', {'data': 'digits', "
            "'epochs': 5000, 'network': 'f-d10'}, 0, 'long')))")
    server = subprocess.run([sys.executable, "-c", code, str(place_of(mine))], capture_output=True, text=True,
                            check=True, cwd=ROOT)
    run_id = server.stdout.strip()  # and the server is gone
    with working(mine):
        until(lambda: runs.view(run_id).saved is not None or runs.view(run_id).ended)
        os.kill(int((runs.run_dir(run_id) / "worker").read_text()), signal.SIGKILL)
        until(lambda: not runs.is_alive(runs.run_dir(run_id)))
        learnt = len(runs.view(run_id).epochs)
        assert runs.view(run_id).state == "lost"
    with working(other), pytest.raises(PlaygroundError, match="no training run"):
        runs.resume(run_id)
    with working(mine):
        runs.resume(run_id)
        until(lambda: len(runs.view(run_id).epochs) > learnt)
        runs.stop(run_id)
        until(lambda: runs.view(run_id).ended)
        assert runs.view(run_id).exported is not None
        found = registry.find("long")
        assert found is not None
        assert found.folder.parent.parent == place_of(mine)


def test_a_workspace_nobody_uses_goes_and_the_note_of_its_owner_is_read_with_suspicion(two: tuple[str, str]) -> None:
    mine, other = two
    for key in two:
        workspaces.seen(place_of(key), "convolution")
    workspaces.rename(place_of(mine), "  Ada\n\x00 " + "L" * 100)
    found = workspaces.at(place_of(mine))
    assert (found.name[:6], len(found.name), found.page, found.is_here) == ("Ada LL", 40, "convolution", True)
    (place_of(other) / workspaces.WHO).write_text('{"name": 3, "page": [], "seen": "x"}')
    assert workspaces.at(place_of(other)).called == f"reader {place_of(other).name[:4]}"
    assert workspaces.expire() == []
    long_ago = time.time() - 86400 * (workspaces.EXPIRE_DAYS + 1)
    (place_of(mine) / workspaces.WHO).write_text(json.dumps({"seen": long_ago}))
    os.utime(place_of(mine), (long_ago, long_ago))
    (place_of(mine).parent / "half.gone").mkdir()
    assert workspaces.expire() == [place_of(mine).name]
    assert [path.name for path in place_of(mine).parent.iterdir()] == [place_of(other).name]
    with pytest.raises(PlaygroundError, match="gone"):
        workspaces.find("../secret")


def is_running(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
