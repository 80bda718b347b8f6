"""Answers: what each tool gives about work: a plan, a job, a result, a table judged, a study
written. Each says in `told` what matters first, and in `next` which call comes next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assay.agents import basis
from assay.agents.basis import Looks, Source, Standing
from assay.agents.verdicts import counted, early, estimates, verdicts
from assay.core.claims import Claim
from assay.core.experiment import Experiment
from assay.lab.plan.preset import Preset
from assay.lab.plan.preset import scope as speaks_for
from assay.verbs.jobs import Foreseen, Job
from assay.verbs.plan import Bought, Unsaid
from assay.verbs.preregister import Registered

Answer = dict[str, Any]
"""What a tool answers, by name; dataclasses in it are written by their fields."""
MANY = 12
"""So many estimates of a result are told."""
NOT_VERDICTS = (
    "These are not verdicts. They may still come out otherwise; stopping or changing the study "
    "because of them makes it exploratory"
)


def planned(foreseen: Foreseen, looks: Looks, rests: Standing) -> Answer:
    """Tell a plan without the list of its runs; nothing was run for it, and it has no estimate."""
    plan = foreseen.plan
    assert plan is not None
    budget = ""
    if plan.budget is not None:
        buys = plan.budget
        budget = f"{buys.text}: what a seed costs is unknown"
        if isinstance(buys, Bought):
            budget = (
                f"{buys.text} buys about {buys.planned_seeds} seeds; to spend it set {buys.set}"
            )
    time = plan.command_seconds
    takes = f"about {time.middle:,.0f} s here" if time else "how long is unknown"
    runs = plan.cached + plan.missing
    return {
        "told": (
            f"{plan.missing} of {runs} runs are missing, {takes}"
            if plan.missing
            else "Everything is stored already"
        ),
        "experiment": plan.experiment,
        "preset": plan.preset,
        "key": foreseen.key,
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
        "unsaid": foreseen.unsaid,
        "budget": budget,
        "scope": plan.scope,
        "looks": looks,
        "frozen": plan.frozen,
        "standing": rests,
        "source": basis.of_plan(plan),
        "notes": plan.notes,
        "next": "run with the same arguments submits it; its verdicts come by status and result",
    }


def preregistered(registration: Registered, plan: Answer, claims: Sequence[str]) -> Answer:
    """Tell what was frozen; a run of the same text follows it, and its verdicts are
    confirmatory."""
    return {
        "told": (
            f"{'Was frozen so already' if registration.already else 'Frozen'}: publish its hash, "
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
        f"{c.text} (must fail for {', '.join(c.must_fail)})"
        for c in experiment.claims
        if isinstance(c, Claim)
    ]


def judged(data: basis.JSON, job: Job, looks: Looks, unlike: str = "") -> Answer:
    """Tell the result of a job from its plain values, those that `assay show --json` prints."""
    found, exact = verdicts(data), basis.exact(data)
    left_out = [
        f"{e['text']}: {e['reason']}" for e in (*data.get("failed", ()), *data.get("skipped", ()))
    ]
    numbers = estimates(data) if len(data.get("findings", ())) <= MANY else ()
    if (n := len(data.get("findings", ()))) > MANY:
        left_out.append(f"{n} estimates: so many numbers without a verdict are not told here")
    rests = basis.standing(data, unlike)
    outcomes = f"{counted([v.outcome for v in found])}; " if found else ""
    return {
        "told": f"{outcomes}{rests.kind}",
        "key": job.key,
        "experiment": data["experiment"],
        "preset": data["preset"],
        "question": job.question,
        "verdicts": found,
        "estimates": numbers,
        "exact": exact,
        "left_out": left_out,
        "scope": (
            "; ".join(dict.fromkeys([*(v.scope for v in found), *(e.scope for e in numbers)]))
            or "exact statements have no wider scope than what they name"
        ),
        "looks": looks,
        "standing": rests,
        "source": basis.of_store(data, job.runs_cached),
        "notes": data.get("notes", ()),
        "next": (
            "a verdict speaks for its scope alone; an undecided one says in would_decide what it "
            "would take, on fresh seeds"
        ),
    }


def submitted(
    job: Job,
    experiment: Experiment | None,
    preset: Preset | None,
    looks: Looks | None = None,
    rests: Standing | None = None,
    result: Answer | None = None,
) -> Answer:
    """Tell how far a job is, and of what; with its result where it is done, which says what it
    rests on."""
    so_far = early(job.early) if job.early is not None and result is None else ()
    waits = f"status(key={job.key!r}, wait_s=30) waits for it"
    steps = {
        "queued": waits,
        "running": waits,
        "done": "result has the verdicts",
        "failed": "mend what the error says, and run it again",
        "cancelled": "run with the same arguments goes on where it was",
    }
    scope = (
        speaks_for(experiment, preset)
        if experiment and preset
        else "not known: the experiment is not here, or may not run here"
    )
    return {
        "told": f"Job {job.key}: {job.words}",
        "key": job.key,
        "status": job.status,
        "experiment": job.experiment,
        "preset": job.preset,
        "runs": job.runs,
        "done": job.runs_done,
        "cached": job.runs_cached,
        "seconds_left": job.seconds_left,
        "early": so_far,
        "early_note": NOT_VERDICTS if so_far else "",
        "error": job.error,
        "claims": asks(experiment) if experiment else [],
        "result": result,
        **({} if result else {"scope": scope, "looks": looks, "standing": rests}),
        "next": steps[job.status],
    }


def number(entry: Any, source: Source) -> Answer:
    """Tell a number, or a curve, estimated on a table, from its plain values."""
    (found,) = estimates({"findings": [entry]})
    return {
        "told": "estimated, and not judged",
        "number": found,
        "scope": found.scope,
        "looks": "looks at your table are not noted",
        "standing": Standing("exploratory", "a number without a threshold claims nothing"),
        "source": source,
        "next": (
            "to claim something of it, write the threshold down first, and measure again on units "
            "that nobody has looked at"
        ),
    }


def table(entry: Any, source: Source) -> Answer:
    """Tell a claim judged on a table, from its plain values."""
    (found,) = verdicts({"verdicts": [entry]})
    why = (
        "the claim was given together with the numbers; nothing shows that it was fixed before "
        "they were seen"
    )
    return {
        "told": f"{found.outcome}; exploratory",
        "verdict": found,
        "scope": found.scope,
        "looks": (
            "looks at your table are not noted: whoever judged several claims on it, and tells "
            "one, has chosen it"
        ),
        "standing": Standing("exploratory", why),
        "source": source,
        "next": (
            "to confirm it, measure again on units that nobody has looked at, with this claim as "
            "it stands"
        ),
    }


def written(
    study: str,
    *,
    plan: Answer | None = None,
    wrong: str = "",
    missing: Sequence[Unsaid] = (),
    assumed: Sequence[Unsaid] = (),
) -> Answer:
    """Tell a study's text, and whether it can run: why not, or what it lacks; else its plan."""
    ready = plan is not None
    return {
        "told": "It can run" if ready else "It cannot run yet: see wrong and missing",
        "study": study,
        "ready": ready,
        "wrong": wrong,
        "missing": missing,
        "assumed": plan["unsaid"] if plan else assumed,
        "plan": plan and {name: value for name, value in plan.items() if name != "unsaid"},
        "next": (
            "run(study=…) with this text"
            if ready
            else "call write_study again with what is missing or wrong put right"
        ),
    }
