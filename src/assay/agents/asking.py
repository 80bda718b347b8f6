"""Asking: what an agent asks to run, checked against what it may name; its experiment and key.

A key is a hash of what is asked and of the version that answers, so that asking twice is one run.
No file that is named is opened before it is known to be in the workspace, and no file of code is
imported unless that was allowed."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from assay.ask import composing, missing, mistakes
from assay.ask.inputs import files_named
from assay.ask.planned import Gap
from assay.ask.text import ASKED, FENCE, PlacedError, Text, read, read_whole
from assay.core.claims import claims_key
from assay.core.compute import Range
from assay.core.errors import AssayError, ExperimentError, StoreError, nearest, renamed, substitute
from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.jobs import folder
from assay.jobs.folder import DIGITS, Job, State
from assay.lab import catalogue
from assay.lab.judge import registered
from assay.lab.plan.preset import Preset, override
from assay.lab.store import origin
from assay.lab.store.origin import OPENS, STUDIES, code
from assay.lab.store.store import Store

RUNS, BYTES, CLAIMS = 2_000, 64 * 1024, 64
"""The most runs of all arms, bytes of a study, and claims and estimates."""
SHOWN = 200
"""Characters of a name that a refusal repeats."""
NAME = "study"
"""What the runs of a study are stored under, with digits of its key."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Which files an agent may name."""

    workspace: Path | None = None
    """The one folder whose files it may name; None: it names none."""
    code: bool = False
    """Whether Python files of the workspace, experiments and functions, may be run."""

    def place(self, text: str, location: str) -> Path:
        """Give the path that a text names, where it is within the workspace. Raises:
        ExperimentError."""
        try:
            path, inside = Path(text), "\0" not in text and not text.startswith("~")
            if self.workspace is None:
                inside = inside and not path.is_absolute() and ".." not in path.parts
            else:
                whole = self.workspace.resolve()
                path = (whole / path).resolve()
                inside = inside and path.is_relative_to(whole)
        except (OSError, ValueError, RuntimeError):
            inside = False
        if not inside:
            named = (
                "its own folder, and this server has no workspace"
                if self.workspace is None
                else "the workspace"
            )
            raise ExperimentError(
                f"{location}: {text[:SHOWN]!r} lies outside {named}; no other file of "
                "this machine may be named"
            )
        return path

    def check(self, texts: Iterator[tuple[str, str]]) -> None:
        """Refuse a text that, read as a path, leads out of the workspace: any field may be the path
        of a corpus or a model. Raises: ExperimentError."""
        for location, text in texts:
            for part in text.split(","):
                self.place(part.strip(), location)

    def code_file(self, name: str, location: str) -> Path:
        """Give the file of code that is named, where it may run. Raises: ExperimentError."""
        if not self.code or self.workspace is None:
            raise ExperimentError(
                f"{location}: {name[:SHOWN]!r} is a file of code; it runs only from a workspace, "
                "where code was allowed (--allow-code)"
            )
        path = self.place(name, location)
        path = path / OPENS if (path / OPENS).is_file() else path
        if path.suffix != ".py" or not path.is_file():
            raise ExperimentError(
                f"{location}: {name[:SHOWN]!r} is not a Python file in the workspace"
            )
        return path

    def link(self, name: str) -> dict[str, Path]:
        """Give the link next to a study by which a relative path leads into the workspace."""
        first = Path(name).parts[0] if Path(name).parts and not Path(name).is_absolute() else ""
        if self.workspace is None or first in ("", "."):
            return {}
        return {first: self.workspace.resolve() / first}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Either a study's text, or an experiment's name; with a preset and fields that are set, as
    `assay run` takes them."""

    study: str = ""
    """TOML, or Markdown that begins with TOML."""
    experiment: str = ""
    """A name of the catalogue; where code is allowed, also a Python file in the workspace."""
    preset: str = "default"
    sets: tuple[str, ...] = ()


class Lacking(ExperimentError):
    """A study does not say all that it has to: `lacks` lists what, and `assumed` what is assumed of
    the rest that it does not say."""

    def __init__(self, lacks: Sequence[Gap], assumed: Sequence[Gap]):
        super().__init__(
            f"the study lacks {len(lacks)} thing{'s' * (len(lacks) > 1)}: "
            + "; ".join(m.text for m in lacks)
        )
        self.lacks, self.assumed = tuple(lacks), tuple(assumed)


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What can run: the experiment under the name of its runs, its preset, and the key."""

    asked: Asked
    key: str
    experiment: Experiment
    preset: Preset
    runs: int
    typed: str
    """How the experiment is found: its name or path; of a study the file's name."""
    question: str = ""
    study: Path | None = None
    """The file of a study while it is open."""
    links: Mapping[str, Path] = field(default_factory=dict)
    """Names next to the study that lead to files of the workspace."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Path of each file of code that it runs, and the digest of its text."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Places of files, and what is said instead."""

    def without_places(self, text: str) -> str:
        """Give a sentence without the places of files."""
        return substitute(text, self.names)


