"""Catalogue: every experiment with its claim and cost, what is recorded of it, and what a store
holds."""

from __future__ import annotations

import contextlib
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.errors import AssayError, DataError, StoreError
from assay.core.experiment import PRESETS
from assay.core.results import ResultData
from assay.lab import catalogue
from assay.lab.records import contests, records
from assay.lab.store.origin import code
from assay.report import tables
from assay.report.questions import by_group, heading, of_group
from assay.verbs.options import DEFAULT, HERE, Choice, Flag, Place
from assay.verbs.verb import Answer, AnswerPart, Door, Line, Table, verb


@dataclass(frozen=True)
class Here:
    """What a store holds of an experiment."""

    runs: int
    results: Mapping[str, Mapping[str, int]]
    """How many claims came out how, for each preset with a result; empty where the file is not as
    it was written."""
    other_text: tuple[str, ...]
    """The presets whose results another text of the experiment's file made."""


@dataclass(frozen=True)
class Listed:
    """One experiment: its header, how many recorded claims came out how, after contests, and what
    is here."""

    name: str
    title: str
    paper: str
    claim: str
    baselines: str
    cost: str
    presets: tuple[str, ...]
    recorded: Mapping[str, int]
    board: str
    """Everything that is recorded, exact statements and estimates too, counted in signs."""
    elsewhere: Mapping[str, Mapping[str, int]]
    """Presets on another text, model or size that have a record of their own: how many of the same
    claims came out how."""
    contests: tuple[str, ...]
    """What came of the contests of its recorded claims, a line each."""
    local: Here


@dataclass(frozen=True)
class Catalogue:
    """Every experiment that can be found by its name."""

    experiments: tuple[Listed, ...]


def results() -> Any:
    """Give the types of what is listed."""
    from assay.verbs.fields import Fields

    return Catalogue | Fields


@verb("every experiment, its verdicts and what is stored; or one in full", results=results)
def command(
    name: str = "",
    /,
    *,
    arm: str = "",
    long: Flag = False,
    choice: Choice = DEFAULT,
    place: Place = HERE,
    door: Door,
) -> Answer[Any]:
    """List the catalogue by group; the questions and recorded verdicts of a group; or the arms,
    fields and measures of one experiment or study.

    Parameters
    ----------
    name
        A group such as toys, `catalogue` for all groups, an experiment, or the path of an
        experiment or study.
    arm
        For an experiment: show only what this arm changes and measures.
    long
        For a group: show claims and costs as well.

    Examples
    --------
    assay list dictionaries
    assay list superposition --arm main
    """
    listing = listed(place.root)
    if Path(name).suffix or name in {e.name for e in listing.experiments}:
        from assay.verbs import fields  # which loads NumPy

        return fields.answer(name, arm, choice, place)
    if arm or choice != DEFAULT:
        raise AssayError("--arm, --preset and --set go with the name of one experiment")
    if name:
        listing = Catalogue(tuple(of_group(listing.experiments, name)))
    return Answer(listing, words(listing.experiments, long, bool(name), door.width))


def words(rows: Sequence[Listed], long: bool, full: bool, width: int) -> Iterator[AnswerPart]:
    """List the names of every group; of one group, or all of them at length, a line for each
    experiment."""
    if not rows:
        yield catalogue.MISSING
        return
    members = by_group(rows)
    if long:
        yield claims(rows)
    elif full:
        for group, entries in members.items():
            yield Line(heading(group))
            yield questions(entries)
        yield Line(tables.legend())
    else:
        for group, entries in members.items():
            yield Line(heading(group))
            names = ", ".join(f"{e.name}*" if e.local.results else e.name for e in entries)
            lines = textwrap.wrap(names, width - 2, break_on_hyphens=False)
            yield from (Line(f"  {line}") for line in lines)
        yield ""
        yield from ["* has results here."] * any(e.local.results for e in rows)
        yield "assay list GROUP shows questions and verdicts, assay list NAME one entry."
    yield ""
    yield "assay plan NAME shows what would run; assay run NAME runs it."


