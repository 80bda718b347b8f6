"""Asked: what somebody submits, read and held to its bounds; the experiment it is, and the key of
what is asked.

A key is a hash of what is asked and of the version that is to answer, so that submitting twice is
one job. Nothing that a submission names is opened before it is known to lie in the workspace, and
no file of code is imported unless that was allowed."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from assay.core.claims import claims_key
from assay.core.errors import AssayError, ExperimentError, nearest
from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.jobs.bounds import LINE, SHORT, Bounds, most
from assay.lab import catalogue
from assay.lab.origin import OPENS, STUDIES, code
from assay.lab.preset import MOST, Preset, override
from assay.studies import composing, missing
from assay.studies.missing import Missing
from assay.studies.text import FENCE, Text, read

DIGITS = 32
"""Hex digits of a job's key."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A study's text, or the name of an experiment; with a preset and fields that are set, as
    `assay run` takes them."""

    study: str = ""
    """TOML, or Markdown that begins with TOML; empty where an experiment is named."""
    experiment: str = ""
    """A name of the catalogue; where code is allowed, also the path of a Python file in the
    workspace."""
    preset: str = "default"
    sets: tuple[str, ...] = ()
    """Fields as field=value."""
    name: str = ""
    """What to call a study; its runs are stored under this name and the first digits of its key."""


class Lacking(ExperimentError):
    """A study does not say all that it has to; `lacks` lists what."""

    def __init__(self, lacks: Sequence[Missing], messages: Sequence[str]):
        super().__init__(
            f"the study lacks {len(lacks)} thing{'s' * (len(lacks) > 1)}: " + "; ".join(messages)
        )
        self.lacks, self.shown = tuple(lacks), tuple(messages)


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What can run: the experiment, its preset, the key, and what has to lie beside it."""

    asked: Asked
    key: str
    name: str
    """Under which its runs are stored."""
    experiment: Experiment
    preset: Preset
    runs: int
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The study, by the file's name."""
    links: Mapping[str, Path] = field(default_factory=dict)
    """Names beside the study that lead to files of the workspace."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Path of each file of code that it runs, and the digest of its text."""
    question: str = ""
    typed: str = ""
    """How the experiment is found: its name or path; of a study the file's name."""


def ready(request: Asked, bounds: Bounds = Bounds()) -> Ready:  # noqa: B008
    """Read what is asked, and hold it to its bounds; nothing is written into a store.

    Raises: Lacking for a study that does not say enough; ExperimentError, SpecError with line and
    column where a study has them."""
    _sized(request, bounds)
    if bool(request.study.strip()) == bool(request.experiment):
        raise ExperimentError("submit either a study's text or an experiment's name")
    return _study(request, bounds) if request.study.strip() else _experiment(request, bounds)


def _sized(request: Asked, bounds: Bounds) -> None:
    most(len(request.study.encode(errors="replace")), bounds.text, "bytes of the study")
    most(len(request.sets), bounds.sets, "fields that are set")
    for what, text, longest in (
        ("experiment", request.experiment, LINE),
        ("preset", request.preset, SHORT),
        ("name", request.name, SHORT),
    ):
        most(len(text), longest, f"characters of {what}")
    for setting in request.sets:
        most(len(setting), LINE, "characters of one field that is set")
    if any(
        "\0" in text or "\ud800" <= max(text, default="") <= "\udfff"
        for text in (request.study, request.experiment, *request.sets)
    ):
        raise ExperimentError(
            "what is submitted is text without null characters and halves of characters"
        )


def _experiment(request: Asked, bounds: Bounds) -> Ready:
    typed, runs_code = request.experiment, {}
    if request.name:
        raise ExperimentError("only a study is given a name; an experiment has its own")
    if typed not in (known := {e.name for e in catalogue.entries()}):
        if not _is_code(typed):
            hint = (
                "send a study's text as study" if typed.endswith(STUDIES) else nearest(typed, known)
            )
            raise ExperimentError(f"no experiment is called {typed!r}; {hint}")
        path = _code(typed, "experiment", bounds)
        typed, runs_code = str(path), {str(path): code(str(path))}
    _places(((f"set {text}", text.partition("=")[2].strip()) for text in request.sets), bounds)
    experiment = catalogue.find(typed)
    preset, runs = _chosen(experiment, request, bounds)
    what = {"experiment": request.experiment, "code": sorted(runs_code.values())}
    question = _title(typed)
    return Ready(
        asked=request,
        key=_key(what, experiment, preset),
        question=question,
        name=experiment.name,
        experiment=experiment,
        preset=preset,
        runs=runs,
        code=runs_code,
        typed=typed,
    )


@contextmanager
def laid_out(submission: Ready) -> Iterator[str]:
    """Lay a study out in a folder of its own, as its job would have it, and give its path; of an
    experiment what is typed for it."""
    if not submission.files:
        yield submission.typed
        return
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        for name, data in submission.files.items():
            (Path(folder) / name).write_bytes(data)
        for name, target in submission.links.items():
            (Path(folder) / name).symlink_to(target)
        path = Path(folder) / submission.typed
        try:
            yield str(path)
        except AssayError as e:
            e.args = (strip_path(str(e), path),)
            raise


def _title(typed: str) -> str:
    """What the header of an experiment's file calls it; a user's own may have none."""
    try:
        return catalogue.entry(typed).header().title
    except ExperimentError:
        return ""


