"""Catalogue: finds an experiment by name or by path. Being there is all that an experiment needs to
be found.

Names come from two places: entry points in the group `assay.experiments` of any installed
distribution (gated-sae = "its.module"), and paths of Python files and studies. Headers are read as
text; only `find` imports, and only what was asked for.

It also knows the code that measures and judges an experiment, by hash, as long as its files are
those that this process began with (`unchanged`)."""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from assay.core import foreign, heavy
from assay.core.errors import AssayError, ExperimentError, nearest, nearest_beside
from assay.core.sources import reader
from assay.lab.store.origin import (
    LOADED,
    OPENS,
    STUDIES,
    called,
    files,
    in_file,
    lossy,
    parent_folder,
    watch,
    where,
)

if TYPE_CHECKING:  # where they are used, they are imported: showing what is stored needs none
    from assay.core.experiment import Experiment, Header

_GROUP = "assay.experiments"
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MISSING = (
    "no experiment is installed; those on papers and comments are in another package: pip "
    "install ./catalogue in a clone of Assay"
)
"""How to get what `assay list` would list."""


READ = (".py", *STUDIES, ".assay", ".zip", ".prereg.json")
"""How the files end that `assay run` and `assay verify` read."""


@dataclass(frozen=True)
class Entry:
    """An experiment that can be found by name: where it lives, and its file."""

    name: str
    origin: str
    """A module's dotted name, or the path of a file."""
    path: Path

    def header(self) -> Header:
        """Its header block, read without importing it; of a study what it asks. Raises:
        ExperimentError."""
        from assay.core.experiment import read_header

        study = self.path.suffix in STUDIES
        return reader(self.path).header(self.path) if study else read_header(self.path)


def entries() -> list[Entry]:
    """List every experiment with a name, in alphabetical order; nothing is imported."""
    entries_by_name: dict[str, Entry] = {}
    for point in _points():
        spec = importlib.util.find_spec(point.module)
        if spec is not None and spec.origin:
            name = point.name if _SLUG.fullmatch(point.name) else _slug(point.name)
            entries_by_name.setdefault(name, Entry(name, point.module, Path(spec.origin)))
    return list(entries_by_name.values())


def named(pattern: str) -> list[str]:
    """List the names that this pattern matches, such as `monthly-*`, or what was given where it is
    no pattern. Raises: ExperimentError for a pattern that matches none."""
    if "*" not in pattern or Path(pattern).exists():
        return [pattern]
    names = [e.name for e in entries() if fnmatch.fnmatchcase(e.name, pattern)]
    if not names:
        raise ExperimentError(f"no experiment matches {pattern!r}; assay list shows them all")
    return names


def nearby() -> dict[str, Path]:
    """The studies in this folder and the folders in it, and the Python files here, by name."""
    found = [f for pattern in ("*/*.toml", "*.py", "*.toml") for f in sorted(Path().glob(pattern))]
    return {_name(file): file for file in found}


def modules() -> list[str]:
    """List the modules of all that is offered, whether their files are there or not."""
    return [point.module for point in _points()]


def _points() -> list[importlib.metadata.EntryPoint]:
    """What other installed packages offer, by name."""
    return sorted(heavy.offered().select(group=_GROUP), key=lambda e: e.name)


