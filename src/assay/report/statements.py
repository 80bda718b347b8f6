"""Statements of experiments in sentences: what it cost, how many errors to expect, and whether what
was frozen before was followed.

Takes records or stored results, so that pages, docs and the index of a report say the same."""

from __future__ import annotations

import functools
import json
import re
import shlex
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from assay.core.compute import cpu_in_words
from assay.core.display import by_weight
from assay.core.errors import AssayError
from assay.core.nouns import counted
from assay.core.results import Estimated, Judged, Registration, ResultData
from assay.core.scopes import claims_in_words
from assay.report import tables
from assay.report.noted import DOUBT, ROUTINE, doubts_number, parted

if TYPE_CHECKING:
    from assay.lab.judge.kept import Around


def cost(data: ResultData) -> str:
    """Seconds, CPU-seconds and the memory of the largest process, as measured: "17 s, 33
    CPU-seconds, 0.6 GB a process"."""
    memory = f", {peak(data):.1f} GB a process" if peak(data) else ""
    return f"{data.seconds:,.0f} s, {cpu_in_words(data.cpu_seconds)}{memory}"


def peak(data: ResultData) -> float:
    """GB of memory of the largest process; 0 where that is not known."""
    return float(data.provenance.get("peak_rss") or 0) / 1e9


def errors(verdicts: Sequence[Judged]) -> str:
    """Say how many false verdicts to expect among these claims, by the error rates that were
    measured, not by nominal ones; nothing where fewer than 0.1 are to be expected.

    Formula: a sum over claims of the measured rate at the claim's number of units, if every claim
    were exactly on its threshold.
    Source: records/coverage.md, whose rates are packaged as coverage.json.
    """
    decided = sum(v.outcome != "undecided" for v in verdicts)
    even, skewed = (sum(rate(v, world) for v in verdicts) for world in ("normal", "exponential"))
    if skewed < 0.1:
        return ""
    few, most = f"about {even:.1f}".replace("about 0.0", "fewer than 0.1"), f"about {skewed:.1f}"
    more = f": up to {most[6:]} where units are as skewed as an exponential distribution"
    return (
        f"{decided} of {len(verdicts)} claims {'is' if decided == 1 else 'are'} decided. Even if "
        f"every true value lay exactly on its threshold, where errors are most likely, {few} "
        f"claims would be said to hold by mistake, and about as many to fail{more * (few != most)}."
        " These rates were measured in simulations, with independent units and thresholds that "
        "were set beforehand."
    )


def rate(verdict: Judged, world: str) -> float:
    """The measured share of worlds in which a claim on its threshold is falsely announced, on the
    worse side, at this n of units."""
    table = _coverage()["exact" if verdict.bounds else world]
    n = min(verdict.n.values(), default=0)
    counts = [int(k) for k in table if int(k) <= n] or [min(map(int, table))]
    return float(max(table[str(max(counts))]))


@functools.cache
def _coverage() -> dict[str, dict[str, list[float]]]:
    """World → number of units → the shares falsely below and falsely above."""
    return json.loads((Path(__file__).parent / "coverage.json").read_text())


def frozen_lines(data: ResultData) -> list[str]:
    """Say of a result whether it is confirmatory or exploratory, and why."""
    if (registration := data.registration) is None:
        return ["exploratory: nothing was frozen before the run"]
    when = f"frozen on {registration.time[:16].replace('T', ' ')} UTC"
    which = f"({registration.hash[:12]}, {registration.file})"
    more = frozen_others(registration)
    if data.standing != "exploratory":
        followed = (
            f"{when}, before any result as far as this store knows {which}, and followed since"
        )
        not_held = f"not frozen: {', '.join(data.lacking)}; freeze a new look, which holds them"
        return [
            f"{data.standing}: {followed}",
            *([not_held] if data.lacking else []),
            *(f"seen before it was frozen: {seen}" for seen in registration.seen),
            *more,
        ]
    missing, changed = registration.missing, registration.changed
    lost = "whether this run is as frozen cannot be known: looks are missing"
    departs = "but this run is not exactly what was frozen"
    return [
        f"exploratory: {when} {which}, {departs if changed or not missing else lost}",
        *(f"not as frozen: {c}" for c in changed),
        *(f"missing: {m}" for m in missing),
        *more,
    ]


