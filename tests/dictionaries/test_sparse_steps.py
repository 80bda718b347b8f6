"""Sparse steps: every architecture against autograd in float64, what is chosen against a naive
sort, both paths of a training against each other."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.fit import fit
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.dead import Keep, Resample
from assay.dictionaries.training.kernels import reference, sparse
from assay.dictionaries.training.kernels.active import Codes
from assay.dictionaries.training.kernels.reference import StepInput
from assay.dictionaries.training.train import PRECISIONS, Method, fit_dictionaries, group
from assay.train import rng
from killed import Killed, dies_at
from pairs import some_pairs

AUX = losses.TopKAux(alpha=0.5, dead_after=50)
KINDS = {
    "topk": (TopK(3), losses.mse),
    "topk_aux": (TopK(3), AUX),
    "batchtopk": (BatchTopK(2), losses.mse),
    "batchtopk_aux": (BatchTopK(2), AUX),
    "matryoshka": (BatchTopK(2), losses.Matryoshka((1, 2, 3), alpha=0.5, dead_after=50)),
    "matryoshka_topk": (TopK(2), losses.Matryoshka((1, 2, 3), alpha=0.5, dead_after=50)),
    "relu": (ReLU(), losses.l1),
    "weighted": (ReLU(), losses.l1_weighted),
    "jumprelu": (JumpReLU(0.25, 0.25), losses.jumprelu),
    "gated": (Gated(), losses.gated),
    "gated_no_aux": (Gated(), losses.gated_no_aux),
}
FEW = ("topk", "batchtopk_aux", "matryoshka_topk", "relu", "jumprelu", "gated")
"""Each choice and each loss at least once."""
every = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def always_sparse(monkeypatch):
    """Whatever the density, but where a test says otherwise."""
    for precision in PRECISIONS.values():
        monkeypatch.setitem(sparse.FEW, precision, 2.0)


INPUTS = ("random", "ragged", "tied", "all-zero", "all-dense", "single-row")


@dataclass(frozen=True)
class First:
    """TopK and BatchTopK that keep, of equal numbers, those that come first."""

    of: TopK | BatchTopK

    def __call__(self, z, b_enc, own):
        pre = z + b_enc[:, None]
        flat = pre if isinstance(self.of, TopK) else pre.flatten(1)
        count = self.of.k * (1 if isinstance(self.of, TopK) else z.shape[-2])
        index = flat.sort(dim=-1, descending=True, stable=True).indices[..., :count]
        return torch.zeros_like(flat).scatter(-1, index, flat.gather(-1, index).relu()).view_as(pre)


def world(nonlinearity, inputs, seed, rows=9, d=7, f=24, runs=2):
    """Parameters as training stores them, rows and penalties, of one sort of input."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        if inputs == "tied":  # few different numbers, all sums of them exact
            return torch.randint(-2, 3, shape, generator=g) / 4
        return torch.randn(*shape, generator=g)

    rows = 1 if inputs == "single-row" else rows
    params = {
        "W_enc": draw(runs, f, d),
        "b_enc": 0.5 * draw(runs, f),
        "W_dec": draw(runs, f, d) + 0.125,
        "b_dec": 0.5 * draw(runs, d),
    }
    x = draw(rows, d)
    if inputs == "all-zero":
        x, params["b_enc"] = (
            torch.zeros_like(x),
            -params["b_enc"].abs() - (params["W_enc"] @ params["b_dec"][..., None])[..., 0].abs(),
        )
    if inputs == "all-dense":
        params["b_enc"] += 40
    if inputs == "ragged":
        x = x * 10 ** torch.linspace(-2, 1, rows)[:, None]
        params["b_enc"] -= 2 * draw(runs, f).abs()
    own = nonlinearity.init(runs, f)
    if inputs != "tied":
        own = {name: value + 0.1 * draw(runs, f) for name, value in own.items()}
    if isinstance(nonlinearity, JumpReLU):
        nonlinearity.confine(own)
    return {**params, **own}, x, torch.linspace(0.1, 0.4, runs)


