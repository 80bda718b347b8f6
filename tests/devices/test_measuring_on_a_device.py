"""Every measure of dictionaries gives the same numbers for tensors on a device as for the same ones
on the CPU."""

import numpy as np
import pytest
import torch

from assay.ask.measure import bases
from assay.dictionaries.baselines import directions, repair
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats.opening import load
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.measuring import ablation, metrics, rarity, recovery, redundancy, sums
from assay.dictionaries.nonlinearity import ReLU, Rescaled, known
from assay.dictionaries.selection import AbsTopK, TopK
from assay.dictionaries.training import train
from assay.features import kernel_probe
from assay.train import rng

B, D, F, DOCUMENTS = 40, 8, 12, 4


def drawn(name, *shape):
    return torch.from_numpy(rng.normal(np.array([7]), name, 0, shape)[0])


X = drawn("x", B, D)
GUESS = drawn("guess", B, D)
CODES = drawn("codes", B, F).relu()
OTHER = drawn("other", B, F).relu()
ROWS = train.unit_rows(drawn("rows", 1, F, D))[0]
TRUE = drawn("true", 6, D)
MEAN = drawn("mean", D)
DOCUMENT = torch.arange(B) % DOCUMENTS


def dictionary(nonlinearity, where="cpu", runs=2):
    own = {name: drawn(name, runs, D, F) for name in getattr(nonlinearity, "encoders", ())}
    own |= {
        name: x + 0.05 * drawn(f"own.{name}", *x.shape).abs()
        for name, x in nonlinearity.init(runs, F).items()
    }
    parts = [
        drawn("W_enc", runs, D, F),
        0.1 * drawn("b_enc", runs, F),
        drawn("W_dec", runs, F, D),
        0.1 * drawn("b_dec", runs, D),
    ]
    return Dictionary(*parts, nonlinearity, own).to(where)


def of(nonlinearity):
    return lambda d: dictionary(nonlinearity, d)


ASKED = {"JumpReLU": JumpReLU(0.3, 0.1), "Rescaled": Rescaled(ReLU())}
NONLINEARITIES = {
    kind: ASKED.get(kind) or (make(3) if kind.endswith(("K", "Max")) else make())
    for kind, make in known().items()
}


GRAM = drawn("p", 2, 12, 5) @ drawn("p", 2, 12, 5).mT
CASES = {
    "l0": lambda d: metrics.l0(CODES.to(d)),
    "fvu": lambda d: metrics.fvu(X.to(d), GUESS.to(d)),
    "shrinkage": lambda d: [
        f(X.to(d), GUESS.to(d), MEAN.to(d)) for f in (metrics.shrinkage, metrics.norm_ratio)
    ],
    "density": lambda d: [metrics.density(CODES.to(d)), metrics.dead(CODES.to(d))],
    "recovered": lambda d: [
        metrics.ce_recovered(*X.to(d)[:3].abs()),
        metrics.kl_recovered(*X.to(d)[:2].abs()),
    ],
    "document sums": lambda d: [
        metrics.finish(sums.document_sums(of(n)(d), X.to(d), DOCUMENT, DOCUMENTS, MEAN, -MEAN))
        for n in (ReLU(), TopK(3), AbsTopK(3))
    ],
    "sums of rows of the CPU": lambda d: sums.document_sums(
        of(ReLU())(d), X.numpy(), DOCUMENT.numpy(), DOCUMENTS, MEAN.numpy()
    ),
    "densities": lambda d: [rarity.density_classes(CODES.to(d).sum(0), 1e4)],
    "recovery": lambda d: [
        f(TRUE.to(d), ROWS.to(d)) for f in (recovery.cosines, recovery.mcc, recovery.mcc_matched)
    ],
    "directions of arrays": lambda d: [
        recovery.mcc(TRUE.numpy(), ROWS.to(d)),
        recovery.cosines(TRUE.to(d), ROWS.numpy()),
    ],
    "support": lambda d: recovery.support(
        recovery.support_sums(CODES.to(d)[:, :6], OTHER.to(d)), np.arange(6)
    ),
    "covariance": lambda d: bases.covariance(X.to(d)),
    "redundancy": lambda d: [
        f(ROWS.to(d)) for f in (redundancy.nearest_cosine, redundancy.effective_dimensions)
    ],
    "positions that count": lambda d: [
        sums.select_positions(X.to(d)[None], X.to(d)[None], (2.0, 3.0), 1),
        sums.outlier_limit(X.to(d), 1.2),
    ],
    "losses": lambda d: ablation.nats(X.to(d), GUESS.to(d), (torch.arange(B) % D).to(d)),
    "principal components": lambda d: [
        one.reconstruct(X.to(d)) for one in directions.pca(X.to(d), 2, 3)
    ],
    "repairs": lambda d: [
        f(of(ReLU())(d), X.to(d), pull=1.0).reconstruct(X.to(d))
        for f in (repair.rescale_and_shift, repair.refit_decoder)
    ],
    "shrunk": lambda d: repair.shrunk(of(ReLU())(d), 0.5).reconstruct(X.to(d)),
    "regressions": lambda d: kernel_probe.logistic(
        GRAM.to(d), (drawn("label", 2, 12) > 0).to(d), (0.1, 1.0)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_measure_is_the_same(name, device, near):
    near(CASES[name](device), CASES[name]("cpu"), 1e-4)


@pytest.mark.parametrize("kind", NONLINEARITIES)
def test_every_kind_reads_and_writes(kind, device, near, tmp_path):
    def told(where):
        one = dictionary(NONLINEARITIES[kind], where)
        return (
            one.encode(X.to(where)),
            one.reconstruct(X.to(where)),
            one[0].normalised.encode(X.to(where)),
            one.to_trained().tensors,
        )

    near(told(device), told("cpu"))
    dictionary(NONLINEARITIES[kind], device).save(tmp_path / "saved.safetensors")
    near(
        load(tmp_path / "saved.safetensors").tensors(),
        dictionary(NONLINEARITIES[kind]).tensors(),
        0,
    )
