"""Following: a frozen study run and judged look by look, as it was declared: what a look settles
stays, and the rest goes on.

Verdicts are still a pure function of stored measures, and of what was frozen: each look judges the
first so many seeds at its own level, whatever else is stored by then. A look that was taken is
noted once, with what it found and the code that judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import structs

from assay.core.errors import StoreError
from assay.core.experiment import Experiment
from assay.core.reading import plural
from assay.core.results import Judged, Price
from assay.lab.judge import registered, sources
from assay.lab.judge.registered import Registration
from assay.lab.judge.result import Result, judge_all, load
from assay.lab.plan.plan import Plan
from assay.lab.plan.preset import Preset
from assay.lab.store.store import Store
from assay.lab.work.events import Looked, OnEvent, Partial, Said


@dataclass(frozen=True)
class Following:
    """What was frozen of an experiment, and what is otherwise now; `frozen` is None where nothing
    was."""

    experiment: Experiment
    preset: Preset
    frozen: Registration | None = None
    departures: tuple[str, ...] = ()
    """Claims, arms and seeds that are not as they were frozen; with any of them there are no looks,
    and nothing is confirmed."""

    @property
    def looks(self) -> tuple[Preset, ...]:
        """The preset at each declared look, the last one whole; one look where nothing was frozen,
        or what was is not followed."""
        if self.frozen is None or self.departures:
            return (self.preset,)
        return tuple(first(self.preset, set(self.frozen.seeds[:n])) for n in self.frozen.units)

    @property
    def declared(self) -> bool:
        """Whether verdicts go by declared looks."""
        return self.frozen is not None and not self.departures

    def heard(self, tell: OnEvent) -> OnEvent:
        """Tell the same, early verdicts marked as no look where looks were declared."""
        if not self.declared:
            return tell
        return lambda event: tell(
            replace(event, frozen=True) if isinstance(event, Partial) else event
        )

    def told(self, result: Result, tell: OnEvent) -> bool:
        """Tell what a look found, and whether nothing is left for the next one."""
        if self.frozen is not None and not self.declared:
            tell(
                Said(
                    "not as it was frozen, so what follows is exploratory: "
                    f"{'; '.join(self.departures)}"
                )
            )
        if self.frozen is None or not self.declared or result.registration is None:
            return True
        look_number, open_claims = result.registration["taken"], tuple(result.registration["open"])
        settled = tuple(j.claim.text for j in result.judged if j.claim.text not in open_claims)
        tell(
            Looked(
                look_number,
                len(self.frozen.units),
                self.frozen.units[look_number - 1],
                self.frozen.levels[look_number - 1],
                settled,
                open_claims,
            )
        )
        return not open_claims


def following(store: Store, experiment: Experiment, preset: Preset) -> Following:
    """Tell what was frozen of an experiment at this preset, and what is otherwise now. Raises:
    StoreError for a file that was changed."""
    frozen = registered.find(store, experiment, preset)
    if frozen is None:
        return Following(experiment, preset)
    return Following(
        experiment, preset, frozen, tuple(registered.departures(frozen, experiment, preset))
    )


def first(preset: Preset, seeds: set[int]) -> Preset:
    """The preset with these seeds only; its title stays."""
    return replace(preset, specs=tuple(s for s in preset.specs if s.seed in seeds))


def within(experiment: Experiment, plan: Plan, preset: Preset) -> Plan:
    """The rows of a plan that a smaller preset has."""
    runs = {
        (name, s.to_json())
        for name, a in experiment.arms.items()
        if a.train
        for s in experiment.specs_of(name, preset.specs)
    }
    rows = tuple(r for r in plan.rows if (r.job.arm, r.job.spec.to_json()) in runs)
    return replace(plan, preset=preset, rows=rows)


def reached(following: Following, plan: Plan) -> list[Plan]:
    """The declared looks of which every run is stored, each as a plan without a missing run."""
    plans = []
    for preset in following.looks:
        if len(preset.specs) > len(plan.preset.specs):
            break
        part = within(following.experiment, plan, preset)
        if part.missing:
            break
        plans.append(part)
    return plans


def judged(following: Following, store: Store, plan: Plan) -> Result | None:
    """The result by the looks that can be taken on what is stored, each claim as the first look
    that settled it found it; None before one.

    Later looks are not judged once every claim is settled.
    """
    frozen, parts = following.frozen, reached(following, plan)
    assert frozen is not None
    settled: dict[str, tuple[int, Judged]] = {}
    result: Result | None = None
    for k, part in enumerate(parts):
        result = judge_all(
            following.experiment,
            part,
            load(part),
            figures=k == len(parts) - 1,
            level=frozen.levels[k],
        )
        for j in result.judged:
            if j.verdict.outcome != "undecided":
                settled.setdefault(j.claim.text, (k, j))
        if len(settled) == len(result.judged) and not result.failed:
            if k < len(parts) - 1:
                result = replace(
                    judge_all(following.experiment, part, load(part), level=frozen.levels[k]),
                    judged=result.judged,
                )
            break
    if result is None:
        return None
    judgements = tuple(
        settled[j.claim.text][1] if j.claim.text in settled else _open(j, frozen, k)
        for j in result.judged
    )
    outcomes = {text: (look, j.verdict.outcome) for text, (look, j) in settled.items()}
    open_claims = [
        text
        for text in (*(j.claim.text for j in judgements), *(text for text, _ in result.failed))
        if text not in outcomes
    ]
    return replace(
        result,
        judged=judgements,
        registration=described(following, store, outcomes, k + 1, plan, open_claims),
    )


def _open(j: Judged, frozen: Registration, k: int) -> Judged:
    """An undecided claim after look k, from 0, with what decides it: the next look, and after the
    last another study."""
    if k + 1 < len(frozen.units):
        look = f"look {k + 2} of {len(frozen.units)}, at {frozen.units[k + 1]} seeds"
        price = Price(look)
    else:
        price = another_study(j.verdict.price, j.verdict.n)
    return structs.replace(j, price=price)


def another_study(price: Price | None, n: Mapping[str, int]) -> Price:
    """Say what a study on units of its own needs, where looks at these have ended: as many in all
    as a price for more of them comes to.

    Args:
        price: what would decide it if these units could be added to.
        n: how many units there are, by factor.
    Example:
        >>> from assay.core.results import Price
        >>> from assay.lab.judge.sequential import another_study
        >>> another_study(Price("about 3 more seeds", "seed", 3), {"seed": 8}).text
        'another study, on about 11 seeds of its own'
    """
    if price is None:
        return Price("another study, on seeds of its own")
    if price.factor is None or price.more is None or "of both" in price.text:
        return Price(price.text)
    units = price.more + n.get(price.factor, 0)
    arm = "" if price.text.startswith("about") else f"{price.text.partition(': ')[0]}: "
    return Price(f"{arm}another study, on about {units:,} {plural(price.factor, units)} of its own")


def noted(following: Following, store: Store, result: Result, plan: Plan) -> Result:
    """Note each look that a result rests on and that is not noted yet; gives the result with their
    times. Raises: OSError when the disk is full.

    What is missing from their record is not noted anew: it would look as if nothing were missing.
    """
    frozen, registration = following.frozen, result.registration
    assert frozen is not None and registration is not None
    missing = registered.lost(store, following.experiment.name, following.preset)
    known = {
        line["look"]
        for line in registered.read_looks(store, following.experiment.name, following.preset)
    }
    for k, look in enumerate(registration["looks"][: registration["taken"]], 1):
        if k not in known and not missing:
            verdicts = {
                j.claim.text: j.verdict.outcome
                for j in result.judged
                if k == registration["taken"] or j.claim.text in look["settled"]
            }
            line = {
                "look": k,
                "registration": frozen.hash,
                "seeds": look["seeds"],
                "level": look["level"],
                "code": sources.unchanged(),
            }
            registered.note(
                store, following.experiment.name, following.preset, {**line, "verdicts": verdicts}
            )
    outcomes = {j.claim.text: j.verdict.outcome for j in result.judged}
    settled = {
        text: (k, outcomes[text])
        for k, look in enumerate(registration["looks"])
        for text in look["settled"]
    }
    return replace(
        result,
        registration=described(
            following, store, settled, registration["taken"], plan, registration["open"]
        ),
    )


def described(
    following: Following,
    store: Store,
    settled: Mapping[str, tuple[int, str]],
    look_count: int,
    plan: Plan,
    open_claims: Sequence[str] = (),
) -> dict[str, Any]:
    """What was frozen, which looks were taken, what is otherwise, and whether all of it was
    followed, as plain values."""
    frozen = following.frozen
    assert frozen is not None
    lines = {
        line["look"]: line
        for line in registered.read_looks(store, following.experiment.name, following.preset)
    }
    part = (
        within(following.experiment, plan, following.looks[look_count - 1]) if look_count else plan
    )
    changed = [*following.departures, *_later(frozen, lines, settled, part)]
    missing = registered.gaps(store, following.experiment, following.preset, frozen)
    looks = [
        {
            **look,
            "taken": lines[k]["time"] if k in lines else None,
            "settled": [text for text, (look_index, _) in settled.items() if look_index == k - 1],
        }
        for k, look in enumerate(frozen.content["looks"], 1)
    ]
    signed = [
        {"time": line["time"], "sha256": line["sha256_of_signature"]}
        for line in registered.signatures(store, following.experiment.name, following.preset)
    ]
    return {
        "hash": frozen.hash,
        "file": frozen.path.name,
        "time": frozen.time,
        "commit": frozen.commit,
        "alpha": frozen.content["alpha"],
        "seeds": frozen.content["seeds"],
        "looks": looks,
        "taken": look_count,
        "open": list(open_claims),
        "changed": changed,
        "missing": missing,
        "others": registered.find_related(store, following.experiment, following.preset, frozen),
        "signatures": signed,
        "followed": not changed and not missing,
    }


def unfollowed(following: Following, store: Store, plan: Plan, arm: str) -> dict[str, Any] | None:
    """What was frozen and not followed, as plain values; None where nothing was frozen."""
    if following.frozen is None:
        return None
    registration = described(following, store, {}, 0, plan)
    other = [] if arm == "main" else [f"asked of {arm}: what was frozen was asked of main"]
    return {**registration, "changed": [*following.departures, *other], "followed": False}


def none_taken(following: Following, name: str, plan: Plan) -> StoreError:
    """Say that no declared look can be taken yet, with what to type."""
    assert following.frozen is not None
    part = within(following.experiment, plan, following.looks[0])
    return StoreError(
        f"the first look of {name} is at {following.frozen.units[0]} seeds, and "
        f"{len(part.missing)} of "
        f"its {len(part.rows)} runs are not stored; run: ",
        following.preset.run(following.experiment.typed),
    )


def _later(
    frozen: Registration,
    lines: Mapping[int, Mapping[str, Any]],
    settled: Mapping[str, tuple[int, str]],
    plan: Plan,
) -> list[str]:
    """What came otherwise than frozen since: code that judged, verdicts that a look found, runs
    that were there before."""
    changes = []
    for k, line in lines.items():
        if line["code"] != frozen.content["judging"]:
            changes.append(f"look {k} was judged by other code than was frozen")
        for text, outcome in line["verdicts"].items():
            now_found = settled.get(text, (0, "undecided"))[1]
            if outcome not in ("undecided", now_found):
                changes.append(
                    f"look {k} found *{outcome}*, and the same measures now give "
                    f"*{now_found}*: {text}"
                )
    early = [
        r
        for r in plan.cached
        if r.stored is not None
        and str(r.stored.provenance.get("finished", frozen.time)) < frozen.time
    ]
    return [*changes, *([f"{len(early)} runs were stored before it was frozen"] if early else [])]
