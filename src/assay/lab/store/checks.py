"""Checks: how a store is, one thing after another, and what of it is cleaned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assay.core.errors import AssayError
from assay.lab.store import groups
from assay.lab.store import health as store_health
from assay.lab.store.folder import mend_header
from assay.lab.store.store import Store

FRACTIONS = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it is well, what was found, and how to fix it."""

    about: str
    state: Literal["well", "missing", "broken"]
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Health:
    """Every check, in the order in which one thing needs another, and what was mended before."""

    healthy: bool
    done: tuple[str, ...]
    checks: tuple[Check, ...]


def of_store(root: Path) -> Iterator[Check]:
    """Look through the store: whole runs, damaged folders, what kills left behind."""
    try:
        run_store = Store(root)
    except AssayError as error:
        yield Check("store", "broken", str(error))
        return
    if not root.exists():
        yield Check("store", "well", f"{root} does not exist yet; the first `assay run` makes it")
        return
    whole = sum(1 for _ in run_store.list())
    yield Check("store", "well", f"{root}: {whole} runs, {size(run_store.size())}")
    if run_store.older:
        dated = sum(1 for _ in store_health.steps(run_store))
        lacks = f"{dated} files to bring up to date; until then it is only read"
        yield Check("older store", "missing", lacks, f"assay doctor --migrate --root {root}")
    for group in groups.unfinished(run_store):
        state = f"stopped at step {group.step}" + (
            f" ({group.error.splitlines()[0]})" if group.error else ""
        )
        yield Check(
            "unfinished",
            "missing",
            f"{group.experiment}, {', '.join(group.arms)}: {state}",
            "`assay run` goes on from there",
        )
    for harm in store_health.harms(run_store):
        mend = "keeps the other lines" if harm.what == "looks" else "removes it"
        yield Check(
            f"damaged {harm.what}",
            "broken",
            f"{harm.path}: {harm.why}",
            f"{harm.then}; `assay doctor --clean` {mend}",
        )
    if leftovers := sorted((root / "tmp").glob("*")):
        yield Check(
            "leftovers",
            "missing",
            f"{len(leftovers)} half-written files or folders in {root / 'tmp'}",
            "assay doctor --clean deletes old ones",
        )


def cleaned(root: Path) -> list[str]:
    """Remove what is damaged, and what kills left in the store's `tmp`; a line for each."""
    lines = (
        [f"wrote {root / 'store.json'} again, which could not be read"] if mend_header(root) else []
    )
    run_store = Store(root)
    for harm in list(store_health.harms(run_store)):
        harm.mend()
        lines.append(f"removed {'lines of ' * (harm.what == 'looks')}{harm.path} ({harm.why})")
    freed = run_store.clean()
    return [*lines, f"freed {size(freed)} of leftovers in {root / 'tmp'}"]


def size(count: int) -> str:
    """Write a number of bytes with its unit: `512 KiB`, `1.3 GiB`."""
    for unit, unit_size in FRACTIONS.items():
        if count >= unit_size:
            return f"{count / unit_size:.1f} {unit}"
    return f"{count} bytes"
