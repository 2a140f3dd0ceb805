"""Pages arrange and do nothing else; nowhere are a person's bytes run or trusted."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "pages").glob("*.py"))
CODE = sorted(p for folder in ("engine", "playground", "pages") for p in (ROOT / folder).rglob("*.py"))
NOT_ARRANGEMENT = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.Try,
                   ast.BinOp, ast.AugAssign, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_a_page_only_arranges(path: Path) -> None:
    source = path.read_text()
    assert re.fullmatch(r"\d\d_[a-z_]+\.py", path.name)
    assert len(source.splitlines()) <= 45, "a page wants a module in playground/ui"
    found = [f"line {node.lineno}: {type(node).__name__}" for node in ast.walk(ast.parse(source))
             if isinstance(node, NOT_ARRANGEMENT)]
    assert found == []


def calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def unsafe(source: str) -> list[str]:
    """What in a source text could run or trust a person's bytes."""
    tree = ast.parse(source)
    found = []
    for name, call in calls(tree):
        words = {k.arg: ast.unparse(k.value) for k in call.keywords}
        if name in ("exec", "eval", "os.system") or words.get("shell") == "True":
            found.append(f"line {call.lineno}: {name}")
        if name == "torch.load" and words.get("weights_only") != "True":
            found.append(f"line {call.lineno}: torch.load without weights_only=True")
        if name in ("np.load", "numpy.load") and words.get("allow_pickle", "False") != "False":
            found.append(f"line {call.lineno}: np.load with pickles")
        if words.get("unsafe_allow_html") == "True":
            html = call.args[0] if call.args else None
            if not (isinstance(html, ast.Constant) or (isinstance(html, ast.Name) and html.id.isupper())):
                found.append(f"line {call.lineno}: unsafe_allow_html with something that is not a constant")
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else \
            [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"line {node.lineno}: imports {n}" for n in names
                  if n.split(".")[0] in ("pickle", "dill", "joblib", "shelve", "marshal")]
        if isinstance(node, ast.ExceptHandler) and len(node.body) == 1 and isinstance(node.body[0], ast.Pass) \
                and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")):
            found.append(f"line {node.lineno}: an error swallowed without a word")
    return found


@pytest.mark.parametrize("path", CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_runs_or_trusts_a_persons_bytes(path: Path) -> None:
    assert unsafe(path.read_text()) == []


@pytest.mark.parametrize("planted", [
    "exec(text)", "torch.load(path)", "torch.load(path, weights_only=False)", "import pickle",
    "from joblib import load", "st.markdown(name, unsafe_allow_html=True)", "st.html(x, unsafe_allow_html=True)",
    "subprocess.run(text, shell=True)", "try:\n    f()\nexcept Exception:\n    pass",
])
def test_the_guard_sees_a_planted_danger(planted: str) -> None:
    assert unsafe(planted)


def test_no_module_is_named_for_nothing_in_particular() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    assert [p for p in CODE if vague & {p.stem, *p.relative_to(ROOT).parts}] == []


def test_the_readmes_commands_are_the_makefiles() -> None:
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"^\s*make ([a-z]+)", readme, flags=re.MULTILINE))
    assert {"app", "test"} <= named
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in named)
    assert "make test" in (ROOT / ".ci/run").read_text()


def test_every_relative_link_of_the_readme_leads_somewhere() -> None:
    for document in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text()):
            assert (ROOT / target).exists(), f"{document} links to {target}"


def without_words(source: str) -> list[str]:
    """Pictures of a source text that a screen reader would pass over in silence."""
    return [f"line {call.lineno}: {name}" for name, call in calls(ast.parse(source))
            if name.split(".")[-1] in ("image", "plotly_chart", "chart") and len(call.args) > 0
            and (name.startswith(("st.", "chart")) or name.endswith((".image", ".plotly_chart")))
            and "alt" not in {k.arg for k in call.keywords}]


@pytest.mark.parametrize("path", sorted((ROOT / "playground/ui").rglob("*.py")), ids=lambda p: p.name)
def test_every_picture_and_chart_has_an_alternative_text(path: Path) -> None:
    assert without_words(path.read_text()) == []


@pytest.mark.parametrize("planted", ["st.image(x, 'c')", "left.image(x)", "st.plotly_chart(f)", "chart(f, key='k')"])
def test_the_guard_sees_a_picture_without_words(planted: str) -> None:
    assert without_words(planted)
