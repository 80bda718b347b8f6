"""Answers: what each tool gives about work: a plan, a job, a result, a table judged, a study
written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay.agents import basis
from assay.agents.basis import Source, Standing
from assay.agents.describing import exact
from assay.agents.looking import Looks
from assay.agents.verdicts import Early, Estimate, Verdict, counted, early, estimates, verdicts
from assay.core.claims import Claim
from assay.core.compute import Range
from assay.core.experiment import Experiment
from assay.lab.preset import Preset
from assay.lab.preset import scope as speaks_for
from assay.verbs.assumptions import Unsaid
from assay.verbs.jobs import Foreseen, Job
from assay.verbs.plan import Bought, Frozen
from assay.verbs.preregister import Look, Registered

MANY = 12
"""So many estimates of a result are told."""
NOT_VERDICTS = (
    "These are not verdicts. They may still come out otherwise; stopping or changing the study "
    "because of them makes it exploratory"
)


@dataclass(frozen=True)
class Arm:
    """An arm's runs, and why some are not stored."""

    name: str
    runs: int
    missing: int
    why: str


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a run may bring for one claim."""

    claim: str
    judged: dict[str, str]
    """Units of the arm that is judged."""
    controls: dict[str, str]
    """And of every arm for which it must fail."""
    half_width: float | None
    """Of the interval, where earlier runs tell its spread; null where nothing is known."""
    fewest: int | None
    """The fewest units that are expected to decide."""
    why: str
    reads: tuple[str, ...]
    """Of a study's claim: the measures that it reads, at which levels, and what is averaged."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would run, and what it takes; nothing was run for it, and it has no estimate."""

    told: str
    experiment: str
    preset: str
    key: str
    """The key that `run` gives it."""
    runs: int
    cached: int
    missing: int
    seconds: Range | None
    """By the clock of this machine; null where nothing is known."""
    cpu_seconds: Range | None
    disk_bytes: int
    arms: tuple[Arm, ...]
    claims: tuple[Expected, ...]
    unsaid: tuple[Unsaid, ...]
    """Of a study: what it does not say, what is taken in its place, and what that costs."""
    budget: str
    """What the budget buys, where one was named."""
    scope: str
    looks: Looks
    frozen: Frozen | None
    """What was frozen of it, with the looks declared and the one that comes next; null where
    nothing was."""
    standing: Standing
    source: Source
    notes: tuple[str, ...]
    next: str


@dataclass(frozen=True, kw_only=True)
class Preregistered:
    """What was frozen before any result exists; a run of the same text follows it, and its verdicts
    are confirmatory."""

    told: str
    key: str
    """The key that `run` gives it."""
    experiment: str
    preset: str
    hash: str
    """SHA-256 of what was frozen: publish it, and nobody can say later that it was another."""
    time: str
    already: bool
    """Whether the same had been frozen before."""
    claims: tuple[str, ...]
    """What will be judged, each claim with the arms for which it must fail."""
    estimates: tuple[str, ...]
    """What will be estimated, and judged by nothing."""
    declared: tuple[Look, ...]
    """The looks, each at so many seeds with the level of its intervals."""
    scope: str
    looks: Looks
    standing: Standing
    source: Source
    next: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """The verdicts of a job that is done."""

    told: str
    key: str
    experiment: str
    preset: str
    question: str
    verdicts: tuple[Verdict, ...]
    estimates: tuple[Estimate, ...]
    """Numbers and curves that nothing judges."""
    exact: tuple[str, ...]
    """Exact statements, in a line each."""
    left_out: tuple[str, ...]
    """What has no verdict, and why: statements that could not be computed, numbers without a
    control."""
    scope: str
    looks: Looks
    standing: Standing
    source: Source
    notes: tuple[str, ...]
    next: str


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A job, and how far it is; with its result where it is done."""

    told: str
    key: str
    status: str
    """queued, running, done, failed or cancelled."""
    experiment: str
    preset: str
    runs: int
    done: int
    cached: int | None
    seconds_left: Range | None
    """From how many seconds to how many it still takes; null where that cannot be told."""
    early: tuple[Early, ...]
    early_note: str
    """What must be known of `early`, which is no verdict; empty where there is none."""
    error: str
    result: Result | None
    """The verdicts; null until all runs are judged."""
    claims: tuple[str, ...]
    """What is judged, each claim with the arms for which it must fail."""
    scope: str
    looks: Looks
    standing: Standing
    source: str
    next: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A claim judged on somebody's own table."""

    told: str
    verdict: Verdict
    scope: str
    looks: str
    standing: Standing
    source: Source
    next: str


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number, or a curve, estimated on somebody's own table."""

    told: str
    number: Estimate
    scope: str
    looks: str
    standing: Standing
    source: Source
    next: str


