"""What grokking-frequencies does to networks: sets stay imposed, a run alone is the run among
others, impossible specs are refused."""

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.runs import Runs
from assay.core.spec import grid
from assay_catalogue.experiments.grokking_frequencies import experiment
from assay_catalogue.experiments.grokking_frequencies import method as module
from assay_catalogue.experiments.grokking_frequencies.method import Frequencies
from assay_catalogue.worlds.modular import spectrum

SMALL = Frequencies(p=23, size=154, width=16, count=3, steps=50)


def confined(*seeds):
    return Runs(grid(SMALL.replace(imposed="bad", confined=True), seed=seeds))


def test_a_confined_embedding_never_leaves_its_set_and_starts_at_full_length():
    runs = confined(3, 4)
    mask = module.drawn_sets(runs, "bad")[0]
    for E in (module.start(runs)["E"], module.train(runs, Unkept()).tensors["E"]):
        power = spectrum.power(E.double()).numpy()
        assert (power[mask == 0] < 1e-10).all() and (power[mask == 1] > 1e-3).all()
        assert E.mean(1).abs().max() < 1e-6
    free = module.start(Runs(grid(SMALL, seed=range(40))))["E"]
    bound = module.start(Runs(grid(SMALL.replace(imposed="bad", confined=True), seed=range(40))))[
        "E"
    ]
    assert bound.square().sum() == pytest.approx(float(free.square().sum()), rel=0.1)


def test_a_run_alone_is_the_run_among_others():
    both, alone = (module.train(runs, Unkept()) for runs in (confined(3, 4), confined(4)))
    for name in ("E", "W1", "W2"):
        assert torch.allclose(both.tensors[name][1:], alone.tensors[name], atol=1e-5)
    assert torch.equal(module.start(confined(3, 4))["E"][1], module.start(confined(4))["E"][0])


def test_doubling_and_turning_change_the_set_alone():
    free = module.start(Runs((SMALL,)))["E"].double()
    runs = Runs((SMALL.replace(imposed="random", factor=2.0),))
    mask = module.drawn_sets(runs, "random")[0]
    doubled = module.start(runs)["E"].double()
    before, after = (spectrum.power(E).numpy() for E in (free, doubled))
    assert after == pytest.approx(before * np.where(mask, 4, 1), rel=1e-5)
    turned = module.start(Runs((SMALL.replace(imposed="random", turned=True),)))["E"].double()
    assert spectrum.power(turned).numpy() == pytest.approx(before, rel=1e-5)
    parts = (
        (spectrum.coefficients(turned) - spectrum.coefficients(free)).square().sum((2, 3)).numpy()
    )
    assert (parts[mask == 0] < 1e-8).all() and (parts[mask == 1] > 1e-4).all()


def test_networks_that_go_on_start_where_they_were_and_may_use_any_frequency():
    runs = confined(3)
    done = module.train(runs, Unkept())
    less = Runs([s.replace(size=80) for s in runs.specs])
    before = Trained(dict(done.tensors), done.header, done.history, done.steps, done.diverged)
    on = module.train_on_fewer(less, Unkept(), before)
    power = spectrum.power(on.tensors["E"].double()).numpy()
    assert (power[module.drawn_sets(runs, "bad")[0] == 0] > 1e-8).any()
    seen = module.measure(less, on, Unkept())
    assert 0 <= float(seen.start[0]) <= 1


def test_measures_agree_with_one_network_looked_at_by_itself():
    runs = Runs(grid(SMALL, seed=(0, 1)))
    seen = module.measure(runs, done := module.train(runs, Unkept()), Unkept())
    A = spectrum.amplitudes({n: done.tensors[n][1:] for n in ("E", "W1", "W2")})[0].numpy()
    assert seen.used.values[1].tolist() == (A / A.max() > 0.1).tolist()
    norm = sum(float(done.tensors[n][1].double().square().sum()) for n in ("E", "W1", "W2"))
    assert float(seen.norm[1]) == pytest.approx(norm, rel=1e-6)
    assert float(seen.size_used[1]) == pytest.approx(
        (np.clip(A, 0, None) ** (2 / 3)).sum(), rel=1e-6
    )


def test_every_preset_has_specs_for_every_arm():
    for preset in ("smoke", "default"):
        for arm, a in experiment.arms.items():
            if a.train is not None:
                assert experiment.specs_of(arm, experiment.preset(preset)), arm


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"p": 51}, "p must be an odd prime, got 51; nearest 47 and 53"),
        ({"count": 27}, "there are 26 frequencies at modulus 53, got 27"),
        ({"size": 1432}, "there are 1,431 pairs at p=53, got 1,432"),
        ({"decay": -1e-5}, "decay must be at least 0, got -1e-05"),
        ({"confined": True}, "act on an imposed set"),
        ({"factor": 2.0}, "act on an imposed set"),
        ({"imposed": "worst"}, "imposed must be one of 'none'"),
        ({"steps": 1}, "at least 2, got 1"),
    ],
)
def test_impossible_specs_are_refused_in_one_line(fields, said):
    with pytest.raises(SpecError, match=said) as e:
        Frequencies(**fields)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"what": "labels"},
            "Frequencies.what is for arms to set: leave it at 'sums', got 'labels'",
        ),
        (
            {"imposed": "good"},
            "Frequencies.imposed is for arms to set: leave it at 'none', got 'good'",
        ),
        (
            {"size": "700,800"},
            "a preset has one Frequencies.size, of which arms make others, got 700, 800",
        ),
        (
            {"size": 1},
            (
                "other arms' sizes are shares of Frequencies.size, which must be at least 16 for "
                "them to differ, got 1"
            ),
        ),
        (
            {"size": 8},
            (
                "other arms' sizes are shares of Frequencies.size, which must be at least 16 for "
                "them to differ, got 8"
            ),
        ),
    ],
)
def test_what_arms_cannot_be_made_of_is_refused_before_training(fields, said):
    from assay.lab.plan.preset import override

    with pytest.raises(SpecError) as e:
        override(experiment, "default", [f"{name}={value}" for name, value in fields.items()])
    assert str(e.value) == said
    assert override(experiment, "default", ["size=16"])