def entry(name_or_path: str) -> Entry:
    """Where the experiment of this name, or in this file, lives. Raises: ExperimentError, naming
    the nearest."""
    by_name = {e.name: e for e in entries()}
    if name_or_path in by_name:
        return by_name[name_or_path]
    path = Path(name_or_path)
    path = path / OPENS if (path / OPENS).is_file() else path  # a folder of a user's own
    if not in_file(path.name) and (what := foreign.purpose(path)):
        raise ExperimentError(what)
    if not in_file(path.name) and "/" not in name_or_path:
        from assay.core.experiment import ALL

        if name_or_path == ALL:
            raise ExperimentError(
                f"{ALL!r} is every experiment at once, which only assay verify takes; name one of "
                "assay list, or run them all with assay run '*'"
            )
        files = nearby()
        hint = nearest(name_or_path, [*by_name, *files]) if by_name else MISSING
        if hint.startswith("known: "):
            hint = "assay list shows them all; for a study of your own, give the path of its file"
            hint = (nearest_beside(path, READ) if path.suffix else "") or hint
        paths = (Path(f"{name_or_path}{end}") for end in STUDIES)
        study = next((path for path in paths if path.is_file()), None)
        if file := study or files.get(name_or_path) or files.get(hint[len("did you mean ") : -1]):
            hint = f"did you mean {file}?"
        raise ExperimentError(f"no experiment is called {name_or_path!r}; {hint}")
    if not path.is_file():
        others = (
            "give a Python file, a study (.toml or .md), or the name of an experiment (assay list)"
        )
        advice = nearest_beside(path) or others
        with contextlib.suppress(OSError):
            places = (folder / path.name for folder in sorted(Path().iterdir()))
            if place := next((place for place in places if place.is_file()), None):
                advice = f"did you mean {place.as_posix()}?"
        if path.is_dir():
            advice = "this is a folder; name the file in it"
        raise ExperimentError(f"no file {name_or_path}; {advice}")
    if path.resolve() in {e.path.resolve(): e for e in by_name.values()}:
        return next(e for e in by_name.values() if e.path.resolve() == path.resolve())
    if _name(path) in by_name:
        # The same name would find the stored runs of the other experiment.
        raise ExperimentError(
            f"{name_or_path} would be called {_name(path)!r}, which is the name of "
            "another experiment; rename the file"
        )
    return Entry(_name(path), str(path.resolve()), path.resolve())


def record_path(name: str, origin: str = "") -> Path:
    """The file of an experiment's record, or where it would be written: next to a user's file, or
    in the `records/` of the distribution that has the experiment."""
    experiment = name.partition(".")[0]
    origin = origin or next((e.origin for e in entries() if e.name == experiment), "")
    folder = parent_folder(Path(origin)) / "records" if in_file(origin) else _records(origin)
    return folder / f"{name}.json"


@functools.cache
def _records(origin: str) -> Path:
    """The records of the distribution that this module belongs to: those of its checkout, or those
    that its wheel has."""
    package = _package(origin.partition(".")[0]) if origin else None
    if package is None:
        return Path("records")
    checkout = package.parents[1]
    return (checkout if (checkout / "pyproject.toml").is_file() else package) / "records"


STORE: ContextVar[Path] = ContextVar("store", default=Path("assay-store"))
"""The store in use, in which an experiment finds the stored runs that it names. It is set before
an experiment is found, since a study is checked as it is read."""


def find(name_or_path: str) -> Experiment:
    """The experiment of this name, or in this file, with its `name` and `origin` set. Raises:
    ExperimentError."""
    catalogue_entry = entry(name_or_path)
    return load(catalogue_entry.name, catalogue_entry.origin)


def load(name: str, origin: str) -> Experiment:
    """The experiment that a module or a file defines as `experiment`, or a study describes. Raises:
    ExperimentError with file and line."""
    from assay.core.experiment import Experiment
    from assay.lab.store.user_code import checked

    if origin.endswith(STUDIES):
        study = reader(Path(origin)).experiment(Path(origin))
        return checked(dataclasses.replace(study, name=name, origin=origin))
    try:
        home = load_module(origin)
    except Exception as e:
        if isinstance(e, AssayError) and not isinstance(e, ExperimentError):
            raise ExperimentError(f"{where(e, origin)}: {e}") from e
        if isinstance(e, ExperimentError) and origin in str(e):
            raise
        if isinstance(e, ModuleNotFoundError) and (lacks := heavy.need(e)):
            raise ExperimentError(f"{name} {lacks}") from e
        raise ExperimentError(
            f"{where(e, origin)}: {type(e).__name__}: {(str(e) or 'no message').splitlines()[0]}"
        ) from e
    defined = [v for v in vars(home).values() if isinstance(v, Experiment)]
    value = getattr(home, "experiment", defined[0] if len(defined) == 1 else None)
    if not isinstance(value, Experiment):
        got = "it has no such name" if value is None else f"got {type(value).__name__}"
        got = f"it has {len(defined)} of other names" if defined[1:] and value is None else got
        got += (
            f"; to judge a claim about a function in it: assay check {Path(origin).name}:FUNCTION"
        )
        raise ExperimentError(f"{origin} must define `experiment = Experiment(…)`; {got}")
    cached = _checked.get(origin)
    # the same value as long as its module is: its cached results stay with it
    if cached is None or cached[0] is not value or cached[1].name != name:
        experiment = checked(dataclasses.replace(value, name=name, origin=origin))
        _checked[origin] = cached = (value, experiment)
    return cached[1]


