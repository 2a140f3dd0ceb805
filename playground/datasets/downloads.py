"""Downloading a set of the catalogue: it gets here whole and checked, or not at all."""

import base64
import fcntl
import gzip
import hashlib
import http.client
import os
import shutil
import ssl
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from playground import home
from playground.datasets.catalogue import CATALOGUE, Downloadable, File, Progress
from playground.datasets.disk import FULL_OR_FORBIDDEN, unfinished, why
from playground.datasets.unzip import move_into_place
from playground.errors import PlaygroundError

__all__ = ["CATALOGUE", "Downloadable", "File", "Progress", "download", "fetch", "find", "folder", "host", "received"]

PARTIAL = ".downloads"  # below data/: what has come so far; a file put there by hand is checked and used as well
TIMEOUT_SECONDS = 20.0  # without a single byte
PAUSE_SECONDS = 1.0  # before asking again a server that broke off
TRIES = 4  # in a row that brought nothing new
CHUNK = 1 << 18
OFFLINE = "the handwritten digits (Build and train) and the sample photos of faces (Transfer learning) need none"
_AGAIN = (408, 425, 429, 500, 502, 503, 504)  # answers of a server that may think otherwise in a moment
_DAMAGED = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
_BROKEN_OFF = (TimeoutError, ConnectionError, http.client.HTTPException)


def find(name: str) -> Downloadable:
    """The set of that name. Raises PlaygroundError when there is none."""
    if name not in CATALOGUE:
        raise PlaygroundError(f"There is no set {name!r} to download: choose {' or '.join(CATALOGUE)}.")
    return CATALOGUE[name]


def folder(name: str) -> Path | None:
    """Where the set is, if it is here."""
    find(name)
    path = home.downloads_dir() / name
    return path if path.is_dir() else None


def host(name: str) -> str:
    """Who is asked for the set: its maker's server, or the mirror."""
    return _host(_address(name, find(name).files[0]))


def received(name: str) -> int:
    """Bytes of the set that have come so far, in a download that was not finished."""
    paths = (home.downloads_dir() / PARTIAL / name / file.name for file in find(name).files)
    return sum(path.stat().st_size for path in paths if path.is_file())


