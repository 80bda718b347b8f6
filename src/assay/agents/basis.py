"""Standing: what an answer rests on, told with every one: exploratory or confirmatory, and where
the numbers come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from assay.core.experiment import Experiment
from assay.lab import provenance, registered
from assay.lab.preset import Preset
from assay.lab.store import Store
from assay.report import frozen as lines
from assay.verbs.plan import Planned, frozen

JSON = Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """Whether claims were frozen before anything was looked at."""

    kind: Literal["exploratory", "confirmatory"]
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


def standing(data: JSON, unlike: str = "") -> Standing:
    """Tell whether a result is confirmatory: frozen before any result, and followed; `unlike` is
    what was frozen that it is not."""
    frozen = data.get("registration")
    changed = "; ".join((*(frozen or {}).get("changed", ()), *data.get("changed", ())))
    if frozen and data.get("inference") == "confirmatory":
        related_text = "; ".join(lines.describe_others(frozen))
        known = (
            f"frozen on {frozen['time']} before any result as far as this store knows "
            f"({frozen['hash'][:12]}), and followed since"
        )
        return Standing("confirmatory", known + (f"; {related_text}" if related_text else ""))
    if frozen:
        changed = "; ".join(
            filter(None, (changed, *(f"missing: {m}" for m in frozen.get("missing", ()))))
        )
        return Standing(
            "exploratory",
            f"frozen on {frozen['time']}, and not followed: {changed or 'see its page'}",
        )
    if unlike:
        return Standing("exploratory", unlike)
    if changed:
        return Standing("exploratory", f"after a look at these seeds this changed: {changed}")
    return Standing(
        "exploratory",
        (
            "no claim was frozen before the first look; a threshold's source says whether a pilot "
            "gave it"
        ),
    )


def planned(store: Store, experiment: Experiment | None, preset: Preset | None) -> Standing:
    """Tell the standing of what has not run: whether it was frozen, which look comes next, and what
    it is not though it resembles it."""
    nothing = "as it would run now, nothing is frozen: a verdict will be exploratory"
    if experiment is None or preset is None:
        return Standing("exploratory", nothing)
    registration_status = frozen(store, experiment, preset)
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


def exact(data: basis.JSON) -> tuple[str, ...]:
    """Tell exact statements of a result, each in a line."""
    return tuple(
        f"{e['outcome'].upper()}: {e['text']} (off by at most {e['deviation']:.3g})"
        for e in data.get("exact", ())
    )


def of_record(record: JSON) -> Source:
    """Tell where a committed record comes from."""
    p = record["provenance"]
    commit = str(record.get("commit") or p.get("software", {}).get("commit", ""))
    return Source(
        kind="committed record",
        told=f"{p['runs']} runs, which were not made on this machine for you",
        runs=int(p["runs"]),
        keys=str(p["keys"]),
        commit=commit,
        finished=str(p.get("finished", "")),
    )


def of_store(data: JSON, cached: int | None) -> Source:
    """Tell where a stored result comes from, and how many of its runs were stored before it was
    asked for, where that is known."""
    p, runs = data["provenance"], int(data["provenance"]["runs"])
    split = (
        ""
        if cached is None
        else f", {cached} of them stored before this was asked, {runs - cached} made for it"
    )
    return Source(
        kind="store",
        told=f"this store: {runs} runs{split}",
        runs=runs,
        cached=cached,
        new=None if cached is None else runs - cached,
        keys=str(p["keys"]),
        commit=str(p.get("software", {}).get("commit", "")),
        finished=str(p.get("finished", "")),
    )


def of_plan(plan: Planned) -> Source:
    """Tell what there is before anything runs."""
    runs = plan.cached + plan.missing
    return Source(
        kind="nothing yet",
        told=f"{plan.cached} of {runs} runs are stored, {plan.missing} would be made",
        runs=runs,
        cached=plan.cached,
        new=0,
        keys=provenance.digest("\n".join(sorted(run.key for run in plan.runs))),
        commit=provenance.commit(),
    )


def of_table(rows: int, text: str) -> Source:
    """Tell of somebody's own numbers what is known of them."""
    return Source(
        kind="your table",
        told=(
            f"{rows} rows that you gave; Assay does not know how they were measured, or how often "
            "they were looked at"
        ),
        runs=rows,
        keys=provenance.digest(text),
        commit=provenance.commit(),
    )
