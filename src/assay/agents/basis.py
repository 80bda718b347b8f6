"""Standing: what an answer rests on, told with every one: exploratory or confirmatory, and where
the numbers come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from assay.core.experiment import Experiment
from assay.core.results import Registration
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
    cached: int | None
    """Runs that were stored before this was asked; null where that is not known."""
    new: int | None
    """Runs that were made for it."""
    keys: str
    """SHA-256 of the keys of all runs, or of the table."""
    commit: str
    """The commit of Assay that made the newest run; empty where it was no checkout."""
    finished: str
    """When the newest run was made."""


def standing(data: JSON, unlike: str = "") -> Standing:
    """Tell whether a result is confirmatory: frozen before any result, and followed; `unlike` is
    what was frozen that it is not."""
    frozen = data.get("registration")
    changed = "; ".join((*(frozen or {}).get("changed", ()), *data.get("changed", ())))
    if frozen and data.get("inference") == "confirmatory":
        related_text = "; ".join(lines.describe_others(Registration.from_json(frozen)))
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
    summary = (
        f"the committed record: {p['runs']} runs, made at commit {commit or 'unknown'} and not on "
        "this machine for you"
    )
    return Source(
        kind="committed record",
        told=summary,
        runs=int(p["runs"]),
        cached=None,
        new=None,
        keys=str(p["keys"]),
        commit=commit,
        finished=str(p.get("finished", "")),
    )


def of_store(data: JSON, cached: int | None) -> Source:
    """Tell where a stored result comes from, and how many of its runs were stored before it was
    asked for, where that is known."""
    p = data["provenance"]
    commit, runs = str(p.get("software", {}).get("commit", "")), int(p["runs"])
    split = (
        ""
        if cached is None
        else f", {cached} of them stored before this was asked, {runs - cached} made for it"
    )
    summary = f"this store: {runs} runs{split}; the newest was made at commit {commit or 'unknown'}"
    return Source(
        kind="store",
        told=summary,
        runs=runs,
        cached=cached,
        new=None if cached is None else runs - cached,
        keys=str(p["keys"]),
        commit=commit,
        finished=str(p.get("finished", "")),
    )


def of_plan(plan: Planned) -> Source:
    """Tell what there is before anything runs."""
    cached, missing = plan.cached, plan.missing
    keys = provenance.digest("\n".join(sorted(run.key for run in plan.runs)))
    summary = (
        f"nothing was run for this answer: {cached} of {cached + missing} runs are stored, "
        f"{missing} would be made"
    )
    return Source(
        kind="nothing yet",
        told=summary,
        runs=cached + missing,
        cached=cached,
        new=0,
        keys=keys,
        commit=provenance.commit(),
        finished="",
    )


def of_table(rows: int, text: str) -> Source:
    """Tell of somebody's own numbers what is known of them."""
    summary = (
        f"{rows} rows that you gave; Assay does not know how they were measured, or how often "
        "they were looked at"
    )
    return Source(
        kind="your table",
        told=summary,
        runs=rows,
        cached=None,
        new=None,
        keys=provenance.digest(text),
        commit=provenance.commit(),
        finished="",
    )
