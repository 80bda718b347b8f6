"""Design: the most seeds of a preset that fit into a time, chosen before anything runs and written
down.

Never fewer than its claims need; what is stored costs nothing. A command that was interrupted goes
on with the choice that it began.

    <root>/within/<experiment>/<16hex>.json    what was chosen, for a preset and a number of seconds
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from assay.core.claims import Claim, claims_key
from assay.core.compute import duration
from assay.core.errors import AssayError, ExperimentError, StoreError
from assay.core.experiment import Experiment
from assay.core.heavy import scipy
from assay.core.judging import FEWEST
from assay.core.spec import canonical_json
from assay.lab.plan.forecast import Forecast, Prospect, forecast
from assay.lab.plan.plan import Plan, plan
from assay.lab.plan.preset import Preset, override
from assay.lab.records import provenance
from assay.lab.store.atomic import explained, write
from assay.lab.store.sealed import seal, unseal
from assay.lab.store.store import Store


@dataclass(frozen=True)
class Design:
    """What is to run, and of how much it is a part."""

    preset: Preset
    whole: Forecast
    """Of what was asked for."""
    chosen: Forecast
    seconds: float
    """By the clock, into which it fits."""
    since: str = ""
    """When an earlier command chose it, in ISO 8601; "" where this one does."""

    @property
    def seeds(self) -> int:
        """How many seeds run."""
        return len({s.seed for s in self.preset.specs})

    @property
    def of_seeds(self) -> int:
        """How many were asked for."""
        return len({s.seed for s in self.whole.plan.preset.specs})

    @property
    def wider(self) -> float:
        """By which factor fewer seeds widen intervals over seeds, by Student's t.

        Formula: t(n) / t(n₀) · √(n₀ / n), t the 97.5 % point with n − 1 degrees of freedom"""
        n, before = self.seeds, self.of_seeds
        if not 2 <= n < before:
            return 1.0
        t, t_before = scipy.special.stdtrit([n - 1, before - 1], 0.975)
        return float(t / t_before * math.sqrt(before / n))


def design(store: Store, experiment: Experiment, preset: Preset, text: str, workers: int) -> Design:
    """Choose what to run within a time such as 10m, and write that down; or take what an earlier
    command chose.

    Raises: DataError for a time that cannot be read; ExperimentError, one line, where nothing fits,
    with the least time, and where nothing is known of how long a run takes."""
    seconds, text = duration(text), text.strip()
    if not preset.specs:
        raise ExperimentError(f"{experiment.name} has no runs in preset {preset.name}")

    def predicted(part: Preset, claims: bool = True) -> Forecast:
        return forecast(plan(store, experiment, part, workers), experiment, workers, claims=claims)

    whole = predicted(preset)
    folder = store.root / "within" / experiment.name
    file = folder / f"{_hash_question(experiment, preset, seconds)}.json"
    try:
        choice = unseal(file)
        before = override(experiment, preset.name, (*preset.sets, *choice["sets"]))
        before = replace(before, within=text if choice["sets"] else "")
        return Design(before, whole, predicted(before), seconds, choice["when"])
    except StoreError:
        pass
    if whole.plan.missing and whole.command is None:
        raise ExperimentError(
            f"how long a run of {experiment.name} takes is unknown here, so nothing can be chosen "
            f"to fit {text}; one seed would tell, which is none of those judged: assay run "
            f"{experiment.typed}{preset.but('seed=0').options}"
        )
    seeds = sorted({s.seed for s in preset.specs})
    needed = _needed(experiment, whole.claims, len(seeds))

    def takes(count: int) -> float:
        part = _first(experiment, preset, seeds, count, text)
        return _clock(predicted(part, claims=False)) if part else math.inf

    # more seeds take longer
    counts = range(needed, len(seeds) + 1)
    fitting = bisect_right(counts, seconds, key=takes) if _clock(whole) > seconds else len(counts)
    if not fitting:
        least = min(takes(needed), _clock(whole))
        what = (
            f"with {needed} seeds, which its claims need"
            if least < _clock(whole)
            else "as it is, since its claims need all of its seeds"
        )
        raise ExperimentError(
            f"{experiment.name} does not fit into {text}: {what}, it takes about "
            f"{math.ceil(least)} s; nothing was run"
        )
    best = _first(experiment, preset, seeds, counts[fitting - 1], text)
    assert best is not None
    store.prepare()
    with explained(store.root):
        folder.mkdir(parents=True, exist_ok=True)
        sets = [s for s in best.sets if s not in preset.sets]
        titles = {"preset": preset.title, "chosen": best.title, "within": text}
        when = provenance.timestamp()
        write(file, seal({**titles, "seconds": seconds, "sets": sets, "when": when}))
    return Design(best, whole, predicted(best), seconds)


def noted(store: Store, current_plan: Plan) -> Plan:
    """The plan with a preset that says which time it was chosen to fit, where the store knows that
    somebody chose it."""
    for file in sorted((store.root / "within" / current_plan.experiment).glob("*.json")):
        try:
            choice = unseal(file)
        except StoreError:
            continue
        if choice["sets"] and choice["chosen"] == current_plan.preset.title:
            return replace(
                current_plan, preset=replace(current_plan.preset, within=choice["within"])
            )
    return current_plan


def forget(store: Store, experiment: str) -> None:
    """Delete what was chosen for an experiment."""
    if (folder := store.root / "within" / experiment).exists():
        store.remove(folder)


def _hash_question(experiment: Experiment, preset: Preset, seconds: float) -> str:
    """16 hex digits of what is asked: other specs, claims or arms are another question."""
    specs = [s.to_json() for s in preset.specs]
    arms, sets = list(experiment.arms), list(preset.sets)
    question = [experiment.version, preset.name, sets, arms, specs, seconds]
    return hashlib.sha256(
        canonical_json([question, claims_key(experiment.claims)]).encode()
    ).hexdigest()[:16]


def _first(
    experiment: Experiment, preset: Preset, seeds: Sequence[int], count: int, text: str
) -> Preset | None:
    """The preset with its first seeds alone; None where that is no part of what it had."""
    if count == len(seeds):  # all of it: nothing is changed, and nothing needs a name
        return preset
    try:
        part = override(experiment, preset.name, (*preset.sets, f"seed={_spelled(seeds[:count])}"))
    except AssayError:  # an arm that takes seeds by the dozen, say
        return None
    return replace(part, within=text) if set(part.specs) <= set(preset.specs) else None


def _clock(prediction: Forecast) -> float:
    """Seconds by the clock of what is missing."""
    if not prediction.plan.missing or prediction.command is None:
        return 0.0
    return prediction.command[0].middle


def _needed(experiment: Experiment, claims: Sequence[Prospect], seeds: int) -> int:
    """The fewest seeds that claims need: enough for a verdict at all, and for those expected to be
    decided by all of them, to decide them.

    All of them where seeds are no unit of a claim: it may speak of the best of several, and with
    fewer it would be another quantity."""
    if not all("seed" in c.units for c in experiment.claims if isinstance(c, Claim)):
        return seeds
    need = [FEWEST]
    for p in claims:
        if p.fewest and p.units and p.factor == "seed" and p.expected in ("holds", "fails"):
            # Seeds in proportion: a claim may count only some of them.
            need.append(math.ceil(p.fewest * seeds / p.units))
    return min(seeds, max(need))


def _spelled(seeds: Sequence[int]) -> str:
    """Seeds as `--set` takes them."""
    first, last = seeds[0], seeds[-1]
    whole = list(seeds) == list(range(first, last + 1)) and first >= 0
    return f"{first}:{last + 1}" if whole else ",".join(map(str, seeds))