def asked(loss, f, runs=2, dead=True):
    """The loss for this width, and what it asks for; in the first run every third latent is dead,
    or none."""
    if isinstance(loss, losses.Matryoshka):
        loss = replace(loss, prefixes=(2, f // 2, f))
    idle = 100 * (torch.arange(f) % 3 == 0).repeat(runs, 1)
    idle[0 if not dead else 1 :] = 0
    return loss, {
        k: v for k, v in {"idle": idle, "progress": 0.6}.items() if k in losses.wants(loss)
    }


def double(tensors):
    return {name: value.double() for name, value in tensors.items()}


def agree(found, wanted, relative):
    """Within rounding of the largest gradient of any kind: some are differences of others."""
    scale = max(float(value.norm()) for value in wanted.values())
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert (found[name].double() - value).norm() <= relative * (
            value.norm() + 0.1 * scale
        ) + 1e-12, name


@some_pairs("kind, inputs", tuple(KINDS), INPUTS, each=3)
@settings(max_examples=4, derandomize=True)
@given(
    seed=st.integers(0, 2**16), rows=st.integers(2, 12), d=st.integers(1, 9), f=st.integers(6, 40)
)
def test_values_and_gradients_are_those_of_float64(kind, inputs, seed, rows, d, f):
    nonlinearity, loss = KINDS[kind]
    params, x, penalty = world(nonlinearity, inputs, seed, rows, d, f)
    # the dead also choose among equals, and where all rows left the same, rounding is all there is
    # to explain
    loss, more = asked(loss, f, dead=inputs not in ("tied", "all-zero"))
    exact = First(nonlinearity) if isinstance(nonlinearity, TopK | BatchTopK) else nonlinearity
    wanted, gradients = reference.autograd(
        StepInput(loss, double(params), x.double(), exact, penalty.double(), torch.float64, more)
    )
    series, found = sparse.sparse(
        StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more)
    )
    torch.testing.assert_close(
        series["loss"].double(), wanted["loss"], rtol=2e-6, atol=1e-7 * float(x.square().mean())
    )
    torch.testing.assert_close(series["l0"].double(), wanted["l0"].double())
    agree(found, gradients, 1e-5)


@some_pairs("kind, inputs", tuple(KINDS), ("random", "ragged", "single-row"), each=3)
def test_bfloat16_of_both_paths_is_near(kind, inputs):
    nonlinearity, loss = KINDS[kind]
    params, x, penalty = world(nonlinearity, inputs, 5, rows=64, d=48, f=96)
    params = {**params, "W_enc": params["W_enc"] / 7}
    loss, more = asked(loss, 96)
    _, gradients = reference.autograd(
        StepInput(
            loss, double(params), x.double(), nonlinearity, penalty.double(), torch.float64, more
        )
    )
    distances = []
    for kernel in (sparse.sparse, reference.autograd):
        _, found = kernel(StepInput(loss, params, x, nonlinearity, penalty, torch.bfloat16, more))
        distances.append(
            {
                name: float((found[name].double() - value).norm() / (value.norm() + 1e-12))
                for name, value in gradients.items()
            }
        )
    for name, near in distances[0].items():  # places on an edge may flip in either
        assert near <= max(0.1, 1.5 * distances[1][name]), name


@every
def test_a_broken_run_is_seen_and_leaves_its_neighbour_bitwise_alone(kind):
    nonlinearity, loss = KINDS[kind]
    params, x, penalty = world(nonlinearity, "random", 3)
    loss, more = asked(loss, 24)
    kernel = sparse.sparse
    _, found = kernel(StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more))
    for name in params:
        for wrong in (torch.nan, -torch.nan, torch.inf):
            broken = {key: value.clone() for key, value in params.items()}
            broken[name][0].view(-1)[-1] = wrong
            series, after = kernel(
                StepInput(loss, broken, x, nonlinearity, penalty, torch.float32, more)
            )
            assert not series["loss"][0].isfinite(), (name, wrong)
            assert all(torch.equal(after[key][1], value[1]) for key, value in found.items()), (
                name,
                wrong,
            )


