"""Verdicts: what is stored of an experiment or a study shown, or a run's result."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from assay.core.compute import duration as seconds_of
from assay.core.errors import AssayError
from assay.core.reasons import explain_reason
from assay.core.results import Judged, ResultData
from assay.lab import catalogue
from assay.lab.judge import kept
from assay.lab.judge.kept import Around
from assay.lab.store.origin import STUDIES
from assay.report import tables
from assay.report.statements import frozen_lines, heads
from assay.verbs.options import DEFAULT, HERE, Arm, Choice, Expected, Flag, Name, Place
from assay.verbs.verb import Answer, AnswerPart, Aside, InFull, Line, duration, verb

if TYPE_CHECKING:
    from assay.core.experiment import Experiment
    from assay.lab.lab import Lab
    from assay.lab.plan.plan import Plan
    from assay.lab.plan.preset import Preset
    from assay.lab.work.events import OnEvent


LISTED = re.compile(r"(claim \d+: )?each \w+: ")
"""A note that has the number of every unit, which is shown where everything is."""


@verb("verdicts of what is stored")
def command(
    name: Name,
    claim: str | None = None,
    /,
    *,
    arm: Arm = "main",
    estimates: Flag = False,
    verbose: Flag = False,
    expect: Expected = None,
    choice: Choice = DEFAULT,
    place: Place = HERE,
) -> Answer[ResultData]:
    """Show the verdicts, controls and intervals of stored results, without training anything.

    Parameters
    ----------
    claim
        One claim: its number, or some words of its text.
    estimates
        List the estimates as well: numbers with intervals, without a verdict.
    verbose
        Show every control, the power, and which other arms satisfy a claim.

    Examples
    --------
    assay show gated-sae 1
    assay show gated-sae --arm no-aux
    """
    if arm == "main" and claim is None:
        data, about, origin = _of_all(name, choice, place)
        return answer(
            data, about, name, origin, place, expect, estimates=estimates, verbose=verbose
        )
    from assay.verbs import one_claim

    experiment, preset = choice.of(name)
    data, special = one_claim.asked(place.lab().judge(experiment, preset, arm), claim, experiment)
    about = kept.around(experiment, preset, data)
    return answer(data, about, name, experiment.origin, place, expect, special)


def _of_all(name: str, choice: Choice, place: Place) -> tuple[ResultData, Around, str]:
    """All verdicts of an experiment, what is told around them, and where it lives: as they were
    written where nothing has changed since, else judged now."""
    if not choice.set and not choice.each:
        entry = catalogue.entry(name)
        if stored := kept.read(place.root, entry.name, entry.origin, choice.preset):
            return *stored, entry.origin
    experiment, preset = choice.of(name)
    data = show(place.lab(), experiment, preset)
    return data, kept.around(experiment, preset, data), experiment.origin


def answer(
    data: ResultData,
    about: Around,
    name: str,
    origin: str,
    place: Place,
    expected: str | None = None,
    special: Iterator[AnswerPart] | None = None,
    estimates: bool = False,
    verbose: bool = False,
) -> Answer[ResultData]:
    """Answer with the verdicts of a result, what they cost, and what to type next; `special` takes
    the place of the table of all claims.

    Estimates are counted, unless they are wanted or there is nothing else; the last lines say how
    each claim came out. The exit code is 2 where a statement could not be computed, else 1 where a
    claim did not come out as expected."""
    other = unexpected(data.verdicts, expected)
    code = AssayError.exit_code if data.failed else int(bool(other))

    table = _table(data, about, name, place, estimates, InFull if verbose else lambda data: data)

    def words() -> Iterator[AnswerPart]:
        yield Line(f"{data.experiment} ({', '.join((data.preset, *about.sets))})")
        yield ""
        yield from special if special is not None else table
        if tables.only_exact(data):
            yield Line(tables.ONLY_EXACT)
        yield from about.speaks if special is None else ()
        for changes in many_in_words(data.changed):
            yield f"changed after a look at these seeds: {changes}"
        for note in data.notes:
            if verbose or not LISTED.match(note):
                yield f"note: {note}"
        # of the catalogue's own entries their pages say what was planned
        if data.registration is not None or about.is_own:
            yield from frozen_lines(data)
        yield ""
        yield Line(
            f"{data.provenance['runs']} runs, {duration(data.seconds)}, "
            f"{data.cpu_seconds:.0f} CPU-second{'s' * (round(data.cpu_seconds) != 1)}"
        )
        if special is None:
            yield from map(Line, summary(data))
            is_smoke = data.preset.partition("-")[0] == tables.SMOKE
            yield from map(Line, recorded(data, origin) if is_smoke else ())
        yield from map(Line, next_commands(name, data, about, place.options))
        for lost in data.failed:
            yield Aside(f"not judged: {lost.text!r} {lost.reason}")
        yield from map(Aside, other)

    return Answer(data, words(), code)


def _table(
    data: ResultData,
    about: Around,
    name: str,
    place: Place,
    estimates: bool,
    shown: Callable[[ResultData], AnswerPart],
) -> Iterator[AnswerPart]:
    """All statements, and which of them were not asked."""
    # Those of a study are what its author asked for.
    listed = estimates or about.is_study
    count = len(data.findings) if (data.verdicts or data.exact) and not listed else 0
    yield shown(structs.replace(data, findings=()) if count else data)
    if count:
        yield ""
        yield Line(
            f"{count} estimate{'s' * (count > 1)}, without a verdict: assay show "
            f"{shlex.quote(name)} --estimates{about.options}{place.options}"
        )
    for skipped in data.skipped:
        yield f"not asked of {data.arm}: {skipped.text} ({skipped.reason})"


def run(
    lab: Lab,
    experiment: Experiment,
    preset: Preset,
    watching: AbstractContextManager[OnEvent] | None = None,
) -> ResultData:
    """Train and measure what is missing, then judge; a study only within its budget. What is stored
    is given at once.

    `watching` is entered where something is to be done, and gives what is told of it.
    Raises: ExperimentError for a study that would take longer than its budget; RunError;
    StoreError; KeyboardInterrupt, resumable."""
    planned = lab.plan(experiment, preset)
    if (known := lab.known(experiment, planned)) is not None:
        return known
    if experiment.origin.endswith(STUDIES):
        _refuse_beyond_budget(lab, experiment, planned)
    with watching if watching is not None else nullcontext() as on_event:
        return lab.run(experiment, preset, on_event, planned).data


def _refuse_beyond_budget(lab: Lab, experiment: Experiment, planned: Plan) -> None:
    """Refuse a study that is expected to take longer than its budget; where nothing is known of its
    times it may run. Raises: ExperimentError, with what would fit."""
    from assay.ask.text import read

    text = read(Path(experiment.origin))
    if not text.study.budget or not planned.missing:
        return
    from assay.lab.forecast import forecast

    with text.located("budget"):
        most = seconds_of(text.study.budget)
    width = lab.executor_for([experiment]).width
    took = forecast(planned, experiment, width, claims=False).command
    if took is not None and took[0].low > most:
        what = (
            f"the missing runs would take {took[0].low:,.0f} s or more, and the budget is "
            f"{text.study.budget.strip()}; raise it, or name fewer seeds, arms or values; "
            "nothing was run"
        )
        raise text.error(("budget",), what)


def show(
    lab: Lab, experiment: Experiment, preset: Preset, arm: str = "main", claim: str | None = None
) -> ResultData:
    """Give the verdicts of what is stored, all or one claim, by its number or words of its text;
    nothing is trained or written.

    Another `arm` is judged as if it were the method.
    Raises: StoreError where runs are missing; ExperimentError for an unknown arm; ClaimError where
    no claim is the one, or several."""
    from assay.verbs.one_claim import choose

    result = lab.judge(experiment, preset, arm)
    return (result if claim is None else choose(result, claim)).data


# around the table ---------------------------------------------------------------------------------


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
