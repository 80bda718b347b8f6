"""Origin: which files an experiment is made of, what its runs read from outside, and whose the runs
under a name are.

It lives in a file, a folder with `__init__.py`, or a module. Runs of a user's own file count as
long as that file, and what it imports from its own folder, are byte for byte as they were; those of
installed packages go by the version that they declare.

A run's folder has the path of each file that it read, relative to the experiment's own folder, to
the home folder or whole. That stays in the store: results, records and bundles have names and
hashes.

A name is made from a file's name, and runs are found by it: `a/my_claim.py` and `b/my_claim.py` are
both my-claim. The store notes whose runs it holds under a name, and refuses another file while the
first one exists and says something else."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import json
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from assay.core import foreign, inputs, syntax
from assay.core.errors import Operator, StoreError
from assay.core.plain import canonical_json, plain
from assay.lab.store.atomic import write

if TYPE_CHECKING:
    from assay.core.experiment import Experiment
    from assay.lab.store.runs import Stored
    from assay.lab.store.store import Store

OPENS = "__init__.py"
STUDIES = (".toml", ".md")
"""How files end that describe an experiment as data."""

LOADED = "assay_file_"
"""How the names of modules begin that were loaded from a user's file."""

NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
"""What a stored name looks like: one folder, never another one's and never outside."""
_watches: dict[tuple[str, str], inputs.Watch] = {}


def files(origin: str) -> list[Path]:
    """The file at a path, or that of a module; of a folder all of its files, sorted. Empty where
    there is none."""
    if not origin:
        return []
    try:
        if not in_file(origin):
            spec = importlib.util.find_spec(origin)
            origin = (spec and spec.origin) or ""
    except (ImportError, ValueError):
        return []
    path = Path(origin)
    if not path.is_file():
        return []
    return sorted(path.parent.rglob("*.py")) if path.name == OPENS else [path]


def code(origin: str) -> str:
    """16 hex digits of the text of its file, or of all files of its folder; stored with each run,
    not part of its key. Empty without a file."""
    try:
        paths = files(origin)
        if len(paths) < 2:
            return hashlib.sha256(paths[0].read_bytes()).hexdigest()[:16] if paths else ""
        folder = min((p.parent for p in paths), key=lambda p: len(p.parts))
        texts = (
            p.relative_to(folder).as_posix().encode() + b"\0" + p.read_bytes() + b"\0"
            for p in paths
        )
        return hashlib.sha256(b"".join(texts)).hexdigest()[:16]
    except OSError:
        return ""


def in_file(origin: str) -> bool:
    """Whether it is the path of a file: a user's own experiment, or a study; else a module."""
    return origin.endswith((".py", *STUDIES))


def called(path: Path) -> str:
    """The name of a file without its ending, or of the folder that it opens."""
    return path.parent.name if path.name == OPENS else path.stem


def parent_folder(path: Path) -> Path:
    """The folder of the file, or of the folder that it opens."""
    return path.parent.parent if path.name == OPENS else path.parent


def where(error: BaseException, origin: str) -> str:
    """File and line of an error: the last place inside the experiment's own files, if there is
    one."""
    if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith("<"):
        return f"{error.filename} line {error.lineno}"
    own_frames = frames_in(error, origin)
    return f"{own_frames[-1].filename} line {own_frames[-1].lineno}" if own_frames else origin


def frames_in(error: BaseException, origin: str) -> list[traceback.FrameSummary]:
    """The places of a traceback that are in the experiment's own files."""
    own_files = {str(path) for path in files(origin)}
    return [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in own_files
    ]


# what its files say -------------------------------------------------------------------------------


class Text(NamedTuple):
    """What an experiment's files say."""

    code: str
    """16 hex digits of its own files: `code`."""
    whole: str
    """16 hex digits of a user's own files and of the neighbours that they import; "" for an
    experiment of a package."""
    is_alone: bool
    """Whether they import no neighbour."""

    def made(self, run: Stored) -> bool:
        """Whether this text made a run. An older version noted what its files said in another way,
        and `code` as it is."""
        return run.provenance.get("text") == self.whole or (
            self.is_alone and run.provenance.get("code") == self.code
        )


def text(experiment: Experiment) -> Text:
    """Read what an experiment's files say now."""
    files = _user_files(experiment)
    near = _neighbours(files)
    return Text(
        code(experiment.origin) if experiment.origin else "", _digest([*files, *near]), not near
    )