@every
@pytest.mark.parametrize("case", ["rows of each run", "a row of length 0"])
def test_gradients_are_those_of_autograd(kind, case):
    nonlinearity, loss = KINDS[kind]
    params, x, penalty = world(nonlinearity, "random", 4)
    loss, more = asked(loss, 24)
    kernel = sparse.sparse
    if case == "rows of each run":
        x = torch.stack([x, 1 - x])
    else:
        params["W_dec"][0, 3] = 0
    given = StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more)
    wanted, gradients = reference.autograd(given)
    series, found = kernel(given)
    agree(found, double(gradients), 1e-5)
    for name in ("loss", "l0"):
        torch.testing.assert_close(series[name], wanted[name], rtol=1e-5, atol=1e-6)


@every
@pytest.mark.parametrize("kernel", [sparse.sparse, reference.autograd])
def test_chunks_of_runs_change_nothing(kind, kernel, monkeypatch):
    nonlinearity, loss = KINDS[kind]
    params, x, penalty = world(nonlinearity, "random", 6, runs=5)
    loss, more = asked(loss, 24, runs=5)

    def note(codes):
        both = isinstance(codes, Codes)  # the dense kernel notes features
        return {"fired": codes.fired(), "least": codes.least(2)} if both else {}

    given = StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more, note)
    series, whole = kernel(given)
    for most in ("CACHED", "TOGETHER"):  # two runs at a time: chunks of 2, 2 and 1
        monkeypatch.setattr(sparse, most, 2 * 9 * 24)
    monkeypatch.setitem(sparse.WORTH, torch.float32, 0)
    in_pieces, pieces = sparse.in_chunks(kernel, given, {})
    agree(pieces, double(whole), 1e-6)
    agree(in_pieces, double(series), 1e-6)


def test_each_loss_finds_its_kernel_and_a_new_one_autograd():
    for nonlinearity, loss in KINDS.values():
        assert sparse.kernel_for(loss, nonlinearity) is sparse.sparse
    for loss in (losses.l1, lambda params, x, nonlinearity, penalty: penalty):
        assert sparse.kernel_for(loss, Gated()) is reference.autograd


# --- what is on -----------------------------------------------------------------------------------


# --- whole trainings ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Sweep(Spec):
    penalty: PerRun[float] = 0.1
    lr: PerRun[float] = 4e-3


D, F = 12, 48
RUNS = Runs(grid(Sweep(), penalty=(0.01, 2.0), seed=(1, 2)))
WORLD = torch.from_numpy(rng.normal(np.array([7]), "world", 0, (40, D))[0])
PENALISED = ("relu", "weighted", "jumprelu", "gated", "gated_no_aux")


def batches(step):
    codes = rng.uniform(np.array([0]), "codes", step, (64, 40))[0]
    return torch.from_numpy(np.maximum(codes - 0.9, 0) * 20) @ WORLD


def method(kind, runs=RUNS, **more):
    nonlinearity, loss = KINDS[kind]
    loss = replace(loss, prefixes=(12, 24, F)) if isinstance(loss, losses.Matryoshka) else loss
    penalty = runs.each("penalty") * (0.1 if kind == "jumprelu" else 1)
    return Method(nonlinearity, loss, F, runs.each("lr"), penalty, warm_up=10, **more)


def forced(monkeypatch, few):
    """Sparse steps below this density; 0: none."""
    for precision in PRECISIONS.values():
        monkeypatch.setitem(sparse.WORTH, precision, 0)
        monkeypatch.setitem(sparse.FEW, precision, few)


def done(kind, bench, steps=120, runs=RUNS, **more):
    return fit_dictionaries(
        [(runs, method(kind, runs, **more))],
        batches,
        d=D,
        steps=steps,
        bench=bench,
        probe_at=range(10, steps, 10),
    )[0]


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.thorough] * (kind not in FEW)) for kind in KINDS],
)
def test_the_same_seed_gives_the_same_bits_and_a_run_alone_is_as_in_a_group_whatever_path_each_takes(  # noqa: E501
    kind, bench, monkeypatch
):
    """Fifty steps, 1e-5, as for dense steps: Adam rounds the last few numbers of a group
    otherwise."""
    forced(monkeypatch, 0.3)
    together, again = (done(kind, bench, steps=50) for _ in range(2))
    for key, value in together.tensors.items():
        assert torch.equal(value, again.tensors[key]), key
    for r, spec in enumerate(RUNS):
        alone = done(kind, bench, steps=50, runs=Runs([spec]))
        assert np.array_equal(alone.history["l0"][0], together.history["l0"][r])
        for key, value in alone.tensors.items():
            assert (together.tensors[key][r] - value[0]).abs().max() <= 1e-5, (key, r)


