"""A closer look at photographs: how many of what, copies, thumbnails; and in a set of one's own, every edit.

Copies on both sides of the division come first: an accuracy measured on photographs that were trained on is none.
"""

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image, ImageOps

from playground.datasets import collection, duplicates, photos, versions
from playground.datasets.collection import PhotoSet
from playground.datasets.duplicates import Findings, Seen
from playground.datasets.folders import PhotoFolder
from playground.datasets.halves import TRAIN, VALIDATION
from playground.errors import PlaygroundError
from playground.figures import counts, style
from playground.numbers import count, percent
from playground.training.transfer.feature_store import content_digest
from playground.ui import frame, links
from playground.ui.studio import deletion, models, own_set

PAGE = 36
THUMBNAIL = 128
SMALL = 256  # pixels a fingerprint is taken from
UNEVEN = 3
"""So many times the photographs of the smallest class, and the page says so."""
ALL, ACROSS, NEAR, SAME, CLASHING, OUT = (
    "All", "Copies in both halves", "Near-duplicates", "The same file", "In two classes", "Taken out")
_EDITED = "photos-edited"

_HERE = Path(__file__).parent
_grid = st.components.v2.component(
    "photo_grid",
    html=(_HERE / "photo_grid.html").read_text(),
    css=(_HERE / "photo_grid.css").read_text(),
    js=(_HERE / "photo_grid.js").read_text(),
)


@dataclass(frozen=True)
class Shown:
    """A photograph in the view: its key in an own set (its place elsewhere), file, name, and what is compared of it."""

    key: str
    path: Path
    name: str
    seen: Seen
    left_out: str = ""


def behind(path: str, name: str, found: PhotoFolder, own: str | None) -> None:
    """The whole view, behind one line. Nothing of it is computed until somebody opens it."""
    opened = st.expander("Look at the photos", icon=":material/grid_view:", key="photos-view", on_change="rerun")
    if opened.open:
        with opened:
            look(path, name, found, own)


@st.fragment
@frame.guarded("Look at the photos")
def look(path: str, name: str, found: PhotoFolder, own: str | None) -> None:
    """Everything there is to see and, in an own set, to do."""
    if st.session_state.pop(_EDITED, False):
        st.rerun()  # the whole page: counts and settings follow an edit
    chosen = collection.read(own) if own else None
    if chosen is None:
        classes, shown = found.classes, looked_at(path, found)
    else:
        classes = chosen.classes
        shown = [Shown(key, chosen.path(chosen.photos[key]), chosen.photos[key].name, seen)
                 for key, seen in chosen.seen.items()]
    findings = examined(tuple(each.seen for each in shown))
    left, right = st.columns(2, gap="large")
    with left:
        halves_chart(classes, shown)
    with right:
        findings_in_words(classes, shown, findings, chosen)
        if chosen is None:
            st.caption("These photos are looked at, not edited. A copy of them can be: relabelled, cleaned, divided.")
            if st.button("Make it mine to edit", icon=":material/edit:", key="make-mine", disabled=links.locked()):
                own_set.go_to(own_set.copied(Path(path), name))
    thumbnails(classes, shown, findings, chosen)
    if chosen is not None:
        tools(chosen)


@st.cache_resource(max_entries=8, show_spinner="Comparing the photos …")
def looked_at(path: str, _found: PhotoFolder) -> list[Shown]:
    """The photographs of a folder, each opened once more, small, for what it looks like."""
    files = [(file, label, half) for half, part in ((TRAIN, _found.train), (VALIDATION, _found.validation))
             for file, label in part]

    def one(each: tuple[Path, int, str]) -> Shown:
        file, label, half = each
        look_of = duplicates.fingerprint(photos.open_small(file, SMALL))
        return Shown(str(file), file, file.name, Seen(_found.classes[label], half, content_digest(file).hex(), look_of))

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, files))


@st.cache_resource(max_entries=16, show_spinner=False)
def examined(seen: tuple[Seen, ...]) -> Findings:
    """Copies among photographs, found once for the same photographs."""
    return duplicates.examine(seen)


