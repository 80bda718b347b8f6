"""Audit: what the claims of the catalogue, of one's experiment or of a study leave open, by what is
recorded or stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assay.core import audit as core
from assay.core.claims import Claim
from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.heavy import xr
from assay.core.memo import remembering
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge.result import with_derived
from assay.lab.lab import Lab
from assay.lab.plan.forecast import measured
from assay.lab.plan.preset import override
from assay.lab.records import recording, records


@dataclass(frozen=True)
class Doubt:
    """What one claim leaves open."""

    experiment: str
    claim: int
    """Its number, from 1."""
    text: str
    about: Literal["average", "control", "also"]
    what: str


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What claims leave open; it is no verdict, and none is changed by it."""

    experiments: int
    claims: int
    """How many were asked."""
    doubts: tuple[Doubt, ...]
    counts: Mapping[str, int]
    """Claims with at least one doubt of a kind: average, control, also."""
    unasked: Mapping[str, str]
    """What could not be asked, and why: an experiment, or one of its claims."""


def audit(root: Path, names: Sequence[str] = ()) -> Audit:
    """Ask the claims of experiments, files or studies, of the whole catalogue where none is named.
    Raises: ExperimentError."""
    doubts: list[Doubt] = []
    unasked: dict[str, str] = {}
    experiments = [catalogue.find(name) for name in names or [e.name for e in catalogue.entries()]]
    count = 0
    for experiment in experiments:
        claims = [c for c in experiment.claims if isinstance(c, Claim)]
        arms = _measures(experiment, root) if claims else {}
        if claims and not arms:
            unasked[experiment.name] = f"nothing is measured: assay run {experiment.typed} first"
            continue
        with remembering(arms):
            for i, claim in enumerate(claims, 1):
                try:
                    doubts += [
                        Doubt(experiment.name, i, claim.text, d.about, d.what)
                        for d in core.doubts(claim, experiment, arms)
                    ]
                    count += 1
                except AssayError as e:
                    unasked[f"{experiment.name} {i}"] = str(e)
    counts: dict[str, int] = {
        kind: len({(d.experiment, d.claim) for d in doubts if d.about == kind})
        for kind in ("average", "control", "also")
    }
    return Audit(
        experiments=len(experiments),
        claims=count,
        doubts=tuple(doubts),
        counts=counts,
        unasked=unasked,
    )


def doubts_in_words(audit: Audit) -> Iterator[str]:
    """Tell what claims leave open, a line for each."""
    for doubt in audit.doubts:
        yield f"{doubt.experiment} {doubt.claim}: {doubt.what}"
    for name, why in audit.unasked.items():
        yield f"{name}: not asked: {why}"
    average, control, also = (audit.counts[kind] for kind in ("average", "control", "also"))
    yield (
        f"of {audit.claims} claims {average} average what they do not name, {control} have a "
        f"control that decides nothing, {also} may hold where less was learned"
    )


def _measures(experiment: Experiment, root: Path) -> Mapping[str, xr.Dataset]:
    """What is stored of an experiment where there is enough, else recorded; of one that cannot be
    planned here, as recorded."""
    try:
        return measured(Lab(root, Inline()).plan(experiment, override(experiment)), experiment)
    except AssayError:  # a model or a text is not here
        record = records.load_record(experiment)
        return with_derived(experiment, recording.arms(experiment, record)) if record else {}