@dataclass(frozen=True, kw_only=True)
class Written:
    """A study's text, and whether it can run."""

    told: str
    study: str
    """The TOML; give it as it is to plan and to run."""
    ready: bool
    wrong: str
    """Why it cannot run, with line and column of the text; empty where it can, or where it only
    lacks something."""
    missing: tuple[Unsaid, ...]
    """What has to be said before it can run."""
    assumed: tuple[Unsaid, ...]
    """What was not said, what is taken in its place, and what that costs."""
    plan: Plan | None
    """What running it takes; null while it is not ready."""
    next: str


def planned(foreseen: Foreseen, looks: Looks, rests: Standing) -> Plan:
    """Tell a plan without the list of its runs."""
    plan, key = foreseen.plan, foreseen.key
    assert plan is not None and key is not None
    bought = ""
    if plan.budget is not None:
        buys = plan.budget
        bought = f"{buys.text}: what a seed costs is unknown"
        if isinstance(buys, Bought) and buys.seeds is not None:
            bought = (
                f"{buys.text} buys {buys.seeds.low:.0f} to {buys.seeds.high:.0f} seeds; to spend "
                f"it set {buys.set}"
            )
    time = plan.command_seconds
    takes = f"about {time.low:,.0f} to {time.high:,.0f} s here" if time else "how long is unknown"
    summary = (
        f"{plan.missing} of {plan.cached + plan.missing} runs are missing, {takes}. "
        if plan.missing
        else "Everything is stored already. "
    )
    return Plan(
        told=f"{summary}{looks.told}. {rests.kind.capitalize()}: {rests.why}",
        frozen=plan.frozen,
        experiment=plan.experiment,
        preset=plan.preset,
        key=key,
        runs=plan.cached + plan.missing,
        cached=plan.cached,
        missing=plan.missing,
        seconds=time,
        cpu_seconds=plan.command_cpu_seconds,
        disk_bytes=plan.disk_bytes,
        arms=tuple(Arm(a.name, a.runs, a.missing, a.why) for a in plan.arms),
        unsaid=foreseen.unsaid,
        budget=bought,
        scope=plan.scope,
        claims=tuple(
            Expected(
                claim=c.text,
                judged=dict(c.judged),
                controls=dict(c.controls),
                half_width=c.half_width,
                fewest=c.fewest,
                why=c.why,
                reads=c.reads,
            )
            for c in plan.claims
        ),
        looks=looks,
        standing=rests,
        source=basis.of_plan(plan),
        notes=plan.notes,
        next="run with the same arguments submits it; its verdicts come by status and result",
    )


def preregistered(registration: Registered, plan: Plan, claims: Sequence[str]) -> Preregistered:
    """Tell what was frozen."""
    summary = (
        f"{'Was frozen so already' if registration.already else 'Frozen'}: {plan.standing.why}. "
        f"{plan.looks.told}. Hash: {registration.hash}"
    )
    return Preregistered(
        told=summary,
        key=plan.key,
        experiment=registration.experiment,
        preset=registration.preset,
        hash=registration.hash,
        time=registration.time,
        already=registration.already,
        claims=tuple(claims),
        estimates=registration.estimates,
        declared=registration.looks,
        scope=plan.scope,
        looks=plan.looks,
        standing=plan.standing,
        source=plan.source,
        next=(
            "run with the same arguments follows it: it trains up to a look, judges, and goes on "
            "while claims are undecided"
        ),
    )


def asks(experiment: Experiment) -> tuple[str, ...]:
    """Say what is claimed, each claim with its controls."""
    return tuple(
        f"{c.text} (must fail for {', '.join(c.must_fail)})"
        for c in experiment.claims
        if isinstance(c, Claim)
    )


