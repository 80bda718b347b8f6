"""Every measure, small model and training of the catalogue gives the same numbers for tensors on a
device as for the same ones on the CPU."""

import numpy as np
import pytest
import torch

import tiny_models
from assay.core.fit import fit
from assay.core.runs import Runs
from assay.core.spec import Spec, grid
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training import losses, train
from assay.dictionaries.training.train import Method
from assay.subjects import decoder
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay.train import rng
from assay_catalogue.analysis import readout as ro
from assay_catalogue.analysis.langevin import langevin
from assay_catalogue.dictionaries import cell_measures, linear_effects, path_shares
from assay_catalogue.dictionaries.cross_layer import CrossLayer
from assay_catalogue.dictionaries.dynamics import pulls
from assay_catalogue.dictionaries.endtoend import fit_end_to_end
from assay_catalogue.features import circuits, linear_probe, probing
from assay_catalogue.subjects import mamba, path_probes, unread
from assay_catalogue.subjects.parts import parts, run_by_parts

B, D, F, DOCUMENTS = 40, 8, 12, 4


def drawn(name, *shape):
    return torch.from_numpy(rng.normal(np.array([7]), name, 0, shape)[0])


X = drawn("x", B, D)
GUESS = drawn("guess", B, D)
CODES = drawn("codes", B, F).relu()
ROWS = train.unit_rows(drawn("rows", 1, F, D))[0]
TRUE = drawn("true", 6, D)
DOCUMENT = torch.arange(B) % DOCUMENTS
LATENTS = torch.tensor([1, 4, 5])
TWO = Runs(grid(Spec(), seed=(1, 2)))
TOKENS = torch.from_numpy(rng.integers(np.array([2]), "tokens", 0, (4, 9), 250)[0])
WIDTH = 24


def params(d):
    return {
        "W_enc": drawn("W_enc", D, F).to(d),
        "b_enc": 0.1 * drawn("b_enc", F).to(d),
        "W_dec": drawn("W_dec", F, D).to(d),
        "b_dec": 0.1 * drawn("b_dec", D).to(d),
    }


def dictionary(d):
    return Dictionary(
        *(params(d)[name][None] for name in ("W_enc", "b_enc", "W_dec", "b_dec")), ReLU()
    )


def readout(d):
    parts = (drawn("W_out", F, D), drawn("b_out", D), 1 + 0.1 * drawn("gain", D).abs())
    return ro.Readout(*(x.to(d) for x in parts), True, 1e-5, ro.gram(drawn("U", 30, D)).to(d))


