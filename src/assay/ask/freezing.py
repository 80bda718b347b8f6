"""Freezing: preregister what is to be judged before any result exists."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from assay.ask import missing
from assay.ask.sides import sides
from assay.ask.text import read
from assay.core import scopes
from assay.core.claims import Claim, Estimate
from assay.core.errors import AssayError, ExperimentError
from assay.core.experiment import Experiment
from assay.core.judging import FEWEST_ALONE
from assay.core.nouns import plural
from assay.core.power import FEWEST, decidable
from assay.core.schema import OMITTED
from assay.lab import catalogue
from assay.lab.judge import registered
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset
from assay.lab.store.journal import Ledger
from assay.lab.store.origin import STUDIES, claim, owner
from assay.lab.store.store import Store


@dataclass(frozen=True)
class Registered:
    """What was frozen, and where it was written."""

    experiment: str
    preset: str
    hash: str
    """SHA-256 of what was frozen, 64 hex digits."""
    time: str
    already: bool
    """Whether the same had been frozen before."""
    claims: tuple[str, ...]
    estimates: tuple[str, ...]
    seeds: str
    """All seeds, as ranges whose end is excluded: they are judged once, when every run is
    stored."""
    files: tuple[Path, ...]
    names_seeds: bool = field(default=True, metadata=OMITTED)
    """Whether the author names them, so that they are not only draws of the controls."""
    anchor: str = ""
    """The time stamp, if one was made."""


def preregister(
    lab: Lab, experiment: Experiment, preset: Preset, *, here: bool = True, anyway: bool = False
) -> Registered:
    """Freeze what is to be judged. Without `here` it is only written to the store, since a
    submitted study has no file next to which it could be.

    Raises: ExperimentError, unless `anyway`, for a claim that no data could decide; StoreError
    where results may have been seen, or something else was frozen."""
    if not anyway and (hopeless := undecidable(experiment, preset)):
        lines = missing.undecidable(experiment) if experiment.origin.endswith(STUDIES) else []
        why = next(iter(lines), f"no data could decide {hopeless[0]}; set more seeds")
        raise ExperimentError(f"{why}; to freeze it all the same: --anyway")
    earlier, related = registered.find(lab.store, experiment, preset), _borrowed(experiment)
    others = kin(lab.store, experiment.name, {experiment.name, *(e.name for e in related)})
    registration = registered.freeze(
        lab.store, experiment, preset, related, tuple(others), write_adjacent=here
    )
    if here:
        claim(lab.store, experiment)
    adjacent = registered.adjacent_path(experiment, preset) if here else None
    places = (adjacent, registered.place(lab.store, experiment, preset))
    statements = experiment.sized(preset.specs).claims
    return Registered(
        experiment=experiment.name,
        preset=preset.title,
        hash=registration.hash,
        time=registration.time,
        already=earlier is not None,
        claims=tuple(c.text for c in statements if isinstance(c, Claim)),
        estimates=tuple(s.text for s in statements if isinstance(s, Estimate)),
        seeds=registration.content["seeds"],
        names_seeds=not experiment.draws or bool(read(Path(experiment.origin)).study.seeds),
        files=tuple(p for p in places if p is not None and p.exists()),
    )


def undecidable(experiment: Experiment, preset: Preset) -> list[str]:
    """The claims that no data could decide, each with its units: fewer than a verdict needs, or so
    few that even the exact interval of equal values contains the threshold."""
    lines = []
    for c in (c for c in experiment.sized(preset.specs).claims if isinstance(c, Claim)):
        if experiment.arms[c.of].train is None:
            continue
        specs = [s for s in experiment.specs_of(c.of, preset.specs) if scopes.fits(s, c.where)]
        levels = experiment.arms[c.of].levels
        for unit in (u for u in c.units if specs and (hasattr(specs[0], u) or u in levels)):
            n = levels.get(unit) or len({getattr(s, unit) for s in specs})
            fewest = FEWEST if any(hasattr(specs[0], u) for u in c.units) else FEWEST_ALONE
            if not decidable(c, n, fewest):
                lines.append(f"{c.text!r}, which has {n} {plural(unit, n)}")
    return lines


def _borrowed(experiment: Experiment) -> Sequence[Experiment]:
    """The experiments that a study borrows from: anyone who looked at their seeds may know the
    results of the study."""
    if not experiment.origin.endswith(STUDIES):
        return ()
    return list({side.of.name: side.of for side in sides(read(Path(experiment.origin)))}.values())


def about(origin: str) -> tuple[str, ...]:
    """The experiments that the file at `origin` is about: those of a study, otherwise itself."""
    if not origin.endswith(STUDIES):
        return ()
    return tuple(
        Path(part.name).stem.replace("_", "-") for part in read(Path(origin)).study.experiment
    )


def kin(store: Store, name: str, names: Collection[str]) -> Iterator[str]:
    """Give the names of other stored results about one of these experiments; results of unknown
    subject count."""
    for path in sorted((store.root / "results").glob("*/frozen.jsonl")):
        other = path.parent.name
        if other != name and not (subjects(store, other) or set(names)).isdisjoint(names):
            yield other


def subjects(store: Store, name: str) -> set[str]:
    """The experiments that results of this name are about, according to the ledger and their file;
    empty if neither says."""
    experiments = {
        subject
        for line in Ledger(store).looks
        if line["experiment"] == name
        for subject in line["about"]
    }
    file = owner(store, name)
    with suppress(AssayError):
        if file or name in {e.name for e in catalogue.entries()}:
            experiments |= {name, *about(file)}
    return experiments