@contextmanager
def opened(root: Path, asked: Asked, bounds: Bounds) -> Iterator[Ready]:
    """Read what is asked, check it, and give what can run in this store, into which nothing is
    written. While the body runs, a study is in a folder of its own; no error names that folder or
    the store's.

    A study has the name under which the same one was frozen in this store, else one of its own.
    Raises: Lacking for a study that does not say enough; ExperimentError, SpecError."""
    catalogue.STORE.set(root)
    names = {str(place): "the store" for place in (root.absolute(), root.resolve())}
    for text in (asked.study, asked.experiment, *asked.sets):
        if "\0" in text or "\ud800" <= max(text, default="") <= "\udfff":
            raise ExperimentError("a text has no null characters and no halves of characters")
    most(len(asked.study.encode()), BYTES, "bytes of the study")
    if bool(asked.study.strip()) == bool(asked.experiment):
        raise ExperimentError("give either a study's text or an experiment's name")
    bounds.check((f"set {s}", s.partition("=")[2].strip()) for s in asked.sets)
    with tempfile.TemporaryDirectory(prefix="assay-") as place, renamed(names):
        yield (
            _study(asked, bounds, Path(place), Store(root), names)
            if asked.study.strip()
            else _experiment(asked, bounds)
        )


def submit(root: Path, ready: Ready, bounds: Bounds, cached: int, seconds: Range | None) -> Job:
    """Put what is open into the folder of runs: so many of its runs are stored, and the rest is
    expected to take so long. Raises: StoreError."""
    content = {
        "key": ready.key,
        **msgspec.to_builtins(ready.asked),
        "title": ready.preset.title,
        "called": ready.experiment.name,
        "question": ready.question,
        "typed": ready.typed,
        "runs": ready.runs,
        "code": dict(ready.code),
        "asked": time.time(),
        "workspace": str(bounds.workspace.resolve()) if bounds.workspace else "",
    }
    expected = (seconds.low, seconds.high) if seconds else None
    state = State(status="queued", order=time.time_ns(), cached=cached, seconds=expected)
    text: dict[str, bytes | Path] = dict(ready.links)
    if ready.study is not None:
        text[ready.typed] = ready.study.read_bytes()
    return folder.put(root, content, state, text)


def experiment_of(job: Job, bounds: Bounds) -> tuple[Experiment, Preset] | None:
    """Give the experiment of a run and its preset; None where that is code which may not run here,
    or which is gone."""
    with suppress(AssayError):
        if job.asked["code"] and not bounds.code:
            return None
        catalogue.STORE.set(job.root)
        experiment = catalogue.find(job.typed)
        preset = override(experiment, job.asked["preset"], job.asked["sets"])
        return experiment.designed(preset.specs[:1]).sized(preset.specs), preset
    return None


def most(amount: int, bound: int, noun: str) -> None:
    """Refuse more than a bound. Raises: ExperimentError."""
    if amount > bound:
        raise ExperimentError(f"{noun}: {amount:,}, and at most {bound:,} are taken")


def _experiment(asked: Asked, bounds: Bounds) -> Ready:
    typed, runs_code, title = asked.experiment, dict[str, str](), ""
    known = {e.name: e for e in catalogue.entries()}
    if typed not in known:
        if not _is_code(typed):
            hint = (
                "give a study's text as study" if typed.endswith(STUDIES) else nearest(typed, known)
            )
            raise ExperimentError(f"no experiment is called {typed[:SHOWN]!r}; {hint}")
        typed = str(bounds.code_file(typed, "experiment"))
        runs_code = {typed: code(typed)}
    with suppress(ExperimentError):  # a user's own file may have no header
        title = catalogue.entry(typed).header().title
    experiment = catalogue.find(typed)
    preset, runs = _chosen(experiment, asked)
    content = {"experiment": asked.experiment, "code": sorted(runs_code.values())}
    return Ready(
        asked=asked,
        key=_key(content, experiment, preset),
        experiment=experiment,
        preset=preset,
        runs=runs,
        typed=typed,
        question=title,
        code=runs_code,
    )


def _study(asked: Asked, bounds: Bounds, place: Path, store: Store, names: dict[str, str]) -> Ready:
    """Write a study into a folder, and compose it; `names` gets the places that errors must not
    name."""
    ending = ".md" if asked.study.lstrip("\ufeff").startswith(FENCE) else ".toml"
    path = place / f"{NAME}{ending}"
    path.write_bytes(asked.study.encode())
    _hide(path, names)
    text, is_whole = _read(path)
    links, runs_code = _parts(text, bounds)
    for name, target in links.items():
        (place / name).symlink_to(target)
    if is_whole and (lacks := missing.essential(text)):
        composing.refuse_unknown_names(text)  # a wrong name first: what is missing may depend on it
        assumed = missing.assumed(text) if text.study.experiment else []
        raise Lacking(
            *([replace(m, text=substitute(m.text, names)) for m in p] for p in (lacks, assumed))
        )
    experiment = catalogue.find(str(path))
    preset, runs = _chosen(experiment, asked)
    content = {"study": asked.study, "name": NAME, "code": sorted(runs_code.values())}
    key = _key(content, experiment, preset)
    called = _frozen_name(store, experiment, preset) or f"{NAME}-{key[:8]}"
    path = path.rename(place / f"{called}{ending}")
    _hide(path, names)
    return Ready(
        asked=asked,
        key=key,
        experiment=replace(experiment, name=called, origin=str(path.resolve())),
        preset=preset,
        runs=runs,
        typed=path.name,
        question=text.study.question,
        study=path,
        links=links,
        code=runs_code,
        names=names,
    )


