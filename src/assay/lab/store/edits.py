"""Edits: whether the file that made a stored run still says the same.

Each run notes a hash of its experiment's own file, or of all files of its folder, and of the
neighbours that these import. A run of a user's experiment counts while that hash is the same; after
any other edit it is made anew. Comments, docstrings and layout do not count, nor does what claims,
arms and the experiment are given that neither trains nor measures: thresholds, presets, the scope.
Experiments of installed packages go by the `version` and `measured` that they declare."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import os
import sys
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from assay.core import syntax
from assay.core.experiment import Experiment, Joint
from assay.lab.store import origin
from assay.lab.store.runs import Stored

USED: Mapping[str, Collection[str | None]] = {
    "Experiment": ("arms", "measure", "inputs", "version", "measured", None),
    "Arm": ("train", "after", "measure", None),
    **dict.fromkeys(("Claim", "Exact", "Estimate", "Finding"), ()),
}
"""Of which calls only some arguments train or measure, and which; None stands for `**more`. What
else an arm is given is in the keys of its runs, or judges."""
POSITIONAL = {"Experiment": 2, "Arm": 1}
"""How many arguments without a name are among them."""
PREFIX = "assay_file_"
"""How the names of modules begin that were loaded from a user's file."""


class Text(NamedTuple):
    """What an experiment's files say."""

    code: str
    """16 hex digits of its own files as they are: all that older versions noted."""
    trains: str
    """16 hex digits of what trains and measures in them and in their neighbours."""
    is_alone: bool
    """Whether they import no neighbour."""
    binds: bool
    """Whether an edit makes stored runs unusable: of a user's own files."""

    def made(self, run: Stored) -> bool:
        """Whether this text made a run."""
        noted, code = run.provenance.get("text"), run.provenance.get("code")
        return noted == self.trains or (code == self.code and (noted is None or self.is_alone))


def read(experiment: Experiment) -> Text:
    """Read what an experiment's files say now."""
    user = _user_files(experiment)
    own, near = user or origin.files(experiment.origin), _neighbours(user)
    code = origin.code(experiment.origin) if experiment.origin else ""
    return Text(code, _digest([*own, *near]), not near, bool(user))


def frozen(experiment: Experiment) -> str:
    """16 hex digits of all that a user's files say, claims included, but for comments, docstrings
    and layout; "" for an experiment of a package."""
    user = _user_files(experiment)
    return _digest([*user, *_neighbours(user)], whole=True)


def compared(experiment: Experiment, inputs: Mapping[str, str]) -> dict[str, str]:
    """Leave out of what a run read the text of its own file, which is compared by itself."""
    has_file = experiment.origin.endswith(".py")
    return {k: v for k, v in inputs.items() if not (has_file and k.startswith("text of "))}


def of_function(function: Callable[..., Any]) -> str:
    """16 hex digits of what trains and measures in a function's file; where there is no file, as in
    a notebook, of the function alone."""
    path = Path(function.__code__.co_filename)
    if path.is_file():
        return _digest([path.resolve(), *_neighbours([path.resolve()])])
    tree = syntax.module(textwrap.dedent(inspect.getsource(function)))
    return _hash([ast.unparse(_without_judging(tree))])


# files --------------------------------------------------------------------------------------------


def _user_files(experiment: Experiment) -> list[Path]:
    """The files of a user's experiment; of a study those of the experiments whose arms it has."""
    if experiment.origin.endswith(".py"):
        return origin.files(experiment.origin)
    if not experiment.origin.endswith(origin.STUDIES):
        return []
    trained = [arm.train for arm in experiment.arms.values() if arm.train is not None]
    functions = [f.train if isinstance(f, Joint) else f for f in trained]
    names = {_module(f).partition(".")[0] for f in functions}
    modules = [sys.modules[name] for name in sorted(names) if name.startswith(PREFIX)]
    return [file for module in modules for file in origin.files(str(module.__file__))]


