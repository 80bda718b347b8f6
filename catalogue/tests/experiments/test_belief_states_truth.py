"""How belief-states trains and measures: batches and targets by hand, resume, one run alone,
planted streams through the whole of it."""

import numpy as np
import pytest
import torch

from assay.core.errors import DataError, SpecError
from assay.core.runs import Runs
from assay_catalogue.experiments import belief_states as b
from assay_catalogue.experiments.belief_states import method as b_method
from assay_catalogue.experiments.belief_states import probes as b_probes
from assay_catalogue.experiments.belief_states.claims import level
from assay_catalogue.worlds.networks.transformer import Sizes, forward, transformer

SMALL = b.experiment.smoke[0]


class Killed(Exception):
    pass


def test_the_loss_is_the_mean_over_sequences_and_positions(bench):
    runs = Runs([SMALL.replace(steps=1, moments=())])
    trained = b_method.train(runs, bench)
    s = SMALL
    params = transformer(
        runs.seeds,
        Sizes(layers=4, d=s.d, heads=1, d_head=s.d_head, d_mlp=s.d_mlp, context=s.context, vocab=2),
    )
    process = b_probes.emitting_process("rrxor", 0.05, 0.85)
    tokens = process.sequences(runs.seeds, s.batch, s.context)(0)
    follows = process.tree(s.context).predicted[process.tree(s.context).rows(tokens)[0]]
    log_q = forward(params, torch.from_numpy(tokens))[0].log_softmax(-1)[0].numpy()
    assert trained.history["loss"][0, -1] == pytest.approx(
        -(follows * log_q).sum(-1).mean(), abs=1e-5
    )


@pytest.mark.parametrize("whole", [False, True])
def test_alone_is_as_among_others(bench, whole):
    specs = [SMALL.replace(seed=s, steps=50, moments=(), whole=whole) for s in (3, 4, 5)]
    together, alone = b_method.train(Runs(specs), bench), b_method.train(Runs(specs[1:2]), bench)
    np.testing.assert_allclose(together.history["loss"][1], alone.history["loss"][0], atol=1e-5)
    for name, value in alone.tensors.items():
        torch.testing.assert_close(together.tensors[name][1], value[0], atol=1e-4, rtol=1e-3)


def test_a_killed_training_goes_on_bitwise(tmp_path, bench, plain_bench, plain_slot, monkeypatch):
    runs = Runs([SMALL.replace(seed=s, steps=20, moments=(0.0, 0.5, 1.0)) for s in (3, 4)])
    whole = b_method.train(runs, plain_bench(tmp_path, [plain_slot()]))
    slot, draw = plain_slot(every=1), b_method.batches

    def until(runs):
        batch = draw(runs)

        def stops(step):
            if step == 13:
                raise Killed
            return batch(step)

        return stops

    monkeypatch.setattr(b_method, "batches", until)
    with pytest.raises(Killed):
        b_method.train(runs, plain_bench(tmp_path, [slot]))
    monkeypatch.setattr(b_method, "batches", draw)
    resumed = b_method.train(runs, plain_bench(tmp_path, [plain_slot(saved=slot.saved)]))
    for name, value in whole.tensors.items():
        assert torch.equal(resumed.tensors[name], value), name
    assert torch.equal(
        whole.tensors["W_in/at"][:, -1], whole.tensors["W_in"]
    )  # the last moment is the end, the first the start
    assert torch.equal(
        whole.tensors["W_in/at"][:, 0],
        b_method.train(Runs([s.replace(steps=0, moments=()) for s in runs]), bench).tensors["W_in"],
    )


@pytest.mark.parametrize("spec", [SMALL, pytest.param(b.DEFAULT, marks=pytest.mark.thorough)])
def test_planted_streams_are_read_and_noise_is_not(spec, bench):
    found = {}
    for read in ("planted", "noise"):
        runs = Runs([spec.replace(steps=0, moments=(), read=read, d=16)])
        arm = b_method.measure(runs, b_method.train(runs, bench), bench)
        found[read] = level(arm, "ending"), level(arm, "prefix")
    assert all((x > 0.95).all() for x in found["planted"])
    assert all((x < 0).all() for x in found["noise"])


def test_what_arms_set_is_refused_before_anything_is_trained():
    for name, value in {"process": "mess3", "read": "tokens", "replicate": 1}.items():
        with pytest.raises(SpecError, match=f"BeliefStates.{name} is for arms to set"):
            b.experiment.specs_of(
                "main", tuple(s.replace(**{name: value}) for s in b.experiment.smoke)
            )


@pytest.mark.thorough
def test_a_probe_beside_the_kernel_reads_what_it_leaves_over_and_nothing_from_noise(bench):
    found = {}
    for read in ("planted", "noise", "tokens"):
        runs = Runs(
            [
                b.SMALL.replace(seed=s, steps=0, moments=(), read=read, probed=8, context=8)
                for s in (3, 4)
            ]
        )
        found[read] = b_method.measure(runs, b_method.train(runs, bench), bench)
    kernel = level(found["tokens"], "ending", "kernel")
    assert kernel[0] != kernel[1]  # each seed draws its folds
    twice = Runs(
        [
            b.SMALL.replace(
                seed=s, steps=0, moments=(), read="tokens", probed=8, context=8, draws=2
            )
            for s in (3, 3 + b_probes.APART)
        ]
    )
    [both, second] = level(
        b_method.measure(twice, b_method.train(twice, bench), bench), "ending", "last 2"
    )
    alone = Runs([twice.specs[1].replace(draws=1), twice.specs[0].replace(draws=1)])
    assert both == pytest.approx(
        level(
            b_method.measure(alone, b_method.train(alone, bench), bench), "ending", "last 2"
        ).mean(),
        abs=1e-5,
    )
    assert both != second
    planted, noise = (
        level(found[read], "ending", "concat + kernel") for read in ("planted", "noise")
    )
    assert (planted > 0.9).all() and (planted > kernel + 0.5).all()
    assert (noise < kernel + 0.1).all()  # what shrinking the predictions of a small kernel is worth


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"process": "mess3", "alpha": 1.2}, DataError, "0 ≤ alpha ≤ 1"),
        ({"process": "mess3", "x": 0.7}, DataError, "0 < x ≤ 1/2"),
        ({"probed": 11}, SpecError, "more than the network reads, context=10"),
        ({"lr": 0.0}, SpecError, "BeliefStates.lr must be positive, got 0"),
        ({"d_mlp": 0}, SpecError, "d_mlp must be at least 1"),
        ({"process": "even"}, SpecError, "rrxor"),
    ],
)
def test_impossible_specs(fields, error, told):
    with pytest.raises(error, match=told):
        b.DEFAULT.replace(**fields)