def compared(experiment: Experiment, read: Mapping[str, str]) -> dict[str, str]:
    """Leave out of what a run read the text of its own file, which is compared by itself, and what
    judging alone knows of prompts."""
    has_file, materials = experiment.origin.endswith(".py"), experiment.materials
    kept = {k: v for k, v in read.items() if not (has_file and k.startswith("text of "))}
    return materials.same_rows(kept) if materials else kept


def of_function(function: Callable[..., Any]) -> str:
    """16 hex digits of a function's file and of the neighbours that it imports; where there is no
    file, as in a notebook, of the function alone."""
    path = Path(function.__code__.co_filename)
    if path.is_file():
        return _digest([path.resolve(), *_neighbours([path.resolve()])])
    return _hash([textwrap.dedent(inspect.getsource(function)).encode()])


def _user_files(experiment: Experiment) -> list[Path]:
    """The files of a user's experiment; of a study those of the experiments whose arms it has."""
    if experiment.origin.endswith(".py"):
        return files(experiment.origin)
    if not experiment.origin.endswith(STUDIES):
        return []
    from assay.core.experiment import Joint  # which showing what is stored does without

    trained = [arm.train for arm in experiment.arms.values() if arm.train is not None]
    functions = [f.train if isinstance(f, Joint) else f for f in trained]
    names = {_module(f).partition(".")[0] for f in functions}
    modules = [sys.modules[name] for name in sorted(names) if name.startswith(LOADED)]
    return [file for module in modules for file in files(str(module.__file__))]


def _module(function: Any) -> str:
    """The name of the module in which a function was written."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(inspect.unwrap(function), "__module__", ""))


def _neighbours(files: Sequence[Path]) -> list[Path]:
    """The files next to these that they import, directly or not."""
    if not files:
        return []
    root = parent_folder(min(files, key=lambda path: len(path.parts)).resolve())
    resolved = [path.resolve() for path in files]
    for path in resolved:  # it grows while it is read
        resolved += [p for p in _imported(root, path) if p not in resolved]
    return resolved[len(files) :]


def _imported(root: Path, path: Path) -> list[Path]:
    """The files below a folder that a file imports; none where it is no Python, which cannot have
    been loaded either."""
    try:
        tree = syntax.module(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    imported: dict[Path, None] = {}
    for node in ast.walk(tree):
        names = [alias.name for alias in getattr(node, "names", ()) if isinstance(alias, ast.alias)]
        base = root
        if isinstance(node, ast.ImportFrom):
            base = path.parents[node.level - 1] if node.level else root
            module = f"{node.module}." if node.module else ""
            names = [*([node.module] if node.module else []), *(module + name for name in names)]
        dotted = [name.split(".") for name in names]
        for place in (base.joinpath(*d[: i + 1]) for d in dotted for i in range(len(d))):
            for file in (place.with_name(f"{place.name}.py"), place / OPENS):
                if root in file.parents and "site-packages" not in file.parts and file.is_file():
                    imported[file] = None
    return list(imported)


def _digest(paths: Sequence[Path]) -> str:
    """16 hex digits of files by their places; "" where there are none, or one is gone."""
    try:
        top = os.path.commonpath([path.parent for path in paths]) if paths else ""
        named = ((path.relative_to(top).as_posix().encode(), path.read_bytes()) for path in paths)
        return _hash([part for pair in named for part in pair]) if paths else ""
    except OSError:
        return ""


def _hash(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


# what runs read -----------------------------------------------------------------------------------


def watch(name: str, origin: str) -> inputs.Watch:
    """Give what notes an experiment's inputs in this process, one for each text of its file."""
    owner_now = (origin or name, code(origin) if origin else "")
    if owner_now not in _watches:
        _watches[owner_now] = inputs.Watch(*files(origin))
    return _watches[owner_now]


def home(origin: str) -> Path | None:
    """Give the folder in which a user's own experiment has its files; None for any other."""
    return parent_folder(Path(origin)).absolute() if in_file(origin) else None


