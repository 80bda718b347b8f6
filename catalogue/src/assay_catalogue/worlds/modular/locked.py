"""Checkpoints of networks that learn to add; each may be locked, so that it answers 0, and then
fine-tuned on a few right answers.

What a lock hides a little fine-tuning brings back, on pairs that were never shown; what was not
learned it does not teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained, fit, watched
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay_catalogue.worlds.modular import network
from assay_catalogue.worlds.modular.network import NAMES, Lesson


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A declared amount of full-batch training: how many steps, Adam's rate, and w of the loss's
    (w/2)‖θ‖²."""

    steps: int
    lr: float
    decay: float

    def __post_init__(self) -> None:
        if self.steps < 1 or self.lr <= 0 or self.decay < 0:
            raise SpecError(
                f"a budget needs steps and lr above 0 and decay of at least 0, got {self}"
            )


Stage = tuple[Lesson, Budget]


def checkpoints(
    runs: Runs, stages: Sequence[Stage], probe_steps: Sequence[int], bench: Bench
) -> Trained:
    """Networks trained on one lesson after the other; E/at, W1/at and W2/at [run moment, …] are as
    they were after the steps `probe_steps`.

    Steps count on from stage to stage, each with an Adam of its own.
    """
    params: Mapping[str, torch.Tensor] = network.start(runs.seeds, stages[0][0].p)
    parts: list[Trained] = []
    before = 0
    for lesson, budget in stages:
        stage_steps = [
            step - before for step in probe_steps if before < step <= before + budget.steps
        ]
        rates, decays = np.full(len(runs), budget.lr), np.full(len(runs), budget.decay)
        group = watched(
            network.descent(runs, params, lesson, lr=rates, decay=decays), NAMES, stage_steps
        )
        part = fit(
            [group], lambda step: None, steps=budget.steps, probe_at=stage_steps, bench=bench
        )[0]
        parts.append(replace(part, steps=part.steps + before))
        params, before = part.tensors, before + budget.steps
    snapshots = {
        f"{n}/at": torch.cat([t.tensors[f"{n}/at"] for t in parts if f"{n}/at" in t.tensors], 1)
        for n in NAMES
    }
    return Trained(
        tensors={n: parts[-1].tensors[n] for n in NAMES} | snapshots,
        header=parts[-1].header,
        history={"loss": np.concatenate([t.history["loss"] for t in parts], 1)},
        steps=np.concatenate([t.steps for t in parts]),
        diverged=np.any([t.diverged for t in parts], axis=0),
    )


def tuned(
    runs: Runs, params: Mapping[str, torch.Tensor], lesson: Lesson, budget: Budget, bench: Bench
) -> dict[str, torch.Tensor]:
    """Train networks further on another lesson, as far as the budget goes; what is given stays as
    it is."""
    rates = np.full(len(runs), budget.lr)
    trained = network.train(
        runs,
        params,
        lesson,
        steps=budget.steps,
        lr=rates,
        decay=np.full(len(runs), budget.decay),
        bench=bench,
    )
    return {n: trained.tensors[n] for n in NAMES}


def right(
    params: Mapping[str, torch.Tensor], lesson: Lesson, which: Int[torch.Tensor, "run some"]
) -> Float[torch.Tensor, " run"]:
    """Share of the pairs `which` to which each run gives the lesson's label. Range: 0 to 1. Better:
    higher."""
    device = params["E"].device
    hits = network.logits(params, lesson.pairs.to(device)).argmax(-1) == lesson.labels.to(device)
    return hits.gather(1, which.to(device)).double().mean(1)
