"""Matrices learned as products: targets and starts by seed, gradients against autograd, losses
against vectors worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from assay.core.errors import SpecError
from assay.core.fit import fit
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid
from assay_catalogue.worlds.linear import factors


@dataclass(frozen=True, kw_only=True)
class World(Spec):
    scale: PerRun[float] = 0.3


RUNS = Runs(grid(World(), scale=(0.1, 0.3), seed=(1, 2, 3)))
SCALES = RUNS.each("scale")
ALONE = Runs(RUNS.specs[4:5])


def matrix(*rows):
    return torch.tensor([rows], dtype=torch.float64)


def value(loss, target, Z):
    return float(loss(target)(Z)[0])


# --- targets and starts ---------------------------------------------------------------------------


def test_a_target_has_its_rank_and_entries_of_variance_one():
    for rank in (1, 2, 10):
        A = factors.target(RUNS, 60, rank)
        assert torch.linalg.matrix_rank(A).tolist() == [rank] * 6
    assert factors.target(
        Runs(grid(World(), seed=range(40))), 60, 10
    ).var().item() == pytest.approx(1.0, rel=0.1)


def test_a_start_has_its_scale_and_belongs_to_the_seed():
    start = factors.start(RUNS, 200, 10, SCALES)
    np.testing.assert_allclose(start["a"].std((1, 2)), SCALES, rtol=0.1)
    torch.testing.assert_close(start["b"][0] * 3, start["b"][3], rtol=1e-6, atol=0)
    for whole, alone in (
        (start, factors.start(ALONE, 200, 10, SCALES[4:5])),
        ({"A": factors.target(RUNS, 9, 3)}, {"A": factors.target(ALONE, 9, 3)}),
    ):
        for name in whole:
            assert torch.equal(whole[name][4:5], alone[name])


def test_a_lower_rank_is_the_first_part_of_a_higher_one():
    wide, narrow = factors.start(RUNS, 20, 10, SCALES), factors.start(RUNS, 20, 2, SCALES)
    assert torch.equal(wide["a"][..., :2], narrow["a"])


def test_a_free_matrix_starts_as_the_same_function():
    start = factors.start(RUNS, 20, 2, SCALES)
    assert torch.equal(factors.product(factors.freed(start)), factors.product(start))


def test_what_is_positive_has_no_negative_entry():
    assert (factors.target(RUNS, 20, 2, positive="ab") > 0).all()
    rows = factors.target(RUNS, 20, 1, positive="a")
    assert ((rows > 0) == (rows[:, :1] > 0)).all() and (rows < 0).any()
    assert (factors.product(factors.start(RUNS, 20, 2, SCALES, positive="ab")) > 0).all()


# --- losses and gradients -------------------------------------------------------------------------

LOSSES = [
    factors.square,
    factors.row_kl,
    factors.raw_cross_entropy,
    factors.normalised_cross_entropy,
    factors.generalised_kl,
]


@pytest.mark.parametrize("make", LOSSES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("free", [False, True], ids=["factors", "free"])
def test_gradients_are_those_of_autograd(make, free):
    loss = make(factors.target(RUNS, 7, 3, positive="ab"))
    params = factors.start(RUNS, 7, 3, SCALES, positive="ab")
    params = factors.freed(params) if free else params
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    want = torch.autograd.grad(loss(factors.product(leaves))[0].sum(), list(leaves.values()))
    with torch.no_grad():
        got = factors.gradients(params, loss(factors.product(params))[1])
    for name, w in zip(leaves, want, strict=True):
        torch.testing.assert_close(got[name], w, rtol=1e-10, atol=1e-12)


def test_square_and_row_kl_are_their_formulas():
    A, Z = matrix([1.0, 2.0], [3.0, 4.0]), matrix([0.0, 2.0], [1.0, 5.0])
    assert value(factors.square, A, Z) == pytest.approx(0.5 * (1 + 0 + 4 + 1))
    C, Z = matrix([1.0, 0.0, -1.0], [2.0, 2.0, 0.0]), matrix([0.0, 0.0, 0.0], [1.0, 0.0, 1.0])
    rows = [value(factors.row_kl, C[:, i : i + 1], Z[:, i : i + 1]) for i in range(2)]
    assert rows == pytest.approx([0.266217, 0.444924], abs=1e-6)
    assert value(factors.row_kl, C, Z) == pytest.approx(sum(rows))


def test_logits_need_no_normalising_and_are_found_up_to_a_constant_per_row():
    C = factors.target(RUNS, 9, 3)
    shift = torch.randn(6, 9, 1, dtype=torch.float64)
    torch.testing.assert_close(
        factors.row_kl(C)(C + shift)[0], torch.zeros(6, dtype=torch.float64), rtol=0, atol=1e-12
    )
    assert (factors.row_kl(C)(2 * C)[0] > 1e-3).all()


def test_raw_cross_entropy_has_no_minimum_at_the_target_and_generalised_kl_has():
    C = matrix([0.5, 1.0], [2.0, 0.1])
    assert value(factors.raw_cross_entropy, C, C) == pytest.approx(-0.809462, abs=1e-6)
    assert value(factors.raw_cross_entropy, C, 2 * C) == pytest.approx(-3.304791, rel=1e-6)
    assert value(factors.generalised_kl, C, torch.ones_like(C)) == pytest.approx(1.209462, abs=1e-6)
    assert value(factors.generalised_kl, C, C) == pytest.approx(0.0, abs=1e-12)
    assert value(factors.generalised_kl, C, 2 * C) > 0.1
    assert value(factors.normalised_cross_entropy, C, 2 * C) == pytest.approx(
        value(factors.normalised_cross_entropy, C, C)
    )
    assert value(factors.normalised_cross_entropy, C, matrix([1.0, 1.0], [1.0, 1.0])) > value(
        factors.normalised_cross_entropy, C, C
    )


# --- training -------------------------------------------------------------------------------------


def trained(runs, how, steps, bench, lr, rank=2, n=12):
    loss = factors.square(factors.target(runs, n, rank))
    group = how(
        runs, factors.start(runs, n, rank, runs.each("scale")), loss, lr=np.full(len(runs), lr)
    )
    return fit([group], lambda step: None, steps=steps, probe_at=range(1, steps + 1), bench=bench)[
        0
    ]


@pytest.mark.parametrize(
    "how, lr", [(factors.gradient_descent, 0.01), (factors.adam, 0.01)], ids=["descent", "adam"]
)
def test_a_run_alone_is_the_run_in_a_group(how, lr, bench):
    together, alone = trained(RUNS, how, 50, bench, lr), trained(ALONE, how, 50, bench, lr)
    for name in "ab":
        torch.testing.assert_close(
            together.tensors[name][4], alone.tensors[name][0], rtol=1e-5, atol=1e-8
        )
    np.testing.assert_allclose(together.history["loss"][4], alone.history["loss"][0], rtol=1e-5)


@pytest.mark.parametrize("how", [factors.gradient_descent, factors.adam], ids=["descent", "adam"])
def test_a_step_is_the_naive_one(how, bench):
    """One entry at a time, in plain Python."""
    n, rank, lr = 4, 2, 0.01
    A, start = (
        factors.target(ALONE, n, rank)[0].tolist(),
        factors.start(ALONE, n, rank, ALONE.each("scale")),
    )
    a, b = start["a"][0].tolist(), start["b"][0].tolist()
    off = [
        [sum(a[i][k] * b[j][k] for k in range(rank)) - A[i][j] for j in range(n)] for i in range(n)
    ]
    da = [[sum(off[i][j] * b[j][k] for j in range(n)) for k in range(rank)] for i in range(n)]
    if how is factors.adam:  # after one step the moments' ratio is the sign
        want = [[a[i][k] - lr * np.sign(da[i][k]) for k in range(rank)] for i in range(n)]
    else:
        want = [[a[i][k] - lr * da[i][k] for k in range(rank)] for i in range(n)]
    done = trained(ALONE, how, 1, bench, lr, rank, n)
    np.testing.assert_allclose(done.tensors["a"][0], want, rtol=1e-6)
    assert done.history["loss"][0, 0] == pytest.approx(0.5 * sum(x * x for row in off for x in row))


@pytest.mark.parametrize("how", [factors.gradient_descent, factors.adam], ids=["descent", "adam"])
def test_a_killed_training_goes_on_to_the_same_numbers(how, tmp_path, plain_bench, plain_slot):
    class Killed(Exception):
        pass

    whole = trained(RUNS, how, 20, plain_bench(tmp_path), 0.01)
    slot = plain_slot(every=7)
    bench = plain_bench(tmp_path, [slot])
    original = slot.save

    def save(step, tensors):
        original(step, tensors)
        raise Killed

    slot.save = save
    with pytest.raises(Killed):
        trained(RUNS, how, 20, bench, 0.01)
    assert slot.saved[0] == 7
    again = trained(RUNS, how, 20, plain_bench(tmp_path, [plain_slot(saved=slot.saved)]), 0.01)
    assert torch.equal(whole.tensors["a"], again.tensors["a"])
    np.testing.assert_array_equal(whole.history["loss"], again.history["loss"])


# --- bad input ------------------------------------------------------------------------------------


def test_a_step_that_blows_up_is_refused_and_one_below_the_limit_converges(bench):
    A = factors.target(ALONE, 12, 2)
    limit = factors.largest_stable_step(A)
    assert limit == pytest.approx([1 / np.linalg.svd(A[0].numpy(), compute_uv=False)[0]])
    with pytest.raises(SpecError, match=r"largest stable rate is 0\.\d+, 1/σ₁ of the target"):
        factors.check_step(1.01 * limit, A)
    factors.check_step(0.8 * limit, A)
    assert (
        trained(ALONE, factors.gradient_descent, 2000, bench, 0.8 * limit[0]).history["loss"][0, -1]
        < 1e-6
    )
    # near Z = A the curvature is at least 2σ₁, so a start there runs away from it above the limit
    u, s, v = torch.linalg.svd(A)
    at = {
        "a": u[..., :2] * s[:, None, :2].sqrt() * (1 + 1e-6),
        "b": v[:, :2].transpose(1, 2) * s[:, None, :2].sqrt(),
    }
    ends = {}
    for share in (0.9, 1.1):
        group = factors.gradient_descent(
            ALONE, {k: x.clone() for k, x in at.items()}, factors.square(A), lr=share * limit
        )
        ends[share] = fit([group], lambda step: None, steps=200, bench=bench)[0].history["loss"][
            0, -1
        ]
    assert ends[0.9] < 1e-12 < 1e-6 < ends[1.1]


def test_a_free_matrix_bears_a_step_of_two():
    A = factors.target(ALONE, 12, 2)
    factors.check_step(np.array([1.9]), A, free=True)
    with pytest.raises(SpecError, match="largest stable rate is 2, 2 for a free matrix"):
        factors.check_step(np.array([2.0]), A, free=True)


@pytest.mark.parametrize("rank", [0, 13])
def test_a_rank_that_no_matrix_has_is_refused(rank):
    with pytest.raises(SpecError, match=f"rank from 1 to n = 12, got rank {rank}"):
        factors.target(ALONE, 12, rank)


def test_a_start_at_zero_is_refused():
    with pytest.raises(SpecError, match="must be positive, got 0"):
        factors.start(ALONE, 12, 2, np.array([0.0]))


# --- targets of given strengths -------------------------------------------------------------------


def test_a_target_has_the_strengths_asked_along_directions_of_its_seed():
    left, right = factors.modes(RUNS, 7, (4.0, 2.0, 0.5))
    A = factors.assembled(left, right, (4.0, 2.0, 0.5))
    np.testing.assert_allclose(
        torch.linalg.svdvals(A)[:, :3], np.tile([4.0, 2.0, 0.5], (6, 1)), rtol=1e-10
    )
    np.testing.assert_allclose(torch.linalg.svdvals(A)[:, 3:], 0, atol=1e-12)
    np.testing.assert_allclose(
        factors.held(A, left, right), np.tile([4.0, 2.0, 0.5], (6, 1)), rtol=1e-10
    )
    assert torch.equal(factors.modes(ALONE, 7, (4.0, 2.0, 0.5))[0][0], left[4])
    with pytest.raises(SpecError, match="rank from 1 to n = 2, got 3 strengths"):
        factors.modes(RUNS, 2, (4.0, 2.0, 0.5))


@pytest.mark.parametrize("free", [False, True])
def test_modes_are_followed_without_changing_what_is_trained(free, bench):
    left, right = factors.modes(RUNS, 5, (2.0, 1.0))
    loss = factors.square(factors.assembled(left, right, (2.0, 1.0)))

    def trained(follow, steps):
        params = factors.start(RUNS, 5, 5, SCALES)
        group = factors.gradient_descent(
            RUNS, factors.freed(params) if free else params, loss, lr=np.full(6, 0.1)
        )
        group = factors.followed(group, left, right) if follow else group
        return fit(
            [group], lambda step: None, steps=steps, probe_at=range(1, steps + 1), bench=bench
        )[0]

    plain, followed, shorter = trained(False, 20), trained(True, 20), trained(False, 7)
    for name, x in plain.tensors.items():
        assert torch.equal(x, followed.tensors[name])
    np.testing.assert_array_equal(plain.history["loss"], followed.history["loss"])
    after_seven = np.stack([followed.history[f"mode{k}"][:, 7] for k in (0, 1)], -1)
    np.testing.assert_allclose(
        after_seven, factors.held(factors.product(shorter.tensors), left, right), rtol=1e-12
    )
