"""Answers: what each tool answers about a plan, a run, a result, a table judged, a study written.
Each says in `told` what matters first, and in `next` which call comes next. A verdict has the
values that `assay show --json` prints, without those that only pages need, and a sentence that
never gives an estimate without its interval and its controls."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from assay.agents import basis
from assay.agents.basis import Looks, Source, Standing
from assay.ask.freezing import Registered
from assay.ask.planned import Gap, Planned
from assay.core.claims import Claim
from assay.core.compute import Range
from assay.core.experiment import Experiment
from assay.core.nouns import counted
from assay.core.results import Estimated, Judged, ResultData
from assay.jobs.folder import Job, State
from assay.jobs.process import last_line
from assay.lab.plan.preset import Preset
from assay.lab.plan.preset import scope as speaks_for
from assay.lab.work.slots import WAITING
from assay.report import tables

WAIT = 'status(key="{key}", wait_s=30) waits for it'
WORDS = {
    "queued": ("it waits for its turn", WAIT),
    "running": ("it runs", WAIT),
    "done": ("it is done", "result has the verdicts"),
    "failed": ("it failed: {error}", "fix what the error says, and run it again"),
    "cancelled": (
        "it was cancelled, and its stored runs are kept",
        "run with the same arguments resumes it",
    ),
}
"""By status, how far a run is, and what comes next."""
Answer = dict[str, Any]
"""What a tool answers, by name; dataclasses in it are written by their fields."""
MANY = 12
"""At most so many estimates of a result are listed."""


def planned(key: str, plan: Planned, gaps: Sequence[Gap], looks: Looks, rests: Standing) -> Answer:
    """Answer with a plan without the list of its runs; nothing was run for it, and it has no
    estimate."""
    time = plan.command_seconds
    takes = f"about {time.middle:,.0f} s here" if time else "how long is unknown"
    runs = plan.cached + plan.missing
    return {
        "told": (
            f"{plan.missing} of {counted(runs, 'run')} are missing, {takes}"
            if plan.missing
            else "Everything is stored already"
        ),
        "experiment": plan.experiment,
        "preset": plan.preset,
        "key": key,
        "runs": runs,
        "cached": plan.cached,
        "missing": plan.missing,
        "seconds": time,
        "cpu_seconds": plan.command_cpu_seconds,
        "disk_bytes": plan.disk_bytes,
        "arms": [
            {"name": a.name, "runs": a.runs, "missing": a.missing, "why": a.why} for a in plan.arms
        ],
        "claims": [
            {
                "claim": c.text,
                "judged": c.judged,
                "controls": c.controls,
                "half_width": c.half_width,
                "fewest": c.fewest,
                "why": c.why,
                "reads": c.reads,
            }
            for c in plan.claims
        ],
        "gaps": gaps,
        "scope": plan.scope,
        "looks": looks,
        "frozen": plan.frozen,
        "standing": rests,
        "source": basis.of_plan(plan),
        "notes": plan.notes,
        "next": "run with the same arguments starts it; status and result have its verdicts",
    }


def preregistered(registration: Registered, plan: Answer, claims: Sequence[str]) -> Answer:
    """Answer with what was frozen; a run of the same text follows it, and its verdicts are
    confirmatory."""
    return {
        "told": (
            f"{'Was already frozen' if registration.already else 'Frozen'}: publish its hash, "
            "and nobody can say later that it was another"
        ),
        "key": plan["key"],
        "experiment": registration.experiment,
        "preset": registration.preset,
        "hash": registration.hash,
        "time": registration.time,
        "already": registration.already,
        "claims": claims,
        "estimates": registration.estimates,
        "seeds": registration.seeds,
        **{name: plan[name] for name in ("scope", "looks", "standing", "source")},
        "next": ("run with the same arguments follows it: it trains every run, then judges once"),
    }


def asks(experiment: Experiment) -> list[str]:
    """Say what is claimed, each claim with its controls."""
    return [
        f"{c.text} (controls: {', '.join(c.must_fail)})"
        for c in experiment.claims
        if isinstance(c, Claim)
    ]


def judged(data: ResultData, job: Job, state: State, looks: Looks, unlike: str = "") -> Answer:
    """Answer with the result of a run."""
    judged_claims = list(map(verdict, data.verdicts))
    left_out = [f"{lost.text}: {lost.reason}" for lost in (*data.failed, *data.skipped)]
    count = len(data.findings)
    numbers = list(map(estimate, data.findings)) if count <= MANY else []
    if count > MANY:
        left_out.append(f"{count} estimates without a verdict are too many for this answer")
    rests = basis.standing(data, unlike)
    outcomes = tables.tallied(data.verdicts)
    scopes = dict.fromkeys(entry["scope"] for entry in (*judged_claims, *numbers))
    return {
        "told": "; ".join(filter(None, (outcomes, rests.kind))),
        "key": job.key,
        "experiment": data.experiment,
        "preset": data.preset,
        "question": job.asked["question"],
        "verdicts": judged_claims,
        "estimates": numbers,
        "exact": basis.exact(data),
        "left_out": left_out,
        "scope": "; ".join(scopes) or "exact statements have no wider scope than what they name",
        "looks": looks,
        "standing": rests,
        "source": basis.of_store(data, state.cached),
        "notes": data.notes,
        "next": (
            "a verdict is about its scope only; an undecided one says in would_decide what "
            "it would take, on fresh seeds"
        ),
    }


def submitted(
    job: Job,
    state: State,
    done: int | None,
    experiment: Experiment | None,
    preset: Preset | None,
    looks: Looks | None = None,
    rests: Standing | None = None,
    result: Answer | None = None,
) -> Answer:
    """Answer with how far a run is: so many of its runs are stored; with its result where it is
    done, which says what it rests on."""
    asked = job.asked
    sentence, step = WORDS[state.status]
    sentence = "it is being stopped" if state.status == "running" and state.stop else sentence
    scope = (
        speaks_for(experiment, preset)
        if experiment and preset
        else "not known: the experiment is not here, or may not run here"
    )
    stored = f"; {done:,} of {counted(asked['runs'], 'run')} are stored" if done is not None else ""
    log_line = last_line(job.path / "log") if state.status == "running" else ""
    if log_line.startswith(WAITING):
        stored += f"; {log_line}"
    return {
        "told": f"Run {job.key}: {sentence.format(error=state.error)}{stored}",
        "key": job.key,
        "status": state.status,
        "experiment": asked["called"],
        "preset": asked["title"],
        "runs": asked["runs"],
        "done": done,
        "cached": state.cached,
        "seconds_left": seconds_left(state),
        "error": state.error,
        "claims": asks(experiment) if experiment else [],
        "result": result,
        **({} if result else {"scope": scope, "looks": looks, "standing": rests}),
        "next": step.format(key=job.key),
    }


def seconds_left(state: State) -> Range | None:
    """Say how long a run still takes by the forecast of its plan; None where that is unknown, or
    was too short."""
    if state.seconds is None or state.status not in ("queued", "running"):
        return None
    running = state.status == "running" and state.started is not None
    spent = time.time() - state.started if running and state.started else 0.0
    low, high = (round(max(0.0, seconds - spent), 1) for seconds in state.seconds)
    return Range(low, high) if high > 0 else None


def number(estimate: Any, source: Source) -> Answer:
    """Answer with a number estimated on a table."""
    return {
        "told": "estimated, and not judged",
        "number": estimate,
        "standing": Standing("exploratory", "a number without a threshold claims nothing"),
        "source": source,
        "next": (
            "to claim something of it, write the threshold down first, and measure again on units "
            "that nobody has looked at"
        ),
    }


ALLOWS = {
    "holds": "you may write the sentence, with the estimate, its interval and the scope",
    "fails": "you may write that the effect is smaller than the condition asks for",
    "unspecific": (
        "you may not credit it: name the control that does as much, and what that would explain"
    ),
    "undecided": "you may write neither; the reason says what would decide it",
}
"""What each outcome allows one to write."""


def stated(result: Mapping[str, Any], source: Source) -> Answer:
    """Answer with a result of the agent's own table or function."""
    why = "nothing shows that the claim was fixed before its numbers were seen"
    return {
        "told": f"{result['outcome']}: {ALLOWS[result['outcome']]}",
        "result": result,
        "standing": Standing("exploratory", why),
        "source": source,
        "next": "to confirm it, ask again on units that no one has looked at",
    }


