"""An arm or a control that has exactly the numbers of the baseline in some units was not changed
there, which a verdict says."""

import numpy as np
import pandas as pd
import pytest

import assay


def table(stale=(), count=0, effect=-0.1, seed=1, decimals=4):
    """A circuit that lowers a lead by 1, a control and a baseline, on 40 prompts; `stale` arms have
    the number of the baseline in the last prompts."""
    draw, frames = np.random.default_rng(seed), []
    lead = draw.normal(3, 1, 40)
    for arm, by in (("base", 0.0), ("circuit", -1.0), ("random", effect)):
        x = lead + (by + draw.normal(0, 0.35, 40)) * (arm != "base")
        x = np.where((arm in stale) & (np.arange(40) >= 40 - count), lead, x)
        frames.append(pd.DataFrame({"arm": arm, "prompt": range(40), "lead": x.round(decimals)}))
    return pd.concat(frames, ignore_index=True)


def judged(rows, **more):
    claim = "circuit.lead - base.lead < -0.4"
    return assay.judge(
        rows, claim=claim, unit="prompt", control="random", about="circuit", distinct=True, **more
    )


def test_a_control_that_was_changed_in_few_units_is_none_in_the_others():
    verdict = judged(table(["random"], 32, effect=-1.0))
    assert verdict.outcome == "holds"
    assert verdict.unless == "random was not changed in 32 of 40 prompts"
    rows = table(["random"], 32, effect=-1.0).set_index(["arm", "prompt"])["lead"]
    number = (rows["random"] - rows["base"])[:8].mean()
    (note,) = [x for x in verdict.notes if "rules nothing out" in x]
    assert f"In the others, the number is {number:.1f} [" in note


def test_an_arm_that_was_changed_in_some_units_is_no_two_kinds_of_units():
    verdict = judged(table(["circuit"], 16))
    assert "clusters" not in verdict.warning
    (note,) = [x for x in verdict.notes if "was it changed" in x]
    assert note.startswith("in 16 of 40 prompts, circuit has exactly the number of base")
    assert not verdict.unless  # it would hold in the others, too


def test_no_effect_that_holds_only_where_nothing_was_changed_is_in_doubt():
    rows = table(["circuit"], 37)
    verdict = assay.judge(
        rows, claim="-0.3 < circuit.lead - base.lead < 0.3", unit="prompt", about="circuit"
    )
    assert verdict.outcome != "holds" or verdict.unless.startswith("circuit was not changed in 37")


@pytest.mark.parametrize("decimals", [0, 1])
def test_coarse_numbers_are_equal_by_chance(decimals):
    for seed in range(5):
        verdict = judged(table(decimals=decimals, seed=seed))
        assert not any("was it changed" in x for x in verdict.notes)


def test_right_answers_of_both_are_not_unchanged():
    draw, rows = np.random.default_rng(0), table()
    right = draw.binomial(20, 0.8, len(rows)) / 20
    verdict = judged(rows.assign(lead=right))
    assert not any("was it changed" in x for x in verdict.notes)
