"""Every example in the engine's docstrings runs (those of ops are asked in test_ops.py: doctest does not find them)."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "engine").rglob("*.py"))


@pytest.mark.parametrize("name", [name.removesuffix(".__init__") for name in MODULES])
def test_the_examples_of_a_module_run(name):
    module = importlib.import_module(name)
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    names = {"np": importlib.import_module("numpy")}
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs=names):
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("name", MODULES)
def test_public_things_say_what_they_are(name):
    module = importlib.import_module(name.removesuffix(".__init__"))
    assert module.__doc__
    mute = [key for key, value in vars(module).items() if not key.startswith("_") and callable(value)
            and getattr(value, "__module__", None) == module.__name__ and not getattr(value, "__doc__", None)]
    assert mute == []