_checked: dict[str, tuple[Experiment, Experiment]] = {}
"""What each module defines, and what was made from it."""


def load_module(origin: str) -> ModuleType:
    """Import the module, or the file, that an experiment lives in."""
    return _from_file(Path(origin)) if origin.endswith(".py") else importlib.import_module(origin)


_loaded: dict[str, tuple[list[tuple[str, int, int]], ModuleType]] = {}


def _from_file(path: Path) -> ModuleType:
    parts = files(str(path))
    version = [(str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in parts]
    if path.as_posix() in _loaded and _loaded[path.as_posix()][0] == version:
        return _loaded[path.as_posix()][1]
    # A name of its own, so that no file shadows a module; registered, since dataclasses and
    # annotations look there.
    name = f"{LOADED}{hashlib.sha256(str(path).encode()).hexdigest()[:8]}_{called(path)}"
    # whose files it imports as `.method`
    folder = [str(path.parent)] if path.name == OPENS else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=folder)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    # its files before an edit; another thread may import meanwhile
    for stale in [m for m in list(sys.modules) if m.startswith(f"{name}.")]:
        del sys.modules[stale]
    sys.modules[name] = module
    search_path = str(path.parent if folder is None else path.parent.parent)
    if search_path not in sys.path:
        sys.path.append(search_path)  # last: its neighbours can be imported, but shadow nothing
    try:
        with unkept(), watch(name, str(path)):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    _loaded[path.as_posix()] = (version, module)
    return module


def _name(path: Path) -> str:
    return _slug(called(path))


def _slug(text: str) -> str:
    """A name of a–z, 0–9 and -; where that leaves out a character, with digits of the whole text,
    so that no other text has it."""
    # as one file system has it, whichever of two forms another one makes of it
    whole = unicodedata.normalize("NFC", text)
    slug = lossy(whole)
    if slug and re.fullmatch(r"[A-Za-z0-9_-]+", whole):
        return slug
    return f"{slug or 'experiment'}-{hashlib.sha256(whole.encode(errors='surrogatepass')).hexdigest()[:8]}"  # noqa: E501


_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("numpy", "scipy", "xarray", "torch")
_SHOWING = ("cli", "verbs", "report", "testing")  # what only shows results
States = dict[str, tuple[int, int]]
"""When each file was last written, in nanoseconds, and its size, by its name."""


def unchanged(origin: str, *, borrows: bool = True) -> str:
    """64 hex digits of every file that measures or judges an experiment from this module or file,
    and of what it computes with; "" where one was written since the start.

    After that it is not known which modules hold the old text and which, imported later, the new
    one. Of the distribution that a module belongs to, its other experiments do not count, since
    none imports another; for a user's file all that are there do, if it may borrow from them."""
    roots = _roots(origin) if borrows or not in_file(origin) else (_ROOT,)
    digest = _hash(origin, roots)
    now, then = (_states(origin, roots, written) for written in (_files_written, _at_start))
    return digest if now == then else ""


