"""What a model may be called, and whether one is called that already: asked by training and by the registry alike.

Some models come with the playground (`exports/` of the repository, see `SHIPPED`). They are listed wherever
PLAYGROUND_HOME points, they cannot be removed or replaced, and so their names are never free. Each is made by the
command line: with its folder away, `python -m playground train --seed 0 --name digits-example` makes it anew.
"""

import re
from pathlib import Path

from playground import home
from playground.errors import PlaygroundError

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")  # no leading dash: a name is also a command's argument
LONGEST = 60
SHIPPED = ("digits-example",)
PUBLISHED = "class-"
"""What the names of models begin with that a teacher published to his class: nobody else's do."""
_NUMBERED = re.compile(r"(.+?)-(\d{1,3})")


def check(name: str) -> None:
    """Raises PlaygroundError when a model cannot be called that."""
    if not NAME.fullmatch(name):
        raise PlaygroundError(f"A model cannot be called {name!r}: use up to {LONGEST} of a-z, 0-9, - and _, a letter "
                              "or digit first.")
    if name.startswith(PUBLISHED) and home.shared() != home.home():
        raise PlaygroundError(f"Names that begin with {PUBLISHED} are the teacher's to give to all: choose "
                              "another.")


def shipped(name: str) -> Path | None:
    """The folder of a model that comes with the playground; None when it is none of them, or is not here."""
    folder = home.REPOSITORY / "exports" / name
    return folder if name in SHIPPED and folder.is_dir() else None


def published() -> list[Path]:
    """The folders of the models that all workspaces of a class have in common."""
    folder = home.shared() / "exports"
    if home.shared() == home.home() or not folder.is_dir():
        return []
    return sorted(one for one in folder.iterdir() if NAME.fullmatch(one.name) and one.is_dir())


def given(name: str) -> Path | None:
    """The folder of a model that cannot be replaced or removed here: it comes with the playground, or is the class's.
    None when it is none of them."""
    return shipped(name) or next((one for one in published() if one.name == name), None)


def exists(name: str) -> bool:
    """Whether a model of that name is in the registry, damaged or not, or is `given`."""
    return given(name) is not None or (home.home() / "exports" / name).exists()


def made_by(name: str) -> str | None:
    """The id of the run that made the model of that name, where its card says so."""
    try:
        card = home.read_json(home.home() / "exports" / name / "card.json")
    except (OSError, ValueError):
        return None
    training = card.get("training") if isinstance(card, dict) else None
    run = training.get("run") if isinstance(training, dict) else None
    return run if isinstance(run, str) else None


def taken(name: str) -> PlaygroundError:
    """The sentence for who asks for a name that a model has."""
    if shipped(name):
        return PlaygroundError(f"The model {name} comes with the playground and stays as it is: choose another name.")
    if given(name):
        return PlaygroundError(f"The model {name} is the class's and stays as it is: choose another name.")
    return PlaygroundError(f"There is already a model called {name}: choose another name or remove it "
                           "first.")


def following(name: str) -> str:
    """The next name to try when one is taken.

    >>> following("digits"), following("digits-2"), following("run-2024"), following("x" * 60)[-4:]
    ('digits-2', 'digits-3', 'run-2024-2', 'xx-2')
    """
    found = _NUMBERED.fullmatch(name)
    stem, number = (found[1], int(found[2])) if found else (name, 1)
    end = f"-{number + 1}"
    return stem[:LONGEST - len(end)] + end
