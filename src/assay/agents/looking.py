"""Looking: how often somebody judged claims on the seeds of an answer: under its own name, or under
another about the same experiments.

Every wording of a study has a name of its own. So looks are counted over all results of a store
that are about one of its experiments, and over the committed looks at those: whoever rewords a
claim on seeds that they have seen is told so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.reading import plural
from assay.jobs import queue
from assay.lab import journal, looks, records
from assay.lab.store import Store
from assay.studies.related import about, kin

NAMED = 5
"""So many other names are told at most."""


@dataclass(frozen=True)
class Looks:
    """How often somebody judged claims on these seeds, as the store and the records note it."""

    taken: int
    """Looks with different claims, arms or settings; the same judged again is one look."""
    seeds: str
    """The seeds, as ranges whose end is left out."""
    by_others: tuple[str, ...]
    """Other results, about the same experiments, that have looks at them."""
    stopped: tuple[str, ...]
    """Other jobs about the same experiments that did not end, though estimates on some of these
    seeds were told: that is a look, too."""
    told: str


def looked(
    seeds: Iterable[int], name: str, about: Iterable[str], store: Store, *, include_current: bool
) -> Looks:
    """Count the looks at these seeds by `name` and by whatever else is `about` the same
    experiments. With `own` the one that is told is one."""
    seed_list, known = sorted(set(seeds)), frozenset(about)
    spans = looks.spans(seed_list)
    if seed_list and all(s < looks.JUDGED for s in seed_list):
        return Looks(
            0,
            spans,
            (),
            (),
            (
                f"Seeds {spans} are for pilots: anybody may look at them, and a verdict on them "
                "settles nothing"
            ),
        )
    looks_by_name = {name: looks.shared(journal.stored(store, name), seed_list)}
    for base in known:  # of a file of somebody's own, its name
        looks_by_name[base] = looks_by_name.get(base, set()) | looks.shared(
            records.path(base).with_suffix(".looks.jsonl"), seed_list
        )
    for other in kin(store, name, known):
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
    stopped = tuple(sorted(_stopped(store, name, known, set(seed_list))))
    return Looks(
        look_count,
        spans,
        other_names,
        stopped,
        _to_text(look_count, spans, other_names, stopped, include_current),
    )


def count_looks(
    experiment: Experiment, seeds: Iterable[int], store: Store, *, include_current: bool
) -> Looks:
    """Count the looks at an experiment's seeds."""
    return looked(
        seeds,
        experiment.name,
        (experiment.name, *about(experiment.origin)),
        store,
        include_current=include_current,
    )


def unknown() -> Looks:
    """Say that looks cannot be counted."""
    return Looks(
        0,
        "",
        (),
        (),
        (
            "How many looks were taken is not known: the experiment is not here any more, or its "
            "code may not run here"
        ),
    )


def _stopped(store: Store, name: str, known: frozenset[str], seeds: set[int]) -> Iterator[str]:
    """The names of other jobs that told estimates on these seeds and then did not end, or not yet;
    what cannot be told apart counts."""
    for folder, state in queue.every(store.root):
        if (
            state.early is None
            or state.status == "done"
            or (request := folder.asked)["called"] == name
        ):
            continue
        try:
            if not {request["called"], *about(folder.typed)} & known:
                continue
            if not request["code"] and not seeds & {s.seed for s in folder.experiment()[1].specs}:
                continue
        except AssayError:  # its experiment is gone, or was changed
            pass
        yield request["called"]


def _to_text(
    look_count: int,
    spans: str,
    other_names: tuple[str, ...],
    stopped: tuple[str, ...],
    include_current: bool,
) -> str:
    stopped_note = (
        f"; estimates on them were told by {_names(stopped)}, which did not end" if stopped else ""
    )
    if not look_count:
        fresh = f"Nobody has looked at seeds {spans} yet: the first look burns them"
        return (
            f"Nobody has judged anything on seeds {spans} yet{stopped_note}"
            if stopped_note
            else fresh
        )
    by = f", by {_names(other_names)} too" if other_names else ""
    summary = (
        f"{look_count} {plural('look', look_count)} {'was' if look_count == 1 else 'were'} taken "
        "at seeds "
        f"{spans}{', this one included' if include_current else ''}{by}{stopped_note}"
    )
    return summary + (
        "; a claim that was chosen after an earlier one is not confirmed by these seeds"
        if look_count > include_current or stopped
        else ""
    )


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMED]) + (" and more" if names[NAMED:] else "")
