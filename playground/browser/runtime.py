"""onnxruntime-web: which version, which of its files, where from, and where they are kept.

The package on npm has 150 MB; a model on a processor needs three files of it. A browser checks each against its SHA-384
before it runs, wherever it came from (Subresource Integrity, w3.org/TR/sri).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground import home

VERSION = "1.30.0"
NAME = f"onnxruntime-web-{VERSION}"
"""The folder below data/ that holds the files."""
CDN_HOST = "cdn.jsdelivr.net"
"""Who is asked where the server has no files and the reader allows it: the one host a Content-Security-Policy has to
name for it, in connect-src alone."""
CDN = f"https://{CDN_HOST}/npm/onnxruntime-web@{VERSION}/dist/"
COMMAND = "make browser"
"""What fetches the files; `python -m playground browser` is the same."""


@dataclass(frozen=True)
class File:
    """One of the three files: its size in bytes, what it is, and its digest as browsers are told it."""

    name: str
    size: int
    media_type: str
    integrity: str


FILES = (
    File("ort.wasm.min.mjs", 50_126, "text/javascript",
         "sha384-SfFfy/pvthiOsgaw3KX0bV5TfQ6Iq+oY9KutMe4SxIuHH4cl+DCSD4rTsYOoG1tJ"),
    File("ort-wasm-simd-threaded.mjs", 24_381, "text/javascript",
         "sha384-XcXA/MtAf0WpB8e023xQH9CM7RIjiugakT7x99DIwpFf7k56BIFFcAPerIF7FDad"),
    File("ort-wasm-simd-threaded.wasm", 14_239_897, "application/wasm",
         "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM"),
)
"""Module, glue and machine, in the order in which scripts name them."""
PACKED = ".gz"
"""Behind the name of a file that lies beside it compressed."""


def folder() -> Path | None:
    """Where the three files are, if they are here."""
    place = home.downloads_dir() / NAME
    return place if all((place / file.name).is_file() for file in FILES) else None


def said(address: str | None) -> dict[str, Any]:
    """What a script has to know: where the files are, None for nowhere near, and where else they are to be had."""
    return {"version": VERSION, "address": address, "cdn": CDN, "host": CDN_HOST,
            "files": [{"name": file.name, "integrity": file.integrity} for file in FILES]}
