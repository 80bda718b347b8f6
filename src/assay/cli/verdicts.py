"""What `assay run` and `assay show` print: the verdicts of a result, what they cost, and what to type next."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from assay.cli import claim, fooled
from assay.cli.printing import emit, say, tell
from assay.cli.progress import duration
from assay.core.errors import AssayError
from assay.report import tables

if TYPE_CHECKING:
    from assay.cli.options import Place
    from assay.core.experiment import Experiment
    from assay.lab.preset import Preset
    from assay.lab.result import Result


def show(
    result: Result, name: str, experiment: Experiment, preset: Preset, place: Place, expected: str | None = None, asked: str | None = None
) -> int:
    """Print the verdicts of a result, or all of the one claim that is asked for; what they cost, and what to type next.

    Raises: ClaimError where no claim is the one that is asked for, or several.

    The exit code is 2 where a statement could not be computed, else 1 where a claim did not come out as expected.
    """
    from assay.lab.verdicts import choose, otherwise
    from assay.verbs.pages import slug

    every = result.judged
    result = result if asked is None else choose(result, asked)
    data = result.to_json()
    other = otherwise(result.judged, expected)
    code = AssayError.exit_code if result.failed else int(bool(other))
    if place.json:
        emit(data)
        return code
    tell(f"{result.experiment} ({', '.join((result.preset, *preset.sets))})\n")
    if result.arm != "main":
        fooled.show(result, experiment)
    elif asked is not None:
        number = every.index(result.judged[0]) + 1
        page = f"report/{slug(experiment.name, preset.title)}.html#claim-{number}"
        claim.show(result.judged[0], number, f"{page}, once the pages are written (below)")
    else:
        tables.show(data)
        for text, reason in result.skipped:
            say(f"not asked of {result.arm}: {text} ({reason})")
    if tables.only_exact(data):
        tell(tables.ONLY_EXACT)
    for change in result.changed:
        say(f"changed after a look at these seeds: {change}")
    for note in result.notes:
        say(f"note: {note}")
    print(f"\n{data['provenance']['runs']} runs, {duration(result.seconds)}, {result.cpu_seconds:.0f} CPU-seconds")
    for line in invitations(name, result, experiment, preset, place.options):
        tell(line)
    for text, reason in result.failed:
        tell(f"not judged: {text!r} {reason}", sys.stderr)
    for line in other:
        tell(line, sys.stderr)
    return code


def invitations(name: str, result: Result, experiment: Experiment, preset: Preset, place: str) -> list[str]:
    """Say what to type next: what decides a claim, an arm to judge as if it were the method, an ablation before a control, and the pages."""
    from assay.lab.verdicts import deciding

    typed, options = shlex.quote(name), f"{preset.options}{place}"
    lines = [f"Read the pages: assay report {typed}{options}"]
    if result.arm != "main":
        return lines
    claims = [judged.claim for judged in result.judged]
    rivals = [arm for arm in experiment.arms if arm.startswith("no-")] + [arm for claim in claims for arm in claim.must_fail]
    if rivals and any(judged.verdict.outcome == "holds" for judged in result.judged):
        lines.insert(0, f"Try to fool it: assay show {typed} --arm {rivals[0]}{options}")
    decide: list[str] = []
    if preset.name == "smoke" and experiment.default:
        return [f"smoke checks that everything works; for verdicts: assay run {typed}{place}", *lines]
    for command, numbers in deciding(result, experiment, preset).items():
        listed = ", ".join(map(str, numbers))
        which = "it" if len(claims) == 1 else f"claim {listed}" if len(numbers) == 1 else f"claims {listed}"
        decide.append(f"To decide {which}: assay {command.replace(f'run {experiment.typed}', f'run {typed}', 1)}{place}")
    return decide + lines
