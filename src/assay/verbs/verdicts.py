"""Verdicts: an experiment or a study run, or what is stored of it shown."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from msgspec import structs

from assay.core.claims import Claim
from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.garbage import uncollected
from assay.core.reasons import explain_reason
from assay.core.results import Judged, ResultData, Verdict
from assay.lab.judge.result import Result, judge_statements
from assay.lab.judge.verdicts import choose, deciding, otherwise
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset
from assay.lab.records import contests, records
from assay.lab.store.origin import STUDIES, in_file
from assay.lab.work.events import OnEvent
from assay.report import tables
from assay.report.statements import frozen_lines, heads
from assay.studies import shown
from assay.studies.budget import affordable
from assay.verbs.options import (
    DEFAULT,
    HERE,
    Arm,
    Bare,
    Choice,
    Expected,
    Flag,
    Name,
    Place,
)
from assay.verbs.verb import Answer, Aside, Line, Part, Table, duration, verb

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
    "other": "does not",
    "also": "does, and may: its author says so",
    "true": "does, as another arm may",
    "unnamed": "DOES, and lacks what is credited",
}
"""Whether an arm that is no control satisfies a claim, in words."""
FEW = 3
"""So many changes of a kind are told one by one."""


def results() -> Any:
    """Give the types of what is shown."""
    from assay.verbs.fields import Measures

    return ResultData | Measures


@verb("verdicts of what is stored; what is measured", results=results)
@uncollected()
def command(
    name: Name,
    claim: str | None = None,
    /,
    *,
    arm: Arm = "main",
    estimates: Annotated[bool, Bare, Parameter(name=("--estimates", "--findings"))] = False,
    measures: Flag = False,
    expect: Expected = None,
    choice: Choice = DEFAULT,
    place: Place = HERE,
) -> Answer[Any]:
    """Verdicts, controls and intervals of what is stored; trains nothing.

    Parameters
    ----------
    claim
        One claim: its number, or words of its text.
    estimates
        List the estimates as well: numbers with their intervals, and no verdict.
    measures
        List what is measured instead, with unit, range and dimensions; nothing has to be stored.

    Examples
    --------
    assay show gated-sae 1
    assay show gated-sae --arm no-aux
    """
    if measures:
        from assay.verbs import fields

        known = fields.measures(name, choice, place)
        return Answer(known, fields.in_words(known))
    experiment, preset = choice.of(name)
    result = load_or_judge(place.lab(), experiment, preset, arm, claim)
    return answer(result, name, experiment, preset, place, expect, claim, estimates)


def answer(
    result: Result | ResultData,
    name: str,
    experiment: Experiment,
    preset: Preset,
    place: Place,
    expected: str | None = None,
    claim_words: str | None = None,
    findings: bool = False,
) -> Answer[ResultData]:
    """Answer with the verdicts of a result, or of a stored one; what they cost, and what to type
    next.

    Of one claim that is asked for, or of another arm, more is told than is stored, so that takes a
    Result. Estimates are counted, unless they are wanted or there is nothing else; the last lines
    say how each claim came out. The exit code is 2 where a statement could not be computed, else 1
    where a claim did not come out as expected.

    Raises: ClaimError where no claim is the one that is asked for, or several.
    """
    special: Iterator[Part] | None = None
    if isinstance(result, ResultData):
        data = result
    else:
        every = result.judged
        result = result if claim_words is None else choose(result, claim_words)
        data = result.data
        if result.arm != "main":
            special = arm_in_words(result, experiment)
        elif claim_words is not None:
            from assay.verbs.pages import slug  # which loads templates

            number = every.index(result.judged[0]) + 1
            page = f"report/{slug(experiment.name, result.preset)}.html#claim-{number}"
            special = claim_in_words(
                result.judged[0], number, f"{page}, once the pages are written (below)"
            )
    other = otherwise(data.verdicts, expected)
    code = AssayError.exit_code if data.failed else int(bool(other))

    def words() -> Iterator[Part]:
        options = f"{preset.options}{place.options}"
        yield Line(f"{data.experiment} ({', '.join((data.preset, *preset.sets))})")
        yield ""
        if special is not None:
            yield from special
        else:
            # Those of a study are what its author asked for.
            listed = findings or experiment.origin.endswith(STUDIES)
            count = len(data.findings) if (data.verdicts or data.exact) and not listed else 0
            yield structs.replace(data, findings=()) if count else data
            if count:
                yield ""
                yield Line(
                    f"{count} estimate{'s' * (count > 1)}, without a verdict: assay show "
                    f"{shlex.quote(name)} --estimates{options}"
                )
            for skipped in data.skipped:
                yield f"not asked of {data.arm}: {skipped.text} ({skipped.reason})"
        if tables.only_exact(data):
            yield Line(tables.ONLY_EXACT)
        yield from speaks_for(data, experiment) if special is None else ()
        for changes in many_in_words(data.changed):
            yield f"changed after a look at these seeds: {changes}"
        for note in data.notes:
            yield f"note: {note}"
        # of the catalogue's own entries their pages say what was planned
        if data.registration is not None or in_file(experiment.origin):
            yield from frozen_lines(data)
        yield ""
        yield Line(
            f"{data.provenance['runs']} runs, {duration(data.seconds)}, "
            f"{data.cpu_seconds:.0f} CPU-seconds"
        )
        yield from map(Line, summary(data) if special is None else ())
        yield from map(Line, beside_record(data, experiment, preset) if special is None else ())
        yield from map(Line, invitations(name, data, experiment, preset, place.options))
        for lost in data.failed:
            yield Aside(f"not judged: {lost.text!r} {lost.reason}")
        yield from map(Aside, other)

    return Answer(data, words(), code)


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
    if (known := lab.known(experiment, preset, run=True)) is not None:
        return ResultData.from_json(known)
    if experiment.origin.endswith(STUDIES):
        affordable(Path(experiment.origin), lab, experiment, preset)
    with watching if watching is not None else nullcontext() as on_event:
        return lab.run(experiment, preset, on_event).data


def show(
    lab: Lab, experiment: Experiment, preset: Preset, arm: str = "main", claim: str | None = None
) -> ResultData:
    """Give the verdicts of what is stored, all or one claim, by its number or words of its text;
    nothing is trained or written.

    Another `arm` is judged as if it were the method.
    Raises: StoreError where runs are missing; ExperimentError for an unknown arm; ClaimError where
    no claim is the one, or several."""
    stored_result = load_or_judge(lab, experiment, preset, arm, claim)
    if isinstance(stored_result, ResultData):
        return stored_result
    return (stored_result if claim is None else choose(stored_result, claim)).data


def load_or_judge(
    lab: Lab, experiment: Experiment, preset: Preset, arm: str = "main", claim: str | None = None
) -> Result | ResultData:
    """Give what is stored, as it was written where no more than that is asked for; else judge
    it."""
    if arm != "main" or claim is not None:
        return lab.judge(experiment, preset, arm)
    result = lab.known_or_judged(experiment, preset)
    return ResultData.from_json(result) if isinstance(result, dict) else result


def speaks_for(data: ResultData, experiment: Experiment) -> Iterator[str]:
    """Say for what the verdicts speak: models, prompts and sites, the claims of each scope by
    number where there are several scopes."""
    study = None
    with suppress(AssayError):  # the prompts of its file are no longer there
        study = shown.describe(experiment, {})
    by_scope: dict[str, list[str]] = {}
    for number, verdict in enumerate(data.verdicts, 1):
        if verdict.scope:
            by_scope.setdefault(verdict.scope, []).append(str(number))
    for scope, numbers in by_scope.items():
        which = f"claim{'s' * (len(numbers) > 1)} {', '.join(numbers)} "
        which = which if len(by_scope) > 1 else ""
        scope = study.scope(scope) if study else scope
        yield f"{which}speak{'s' * (len(numbers) < 2 or not which)} for: {scope}"


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


def beside_record(data: ResultData, experiment: Experiment, preset: Preset) -> list[str]:
    """Say of a smoke run how each claim came out in the record, which stands for the default
    preset; nothing where there is none."""
    if preset.name != "smoke":
        return []
    try:
        record = records.read(experiment.name, experiment.origin, measures=False)
    except AssayError:
        return []
    if record is None:
        return []
    past = contests.of_record(experiment.name, experiment.origin)
    recorded = contests.after(ResultData.from_json(record).verdicts, past)
    if len(recorded) != len(data.verdicts):
        return []
    signs = [f"{n} {tables.SIGNS[v.outcome]} {v.outcome}" for n, v in enumerate(recorded, 1)]
    return [f"recorded, of the preset {record['preset']}: {', '.join(signs)}", ""]


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
            f"All that is known of a claim: assay show {typed} 1{options}",
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


def claim_in_words(judged_claim: Judged, number: int, page: str) -> Iterator[Part]:
    """Tell all that is known of one claim, a line for each thing; `page` says where its figure
    is."""
    claim, row = judged_claim.claim, tables.row(judged_claim)
    why = row.why.removeprefix(f"{row.outcome}: ")
    gates = [f"{name} {'met' if met else 'not met'}" for name, met in judged_claim.gates.items()]
    kind = tables.KIND_WORDS[claim.kind]
    lines = [
        (f"claim {number}", claim.text),
        ("verdict", f"{row.sign} {row.outcome}, {kind}" + (f"; {why}" if why else "")),
        ("estimate", " ".join(filter(None, (row.estimate, row.interval, row.unit)))),
        ("interval", "; ".join(filter(None, (judged_claim.method, row.agreed)))),
        ("threshold", f"{claim.threshold}, from {claim.threshold_from}"),
        (
            "units",
            f"{row.n} of {claim.of}: " + ", ".join(map(tables.number, judged_claim.points)),
        ),
        *((c.arm, control_to_text(c, judged_claim)) for c in row.controls),
        ("gates", ", ".join(gates)),
        ("power", "" if "power" in row.why else tables.describe_detectable(judged_claim)),
        ("published", published(judged_claim)),
        ("source", claim.source),
        ("scope", judged_claim.scope),
        ("figure", page),
    ]
    yield Table(("", ""), [(name, words) for name, words in lines if words], headless=True)


def control_to_text(control: tables.Control, judged_claim: Judged) -> str:
    """Write a control: how it came out, its number, its role, and why the author names it."""
    why = {**judged_claim.claim.near, **judged_claim.claim.may_hold}.get(control.arm, "")
    judged = control.role in ("near", "control", "planted", "violation")
    role = ", ".join([MUST.get(control.role, control.role), *([control.state] if judged else [])])
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


def arm_in_words(result: Result, experiment: Experiment) -> Iterator[Part]:
    """Tell the arm, and for every claim its number beside that of the arm that the claim is about,
    and whether it satisfies it. A control is told as the verdict on the claim has it."""
    arm, note = result.arm, experiment.arms[result.arm].note
    claims = [s for s in experiment.claims if isinstance(s, Claim)]
    yield f"Judged as if it were the method: {arm}{f', {note}' if note else ''}."
    yield "Does it satisfy what is claimed? Controls must not, nor what lacks a credited part."
    yield ""
    judged_by_text = {judged_claim.text: judged_claim for judged_claim in result.judged}
    other_claims = [s.about(arm) for s in claims if s.of not in ("main", arm)]
    judgements = judge_statements(other_claims, result.arms, origin=experiment.origin)
    judged_by_text |= {judged_claim.text: judged_claim for judged_claim in judgements.judged}
    as_claimed = judge_statements(claims, result.arms, origin=experiment.origin).judged
    method = {judged_claim.text: judged_claim for judged_claim in as_claimed}
    lacking = dict((*result.skipped, *judgements.failed, *judgements.skipped))
    rows, own_numbers, undecided = [], [], dict[str, list[int]]()
    for i, s in enumerate(claims, 1):
        claimed = method.get(s.text)
        verdict = (claimed.controls.get(arm) if claimed else None) or judged_by_text.get(s.text)
        if s.of == arm and arm != "main":
            own_numbers.append(i)
        elif verdict is not None:
            sign, came = satisfied(s, verdict)
            answer = came if s.of == "main" else f"{came} (the claim is about {s.of})"
            rows.append((sign, f"{i} {s.text}", number(verdict), number(claimed), answer))
            if verdict.outcome == "undecided":
                undecided.setdefault(explain_reason(verdict.reason), []).append(i)
    if rows:
        names = ("", "claim", arm, "method", "satisfies it?")
        yield Table(names, rows, wide={"claim": 1}, narrow={"satisfies it?": 18})
    for reason, numbers in undecided.items():
        yield f"Undecided, {reason}: {', '.join(f'claim {i}' for i in numbers)}"
    missing = [s.text for s in claims if s.text in lacking]
    if missing:
        yield (
            f"Not asked, since they compare {arm} itself or need what it lacks: "
            f"{'; '.join(missing)}"
        )
    for i in own_numbers:
        claimed = method.get(claims[i - 1].text)
        value = f" ({claimed.outcome}, {' '.join(number(claimed).split())})" if claimed else ""
        yield f"Claim {i} is about {arm} itself{value}: {claims[i - 1].text}"


def satisfied(claim: Claim, verdict: Verdict) -> tuple[str, str]:
    """The sign of an arm that satisfies a claim, or does not, and whether it may."""
    arm = verdict.arm
    if arm in claim.must_fail:
        control = tables.control("control", arm, verdict)
        return control.sign, f"a control: {control.state}"
    if verdict.outcome == "undecided":
        return tables.CHECKS[None], "undecided"
    if verdict.outcome == "fails":
        return tables.CHECKS[True], CAME["other"]
    if verdict.lacks:
        return tables.CHECKS[False], CAME["unnamed"]
    return "", CAME["also" if arm in claim.may_hold or arm in claim.must_hold else "true"]


def number(verdict: Verdict | None) -> str:
    """Write an estimate with its interval; "" of an arm that was not asked."""
    if verdict is None:
        return ""
    return "\n".join(tables.estimate(verdict.estimate, verdict.low, verdict.high))