def written(
    study: str,
    *,
    plan: Answer | None = None,
    wrong: str = "",
    missing: Sequence[Gap] = (),
    assumed: Sequence[Gap] = (),
) -> Answer:
    """Answer with a study's text, and whether it can run: why not, or what it lacks; else its
    plan."""
    ready = plan is not None
    return {
        "told": "It can run" if ready else "It cannot run yet: see wrong and missing",
        "study": study,
        "ready": ready,
        "wrong": wrong,
        "missing": missing,
        "assumed": plan["gaps"] if plan else assumed,
        "plan": plan and {name: value for name, value in plan.items() if name != "gaps"},
        "next": (
            "run(study=…) with this text"
            if ready
            else "correct what is missing or wrong, and call write_study again"
        ),
    }


NUMBERS = ("estimate", "low", "high")
FIELDS = (
    *("outcome", "reason", *NUMBERS, "unit", "threshold"),
    *("threshold_from", "n", "scope", "notes"),
)
ROLES = {
    "near": "control",
    "also": "may hold too",
    "true": "also true of",
    "unnamed": "not named",
}
"""What an arm is called that was asked the same, where it is not what `Judged.arms` calls it."""
AS_IT_SHOULD = {
    ("control", True): "does not satisfy it",
    ("control", False): "SATISFIES IT TOO",
    ("violation", True): "is found, as it should be",
    ("violation", False): "IS NOT FOUND",
    ("planted", True): "is found, as it should be",
    ("planted", False): "IS NOT FOUND",
    ("may hold too", True): "satisfies it too, as its author allowed",
    ("also true of", True): "satisfies it too",
    ("not named", False): "HOLDS TOO, WHICH MAKES THE CLAIM UNSPECIFIC",
}


