"""Edits: the text that trains and the text that measures each arm, by hash, so that no number
outlives an edit of what made it.

Text is what a function says, and every function, class and constant that it names in the
experiment's own files and their neighbours. Comments, docstrings, layout, claims, figures and other
arms do not belong to it."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import inspect
import symtable
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CellType, CodeType
from typing import Any, NamedTuple, TypeVar

from assay.core import syntax
from assay.core.experiment import Experiment, Joint
from assay.lab.store import origin
from assay.lab.store.store import Stored

T = TypeVar("T")


class Texts(NamedTuple):
    """What trains an arm and what measures it: {name: 8 hex digits} of each function, class or
    constant."""

    train: Mapping[str, str]
    measure: Mapping[str, str]


def texts(experiment: Experiment) -> dict[str, Texts]:
    """Read the texts of every arm that trains; none where the experiment lies in no file, or one
    that cannot be read."""
    if (memory := _last.get(experiment.origin)) is not None and memory.of is experiment:
        with contextlib.suppress(OSError):  # a worker asks once a group
            if all(_state(path) == state for path, state in memory.states.items()):
                return memory.texts
    files = dict[Path, _File]()

    def read(reading: _Reading) -> dict[str, Texts]:
        measure = reading.of(experiment.measure)
        texts_by_arm = {}
        for name, arm in experiment.arms.items():
            if arm.train is None:
                continue
            train: dict[str, str] = {}
            chain: list[str] = []
            before: str | None = name
            # an arm is also trained by what it builds on
            while before is not None and before not in chain:
                chain.append(before)
                function = experiment.arms[before].train
                train |= reading.of(function.train if isinstance(function, Joint) else function)
                before = experiment.arms[before].after
            texts_by_arm[name] = Texts(train, reading.of(arm.measure) if arm.measure else measure)
        files.update(reading.files)
        return texts_by_arm

    found = _read(experiment, read)
    if files:
        states = {path: file.state for path, file in files.items()}
        _last[experiment.origin] = _Memory(experiment, states, found)
    return found


def read_function(function: Callable[..., Any]) -> dict[str, str]:
    """Read the text of a function and of all that it names beside its file; of one that lies in no
    file, as in a notebook, its own text alone."""
    path = Path(function.__code__.co_filename)
    if path.is_file() and (path := path.resolve()):
        return _Reading(path.parent).of(function)
    tree = syntax.module(textwrap.dedent(inspect.getsource(function)))
    return {function.__name__: _File(path, (), {}, {}, (), (0, 0)).said(tree.body[0])[0]}


def read_judging_texts(experiment: Experiment, functions: Sequence[Any]) -> dict[str, str]:
    """Read the texts of functions that judge, such as a claim's value; none where the experiment
    lies in no file that can be read."""
    return _read(experiment, lambda reading: reading.of(*functions))


def _read(experiment: Experiment, read: Callable[[_Reading], dict[str, T]]) -> dict[str, T]:
    files = origin.files(experiment.origin)
    if not files:
        return {}
    try:
        first = min(files, key=lambda path: len(path.parts))
        return read(_Reading(origin.parent_folder(first.resolve())))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return {}


def edited(stored: Stored, current_texts: Texts | None) -> tuple[str, str] | None:
    """("train" or "measure", the names of what was edited since a run was stored); None where
    nothing was, or no text was noted then."""
    stored_texts = stored.provenance.get("texts")
    if current_texts is None or not isinstance(stored_texts, dict):
        return None
    for what, new in zip(Texts._fields, current_texts, strict=True):
        old = stored_texts.get(what)
        if isinstance(old, dict) and old != new:
            return what, ", ".join(
                sorted(n for n in old.keys() | new.keys() if old.get(n) != new.get(n))
            )
    return None


def binding(experiment: Experiment) -> bool:
    """Whether an edit makes stored runs unusable: in a user's file. Of the catalogue's, `version`,
    records and tests keep watch."""
    return origin.in_file(experiment.origin) or not experiment.origin


@dataclass(frozen=True)
class _File:
    """The top level of one file: which statements give a name its meaning, and which names stand
    for other files' names."""

    path: Path
    body: tuple[ast.stmt, ...]
    given: Mapping[str, tuple[ast.stmt, ...]]
    imported: Mapping[str, tuple[Path, str]]
    """Name → the file it comes from, and its name there; "" for the whole file."""
    whole: tuple[Path, ...]
    """Files all of whose names were imported."""
    state: tuple[int, int]
    """When it was written, in nanoseconds, and its size."""
    _said: dict[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict, compare=False)

    @functools.cached_property
    def lambdas(self) -> tuple[ast.Lambda, ...]:
        """Every lambda in it."""
        return tuple(n for s in self.body for n in ast.walk(s) if isinstance(n, ast.Lambda))

    def said(self, node: ast.AST) -> tuple[str, tuple[str, ...]]:
        """8 hex digits of what one of its statements or lambdas says, and the names that it takes
        from the top level, sorted."""
        if id(node) not in self._said:  # the tree lives as long as this does
            function = _without_settings(node)
            digest = hashlib.sha256(ast.dump(_bare(function)).encode()).hexdigest()[:8]
            self._said[id(node)] = digest, tuple(sorted(_asked_of_the_file(function)))
        return self._said[id(node)]