def questions(entries: Sequence[Listed]) -> Table:
    """Tell what each experiment asks, and how its claims came out: as recorded, and as stored
    here."""
    rows = []
    for e in entries:
        recorded = tables.signs(e.recorded, "") or e.board or "–"
        many = f"{len(e.contests)} claim{'s' * (len(e.contests) > 1)}"
        contested = f" · {many} contested: assay challenge-claim {e.name}" * bool(e.contests)
        rows.append((e.name, e.title + contested, recorded, stored_in_words(e.local)))
        for preset, outcomes in e.elsewhere.items():
            stored = tables.signs(e.local.results.get(preset, {}), "") or "–"
            again = "the same claims elsewhere"
            rows.append((f"  --preset {preset}", again, tables.signs(outcomes, ""), stored))
    return Table(("name", "question", "recorded", "here"), rows)


def claims(entries: Sequence[Listed]) -> Table:
    """Tell each experiment's claim and cost, what is recorded, and what is stored here."""
    rows = [
        (
            e.name,
            e.claim,
            e.cost,
            tables.signs(e.recorded) or e.board or "–",
            stored_in_words(e.local),
        )
        for e in entries
    ]
    return Table(
        ("name", "claim", "cost", "recorded", "here"), rows, wide={"claim": 1}, narrow={"cost": 24}
    )


def stored_in_words(local_state: Here) -> str:
    """Say what is stored of an experiment, in a few words."""
    if not local_state.runs:
        return "–"
    other = " (by another text of its file)" if "default" in local_state.other_text else ""
    signs = tables.signs(local_state.results.get("default", {}))
    return (signs or f"{local_state.runs} runs") + other


def listed(root: Path) -> Catalogue:
    """List every experiment from its header, its record and a store; no experiment is imported."""
    rows = []
    for entry in catalogue.entries():
        header, record = entry.header(), _recorded(entry.name, entry.origin)
        past = contests.of_record(entry.name, entry.origin)
        other_presets = records.elsewhere(entry.name, entry.origin)
        rows.append(
            Listed(
                name=entry.name,
                title=header.title,
                paper=header.paper,
                claim=header.claim,
                baselines=header.baselines,
                cost=header.cost,
                presets=(*PRESETS, *other_presets),
                recorded=tables.outcomes(contests.after(record.verdicts, past)),
                board=tables.board(record),
                elsewhere={
                    p: tables.outcomes(_recorded(f"{entry.name}.{p}", entry.origin).verdicts)
                    for p in other_presets
                },
                contests=contests.lines(past),
                local=find_stored(root, entry.name, entry.origin),
            )
        )
    return Catalogue(tuple(rows))


def _recorded(name: str, origin: str) -> ResultData:
    """What a record says; of none nothing."""
    return ResultData.from_json(records.read(name, origin, measures=False) or {})


def find_stored(root: Path, name: str, origin: str = "") -> Here:
    """Look up what a store holds of an experiment, which lives at `origin`."""
    from assay.lab.store.sealed import (
        unseal,  # which loads numpy: where nothing is stored none is needed
    )

    runs = 0
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        os.scandir(root / "runs" / name) as folder_entries,
    ):
        # what the listing says already: thousands of runs are not asked one by one
        runs = sum(folder_entry.is_dir() for folder_entry in folder_entries)
    results: dict[str, Mapping[str, int]] = {}
    older = []
    result_paths = sorted((root / "results" / name).glob("*.json"))
    text = code(origin) if result_paths and origin else ""  # of its file as it is now
    for path in result_paths:
        results[
            path.stem
        ] = {}  # where it is not as it was written; `assay run` and `assay show` write it again
        with contextlib.suppress(StoreError, DataError):
            data = unseal(path)
            results[path.stem] = tables.outcomes(ResultData.from_json(data).verdicts)
            if text and set(data["provenance"].get("code", [text])) != {text}:
                older.append(path.stem)
    return Here(runs, results, tuple(older))