def halves_chart(classes: Sequence[str], shown: Sequence[Shown]) -> None:
    """Photographs of each class, to train on and kept aside."""
    numbers = {half: [sum(each.seen.label == name and each.seen.half == half for each in shown) for name in classes]
               for half in (TRAIN, VALIDATION)}
    st.plotly_chart(counts.counts_per_class(classes, numbers[TRAIN], numbers[VALIDATION]), key="photos-counts",
                    config=style.CONFIG, alt="Photos of each class, to train on and kept aside")


def findings_in_words(classes: Sequence[str], shown: Sequence[Shown], found: Findings, chosen: PhotoSet | None) -> None:
    """What is wrong with the photographs, worst first, each with its remedy where there is one."""
    seen = [each.seen for each in shown]
    aside = [each for each in seen if each.half == VALIDATION]
    across = duplicates.copies_to_leave_out(seen, found.leaking, across=True)
    if across:
        st.error(
            f"**{len(across)} of the {len(aside)} photos kept aside {'has' if len(across) == 1 else 'have'} a copy "
            "among those trained on.** What is measured on them is memory: the accuracy will look better than it is."
            + (" Photos taken in one go are nearly copies: some from another place or day help."
               if any(seen[k].label == label for label in one_burst(seen, found) for k in across) else ""),
            icon=":material/content_copy:",
        )
        remedy(chosen, shown, across, f"Keep only the training copies ({len(across)} go)", "photos-keep-training")
    if found.conflicting:
        names = " and ".join(sorted({seen[k].label for k in found.conflicting[0]}))
        st.error(f"**{len(found.conflicting)} {'photo is' if len(found.conflicting) == 1 else 'photos are'} in two "
                 f"classes**, the very same file: {frame.literal(names)}. One of them is wrong.",
                 icon=":material/rule:")
    unchecked = [name for name in classes if aside and any(each.label == name for each in seen)
                 and not any(each.label == name for each in aside)]
    if unchecked:
        st.warning(f"**No photo of {frame.literal(', '.join(unchecked))} is kept aside.** What the model makes of "
                   f"{'it' if len(unchecked) == 1 else 'them'} is never checked.", icon=":material/rule:")
    plain = [group for group in found.exact if group not in found.conflicting]
    again = duplicates.copies_to_leave_out(seen, plain, across=False)
    if again:
        st.warning(f"**{len(again)} {'file is' if len(again) == 1 else 'files are'} there more than once.** Copies "
                   "count double, that is all.", icon=":material/file_copy:")
        remedy(chosen, shown, again, f"Keep the first of each ({len(again)} go)", "photos-keep-first")
    if (uneven := imbalance(classes, seen)) is not None:
        st.warning(uneven, icon=":material/balance:")
    groups = len(found.near)
    if not across:
        st.success(
            f"{groups} {'group' if groups == 1 else 'groups'} of near-duplicates, and none has photos in both halves."
            if groups else "No copies and no near-duplicates.", icon=":material/check:")


def one_burst(seen: Sequence[Seen], found: Findings) -> set[str]:
    """Classes that are mostly one group of near-duplicates: shots of one thing in one place."""
    return {seen[group[0]].label for group in found.leaking
            if 2 * len(group) > sum(each.label == seen[group[0]].label for each in seen)}


def imbalance(classes: Sequence[str], seen: Sequence[Seen]) -> str | None:
    """How uneven the classes are, in numbers, when they are."""
    numbers = {name: sum(each.label == name for each in seen) for name in classes}
    numbers = {name: number for name, number in numbers.items() if number}
    if len(numbers) < 2:
        return None
    most, least = max(numbers, key=lambda name: numbers[name]), min(numbers, key=lambda name: numbers[name])
    times = numbers[most] / numbers[least]
    if times < UNEVEN:
        return None
    share = numbers[most] / sum(numbers.values())
    return (f"**{frame.literal(most)} has {count(numbers[most])} photos, {frame.literal(least)} "
            f"{count(numbers[least])}: "
            f"{times:.0f} times as many.** Answering {frame.literal(most)} every time would be right for "
            f"{percent(share, 0)}; compare the accuracy with that, and look at each class in the confusion matrix.")