@dataclass
class _Reading:
    """One look at the files under a folder. Libraries lie elsewhere, and their versions say what
    they are."""

    root: Path
    files: dict[Path, _File] = field(default_factory=dict)
    _passed: set[int] = field(default_factory=set)
    """The functions of libraries that were looked through for what is asked about now."""

    def of(self, *functions: Any) -> dict[str, str]:
        """{name: hash} of functions and all that they name in these files, in the order of
        names."""
        digests: dict[str, str] = {}
        self._passed.clear()
        for function in functions:
            self.follow(function, digests)
        return dict(sorted(digests.items()))

    def follow(self, function: Any, digests: dict[str, str]) -> None:
        """Note a function, and all that it names in these files, among those found."""
        function = inspect.unwrap(function)
        if isinstance(function, functools.partial):
            self._made_with([*function.args, *function.keywords.values()], digests)
            return self.follow(function.func, digests)
        if not hasattr(function, "__code__"):  # an object that is called
            function = getattr(type(function).__call__, "__wrapped__", type(function).__call__)
        code = getattr(function, "__code__", None)
        if code is None:
            return None
        if not _under(self.root, path := Path(code.co_filename).resolve()):
            return self._look_through(function, digests)
        self._made_with(
            [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()], digests
        )
        self._made_with(
            [cell.cell_contents for cell in function.__closure__ or () if _full(cell)], digests
        )
        file = self._file(path)
        for node in _standing_at(file, code):
            self._node(file, node, code.co_name, digests)
        return None

    def _look_through(self, function: Any, digests: dict[str, str]) -> None:
        """Follow what a library's function was made with: it may call functions of these files."""
        if id(function) not in self._passed:
            self._passed.add(id(function))
            for cell in getattr(function, "__closure__", None) or ():
                if _full(cell) and callable(cell.cell_contents):
                    self.follow(cell.cell_contents, digests)

    def _made_with(self, values: Sequence[Any], digests: dict[str, str]) -> None:
        """Note what a function was made with: numbers and texts by what they are, functions by
        their text."""
        for value in values:
            if isinstance(value, str | int | float | bool | tuple):
                _note(
                    f"made with {value!r}"[:60],
                    hashlib.sha256(repr(value).encode()).hexdigest()[:8],
                    digests,
                )
            elif callable(value):
                self.follow(value, digests)

    def _node(self, file: _File, node: ast.AST, name: str, digests: dict[str, str]) -> None:
        """Note a statement or lambda under a name, and follow the names in it."""
        digest, names = file.said(node)
        if _note(name, digest, digests):
            for used in names:
                self._name(file, used, digests)

    def _name(self, file: _File, name: str, digests: dict[str, str]) -> None:
        for node in file.given.get(name, ()):
            self._node(file, node, name, digests)
        if name in file.imported:
            path, original_name = file.imported[name]
            other = self._file(path)
            if original_name:
                return self._name(other, original_name, digests)
            for node in other.body:  # a module by its name: anything in it may be meant
                self._node(other, node, other.path.stem, digests)
        elif name not in file.given:
            for path in file.whole:
                self._name(self._file(path), name, digests)
        return None

    def _file(self, path: Path) -> _File:
        if path not in self.files:
            self.files[path] = _opened(self.root, path, _state(path))
        return self.files[path]


class _Memory(NamedTuple):
    """What was last read of an experiment, and of which files."""

    of: Experiment
    states: Mapping[Path, tuple[int, int]]
    texts: dict[str, Texts]


