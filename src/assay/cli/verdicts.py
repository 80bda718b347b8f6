"""What `assay run` and `assay show` print: the verdicts of a result, what they cost, and what to
type next."""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import structs

from assay.cli import arm_verdicts, claim
from assay.cli.printing import emit, say, tell
from assay.cli.progress import duration
from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.results import ResultData
from assay.lab.origin import STUDIES, in_file
from assay.lab.preset import Preset
from assay.lab.result import Result
from assay.lab.verdicts import choose, deciding, otherwise
from assay.report import frozen, tables
from assay.report.statements import heads

if TYPE_CHECKING:
    from assay.cli.options import Place


def show(
    result: Result | ResultData,
    name: str,
    experiment: Experiment,
    preset: Preset,
    place: Place,
    expected: str | None = None,
    claim_words: str | None = None,
    findings: bool = False,
) -> int:
    """Print the verdicts of a result, or of a stored one; what they cost, and what
    to type next.

    Of one claim that is `asked` for, or of another arm, more is printed than is stored, so that
    takes a Result. Estimates are counted, unless they are wanted or there is nothing else; the last
    lines say how each claim came out.

    Raises: ClaimError where no claim is the one that is asked for, or several.

    The exit code is 2 where a statement could not be computed, else 1 where a claim did not come
    out as expected."""
    print_chosen, data = (
        (None, result)
        if isinstance(result, ResultData)
        else _chosen(result, experiment, claim_words)
    )
    other = otherwise(data.verdicts, expected)
    code = AssayError.exit_code if data.failed else int(bool(other))
    if place.json:
        emit(data)
        return code
    tell(f"{data.experiment} ({', '.join((data.preset, *preset.sets))})\n")
    if print_chosen is not None:
        print_chosen()
    else:
        # Those of a study are what its author asked for.
        stated = bool(data.verdicts or data.exact)
        findings = findings or experiment.origin.endswith(STUDIES)
        folded = bool(data.findings) and stated and not findings
        tables.show(structs.replace(data, findings=()) if folded else data)
        if folded:
            count = len(data.findings)
            options = f"{preset.options}{place.options}"
            tell(
                f"\n{count} estimate{'s' * (count > 1)}, without a verdict: assay show "
                f"{shlex.quote(name)} --estimates{options}"
            )
        for skipped in data.skipped:
            say(f"not asked of {data.arm}: {skipped.text} ({skipped.reason})")
    if tables.only_exact(data):
        tell(tables.ONLY_EXACT)
    for change in data.changed:
        say(f"changed after a look at these seeds: {change}")
    for note in data.notes:
        say(f"note: {note}")
    if data.registration is not None or in_file(
        experiment.origin
    ):  # of the catalogue's own entries their pages say what was planned
        for line in frozen.lines(data):
            say(line)
    print(
        f"\n{data.provenance['runs']} runs, {duration(data.seconds)}, "
        f"{data.cpu_seconds:.0f} CPU-seconds"
    )
    for line in summary(data) if print_chosen is None else ():
        tell(line)
    for line in invitations(name, data, experiment, preset, place.options):
        tell(line)
    for lost in data.failed:
        tell(f"not judged: {lost.text!r} {lost.reason}", sys.stderr)
    for line in other:
        tell(line, sys.stderr)
    return code


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
    return [
        "",
        tables.tallied(judged),
        *(textwrap.shorten(line, tables.WIDTH, placeholder=" …") for line in lines),
        "",
    ]


def _chosen(
    result: Result, experiment: Experiment, claim_words: str | None
) -> tuple[Callable[[], None] | None, ResultData]:
    """What prints one claim or another arm than main in place of the table, and what is chosen of
    the result."""
    from assay.verbs.pages import slug  # which loads templates

    every = result.judged
    result = result if claim_words is None else choose(result, claim_words)
    if result.arm != "main":
        return lambda: arm_verdicts.show(result, experiment), result.data
    if claim_words is None:
        return None, result.data
    number = every.index(result.judged[0]) + 1
    page = f"report/{slug(experiment.name, result.preset)}.html#claim-{number}"
    return lambda: claim.show(
        result.judged[0], number, f"{page}, once the pages are written (below)"
    ), result.data


def invitations(
    name: str, data: ResultData, experiment: Experiment, preset: Preset, place: str
) -> list[str]:
    """Say what to type next: what decides a claim, an arm to judge as if it were the method, an
    ablation before a control, and the pages."""
    typed, options = shlex.quote(name), f"{preset.options}{place}"
    lines = [f"Read the pages: assay report {typed}{options}"]
    if data.arm != "main":
        return lines
    judged = data.verdicts
    rivals = [arm for arm in experiment.arms if arm.startswith("no-")] + [
        arm for verdict in judged for arm in verdict.controls
    ]
    if rivals and any(verdict.outcome == "holds" for verdict in judged):
        lines.insert(0, f"Try to fool it: assay show {typed} --arm {rivals[0]}{options}")
    decide: list[str] = []
    if preset.name == "smoke" and experiment.default:
        return [
            f"smoke checks that everything works; for verdicts: assay run {typed}{place}",
            *lines,
        ]
    for command, numbers in deciding(judged, experiment, preset).items():
        listed = ", ".join(map(str, numbers))
        which = (
            "it"
            if len(judged) == 1
            else f"claim {listed}"
            if len(numbers) == 1
            else f"claims {listed}"
        )
        decide.append(
            f"To decide {which}: assay "
            f"{command.replace(f'run {experiment.typed}', f'run {typed}', 1)}{place}"
        )
    return decide + lines
