"""Arms that were not measured alike are named where a claim about their difference would hold."""

import numpy as np
import pandas as pd
import pytest

import assay
from assay.core.errors import DataError


def table(unit="prompt", name="lead", **columns):
    """Two arms on 40 units; each column has the numbers of `mine` and of `base`."""
    mine, base = columns.pop("numbers")
    frames = [
        pd.DataFrame({"arm": arm, unit: range(len(mine)), name: x})
        for arm, x in (("mine", mine), ("base", base))
    ]
    for column, values in columns.items():
        for frame, x in zip(frames, values, strict=True):
            frame[column] = x
    return pd.concat(frames)


def judged(rows, threshold="> 0.2", unit="prompt", name="lead"):
    claim = f"mine.{name} - base.{name} {threshold}"
    return assay.judge(rows, claim=claim, unit=unit, about="mine", distinct=True)


def test_the_best_of_several_layers_for_each_prompt_is_named():
    """No layer has an effect, and the maximum of eight draws lies above one draw."""
    rng = np.random.default_rng(0)
    each = rng.normal(0, 1, (40, 1)) + rng.normal(0, 0.5, (40, 9))
    chosen = {"numbers": (each[:, :8].max(1), each[:, 8])}
    rows = table(**chosen, layer=(each[:, :8].argmax(1), 12))
    verdict = judged(rows)
    assert verdict.outcome == "holds"
    assert verdict.unless == "layer was chosen for each prompt by its result"
    # the same layers in both arms are no choice of one of them
    assert not judged(table(**chosen, layer=(each[:, :8].argmax(1),) * 2)).unless
    # and a column that is no setting may be a result
    assert not judged(table(**chosen, hits=(each[:, :8].argmax(1), 12))).unless


@pytest.mark.parametrize(("number", "named"), [(0.4171, True), (0.25, False), (0.333, False)])
def test_one_number_for_all_seeds_of_an_arm_is_named_if_it_is_not_of_chance(number, named):
    mine = np.random.default_rng(1).normal(0.8, 0.02, 8)
    rows = table("seed", numbers=(mine, np.full(8, number)))
    verdict = judged(rows, unit="seed")
    assert verdict.outcome == "holds"
    assert verdict.unless == ("lead of base was copied from one seed to others" if named else "")


def test_three_runs_that_are_used_for_twelve_seeds_are_named():
    rng = np.random.default_rng(1)
    mine, base = rng.normal(0.8, 0.02, 12), np.tile(rng.normal(0.4, 0.02, 3), 4)
    verdict = judged(table("seed", numbers=(mine, base)), unit="seed")
    assert verdict.unless == "lead of base was copied from one seed to others"
    assert any("base has 3 different numbers in 12 seeds" in note for note in verdict.notes)
    # numbers that both arms round are no copies
    rounded = table("seed", numbers=(mine.round(1), base.round(1)))
    assert not judged(rounded, unit="seed").unless


def test_losses_of_opposite_signs_are_refused():
    loss = np.random.default_rng(2).gamma(4, 0.5, 40)
    rows = table(name="nll", numbers=(-loss, loss))
    with pytest.raises(DataError, match="negative in all rows of mine and in none of base"):
        judged(rows, "< -0.5", name="nll")
    changes = table(name="nll_change", numbers=(-loss, loss))
    assert judged(changes, "< -0.5", name="nll_change").outcome == "holds"