_last: dict[str, _Memory] = {}


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=512)
def _opened(root: Path, path: Path, state: tuple[int, int]) -> _File:
    """One file; a worker asks for it once a group, and reading an experiment's neighbours takes a
    second."""
    body = tuple(syntax.module(path.read_bytes()).body)
    definitions: dict[str, list[ast.stmt]] = defaultdict(list)
    for statement in body:
        for name in _gives(statement):
            definitions[name].append(statement)
    imports = [n for s in body for n in ast.walk(s) if isinstance(n, ast.Import | ast.ImportFrom)]
    names = [triple for node in imports for triple in _imports(root, path, node)]
    return _File(
        path,
        body,
        {k: tuple(v) for k, v in definitions.items()},
        {
            alias: (file, original_name)
            for alias, file, original_name in names
            if original_name != "*"
        },
        tuple(file for _, file, original_name in names if original_name == "*"),
        state,
    )


def _imports(
    root: Path, path: Path, node: ast.Import | ast.ImportFrom
) -> Iterator[tuple[str, Path, str]]:
    """(name here, file, name there) of what an import brings from files under the folder; "" there
    for the whole file."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if (file := _module(root, None, alias.name)) is not None:
                yield alias.asname or alias.name.split(".")[0], file, ""
        return
    folder = path.parents[node.level - 1] if node.level else None
    for alias in node.names:
        if (
            file := _module(root, folder, ".".join(filter(None, (node.module, alias.name))))
        ) is not None:
            yield alias.asname or alias.name, file, ""
        elif node.module and (file := _module(root, folder, node.module)) is not None:
            yield alias.asname or alias.name, file, alias.name


def _module(root: Path, folder: Path | None, name: str) -> Path | None:
    """The file of a module, told from a folder; without one from the experiment's neighbours, or as
    one of Assay's own."""
    parts = name.split(".")
    for start in (folder,) if folder is not None else (root, _ASSAY.parent):
        path = start.joinpath(*parts)
        for file in (path.with_name(f"{path.name}.py"), path / origin.OPENS):
            if _under(root, file) and file.is_file():
                return file
    return None


def _under(root: Path, path: Path) -> bool:
    return root in path.parents and "site-packages" not in path.parts


_ASSAY = Path(__file__).resolve().parents[2]


def _standing_at(file: _File, code: CodeType) -> Sequence[ast.AST]:
    """The top-level definition in which a function's code stands; of a lambda, the lambda alone."""
    line = code.co_firstlineno
    if code.co_name == "<lambda>":
        return [n for n in file.lambdas if n.lineno == line]
    first = [
        min([s.lineno, *(d.lineno for d in getattr(s, "decorator_list", ()))]) for s in file.body
    ]
    return [
        s
        for s, start in zip(file.body, first, strict=True)
        if start <= line <= (s.end_lineno or start)
    ]


def _gives(statement: ast.stmt) -> set[str]:
    """The names that a top-level statement gives a meaning or changes: it defines them, stores to
    them, or calls what they have."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Expr):  # such as TABLE.update(…)
        return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
    names = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif (
            isinstance(node, ast.Attribute | ast.Subscript)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
        ):
            names.add(node.value.id)
    return names


def _asked_of_the_file(node: ast.AST) -> set[str]:
    """The names that a statement takes from the top level of its file; what is local to it is its
    own."""
    tables, names = [symtable.symtable(ast.unparse(node), "text", "exec")], set()
    for table in tables:
        tables += table.get_children()
        names |= {
            s.get_name()
            for s in table.get_symbols()
            if s.is_referenced() and (s.is_global() or s.is_imported() or table is tables[0])
        }
    return names


def _bare(node: ast.AST) -> ast.AST:
    """Leave out docstrings and comments; positions are not dumped."""

    class Without(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                return None
            return node

    return Without().visit(syntax.module(ast.unparse(node)))  # type: ignore[no-any-return]


def _without_settings(node: ast.AST) -> ast.AST:
    """Leave out what `assay.measured` is told: claims train nothing, what arms set is in the key
    of each run."""
    if isinstance(node, ast.FunctionDef):
        others = [d for d in node.decorator_list if not syntax.is_measured(d)]
        if len(others) < len(node.decorator_list):
            fields = dict(ast.iter_fields(node))
            return ast.FunctionDef(**(fields | {"decorator_list": others}), lineno=node.lineno)
    return node


def _note(name: str, digest: str, digests: dict[str, str]) -> bool:
    """Note a text under a name, the second of that name as NAME 2; False where this very text is
    noted already."""
    place, n = name, 1
    while place in digests:
        if digests[place] == digest:
            return False
        n += 1
        place = f"{name} {n}"
    digests[place] = digest
    return True


def _full(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
