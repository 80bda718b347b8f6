"""Ledger: what was frozen, judged and removed in a store, whatever is removed later: one journal of
the whole store.

    <root>/ledger.jsonl      what, of which experiments, seeds, arms by the hashes of their
    settings, and the last lines of the
                             journals of that experiment, which results and registrations name in
                             turn

So a store knows which runs somebody may have seen, by arms, settings and seeds, under whatever
name."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from assay.core.errors import StoreError
from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.lab.judge import journal, looks
from assay.lab.plan.preset import Preset
from assay.lab.records import provenance
from assay.lab.store.sealed import unseal
from assay.lab.store.store import Store, Stored

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """What somebody sees who sees results: seeds of arms with these settings, of these
    experiments."""

    about: frozenset[str]
    """The experiment's name, and those that it borrows from; empty where nobody knows."""
    seeds: frozenset[int]
    arms: Mapping[str, Collection[str]]
    """12 hex digits of each setting of an arm without its seed, by the arm's name without the side
    of a study.
    """

    def shared(self, line: Line) -> set[int]:
        """The judged seeds that a line of the ledger is about as well; none where it is about
        another thing.
        """
        both = {s for s in self.seeds & looks.seeds_of(line["seeds"]) if s >= looks.JUDGED}
        return (
            both
            if self.alike(line) or not line["about"] or self.about & set(line["about"])
            else set()
        )

    def alike(self, line: Line) -> bool:
        """Whether a line is about an arm with the same settings."""
        return any(
            set(settings) & set(line["arms"].get(arm, ())) for arm, settings in self.arms.items()
        )


def subject(experiment: Experiment, preset: Preset) -> Subject:
    """What a result of this preset shows."""
    specs = [
        (name, s.to_json())
        for name, a in experiment.arms.items()
        if a.train
        for s in experiment.specs_of(name, preset.specs)
    ]
    return Subject(
        frozenset((experiment.name, *experiment.borrows)),
        frozenset(s.seed for s in preset.specs),
        settings(specs),
    )


def settings(specs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """12 hex digits of each setting of an arm without its seed, of arms' names and specs as
    JSON."""
    pairs = {(arm.rpartition("/")[2], journal.digest(_seedless(spec))) for arm, spec in specs}
    return {
        arm: [digest for _, digest in group]
        for arm, group in groupby(sorted(pairs), lambda pair: pair[0])
    }


def place(store: Store) -> Path:
    """Where a store keeps its ledger."""
    return store.root / journal.LEDGER


def note(
    store: Store,
    what: Literal["frozen", "judged", "removed"],
    experiment: str,
    preset: str,
    about: Subject,
    **more: Any,
) -> dict[str, Any]:
    """Note that something was frozen, judged or removed, unless a line says just that; gives that
    line.

    Raises: OSError when the disk is full.
    """
    # By the last lines of the journals it names all lines before them: what is taken out of one
    # later is missed here.
    heads = {
        p.relative_to(store.root).as_posix(): journal.chain(p).heads
        for p in journal.files(store, experiment)
        if p.is_file()
    }
    entry = {
        "what": what,
        "experiment": experiment,
        "preset": preset,
        "about": sorted(about.about),
        "seeds": looks.spans(about.seeds),
        "arms": dict(about.arms),
        "heads": heads,
        **more,
    }
    known = next(
        (
            line
            for line in lines(store)
            if {k: v for k, v in line.items() if k not in _VARIES} == entry
        ),
        None,
    )
    if known is None:
        return _head(
            store,
            journal.note(
                place(store),
                {"time": provenance.timestamp(), "commit": provenance.commit(), **entry},
            ),
        )
    return _head(store, journal.key(known))


def removed(
    store: Store, experiment: str, runs: Collection[Stored], about: Collection[str] = ()
) -> None:
    """Note that these runs are to be removed, and when the first was made: whoever removes them may
    have seen them.
    """
    seeds = {int(json.loads(run.spec_json).get("seed", -1)) for run in runs}
    if any(s >= looks.JUDGED for s in seeds):
        known = {
            name
            for line in lines(store)
            if line["experiment"] == experiment
            for name in line["about"]
        }
        arms = settings((run.arm, run.spec_json) for run in runs)
        since = min(
            (str(run.provenance["finished"]) for run in runs if run.provenance.get("finished")),
            default="",
        )
        note(
            store,
            "removed",
            experiment,
            "",
            Subject(frozenset(about) or frozenset(known), frozenset(seeds), arms),
            since=since,
        )


def lines(store: Store) -> list[dict[str, Any]]:
    """Every line that is as it was written, oldest first."""
    return journal.read(place(store), journal.NOTED)


def head(store: Store, experiment: str, preset: str) -> dict[str, Any] | None:
    """The last line about judging an experiment's preset; None where there is none."""
    matches = [
        line
        for line in lines(store)
        if (line["what"], line["experiment"], line["preset"]) == ("judged", experiment, preset)
    ]
    return _head(store, journal.key(matches[-1])) if matches else None


def iter_exposures(store: Store, about: Subject) -> Iterator[tuple[Line, set[int]]]:
    """The lines that say that somebody may have seen some of these runs, each with the seeds."""
    for line in lines(store):
        if line["what"] != "frozen" and (shared := about.shared(line)):
            yield line, shared


def collect_references(store: Store, experiment: str = "*", preset: str = "*") -> set[str]:
    """The lines that stored results and registrations name; files that cannot be read name none."""
    hashes = set()
    for part in ("results", "registered"):
        for path in (store.root / part).glob(f"{experiment}/{preset}.json"):
            with contextlib.suppress(StoreError, TypeError, KeyError):
                hashes.add(str(unseal(path)["ledger"]["hash"]))
    return hashes


def gone(store: Store, heads: Collection[str]) -> str:
    """How many lines are not here, of these and all that they follow, in a phrase; empty where none
    is gone.
    """
    line_chain = journal.chain(place(store))
    count = len(
        {line for head in heads for line in line_chain.before(head)} - line_chain.lines.keys()
    )
    return (
        f"of {place(store)} {journal.count(count)} gone, with whatever was seen then"
        if count
        else ""
    )


def _head(store: Store, line: str) -> dict[str, Any]:
    return {"lines": len(journal.chain(place(store)).before(line)), "hash": line}


def _seedless(spec: str) -> str:
    return canonical_json({k: v for k, v in json.loads(spec).items() if k != "seed"})


_VARIES = frozenset({"time", "commit", journal.AFTER})
"""What two lines that say the same may differ in."""