def download(name: str, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
    """`fetch` a set of the catalogue into data/NAME."""
    yield from fetch(find(name), name, should_stop)


def fetch(wanted: Downloadable, name: str, should_stop: Callable[[], bool] = lambda: False, offline: str = OFFLINE
          ) -> Iterator[Progress]:
    """Fetch what is wanted into data/NAME, whole or not at all, and tell how far it is; what is there already stays.

    What has come is kept when it is stopped or breaks off, and the next call goes on from there (HTTP Range), or from
    the beginning where the server does not allow that. Size and SHA-256 are checked before anything is unpacked; a file
    that is wrong is deleted. PLAYGROUND_MIRROR names a server that is asked instead, for NAME/FILE. Two at a time: the
    second waits for the first. Raises PlaygroundError with what went wrong as one sentence; `offline` says in it what
    needs no network.
    """
    into = home.downloads_dir() / name
    partial = home.downloads_dir() / PARTIAL / name
    if into.is_dir():
        return
    with _plainly():
        partial.mkdir(parents=True, exist_ok=True)
    with _plainly(), open(partial.parent / f"{name}.lock", "a") as lock:
        while not _held(lock):
            yield Progress("waiting", 0, 1)
            if should_stop():
                return
            time.sleep(0.1)
        if into.is_dir():
            return
        _demand_space(wanted, into.parent, partial)
        before = 0
        for file in wanted.files:
            for progress in _fetch(name, file, partial / file.name, should_stop, offline):
                yield (Progress("downloading", before + progress.done, wanted.size)
                       if progress.doing == "downloading" else progress)
            if should_stop():
                return
            before += file.size
        try:
            with unfinished(into.parent) as incoming:
                for progress in wanted.unpack({file.name: partial / file.name for file in wanted.files}, incoming):
                    yield progress
                    if should_stop():
                        return
                move_into_place(incoming, into)
        except (PlaygroundError, *_DAMAGED):
            for file in wanted.files:
                if not (file.sha256 or file.sha512):  # right in size alone: the next attempt fetches it again
                    (partial / file.name).unlink(missing_ok=True)
            raise
        shutil.rmtree(partial, ignore_errors=True)


def _held(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _plainly() -> Iterator[None]:
    """What the disk refuses, and what is wrong with an archive, as a sentence."""
    try:
        yield
    except _DAMAGED as error:
        raise PlaygroundError("What was downloaded cannot be unpacked: the archive is damaged.") from error
    except OSError as error:
        if error.errno in FULL_OR_FORBIDDEN:
            raise PlaygroundError(f"{why(error)}: the download stopped, and what has come is kept.") from error
        raise PlaygroundError(f"The download could not be written: {error.strerror or error}.") from error


def _demand_space(wanted: Downloadable, where: Path, partial: Path) -> None:
    here = sum(path.stat().st_size for path in partial.iterdir())
    needed = 7 * wanted.size // 2 - here  # the files, what is in them, and some air
    if (free := shutil.disk_usage(where).free) < needed:
        raise PlaygroundError(f"{wanted.title} needs {needed / 1e6:,.0f} MB of disk; {free / 1e6:,.0f} MB are free.")


# -- fetching ----------------------------------------------------------------------------------------------------------


def _fetch(name: str, file: File, path: Path, should_stop: Callable[[], bool], offline: str) -> Iterator[Progress]:
    """One file, from what is there of it to its checked whole."""
    url = _address(name, file)
    furthest, tries, whole_at_once, ranges = _size(path), TRIES, False, True
    while True:
        have = _size(path)
        if have > file.size:
            path.unlink()
            have = 0
        if have == file.size:
            yield Progress("checking", have, file.size)
            if _as_published(path, file):
                return
            path.unlink()
            if whole_at_once:
                raise PlaygroundError(f"{file.name} from {_host(url)} is not what was published (its {_sum(file)} "
                                      "differs): it was deleted, and nothing was unpacked.")
            have, furthest = 0, 0  # put together from pieces of different files perhaps: once more in one piece
        if not ranges and have:
            path.unlink()
            have = 0
        whole_at_once = have == 0
        try:
            yield from _receive(url, file, path, have, should_stop)
            if should_stop():
                return
            if _size(path) == file.size:
                continue
            problem = "broke off"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and have:
                ranges = False
            elif error.code not in _AGAIN:
                raise PlaygroundError(f"{_host(url)} does not hand out {file.name}: it answered {error.code} "
                                      f"{http.client.responses.get(error.code, '')}".rstrip() + ".") from error
            problem = f"answered {error.code}"
        except urllib.error.URLError as error:
            if not isinstance(error.reason, _BROKEN_OFF) or isinstance(error.reason, ConnectionRefusedError):
                raise _unreachable(url, error.reason, offline) from error
            problem = "does not answer"
        except _BROKEN_OFF as error:
            problem = "went silent" if isinstance(error, TimeoutError) else "broke off"
        have = _size(path)
        if have > furthest:
            furthest, tries = have, TRIES
        else:
            tries -= 1
        if not tries:
            raise PlaygroundError(f"{_host(url)} {problem}, {TRIES} times in a row, with {have / 1e6:,.1f} of "
                                  f"{file.size / 1e6:,.1f} MB here: start again later, and it goes on from there.")
        wait_until = time.monotonic() + PAUSE_SECONDS
        while time.monotonic() < wait_until:
            if should_stop():
                return
            time.sleep(min(0.1, PAUSE_SECONDS))


def _receive(url: str, file: File, path: Path, have: int, should_stop: Callable[[], bool]) -> Iterator[Progress]:
    """Append to `path` what the server sends of the file after its first `have` bytes, until it ends or stops."""
    headers = {"User-Agent": "cnn-playground", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - an address of the catalogue or of the operator's mirror
    yield Progress("downloading", have, file.size)
    with _opener().open(request, timeout=TIMEOUT_SECONDS) as response:
        begins, total = _extent(response.headers, response.status)
        if total not in (None, file.size) or begins not in (0, have):
            raise PlaygroundError(
                f"{_host(url)} offers {total or 0:,} bytes for {file.name} where {file.size:,} are expected: the file "
                "was changed, or something in between (a network's login page) answered; nothing was downloaded.")
        with open(path, "ab" if begins else "wb") as target:
            have = begins
            while not should_stop() and have <= file.size and (chunk := response.read1(CHUNK)):
                target.write(chunk)
                target.flush()  # a worker that is killed leaves what has come
                have += len(chunk)
                yield Progress("downloading", min(have, file.size), file.size)
    if have > file.size:
        path.unlink()
        raise PlaygroundError(f"{_host(url)} sends more for {file.name} than the {file.size:,} bytes expected: it was "
                              "deleted, and nothing was unpacked.")


def _extent(headers: Mapping[str, str], status: int) -> tuple[int, int | None]:
    """(the first byte an answer brings, the size of the whole file); the size is None where it is not told."""
    if status == 206:
        span, _, total = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        first = span.partition("-")[0]
        return (int(first) if first.isdigit() else -1), (int(total) if total.isdigit() else None)
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, and never from https back to http."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in ("http", "https") or (before, after) == ("https", "http"):
            raise PlaygroundError(f"{_host(req.full_url)} wants to lead to {newurl[:80]!r}, which is not followed.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """http and https, redirects, and the proxies of the environment; no files, no ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(),
                    _Redirects(), urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler(),
                    urllib.request.UnknownHandler()):
        opener.add_handler(handler)
    return opener


def _address(name: str, file: File) -> str:
    mirror = os.environ.get("PLAYGROUND_MIRROR", "").rstrip("/")
    return f"{mirror}/{name}/{file.name}" if mirror else file.url


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _unreachable(url: str, reason: object, offline: str) -> PlaygroundError:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return PlaygroundError(f"{_host(url)} could not prove who it is ({reason.verify_message}): nothing was "
                               "downloaded.")
    return PlaygroundError(f"{_host(url)} cannot be reached from this server, perhaps there is no network; {offline}.")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _sum(file: File) -> str:
    return "SHA-512" if file.sha512 else "SHA-256"


def _as_published(path: Path, file: File) -> bool:
    """Whether a file has the sum that was published of it, if one was."""
    with open(path, "rb") as content:
        if file.sha512:
            return base64.b64encode(hashlib.file_digest(content, "sha512").digest()).decode() == file.sha512
        return file.sha256 is None or hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
