"""Contest: challenge a recorded claim with a new arm, on the record's own units and settings; only
that arm is trained."""

from __future__ import annotations

import getpass
import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.claims import Claim
from assay.core.errors import ClaimError, ExperimentError, nearest
from assay.core.experiment import Arm, Experiment
from assay.core.heavy import xr
from assay.core.judging import USUAL, judge
from assay.core.reading import MADE_OF
from assay.core.reasons import explain_reason
from assay.core.results import Judged, Verdict
from assay.core.spec import with_values
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import recording
from assay.lab.judge.result import load, with_derived
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset, override, scope_by_reading
from assay.lab.records import contests, records
from assay.lab.records.contests import Contest
from assay.lab.store import provenance
from assay.lab.store.origin import lossy
from assay.lab.work.events import OnEvent

DEARER = 4.0
"""How many times the CPU-seconds of the most expensive recorded run a run may take: machines differ
by a factor of two, and the only arm that trains pays for what all arms share."""
LEAST = 5.0
"""CPU-seconds that a run may always take, because starting costs as much."""


@dataclass(frozen=True)
class Challenger:
    """An arm that challenges a claim, as it was submitted."""

    name: str
    arm: Arm[Any]
    source: str
    """The text of its file, or a recorded arm with the fields that were changed."""


def from_file(path: Path) -> Challenger:
    """Read an arm from a Python file, which defines one `Arm`; its name is the file's.

    Raises: ExperimentError with the file where it defines none or several.
    """
    if not path.is_file():
        raise ExperimentError(f"there is no file {path}; name a Python file that defines an Arm")
    try:
        module = catalogue.load_module(str(path.resolve()))
    except Exception as e:
        raise ExperimentError(f"{path}: {type(e).__name__}: {e}") from e
    own = {n: v for n, v in vars(module).items() if isinstance(v, Arm)}
    if "arm" not in own and len(own) != 1:
        what = f"{len(own)} of them ({', '.join(own)})" if own else "none"
        raise ExperimentError(f"{path} must define one `arm = Arm(…)`; it has {what}")
    arm = own.get("arm") or next(iter(own.values()))
    return Challenger(lossy(path.stem), arm, path.read_text("utf-8"))


def varied_from(experiment: Experiment, base: str, sets: tuple[str, ...], why: str) -> Challenger:
    """Make an arm of the experiment's own with fields changed, each by a text `field=value`.

    Raises: ExperimentError for an arm that there is not or that trains nothing; SpecError for a
    field or value."""
    if base not in experiment.arms:
        raise ExperimentError(
            f"{experiment.name} has no arm {base!r}, and there is no such file; "
            f"{nearest(base, experiment.arms)}"
        )
    of = experiment.arms[base]
    if of.train is None or not sets:
        raise ExperimentError(
            f"{base} is an arm of {experiment.name}; a challenge needs a different one: "
            + ("it is derived, so write a file" if of.train is None else "change it with --set")
        )
    values = dict(text.split("=", 1) for text in sets if "=" in text)
    if len(values) != len(sets):
        raise ExperimentError(f"--set takes field=value, got {', '.join(sets)}")

    def specs(main: tuple[Any, ...]) -> tuple[Any, ...]:
        before = of.specs(main) if of.specs is not None else main
        return tuple(dict.fromkeys(with_values(s, values) for s in before))

    name = lossy("-".join((base, *(text.replace("=", "-") for text in sets))))
    return Challenger(name, replace(of, specs=specs, note=why), " ".join((base, *sets)))