def remedy(chosen: PhotoSet | None, shown: Sequence[Shown], which: list[int], words: str, key: str) -> None:
    """A button that takes photographs out of an own set."""
    if chosen is not None:
        st.button(words, key=key, icon=":material/cleaning_services:", disabled=links.locked(), on_click=take_out,
                  args=(chosen.set_id, [shown[k].key for k in which], "a copy of another photo"))


def take_out(set_id: str, keys: list[str], why: str) -> None:
    """Photographs out of the set, with the reason."""
    st.session_state[_EDITED] = True
    with own_set.answered():
        collection.leave_out(set_id, keys, why)


def thumbnails(classes: Sequence[str], shown: Sequence[Shown], found: Findings, chosen: PhotoSet | None) -> None:
    """The photographs themselves, filtered, a page at a time, to choose from in an own set."""
    out = [] if chosen is None else [
        Shown(key, chosen.path(photo), photo.name, Seen(photo.label, "", photo.digest, b""), photo.left_out)
        for key, photo in chosen.photos.items() if photo.left_out is not None]
    flags = {ACROSS: found.leaking, NEAR: found.near, SAME: found.exact, CLASHING: found.conflicting}
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    with bar:
        # Always the same choices: with others the choice would be lost at every edit.
        flag = st.selectbox("Show", [ALL, *flags, *([OUT] if chosen else [])], key="photos-flag", width=200)
        label = st.selectbox("Class", ["every class", *classes], key="photos-class", width=160)
        half = st.selectbox("Half", ["both", "to train on", "kept aside"], key="photos-half", width=140)
    wanted_half = {"to train on": TRAIN, "kept aside": VALIDATION}.get(half)
    if flag == OUT:
        listed = [("", each) for each in out]
    elif flag in flags:
        listed = [(f"Group {number}: {len(group)} photos", shown[k])
                  for number, group in enumerate(flags[flag], start=1) for k in group]
    else:
        listed = [("", each) for each in sorted(shown, key=lambda each: classes.index(each.seen.label))]
    listed = [(group, each) for group, each in listed
              if (label == "every class" or each.seen.label == label) and wanted_half in (None, each.seen.half)]
    if not listed:
        st.caption("No photo is like that.")
    pages, page = max(1, -(-len(listed) // PAGE)), 1
    with bar:
        if pages > 1:
            page = int(st.number_input(f"Page, of {pages}", 1, pages, key=f"photos-page-{pages}", width=130))
        if chosen is not None:
            own_set.undo_button(chosen, "photos-undo")
    if not listed:
        return
    part = listed[(page - 1) * PAGE : page * PAGE]
    _grid(
        key="photos-grid",
        data={
            "photos": [{"key": each.key if chosen else str(k), "name": each.name, "src": source(each.path),
                        "label": each.seen.label, "half": each.seen.half, "group": group, "note": each.left_out}
                       for k, (group, each) in enumerate(part)],
            "actions": actions(chosen, flag == OUT),
            "stamp": len(chosen.edits) if chosen else 0,
        },
        on_action_change=lambda: act(chosen.set_id if chosen else "", frame.sent("photos-grid", "action")),
    )


def actions(chosen: PhotoSet | None, out: bool) -> list[dict[str, Any]]:
    """What can be done with chosen photographs."""
    if chosen is None or links.locked():
        return []
    if out:
        return [{"do": "put back", "words": "Put back"}]
    return [
        {"do": "take out", "words": "Take out"},
        {"do": "move", "words": "Move to …", "options": [{"value": name, "words": name} for name in chosen.classes]},
        {"do": "half", "words": "Use …", "options": [{"value": TRAIN, "words": "to train on"},
                                                     {"value": VALIDATION, "words": "to check (kept aside)"}]},
    ]


def act(set_id: str, said: object) -> None:
    """Do what the grid asks: {"do": ..., "keys": [...], "to": ...}. A browser may send anything."""
    if not isinstance(said, dict) or links.locked():
        return
    what, keys, to = said.get("do"), said.get("keys"), said.get("to")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or not isinstance(to, str):
        return
    st.session_state[_EDITED] = True
    with own_set.answered():
        if what == "take out":
            collection.leave_out(set_id, keys)
        elif what == "put back":
            collection.put_back(set_id, keys)
        elif what == "move":
            collection.relabel(set_id, keys, to)
        elif what == "half":
            collection.fix_half(set_id, keys, to)


@st.cache_data(max_entries=2048, show_spinner=False)
def source(path: Path) -> str:
    """A photograph as a small square in a data address; nothing where it cannot be read any more."""
    try:
        image = ImageOps.fit(Image.fromarray(photos.open_small(path, 2 * THUMBNAIL)), (THUMBNAIL, THUMBNAIL))
    except PlaygroundError:
        return ""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def tools(chosen: PhotoSet) -> None:
    """Divide again, notes, take along, delete."""
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.popover("Divide again", icon=":material/call_split:", disabled=links.locked()):
            divide_again(chosen)
        with st.popover("Notes", icon=":material/description:", disabled=links.locked()):
            notes(chosen)
        st.download_button(
            "Take along (.zip)", lambda: versions.zipped(collection.read(chosen.set_id)), mime="application/zip",
            file_name=f"{models.tidy(chosen.name)}.zip", icon=":material/download:", on_click="ignore",
            key="photos-download", help="Ordinary folders of photos and a manifest.json. Given here again it is the "
            "same set: classes, halves, notes.")
        with st.popover("Delete …", icon=":material/delete:", disabled=links.locked()):
            delete(chosen)


def divide_again(chosen: PhotoSet) -> None:
    """A seed and a share: which photographs are kept aside."""
    st.markdown("Of each class, this share is kept aside to check on. Near-duplicates stay in the same half.")
    share = st.slider("Kept aside (%)", 5, 50, round(100 * chosen.share), 5, key=f"photos-share-{chosen.share}")
    seed = st.number_input("Seed", 0, 2**31 - 1, chosen.seed, key=f"photos-seed-{chosen.seed}")
    fixed = sum(photo.half is not None for photo in chosen.kept.values())
    if fixed:
        st.caption(f"{count(fixed)} photos are in the half they came in or were put into; this divides them as well.")
    st.button("Divide", key="photos-divide", type="primary", on_click=divide,
              args=(chosen.set_id, int(seed), share / 100))


def divide(set_id: str, seed: int, share: float) -> None:
    """All photographs anew into halves."""
    st.session_state[_EDITED] = True
    with own_set.answered():
        collection.divide_again(set_id, seed, share)


def notes(chosen: PhotoSet) -> None:
    """Name, source, licence: they go into the zip, and into the card of every model that learns from the set."""
    keys = [f"photos-note-{what}-{chosen.set_id[:8]}" for what in ("name", "source", "licence")]
    given = [
        st.text_input("Name", chosen.name, max_chars=collection.LONGEST_NAME, key=keys[0]),
        st.text_input("Where the photos are from", chosen.source, max_chars=collection.LONGEST_NOTE, key=keys[1]),
        st.text_input("Licence: what others may do with them", chosen.licence, max_chars=collection.LONGEST_NOTE,
                      key=keys[2]),
    ]
    st.caption("Written into the zip, and into the card of every model that is trained from now on.")
    st.button("Keep", key="photos-notes", type="primary", on_click=keep_notes, args=(chosen.set_id, *given))


def keep_notes(set_id: str, name: str, where: str, licence: str) -> None:
    """What was typed about the set."""
    st.session_state[_EDITED] = True
    with own_set.answered():
        collection.describe(set_id, name, where, licence)


def delete(chosen: PhotoSet) -> None:
    """What cannot be undone, said before it is done."""
    out = len(chosen.photos) - len(chosen.kept)
    st.markdown(
        f"**{count(out)} photos that were taken out**, and all steps of “Undo”, can be deleted for good: nothing of "
        f"them "
        "stays on this server, in earlier training runs neither."
    )
    st.button("Delete what was taken out", key="photos-forget", on_click=forget, args=(chosen.set_id,))
    st.markdown("**The whole set** can be deleted as well. Models that learnt from it stay; a training run that is "
                "under way fails.")
    if st.button("Delete the set for good", key="photos-delete", type="primary"):
        deletion.remove(chosen.set_id)
        own_set.leave()
        st.rerun()


def forget(set_id: str) -> None:
    """What was taken out is deleted."""
    st.session_state[_EDITED] = True
    with own_set.answered():
        deletion.forget(set_id)