class Present:
    """The present contents of what runs of an experiment read; each place is looked at once."""

    def __init__(self, home: Path | None):
        self._home = home
        self._now: dict[str, str | None] = {}

    def changed(self, digests: Mapping[str, str]) -> str:
        """Say which files differ from what was read, and both hashes; empty where none does."""
        current = {place: self._at(place) for place in digests}
        return ", ".join(
            f"{inputs.brief(place)} {old[:12]}, now {digest[:12]}"
            for place, old in digests.items()
            if (digest := current[place]) is not None and digest != old
        )

    def gone(self, places: Iterable[str]) -> list[str]:
        """List the files that are not there any more."""
        return [inputs.brief(place) for place in places if self._at(place) is None]

    def _at(self, place: str) -> str | None:
        if place not in self._now:
            self._now[place] = inputs.hash_current(inputs.resolve_place(place, self._home))
        return self._now[place]


def digests_by_name(stored: Iterable[Stored]) -> dict[str, str]:
    """Give the hashes of what runs read by file name, two of one name as NAME and NAME 2."""
    read = {pair for run in stored for pair in run.read.items()}
    digests: dict[str, list[str]] = {}
    for name, digest in sorted({(plain(Path(place).name), digest) for place, digest in read}):
        digests.setdefault(name, []).append(digest)
    return {
        f"{name} {i}" if i > 1 else name: digest
        for name, several in digests.items()
        for i, digest in enumerate(several, 1)
    }


def notes(stored: Iterable[Stored], present: Present, outdated: bool) -> list[str]:
    """Say what was not checked, what cannot be and, with `outdated`, what has changed since."""
    runs = [run for run in stored if run.read or run.unchecked]
    messages = []
    if unchecked := sorted({inputs.brief(place) for run in runs for place in run.unchecked}):
        messages.append(f"read without Assay, so not checked: {_some(unchecked)}")
    if gone := sorted({name for run in runs for name in present.gone(run.read)}):
        messages.append(
            f"read and not found here: {_some(gone)}, so whether it changed is not known"
        )
    texts = dict.fromkeys(present.changed(run.read) for run in runs) if outdated else {}
    if changed := "; ".join(filter(None, texts)):
        messages.append(f"changed since it was read: {changed}; `assay run` makes these runs anew")
    return messages


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


# whose runs they are ------------------------------------------------------------------------------


def sound(name: str) -> str:
    """This name, if it may be a folder of the store. Raises: StoreError for any other, such as an
    empty one or ../x."""
    if not NAME.fullmatch(name):
        raise StoreError(
            f"an experiment is stored under a name of a–z, 0–9 and -, got {name!r}; give "
            "Experiment(name=…), or name its file"
        )
    return name


def check(store: Store, experiment: str, origin: str) -> None:
    """Refuse a name whose stored runs are of another file that still exists and reads differently.
    Raises: StoreError."""
    owned_by = owner(store, sound(experiment))
    elsewhere = owned_by and origin and owned_by != origin and Path(owned_by).is_file()
    if elsewhere and code(origin) not in ("", code(owned_by)):
        raise StoreError(
            f"the runs of {experiment} in {store.root} are those of {owned_by}, and {origin} is "
            "another file of that name; rename one of the two files",
            Operator(", or name another store with --root"),
        )


def claim(store: Store, experiment: Experiment) -> None:
    """Note that the runs under this name are this file's from now on; built-in experiments and
    entry points need no note.

    A file that reads the same keeps them: a submitted copy of a study does not take its name from
    the author."""
    owned_by, origin = owner(store, experiment.name), experiment.origin
    same = owned_by == origin or (Path(owned_by).is_file() and code(owned_by) == code(origin))
    if in_file(origin) and not same:
        path = _path(store, experiment.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        # as seen from the store, so that a folder that has both can be moved or copied
        relative = os.path.relpath(origin, store.root.resolve())
        write(path, canonical_json({"origin": relative}).encode())


def lossy(text: str) -> str:
    """A file's name in a–z, 0–9 and -, whatever that leaves out."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def forget(store: Store, experiment: str) -> None:
    """Delete the note, where there is one."""
    _path(store, sound(experiment)).unlink(missing_ok=True)


def owner(store: Store, experiment: str) -> str:
    """The path of the file whose runs are stored under a name; empty where nothing readable is
    noted, as in older stores."""
    try:
        return os.path.normpath(
            store.root.resolve()
            / json.loads(foreign.read_stored(_path(store, experiment)))["origin"]
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _path(store: Store, experiment: str) -> Path:
    return store.root / "owners" / f"{experiment}.json"
