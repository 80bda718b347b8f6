"""Submission: what somebody asks, read and held to its bounds; the experiment it is, and the key
of what is asked.

A key is a hash of what is asked and of the version that is to answer, so that submitting twice is
one job. Nothing that a submission names is opened before it is known to lie in the workspace, and
no file of code is imported unless that was allowed."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from assay.core.claims import claims_key
from assay.core.errors import ExperimentError, StoreError, nearest, renamed, substitute
from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.jobs.bounds import LINE, SHORT, Bounds, most
from assay.lab import catalogue
from assay.lab.judge import registered
from assay.lab.plan.preset import MOST, Preset, override
from assay.lab.store import origin
from assay.lab.store.origin import OPENS, STUDIES, code
from assay.lab.store.store import Store
from assay.studies import composing, missing
from assay.studies.missing import Missing
from assay.studies.parts import places
from assay.studies.text import ASKED, FENCE, Text, read

DIGITS = 32
"""Hex digits of a job's key."""


Chosen = Annotated[str, Meta(max_length=SHORT, description="smoke, default or full")]
Sets = Annotated[
    tuple[Annotated[str, Meta(max_length=LINE)], ...],
    Meta(max_length=Bounds.sets, description="Fields as field=value"),
]
Title = Annotated[
    str,
    Meta(
        max_length=SHORT,
        description=(
            "What to call a study; its runs are stored under this name and the first digits of "
            "its key."
        ),
    ),
]


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either a study's text, or an experiment's name; with a preset and fields that are set, as
    `assay run` takes them."""

    study: Annotated[
        str,
        Meta(
            max_length=Bounds.text,
            description=(
                "TOML, or Markdown that begins with TOML; empty where an experiment is named."
            ),
        ),
    ] = ""
    experiment: Annotated[
        str,
        Meta(
            max_length=LINE,
            description=(
                "A name of the catalogue; where code is allowed, also the path of a Python file "
                "in the workspace."
            ),
        ),
    ] = ""
    preset: Chosen = "default"
    sets: Sets = ()
    name: Title = ""


class Lacking(ExperimentError):
    """A study does not say all that it has to: `lacks` lists what, and `assumed` what is taken in
    the place of the rest that it does not say."""

    def __init__(self, lacks: Sequence[Missing], assumed: Sequence[Missing]):
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
    """Where a study lies while it is open."""
    links: Mapping[str, Path] = field(default_factory=dict)
    """Names beside the study that lead to files of the workspace."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Path of each file of code that it runs, and the digest of its text."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Places of files, and what is said in their place."""

    def without_places(self, text: str) -> str:
        """Give a sentence without the places of files."""
        return substitute(text, self.names)


@contextmanager
# — frozen
def opened(root: Path, request: Asked, bounds: Bounds = Bounds()) -> Iterator[Ready]:  # noqa: B008
    """Read what is asked, hold it to its bounds, and give what can run in this store; nothing is
    written into it. While the body runs, a study lies in a folder of its own.

    A study has the name under which the same one was frozen in this store, else one of its own.
    What is raised names neither that folder nor the place of the store.

    Raises: Lacking for a study that does not say enough; ExperimentError, SpecError with line and
    column where a study has them."""
    names = {str(place): "the store" for place in (root.absolute(), root.resolve())}
    _check_sizes(request, bounds)
    if bool(request.study.strip()) == bool(request.experiment):
        raise ExperimentError("submit either a study's text or an experiment's name")
    _check_places(((f"set {s}", s.partition("=")[2].strip()) for s in request.sets), bounds)
    with tempfile.TemporaryDirectory(prefix="assay-") as folder, renamed(names):
        yield (
            _study(request, bounds, Path(folder), Store(root), names)
            if request.study.strip()
            else _experiment(request, bounds)
        )


def _check_sizes(request: Asked, bounds: Bounds) -> None:
    most(len(request.study.encode(errors="replace")), bounds.text, "bytes of the study")
    most(len(request.sets), bounds.sets, "fields that are set")
    most(len(request.experiment), LINE, "characters of experiment")
    most(len(request.preset), SHORT, "characters of preset")
    most(len(request.name), SHORT, "characters of name")
    for text in request.sets:
        most(len(text), LINE, "characters of one field that is set")
    for text in (request.study, request.experiment, *request.sets):
        if "\0" in text or "\ud800" <= max(text, default="") <= "\udfff":
            raise ExperimentError(
                "what is submitted is text without null characters and halves of characters"
            )


def _experiment(request: Asked, bounds: Bounds) -> Ready:
    typed, runs_code = request.experiment, {}
    if request.name:
        raise ExperimentError("only a study is given a name; an experiment has its own")
    known = {e.name: e for e in catalogue.entries()}
    if typed not in known:
        if not _is_code(typed):
            hint = (
                "send a study's text as study" if typed.endswith(STUDIES) else nearest(typed, known)
            )
            raise ExperimentError(f"no experiment is called {typed!r}; {hint}")
        path = _code(typed, "experiment", bounds)
        typed, runs_code = str(path), {str(path): code(str(path))}
    experiment = catalogue.find(typed)
    preset, runs = _chosen(experiment, request, bounds)
    what = {"experiment": request.experiment, "code": sorted(runs_code.values())}
    return Ready(
        asked=request,
        key=_key(what, experiment, preset),
        experiment=experiment,
        preset=preset,
        runs=runs,
        typed=typed,
        question=_title(typed),
        code=runs_code,
    )


def _title(typed: str) -> str:
    """What the header of an experiment's file calls it; a user's own may have none."""
    try:
        return catalogue.entry(typed).header().title
    except ExperimentError:
        return ""


def _study(
    request: Asked, bounds: Bounds, folder: Path, store: Store, names: dict[str, str]
) -> Ready:
    """Lay a study out in a folder, and compose it; `names` gets the places that errors must not
    name."""
    slug = catalogue.lossy(request.name) if request.name else "study"
    if not slug:
        raise ExperimentError(f"a study's name has letters a–z or digits, got {request.name!r}")
    ending = ".md" if request.study.lstrip("\ufeff").startswith(FENCE) else ".toml"
    path = folder / f"{slug}{ending}"
    path.write_bytes(request.study.encode())
    for place in (folder, folder.resolve()):
        names |= {str(place): "…", str(place / path.name): "the study"}
    text = read(path)
    links, runs_code = _parts(text, bounds)
    for name, target in links.items():
        (folder / name).symlink_to(target)
    if lacks := missing.essential(text):
        composing.known(text)  # a wrong name is told first: what is missing may depend on it
        assumed = missing.assumed(text) if text.study.experiment else []
        raise Lacking(
            *([replace(m, text=substitute(m.text, names)) for m in p] for p in (lacks, assumed))
        )
    experiment = catalogue.find(str(path))
    preset, runs = _chosen(experiment, request, bounds)
    what = {"study": request.study, "name": slug, "code": sorted(runs_code.values())}
    key = _key(what, experiment, preset)
    name = _frozen_name(store, experiment, preset) or f"{slug}-{key[:8]}"
    path = path.rename(folder / f"{name}{ending}")
    for place in (folder, folder.resolve()):
        names[str(place / path.name)] = "the study"
    return Ready(
        asked=request,
        key=key,
        experiment=replace(experiment, name=name, origin=str(path.resolve())),
        preset=preset,
        runs=runs,
        typed=path.name,
        question=text.study.question,
        study=path,
        links=links,
        code=runs_code,
        names=names,
    )


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
        try:
            origin.check(store, name, experiment.origin)
        except StoreError:
            continue
        return name
    return ""


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
    for location, name in places(study):
        path = bounds.place(name, location)
        first = Path(name).parts[0] if Path(name).parts and not Path(name).is_absolute() else ""
        if bounds.workspace is not None and first not in ("", ".") and path.exists():
            links[first] = bounds.workspace.resolve() / first
    content = msgspec.to_builtins(study)
    prose = {"question", "seeds", "budget", "claim", *ASKED}
    _check_places(
        (
            (k, s)
            for k, v in content.items()
            if k not in prose
            for k, s in _texts(v, k)
            if s not in known
        ),
        bounds,
    )
    _check_places(
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


def _check_places(texts: Iterator[tuple[str, str]], bounds: Bounds) -> None:
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
    experiment = experiment.designed(preset.specs[:1])
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
