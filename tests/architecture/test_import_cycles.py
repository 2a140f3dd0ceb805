"""No two modules import each other, directly or through others, while they load."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Pairs (importer, imported) that close a circle and may: name -> why.
ALLOWED = {
    ("engine.tape", "engine.core"): "for type checkers only: the walk back reads the Tensors that call it",
}


def modules(root: Path) -> dict[str, Path]:
    """Dotted name -> file."""
    files = [path for folder in ("engine", "playground") for path in (root / folder).rglob("*.py")]
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def loaded_with(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run when the module does, in blocks too, but not in functions; those for type checkers too."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for block in ("body", "orelse", "finalbody"):
                yield from loaded_with(getattr(node, block, []))
            for handler in getattr(node, "handlers", []):
                yield from loaded_with(handler.body)


def imports(root: Path) -> dict[str, set[str]]:
    """Module -> the modules it imports while it loads. A package's own __init__ is not counted as imported by what is
    in it: Python loads it first whoever asks.
    """
    files = modules(root)
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        found = graph[name] = set()
        for node in loaded_with(ast.parse(path.read_text()).body):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
                continue
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {one if (one := f"{base}.{alias.name}") in files else base for alias in node.names}
        found &= files.keys() - {name}
    return graph


def circles(graph: dict[str, set[str]]) -> list[str]:
    """One circle "a -> b -> a" for every import that leads back to where the search came from."""
    found: list[str] = []
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            found.append(" -> ".join([*way[way.index(name):], name]))
        elif name not in done:
            for other in sorted(graph[name]):
                visit(other, [*way, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found


def test_no_module_imports_what_imports_it() -> None:
    graph = imports(ROOT)
    for importer, imported in ALLOWED:
        graph[importer].discard(imported)
    assert circles(graph) == []


def test_every_allowed_import_still_closes_a_circle() -> None:
    graph = imports(ROOT)
    for importer, imported in ALLOWED:
        others = {pair for pair in ALLOWED if pair != (importer, imported)}
        rest = {name: {one for one in found if (name, one) not in others} for name, found in graph.items()}
        assert any(f"{importer} -> {imported}" in circle for circle in circles(rest)), (importer, imported)


def test_a_planted_circle_is_seen(tmp_path: Path) -> None:
    texts = {
        "engine/__init__.py": "from engine import a\n",
        "engine/a.py": "import numpy\nfrom engine.sub import b\n",
        "engine/sub/__init__.py": "",
        "engine/sub/b.py": "try:\n    from ..c import thing\nexcept ImportError:\n    pass\n",
        "engine/c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import engine.a\n",
        "playground/d.py": "def late():\n    from playground import e\n",
        "playground/e.py": "from playground.d import late\n",
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert circles(imports(tmp_path)) == ["engine.a -> engine.sub.b -> engine.c -> engine.a"]
