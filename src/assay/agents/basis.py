"""Basis: what an answer rests on: exploratory or confirmatory, where the numbers come from, and how
often claims were judged on their seeds, under its own name or under another about the same
experiments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from assay.ask.freezing import about, kin
from assay.ask.planned import Planned, frozen
from assay.core.experiment import Experiment
from assay.core.nouns import counted, plural
from assay.core.results import Inference, ResultData
from assay.lab import catalogue
from assay.lab.judge import looks, registered
from assay.lab.plan.plan import plan
from assay.lab.plan.preset import Preset
from assay.lab.store import journal, provenance
from assay.lab.store.store import Store
from assay.report.statements import frozen_lines

JSON = Mapping[str, Any]
NAMED = 5
"""So many other names are reported at most."""


@dataclass(frozen=True)
class Standing:
    """Whether claims were frozen before anything was looked at."""

    kind: Inference
    why: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the numbers of an answer come from."""

    kind: Literal["store", "committed record", "your table", "nothing yet"]
    told: str
    runs: int
    """Or rows of a table."""
    keys: str
    """SHA-256 of the keys of all runs, or of the table."""
    commit: str
    """The commit of Assay that made the newest run; empty where it was no checkout."""
    finished: str = ""
    """When the newest run was made."""
    cached: int | None = None
    """Runs that were stored before this was asked; null where that is not known."""
    new: int | None = None
    """Runs that were made for it."""


@dataclass(frozen=True)
class Looks:
    """How often claims on these seeds were judged, as the store and the records note it."""

    taken: int
    """Looks with different claims, arms or settings; the same judged again is one look."""
    seeds: str
    """The seeds, as ranges whose end is left out."""
    by_others: tuple[str, ...]
    """Other results, about the same experiments, that have looks at them."""
    told: str


def standing(data: ResultData, unlike: str = "") -> Standing:
    """Tell whether a result is confirmatory: frozen before any result, and followed; `unlike` is
    what was frozen that it is not."""
    if data.registration is not None:
        return Standing(data.inference, "; ".join(frozen_lines(data)).partition(": ")[2])
    if not unlike and data.changed:
        unlike = f"these seeds or units were looked at before: {'; '.join(data.changed)}"
    return Standing(
        "exploratory",
        unlike
        or "no claim was frozen before the first look, so there is only the author's word for "
        "where each threshold comes from",
    )


def planned(store: Store, experiment: Experiment | None, preset: Preset | None) -> Standing:
    """Tell the standing of what has not run: whether it was frozen, which look comes next, and what
    it is not though it resembles it."""
    nothing = "as it would run now, nothing is frozen: a verdict will be exploratory"
    if experiment is None or preset is None:
        return Standing("exploratory", nothing)
    registration_status = frozen(store, experiment, plan(store, experiment, preset))
    if registration_status is not None:
        return Standing(
            "exploratory" if registration_status.changed else "confirmatory",
            registration_status.told,
        )
    return Standing("exploratory", unlike(store, experiment, preset) or nothing)


def unlike(store: Store, experiment: Experiment, preset: Preset) -> str:
    """Tell what was frozen under another name about the same arms and seeds, and what differs;
    empty where nothing was."""
    sentences = [
        (
            f"{known.content['experiment']} was frozen on {known.time} ({known.hash[:12]}) about "
            "the same arms and seeds, and this is not it: "
        )
        + ("; ".join(changed) or "its file reads differently now")
        for known, changed in registered.about(store, experiment, preset)
        if known.content["experiment"] != experiment.name
    ]
    return ". ".join(sentences)


def exact(data: ResultData) -> tuple[str, ...]:
    """Tell exact statements of a result, each in a line."""
    return tuple(
        f"{e.outcome.upper()}: {e.text} (off by at most {e.deviation:.3g})" for e in data.exact
    )


def of_record(record: JSON) -> Source:
    """Tell where a committed record comes from."""
    facts = _run_facts(record["provenance"], record.get("commit"))
    sentence = f"{counted(facts['runs'], 'run')}, not made on this machine for you"
    return Source(kind="committed record", told=sentence, **facts)