def contest(
    lab: Lab,
    experiment: Experiment,
    number: int,
    challenger: Challenger,
    *,
    preset: str = "default",
    by: str = "",
    on_event: OnEvent | None = None,
) -> tuple[Contest, dict[str, Any]]:
    """Train and measure one arm on the units of a record, and judge a recorded claim with it.

    An arm that lacks a part which the claim credits is a control: the claim becomes unspecific
    where it satisfies the claim, at a level that each contest of the claim makes stricter
    (Bonferroni's: 1 − .05 / k for the k-th). Any other arm is a rival, which changes no verdict.
    Gives the contest, and its record: the arm's measures and the verdict.

    Raises: ExperimentError without such a claim or record, or where the claim does not hold; and
    where the arm breaks a rule: it says nothing of itself, measures itself in its own way, is an
    arm that is recorded, is made of the method's own measures, has other seeds, or has less
    learned than arms that train by the same function."""
    record_name = records.name_of(experiment, preset)
    record = _record(experiment, preset)
    chosen = override(experiment, preset)
    experiment = experiment.sized(chosen.specs)
    claim, name = _claim(experiment, record, number), challenger.name
    _require_fair(experiment, chosen, claim, challenger)
    looks = contests.of_record(record_name, experiment.origin)
    looks += contests.read_all(stored(lab), record_name)
    look = 1 + len({c.arm for c in looks if c.text == claim.text} - {name})
    specs: list[dict[str, Any]] = []
    measured: dict[str, xr.Dataset] = {}
    cost = 0.0
    if challenger.arm.train is not None:
        if record["measured"] != experiment.measured:
            raise ExperimentError(
                f"{experiment.name} now measures by rule {experiment.measured}, but its record by "
                f"rule {record['measured']}, so an arm cannot be compared with it; run the "
                "experiment and record it first"
            )
        specs, cost, measured = _measured(
            lab, _with(experiment, challenger), chosen, challenger, on_event
        )
    before, after, alone = judge_with(experiment, record, claim, challenger, measured, look)
    if before.outcome != "holds":
        raise ExperimentError(
            f"claim {number} of {experiment.name} is recorded as {before.outcome}; only a claim "
            "that holds can be challenged"
        )
    role: contests.Role = "control" if claim.lacks(challenger.arm.learned) else "rival"
    allowed = max(LEAST, DEARER * max(record["cost"].values(), default=0.0))
    effect, why = _effect(
        role,
        before,
        alone,
        f"the numbers of {claim.of}",
        cost,
        allowed,
        challenger.arm.train is None,
    )
    result = Contest(
        experiment=experiment.name,
        preset=preset,
        number=number,
        text=claim.text,
        arm=name,
        note=challenger.arm.note,
        role=role,
        source=challenger.source,
        by=by or getpass.getuser(),
        when=provenance.timestamp(),
        record=sha256(
            catalogue.record_path(record_name, experiment.origin).read_bytes()
        ).hexdigest(),
        look=look,
        level=_level(look),
        effect=effect,
        why=why,
        before=before.outcome,
        after=effect if effect in ("unspecific", "undecided") else before.outcome,
        estimate=alone.estimate,
        low=alone.low,
        high=alone.high,
        cpu_seconds=round(cost, 2),
        allowed=round(allowed, 2),
        commit=provenance.commit(),
    )
    arms = (
        {name: {**recording.factor(specs), "measures": recording.dumped(measured[name])}}
        if measured
        else {}
    )
    return result, {
        **{k: record[k] for k in ("schema", "experiment", "preset", "version", "measured")},
        "provenance": provenance.software(),
        "verdicts": [after.to_json()],
        "findings": [],
        "arms": arms,
    }


def judge_with(
    experiment: Experiment,
    record: Mapping[str, Any],
    claim: Claim,
    challenger: Challenger,
    measured: Mapping[str, xr.Dataset],
    look: int,
) -> tuple[Judged, Judged, Verdict]:
    """Judge a claim on its record without the arm and with it as a control, and the arm by itself
    at the level of this contest.

    Raises: ExperimentError where the claim cannot be asked of the arm, or where that is made of the
    method's own measures."""
    name = challenger.name
    recorded = recording.arms(experiment, record)
    scope = scope_by_reading(experiment, override(experiment, record["preset"]))
    arms = with_derived(_with(experiment, challenger), {**recorded, **measured})
    if claim.of in arms[name].attrs.get(MADE_OF, ()):
        raise ExperimentError(
            f"{name} uses the measures of {claim.of} itself, which a challenge may not do"
        )
    control = replace(claim, must_fail=(*claim.must_fail, name))
    try:
        return (
            judge(claim, with_derived(experiment, recorded), scope=scope),
            judge(control, arms, scope=scope),
            judge(control, arms, _level(look), scope).controls[name],
        )
    except ClaimError as e:
        raise ExperimentError(f"the claim cannot be judged for {name}: {e}") from e


