"""What `assay run` and `assay show` print: the verdicts of a result, one claim in full, or another
arm in the method's place; what they cost, and what to type next."""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import structs

from assay.cli.printing import draw, emit, grid, say, tell
from assay.cli.progress import duration
from assay.core.claims import Claim
from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.reasons import explain_reason
from assay.core.results import Judged, ResultData, Verdict
from assay.lab.judge.result import Result, judge_statements
from assay.lab.judge.verdicts import choose, deciding, otherwise
from assay.lab.plan.preset import Preset
from assay.lab.store.origin import STUDIES, in_file
from assay.report import tables
from assay.report.statements import frozen_lines, heads

if TYPE_CHECKING:
    from assay.cli.options import Place


MUST = {
    "near": "near control, must fail",
    "control": "must fail",
    "planted": "must hold",
    "violation": "planted violation, must fail",
    "also": "may hold too",
    "true": "also true of it",
    "unnamed": "holds too",
}
"""What an arm is to a claim, in words."""
CAME = {
    "control": "does not: a control, and must not",
    "other": "does not",
    "also": "does, and may: its author says so",
    "true": "does, as another arm may",
    "unnamed": "DOES, and lacks what is credited",
    "passing": "DOES: a control, and must not",
}
"""Whether another arm satisfies a claim, in words."""


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
        for line in frozen_lines(data):
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
        return lambda: show_arm(result, experiment), result.data
    if claim_words is None:
        return None, result.data
    number = every.index(result.judged[0]) + 1
    page = f"report/{slug(experiment.name, result.preset)}.html#claim-{number}"
    return lambda: show_claim(
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


def show_claim(judged_claim: Judged, number: int, page: str) -> None:
    """Print all that is known of one claim, a line for each thing; `page` says where its figure
    is."""
    claim, row = judged_claim.claim, tables.row(judged_claim)
    why = row.why.removeprefix(f"{row.outcome}: ")
    table = grid("", "")
    table.show_header, table.columns[1].ratio = False, 1
    lines = [
        (f"claim {number}", claim.text),
        ("verdict", f"{row.sign} {row.outcome}, {claim.kind}" + (f"; {why}" if why else "")),
        ("estimate", " ".join(filter(None, (row.estimate, row.interval, row.unit)))),
        ("interval", "; ".join(filter(None, (judged_claim.method, row.agreed)))),
        ("threshold", f"{claim.threshold}, from {claim.threshold_from}"),
        (
            "units",
            f"{row.n} of {claim.of}: " + ", ".join(map(tables.number, judged_claim.points)),
        ),
        *((c.arm, control_to_text(c, judged_claim)) for c in row.controls),
        (
            "gates",
            ", ".join(
                f"{name} {'met' if met else 'not met'}" for name, met in judged_claim.gates.items()
            ),
        ),
        ("power", "" if "would be found" in row.why else tables.describe_detectable(judged_claim)),
        ("published", published(judged_claim)),
        ("source", claim.source),
        ("scope", judged_claim.scope),
        ("figure", page),
    ]
    for name, words in lines:
        if words:
            table.add_row(name, words)
    draw(table)


def control_to_text(control: tables.Control, judged_claim: Judged) -> str:
    """Write a control: how it came out, its number, its role, and why the author names it."""
    why = {**judged_claim.claim.near, **judged_claim.claim.may_hold}.get(control.arm, "")
    came = control.outcome if control.role in ("near", "control", "planted", "violation") else ""
    role = ", ".join(filter(None, (MUST.get(control.role, control.role), came)))
    return f"{control.sign} {control.estimate} {control.interval}: {role}".lstrip() + (
        f" ({why})" if why else ""
    )


def published(judged_claim: Judged) -> str:
    """Write what a paper prints of the same quantity, where it stands, and how far it compares."""
    paper = judged_claim.claim.published
    if paper is None or isinstance(paper, str):
        return "new: no paper that we know prints it" if paper else ""
    note = f"; {paper.note}" if paper.note else ""
    return f"{paper.number:g}, {paper.source} ({paper.at}), {paper.set_up}{note}"


def show_arm(result: Result, experiment: Experiment) -> None:
    """Print the arm, and for every claim its number beside those of main and of the arm that the
    claim is about, and whether it satisfies it."""
    arm, note = result.arm, experiment.arms[result.arm].note
    claims = [s for s in experiment.claims if isinstance(s, Claim)]
    say(f"Judged as if it were the method: {arm}{f', {note}' if note else ''}.")
    say("Does it satisfy what is claimed? Controls must not, nor what lacks a credited part.")
    print()
    table = grid("", "claim", arm, "main", "satisfies it?")
    table.expand, table.columns[1].ratio, table.columns[4].max_width = True, 1, 18
    judged_by_text = {judged_claim.text: judged_claim for judged_claim in result.judged}
    other_claims = [s.about(arm) for s in claims if s.of not in ("main", arm)]
    judgements = judge_statements(other_claims, result.arms, origin=experiment.origin)
    judged_by_text |= {judged_claim.text: judged_claim for judged_claim in judgements.judged}
    as_main = judge_statements(
        [s if s.of == "main" else s.about("main") for s in claims],
        result.arms,
        origin=experiment.origin,
    ).judged
    main = {judged_claim.text: judged_claim for judged_claim in as_main}
    lacking = dict((*result.skipped, *judgements.failed, *judgements.skipped))
    rows, own_numbers = 0, []
    for i, s in enumerate(claims, 1):
        judged_claim = judged_by_text.get(s.text)
        if s.of == arm and arm != "main":
            own_numbers.append(i)
        elif judged_claim is not None and judged_claim.outcome != "undecided":
            sign, came = satisfied(s, judged_claim)
            answer = came if s.of == "main" else f"{came} (the claim is about {s.of})"
            table.add_row(
                sign,
                f"{i} {s.text}",
                number(judged_claim),
                number(main.get(s.text)),
                answer,
            )
            rows += 1
    if rows:
        draw(table)
    for reason, texts in undecided(judged_by_text).items():
        say(f"Undecided, {reason}: {'; '.join(texts)}")
    missing = [s.text for s in claims if s.text in lacking]
    if missing:
        say(
            f"Not asked, since they compare {arm} itself or need what it lacks: "
            f"{'; '.join(missing)}"
        )
    for i in own_numbers:
        outcome = [
            f" ({own_claim.outcome})"
            for own_claim in judge_statements(
                [claims[i - 1]], result.arms, origin=experiment.origin
            ).judged
        ]
        say(f"Claim {i} is about {arm} itself{''.join(outcome)}: {claims[i - 1].text}")


def satisfied(claim: Claim, verdict: Verdict) -> tuple[str, str]:
    """The sign of an arm that satisfies a claim, or does not, and whether it may."""
    arm = verdict.arm
    if verdict.outcome == "fails":
        return tables.CHECKS[True], CAME["control" if arm in claim.must_fail else "other"]
    if arm in claim.must_fail:
        return tables.CHECKS[False], CAME["passing"]
    if verdict.lacks:
        return tables.CHECKS[False], CAME["unnamed"]
    return "", CAME["also" if arm in claim.may_hold or arm in claim.must_hold else "true"]


def number(verdict: Verdict | None) -> str:
    """Write an estimate with its interval; "" of an arm that was not asked."""
    if verdict is None:
        return ""
    return "\n".join(tables.estimate(verdict.estimate, verdict.low, verdict.high))


def undecided(judged_by_text: Mapping[str, Judged]) -> dict[str, list[str]]:
    """Group the texts of undecided claims by the reason in words."""
    grouped: dict[str, list[str]] = {}
    for text, judged_claim in judged_by_text.items():
        if judged_claim.outcome == "undecided":
            grouped.setdefault(explain_reason(judged_claim.reason), []).append(text)
    return grouped