def _module(function: Any) -> str:
    """The name of the module in which a function was written."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(inspect.unwrap(function), "__module__", ""))


def _neighbours(own: Sequence[Path]) -> list[Path]:
    """The files next to these that they import, directly or not."""
    if not own:
        return []
    root = origin.parent_folder(min(own, key=lambda path: len(path.parts)).resolve())
    known = [path.resolve() for path in own]
    for path in known:  # it grows while it is read
        known += [p for p in _imported(root, path, *_state(path)) if p not in known]
    return known[len(own) :]


@functools.lru_cache(maxsize=512)
def _imported(root: Path, path: Path, *state: int) -> list[Path]:
    """The files below a folder that a file imports."""
    found: dict[Path, None] = {}
    for node in ast.walk(_tree(path)):
        names = [alias.name for alias in getattr(node, "names", ()) if isinstance(alias, ast.alias)]
        base = root
        if isinstance(node, ast.ImportFrom):
            base = path.parents[node.level - 1] if node.level else root
            module = f"{node.module}." if node.module else ""
            names = [*([node.module] if node.module else []), *(module + name for name in names)]
        dotted = [name.split(".") for name in names]
        for place in (base.joinpath(*d[: i + 1]) for d in dotted for i in range(len(d))):
            for file in (place.with_name(f"{place.name}.py"), place / origin.OPENS):
                if root in file.parents and "site-packages" not in file.parts and file.is_file():
                    found[file] = None
    return list(found)


def _state(path: Path) -> tuple[int, int]:
    """When a file was written, in nanoseconds, and its size."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _tree(path: Path) -> ast.Module:
    """What a file says; nothing where it is no Python, which cannot have been loaded either."""
    try:
        return syntax.module(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


# what they say ------------------------------------------------------------------------------------


def _digest(paths: Sequence[Path], *, whole: bool = False) -> str:
    """16 hex digits of what files say, with what judges in them or without; "" where there are
    none, or one is gone."""
    try:
        return _said(tuple((path, *_state(path)) for path in paths), whole) if paths else ""
    except OSError:
        return ""


@functools.lru_cache(maxsize=64)  # a worker asks for each group
def _said(states: tuple[tuple[Path, int, int], ...], whole: bool) -> str:
    trees = [_tree(path) for path, *_ in states]
    trees = [_bare(tree) if whole else _without_judging(tree) for tree in trees]
    top = os.path.commonpath([path.parent for path, *_ in states])
    names = (path.relative_to(top).as_posix() for path, *_ in states)
    return _hash(f"{name}\n{ast.unparse(t)}" for name, t in zip(names, trees, strict=True))


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode(errors="surrogatepass")).hexdigest()[:16]


class _Docstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)


def _bare(tree: ast.Module) -> ast.Module:
    """Leave out docstrings; comments and layout are in no tree."""
    return _Docstrings().visit(tree)  # type: ignore[no-any-return]


def _without_judging(tree: ast.Module) -> ast.Module:
    """Leave out what only judges as well: the arguments of Assay's own calls that are about claims,
    presets and figures, and what `measured` is given, which is in the keys of runs."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "assay":
            known |= {alias.asname or alias.name: alias.name for alias in node.names}
    arms = {"assay.Arm", *(name for name, original in known.items() if original == "Arm")}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list = [d for d in node.decorator_list if not syntax.is_measured(d)]
        if not isinstance(node, ast.Call):
            continue
        function, name = node.func, known.get(getattr(node.func, "id", ""), "")
        if isinstance(function, ast.Attribute) and ast.unparse(function.value) == "assay":
            name = function.attr
        if name in USED:
            node.args = node.args[: POSITIONAL.get(name, 0)]
            node.keywords = [k for k in node.keywords if k.arg in USED[name]]
    for node in (node for node in ast.walk(tree) if isinstance(node, ast.Dict)):
        # of arms that all train alike, their names and specs are in the keys of runs
        values = {ast.unparse(v): v for v in node.values}
        trained = {text: v for text, v in values.items() if text.removesuffix("()") not in arms}
        if len(trained) == 1 and next(iter(trained)).partition("(")[0] in arms:
            node.keys, node.values = [None], [*trained.values()]
    return _bare(tree)
