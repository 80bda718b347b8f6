"""What explains a feature: the text before it, or what it makes likelier next?

Paper: Bills et al. 2023; Paulo et al. 2024; Gur-Arieh et al. 2025: explanations by language models, of larger models
Claim: on a token-in-context feature's token, its promoted tokens tell its firing better than what came before: AUROC + .02
Baselines: other features' explanations, commonest next tokens, neurons, random directions, an untrained model, an untrained dictionary
Cost: 150 s on 2 cores, 280 CPU-seconds, 1.3 GB a process; full a guess of 30 GPU-hours, never run
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.core import Arm, Arms, Derive, Experiment, grid, variant
from assay.experiments.autointerp_io.claims import CLAIMS
from assay.experiments.autointerp_io.figures import figures
from assay.experiments.autointerp_io.method import cost, inputs, measure, train
from assay.experiments.autointerp_io.setting import InputsOutputs

if TYPE_CHECKING:
    import xarray as xr


def instead(**measured: str) -> Derive:
    """A control made from main's measures: some of them in the place of others, and nothing else."""

    def derive(arms: Arms) -> xr.Dataset:
        data = arms["main"]
        named = {name: data[other].rename() for name, other in measured.items()}
        return data.assign(named)[[*named, *(["diverged"] if "diverged" in data else [])]]

    return derive


ARMS = {
    "main": Arm(train, note="a one-block model per seed, and a TopK dictionary of its MLP's activations"),
    "half": Arm(train, specs=variant(seeds=3, times={"steps": 0.5}, reference=False), note="the dictionary trained half as long, with its own decay"),
    "untrained": Arm(train, specs=variant(model_steps=1, reference=False), note="the same of models after one warm-up step: as they were drawn"),
    "start": Arm(train, specs=variant(steps=1, reference=False), note="a dictionary as it was drawn: the largest of random directions"),
    "other-promoted": Arm(derive=instead(given_in="given_in", given_out="given_other"), note="what another such feature promotes"),
    "common-next": Arm(derive=instead(given_in="given_in", given_out="given_common"), note="the 10 commonest tokens after it"),
    "hindsight": Arm(derive=instead(given_in="given_in", given_out="given_hindsight"),
                     note="the 10 following tokens that told firings best on the text that was explained"),
    "planted-output": Arm(derive=instead(given_in="planted_in", given_out="planted_out"),
                          note="planted: fires on .9 of its token where certain tokens come next, else on .05"),
    "planted-input": Arm(derive=instead(given_in="marked_in", given_out="marked_out"),
                         note="planted: fires on .9 of its token where certain tokens stand before it, else on .05"),
    "permuted-next": Arm(derive=instead(both="permuted", auroc="auroc"), note="what comes next, dealt out anew among positions"),
    "shuffled": Arm(derive=instead(detection="shuffled", detection_out="shuffled_out", lineup_in="shuffled_lineup_in",
                                   lineup_out="shuffled_lineup_out"), note="explanations of other features"),
    "directions": Arm(derive=instead(detection="direction", neuron="neuron"), note="random directions in the place of features"),
    "directions-again": Arm(derive=instead(detection="again", direction="direction"), note="other random directions in the place of features"),
    "own-rules": Arm(derive=instead(shuffled="detection"), note="each feature's own rule in the place of another's"),
}  # fmt: skip
SMALL = InputsOutputs(model_steps=20, d=16, m=32, width=64, k=4, windows=60, tested=60, steps=20, batch=128, features=6, pairs=4, firings=5)
experiment = Experiment(
    arms=ARMS, measure=measure, claims=CLAIMS, figures=figures, inputs=inputs, cost=cost, seeds_per_group=1,
    scope="dictionaries of one-block GELU models of width 64 that Assay trains on Python's standard library; rules learned without a language model",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(InputsOutputs(), seed=range(16000, 16008)),
    full=grid(InputsOutputs(d=128, m=512, model_steps=100_000, width=4096, k=32, windows=150_000, tested=30_000, batch=8192, steps=100_000, lr=4e-3,
                            features=500, pairs=500), seed=range(16000, 16008)),
)  # fmt: skip
