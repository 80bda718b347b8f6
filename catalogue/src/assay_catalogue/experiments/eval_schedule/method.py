"""The method of eval-schedule: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from assay.core import Spec
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.train import rng
from assay_catalogue.analysis.evaluations import check_limits, checked
from assay_catalogue.worlds.modular import addition as modular
from assay_catalogue.worlds.modular import replays as schedules
from assay_catalogue.worlds.modular.addition import prime
from assay_catalogue.worlds.modular.locked import Budget, checkpoints, right, tuned
from assay_catalogue.worlds.modular.network import NAMES, Lesson


@dataclass(frozen=True, kw_only=True)
class Schedule(Spec):
    ratio: float = 4.0
    """An evaluation is due when effective compute is this many times that of the last one; arms
    have 2 and 8."""
    months: float = 3.0
    """It is due after so many months as well; no training here takes that long, the made-up
    histories do."""
    p: int = 31
    """Modulus of the addition that is learned, a prime."""
    share: Annotated[float, Gt(0), Lt(1)] = 0.7
    """Share of the pairs of residues that is trained on; the rest is what abilities are measured
    on."""
    steps: Annotated[int, Ge(schedules.FIRST)] = 4_096
    """Full-batch training steps."""
    lr: Annotated[float, Gt(0)] = 0.01
    """Adam's learning rate, of the lock as well."""
    decay: Annotated[float, Ge(0)] = 3e-5
    """w of the loss's (w/2)‖θ‖²."""
    labels: Literal["sums", "random"] = "sums"
    """What is learned: a + b mod p, or random labels, which can only be memorised."""
    turn: Annotated[float, Gt(0), Le(1)] = 1.0
    """Share of the steps after which training goes on with random labels, which erases what was
    learned; 1: it does not."""
    lock: Annotated[int, Ge(1)] = 10
    """Steps of training to answer 0 to everything, after which a checkpoint counts as locked."""
    examples: Annotated[float, Gt(0), Lt(1)] = 0.5
    """Share of the training pairs that fine-tuning may use: the declared budget, with the two
    below."""
    scant: Annotated[float, Gt(0), Lt(1)] = 0.1
    """Measure that share where a control has too few."""
    tuning: Annotated[int, Ge(1)] = 40
    """Steps of fine-tuning."""
    tuning_lr: Annotated[float, Gt(0)] = 0.003
    """Adam's learning rate in fine-tuning."""
    drawn_months: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 4.4, 4.6, 4.7)
    """Times of the history that is drawn, in months."""
    drawn_compute: tuple[float, ...] = (1e21, 3e21, 9e21, 2.7e22, 2.8e22, 2.9e22, 2e23)
    """Its effective compute by then, in FLOP; it never shrinks."""

    def check(self) -> None:
        prime(self.p)
        check_limits(self.ratio, self.months)
        if len(self.drawn_months) != len(self.drawn_compute):
            raise SpecError(
                "Schedule.drawn_months and drawn_compute are one history, got "
                f"{len(self.drawn_months)} and {len(self.drawn_compute)} rows"
            )
        checked(list(zip(self.drawn_months, self.drawn_compute, strict=True)))

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Steps of the checkpoints, four to a doubling."""
        return schedules.checkpoint_steps(self.steps)

    @property
    def trained_on(self) -> int:
        """Pairs in the training set, at least two and not all."""
        total = self.p * (self.p + 1) // 2
        return min(total - 2, max(2, round(self.share * total)))


def train(runs: Runs[Schedule], bench: Bench) -> Trained:
    """Accuracies at every checkpoint [run step]: of the checkpoint, of the locked one, and of that
    fine-tuned, also on too few examples.

    Each twice, on two halves of the unseen pairs and, for fine-tuning, with two draws of examples:
    one is the truth about when an ability exists, the other what a schedule gets to see.
    """

    s, probe_steps, n = runs.shared, runs.shared.checkpoints, runs.shared.trained_on
    sums, order = modular.sums(s.p).expand(len(runs), -1), modular.order(runs.seeds, s.p)
    many = type(runs)(
        [spec for spec in runs.specs for _ in probe_steps]
    )  # a run for every checkpoint

    def lesson(labels: torch.Tensor, order: torch.Tensor, size: int, times: int) -> Lesson:
        labels, order = (x.repeat_interleave(times, 0) for x in (labels, order))
        return Lesson(s.p, modular.pairs(s.p), labels, order, np.full(len(order), size))

    noise = modular.random_labels(runs.seeds, s.p)
    wholly = Budget(steps=s.steps, lr=s.lr, decay=s.decay)
    lock, effort = replace(wholly, steps=s.lock), replace(wholly, steps=s.tuning, lr=s.tuning_lr)
    turn = max(1, round(s.turn * s.steps))
    stages = [(sums if s.labels == "sums" else noise, turn), (noise, s.steps - turn)]
    trained = checkpoints(
        runs,
        [(lesson(y, order, n, 1), replace(wholly, steps=k)) for y, k in stages if k],
        probe_steps,
        bench,
    )
    weights = {name: trained.tensors[f"{name}/at"].flatten(0, 1) for name in NAMES}
    locked = tuned(
        many, weights, lesson(torch.zeros_like(sums), order, n, len(probe_steps)), lock, bench
    )
    out = {}
    for i, (half, unseen) in enumerate(
        zip(("truth", "seen"), order[:, n:].tensor_split(2, dim=1), strict=True)
    ):
        examples = order.gather(
            1, torch.from_numpy(rng.permutation(runs.seeds, "eval-schedule.examples", i, n))
        )

        def task(share: float, examples: torch.Tensor = examples) -> Lesson:
            pairs = torch.cat([examples, order[:, n:]], 1)
            return lesson(sums, pairs, max(1, round(share * n)), len(probe_steps))

        models = {"open": weights, "locked": locked}
        models |= {
            name: tuned(many, locked, task(share), effort, bench)
            for name, share in (("unlocked", s.examples), ("scant", s.scant))
        }
        for what, params in models.items():
            out[f"{what}_{half}"] = right(
                params, task(s.examples), unseen.repeat_interleave(len(probe_steps), 0)
            ).view(len(runs), len(probe_steps))
    return Trained(out, trained.header, trained.history, trained.steps, trained.diverged)


def measure(runs: Runs[Schedule], trained: Trained, bench: Bench) -> xr.Dataset:
    accuracies = {
        name: ("run step", trained.tensors[name], "share of unseen pairs")
        for name in sorted(trained.tensors)
    }
    return measures(
        runs,
        coords={"step": runs.shared.checkpoints},
        power=("run", np.ones(len(runs)), "1"),
        **accuracies,
    )
