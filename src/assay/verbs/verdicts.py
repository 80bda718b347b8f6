"""Verdicts: what is stored of an experiment or a study shown, or a run's result."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from msgspec import structs

from assay.core.compute import cpu_in_words, time_in_words
from assay.core.errors import AssayError
from assay.core.nouns import counted
from assay.core.results import ResultData
from assay.lab import catalogue
from assay.lab.judge import kept
from assay.lab.judge.kept import Around
from assay.report import statements, tables
from assay.verbs.parts import AnswerPart, Aside, InFull, Line
from assay.verbs.verb import DEFAULT, HERE, Answer, Choice, Expected, Flag, Name, Place, verb


@verb("verdicts of what is stored")
def command(
    name: Name,
    claim: str | None = None,
    /,
    *,
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
    """
    if claim is None:
        data, about, origin = _of_all(name, choice, place)
        return answer(
            data, about, name, origin, place, expect, estimates=estimates, verbose=verbose
        )
    from assay.verbs import one_claim

    experiment, preset = choice.of(name)
    data, special = one_claim.asked(place.lab().judge(experiment, preset), claim, experiment)
    about = kept.around(experiment, preset, data)
    return answer(data, about, name, experiment.origin, place, expect, special)


def _of_all(name: str, choice: Choice, place: Place) -> tuple[ResultData, Around, str]:
    """All verdicts of an experiment, what is said around them, and where it lives: as they were
    written where nothing has changed since, else judged now."""
    if not choice.set and not choice.each:
        entry = catalogue.entry(name)
        if stored := kept.read(place.root, entry.name, entry.origin, choice.preset):
            return *stored, entry.origin
    experiment, preset = choice.of(name)
    data = place.lab().judge(experiment, preset).data
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
    stored: bool = False,
) -> Answer[ResultData]:
    """Answer with the verdicts of a result, what they cost, and what to type next; `special` takes
    the place of the table of all claims, and `stored` says that a run had nothing left to measure.

    Estimates are counted, unless they are wanted or there is nothing else; the last lines say how
    each claim came out. The exit code is 2 where a statement could not be computed, else 1 where a
    claim did not come out as expected."""
    other = statements.unexpected(data.verdicts, expected)
    code = AssayError.exit_code if data.failed else int(bool(other))

    table = _table(data, about, name, place, estimates, verbose)

    def words() -> Iterator[AnswerPart]:
        settings = ", ".join((*([] if data.preset == "default" else [data.preset]), *about.sets))
        yield Line(f"{data.experiment} ({settings})" if settings else data.experiment)
        yield ""
        yield from special if special is not None else table
        if tables.only_exact(data):
            yield Line(tables.ONLY_EXACT)
        yield from statements.doubted(data)
        yield from about.speaks if verbose else map(statements.shared_scope, about.speaks)
        yield from statements.below(data, all_of_them=verbose)
        # of the catalogue's own entries their pages say what was planned
        if data.registration is not None or about.is_own:
            yield from statements.frozen_lines(data)
        yield ""
        runs = counted(data.provenance["runs"], "run")
        once = "" if data.cpu_seconds >= 0.5 else " after loading"  # which the clock includes
        yield Line(
            f"{f'all {runs} were stored; they' if stored else runs} took "
            f"{cpu_in_words(data.cpu_seconds)}{once} "
            f"({time_in_words(data.seconds)} by the clock)"
        )
        if special is None:
            yield from map(Line, statements.summary(data))
            is_smoke = data.preset.partition("-")[0] == tables.SMOKE
            yield from map(Line, statements.recorded(data, origin) if is_smoke else ())
        yield from map(Line, statements.next_commands(name, data, about, place.options))
        for lost in data.failed:
            yield Aside(f"not judged: {lost.text!r} {lost.reason}")
        yield from map(Aside, other)

    given = tuple(v.without_ties for v in data.verdicts)
    return Answer(structs.replace(data, verdicts=given), words(), code)


def _table(
    data: ResultData, about: Around, name: str, place: Place, estimates: bool, verbose: bool
) -> Iterator[AnswerPart]:
    """All statements, and which of them were not asked."""
    # Those of a study are what its author asked for.
    listed = estimates or about.is_study
    count = len(data.findings) if (data.verdicts or data.exact) and not listed else 0
    shown = structs.replace(data, findings=()) if count else data
    yield InFull(shown) if verbose else shown
    if count:
        yield ""
        yield Line(
            f"{count} estimate{'s' * (count > 1)}, without a verdict: assay show "
            f"{shlex.quote(name)} --estimates{about.options}{place.options}"
        )
    for skipped in data.skipped:
        yield f"not asked of {data.arm}: {skipped.text} ({skipped.reason})"
