"""Missing: what a study does not say. `essential` lists what has to be written before a run,
`assumed` and `of_models` the defaults that apply, `of_claims` what the claims cannot decide;
`refuse_beyond_budget` checks the cost of the missing runs."""

from __future__ import annotations

import contextlib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.ask import sides
from assay.ask.contents import asked_in
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.tasks import Task
from assay.ask.model_study import ModelStudy
from assay.ask.notes import HARDLY
from assay.ask.planned import Gap, StudyGaps
from assay.ask.tables import Direction, Intervention, Probe, Train
from assay.ask.text import Text, read
from assay.core import power, scopes
from assay.core.bounded import FEW
from assay.core.claims import Claim
from assay.core.compute import duration
from assay.core.errors import AssayError, ClaimError
from assay.core.experiment import Experiment
from assay.core.expression import parse
from assay.core.intervals import FEWEST_FOLDS, FOLD
from assay.core.nouns import plural
from assay.core.reasons import GIVEN
from assay.core.spec import Spec
from assay.core.stats import mean
from assay.lab import catalogue
from assay.lab.lab import Lab
from assay.lab.plan.plan import Plan, command_times
from assay.lab.plan.preset import spelled

FRESH = 1_000_000
"""The first default seed of studies that name none; no entry of the catalogue is judged on
these."""
CHEAP = ", which cost a probe next to nothing more"
"""Said of more seeds of a probe: they read the same activations."""
ASKED = 8
"""Number of default seeds of a study of models."""
SEVERAL = 6
"""Minimum number of units of a kind for a verdict."""
ALONE = 20
"""Minimum number of units if there is only one kind."""


def essential(text: Text) -> list[Gap]:
    """What has to be written before anything can run."""
    study = text.study
    lacks: list[tuple[str, str, tuple[str | int, ...]]] = []
    if not study.question.strip():
        lacks.append(("question", 'write question = "…", in one sentence', ("question",)))
    if not (study.experiment or study.model or study.train):
        how = (
            'write [[model]] and name = "…", of a model to ask, or [[experiment]] and name = "…", '
            "of which assay list has the names"
        )
        lacks.append(("experiment", how, ("experiment",)))
    if not study.claim and not study.estimate:
        how = (
            'write [[claim]] with text, holds and control, such as holds = "main.gamma > 0.98", or '
            '[[estimate]] with text and value, such as value = "main.gamma"'
        )
        lacks.append(("claim", how, ("claim",)))
    for i, claim_entry in enumerate(study.claim):
        if not claim_entry.holds.strip():
            how = 'write holds = "…", a comparison such as "main.fvu < 0.2"'
            lacks.append((f"claim {i + 1}: holds", how, ("claim", i)))
        brings_controls = bool(study.model or study.train)  # these add their own controls
        if not claim_entry.control and not brings_controls:
            candidates = _arms(text)
            hint = f"; arms that could be controls: {', '.join(candidates)}" if candidates else ""
            how = f'write control = ["…"], an arm for which the claim should be false{hint}'
            lacks.append((f"claim {i + 1}: control", how, ("claim", i)))
    for i, entry in enumerate(study.estimate):
        if not entry.value.strip():
            how = 'write value = "…", a quantity such as "main.fvu"'
            lacks.append((f"estimate {i + 1}: value", how, ("estimate", i)))
    return [
        Gap(where, f"{text.at(*keys)}: {where} is missing; {how}", None, "")
        for where, how, keys in lacks
    ]


def assumed(text: Text) -> list[Gap]:
    """What may be left out, with the defaults."""
    study, assumptions = text.study, list[Gap]()
    if not study.seeds and (study.experiment or study.model or study.train):
        default_seeds = (
            f"{FRESH}:{FRESH + len(seeds(text))}, which no entry of the catalogue is judged on"
        )
        how = f'write seeds = "{FRESH}:{FRESH + SEVERAL}", for instance'
        assumptions.append(Gap("seeds", how, default_seeds))
    if not study.budget:
        how = 'write budget = "10m" to refuse longer studies'
        assumptions.append(Gap("budget", how, "none: there is no limit"))
    assumptions += _unnamed(text)
    for i, entry in enumerate(study.claim, 1):
        if not entry.threshold:
            how = 'write threshold = "plan: …", or "paper: …", "pilot: …"'
            default = f"{GIVEN}: Assay cannot know whether a pilot gave it"
            assumptions.append(Gap(f"claim {i}: threshold", how, default))
        if entry.bounds is None and _is_mean(entry.holds):
            how = "write bounds = [0, 1] for a share, [-1, 1] for a difference of shares"
            default = "none: if most units are equal, the claim is undecided"
            assumptions.append(Gap(f"claim {i}: bounds", how, default))
    return assumptions