def verdict(v: Judged) -> Mapping[str, Any]:
    """Give one verdict, with every arm that was asked the same."""
    entry, row = v.without_ties.to_json(), tables.row(v)
    controls, sentences = [], []
    for shown, (_, arm, numbers) in zip(row.controls, v.arms(), strict=True):
        role = ROLES.get(shown.role, shown.role)
        controls.append(
            {
                "arm": arm,
                "role": role,
                "outcome": shown.outcome,
                "as_it_must": shown.met,
                **{name: getattr(numbers, name) for name in NUMBERS},
                "near": v.near[arm] if shown.role == "near" else "",
            }
        )
        came = AS_IT_SHOULD.get((role, bool(shown.met)), "") if shown.met is not None else ""
        kind = role if role in ("control", "planted", "violation") else "arm"
        span = f"{shown.estimate} {shown.interval}".strip()
        sentences.append(f"{kind.capitalize()} {arm} {came or f'is {shown.state}'}: {span}")
    reason = f" ({v.reason_in_words})" if v.reason else ""
    number = " ".join(filter(None, (row.estimate, row.interval, row.unit)))
    return {
        "claim": v.text,
        **{name: entry[name] for name in FIELDS},
        "interval": v.method,
        "controls": controls,
        "would_decide": v.remedy[0].removeprefix("to decide it: "),
        "told": (
            f"{v.outcome.upper()}: {v.text}{reason}. Estimate {number}, threshold {v.threshold}, "
            f"over {row.n or 'no units'}. {'; '.join(sentences) or 'No control was asked'}."
        ),
    }


def estimate(s: Estimated) -> Mapping[str, Any]:
    """Give one estimate: a number, or a curve, that nothing judged."""
    entry, row = s.to_json(), tables.row(s)
    number = " ".join(filter(None, (row.estimate, row.interval, row.unit)))
    fields = ("text", *NUMBERS, "unit", "n", "scope", "curve", "notes")
    return {
        **{name: entry[name] for name in fields},
        "interval": s.method,
        "told": "; ".join(
            (
                f"{s.text}: {number}, over {row.n}",
                *filter(None, (row.found,)),
                *row.curve,
                "not judged",
            )
        ),
    }
