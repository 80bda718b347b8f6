"""Overview: every experiment with its claim and cost, what is recorded of it, and what a store
holds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import DataError, StoreError
from assay.core.experiment import PRESETS
from assay.core.results import Inference, ResultData
from assay.lab import catalogue
from assay.lab.records import contests, records
from assay.lab.store.origin import code
from assay.report import tables

CONTEST = "-contest-"
"""What parts the name of an experiment from the digest of a contest of it."""


@dataclass(frozen=True)
class Here:
    """What a store holds of an experiment."""

    runs: int
    results: Mapping[str, Mapping[str, int]]
    """How many claims came out how, for each preset with a result, or, of a result without claims,
    its exact statements and estimates; empty where the file is not as it was written."""
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
class Own:
    """A stored result of a study or an experiment of the user's own."""

    name: str
    preset: str
    outcomes: Mapping[str, int]
    """How many statements came out how."""
    inference: Inference


@dataclass(frozen=True)
class Catalogue:
    """Every experiment that can be found by its name, and what a store has besides them."""

    experiments: tuple[Listed, ...]
    own: tuple[Own, ...] = ()


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
    return Catalogue(tuple(rows), tuple(_own(root, {row.name for row in rows})))


def _own(root: Path, names: Collection[str]) -> Iterator[Own]:
    """Read the results of a store that are of no experiment of the catalogue, nor a contest of
    one."""
    for path in sorted((root / "results").glob("*/*.json")):
        name = path.parent.name
        if name in names or name.partition(CONTEST)[0] in names:
            continue
        from assay.lab.store.atomic import unseal

        with contextlib.suppress(StoreError, DataError):  # `assay doctor` reports what is damaged
            result = ResultData.from_json(unseal(path))
            yield Own(name, path.stem, tables.outcomes(result.statements), result.standing)


def _recorded(name: str, origin: str) -> ResultData:
    """What a record says; empty where there is no record."""
    return ResultData.from_json(records.read(name, origin, measures=False) or {})


def find_stored(root: Path, name: str, origin: str = "") -> Here:
    """Look up what a store holds of an experiment, which lives at `origin`."""
    # which loads numpy: not needed where nothing is stored
    from assay.lab.store.atomic import unseal

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
        # where it is not as it was written; `assay run` and `assay show` write it again
        results[path.stem] = {}
        with contextlib.suppress(StoreError, DataError):
            data = unseal(path)
            result = ResultData.from_json(data)
            others = tables.outcomes(result.exact) | tables.outcomes(result.findings)
            results[path.stem] = tables.outcomes(result.verdicts) or others
            if text and set(data["provenance"].get("code", [text])) != {text}:
                older.append(path.stem)
    return Here(runs, results, tuple(older))