def _is_mean(holds: str) -> bool:
    """Whether a condition is on a mean over units, which alone takes bounds."""
    with contextlib.suppress(ClaimError):
        return parse(holds).statistic is mean
    return False


def of_models(questions: ModelStudy, whole: Experiment) -> list[Gap]:
    """What a study of models leaves open: the arms that do not run, and units that are too few for
    a verdict."""
    assumptions = list[Gap]()
    if idle := questions.left_out(whole.arms):
        how = f"name {'one' if idle[1:] else 'it'} in a claim or an estimate"
        assumptions.append(Gap("arms", how, _left_out(idle)))
    assumptions += unused_prompts(questions.text, tuple(whole.arms))
    for t in tomllib.loads(questions.text.toml).get("intervene", ()):
        if t["name"] in whole.arms and "add" in t and "strength" not in {*t, *t.get("sweep", ())}:
            how = "write strength = 4, say, or sweep = { strength = [1, 2, 4] }"
            default = "1: the direction as long as it is"
            assumptions.append(Gap(f"{t['name']}: strength", how, default))
    claims = [c for c in whole.claims if isinstance(c, Claim)]
    for i, c in enumerate(claims):
        part = questions.by_label[c.of]
        unit, count = part.task.unit, len(part.task.levels)
        fewest = SEVERAL if "seed" in c.units else FEWEST_FOLDS if unit == FOLD else ALONE
        if "seed" in c.units and (seeds := _counts(whole, c).get("seed", SEVERAL)) < SEVERAL:
            default = f"{seeds} {plural('seed', seeds)}; a verdict needs at least {SEVERAL}"
            how = f'write seeds = "0:{SEVERAL}"'
            assumptions.append(Gap(f"claim {i + 1}: units", how, default, cost="the verdict"))
        if unit in c.units and count < fewest:
            default = f"{count} {plural(unit, count)}; a verdict needs at least {fewest}"
            more = to_write(part.task, fewest)
            noun = plural("row" if unit == "prompt" else unit, more)
            halved = ", because some of them are used for learning" if more > fewest - count else ""
            how = f"add {more} more {noun}{halved}" if unit != FOLD else f"write folds = {fewest}"
            assumptions.append(Gap(f"claim {i + 1}: units", how, default, cost="the verdict"))
    return assumptions


def unused_prompts(text: Text, arms: Sequence[str] = ()) -> list[Gap]:
    """The prompts that nothing reads or learns from, and that are neither an arm nor a control."""
    study = text.study
    used = {name for d in study.diff for name in d.prompts or ()}
    parts: Iterable[Direction | Intervention | Probe | Train]
    parts = (*study.direction, *study.intervene, *study.probe, *study.train)
    used |= {part.prompts for part in parts}
    used |= {p.test for p in study.probe} | {arm.rpartition("/")[2] for arm in arms}
    used |= {name for i in study.intervene for name in (i.damage, i.source)}
    used |= {t.damage for t in study.train} | {r.prompts for r in study.read}
    tops = [*(t.top for t in study.intervene), *(r.top for r in study.read)]
    tops += [d.top for d in study.direction]
    used |= {top.prompts for top in tops if top}
    names = [p.name for p in study.prompts]
    first = names[:1] if study.read or any(not p.prompts for p in study.probe) else []
    idle = [name for name in names if name not in (*first, *used)]
    if not idle:
        return []
    default = f"left out: the prompts {', '.join(idle)}, which nothing reads or learns from"
    default += f"; the first are read, {first[0]}" if first else ""
    how = f'write prompts = "{idle[0]}" under the table that should use them, or put them first'
    return [Gap("prompts", how, default)]


def of_claims(whole: Experiment) -> list[Gap]:
    """Claims that ask for more than their units can show, or for a direction without a size."""
    assumptions = []
    claims = [c for c in whole.claims if isinstance(c, Claim)]
    for i, c in enumerate(claims, 1):
        counts = _counts(whole, c)
        if len(counts) == len(c.units):
            part = asked_in(whole).by_label.get(c.of)
            is_cheap = part is not None and isinstance(part.task, ProbeTask)
            assumptions += _out_of_reach(f"claim {i}: units", c, counts, is_cheap)
        if _is_direction(c):
            default = "its threshold is 0, so any difference counts, however small"
            how = "claim a size, such as > 0.1, which fewer units can decide"
            assumptions.append(Gap(f"claim {i}: size", how, default, cost="the verdict"))
    return assumptions