def judged(
    data: basis.JSON, key: str, question: str, looks: Looks, source: Source, unlike: str = ""
) -> Result:
    """Tell a result from its plain values, those that `assay show --json` prints."""
    judged_verdicts = verdicts(data)
    omissions = [
        f"{e['text']}: {e['reason']}" for e in (*data.get("failed", ()), *data.get("skipped", ()))
    ]
    numbers = estimates(data) if len(data.get("findings", ())) <= MANY else ()
    if (n := len(data.get("findings", ()))) > MANY:
        omissions.append(f"{n} estimates: so many numbers without a verdict are not told here")
    scope = (
        "; ".join(dict.fromkeys([*(v.scope for v in judged_verdicts), *(e.scope for e in numbers)]))
        or "exact statements have no wider scope than what they name"
    )
    rests = basis.standing(data, unlike)
    head = f"{counted([v.outcome for v in judged_verdicts])}. " if judged_verdicts else ""
    rest = [
        *(v.told for v in judged_verdicts),
        *(e.told for e in numbers),
        *exact(data),
        f"Scope: {scope}",
        f"{rests.kind.capitalize()}: {rests.why}",
        looks.told,
        f"Data: {source.told}",
    ]
    return Result(
        told=head + "\n".join(rest),
        key=key,
        experiment=data["experiment"],
        preset=data["preset"],
        question=question,
        verdicts=judged_verdicts,
        estimates=numbers,
        exact=exact(data),
        left_out=tuple(omissions),
        scope=scope,
        looks=looks,
        standing=rests,
        source=source,
        notes=tuple(data.get("notes", ())),
        next=(
            "a verdict speaks for its scope alone; an undecided one says in would_decide what it "
            "would take, on fresh seeds"
        ),
    )


def submitted(
    job: Job,
    result: Result | None,
    experiment: Experiment | None,
    preset: Preset | None,
    looks: Looks,
    rests: Standing,
) -> Submitted:
    """Tell how far a job is, and of what."""
    so_far = early(job.early) if job.early is not None and result is None else ()
    cached = job.runs_cached
    data = f"{job.runs} runs, " + (
        f"{cached} of them stored before it was asked"
        if cached is not None
        else "not yet known which are stored"
    )
    steps = {
        "queued": f"status(key={job.key!r}, wait_s=30) waits for it",
        "running": f"status(key={job.key!r}, wait_s=30) waits for it",
        "done": f"result(key={job.key!r}) has the verdicts",
        "failed": "mend what the error says, and run it again",
        "cancelled": "run with the same arguments goes on where it was",
    }
    claims = asks(experiment) if experiment else ()
    speaks = (
        speaks_for(experiment, preset)
        if experiment and preset
        else "not known: the experiment is not here, or may not run here"
    )
    more = f" {NOT_VERDICTS}." if so_far else " Its verdicts stand in result." if result else ""
    return Submitted(
        told=(
            f"Job {job.key}: {job.words}. {looks.told}. {rests.kind.capitalize()}: "
            f"{rests.why}.{more}"
        ),
        key=job.key,
        status=job.status,
        experiment=job.experiment,
        preset=job.preset,
        runs=job.runs,
        done=job.runs_done,
        cached=cached,
        seconds_left=job.seconds_left,
        early=so_far,
        early_note=NOT_VERDICTS if so_far else "",
        error=job.error,
        result=result,
        claims=claims,
        scope=result.scope if result else speaks,
        looks=looks,
        source=result.source.told if result else data,
        standing=rests,
        next=steps[job.status],
    )


def number(entry: Any, source: Source) -> Number:
    """Tell a number estimated on a table, from its plain values."""
    (told,) = estimates({"findings": [entry]})
    rests = Standing("exploratory", "a number without a threshold claims nothing")
    looks = "looks at your table are not noted"
    summary = f"{told.told}. Scope: {told.scope}. {looks}. Data: {source.told}"
    step = (
        "to claim something of it, write the threshold down first, and measure again on units that "
        "nobody has looked at"
    )
    return Number(
        told=summary,
        number=told,
        scope=told.scope,
        looks=looks,
        standing=rests,
        source=source,
        next=step,
    )


def table(entry: Any, source: Source) -> Table:
    """Tell a claim judged on a table, from its plain values."""
    (verdict,) = verdicts({"verdicts": [entry]})
    rests = Standing(
        "exploratory",
        (
            "the claim was given together with the numbers; nothing shows that it was fixed "
            "before they were seen"
        ),
    )
    looks = (
        "looks at your table are not noted: whoever judged several claims on it, and tells one, "
        "has chosen it"
    )
    summary = (
        f"{verdict.told} Scope: {verdict.scope}. Exploratory: {rests.why}. {looks}. Data: "
        f"{source.told}"
    )
    step = (
        "to confirm it, measure again on units that nobody has looked at, with this claim as it "
        "stands"
    )
    return Table(
        told=summary,
        verdict=verdict,
        scope=verdict.scope,
        looks=looks,
        standing=rests,
        source=source,
        next=step,
    )