def _run_facts(p: JSON, commit: Any = "") -> dict[str, Any]:
    """What runs were, when they were made, and by which code."""
    commit = str(commit or p.get("software", {}).get("commit", ""))
    about = {"runs": int(p["runs"]), "keys": str(p["keys"])}
    return {**about, "commit": commit, "finished": str(p.get("finished", ""))}


def of_store(data: ResultData, cached: int | None) -> Source:
    """Tell where a stored result comes from, and how many of its runs were stored before it was
    asked for, where that is known."""
    facts = _run_facts(data.provenance)
    new = None if cached is None else facts["runs"] - cached
    split = "" if cached is None else f", {new} of them made for this question"
    sentence = f"{counted(facts['runs'], 'run')} in this store{split}"
    return Source(kind="store", told=sentence, cached=cached, new=new, **facts)


def of_plan(plan: Planned) -> Source:
    """Tell what there is before anything runs."""
    runs = plan.cached + plan.missing
    return Source(
        kind="nothing yet",
        told=f"{plan.cached} of {counted(runs, 'run')} are stored; {plan.missing} would be made",
        runs=runs,
        cached=plan.cached,
        new=0,
        keys=provenance.digest("\n".join(sorted(run.key for run in plan.runs))),
        commit=provenance.commit(),
    )


def of_table(rows: int, text: str) -> Source:
    """Describe the origin of a user's own numbers."""
    return Source(
        kind="your table",
        told=(
            f"{counted(rows, 'row')} that you gave; Assay does not know how they were measured, or "
            "how often they were looked at"
        ),
        runs=rows,
        keys=provenance.digest(text),
        commit=provenance.commit(),
    )


def count_looks(
    experiment: Experiment, seeds: Iterable[int], store: Store, *, include_current: bool
) -> Looks:
    """Count the looks at an experiment's seeds, by its own name and by whatever else is about the
    same experiments; with `include_current` the current one counts too.

    Every wording of a study has its own name, so that rewording a claim on seeds that were looked
    at is reported."""
    name, seed_list = experiment.name, sorted(set(seeds))
    names = frozenset((name, *about(experiment.origin)))
    spans = journal.spans(seed_list)
    if seed_list and all(s < journal.JUDGED for s in seed_list):
        pilots = f"Seeds {spans} are for pilots: anyone may look at them, and a verdict on them "
        return Looks(0, spans, (), f"{pilots}settles nothing")
    looks_by_name = {name: looks.shared(journal.stored(store, name), seed_list)}
    for base in names:  # the name of a user's own file
        looks_by_name[base] = looks_by_name.get(base, set()) | looks.shared(
            catalogue.record_path(base).with_suffix(".looks.jsonl"), seed_list
        )
    for other in kin(store, name, names):
        if shared_looks := looks.shared(journal.stored(store, other), seed_list):
            looks_by_name[other] = looks_by_name.get(other, set()) | shared_looks
    look_count = len(set().union(*looks_by_name.values()))
    other_names = tuple(
        sorted(
            other
            for other, shared_looks in looks_by_name.items()
            if shared_looks - looks_by_name[name] and other != name
        )
    )
    sentence = _to_text(look_count, spans, other_names, include_current)
    return Looks(look_count, spans, other_names, sentence)


def unknown() -> Looks:
    """Say that looks cannot be counted."""
    gone = "How many looks were taken is not known: the experiment is not here any more, or its "
    return Looks(0, "", (), f"{gone}code may not run here")


def _to_text(
    look_count: int, spans: str, other_names: tuple[str, ...], include_current: bool
) -> str:
    if not look_count:
        return f"No one has looked at seeds {spans} yet: the first look uses them up"
    by = f", by {_names(other_names)} too" if other_names else ""
    summary = (
        f"{look_count} {plural('look', look_count)} at seeds {spans}"
        f"{', including this one' if include_current else ' so far'}{by}"
    )
    return summary + (
        "; a claim that was chosen after an earlier one is not confirmed by these seeds"
        if look_count > include_current
        else ""
    )


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMED]) + (" and more" if names[NAMED:] else "")