def frozen_others(registration: Registration) -> list[str]:
    """Say what else was frozen of the same arms on the same seeds: anyone who sees the best of
    several should know of all.
    """
    if not (registrations := registration.others):
        return []
    head = (
        f"one of {len(registrations) + 1} registrations of these arms and seeds in this store, "
        "of studies perhaps on other prompts; the "
        f"other{'s are' if len(registrations) > 1 else ' is'}"
    )
    return [
        head,
        *(
            (f"{other.experiment} ({other.time[:16].replace('T', ' ')} UTC, {other.hash[:12]}): ")
            + ("; ".join(other.claims) or "its file is gone")
            for other in registrations
        ),
    ]


OF_OTHERS = ("also judged", "the same sentence")
"""How what was judged under another name or condition begins, where nothing was changed."""
SAME = re.compile(r"the same sentence was judged (earlier|later), in (.+) \((.*?)\)")
FEW = 3
"""So many changes of a kind are listed one by one."""


def changes_in_words(changes: Sequence[str], claims: Sequence[str] = ()) -> list[str]:
    """Say what changed after a look at the same seeds, and what else was judged on the same units:
    of each kind what it was, or how many where those are many; the report and --json have each. Of
    these claims, only the numbers are given."""
    by_kind: dict[str, list[str]] = {}
    for change in changes:
        kind, _, change_made = change.partition(": ")
        if kind.startswith(("claim", "arm")):
            kind = f"changed after an earlier look: {kind}"
        by_kind.setdefault(kind, []).append(change_made)
    words, elsewhere = [], dict[str, list[str]]()
    for kind, names in by_kind.items():
        if (m := SAME.fullmatch(kind)) and {*names} <= {*claims}:
            of = claims_in_words([claims.index(name) + 1 for name in names])
            came = f"{of} ({m[3]})" if claims[1:] else m[3]
            elsewhere.setdefault(f"also judged {m[1]}, in {m[2]}, in the same words", []).append(
                came
            )
        elif len(names) > FEW:
            words.append(f"{kind}: {len(names)} (the report has each)")
        else:
            words += [f"{kind}: {name}" for name in names]
    return words + [f"{where}: {', '.join(came)}" for where, came in elsewhere.items()]


SEVERAL = 5
"""So many claims are seen at a glance."""


def summary(data: ResultData) -> list[str]:
    """Say how the claims came out: how many in which way, then each in a line; nothing for a single
    claim. A few claims, which are shown right above, are only counted."""
    judged = data.verdicts
    if len(judged) < 2:
        return []
    claims = enumerate(tables.claims(data), 1)
    lines = [f"{r.sign}{f' {DOUBT}' * r.doubted} {n} {r.text}" for n, r in claims]
    if data.preset == tables.SMOKE or len(judged) <= SEVERAL:
        return ["", tables.tallied(judged)]
    return [
        "",
        tables.tallied(judged),
        *(textwrap.shorten(line, tables.WIDTH, placeholder=" …") for line in lines),
        "",
    ]


def next_commands(name: str, data: ResultData, around: Around, place: str) -> list[str]:
    """Say what to type next: what decides a claim, and the pages."""
    typed, options = shlex.quote(name), f"{around.options}{place}"
    lines = [f"To write the pages: assay report {typed}{options}"]
    if data.preset == tables.SMOKE and around.has_default:
        return [
            f"smoke only checks that everything works; for verdicts: assay run {typed}{place}",
            f"Everything about a claim: assay show {typed} 1{options}",
            *lines,
        ]
    decide = []
    for command, numbers in around.deciding.items():
        which = "it" if len(data.verdicts) == 1 else claims_in_words(numbers)
        here = command.replace(f"run {around.typed}", f"run {typed}", 1)
        decide.append(f"To decide {which}: assay {here}{place}")
    return decide + lines


def unexpected(verdicts: Iterable[Judged], expected: str | None) -> tuple[str, ...]:
    """Say of each verdict that did not come out as expected how it did; nothing where nothing was
    expected."""
    return tuple(
        f"expected {expected}, {v.outcome}{f' ({v.reason_in_words})' if v.reason else ''}: {v.text}"
        for v in verdicts
        if expected is not None and v.outcome != expected
    )


