"""Deleting photographs for good: the files, and everything that was ever made of them on this server.

What a trainer decoded or computed is kept by content; a photograph that another set still holds keeps it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import streamlit as st

from playground.datasets import collection, photo_set, uploads
from playground.datasets.disk import plainly
from playground.deploy import evaluation
from playground.errors import PlaygroundError
from playground.training.runs import runs
from playground.training.transfer import feature_store as features
from playground.training.transfer import photo_list, pixels


def forget(set_id: str) -> None:
    """What was taken out of a set, for good."""
    before = collection.contents(set_id)
    collection.forget(set_id)
    clear(before, collection.version_prefix(set_id))


def remove(set_id: str) -> None:
    """A whole set, for good."""
    before = collection.contents(set_id)
    collection.remove(set_id)
    clear(before, collection.version_prefix(set_id))


def remove_upload(known: str) -> None:
    """The photographs of an uploaded zip, for good."""
    clear(uploads.remove(known), known)


def clear(digests: Iterable[str], mark: str) -> None:
    """What was made of photographs with these digests (32 hex digits), where no set has them any more; and the names of
    those that are gone from the runs whose folder of photographs has `mark` in its path."""
    gone = {bytes.fromhex(digest) for digest in set(digests) - collection.held()}
    pixels.forget(gone)
    features.forget(gone)
    with plainly("the photos are deleted, but their names are still in the lists of some training run"):
        for folder in _runs_on(mark):
            evaluation.forget(folder / evaluation.FILE)
            photo_list.forget(folder)
    clear_memory()


def clear_memory() -> None:
    """What this process keeps in memory of photographs."""
    photo_set.clear_cache()
    st.cache_data.clear()  # thumbnails and whatever else was drawn from photographs, whichever page keeps it
    st.cache_resource.clear()


def _runs_on(mark: str) -> Iterator[Path]:
    for run_id in runs.run_ids():
        folder = runs.run_dir(run_id)
        try:
            data = str(runs.read_spec(folder).request.get("data"))
        except PlaygroundError:
            continue  # a damaged run names no photographs
        if mark in data:
            yield folder
