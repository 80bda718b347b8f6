"""Every architecture that is trained, each with a penalty at which about two features are on, and
where they are tried."""

from dataclasses import dataclass

import numpy as np

from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid
from assay.dictionaries.gates import Gated, GatedShift, GatedSigmoid, GatedUntied, ScaledReLU
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import BatchTopK, GroupMax, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.dead import Resample
from assay.dictionaries.training.learners import TargetL0
from assay.dictionaries.training.train import Method


@dataclass(frozen=True, kw_only=True)
class Sweep(Spec):
    penalty: PerRun[float] = 0.1


D, TRUE, WIDTH, K = 16, 24, 24, 2
TOP = {"betas": (0.9, 0.999), "encoder_scale": 1.0}
# nonlinearity, loss, λ at which about K features are on, fields of Method
ALL = {
    "relu": (ReLU(), losses.l1, 0.2, {}),
    "relu_weighted": (ReLU(), losses.l1_weighted, 0.2, {"decoder": "free"}),
    "gated": (Gated(), losses.gated, 0.3, {}),
    "gated_no_aux": (Gated(), losses.gated_no_aux, 0.05, {}),
    "gated_sigmoid": (GatedSigmoid(), losses.gated_sigmoid, 0.3, {}),
    "gated_sigmoid_relu": (GatedSigmoid(), losses.gated_no_aux, 0.05, {}),
    "gated_no_heaviside": (ScaledReLU(), losses.gated, 0.4, {}),
    "gated_unfrozen_aux": (Gated(), losses.gated_unfrozen_aux, 0.3, {}),
    "gated_untied": (GatedUntied(), losses.gated, 0.3, {}),
    "gated_no_rmag": (GatedShift(), losses.gated, 0.3, {}),
    "topk": (TopK(K), losses.mse, 0.0, TOP),
    "topk_aux": (TopK(K), losses.TopKAux(dead_after=2000), 0.0, TOP),
    "groupmax": (GroupMax(K), losses.mse, 0.0, TOP),
    "batchtopk": (BatchTopK(K), losses.mse, 0.0, TOP),
    "batchtopk_aux": (BatchTopK(K), losses.TopKAux(dead_after=2000), 0.0, TOP),
    "matryoshka": (BatchTopK(K), losses.Matryoshka((6, 12, WIDTH), dead_after=2000), 0.0, TOP),
    "jumprelu": (JumpReLU(0.1, 0.1), losses.jumprelu, 0.03, {"betas": (0.9, 0.999)}),
    "target_l0": (ReLU(), losses.l1, 0.1, {"sparsity": TargetL0(float(K))}),
    "resample": (ReLU(), losses.l1, 0.2, {"dead": Resample(at=(12, 30), exempt=0.5, warm_up=5)}),
    "untied_start": (Gated(), losses.gated, 0.3, {"tied_start": False}),
}
RUNS = Runs(grid(Sweep(), penalty=(0.5, 1.0), seed=(1, 2)))


def method(name, runs=RUNS, lr=4e-3):
    nonlinearity, loss, penalty, fields = ALL[name]
    fields = {"warm_up": 10, **fields}
    return Method(
        nonlinearity, loss, WIDTH, np.full(len(runs), lr), penalty * runs.each("penalty"), **fields
    )
