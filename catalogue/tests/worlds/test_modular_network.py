"""The modular network: hand-written gradients against autograd, torch's Adam, resume, and
independence of runs."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from assay.core.errors import SpecError
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec
from assay_catalogue.worlds.modular import addition
from assay_catalogue.worlds.modular import network as net


@dataclass(frozen=True, kw_only=True)
class Adds(Spec):
    size: PerRun[int] = 100


P = 23


def lesson(seeds, sizes, labels=None, p=P):
    seeds = np.asarray(seeds)
    table = addition.sums(p).expand(len(seeds), -1) if labels is None else labels
    return net.Lesson(p, addition.pairs(p), table, addition.order(seeds, p), np.asarray(sizes))


def trained(seeds, sizes, steps, lr, decay, betas=(0.9, 0.98), **options):
    runs = Runs([Adds(seed=s, size=d) for s, d in zip(seeds, sizes, strict=True)])
    params = net.start(runs.seeds, P, 16, 24)
    return net.train(
        runs,
        params,
        lesson(seeds, sizes),
        steps=steps,
        lr=np.asarray(lr),
        decay=np.asarray(decay),
        betas=betas,
        **options,
    )


def by_autograd(seed, size, steps, lr, decay, betas, dtype, p=P):
    """The same training of one run, naively: torch's own Adam, autograd, inputs formed."""
    params = {
        n: v[0].to(dtype).requires_grad_()
        for n, v in net.start(np.array([seed]), p, 16, 24).items()
    }
    chosen = addition.order(np.array([seed]), p)[0, :size]
    a, b = addition.pairs(p)[chosen].T
    y = (a + b) % p
    adam = torch.optim.Adam(params.values(), lr=lr, betas=betas, weight_decay=decay)
    for _ in range(steps):
        adam.zero_grad()
        x = params["E"][a] + params["E"][b]
        out = (x @ params["W1"]).relu() @ params["W2"]
        torch.nn.functional.cross_entropy(out, y).backward()
        adam.step()
    return params


