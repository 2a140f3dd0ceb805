"""Who may import whom. What is not named here is not allowed."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A file follows the longest row that matches its path. Standard library is always allowed; "here" is the file's own
# package. torch and onnx are heavy: only the packages that need them may name them.
ALLOWED: dict[str, set[str]] = {
    "engine": {"numpy", "engine"},
    "playground/home.py": {"playground.errors"},
    "playground/model_names.py": {"playground.home", "playground.errors"},
    "playground/classroom": {"here", "playground.training", "playground.deploy", "playground.datasets",
                             "playground.home", "playground.model_names", "playground.errors", "playground.numbers"},
    "playground/classroom/collecting.py": {"PIL"},
    "playground/errors.py": set(),
    "playground/numbers.py": set(),
    "playground/questions.py": {"playground.errors"},
    "playground/network": {"here", "numpy", "engine", "playground.errors", "playground.numbers"},
    "playground/network/build.py": {"torch"},  # inside the function that makes torch's module
    "playground/steps": {"here", "numpy", "playground.errors", "playground.numbers"},
    "playground/steps/descent.py": {"engine"},
    "playground/steps/autograd.py": {"engine"},  # so is the walk back over its tape
    "playground/figures": {"here", "numpy", "plotly", "playground.errors", "playground.numbers"},
    "playground/figures/features.py": {"PIL"},
    "playground/datasets": {"here", "numpy", "PIL", "skimage", "sklearn", "pooch", "playground.home",
                            "playground.errors", "playground.numbers"},
    "playground/training": {"here", "numpy", "safetensors", "engine", "playground.network",
                            "playground.datasets", "playground.home",
                            "playground.model_names", "playground.errors", "playground.numbers"},
    "playground/training/scratch/experiments.py": {"PIL"},
    "playground/training/scratch/torch_*": {"torch"},
    "playground/training/scratch/torch_steps.py": {"playground.questions"},
    "playground/training/scratch/timing.py": {"playground.questions"},
    "playground/training/cluster/attempt.py": {"ray"},  # inside its functions: an extra (requirements-cluster.txt)
    "playground/training/cluster/ray_driver.py": {"ray", "playground.jobs"},
    "playground/training/cluster/on_node.py": {"playground.jobs"},  # the worker on a node
    "playground/training/transfer/pixels.py": {"PIL"},
    "playground/training/transfer": {"here", "numpy", "safetensors", "torch", "playground.datasets", "playground.home",
                                     "playground.model_names", "playground.errors", "playground.numbers"},
    "playground/training/transfer/frozen.py": {"onnx", "onnxruntime"},
    "playground/training/transfer/distributed.py": {"playground.jobs"},  # the worker of several processes
    "playground/deploy": {"here", "numpy", "onnx", "onnxruntime", "playground.datasets", "playground.home",
                          "playground.model_names", "playground.errors", "playground.numbers"},
    "playground/deploy/evaluation.py": {"sklearn"},
    "playground/deploy/companions.py": {"playground.browser"},
    "playground/deploy/take_home": {"numpy", "PIL", "onnxruntime", "picture"},  # goes home with a model, as it is
    "playground/deploy/engine_*": {"engine"},
    "playground/deploy/torch_*": {"torch", "onnxscript"},
    "playground/view": {"here", "numpy", "engine", "playground.network", "playground.datasets", "playground.deploy",
                        "playground.training", "playground.figures", "playground.home", "playground.errors",
                        "playground.numbers"},
    "playground/view/sources.py": {"onnx"},
    "playground/view/asks/onnx_number.py": {"onnx", "onnxruntime"},
    "playground/view/asks/torch_number.py": {"torch", "playground.questions"},  # a process of its own
    "playground/inspection": {"here", "numpy", "onnx", "onnxruntime", "engine", "playground.deploy",
                              "playground.datasets", "playground.home", "playground.errors", "playground.numbers"},
    "playground/browser": {"here", "playground.home"},
    "playground/browser/fetching.py": {"playground.datasets", "playground.errors"},
    "playground/jobs.py": {"numpy", "playground.training", "playground.deploy",
                            "playground.datasets", "playground.home", "playground.model_names",
                           "playground.errors", "playground.numbers"},
    "playground/adopting.py": {"playground.inspection", "playground.training", "playground.errors"},
    "playground/verifying.py": {"numpy", "playground.jobs", "playground.training", "playground.deploy",
                                "playground.datasets", "playground.home", "playground.errors"},
    "playground/__main__.py": {"playground.commands"},
    "playground/commands": {"playground"},
    "playground/commands/serve.py": {"segno"},
    "playground/commands/files.py": {"numpy"},  # inside the functions, as all commands import
    "playground/__init__.py": set(),
    "playground/steps/torch_gradient.py": {"torch", "playground.questions"},
    "playground/app.py": {"streamlit", "playground.server", "playground.ui", "playground.errors", "playground.numbers"},
    "playground/server": {"here", "starlette", "playground.view", "playground.home", "playground.errors"},
    "playground/server/headers.py": {"playground.browser"},
    "playground/server/workspaces.py": {"playground.classroom"},
    "playground/server/class_state.py": {"playground.classroom"},
    "playground/server/discreet.py": {"playground.datasets.photos"},
    "playground/server/models.py": {"playground.datasets.picture"},
    "playground/server/inference.py": {"playground.datasets", "playground.deploy"},
    "playground/server/runtime.py": {"playground.browser"},
    "playground/ui": {"here", "numpy", "PIL", "streamlit", "plotly", "engine", "playground.steps",
                      "playground.figures", "playground.datasets", "playground.training", "playground.deploy",
                      "playground.jobs", "playground.verifying", "playground.adopting", "playground.home",
                      "playground.model_names", "playground.network", "playground.view", "playground.classroom",
                      "segno", "playground.inspection", "playground.browser", "playground.errors",
                      "playground.numbers"},
    "playground/ui/network/view/__init__.py": {"rjsmin"},
    "playground/ui/parts": {"numpy", "PIL", "streamlit", "plotly", "playground.ui.parts", "playground.ui.frame",
                            "playground.ui.links", "playground.browser", "playground.steps", "playground.figures",
                            "playground.datasets", "playground.home", "playground.errors", "playground.numbers"},
    "playground/ui/parts/lesson.py": {"playground.ui.classroom.counting"},
    "pages": {"streamlit", "playground.ui"},
}

# Modules that pull torch in: no page may reach them while it opens, so ui may not name them at module level.
TORCH_FREE = ("backbone_facts", "feature_store", "imported", "parameters", "photo_list", "pixels", "recipe")
TORCH = (*(f"playground.training.transfer.{file.stem}" for file in (ROOT / "playground/training/transfer").glob("*.py")
           if file.stem not in TORCH_FREE), "playground.training.scratch.torch_", "playground.deploy.torch_",
         "playground.view.asks.torch_")


def rows_for(path: str) -> list[str]:
    """The rows that speak of a file: its folder's (the longest) and, added to it, a row with a pattern of its name."""
    plain = [row for row in ALLOWED if "*" not in row and (path == row or path.startswith(row + "/"))]
    patterns = [row for row in ALLOWED if "*" in row and path.startswith(row.rstrip("*"))]
    files = [row for row in plain if row.endswith(".py")]
    folders = sorted((row for row in plain if not row.endswith(".py")), key=len)[-1:]
    return folders + files + patterns