def _study(request: Asked, bounds: Bounds) -> Ready:
    ending = ".md" if request.study.lstrip("\ufeff").startswith(FENCE) else ".toml"
    _places(((f"set {text}", text.partition("=")[2].strip()) for text in request.sets), bounds)
    slug = catalogue.lossy(request.name) if request.name else "study"
    if not slug:
        raise ExperimentError(f"a study's name has letters a–z or digits, got {request.name!r}")
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        path = Path(folder) / f"{slug}{ending}"
        try:
            path.write_text(request.study, encoding="utf-8")
            text = read(path)
            links, runs_code = _parts(text, bounds)
            for name, target in links.items():
                (path.parent / name).symlink_to(target)
            if lacks := missing.essential(text):
                composing.known(
                    text
                )  # a wrong name is told first: what is missing may depend on it
                raise Lacking(lacks, [strip_path(m.text, path) for m in lacks])
            experiment = catalogue.find(str(path))
            preset, runs = _chosen(experiment, request, bounds)
        except Lacking:
            raise
        except AssayError as e:
            raise type(e)(strip_path(str(e), path)) from None
    key = _key(
        {"study": request.study, "name": slug, "code": sorted(runs_code.values())},
        experiment,
        preset,
    )
    name = f"{slug}-{key[:8]}"
    file = f"{name}{ending}"
    return Ready(
        asked=request,
        key=key,
        name=name,
        experiment=experiment,
        preset=preset,
        runs=runs,
        files={file: request.study.encode()},
        links=links,
        code=runs_code,
        question=text.study.question,
        typed=file,
    )


def strip_path(text: str, path: Path) -> str:
    """Give a sentence without the place where the study was read."""
    return (
        text.replace(str(path.resolve()), "the study")
        .replace(str(path), "the study")
        .replace(str(path.parent), "…")
    )


def _parts(text: Text, bounds: Bounds) -> tuple[dict[str, Path], dict[str, str]]:
    """Hold a study to its bounds before anything that it names is opened: links to lay beside it,
    and the code that it runs."""
    study, known = text.study, {e.name for e in catalogue.entries()}
    links, runs_code = dict[str, Path](), dict[str, str]()
    most(len(study.claim) + len(study.estimate), bounds.sets, "claims and estimates")
    seeds, runs = _count(study.seeds), 0
    for i, part in enumerate(study.experiment):
        if part.name not in known:
            location = text.at("experiment", i, "name")
            if not _is_code(part.name):
                raise ExperimentError(
                    f"{location}: no experiment is called {part.name[:LINE]!r}; "
                    f"{nearest(part.name[:LINE], known)}"
                )
            path = _code(part.name, location, bounds)
            runs_code[str(path)] = code(str(path))
            first = Path(part.name).parts[0] if not Path(part.name).is_absolute() else ""
            if first and bounds.workspace is not None:
                links[first] = bounds.workspace.resolve() / first
        choices = max((len(v) for v in part.paired.values()), default=1)
        for value in part.fields.values():
            choices = min(choices * _count(value), MOST**2)
        runs += choices * seeds
    most(runs, bounds.runs, "runs of one arm of all experiments")
    content = msgspec.to_builtins(study)
    prose = {"question", "seeds", "budget", "claim"}
    _places(
        (
            (k, s)
            for k, v in content.items()
            if k not in prose
            for k, s in _texts(v, k)
            if s not in known
        ),
        bounds,
    )
    _places(
        (pair for claim in content["claim"] for pair in _texts(claim["where"], "claim.where")),
        bounds,
    )
    return links, runs_code


def _texts(value: Any, location: str) -> Iterator[tuple[str, str]]:
    """Every text in nested tables and lists, and where it stands."""
    if isinstance(value, str):
        yield location, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(part, f"{location}.{key}")
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part, location)


def _places(texts: Iterator[tuple[str, str]], bounds: Bounds) -> None:
    """Refuse a text that, read as a path, leads out of the workspace: any field may be the path of
    a corpus or a model."""
    for location, text in texts:
        for part in text.split(","):
            bounds.place(part.strip(), location)


def _count(value: Any) -> int:
    """How many values a field is given: of a list or of a range such as 0:6; 1 for anything
    else."""
    if isinstance(value, list | tuple):
        return sum(map(_count, value)) or 1
    match = (
        re.fullmatch(r"\s*(\d{1,18})\s*:\s*(\d{1,18})\s*", value)
        if isinstance(value, str)
        else None
    )
    return max(1, int(match[2]) - int(match[1])) if match else 1


def _is_code(name: str) -> bool:
    return name.endswith(".py") or "/" in name


def _code(name: str, location: str, bounds: Bounds) -> Path:
    """The file of code that is named, where it may run. Raises: ExperimentError."""
    if not bounds.code or bounds.workspace is None:
        raise ExperimentError(
            f"{location}: {name[:LINE]!r} is a file of code; it runs only from a workspace, where "
            "code was allowed (--allow-code)"
        )
    path = bounds.place(name, location)
    path = path / OPENS if (path / OPENS).is_file() else path
    if path.suffix != ".py" or not path.is_file():
        raise ExperimentError(f"{location}: {name[:LINE]!r} is no Python file in the workspace")
    return path


def _chosen(experiment: Experiment, request: Asked, bounds: Bounds) -> tuple[Preset, int]:
    preset = override(experiment, request.preset, request.sets)
    runs = sum(
        len(experiment.specs_of(name, preset.specs))
        for name, arm in experiment.arms.items()
        if arm.train is not None
    )
    most(runs, bounds.runs, "runs of all arms")
    return preset, runs


def _key(what: Mapping[str, Any], experiment: Experiment, preset: Preset) -> str:
    version = {
        "version": experiment.version,
        "measured": experiment.measured,
        "claims": claims_key(experiment.claims),
    }
    text = canonical_json({**what, **version, "preset": preset.name, "sets": list(preset.sets)})
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:DIGITS]