def test_starts_have_variance_one_64th_and_belong_to_their_seed():
    params = net.start(np.array([3, 4]), 53)
    assert {n: tuple(v.shape) for n, v in params.items()} == {
        "E": (2, 53, 64),
        "W1": (2, 64, 64),
        "W2": (2, 64, 53),
    }
    assert net.norm(params).numpy() == pytest.approx(np.full(2, 10880 / 64), rel=0.05)
    assert torch.equal(net.start(np.array([4]), 53)["W1"][0], params["W1"][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_is_autograd_with_torchs_adam_after_20_steps(dtype):
    """Runs of different size, rate, decay and betas in one call, so that padding, sorting and
    stretches are all in use."""
    seeds, sizes = [5, 6, 7, 8], [200, 60, 131, 60]
    lr, decay = [0.01, 0.005, 0.01, 0.01], [3e-5, 3e-5, 0.0, 1e-3]
    betas = np.array([(0.9, 0.98)] * 3 + [(0.9**0.5, 0.98**0.5)])
    ours = trained(seeds, sizes, 20, lr, decay, betas).tensors
    for i, seed in enumerate(seeds):
        theirs = by_autograd(seed, sizes[i], 20, lr[i], decay[i], tuple(betas[i].tolist()), dtype)
        for name in net.NAMES:
            assert ours[name][i].double().numpy() == pytest.approx(
                theirs[name].detach().double().numpy(), abs=2e-5
            ), (i, name)


@pytest.mark.parametrize("sizes", [(435, 300), (203, 193), (385, 384), (192, 1)])
def test_sums_over_many_pairs_are_made_in_parts_that_leave_none_out(sizes):
    """Sizes on both sides of where parts begin, odd ones too; several steps, so that a pair too few
    or twice would show."""
    p, seeds = 29, (1, 2)
    runs = Runs([Adds(seed=s, size=d) for s, d in zip(seeds, sizes, strict=True)])
    rates = np.full(2, 0.01)
    ours = net.train(
        runs,
        net.start(runs.seeds, p, 16, 24),
        lesson(seeds, sizes, p=p),
        steps=5,
        lr=rates,
        decay=0 * rates,
    ).tensors
    for i, seed in enumerate(seeds):
        theirs = by_autograd(seed, sizes[i], 5, 0.01, 0.0, (0.9, 0.98), torch.float64, p)
        for name in net.NAMES:
            assert ours[name][i].double().numpy() == pytest.approx(
                theirs[name].detach().numpy(), abs=2e-5
            ), (i, name)


def test_logits_are_homogeneous_of_degree_three():
    params = {n: v.double() for n, v in net.start(np.array([1]), P).items()}
    scaled = {n: 1.7 * v for n, v in params.items()}
    pairs = addition.pairs(P)
    assert net.logits(scaled, pairs).numpy() == pytest.approx(
        1.7**3 * net.logits(params, pairs).numpy(), rel=1e-12
    )


def test_evaluation_is_a_naive_count():
    seeds, sizes = [1, 2], [50, 200]
    task, params = lesson(seeds, sizes), net.start(np.array([1, 2]), P, 16, 24)
    found = net.evaluate(params, task)
    for r, size in enumerate(sizes):
        right, ce = {True: [], False: []}, []
        chosen = set(task.order[r, :size].tolist())
        for i, (a, b) in enumerate(task.pairs.tolist()):
            x = params["E"][r, a] + params["E"][r, b]
            out = ((x @ params["W1"][r]).relu() @ params["W2"][r]).double()
            right[i in chosen].append(out.argmax().item() == (a + b) % P)
            if i in chosen:
                ce.append(-out.log_softmax(0)[(a + b) % P].item())
        assert found["train"][r].item() == pytest.approx(np.mean(right[True]))
        assert found["test"][r].item() == pytest.approx(np.mean(right[False]))
        assert found["loss"][r].item() == pytest.approx(np.mean(ce), rel=1e-5)
    everything = lesson([1], [276])
    assert net.evaluate({n: v[:1] for n, v in params.items()}, everything)["test"].isnan().all()


def test_a_run_alone_is_the_run_in_a_group():
    seeds, sizes = list(range(10)), [200, 60, 131, 60, 200, 90, 210, 70, 80, 200]
    together = trained(
        seeds, sizes, 50, np.full(10, 0.01), np.full(10, 3e-5), looks=(25, 50)
    ).tensors
    for i in (0, 3, 9):
        alone = trained(
            [seeds[i]], [sizes[i]], 50, np.array([0.01]), np.array([3e-5]), looks=(25, 50)
        ).tensors
        for name in (*net.NAMES, "loss_at", "norm_at", "train_at"):
            assert alone[name][0].numpy() == pytest.approx(
                together[name][i].numpy(), abs=1e-5, rel=1e-5
            ), (i, name)


def test_a_start_is_not_changed_and_no_steps_return_it():
    runs = Runs([Adds(seed=1)])
    params = net.start(runs.seeds, P)
    before = params["E"].clone()
    same = net.train(
        runs, params, lesson([1], [100]), steps=0, lr=np.array([0.01]), decay=np.array([0.0])
    )
    assert torch.equal(same.tensors["E"], before)
    net.train(runs, params, lesson([1], [100]), steps=3, lr=np.array([0.01]), decay=np.array([0.0]))
    assert torch.equal(params["E"], before)


def test_looks_are_the_values_of_a_training_that_ends_there():
    long = trained(
        [1, 2], [60, 200], 30, np.full(2, 0.01), np.full(2, 3e-5), looks=(10, 30)
    ).tensors
    short = trained([1, 2], [60, 200], 10, np.full(2, 0.01), np.full(2, 3e-5)).tensors
    there = net.evaluate(short, lesson([1, 2], [60, 200]))
    assert torch.equal(long["test_at"][:, 0], there["test"])
    assert torch.equal(long["norm_at"][:, 0], net.norm(short))
    assert not long["loss_at"].isnan().any()


def test_confinement_acts_after_every_step_on_the_runs_it_is_told():
    seen = []

    def hold(params, rows):
        seen.append(rows.tolist())
        for i, row in enumerate(rows.tolist()):
            params["E"][i, :, :row] = 0.0

    out = trained(
        [1, 2, 3], [60, 200, 100], 4, np.full(3, 0.01), np.full(3, 0.0), confine=hold
    ).tensors
    for row in range(3):
        assert (out["E"][row, :, :row] == 0).all() and (out["E"][row, :, row:] != 0).all()
    assert seen == [[0, 2, 1]] * 4  # sorted by size


def test_a_killed_training_goes_on_bitwise(plain_bench, plain_slot, tmp_path):
    class Killed(Exception):
        pass

    arguments = ([1, 2, 3], [60, 200, 100], 12, np.full(3, 0.01), np.array([3e-5, 0.0, 3e-5]))
    betas = np.array([(0.9, 0.98), (0.9, 0.98), (0.95, 0.99)])  # two chunks, two calls of fit
    whole = trained(*arguments, betas, looks=(3, 12)).tensors

    steps = []

    def kill(params, rows):
        steps.append(1)
        if len(steps) == 12 + 7:  # in the second chunk
            raise Killed

    slots = [plain_slot(every=2), plain_slot(every=2)]
    with pytest.raises(Killed):
        trained(*arguments, betas, looks=(3, 12), confine=kill, bench=plain_bench(tmp_path, slots))
    assert [slot.saved[0] for slot in slots] == [12, 6]
    again = [plain_slot(saved=slot.saved) for slot in slots]
    resumed = trained(*arguments, betas, looks=(3, 12), bench=plain_bench(tmp_path, again)).tensors
    assert all(torch.equal(resumed[n], whole[n]) for n in whole)


@pytest.mark.parametrize("size", [0, 277])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(SpecError, match=f"1 to 276 of the pairs mod 23, got size={size}"):
        lesson([1], [size])


@pytest.mark.slow
def test_costs_of_memorising_and_generalising_are_those_measured_with_other_code():
    """J of random labels at 200 and 700 pairs .0133 and .0300, of a grokked network at 800 .0211:
    twelve seeds of another program."""
    seeds, sizes = np.arange(9), np.repeat([200, 700, 800], 3)
    runs = Runs([Adds(seed=int(s), size=int(d)) for s, d in zip(seeds, sizes, strict=True)])
    labels = addition.random_labels(seeds, 53)
    labels[6:] = addition.sums(53)
    task = net.Lesson(53, addition.pairs(53), labels, addition.order(seeds, 53), sizes)
    done = net.train(
        runs, net.start(seeds, 53), task, steps=1500, lr=np.full(9, 0.01), decay=np.full(9, 3e-5)
    ).tensors
    found = net.evaluate(done, task)
    cost = (found["loss"] + 1.5e-5 * net.norm(done)).numpy().reshape(3, 3).mean(1)
    assert cost == pytest.approx([0.0133, 0.0300, 0.0211], rel=0.03)
    assert found["train"].min() >= 0.99 and found["test"][6:].min() >= 0.95
