"""A column that both sides of a correlation follow, against the textbook formula of a partial
correlation."""

import numpy as np
import pytest

import assay


def judged(x, y, text="corr(x, y) > 0.5", **columns):
    table = {"neuron": [*range(len(x))], "x": x, "y": y, **columns}
    return assay.judge(table, claim=text, unit="neuron")


def test_a_column_that_both_sides_follow_may_be_the_cause():
    of = np.random.default_rng(0)
    z = of.normal(size=80)
    x, y = z + 0.3 * of.normal(size=(2, 80))
    found = judged(x, y, mean_act=z, other=of.normal(size=80))
    xy, xz, yz = np.corrcoef([x, y, z])[np.triu_indices(3, 1)]
    partial = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert found.outcome == "holds"
    assert found.unless == "mean_act is the cause, which both columns follow"
    (note,) = (n for n in found.notes if "both x and y follow mean_act" in n)
    assert f"the correlation is {partial:.2f} [" in note
    unsure = judged(x, y, f"corr(x, y) > {xy:.3f}", mean_act=z)  # more units would not help
    assert (unsure.outcome, unsure.unless) == ("undecided", "")
    assert any("both x and y follow mean_act" in n for n in unsure.notes)


def test_a_column_that_one_side_follows_is_no_cause():
    of = np.random.default_rng(1)
    x = of.normal(size=80)
    y = x + 0.5 * of.normal(size=80)
    found = judged(x, y, of_x=x + of.normal(size=80), other=of.normal(size=80))
    assert (found.outcome, found.unless) == ("holds", "")
    assert not any("follow" in note for note in found.notes)


def test_a_side_of_few_values_follows_a_column_as_well():
    """Counts of 1 to 4 that depend on the density, as a score does, and not on each other."""
    of = np.random.default_rng(2)
    density = of.normal(size=300)
    children = np.clip(np.round(2 + density + of.normal(size=300)), 1, 4)
    score = density + 0.8 * of.normal(size=300)
    found = judged(score, children, "corr(x, y) > 0.2", density=density)
    assert found.outcome == "holds"
    assert found.unless == "density is the cause, which both columns follow"


@pytest.mark.parametrize(("error", "doubted"), [(1.0, True), (0.05, False)])
def test_an_error_of_one_side_that_is_in_the_other_is_no_relation(error, doubted):
    """What a difference and its own part have in common is the error of the part, unless units of
    less really gain more."""
    of = np.random.default_rng(3)
    able = of.normal(size=200)
    before = able + error * of.normal(size=200)
    after = (1.0 if doubted else 0.3) * able + 0.5 + error * of.normal(size=200)
    gain = after - before
    found = assay.judge(
        {"item": [*range(200)], "before": before, "after": after, "gain": gain},
        claim="corr(before, gain) < -0.3",
        unit="item",
    )
    assert found.outcome == "holds"
    said = "an error of before, which is in gain, is the cause"
    assert found.unless == said * doubted
    mean = np.corrcoef(gain, before + after)[0, 1]
    notes = [n for n in found.notes if f"the mean of after and before, it is {mean:.3f}"[:-2] in n]
    assert len(notes) == doubted
