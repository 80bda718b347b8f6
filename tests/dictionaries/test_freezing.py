"""Frozen halves: bit for bit their start in every kind, kernel, sparse step and precision;
soft-frozen rows where the geometry says."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import SpecError
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated, GatedSigmoid, GatedUntied
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.dead import Resample
from assay.dictionaries.training.freezing import NEAR, freeze
from assay.dictionaries.training.kernels import sparse
from assay.dictionaries.training.quick import train_dictionary
from assay.dictionaries.training.train import PRECISIONS, Method, fit_dictionaries, keep_near, start
from assay.train import rng
from pairs import some_pairs


@dataclass(frozen=True, kw_only=True)
class Sweep(Spec):
    penalty: PerRun[float] = 0.1


D, F, STEPS = 12, 48, 30
RUNS = Runs(grid(Sweep(), penalty=(0.05, 0.4), seed=(1, 2)))
WORLD = torch.from_numpy(rng.normal(np.array([7]), "world", 0, (40, D))[0])
AUX = losses.TopKAux(alpha=0.5, dead_after=100)
KINDS = {
    "relu": (ReLU(), losses.l1),
    "weighted": (ReLU(), losses.l1_weighted),
    "gated": (Gated(), losses.gated),
    "gated_sigmoid": (GatedSigmoid(), losses.gated_sigmoid),
    "gated_untied": (GatedUntied(), losses.gated),
    "gated_unfrozen_aux": (Gated(), losses.gated_unfrozen_aux),
    "jumprelu": (JumpReLU(0.1, 0.1), losses.jumprelu),
    "topk": (TopK(3), losses.mse),
    "topk_aux": (TopK(3), AUX),
    "batchtopk_aux": (BatchTopK(3), AUX),
    "matryoshka": (BatchTopK(3), losses.Matryoshka((12, 24, F), alpha=0.5, dead_after=100)),
}
every = pytest.mark.parametrize("kind", KINDS)


def batches(step):
    codes = rng.uniform(np.array([0]), "codes", step, (64, 40))[0]
    return torch.from_numpy(np.maximum(codes - 0.9, 0) * 20) @ WORLD


def method(kind, runs=RUNS, **more):
    nonlinearity, loss = KINDS[kind]
    return Method(
        nonlinearity, loss, F, np.full(len(runs), 2e-2), runs.each("penalty"), warm_up=3, **more
    )


def done(one, runs=RUNS, steps=STEPS, bench=None, at=batches, **more):
    return fit_dictionaries([(runs, one)], at, d=D, steps=steps, bench=bench, **more)[0]


def steps_of(path, monkeypatch):
    """Sparse steps throughout, or none."""
    for precision in PRECISIONS.values():
        monkeypatch.setitem(sparse.WORTH, precision, 0)
        monkeypatch.setitem(sparse.FEW, precision, 2.0 if path == "sparse" else 0.0)


# --- frozen: the start, bit for bit ---------------------------------------------------------------


@some_pairs("kind, path", tuple(KINDS), ("dense", "sparse"))
def test_a_frozen_half_is_its_start_bit_for_bit_and_the_rest_learns(kind, path, monkeypatch):
    steps_of(path, monkeypatch)
    for part, products in (
        ("decoder", "float32"),
        ("encoder", "float32"),
        ("decoder", "bfloat16"),
        ("encoder", "bfloat16"),
    ):
        one = freeze(method(kind, products=products), part)
        before, after = start(RUNS.seeds, one, D), done(one).tensors
        assert one.frozen == (
            ("W_dec",)
            if part == "decoder"
            else ("W_enc", *getattr(one.nonlinearity, "encoders", ()))
        )
        for name in ("W_enc", "W_dec", "b_dec", *getattr(one.nonlinearity, "encoders", ())):
            now = after[name] if name in ("W_dec", "b_dec") else after[name].mT
            assert torch.equal(now, before[name]) == (name in one.frozen), (part, products, name)
        if part == "encoder":
            assert not torch.equal(after["b_enc"], before["b_enc"]), "thresholds are learned"


def test_transcoders_have_the_same_halves():
    def pairs(step):
        x = batches(step)
        return x, x[:, :5].abs()

    for part in ("decoder", "encoder"):
        one = freeze(method("topk"), part)
        after = done(one, at=pairs, d_out=5).tensors
        before = start(RUNS.seeds, one, D, 5)
        assert torch.equal(after["W_dec"], before["W_dec"]) == (part == "decoder")
        assert torch.equal(after["W_enc"].mT, before["W_enc"]) == (part == "encoder")
    soft = freeze(method("topk"), "soft-decoder")
    cosine = (
        done(soft, at=pairs, d_out=5).tensors["W_dec"] * start(RUNS.seeds, soft, D, 5)["W_dec"]
    ).sum(-1)
    assert NEAR - 1e-6 <= cosine.min() < NEAR + 1e-3


# --- soft-frozen: a cone about the start ----------------------------------------------------------


@some_pairs("kind, path", tuple(KINDS), ("dense", "sparse"))
def test_soft_frozen_rows_never_leave_their_cone_though_free_ones_would(kind, path, monkeypatch):
    steps_of(path, monkeypatch)
    watch = {"rows": (range(STEPS + 1), lambda params: params["W_dec"])}
    # so fast that rows go far
    plain = replace(method(kind), lr=np.full(len(RUNS), 0.2))
    one = freeze(plain, "soft-decoder")
    s = start(RUNS.seeds, one, D)["W_dec"]
    free, soft = (done(m, watch=watch).tensors["rows"].double() for m in (plain, one))
    cosine = torch.nn.functional.cosine_similarity(soft, s[:, None].double(), dim=-1)
    assert cosine.min() >= NEAR - 1e-6
    assert (
        torch.nn.functional.cosine_similarity(free, s[:, None].double(), dim=-1).min() < NEAR - 0.05
    ), "the constraint binds"
    assert (soft.norm(dim=-1) - 1).abs().max() < 1e-6, "unit rows stay unit rows"
    assert torch.equal(soft[:, 0], s.double())
    assert not torch.equal(soft[:, 1], soft[:, 0])


def naive(w, s, least):
    """The closest point by turning w towards s, along the great circle through both, until the
    angle is arccos τ."""
    length = w.norm()
    angle = torch.arccos((w @ s / length).clamp(-1, 1))
    limit = torch.arccos(torch.tensor(least, dtype=w.dtype))
    if angle <= limit:
        return w
    t = limit / angle
    return (
        length
        * (torch.sin((1 - t) * angle) * s + torch.sin(t * angle) * w / length)
        / torch.sin(angle)
    )


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), d=st.integers(2, 9), least=st.floats(0.05, 0.99))
def test_the_projection_is_the_closest_point_of_the_cone_of_the_same_length(seed, d, least):
    g = torch.Generator().manual_seed(seed)
    W = (torch.randn(2, 5, d, generator=g) * torch.rand(2, 5, 1, generator=g).exp()).double()
    s = torch.nn.functional.normalize(torch.randn(2, 5, d, generator=g).double(), dim=-1)
    near = torch.randn(2, 5, d, generator=g).double() * 0.05 + s
    for rows in (W, near):
        moved = rows.clone()
        keep_near(moved, s, least)
        wanted = torch.stack(
            [
                torch.stack([naive(w, t, least) for w, t in zip(*run, strict=True)])
                for run in zip(rows, s, strict=True)
            ]
        )
        assert (moved - wanted).abs().max() < 1e-9
        inside = (rows * s).sum(-1) >= least * rows.norm(dim=-1)
        assert torch.equal(moved[inside], rows[inside]), "what is inside stays as it is"
        # nothing else of that length in the cone is closer
        others = torch.nn.functional.normalize(
            s
            + torch.randn(2000, 2, 5, d, generator=g).double()
            * torch.rand(2000, 1, 1, 1, generator=g),
            dim=-1,
        )
        allowed = (others * s).sum(-1) >= least
        distance = (
            (others * rows.norm(dim=-1, keepdim=True) - rows).norm(dim=-1).where(allowed, torch.inf)
        )
        assert (distance.amin(0) >= (moved - rows).norm(dim=-1) - 1e-9).all()


def test_rows_opposite_to_their_start_and_rows_of_no_length_end_inside():
    s = torch.tensor([[[1.0, 0.0, 0.0]]]).expand(1, 4, 3).contiguous()
    W = torch.tensor([[[-2.0, 0.0, 0.0], [-1.0, 1e-7, 0.0], [-1.0, 0.0, 1e-4], [0.0, 0.0, 0.0]]])
    keep_near(W, s, NEAR)
    assert torch.equal(W[0, 0], torch.tensor([2.0, 0.0, 0.0]))
    assert torch.equal(W[0, 3], torch.zeros(3))
    assert (W[0, 1:3, 0] >= NEAR - 1e-6).all()
    assert (W[0, :3].norm(dim=-1) - torch.tensor([2.0, 1.0, 1.0])).abs().max() < 1e-6


def test_lengths_of_free_rows_are_kept_by_the_projection(monkeypatch):
    one = freeze(method("weighted", decoder="free"), "soft-decoder")
    rows, s = done(one).tensors["W_dec"], start(RUNS.seeds, one, D)["W_dec"]
    assert (rows.norm(dim=-1) - 1).abs().max() > 0.05, "they are free"
    assert torch.nn.functional.cosine_similarity(rows, s, dim=-1).min() >= NEAR - 1e-6


# --- beside free ones, alone, and after a kill ----------------------------------------------------

PARTS = ("", "decoder", "soft-decoder", "encoder")


def test_frozen_and_free_ones_train_side_by_side_each_as_if_alone(monkeypatch):
    together = fit_dictionaries(
        [(RUNS, freeze(method("topk_aux"), part)) for part in PARTS], batches, d=D, steps=STEPS
    )
    for part, found in zip(PARTS, together, strict=True):
        alone = done(freeze(method("topk_aux"), part))
        assert all(
            torch.equal(found.tensors[name], value) for name, value in alone.tensors.items()
        ), part
        for r, spec in enumerate(RUNS):
            single = Runs([spec])
            one = done(freeze(method("topk_aux", single), part), single)
            assert (
                max(
                    float((found.tensors[name][r] - value[0]).abs().max())
                    for name, value in one.tensors.items()
                )
                <= 1e-5
            ), part


# --- starts, refusals, names ----------------------------------------------------------------------


def test_rows_may_start_with_the_covariance_of_the_targets():
    narrow = torch.zeros(D, D)
    narrow[2, 2] = 9.0
    W = start(RUNS.seeds, freeze(method("relu"), "decoder", narrow), D)["W_dec"]
    assert torch.equal(W.abs()[..., 2], torch.ones(4, F)), (
        "of one direction, rows of length 1 are that direction or its opposite"
    )
    C = torch.diag(torch.tensor([4.0] * 6 + [1.0] * 6))
    wide = Method(ReLU(), losses.l1, 4000, np.ones(1), np.ones(1), covariance=C)
    share = start([3], wide, D)["W_dec"][0].square().mean(0)
    assert share.sum().item() == pytest.approx(1)
    assert 2.5 < (share[:6].mean() / share[6:].mean()).item() < 4
    same = start(RUNS.seeds, replace(method("relu"), covariance=torch.eye(D)), D)["W_dec"]
    assert torch.allclose(same, start(RUNS.seeds, method("relu"), D)["W_dec"], atol=1e-6)
    with pytest.raises(
        SpecError, match=r"covariance must be \[d, d\] of the decoder's rows, d = 12, got \[3, 3\]"
    ):
        start([1], replace(method("relu"), covariance=torch.eye(3)), D)


@pytest.mark.parametrize("part", ["decoder", "soft-decoder", "encoder"])
def test_what_is_frozen_is_not_resampled(part):
    with pytest.raises(SpecError, match="a dictionary with a frozen part takes dead=Keep"):
        done(freeze(method("relu", dead=Resample(at=(5,))), part))
    done(freeze(method("relu", dead=Resample(at=(5,))), ""), steps=1)
    done(method("relu", dead=Resample(at=(5,)), frozen=("b_dec",)), steps=1)


def test_what_cannot_be_is_refused_in_one_line():
    with pytest.raises(SpecError, match="no part 'decodr' to freeze; did you mean decoder"):
        freeze(method("relu"), "decodr")
    for near in (0.0, -0.5, 1.5):
        with pytest.raises(SpecError, match="near is a cosine above 0"):
            done(replace(method("relu"), near=near))
    with pytest.raises(SpecError, match="frozen or kept near its start, not both"):
        done(replace(method("relu"), near=0.8, frozen=("W_dec",)))
    with pytest.raises(SpecError, match="did you mean encoder"):
        train_dictionary(TopK(2), batches(0), width=4, frozen="encodr")


def test_the_origin_tells_that_a_dictionary_is_a_control():
    assert "origin" not in done(method("relu"), steps=1).header
    assert (
        Dictionary.of(done(freeze(method("relu"), "soft-decoder"), steps=1)).origin["near"] == NEAR
    )
    assert Dictionary.of(done(freeze(method("relu"), "decoder"), steps=1)).origin["frozen"] == [
        "W_dec"
    ]