def rejudge(experiment: Experiment, past: Contest) -> contests.Effect:
    """Judge a committed contest again by its stored measures, against the record as it is now;
    trains nothing. Raises: ExperimentError."""
    record = _record(experiment, past.preset)
    experiment = experiment.sized(override(experiment, past.preset).specs)
    challenger = restore(experiment, past)
    claim = _claim(experiment, record, past.number)
    file = contests.path(
        contests.folder(experiment), records.name_of(experiment, past.preset), past
    )
    held = records.read_file(file, "assay challenge-claim")
    whole = _with(experiment, challenger)
    measured = recording.arms(whole, held) if held and held["arms"] else {}
    before, _, alone = judge_with(experiment, record, claim, challenger, measured, past.look)
    if past.effect == "void":
        return "void"
    return _effect(
        past.role,
        before,
        alone,
        "",
        past.cpu_seconds,
        past.allowed,
        challenger.arm.train is None,
    )[0]


def restore(experiment: Experiment, past: Contest) -> Challenger:
    """Read the arm of a contest again from the text that was handed in."""
    if "\n" not in past.source:
        base, *sets = past.source.split(" ")
        return varied_from(experiment, base, tuple(sets), past.note)
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        file = Path(folder) / f"{past.arm}.py"
        file.write_text(past.source, "utf-8")
        return from_file(file)


def _record(experiment: Experiment, preset: str) -> dict[str, Any]:
    record = records.load_record(experiment, preset)
    if record is None:
        raise ExperimentError(f"{experiment.name} has no record of preset {preset} to challenge")
    return record


def _with(experiment: Experiment, challenger: Challenger) -> Experiment:
    return replace(experiment, arms={**experiment.arms, challenger.name: challenger.arm}, claims=())


def _level(look: int) -> float:
    return 1 - (1 - USUAL) / look


