"""Every claim of mamba-induction can hold, can fail, and can be made unspecific by its controls;
planted measures, nothing trained."""

from dataclasses import dataclass, field

import numpy as np
from named_claims import outcome_of

from assay.core import Exact, Runs
from assay.core.estimates import verify
from assay.core.measures import by, measures
from assay_catalogue.experiments.mamba_induction import experiment
from assay_catalogue.experiments.mamba_induction.claims import standing, tuned
from assay_catalogue.experiments.mamba_induction.method import CONV, WRITE, moments

ERROR = {"main": 0.08, "half": 0.09, "frozen": 0.6, "no-conv": 0.62, "untrained": 0.97}
"""At the best rate."""
HIGH = {"main": 0.4, "half": 0.4, "frozen": 0.62, "no-conv": 0.64, "untrained": 0.97}
"""At the highest."""
RESTORED = dict(zip((*WRITE, *CONV), (0.0, 0.9, 0.0, 0.1, 0.0, 0.01, 0.95, 0.0), strict=True))
LLC = {"along": (5.0, 15.0), "along-frozen": (5.0, 6.0)}
"""Before recall appears, and at the end."""
UNTRAINED = dict.fromkeys(RESTORED, 0.2)


@dataclass(frozen=True)
class World:
    """Shares of wrong answers, and what patches restore, where they differ from those above."""

    error: dict = field(default_factory=dict)
    high: dict = field(default_factory=dict)
    restored: dict = field(default_factory=dict)
    untrained: dict = field(default_factory=dict)
    deviation: float = 3e-7

    def arms(self) -> dict:
        made = {arm: self.measures(arm, i) for i, arm in enumerate(ERROR)}
        made |= {arm: self.along(arm, 10 + i) for i, arm in enumerate(LLC)}
        return made | {
            name: arm.derive(made) for name, arm in experiment.arms.items() if arm.derive
        }

    def along(self, arm: str, stream: int):
        """Recall appears after the fourth of six states; then the learning coefficient rises, or
        does not."""
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng = np.random.default_rng(stream)
        before, end = LLC[arm]
        llc = np.array(
            [before - 2, before - 1, before, before, (before + end) / 2, end]
        ) * rng.lognormal(0, 0.1, (len(runs), 6))
        wrong = np.tile(
            [0.9, 0.7, 0.66, 0.6, 0.3, 0.1] if arm == "along" else [0.9, *[0.7] * 5], (len(runs), 1)
        )
        return measures(
            runs,
            coords={"moment": moments(runs.shared.steps)},
            llc=("run moment", llc, "1"),
            moved=("run moment", 0 * llc, "1"),
            at=("run moment", wrong, "nats"),
            wrong=("run moment", wrong, "share"),
        )

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng = np.random.default_rng(stream)
        best, high = (ERROR | self.error)[arm], (HIGH | self.high)[arm]
        level = np.array(
            [
                {0.004: min(1.2 * best, 0.98), 0.01: best, 0.025: max(high, best)}[s.lr]
                for s in runs.specs
            ]
        )
        odds = level / (1 - level) * rng.lognormal(0, 0.05, len(runs))
        shares = UNTRAINED | self.untrained if arm == "untrained" else RESTORED | self.restored
        shares = {
            patch: share for patch, share in shares.items() if arm != "no-conv" or patch in WRITE
        }
        if arm == "frozen":
            shares = dict.fromkeys(shares, 0.3)
        restored = np.array(list(shares.values())) + 0.02 * rng.normal(
            size=(len(runs), len(shares))
        )
        time = np.linspace(0, 1, 60)
        loss = (
            4
            - 2 / (1 + np.exp(40 * (0.1 - time)))
            - (1.5 / (1 + np.exp(60 * (0.6 - time))) if arm in ("main", "half") else 0)
        )
        return measures(
            runs,
            coords={"patch": list(shares), "step": range(60)},
            error=("run", odds / (1 + odds), "share"),
            held_out=("run", level * rng.lognormal(0, 0.01, len(runs)), "share"),
            restored=("run patch", restored, "share"),
            deviation=("run", np.full(len(runs), self.deviation), "relative"),
            loss=("run step", np.tile(loss, (len(runs), 1)), "nats"),
        )


WORLD = World()

# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "One block recalls": (
        World(error={"main": 0.65, "half": 0.65}, high={"main": 0.7, "half": 0.7}),
        {arm: World(error={arm: 0.1}) for arm in ("frozen", "no-conv", "untrained")},
    ),
    "With a selective scan the window": (
        World(high={"main": 0.09, "half": 0.1}),
        {"frozen": World(high={"frozen": 0.9})},
    ),
    "The value is kept where it stood": (
        World(restored={"write at the value": 0.9, "write 1 later": 0.1}),
        WORLD,
        {
            "write-next": World(restored={"write at the value": 0.9, "write 1 later": 0.8}),
            "untrained": World(
                restored={"write at the value": 0.9, "write 1 later": 0.1},
                untrained={"write at the value": 0.8},
            ),
        },
    ),
    "The convolution binds the pair at once": (
        World(restored={"conv at the value": 0.9, "conv 1 later": 0.1}),
        WORLD,
        {
            "conv-key": World(
                restored={"conv at the value": 0.9, "conv 1 later": 0.1, "conv at the key": 0.8}
            ),
            "conv-next": World(restored={"conv at the value": 0.9, "conv 1 later": 0.8}),
            "untrained": World(
                restored={"conv at the value": 0.9, "conv 1 later": 0.1},
                untrained={"conv at the value": 0.8},
            ),
        },
    ),
    "The value is kept one token late": (
        World(restored={"write 1 later": 0.3}),
        {
            "write-here": World(restored={"write at the value": 0.8}),
            "write-second": World(restored={"write 2 later": 0.8}),
            "untrained": World(untrained={"write 1 later": 0.8}),
        },
    ),
    "The pair is bound one token late": (
        World(restored={"conv 1 later": 0.3}),
        {
            "conv-here": World(restored={"conv at the value": 0.8}),
            "conv-second": World(restored={"conv 2 later": 0.8}),
            "untrained": World(untrained={"conv 1 later": 0.8}),
        },
    ),
}


def test_the_rate_is_chosen_by_other_sequences_than_those_that_are_judged():
    arm = WORLD.measures("main", 0)
    lucky = arm.copy(deep=True)
    lucky["error"].loc[{"run": arm.lr == 0.025}] = 0.001  # which the choice cannot see
    assert np.allclose(tuned(lucky, "error"), tuned(arm, "error"))
    other = arm.copy(deep=True)
    other["held_out"].loc[{"run": arm.lr == 0.004}] = 0.0001
    assert (tuned(other, "error").values == arm.error[arm.lr == 0.004].values).all()


def test_a_value_that_still_moves_at_half_length_is_not_converged():
    assert outcome_of(
        experiment, "One block recalls", World(error={"main": 0.35, "half": 0.1}).arms()
    ) == ("undecided", "gate converged")


def test_the_learning_coefficient_is_told_where_recall_is_not_there_yet_and_at_the_end():
    found = {
        f.text: f.value(WORLD.arms())
        for f in experiment.claims
        if f.text.startswith("Learning coefficient")
    }
    for block, arm in (("whole blocks", "along"), ("time-invariant scans", "along-frozen")):
        table = by(WORLD.along(arm, 10 + list(LLC).index(arm)))
        last = table.llc.isel(
            moment=3 if arm == "along" else -1
        )  # what never recalls does not at the end either
        assert np.array_equal(
            found[
                f"Learning coefficient, {block}: the last state kept that does not recall"
            ].values,
            last.values,
        )
        assert np.array_equal(
            found[f"Learning coefficient, {block}: the end of training"].values,
            table.llc.values[:, -1],
        )
    arm = WORLD.along("along", 10)
    assert np.array_equal(
        standing(arm.assign(wrong=0 * arm.wrong)).values, arm.llc.values[:, 0]
    )  # the first, where all states recall


def test_steps_to_a_share_of_the_loss_are_those_at_the_one_rate():
    """Planted: half of 4 at a tenth of the way, a quarter where a second fall is half over, and
    never in time-invariant scans."""
    steps = {
        f.text: f.value(WORLD.arms()).values
        for f in experiment.claims
        if f.text.startswith("Steps until")
    }
    half, quarter, frozen = steps.values()
    loss = WORLD.measures("main", 0).loss.values[0]
    assert (half == np.argmax(loss <= loss[0] / 2)).all() and (
        quarter == np.argmax(loss <= loss[0] / 4)
    ).all()
    assert (half < quarter).all() and len(half) == 11 and len(frozen) == 6
    flat = World().arms()
    flat["main"] = flat["main"].assign(loss=flat["main"].loss * 0 + 4)
    assert all(
        np.isnan(f.value(flat)).all()
        for f in experiment.claims
        if f.text.startswith("Steps until") and "whole" in f.text
    )


def test_what_is_exact():
    [statement] = [e for e in experiment.claims if isinstance(e, Exact)]
    assert [
        verify(statement, world.arms()).outcome for world in (WORLD, World(deviation=1e-3))
    ] == ["exact", "violated"]