@functools.cache
def _hash(origin: str, roots: tuple[Path, ...]) -> str:
    digest = hashlib.sha256("\0".join(f"{p} {_version(p)}" for p in _PACKAGES).encode())
    for name in sorted(_states(origin, roots, _at_start)):
        number, _, file = name.partition("/")
        text = (roots[int(number)] / file).read_bytes()
        digest.update(name.encode() + b"\0" + text + b"\0")
    return digest.hexdigest()


def _states(origin: str, roots: Sequence[Path], written: Callable[[Path], States]) -> States:
    """The files that count, by the number of their root and their name."""
    folder, module = "", ""
    if origin and not in_file(origin):
        folder, _, module = origin.partition(".")[2].replace(".", "/").rpartition("/")
    names = tuple(f"{folder}/{name}" for name in (f"{module}.py", f"{module}/", "__init__.py"))
    return {
        f"{i}/{name}": state
        for i, root in enumerate(roots)
        for name, state in written(root).items()
        if not (i and folder and name.startswith(f"{folder}/")) or name.startswith(names)
    }


@functools.cache
def _roots(origin: str) -> tuple[Path, ...]:
    """The folders of the packages whose files an experiment may read, Assay's own first."""
    names = modules() if in_file(origin) else [origin]
    packages = map(_package, sorted({name.partition(".")[0] for name in names if name}))
    return tuple(dict.fromkeys([_ROOT, *filter(None, packages)]))


def _package(name: str) -> Path | None:
    """The folder of an installed package; None where there is none."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).resolve().parent if spec is not None and spec.origin else None


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # torch, where nothing is trained
        return ""


def _files_written(root: Path) -> States:
    """The state of each file below a folder: quicker than reading, and an edit that was undone
    shows too."""
    file_states: States = {}
    folders, passed = [str(root)], {str(_ROOT / name) for name in _SHOWING}
    # every command does this first: plain names, and none of the folders that do not count
    while folders:
        with os.scandir(folders.pop()) as inside:
            for entry in inside:
                if entry.name.endswith(".py") and entry.is_file():
                    state = entry.stat()
                    name = entry.path[len(str(root)) + 1 :]
                    file_states[name] = (state.st_mtime_ns, state.st_size)
                elif entry.is_dir(follow_symlinks=False) and entry.path not in passed:
                    folders.append(entry.path)
    return file_states


@functools.cache
def _at_start(root: Path) -> States:
    """Give the same as it was when this process began; a file that was written between then and
    the first look counts as written since."""
    file_states = _files_written(root)
    late = (_BEGAN - _TICK) * 1e9
    return {name: s if s[0] < late else (0, s[1]) for name, s in file_states.items()}


_BEGAN = time.time()
_TICK = 0.1  # seconds: a file's time is the clock's last tick, and so may be before the start
_at_start(_ROOT)  # with the first module of the lab, so before an experiment can be found


@contextlib.contextmanager
def unkept() -> Iterator[None]:
    """Keep no bytecode of what the body imports or runs, so that the same file, edited within the
    second, is read anew."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Documented:
    """The documentation of one experiment."""

    file: Path
    heading: str
    """Of the section; empty where the whole page is about the experiment."""
    text: str

    @property
    def link(self) -> str:
        """What a page in the same folder links to."""
        words = re.sub(r"[^\w\- ]", "", self.heading.lower())
        anchor = re.sub(r"[ -]+", "-", words)
        return f"{self.file.name}#{anchor}" if anchor else self.file.name


def documented(folder: Path, name: str) -> Documented | None:
    """Find the documentation of an experiment in a folder of pages: the page NAME.md, or a section
    of another page whose heading is `## NAME: …`; None where there is neither."""
    page = folder / f"{name}.md"
    if page.exists():
        return Documented(page, "", page.read_text("utf-8"))
    section = re.compile(
        rf"^## ({re.escape(name)}(?::[^\n]*)?)\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL
    )
    for file in sorted(folder.glob("*.md")):
        text = file.read_text("utf-8")
        unfenced = FENCED.sub(lambda block: " " * len(block[0]), text)
        if match := section.search(unfenced):
            return Documented(file, match[1], text[match.start() : match.end()])
    return None