def _is_direction(c: Claim) -> bool:
    """Whether the only threshold of a claim is 0: more or less than nothing. Factors and constants
    in the condition, as in cut.x - 0.5 * main.x, are sizes as well."""
    finite = [e for e in (c.low, c.high) if math.isfinite(e)]
    multiplied = re.search(r"\d\s*\*|\*\s*[\d.]|\s[-+]\s+(\w+\()?[\d.]", c.condition)
    return len(finite) == 1 and abs(finite[0]) < 1e-300 and not multiplied


def _counts(whole: Experiment, c: Claim) -> dict[str, int]:
    """The number of levels of each unit of a claim's arm, as far as is known."""
    arm = whole.arms[c.of]
    if arm.train is None:
        return {}
    specs = [s for s in whole.specs_of(c.of, whole.default) if scopes.fits(s, c.where)]
    counts = {u: len({getattr(s, u) for s in specs if hasattr(s, u)}) for u in c.units}
    counts |= {u: n for u, n in arm.levels.items() if u in c.units}
    return {u: n for u, n in counts.items() if n}


def _out_of_reach(where: str, c: Claim, counts: Mapping[str, int], is_cheap: bool) -> list[Gap]:
    """Report a claim that cannot hold between its bounds even if every unit were on the better
    bound."""
    n = min(counts.values())
    if (nearest := power.best(c, n)) is None or n < SEVERAL:
        return []
    best, low, high = nearest
    ending = f"begin at {low:.2f}" if low < c.low else f"end at {high:.2f}"
    fewest = power.fewest_to_hold(c)
    units = " × ".join(f"{k} {plural(u, k)}" for u, k in counts.items())
    several = len(counts) > 1
    # For two factors, the exact interval applies only to cells that all agree; and for many units
    # between natural bounds Student's t may hold, if no unit is on a bound.
    surely = not several and (c.bounds is not None or n < FEW)
    cannot = "cannot hold" if surely else "is undecided if all values agree"
    default = (
        f"{units}, with which it {cannot}: even if all were {best:g}, the interval would {ending}"
    )
    how = "claim less, as no number of units is enough"
    if fewest is not None:
        few = (f"{fewest:,} {plural(u, fewest)}" for u, k in counts.items() if k < fewest)
        line = f' (seeds = "{FRESH}:{FRESH + fewest}"{CHEAP * is_cheap})'
        line *= counts.get("seed", fewest) < fewest
        how = f"take about {' and '.join(few)}{line}, or claim less"
    cost = "the verdict" if surely else "the verdict if all values agree"
    return [Gap(where, how, default, cost=cost)]


def to_write(task: Task | ProbeTask | SaeTask, fewest: int) -> int:
    """How many more groups of prompts have to be written so that this many units are measured; more
    than the difference, if some of them are learned from."""
    more = fewest - len(task.levels)
    if isinstance(task, SaeTask):
        return more
    table = task.prompts.table
    if not task.learns_here or task.prompts.unit != (table.split or "prompt"):
        return more
    share, groups = table.learn, len(set(task.prompts.groups(range(len(task.prompts.rows)))))
    while groups + more - max(1, round(share * (groups + more))) < fewest:
        more += 1
    return more


def _unnamed(text: Text) -> list[Gap]:
    """The arms of experiments that do not run because no statement names them."""
    assumptions = []
    for i, part in enumerate(text.study.experiment):
        try:
            arms = () if part.arms else tuple(catalogue.find(part.name).arms)
        except AssayError:  # reported where it is read
            continue
        named_arms = sides.named_arms(text, arms)
        if idle := [a for a in arms if named_arms and a not in named_arms]:
            how = 'name one in a claim or an estimate, or list it in arms = ["…"]'
            assumptions.append(Gap(f"experiment {i + 1}: arms", how, _left_out(idle)))
    return assumptions


def _left_out(arms: Sequence[str]) -> str:
    arms_in_words = f"the {plural('arm', len(arms))} {', '.join(arms)}"
    return f"left out: {arms_in_words}, which no claim or estimate names"


