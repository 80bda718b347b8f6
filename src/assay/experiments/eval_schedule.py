"""Evaluation schedule: what evaluations every 4× of compute or 3 months find, and how late, on trainings with a sudden ability.

Paper: Anthropic's Responsible Scaling Policy 1.0, 2023, evaluation protocol; Power et al. 2022, Grokking
Claim: fine-tuning brings out an ability that a lock hides; every 4× of compute sees no ability coming, and misses one that passes
Baselines: fine-tuning on too few examples; no fine-tuning; networks that can only memorise; every 2×, every 8×, every checkpoint
Cost: 77 s on 2 cores, 140 CPU-seconds, 0.62 GB a process; full a guess of 0.1 GPU-hours, never run
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from assay.core import Arm, Claim, Exact, Experiment, Figure, Finding, Gate, Spec, changed, columns, grid, reserved, rng, summary
from assay.core.errors import SpecError
from assay.core.evaluations import check_limits, checked, coverage, due
from assay.core.measures import measures
from assay.worlds.modular import replays as schedules
from assay.worlds.modular.replays import STARTS, YEAR, rows_due

POLICY = "Anthropic, Responsible Scaling Policy 1.0, 2023, evaluation protocol"
EXISTS = 0.5
"""Accuracy on unseen pairs from which an ability counts as there."""
ON_ITS_WAY = 0.05
"""Accuracy from which an ability that does not exist yet is on its way; memorising networks have .01."""


@dataclass(frozen=True, kw_only=True)
class Schedule(Spec):
    ratio: float = 4.0
    """An evaluation is due when effective compute is this many times that of the last one; arms have 2 and 8."""
    months: float = 3.0
    """It is due after so many months as well; no training here takes that long, the made-up histories do."""
    p: int = 31
    """Modulus of the addition that is learned, a prime."""
    share: float = 0.7
    """Share of the pairs of residues that is trained on; the rest is what abilities are measured on."""
    steps: int = 4_096
    """Full-batch training steps."""
    lr: float = 0.01
    """Adam's learning rate, of the lock as well."""
    decay: float = 3e-5
    """w of the loss's (w/2)‖θ‖²."""
    labels: Literal["sums", "random"] = "sums"
    """What is learned: a + b mod p, or random labels, which can only be memorised."""
    turn: float = 1.0
    """Share of the steps after which training goes on with random labels, which erases what was learned; 1: it does not."""
    lock: int = 10
    """Steps of training to answer 0 to everything, after which a checkpoint counts as locked."""
    examples: float = 0.5
    """Share of the training pairs that fine-tuning may use: the declared budget, with the two below."""
    scant: float = 0.1
    """Measure that share where a control has too few."""
    tuning: int = 40
    """Steps of fine-tuning."""
    tuning_lr: float = 0.003
    """Adam's learning rate in fine-tuning."""
    drawn_months: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 4.4, 4.6, 4.7)
    """Times of the history that is drawn, in months."""
    drawn_compute: tuple[float, ...] = (1e21, 3e21, 9e21, 2.7e22, 2.8e22, 2.9e22, 2e23)
    """Its effective compute by then, in FLOP; it never shrinks."""

    def check(self) -> None:
        from assay.worlds.modular.primes import prime

        prime(self.p)
        check_limits(self.ratio, self.months)
        if len(self.drawn_months) != len(self.drawn_compute):
            raise SpecError(
                f"Schedule.drawn_months and drawn_compute are one history, got {len(self.drawn_months)} and {len(self.drawn_compute)} rows"
            )
        checked(list(zip(self.drawn_months, self.drawn_compute, strict=True)))
        for name, low in {"steps": schedules.FIRST, "lock": 1, "tuning": 1, "decay": 0}.items():
            if getattr(self, name) < low:
                raise SpecError(f"Schedule.{name} must be at least {low}, got {getattr(self, name)}")
        for name in ("share", "examples", "scant", "turn"):
            if not (0 < getattr(self, name) < 1 or (name == "turn" and self.turn == 1)):
                raise SpecError(f"Schedule.{name} is a share above 0 and below 1, got {getattr(self, name)}")
        if min(self.lr, self.tuning_lr) <= 0:
            raise SpecError(f"Schedule.lr and tuning_lr must be positive, got {self.lr} and {self.tuning_lr}")

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Steps of the checkpoints, four to a doubling."""
        return schedules.checkpoint_steps(self.steps)

    @property
    def trained_on(self) -> int:
        """Pairs in the training set, at least two and not all."""
        total = self.p * (self.p + 1) // 2
        return min(total - 2, max(2, round(self.share * total)))


# --- what is trained ---------------------------------------------------------------------------------------------------


def train(runs, bench):
    """Accuracies at every checkpoint [run step]: of the checkpoint, of the locked one, and of that fine-tuned, also on too few examples.

    Each twice, on two halves of the unseen pairs and, for fine-tuning, with two draws of examples: one is the truth about when
    an ability exists, the other what a schedule gets to see.
    """
    import torch

    from assay.core.fit import Trained
    from assay.worlds.modular import addition as modular
    from assay.worlds.modular.locked import Budget, checkpoints, right, tuned
    from assay.worlds.modular.network import NAMES, Lesson

    s, at, n = runs.shared, runs.shared.checkpoints, runs.shared.trained_on
    sums, order = modular.sums(s.p).expand(len(runs), -1), modular.order(runs.seeds, s.p)
    many = type(runs)([spec for spec in runs.specs for _ in at])  # a run for every checkpoint

    def lesson(labels, order, size, times):
        labels, order = (x.repeat_interleave(times, 0) for x in (labels, order))
        return Lesson(s.p, modular.pairs(s.p), labels, order, np.full(len(order), size))

    noise = modular.random_labels(runs.seeds, s.p)
    wholly = Budget(steps=s.steps, lr=s.lr, decay=s.decay)
    lock, effort = replace(wholly, steps=s.lock), replace(wholly, steps=s.tuning, lr=s.tuning_lr)
    turn = max(1, round(s.turn * s.steps))
    stages = [(sums if s.labels == "sums" else noise, turn), (noise, s.steps - turn)]
    done = checkpoints(runs, [(lesson(y, order, n, 1), replace(wholly, steps=k)) for y, k in stages if k], at, bench)
    kept = {name: done.tensors[f"{name}/at"].flatten(0, 1) for name in NAMES}
    locked = tuned(many, kept, lesson(torch.zeros_like(sums), order, n, len(at)), lock, bench)
    out = {}
    for i, (half, unseen) in enumerate(zip(("truth", "seen"), order[:, n:].tensor_split(2, dim=1), strict=True)):
        examples = order.gather(1, torch.from_numpy(rng.permutation(runs.seeds, "eval-schedule.examples", i, n)))

        def task(share, given=examples):
            return lesson(sums, torch.cat([given, order[:, n:]], 1), max(1, round(share * n)), len(at))

        models = {"open": kept, "locked": locked}
        models |= {name: tuned(many, locked, task(share), effort, bench) for name, share in (("unlocked", s.examples), ("scant", s.scant))}
        for what, params in models.items():
            out[f"{what}_{half}"] = right(params, task(s.examples), unseen.repeat_interleave(len(at), 0)).view(len(runs), len(at))
    return Trained(out, done.header, done.history, done.steps, done.diverged)


def measure(runs, trained, bench):
    accuracies = {name: ("run step", trained.tensors[name], "share of unseen pairs") for name in sorted(trained.tensors)}
    return measures(runs, coords={"step": runs.shared.checkpoints}, power=("run", np.ones(len(runs)), "1"), **accuracies)


# --- schedules, replayed -------------------------------------------------------------------------------------------------


def evaluated(arm, power=None):
    """[start step]: the checkpoints that an arm's schedule evaluates: every ratio^power of compute.

    Power 0 is every checkpoint from the start on, an infinite one the finished model alone.
    """
    power, steps = float(arm.power[0]) if power is None else power, tuple(arm.step.values.tolist())
    if math.isinf(power):
        mask = np.broadcast_to(np.arange(len(steps)) == len(steps) - 1, (STARTS, len(steps)))
    else:
        mask = schedules.replays(steps, max(1 + 1e-9, arm.attrs["ratio"] ** power), arm.attrs["months"])
    return arm.step.copy(data=np.arange(len(steps))).expand_dims(start=STARTS).copy(data=mask)


def first(mask):
    """The first step at which something is true; NaN where it never is. Every step costs the same compute."""
    return mask.step.where(mask).min("step")


def exists(arm, what):
    """[run]: the step from which an ability is there, by the dense evaluations that no schedule sees."""
    return first(arm[f"{what}_truth"] >= EXISTS)


def found(arm, what):
    """[run start]: the step of the first evaluation that sees an ability; NaN where none does."""
    return first(evaluated(arm) & (arm[f"{what}_seen"] >= EXISTS))


def at_once(what):
    """[run]: the share of starting points from which it is found at the first evaluation due after it exists."""

    def value(arm, arms):
        there = exists(arm, what)
        wanted = first(evaluated(arm, 1.0) & (arm.step >= there))
        return (found(arm, what) == wanted).astype(float).mean("start").where(there.notnull())

    return value


def lag(arm, arms):
    """[run]: compute at which the locked ability is found over that at which it exists, a geometric mean over starting points.

    Where it is not found at all it counts as found at twice the compute of the whole training.
    """
    late = found(arm, "unlocked").fillna(2 * float(arm.step[-1])) / exists(arm, "unlocked")
    return np.exp(np.log(late).mean("start", skipna=False))


def warned(arm, arms):
    """[run]: the share of starting points from which an evaluation sees the open ability on its way."""
    on_its_way = (arm.open_seen > ON_ITS_WAY) & (arm.open_seen < EXISTS)
    return (evaluated(arm) & on_its_way).any("step").astype(float).mean("start").where(exists(arm, "open").notnull())


def caught(arm, arms, power=None, what="open"):
    """[run]: the share of starting points from which any evaluation sees an ability."""
    return first(evaluated(arm, power) & (arm[f"{what}_seen"] >= EXISTS)).notnull().astype(float).mean("start").where(exists(arm, what).notnull())


def reached(arm, arms):
    """[run]: accuracy of the finished model, locked, after fine-tuning."""
    return arm.unlocked_seen.isel(step=-1)


def emerged(arm):
    """Whether both abilities come to exist in every run, and neither is there at the first checkpoint."""
    truths = (arm.open_truth, arm.unlocked_truth)
    return all(bool(((x >= EXISTS).any("step") & (x.isel(step=0) < EXISTS)).all()) for x in truths)


def at_power(power, of="main"):
    """A derived arm: an arm's measures under a schedule of every ratio^power."""
    return lambda arms: arms[of].assign(power=arms[of].power * 0 + power)