CASES = {
    "errors of cells": lambda d: [
        cell_measures.errors(makes, GUESS.to(d), readout(d), X.to(d))
        for makes in ("update", "logit")
    ],
    "agreement of cells": lambda d: [
        cell_measures.agreement(ROWS.to(d), TRUE.to(d), CODES.to(d)[0]),
        cell_measures.like_rows(ROWS.to(d), 3),
        cell_measures.by_document(X.to(d), DOCUMENT, DOCUMENTS),
        cell_measures.binned(X.to(d)[:, 0].abs(), DOCUMENT, DOCUMENTS),
    ],
    "what nothing reads": lambda d: cell_measures.spent(
        CODES.to(d), drawn("hidden", F, F).to(d), readout(d).null, DOCUMENT, DOCUMENTS
    ),
    "linear errors": lambda d: cell_measures.linear_errors(GUESS.to(d), X.to(d), readout(d)),
    "effects of parts": lambda d: {
        name: values
        for name, (_, values, _) in linear_effects.effect_errors(
            0.1 * GUESS.to(d), torch.arange(B), X.to(d), readout(d), DOCUMENT, DOCUMENTS, 0
        ).items()
    },
    "principal parts": lambda d: linear_effects.principal_parts(X.to(d), 3)[0].abs().sum(0),
    "paths": lambda d: path_shares.effect_sums(
        CODES.to(d),
        ROWS.to(d),
        [{"direct": X.to(d), "indirect": GUESS.to(d)}],
        path_shares.halves(CODES.to(d)[0], 0),
        DOCUMENT,
        DOCUMENTS,
    ),
    "pulls": lambda d: pulls.pulls(params(d), X.to(d), LATENTS, 0.1),
    "ablations": lambda d: [pulls.ablate(params(d), X.to(d), LATENTS), pulls.alignment(ROWS.to(d))],
    "ridge regression": lambda d: linear_probe.out_of_fold(
        drawn("run", 2, 30, 5).to(d), drawn("y", 30, 2).to(d), np.arange(30) % 10, 5
    ),
    "probes of one feature": lambda d: probing.one_feature(
        dictionary(d),
        probing.Rows(X.to(d), np.arange(B) % 3 == 0, DOCUMENT.numpy()),
        GUESS.to(d),
    ),
    "random directions": lambda d: probing.random_directions(X.to(d), F, 0.1).encode(X.to(d)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_measure_is_the_same(name, device, near):
    near(CASES[name](device), CASES[name]("cpu"), 1e-4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("models") / "llama", "llama", bos_token_id=3)


READ = {
    "a readout": lambda m, d: ro.readout(m, 1).gram,
    "what is not read": lambda m, d: unread.unread(m, TOKENS.numpy(), np.array([0, 0, 1, 1])),
    "pulls by paths": lambda m, d: path_probes.probe(m, TOKENS, [0, 1], ro.readout(m, 1), 0, 0),
    "parts taken out": lambda m, d: path_probes.ablated(
        m,
        1,
        TOKENS,
        drawn("resid", 4, 9, WIDTH),
        drawn("part", 4, WIDTH),
        torch.arange(4),
        ro.readout(m, 1),
    ),
}


@pytest.mark.parametrize("what", READ)
def test_a_model_is_read_alike(what, folder, device, near):
    near(READ[what](load(str(folder), device), device), READ[what](load(str(folder)), "cpu"), 1e-3)


def test_small_decoders_and_their_parts(device, near):
    shape = decoder.Shape(layers=2, d=8, heads=2, m=12, context=9, vocab=250)
    params = {
        name: 0.3 * drawn(name, 2, *size) + (1 if name.startswith("gain") else 0)
        for name, size in shape.parameters().items()
    }

    def told(where):
        here = {name: x.to(where) for name, x in params.items()}
        text = circuits.read(here, TOKENS, "relu")
        mask = (drawn("mask", 2, len(circuits.kinds(here))) > 0).float().to(where)
        changed = run_by_parts(here, TOKENS, written={parts(here)[1]: lambda x: 0 * x})
        return [
            decoder.forward(here, TOKENS),
            decoder.next_token_loss(here, TOKENS, "relu"),
            changed.logits,
            changed.patterns,
            circuits.divergence(here, text, mask, "relu"),
            circuits.pruned(here, text, [4, 9], "relu"),
        ]

    near(told(device), told("cpu"), 1e-4)


def test_small_mambas_at_every_site(device, near):
    shape = mamba.Shape(layers=2, d=8, channels=12, state=3, rank=2, vocab=250)
    params = {
        name: 0.3 * drawn(name, 2, *size) + (1 if name.startswith("gain") else 0)
        for name, size in shape.parameters().items()
    }

    def told(where):
        here = {name: x.to(where).requires_grad_() for name, x in params.items()}
        sites = [
            Site(kind, 1)
            for kind in (
                "resid_pre",
                "in_proj",
                "conv",
                "delta",
                "B",
                "C",
                "write",
                "state",
                "ssm_out",
                "gated",
            )
        ]
        logits, acts = mamba.forward(
            here, TOKENS, capture=sites, edits={Site("conv", 0): lambda x: 1.1 * x}
        )
        return (
            logits,
            list(acts.values()),
            torch.autograd.grad(logits.square().mean(), list(here.values())),
        )

    near(told(device), told("cpu"), 1e-3)


def told(trained):
    return [(one.tensors, one.history) for one in trained]


def test_transcoders_across_layers(device, near):
    shapes = {
        "W_enc": (2, D, 8),
        "b_enc": (2, 8),
        "W_dec": (2, 2, 8, D),
        "b_dec": (2, D),
        "x": (2, 20, D),
        "y": (2, 20, D),
    }
    drawn = {
        name: torch.from_numpy(rng.normal(np.array([1, 2]), f"layers.{name}", 0, shape)) * 0.3
        for name, shape in shapes.items()
    }

    def step(where):
        params = {name: x.to(where).requires_grad_(name not in "xy") for name, x in drawn.items()}
        x, y = params.pop("x"), params.pop("y")
        out = [
            CrossLayer(reach)(params, x, y, torch.tensor([0.1, 0.2], device=where))
            for reach in ("later", "own")
        ]
        return out, torch.autograd.grad(sum(o.sum() for o in out), list(params.values()))

    near(step(device), step("cpu"), 1e-4)


def test_training_through_a_model(folder, device, bench_on, near):
    def windows(step):
        tokens = torch.from_numpy(rng.integers(np.array([3]), "windows", step, (4, 8), 250)[0])
        return tokens, torch.arange(8).expand(4, 8) > 0

    def trained(where):
        model = load(str(folder), where)
        groups = [
            (
                TWO,
                Method(
                    ReLU(),
                    losses.l1,
                    40,
                    np.full(2, 4e-3),
                    np.array([0.02, 0.2]),
                    warm_up=2,
                ),
            )
        ]
        return fit_end_to_end(
            groups,
            model,
            Site("resid_pre", 1),
            windows,
            steps=4,
            bench=bench_on(where),
            mean=torch.zeros(model.width(Site("resid_pre", 1))),
            scale=0.5,
            later=0.5,
        )

    found = trained(device)
    assert all(x.device.type == device.type for one in found for x in one.tensors.values())
    near(told(found), told(trained("cpu")), 1e-3)


def test_chains(device, bench_on, near):
    def sampled(where):
        state = {"w": torch.zeros(2, 3, dtype=torch.float64)}
        made = langevin(
            lambda params, batch: (params["w"] - 1).square().mean(1),
            state,
            np.array([1, 2]),
            lr=1e-3,
            n_beta=10.0,
            localisation=1.0,
            acceptance=True,
            paired=True,
        )
        return fit([made], lambda step: None, steps=6, bench=bench_on(where))

    near(told(sampled(device)), told(sampled("cpu")), 1e-6)