def seeds(text: Text) -> tuple[int, ...]:
    """The seeds of a study; if it names none, as many fresh ones as its first experiment has.
    Raises: ExperimentError."""
    stated_seeds = text.study.seeds
    if stated_seeds != "" and stated_seeds != []:
        words = stated_seeds if isinstance(stated_seeds, str) else list(stated_seeds)
        with text.located("seeds"):
            return tuple(int(v) for v in spelled(Spec(), "seed", words))
    if not text.study.experiment:
        return tuple(range(FRESH, FRESH + ASKED))
    part = text.study.experiment[0]
    try:
        count = len({s.seed for s in catalogue.find(part.name).preset(part.preset)})
    except AssayError:
        count = SEVERAL
    return tuple(range(FRESH, FRESH + max(count, SEVERAL)))


def _arms(text: Text) -> tuple[str, ...]:
    """The arms of the first experiment except main, if it can be found."""
    try:
        arms = catalogue.find(text.study.experiment[0].name).arms
    except (AssayError, IndexError):
        return ()
    return tuple(name for name in arms if name != "main")


def find_gaps(path: Path, experiment: Experiment | None = None) -> StudyGaps:
    """Report what a study does not say, the defaults, and their cost; `experiment` is None for a
    study that lacks something essential. Raises: ExperimentError."""
    text = read(path)
    lacks = essential(text)
    open_ = assumed(text) if text.study.experiment else []
    if experiment is not None:
        open_ = [*(_of_models(experiment) or open_), *of_claims(experiment)]
    return StudyGaps(study=str(path), gaps=(*lacks, *open_), exit_code=2 if lacks else 0)


def undecidable(study: Experiment) -> list[str]:
    """List the claims of a study that no data could decide, and what would change that."""
    return hopeless([*_of_models(study), *of_claims(study)])


def _of_models(study: Experiment) -> list[Gap]:
    model_study = asked_in(study)
    return of_models(model_study, study) if model_study.parts else []


def hopeless(gaps: Iterable[Gap]) -> list[str]:
    """Say which claims stay undecided whatever the results, joining claims with the same reason."""
    numbers: dict[str, list[str]] = {}
    for gap in gaps:
        claim, _, field = gap.where.partition(": ")
        if field == "units" and gap.cost == "the verdict":
            number = claim.removeprefix("claim ")
            numbers.setdefault(f"{gap.default}; {gap.text}", []).append(number)
    return [
        f"{plural('claim', len(claims))} {', '.join(claims)} cannot be decided: {words}"
        for words, claims in numbers.items()
    ]


def unused(study: Experiment) -> list[str]:
    """List prompts of a study that nothing uses, and what to write."""
    idle = unused_prompts(asked_in(study).text, tuple(study.arms))
    return [f"{m.default}; {m.text}" for m in idle]


def idle_arms(study: Experiment) -> list[str]:
    """Say which changes and probes of a study are not run, because no statement reads them."""
    text, used = asked_in(study).text.study, {arm.rpartition("/")[2] for arm in study.arms}
    tables: list[Any] = [*text.read, *text.direction, *text.intervene, *text.probe]
    tables += [*text.train, *text.diff, *(t.top for t in tables if getattr(t, "top", None))]
    named = [getattr(t, key, "") for t in tables for key in ("after", "change", "intervention")]
    used |= {name for name in named if isinstance(name, str)}
    changed: list[Any] = [*text.intervene, *text.probe]
    idle = [t.name for t in changed if t.name not in used]
    be, them = ("are", "them") if idle[1:] else ("is", "it")
    words = f"{', '.join(idle)} {be} not run, because no claim or estimate reads {them}"
    return [words] if idle else []


def scarce(study: Experiment) -> list[str]:
    """List slots of the prompts with too few values to be units, and what to write; a note next to
    the verdict says of what the prompts are combinations."""
    return [*dict.fromkeys(r.partition("; ")[2] or r for r in study.remarks if HARDLY in r)]


def refuse_beyond_budget(lab: Lab, study: Experiment, planned: Plan) -> None:
    """Refuse a study that is expected to take longer than its budget; if its times are unknown it
    may run. Raises: ExperimentError, with what would fit."""
    text = asked_in(study).text
    if not text.study.budget or not planned.missing:
        return
    with text.located("budget"):
        limit = duration(text.study.budget)
    width = lab.executor_for(study).width
    took = command_times(planned, study, width)
    if took is not None and took[0].low > limit:
        message = (
            f"the missing runs would take {took[0].low:,.0f} s or more, and the budget is "
            f"{text.study.budget.strip()}; raise it, or name fewer seeds, arms or values; "
            "nothing was run"
        )
        raise text.error(("budget",), message)