def _read(path: Path) -> tuple[Text, bool]:
    """Read a study, or, where some of its fields cannot be read, what is left without them: it is
    refused with all its mistakes where it is composed. Raises: ExperimentError."""
    try:
        return read(path), True
    except PlacedError as error:
        if (text := mistakes.readable(path, read_whole(path), error)) is None:
            raise
        return text, False


def _hide(path: Path, names: dict[str, str]) -> None:
    """Note what to say in the place of a study's file and its folder."""
    for place in (path.parent, path.parent.resolve()):
        names |= {str(place): "…", str(place / path.name): "the study"}


def _frozen_name(store: Store, experiment: Experiment, preset: Preset) -> str:
    """The name of what was frozen in this store with the same claims, arms and seeds, so that its
    run follows what was frozen; "" where nothing was.

    The name of a file that reads differently now, a comment apart, stays that file's."""
    if not (store.root / "registered").is_dir():
        return ""
    for registration, changed in registered.about(store, experiment, preset):
        name = str(registration.content["experiment"])
        if changed or catalogue.lossy(name) != name:
            continue
        with suppress(StoreError):
            origin.check(store, name, experiment.origin)
            return name
    return ""


def _parts(text: Text, bounds: Bounds) -> tuple[dict[str, Path], dict[str, str]]:
    """Check what a study names before any of it is opened: links to write next to it, and the code
    that it runs."""
    study, names = text.study, {e.name for e in catalogue.entries()}
    most(len(study.claim) + len(study.estimate), CLAIMS, "claims and estimates")
    links, runs_code, runs = dict[str, Path](), dict[str, str](), 0
    for i, part in enumerate(study.experiment):
        if part.name not in names:
            location = text.at("experiment", i, "name")
            if not _is_code(part.name):
                raise ExperimentError(
                    f"{location}: no experiment is called {part.name[:SHOWN]!r}; "
                    f"{nearest(part.name[:SHOWN], names)}"
                )
            path = bounds.code_file(part.name, location)
            runs_code[str(path)] = code(str(path))
            links |= bounds.link(part.name)
        choices = max((len(v) for v in part.paired.values()), default=1)
        for value in part.fields.values():  # they are multiplied out when it is composed
            choices = min(choices * _count(value), RUNS + 1)
        runs += choices * _count(study.seeds)
    most(runs, RUNS, "runs of one arm of all experiments")
    for location, name in files_named(study):
        if bounds.place(name, location).exists():
            links |= bounds.link(name)
    content = msgspec.to_builtins(study)
    prose = {"question", "seeds", "budget", "claim", *ASKED}
    fields = {k: v for k, v in content.items() if k not in prose}
    bounds.check(
        (location, s) for k, v in fields.items() for location, s in _texts(v, k) if s not in names
    )
    for kind in ASKED:
        for i, table in enumerate(content[kind]):
            if file := table.get("function", "").rpartition(":")[0]:
                path = bounds.code_file(file, text.at(kind, i, "function"))
                runs_code[str(path)] = code(str(path))
    bounds.check(pair for claim in content["claim"] for pair in _texts(claim["where"], "where"))
    return links, runs_code


def _texts(value: Any, location: str) -> Iterator[tuple[str, str]]:
    """Every text in nested tables and lists, and where it is."""
    if isinstance(value, str):
        yield location, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(part, f"{location}.{key}")
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part, location)


def _count(value: Any) -> int:
    """How many values a field is given: of a list or of a range such as 0:6; 1 for anything
    else."""
    if isinstance(value, list | tuple):
        return sum(map(_count, value)) or 1
    bare = re.fullmatch(r"\s*(\d{1,18})\s*:\s*(\d{1,18})\s*", str(value))
    return max(1, int(bare[2]) - int(bare[1])) if bare else 1


def _is_code(name: str) -> bool:
    return name.endswith(".py") or "/" in name


def _chosen(experiment: Experiment, asked: Asked) -> tuple[Preset, int]:
    preset = override(experiment, asked.preset, asked.sets)
    experiment = experiment.designed(preset.specs[:1])
    runs = sum(
        len(experiment.specs_of(name, preset.specs))
        for name, arm in experiment.arms.items()
        if arm.train is not None
    )
    most(runs, RUNS, "runs of all arms")
    return preset, runs


def _key(content: Mapping[str, Any], experiment: Experiment, preset: Preset) -> str:
    version = {
        "version": experiment.version,
        "measured": experiment.measured,
        "claims": claims_key(experiment.claims),
    }
    text = canonical_json({**content, **version, "preset": preset.name, "sets": list(preset.sets)})
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:DIGITS]