def save(file: Path, past: Contest, record: Mapping[str, Any]) -> None:
    """Write a contest with the measures and verdict of its arm. Raises: OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    recording.save(file, {**record, "contest": past.to_json(), "sealed": past.digest})


def stored(lab: Lab) -> Path:
    """Where a store keeps contests that were not recorded."""
    return lab.store.root / "contests"


def _claim(experiment: Experiment, record: Mapping[str, Any], number: int) -> Claim:
    texts = [v["text"] for v in record["verdicts"]]
    if not 1 <= number <= len(texts):
        raise ExperimentError(
            f"{experiment.name} has recorded claims 1 to {len(texts)}, got {number}"
        )
    by_text = {c.text: c for c in experiment.claims if isinstance(c, Claim)}
    if texts[number - 1] not in by_text:
        raise ExperimentError(
            f"claim {number} of {experiment.name} was reworded since its record: "
            f"{texts[number - 1]}"
        )
    return by_text[texts[number - 1]]


def _require_fair(
    experiment: Experiment, preset: Preset, claim: Claim, challenger: Challenger
) -> None:
    """Refuse an arm that breaks a rule which can be checked before it is trained."""
    name, arm = challenger.name, challenger.arm
    if name in experiment.arms:
        raise ExperimentError(f"{experiment.name} has an arm {name}; give the file another name")
    if not arm.note.strip():
        raise ExperimentError(
            f"{name} has no note; say in note= what it is and why it is a fair challenge"
        )
    ways = {id(a.measure) for a in experiment.arms.values()}
    if id(arm.measure) not in ways:
        raise ExperimentError(f"{name} has its own measure; leave out measure=")
    if arm.train is None:
        return
    learned = {other: a.learned for other, a in experiment.arms.items() if a.train is arm.train}
    if learned and arm.learned not in learned.values():
        known = ", ".join(f"{other} {_parts(parts)}" for other, parts in learned.items())
        raise ExperimentError(
            f"{name} trains like recorded arms and says that {_parts(arm.learned)} was learned; "
            f"for those it is: {known}"
        )
    if arm.after is not None and arm.after not in experiment.arms:
        raise ExperimentError(
            f"{name} builds on {arm.after!r}, which is not an arm; "
            f"{nearest(arm.after, experiment.arms)}"
        )
    specs = _with(experiment, challenger).specs_of(name, preset.specs)
    method = claim.of if experiment.arms[claim.of].train is not None else "main"
    due = {s.seed for s in experiment.specs_of(method, preset.specs)}
    seeds = {s.seed for s in specs}
    if seeds != due:
        raise ExperimentError(
            f"{name} has the seeds {_brief(seeds)}; a challenge has to use those of the record, "
            f"{_brief(due)}"
        )
    for other, a in experiment.arms.items():
        same = a.train is arm.train and a.after == arm.after and a.derive is None
        if same and set(experiment.specs_of(other, preset.specs)) == set(specs):
            raise ExperimentError(f"{name} trains the same as the recorded arm {other}")


def _measured(
    lab: Lab,
    experiment: Experiment,
    preset: Preset,
    challenger: Challenger,
    on_event: OnEvent | None,
) -> tuple[list[dict[str, Any]], float, dict[str, xr.Dataset]]:
    """Train the arm, and those that it builds on, in a store under a name of its own; specs,
    CPU-seconds of a run, and measures in the precision of a record."""
    needed, arm = {challenger.name: challenger.arm}, challenger.arm
    while (before := arm.after) is not None:
        needed[before] = arm = experiment.arms[before]
    needed.setdefault("main", replace(experiment.arms["main"], specs=lambda main: (), after=None))
    digest = sha256(challenger.source.encode()).hexdigest()[:8]
    alone = replace(
        experiment,
        name=f"{experiment.name}-contest-{digest}",
        origin="",
        arms=dict(reversed(needed.items())),
        claims=(),
        figures=lambda arms: [],
        cards=None,
        cost=None,
        frozen={},
        sizes={},
    )
    inline = Lab(lab.store.root, Inline(), lab.device)
    inline.run(alone, preset, on_event)
    plan = inline.plan(alone, preset)
    rows = plan.by_arm()[challenger.name]
    specs = [json.loads(r.job.spec.to_json()) for r in rows]
    spent = [float(r.stored.provenance.get("cpu_seconds", 0)) for r in rows if r.stored]
    dumped = recording.dumped(load(plan)[challenger.name])
    arm_measures = recording.load_measures([r.job.spec for r in rows], dumped)
    return specs, sum(spent) / len(rows), {challenger.name: arm_measures}


def _effect(
    role: str,
    before: Judged,
    alone: Verdict,
    method: str,
    cost: float,
    allowed: float,
    derived: bool,
) -> tuple[contests.Effect, str]:
    """What came of the arm, by its verdict as a control, and why."""
    if cost > allowed:
        return "void", f"a run took {cost:.0f} CPU-seconds, where {allowed:.0f} are allowed"
    if not math.isfinite(alone.estimate):
        return "void", "it has no number"
    if np.array_equal(alone.points, before.points, equal_nan=True):
        return "void", f"it has {method}, unit by unit"
    if derived and len(alone.points) > 1 and len(set(alone.points)) == 1:
        return "void", "made of recorded numbers, it has the same in every unit: it could not fail"
    if alone.outcome == "fails":
        return "beaten", ""
    if alone.outcome == "holds":
        return ("shared" if role == "rival" else "unspecific"), ""
    return "undecided", explain_reason(alone.reason)


def _parts(learned: tuple[str, ...] | None) -> str:
    return "all" if learned is None else ", ".join(learned) or "nothing"


def _brief(seeds: set[int]) -> str:
    return f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else str(min(seeds, default="none"))
