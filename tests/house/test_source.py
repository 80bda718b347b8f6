"""House rules that hold for every file: documented, no pickle, no machine paths, nothing global
changed by import."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from everywhere import everywhere
from parsed import nodes, tree

import assay

ROOT = Path(__file__).parents[2]
BESIDE = [*(ROOT / "docs/exercises").glob("*.py"), *(ROOT / "referee/src").rglob("[!_]*.py")]
SOURCE = sorted([*(ROOT / "src/assay").rglob("*.py"), *BESIDE])
TEXT = sorted(
    path
    for pattern in (
        "src/**/*.py",
        "src/**/*.html",
        "tests/**/*.py",
        "benchmarks/**/*.py",
        "referee/**/*.py",
        "referee/**/*.md",
        "docs/**/*.py",
        "docs/**/*.md",
        "*.md",
        "*.toml",
        "*.txt",
        "Makefile",
        ".ci/run",
    )
    for path in ROOT.glob(pattern)
    if path.is_file() and path != Path(__file__)
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def public(module: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """The functions and classes that others may use: at the top of a module, or methods of such a
    class."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    part
                    for part in node.body
                    if isinstance(part, ast.FunctionDef) and not part.name.startswith("_")
                )


@everywhere(SOURCE)
def test_public_names_are_documented(path: Path) -> None:
    module = tree(path)
    if not module.body:
        return
    missing = [
        f"line {node.lineno}: {node.name}" for node in public(module) if not ast.get_docstring(node)
    ]
    assert ast.get_docstring(module), f"{name(path)} does not say what it is"
    assert not missing, f"{name(path)}: no docstring on {missing}"


MEASURES = [
    "dictionaries/measuring/metrics",
    "dictionaries/measuring/rarity",
    "dictionaries/measuring/redundancy",
    "dictionaries/measuring/recovery",
]
MEASURES += ["features/statistics"]


@pytest.mark.parametrize("path", [ROOT / f"src/assay/{stem}.py" for stem in MEASURES], ids=name)
def test_metrics_state_their_range_and_which_way_is_better(path: Path) -> None:
    for function in (node for node in tree(path).body if isinstance(node, ast.FunctionDef)):
        gives_numbers = function.returns is not None and re.match(
            r"Float\[|Array", ast.unparse(function.returns)
        )
        if gives_numbers and not function.name.startswith("_"):
            text = ast.get_docstring(function) or ""
            assert re.search(r"^Range: ", text, re.MULTILINE), function.name
            assert re.search(r"^Better: ", text, re.MULTILINE), function.name


def weights_only(call: ast.Call) -> bool:
    """Other libraries' `.pt` files: torch's reader that runs nothing, said in so many words."""
    return any(
        part.arg == "weights_only" and ast.unparse(part.value) == "True" for part in call.keywords
    )


def dotted(node: ast.expr) -> str:
    """A name as it is written, `torch.load` say; of what is no plain name its last part."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@everywhere(SOURCE)
def test_no_pickle_and_nothing_global(path: Path) -> None:
    imported = {
        alias.name for node in nodes(path) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {node.module or "" for node in nodes(path) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"pickle", "dill", "shelve", "marshal", "joblib", "cloudpickle"}
    calls = {
        dotted(node.func)
        for node in nodes(path)
        if isinstance(node, ast.Call) and not weights_only(node)
    }
    assert not calls & {
        "torch.load",
        "torch.save",
        "torch.manual_seed",
        "torch.set_default_dtype",
        "np.random.seed",
        "random.seed",
    }
    if (
        "lab" not in path.parts
    ):  # a worker process owns its thread count; nobody else's import may change it
        assert "torch.set_num_threads" not in calls
    assert not any(
        keyword.arg == "allow_pickle"
        for node in nodes(path)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
    )


@everywhere(TEXT)
def test_no_machine_paths(path: Path) -> None:
    found = re.findall(
        r"(?<![\w.~$}>])/(?:work|home|opt|root|mnt|Users|tmp|var)/[\w./-]*|[A-Z]:\\\\",
        path.read_text(),
    )
    assert not found, f"{name(path)} names places of one machine: {found}"


LONGEST, LARGEST = 60, 250
"""Lines of a function without its docstring, and of a class, at most."""


def documentation(node: ast.FunctionDef) -> int:
    """Lines of a function's docstring."""
    first = node.body[0]
    return first.end_lineno - first.lineno + 1 if ast.get_docstring(node) else 0


def test_no_function_and_no_class_is_longer_than_a_reader_can_hold() -> None:
    longer = set()
    for path in (path for path in SOURCE if ROOT / "src/assay" in path.parents):
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                excess = node.end_lineno - node.lineno + 1 - documentation(node) - LONGEST
            elif isinstance(node, ast.ClassDef):
                excess = node.end_lineno - node.lineno + 1 - LARGEST
            else:
                continue
            if excess > 0:
                place = path.relative_to(ROOT / "src/assay").as_posix()
                longer.add(f"{place}:{node.name}")
    assert not longer, "split it into steps with names"


def test_files_are_named_after_what_they_hold() -> None:
    vague = {
        "utils",
        "util",
        "helpers",
        "helper",
        "common",
        "misc",
        "base",
        "manager",
        "handler",
        "processor",
    }
    assert not [name(path) for path in SOURCE if path.stem in vague]


def test_the_device_names_nothing_outside_it() -> None:
    """Neither by an import nor in a text: what other distributions have is found by entry points."""  # noqa: E501
    outside = re.compile(r"assay_catalogue|assay_vectors|assay\.(?:experiments|worlds|circuits)\b")
    files = [p for p in (ROOT / "src/assay").rglob("*") if p.suffix in (".py", ".html", ".js")]
    allowed = {'"assay.experiments"'}  # the group of entry points
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if outside.search(line) and not any(text in line for text in allowed)
    ]
    assert not [line for line in found if "`assay.experiments`" not in line]


@everywhere(
    ".".join(path.parent.relative_to(ROOT / "src").parts)
    for path in SOURCE
    if path.name == "__init__.py"
)
def test_exported_names_exist(package: str) -> None:
    module = importlib.import_module(package)
    for exported in getattr(module, "__all__", ()):
        assert getattr(module, exported, None) is not None, f"{package}.{exported}"


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="Claim"):
        assay.Clam  # noqa: B018