def imported(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Every module a file imports: (dotted name, line, whether at module level)."""
    tree = ast.parse(path.read_text())
    inside = {id(node) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
              for node in ast.walk(function)}
    package = ".".join(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = f"{package}.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield name, node.lineno, id(node) not in inside


def within(name: str, allowed: str) -> bool:
    return name == allowed or name.startswith(allowed + ".")


def breaches(path: Path) -> list[str]:
    where = str(path.relative_to(ROOT))
    rows = rows_for(where)
    if not rows:
        return [f"{where}: no row of the allow-list speaks of this file"]
    allowed = set().union(*(ALLOWED[row] for row in rows))
    if "here" in allowed:
        allowed.add(".".join(path.relative_to(ROOT).parts[:2]).removesuffix(".py"))
    found = []
    for name, line, at_module_level in imported(path):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names:
            continue
        if not any(within(name, one) for one in allowed):
            found.append(f"{where}:{line} imports {name}")
        elif top == "torch" and where.startswith("playground/training/transfer") and path.stem in TORCH_FREE:
            found.append(f"{where}:{line} imports {name}, and pages read it")
        elif where.startswith("playground/ui") and at_module_level and name.startswith(TORCH):
            found.append(f"{where}:{line} makes a page wait for torch by importing {name}")
    return found


FILES = sorted(p for folder in ("engine", "playground", "pages") for p in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_what_its_package_may(path: Path) -> None:
    assert breaches(path) == []


def test_the_allow_list_catches_a_planted_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = tmp_path / "engine" / "ops" / "planted.py"
    planted.parent.mkdir(parents=True)
    planted.write_text("import numpy\n\ndef f():\n    from torch import nn\n    return nn\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert breaches(planted) == ["engine/ops/planted.py:4 imports torch.nn"]


def test_every_row_of_the_allow_list_speaks_of_something() -> None:
    names = [str(path.relative_to(ROOT)) for path in FILES]
    assert [row for row in ALLOWED if not any(name.startswith(row.rstrip("*")) for name in names)] == []
