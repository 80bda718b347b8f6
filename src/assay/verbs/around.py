"""Around: what is said around a table of verdicts: what changed, how many came out how, what is
recorded, and what to type next."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Sequence

from assay.core.errors import AssayError
from assay.core.reasons import explain_reason
from assay.core.results import Judged, ResultData
from assay.lab.judge.kept import Around
from assay.report import tables
from assay.report.statements import heads

FEW = 3
"""So many changes of a kind are told one by one."""


def many_in_words(changes: Sequence[str]) -> list[str]:
    """Say what changed: of each kind what it was, or how many where those are many; the report and
    --json have each."""
    by_kind: dict[str, list[str]] = {}
    for change in changes:
        kind, colon, what = change.partition(": ")
        by_kind.setdefault(kind if colon else change, []).append(what)
    words = []
    for kind, names in by_kind.items():
        if len(names) > FEW:
            words.append(f"{kind}: {len(names)} (the report has each)")
        else:
            words += [f"{kind}: {name}" if name else kind for name in names]
    return words


def summary(data: ResultData) -> list[str]:
    """Say how the claims came out: how many in which way, then each in a line; nothing of one
    alone, which stands right above."""
    judged = data.verdicts
    if len(judged) < 2:
        return []
    short = heads([v.text for v in judged])
    lines = [
        f"{tables.SIGNS[v.outcome]} {number} {words}"
        for number, (v, words) in enumerate(zip(judged, short, strict=True), 1)
    ]
    if data.preset == tables.SMOKE:  # the table is as short
        return ["", tables.tallied(judged)]
    return [
        "",
        tables.tallied(judged),
        *(textwrap.shorten(line, tables.WIDTH, placeholder=" …") for line in lines),
        "",
    ]


def recorded(data: ResultData, origin: str) -> list[str]:
    """Say of a smoke run how each claim came out in the record, which is of the default preset;
    nothing where there is none."""
    from assay.lab.records import contests, records

    try:
        record = records.read(data.experiment, origin, measures=False)
    except AssayError:
        return []
    if record is None:
        return []
    past = contests.of_record(data.experiment, origin)
    verdicts = contests.after(ResultData.from_json(record).verdicts, past)
    if len(verdicts) != len(data.verdicts):
        return []
    signs = [f"{n} {tables.SIGNS[v.outcome]} {v.outcome}" for n, v in enumerate(verdicts, 1)]
    return [f"recorded, of the preset {record['preset']}: {', '.join(signs)}", ""]


def next_commands(name: str, data: ResultData, around: Around, place: str) -> list[str]:
    """Say what to type next: what decides a claim, an arm to judge as if it were the method, an
    ablation before a control, and the pages."""
    typed, options = shlex.quote(name), f"{around.options}{place}"
    lines = [f"Read the pages: assay report {typed}{options}"]
    if data.arm != "main":
        return lines
    if around.rival and any(verdict.outcome == "holds" for verdict in data.verdicts):
        lines.insert(0, f"Try to fool it: assay show {typed} --arm {around.rival}{options}")
    if data.preset == tables.SMOKE and around.has_default:
        return [
            f"smoke checks that everything works; for verdicts: assay run {typed}{place}",
            f"All that is known of a claim: assay show {typed} 1{options}",
            *lines,
        ]
    decide = []
    for command, numbers in around.deciding.items():
        listed = f"claim{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
        which = "it" if len(data.verdicts) == 1 else listed
        here = command.replace(f"run {around.typed}", f"run {typed}", 1)
        decide.append(f"To decide {which}: assay {here}{place}")
    return decide + lines


def unexpected(verdicts: Iterable[Judged], expected: str | None) -> tuple[str, ...]:
    """Say of each verdict that did not come out as expected how it did; nothing where nothing was
    expected."""
    return tuple(
        f"expected {expected}, {v.outcome}"
        f"{f' ({explain_reason(v.reason)})' if v.reason else ''}: {v.text}"
        for v in verdicts
        if expected is not None and v.outcome != expected
    )