def recorded(data: ResultData, origin: str) -> list[str]:
    """Say of a smoke run how each claim came out in the record, which is of the default preset;
    nothing where there is none."""
    from assay.lab.records import contests, records

    record = None
    with suppress(AssayError):
        record = records.read(data.experiment, origin, measures=False)
    past = contests.of_record(data.experiment, origin) if record else ()
    verdicts = contests.after(ResultData.from_json(record).verdicts, past) if record else ()
    if not record or len(verdicts) != len(data.verdicts):
        return []
    signs = [f"{n} {tables.SIGNS[v.outcome]} {v.outcome}" for n, v in enumerate(verdicts, 1)]
    return [f"recorded for the preset {record['preset']}: {', '.join(signs)}", ""]


LISTED = re.compile(r"(claims? [\d, ]+: )?each \w+: ")
"""A note that has the number of every unit, which is shown where everything is."""
COMBINED = re.compile(r" (?:are combinations|share values) \(")
OTHERS = re.compile(r"(, and [\d,]+ others?): .*")
"""The columns in which arms differ, too, next to those that a note names first."""
EXACT = " in every row: exact interval between "
"""What a note has that only says how the interval of a table was made."""
OF_SOME = re.compile(r"; (?:claim|estimate)s? \d")
"""How what only some of the claims add to the scope of a result begins."""
EXPLAINED = "count as one unit, too"
"""What a note on combined prompts has, and what advice has that already says so."""
MOST = 4
"""So many notes are seen at a glance; of more, those that are routine are not printed."""


def doubted(data: ResultData) -> list[str]:
    """Give the notes that doubt a number, with the sign that marks their claims."""
    return [f"{DOUBT} {note}" for note in parted(data)[0]]


def shared_scope(line: str) -> str:
    """Give a line on the scope of a result, without what only some of the claims add to it where a
    terminal would need more than three lines."""
    if tables.filled(line).count("\n") < 3 or not (of_some := OF_SOME.search(line)):
        return line
    return f"{line[: of_some.start()]}; that of each claim: on the report's page, or with --verbose"


def below(data: ResultData, *, all_of_them: bool = False) -> list[str]:
    """Say what a reader of a result has to know but for its doubts: what changed after a look, and
    its other notes; those that list every unit or, among many, are routine only where all are
    wanted."""
    doubts, notes = parted(data)
    if not all_of_them:
        explained = any(v.price and EXPLAINED in v.price.text for v in data.verdicts)
        notes = [
            x.partition("; ")[0] if COMBINED.search(x) else x for x in notes if not LISTED.match(x)
        ]
        notes = [x for x in notes if not (explained and COMBINED.search(x))]
    routine = [x for x in notes if ROUTINE.search(x)] if len(doubts + notes) > MOST else []
    shown = [f"note: {x}" for x in notes if all_of_them or x not in routine]
    if len(notes) > len(shown):
        more = "on how it was measured: on the report's page, or with --verbose"
        shown.append(f"{counted(len(routine), 'more note')} {more}")
    return [*changes_in_words(data.changed, [v.text for v in data.verdicts]), *shown]




def known(number: Judged | Estimated, *, all_of_it: bool = False) -> tuple[str, ...]:
    """Say what there is to know of a number: notes, and its scope if it is not the units alone,
    which are next to the number; where all of it is wanted, also how its interval was made."""
    if all_of_it:
        return (*noted(number), f"scope: {number.scope}", f"interval: {number.method}")
    scope = [f"scope: {number.scope}"] * (number.scope != f"over {tables.units(number.n)}")
    notes = (OTHERS.sub(r"\1", x) for x in noted(number) if EXACT not in x)
    return (*notes, *scope)


def noted(number: Judged | Estimated) -> tuple[str, ...]:
    """Give the notes on a number, with the sign of a doubt before those that doubt it."""
    outcome = number.outcome if isinstance(number, Judged) else ""
    by_rank = by_weight(number.notes)
    return tuple(f"{DOUBT} " * doubts_number(note, outcome) + note for note in by_rank)