def seeing(what):
    """A derived arm: main, where evaluations of the locked model see this instead of what fine-tuning brings out."""
    return lambda arms: arms["main"].assign(unlocked_seen=arms["main"][f"{what}_seen"])


# --- figures ---------------------------------------------------------------------------------------------------------------


def figures(arms):
    return [rises(arms), history(arms["main"]), replayed(arms), lags(arms)]


def rises(arms):
    """Mean accuracies against compute, with their intervals."""
    main, rows = arms["main"], []
    told = {"the checkpoint": "open_truth", "locked": "locked_truth", "locked, then fine-tuned": "unlocked_truth"}
    shown = [(what, main[name]) for what, name in told.items()]
    shown.append(("only memorised, locked, fine-tuned", arms["memorising"].unlocked_truth))
    for what, x in shown:
        rows += [(what, int(step), *summary(x.sel(step=step).values)) for step in x.step.values]
    return Figure("An ability appears all at once; a lock hides it, fine-tuning shows it", columns(("model", "step", "mean", "low", "high"), rows),
                  "line", x="step", y="mean", color="model", band=("low", "high"), x_log=True, x_title="training compute, in steps",
                  y_title="accuracy on unseen pairs", rules=((EXISTS, "exists"),))  # fmt: skip


def history(main):
    """Each event of the drawn history, by what is due there; the bar at it ends where compute alone would make it due."""
    ratio, months = main.attrs["ratio"], main.attrs["months"]
    events = list(zip(main.attrs["drawn_months"], main.attrs["drawn_compute"], strict=True))
    at, rows, last = {d.row: d for d in due(events, ratio, months)}, [], events[0][1]
    for k, (t, c) in enumerate(events):
        told = f"due: {' and '.join(at[k].reasons)}{', overdue' if at[k].overdue else ''}" if k in at else "not due"
        rows.append((told, t, c, last, ratio * last))
        last = c if k in at else last
    rows.sort(key=lambda row: "compute" not in row[0])  # the first gets the colour
    return Figure(f"Compute since the last evaluation reaches {ratio:g}×, or {months:g} months have passed",
                  columns(("what", "months", "compute", "low", "high"), rows), "points", x="months", y="compute", color="what",
                  band=("low", "high"), y_log=True, x_title="time in months", y_title="effective compute in FLOP")  # fmt: skip