@pytest.mark.parametrize("kind", PENALISED)
def test_runs_take_the_path_that_their_own_density_says(kind, monkeypatch, bench):
    forced(monkeypatch, 0.3)
    dense = []
    monkeypatch.setattr(
        sparse,
        "autograd",
        lambda step: (dense.append(len(step.penalty)), reference.autograd(step))[1],
    )
    done(kind, bench)
    assert 0 < len(dense) < 120 * len(RUNS) and {*dense} == {1}


@pytest.mark.parametrize("kind", ["relu", "gated", "topk_aux", "batchtopk", "matryoshka"])
def test_a_resumed_training_goes_on_along_the_same_path(
    kind, monkeypatch, plain_bench, plain_slot, tmp_path
):
    forced(monkeypatch, 0.3)
    whole = done(kind, plain_bench(tmp_path), steps=100)
    slot = plain_slot(every=17)

    with pytest.raises(Killed):
        fit_dictionaries(
            [(RUNS, method(kind))],
            dies_at(80, batches),
            d=D,
            steps=100,
            bench=plain_bench(tmp_path, [slot]),
            probe_at=range(10, 100, 10),
        )
    resumed = done(kind, plain_bench(tmp_path, [plain_slot(saved=slot.saved)]), steps=100)
    for key, value in whole.tensors.items():
        assert torch.equal(resumed.tensors[key], value), key
    assert all(np.array_equal(resumed.history[key], value) for key, value in whole.history.items())


def test_who_notes_dense_features_only_keeps_the_step_dense():
    @dataclass(frozen=True)
    class Sizes(Resample):
        def note(self, features):
            return {"largest": features.amax((1, 2))}

    for dead, sparse_steps in ((Keep(), True), (Resample(at=(3,)), True), (Sizes(at=(3,)), False)):
        trainer = group(RUNS, method("relu", dead=dead), d=D, steps=5).step_fn.__self__
        assert (trainer.compute is sparse.sparse) == sparse_steps


@pytest.mark.parametrize("kind", ["topk", "topk_aux", "batchtopk_aux", "relu", "gated"])
def test_resampled_latents_are_the_same_on_both_paths(kind, bench, monkeypatch):
    found = []
    for few in (0.0, 2.0):
        forced(monkeypatch, few)
        made = group(RUNS, method(kind, dead=Resample(at=(12, 25))), d=D, steps=30)
        made.state["b_enc"][:, ::5] = -9
        found.append(fit([made], batches, steps=30, bench=bench)[0].tensors["resampled"])
    assert (found[0][:, ::5] > 0).all() and torch.equal(*found)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    "kind", ["topk", "topk_aux", "batchtopk", "matryoshka", "relu", "weighted", "jumprelu", "gated"]
)
def test_the_sparse_step_of_a_transcoder_is_autograds(kind, shared):
    """Of rows that the runs share, or of each run's own."""
    nonlinearity, loss = KINDS[kind]
    params, x, penalty = world(nonlinearity, "random", 11)
    loss, more = asked(loss, 24)
    params |= {
        "b_pre": params["b_dec"].clone(),
        "W_dec": params["W_dec"][..., :5].contiguous(),
        "b_dec": params["b_dec"][..., :5].contiguous(),
    }
    more["y"] = torch.randn(len(x), 5, generator=torch.Generator().manual_seed(1))
    if not shared:
        x, more["y"] = (torch.stack([rows, rows.flip(0) + 1]) for rows in (x, more["y"]))
    given = StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more)
    wanted, gradients = reference.autograd(given)
    series, found = sparse.sparse(given)
    torch.testing.assert_close(series["loss"], wanted["loss"])
    agree(found, double(gradients), 1e-5)
