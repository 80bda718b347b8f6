"""Planted worlds for superposition-phase: states of models over the grid, their losses, and how
suddenly a feature goes.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from planted_arms import planted_arms

from assay.core.bench import Unkept
from assay.core.errors import SpecError
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.experiments import superposition_phase as phases
from assay_catalogue.experiments.superposition_phase import Phase, experiment
from assay_catalogue.worlds.bottleneck import phase

OF = {"main-half": "main", "diagram": "main"}


@dataclass(frozen=True)
class World:
    """Per arm: the states of its models, by how much they miss the least loss, and how far the
    lesser feature falls at once."""

    state: dict = field(
        default_factory=lambda: {
            "main": "as predicted",
            "linear": "ignored",
            "equal": "as predicted",
        }
    )
    excess: dict = field(default_factory=lambda: {"main": 0.001, "linear": 2.0, "equal": 0.001})
    falls: dict = field(default_factory=lambda: {"main": 0.7, "linear": 0.0, "equal": 0.3})
    edge: str = "theory"
    """Where the predicted boundary lies: as theory says, at 4/7 in every "row alike", or out of
    sight, one state in each "row whole"."""
    lucky: bool = False
    """Whether the first start of every group is as good as the others."""

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        of, rng = OF.get(arm, arm), np.random.default_rng(stream)
        p, r = np.array(runs.shared.densities), runs.each("relative")[:, None]
        shape = (len(runs), len(p))
        edges = {
            "theory": phase.boundary(r),
            "row alike": np.full_like(r, 4 / 7),
            "row whole": np.where(r < 0.2, 1e-9, 1e9),
        }
        edge = edges[self.edge]
        predicted = np.where(abs(np.log(p / edge)) > 0.1, (p > edge).astype(float), np.nan)
        first = (runs.seeds - experiment.default[0].seed) % phases.GROUP == 0  # of its group
        bad = first[:, None] & (not self.lucky)
        missed = bad & (rng.uniform(size=shape) < 0.7) | (rng.uniform(size=shape) < 0.001)
        state = np.where(
            missed, 2, (p > edge).astype(int) if self.state[of] == "as predicted" else 1
        )
        least = np.broadcast_to(
            np.minimum(phase.superposed_loss(p, r), phase.kept_loss(p, r)), shape
        )
        over = np.where(bad, 0.3, self.excess[of]) * rng.uniform(0.9, 1.2, shape)
        fallen = np.clip(
            0.9 - self.falls[of] * (p > edge) - 0.02 * rng.uniform(size=shape), 0, None
        )
        return measures(
            runs,
            coords={"density": runs.shared.densities},
            exact=("run density", least * (1 + over), "squared input"),
            least=("run density", least, "squared input"),
            lesser=("run density", fallen, "1"),
            label=("run density", state, "state"),
            predicted=("run density", predicted, "state"),
        )


WORLD = World()


def with_(**fields):
    """The world with these arms' entries changed."""
    return replace(
        WORLD, **{name: getattr(WORLD, name) | entries for name, entries in fields.items()}
    )


LUCKY = replace(WORLD, lucky=True)
# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Where theory decides": (
        with_(state={"main": "ignored"}),
        {"blind": replace(WORLD, edge="row alike"), "by-row": replace(WORLD, edge="row whole")},
    ),
    "The best of eight": (
        with_(excess={"main": 0.05}),
        {"linear": with_(excess={"linear": 0.001}), "single": LUCKY},
    ),
    "At a relative importance": (
        with_(falls={"main": 0.3}),
        {"equal": with_(falls={"equal": 0.75}), "linear": with_(falls={"linear": 0.75})},
    ),
}


def test_best_of_eight_needs_eight():
    with pytest.raises(SpecError, match="needs at least 8 seeds, got 1") as error:
        experiment.specs_of(
            "main", tuple(s for s in experiment.default if s.seed == experiment.default[0].seed)
        )
    assert "\n" not in str(error.value)


def test_a_single_start_is_the_first_of_its_group():
    arms = WORLD.arms()
    main, one = phases.by(arms["main"], "relative"), phases.by(arms["single"], "relative")
    for name in ("label", "exact"):
        assert (
            one[name].values == np.repeat(main[name].values[:: phases.GROUP], phases.GROUP, axis=0)
        ).all()


def test_where_a_length_falls_to_a_half():
    assert phases.crossing(np.array([0.0, 1.0, 2.0]), np.array([0.9, 0.7, 0.3])) == pytest.approx(
        1.5
    )
    assert np.isnan(phases.crossing(np.array([0.0, 1.0]), np.array([0.9, 0.7])))
    assert np.isnan(phases.crossing(np.array([0.0, 1.0]), np.array([0.2, 0.1])))


def test_measured_truth_of_the_best_possible_models():
    runs = Runs([Phase(relative=r, densities=(0.1, 0.3)) for r in (0.25, 1.0, 4.0)])
    W = torch.tensor([[1.0], [-1.0]]).expand(3, 2, 2, 1)

    class Best:
        tensors = {"W": W, "b": torch.zeros(3, 2, 2)}  # noqa: RUF012
        steps, history = np.array([1]), {"loss": np.zeros((3, 1))}

    data = phases.measure(runs, Best(), Unkept())
    for i, r in enumerate((0.25, 1.0, 4.0)):
        for j, p in enumerate((0.1, 0.3)):
            assert data.exact.values[i, j] == pytest.approx(phase.superposed_loss(p, r), rel=1e-9)
    assert (
        (data.least <= data.exact + 1e-9).all()
        and (data.lesser == 1).all()
        and (data.label == 0).all()
    )
    np.testing.assert_allclose(
        data.least.values[2], 4 * data.least.values[0], rtol=1e-6
    )  # the mirror image
    assert (
        data.optimal_boundary.values[0]
        == data.optimal_boundary.values[2]
        == pytest.approx(0.339, abs=2e-3)
    )
    np.testing.assert_array_equal(data.predicted.values, [[0, np.nan], [0, 0], [0, np.nan]])


def test_densities_train_as_if_alone():
    one, three = (
        Runs([Phase(steps=50, densities=p, relative=0.5, seed=s) for s in (3, 4)])
        for p in ((0.3, 0.9), (0.1, 0.3, 0.9))
    )
    alone, together = (phases.train(runs, Unkept()) for runs in (one, three))
    torch.testing.assert_close(
        together.tensors["W"][:, 1:], alone.tensors["W"], rtol=1e-5, atol=1e-6
    )


@pytest.mark.slow
def test_trained_models_reach_the_exact_optimum_on_either_side():
    runs = Runs([Phase(relative=0.25, densities=(0.1, 0.6), seed=s) for s in range(8)])
    data = phases.measure(runs, phases.train(runs, Unkept()), Unkept())
    best = data.exact.min("run") / data.least.isel(run=0)
    assert best.values.max() < 1.02
    assert data.label.values[data.exact.argmin("run").values, [0, 1]].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"densities": (0.1, 1.5)},
            "each of Phase.densities must be above 0 and at most 1, got 1.5",
        ),
        ({"densities": (0.0, 0.5)}, "each of Phase.densities must be above 0 and at most 1, got 0"),
        ({"densities": (0.5, 0.1)}, "ascending"),
        ({"densities": (0.5,)}, "two or more"),
        ({"relative": 0.0}, "relative must be positive, got 0"),
        ({"lr": -1.0}, "lr must be positive"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_bad_input_is_one_clear_line(fields, told):
    with pytest.raises(SpecError, match=told) as error:
        Phase(**fields)
    assert "\n" not in str(error.value)