def replayed(arms):
    """Accuracy after fine-tuning of the first run, with the checkpoints that schedules from one starting point evaluate.

    The first point from which as many of them as can be find the ability at different checkpoints.
    """
    rows, run, names = [], arms["main"].unlocked_seen.isel(run=0), ("closer", "main", "wider")
    finds = np.array([found(arms[name], "unlocked").isel(run=0).fillna(0) for name in names])  # [schedule start]
    start = int(np.argmax([len(set(x)) for x in finds.T]))
    for name in names:
        for step, yes in zip(run.step.values, evaluated(arms[name]).isel(start=start).values, strict=True):
            rows.append((called(arms, name), "evaluated" if yes else "not due", int(step), float(run.sel(step=step))))
    rows.sort(key=lambda row: (row[0], row[1]))
    return Figure(f"What three schedules begun at step {int(run.step[start])} see of one training",
                  columns(("schedule", "checkpoint", "step", "accuracy"), rows), "points",
                  x="step", y="accuracy", color="checkpoint", facet="schedule", x_log=True, x_title="training compute, in steps",
                  y_title="accuracy of the locked model, fine-tuned", rules=((EXISTS, "exists"),))  # fmt: skip


def lags(arms):
    """How late each schedule is, run by run."""
    late = {name: lag(arms[name], {}) for name in ("closer", "main", "wider", "end-only")}
    rows = [(called(arms, name), int(seed), float(x)) for name, values in late.items()
            for seed, x in zip(values.seed.values, values.values, strict=True)]  # fmt: skip
    return Figure("How much compute has grown by the time the locked ability is found", columns(("schedule", "seed", "lag"), rows), "points",
                  x="schedule", y="lag", y_log=True, x_title="evaluated", y_title="compute when found over compute when it exists",
                  rules=((1.0, "at once"),))  # fmt: skip


