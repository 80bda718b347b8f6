"""Preregister: what is to be judged, frozen before any result exists, with the looks that may be
taken on the way."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.core import foreign, scopes
from assay.core.claims import Claim, Estimate
from assay.core.errors import ExperimentError
from assay.core.experiment import Experiment
from assay.core.judging import FEWEST_ALONE, percent
from assay.core.power import FEWEST, decidable
from assay.core.reading import plural
from assay.lab.judge import registered
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset
from assay.lab.store.origin import STUDIES, claim
from assay.studies.related import kin
from assay.studies.sides import sides
from assay.studies.text import read
from assay.verbs.options import DEFAULT, HERE, Choice, Flag, Name, Place
from assay.verbs.verb import Answer, Line, Part, verb


@dataclass(frozen=True)
class Look:
    """One declared look: how many seeds it has, which, and the level of its intervals, 0 to 1."""

    units: int
    seeds: str
    level: float
    spent: float
    """Of the error rate, by this look and all before it."""


@dataclass(frozen=True)
class Registered:
    """What was frozen, and where it is written."""

    experiment: str
    preset: str
    hash: str
    """SHA-256 of what was frozen, 64 hex digits."""
    time: str
    already: bool
    """Whether the same had been frozen before."""
    claims: tuple[str, ...]
    estimates: tuple[str, ...]
    looks: tuple[Look, ...]
    files: tuple[Path, ...]
    signature: str | None
    """SHA-256 of the signature that was given now."""


@verb("what was frozen, its hash, and the looks", version=2)
def command(
    name: Name,
    /,
    *,
    looks: str | None = None,
    sign: Path | None = None,
    anyway: Flag = False,
    choice: Choice = DEFAULT,
    place: Place = HERE,
) -> Answer[Registered]:
    """Freeze claims, thresholds, controls, seeds and looks before any result exists: a sealed file,
    which a run then follows.

    Parameters
    ----------
    looks
        After how many seeds verdicts may be looked at, such as 8,16,24: the first 8 of them, then
        16, then all 24; at most four looks. What a look settles stays, and nothing more is trained
        once every claim is settled. Without it: once, after all seeds.
    sign
        A signature of your own of what was frozen, made with ssh-keygen or gpg: kept by its hash,
        and never read.
    anyway
        Also what no data could decide, such as a claim with five seeds.

    Examples
    --------
    assay preregister my_question.toml --looks 8,16
    """
    experiment, preset = choice.of(name)
    registration = preregister(place.lab(), experiment, preset, looks, sign, anyway=anyway)
    return Answer(
        registration, words(registration, f"{shlex.quote(name)}{preset.options}{place.options}")
    )


def words(registration: Registered, typed: str) -> Iterator[Part]:
    """Tell what was frozen, its hash, the looks and the files; then what to type next."""
    state = "was frozen so already" if registration.already else "is frozen"
    counts = [(len(registration.claims), "claim"), (len(registration.estimates), "estimate")]
    kinds = [f"{n} {what}{'s' * (n != 1)}" for n, what in counts if n or what == "claim"]
    yield f"{registration.experiment} {state}: {', '.join(kinds)}, {registration.time}"
    yield Line(f"sha256 {registration.hash}")
    for number, look in enumerate(registration.looks, 1):
        yield Line(
            f"look {number} of {len(registration.looks)}: at {look.units} seeds ({look.seeds}), "
            f"intervals of {percent(look.level)}"
        )
    if registration.signature:
        yield Line(f"signature kept, sha256 {registration.signature}")
    yield from (Line(str(path)) for path in registration.files)
    yield Line(f"Next: assay run {typed}")


def preregister(
    lab: Lab,
    experiment: Experiment,
    preset: Preset,
    looks: str | None = None,
    sign: Path | None = None,
    *,
    here: bool = True,
    anyway: bool = False,
) -> Registered:
    """Freeze what is to be judged, with looks after so many seeds such as "8,16"; keep a signature
    of the author's own.

    Without `here` nothing is written but in the store: what was submitted has no file of its
    author's beside which it could lie.

    Raises: ExperimentError for looks that cannot be, or, unless `anyway`, for a claim that no data
    could decide; StoreError where results may have been seen, or something else was frozen."""
    if not anyway and (hopeless := undecidable(experiment, preset)):
        raise ExperimentError(
            f"no data could decide {hopeless[0]}; set more seeds, or freeze it so with --anyway"
        )
    if sign is not None:
        foreign.read(
            sign, "a signature", registered.LARGEST
        )  # what cannot be read is told before anything is frozen
    before = registered.find(lab.store, experiment, preset)
    if before is not None and looks is None:
        registration = registered.freeze(lab.store, experiment, preset, before.units)
    else:
        related = _borrowed(experiment)
        kin_names = kin(
            lab.store, experiment.name, {experiment.name, *(relative.name for relative in related)}
        )
        registration = registered.freeze(
            lab.store, experiment, preset, _units(looks), related, kin_names, write_adjacent=here
        )
    if here:
        claim(lab.store, experiment)
    signature = (
        registered.sign(lab.store, experiment, preset, registration, sign)
        if sign is not None
        else None
    )
    places = (
        registered.adjacent_path(experiment, preset) if here else None,
        registered.place(lab.store, experiment, preset),
    )
    statements = experiment.sized(preset.specs).claims
    return Registered(
        experiment=experiment.name,
        preset=preset.title,
        hash=registration.hash,
        time=registration.time,
        already=before is not None,
        claims=tuple(c.text for c in statements if isinstance(c, Claim)),
        estimates=tuple(s.text for s in statements if isinstance(s, Estimate)),
        looks=declared(registration),
        files=tuple(p for p in places if p is not None and p.exists()),
        signature=signature,
    )


def undecidable(experiment: Experiment, preset: Preset) -> list[str]:
    """The claims that no data could decide, each with its units: fewer than a verdict needs, or so
    few that even the exact interval of equal ones spans the threshold."""
    told = []
    for c in (c for c in experiment.sized(preset.specs).claims if isinstance(c, Claim)):
        if experiment.arms[c.of].train is None:
            continue
        specs = [s for s in experiment.specs_of(c.of, preset.specs) if scopes.fits(s, c.where)]
        levels = experiment.arms[c.of].levels
        for unit in (u for u in c.units if specs and (hasattr(specs[0], u) or u in levels)):
            n = levels.get(unit) or len({getattr(s, unit) for s in specs})
            fewest = FEWEST if any(hasattr(specs[0], u) for u in c.units) else FEWEST_ALONE
            if not decidable(c, n, fewest):
                told.append(f"{c.text!r}, which has {n} {plural(unit, n)}")
    return told


def declared(registration: registered.Registration) -> tuple[Look, ...]:
    """The looks that were declared."""
    return tuple(
        Look(look["units"], look["seeds"], look["level"], look["spent"])
        for look in registration.content["looks"]
    )


def _units(looks: str | None) -> tuple[int, ...]:
    """The seeds at each look. Raises: ExperimentError."""
    if looks is None:
        return ()
    parts = [part.strip() for part in looks.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts):
        raise ExperimentError(
            "looks are numbers of seeds with commas between them, such as 8,16,24, got "
            f"{looks[:60]!r}"
        )
    return tuple(map(int, parts))


def _borrowed(experiment: Experiment) -> Sequence[Experiment]:
    """The experiments that a study borrows from: whoever looked at their seeds may know what the
    study will find."""
    if not experiment.origin.endswith(STUDIES):
        return ()

    return list({side.of.name: side.of for side in sides(read(Path(experiment.origin)))}.values())