def called(arms, name):
    """What readers know an arm's schedule by."""
    power = float(arms[name].power[0])
    return "at the end alone" if math.isinf(power) else f"every {arms[name].attrs['ratio'] ** power:.3g}×"


# --- arms and claims ---------------------------------------------------------------------------------------------------------


EMERGED = Gate("emerged", emerged)
SHARE = {"unit": "share of starting points", "bounds": (0, 1), "gates": (EMERGED,), "published": "new"}
SAME_MODEL = dict.fromkeys(("closer", "wider", "dense", "end-only"), "the same finished models, on another schedule")
SAME_RISE = {
    "closer": "the same trainings, seen twice as often", "wider": "the same trainings, seen more rarely",
    "end-only": "the same trainings, seen once", "no-tuning": "the same schedule; open abilities need no fine-tuning",
    "too-few": "the same schedule; open abilities need no fine-tuning",
}  # fmt: skip

experiment = Experiment(
    arms={
        "main": Arm(train, specs=reserved("ratio", "labels", "turn"),
                    note="networks that learn to add, evaluated every 4× with fine-tuning, from 24 starts"),
        "closer": Arm(derive=at_power(0.5), note="main's runs, every 2×"),
        "wider": Arm(derive=at_power(1.5), note="main's runs, every 8×"),
        "dense": Arm(derive=at_power(0.0), note="main's runs, every checkpoint, four to a doubling"),
        "end-only": Arm(derive=at_power(math.inf), note="main's runs, the finished model alone: nothing during training"),
        "no-tuning": Arm(derive=seeing("locked"), note="main's runs and schedule, without fine-tuning"),
        "too-few": Arm(derive=seeing("scant"), note="main's runs and schedule, fine-tuned on a fifth of the examples"),
        "fleeting": Arm(train, specs=changed(turn=0.25), note="main, but random labels from a quarter of training on, which erase what it could"),
        "fleeting-closer": Arm(derive=at_power(0.5, of="fleeting"), note="its runs, every 2×"),
        "fleeting-dense": Arm(derive=at_power(0.0, of="fleeting"), note="its runs, every checkpoint"),
        "memorising": Arm(train, specs=changed(labels="random"),
                          note="main, but random labels throughout, locked and fine-tuned alike: networks that cannot add"),
    },
    measure=measure,
    claims=(
        Claim(
            text="Fine-tuning brings out what is there: the finished model, locked and then fine-tuned, adds at least 0.5 of the unseen pairs",
            value=reached, low=0.5, unit="share of unseen pairs", bounds=(0, 1), must_fail=("too-few", "memorising", "no-tuning"),
            near={"too-few": "the lock is so thin that a few examples of anything undo it"}, also=SAME_MODEL, gates=(EMERGED,),
            threshold_from="plan: the accuracy from which an ability counts as there", published="new", source=POLICY,
        ),
        Claim(
            text="An ability comes without warning: from at most 0.5 of the starting points does an evaluation every 4× see it on its way",
            value=warned, high=0.5, must_fail=("dense",), near={"dense": "nothing of it could be seen at any checkpoint"}, also=SAME_RISE,
            threshold_from="pilot: seeds 0–11, .12 to .25; every checkpoint .88 to .92",
            source="own; on its way is from 0.05 to 0.5 of the unseen pairs", **SHARE,
        ),
        Claim(
            text="An ability that passes is missed: every 4×, one that random labels erase after a quarter of training is found from at most "
            "0.75 of the starting points",
            of="fleeting", value=caught, high=0.75, must_fail=("fleeting-closer", "fleeting-dense", "main"),
            near={"fleeting-closer": "it is gone too soon for any schedule"},
            threshold_from="pilot: seeds 0–11, .38 to .50; every 2× 1", source=POLICY, **SHARE,
        ),
        Exact(
            text="Four histories worked out by hand: the rows at which an evaluation is due",
            value=lambda arms: [d.row for events, _ in schedules.BY_HAND for d in due(events)[1:]],
            expected=[row for _, rows in schedules.BY_HAND for row in rows], tolerance=0.0, unit="row", source="definition",
        ),
        Exact(
            text="Months by which time had run out at 4.4 months in the last of them, and compute over the anchor at 1 and 4.7 months",
            value=lambda arms: [getattr(d, name) for d, name in zip(due(schedules.BY_HAND[3][0])[1:], ("growth", "overdue", "growth"), strict=True)],
            expected=[9.0, 0.4, 200 / 28], tolerance=1e-9, unit="×, months, ×", source="arithmetic: 9, 4.4 − 1 − 3, 200/28",
        ),
        Exact(
            text="Coverage of random histories: share by which growth or time between evaluations exceeds the limit and one event's spacing",
            value=lambda arms: schedules.uncovered(arms["main"].seed.values, arms["main"].attrs["ratio"], arms["main"].attrs["months"]),
            expected=0.0, tolerance=1e-9, source="the event before a due one was not due",
        ),
        Exact(
            text="Growth between evaluations in a year, compute doubling every month: as due, every 3 months alone, at the end alone; and, compute "
            "growing fourfold: as due, every 3 months alone",
            value=lambda arms: [coverage(YEAR[name], rows)[0] for name, rows in (
                ("doubling", rows_due(YEAR["doubling"])), ("doubling", rows_due(YEAR["doubling"], math.inf)), ("doubling", [12]),
                ("fourfold", rows_due(YEAR["fourfold"])), ("fourfold", rows_due(YEAR["fourfold"], math.inf)))],
            expected=[4.0, 8.0, 4096.0, 4.0, 64.0], tolerance=1e-9, unit="×", source="arithmetic",
        ),
        Exact(
            text="Months between evaluations in a year of flat compute: as due, by 4× alone",
            value=lambda arms: [coverage(YEAR["flat"], rows_due(YEAR["flat"], months=limit))[1] for limit in (3.0, math.inf)],
            expected=[3.0, 12.0], tolerance=1e-9, unit="months", source="arithmetic",
        ),
        Exact(
            text="An ability that stays is found r^((d − 1)/2d) times later in geometric mean, at r = 2, 4, 8 with d checkpoints to r",
            value=lambda arms: [schedules.planted_lag(r) for r in (2.0, 4.0, 8.0)],
            expected=[2 ** (3 / 8), 4 ** (7 / 16), 8 ** (11 / 24)], tolerance=0.02, unit="×",
            source="arithmetic, starting points spread evenly; steps are whole numbers, which leaves up to 1 %",
        ),
        *(
            Finding(text=f"Every 4×: share of starting points from which {told} is found at the first evaluation due after it exists",
                    value=lambda arms, what=what: at_once(what)(arms["main"], {}), unit="share of starting points", published="new", source=POLICY)
            for what, told in {"open": "the open ability", "unlocked": "the locked one, fine-tuned,"}.items()
        ),
        *(
            Finding(text=f"{told}: compute when the locked ability is found over compute when it exists",
                    value=lambda arms, name=name: lag(arms[name], {}), unit="×", published="new", source=POLICY)
            for name, told in {"main": "Every 4×", "closer": "Every 2×", "wider": "Every 8×", "end-only": "The finished model alone"}.items()
        ),
        *(
            Finding(text=f"{told}: share of starting points from which the ability that passes is found",
                    value=lambda arms, how=how: caught(arms["fleeting"], {}, *how), unit="share of starting points", published="new", source=POLICY)
            for told, how in {"Every 8×": (1.5,), "Every 4×, with a lock and fine-tuning": (1.0, "unlocked")}.items()
        ),
    ),
    figures=figures,
    scope="networks of 64 hidden units that learn to add mod 31 from 0.7 of all pairs; a lock of ten steps; a training of 4,096 steps",
    seeds_per_group=4,
    version=2,  # fine-tuned on too few examples as well
    smoke=grid(Schedule(steps=128), seed=range(2)),
    default=grid(Schedule(), seed=range(3000, 3024)),
    full=grid(Schedule(p=97, steps=65_536, share=0.4, lr=1e-3, decay=1e-4), seed=range(3000, 3012)),
)  # fmt: skip
