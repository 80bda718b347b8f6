"""Parts of models that have the same numbers in two arms are compared in pairs only if something
about them agrees."""

import numpy as np
import pandas as pd
import pytest

import assay
from assay.core.errors import ClaimError


def table(common, shift=0.0, unit="latent"):
    """Two arms of 80 units of the same numbers, whose columns have this much of their variance in
    common; the score follows from the frequency alone, which is higher in one arm."""
    rng = np.random.default_rng(0)
    frames, shared = [], rng.normal(0, 1, (2, 80))
    for arm, by in (("mine", shift), ("base", 0.0)):
        frequency, largest = np.sqrt(common) * shared + np.sqrt(1 - common) * rng.normal(
            0, 1, (2, 80)
        )
        score = 0.06 * (frequency + by) + rng.normal(0, 0.03, 80) + (shift == 0) * (arm == "mine")
        numbers = {"log_freq": frequency + by, "max_act": largest, "score": score}
        frames.append(pd.DataFrame({"arm": arm, unit: range(80), **numbers}))
    return pd.concat(frames)


def judged(rows, unit="latent", claim="mine.score - base.score > 0.03"):
    return assay.judge(rows, claim=claim, unit=unit, about="mine", distinct=True)


def test_latents_of_two_dictionaries_are_not_compared_in_pairs():
    verdict = judged(table(0, shift=2.0))
    assert verdict.outcome == "holds"
    assert verdict.unless.startswith("log_freq is the cause, which is ")
    assert verdict.n == {"latent": 160}
    named = table(0, shift=2.0)  # as if each had a name of its own
    named["latent"] = named["arm"] + " " + named["latent"].astype(str)
    assert (verdict.low, verdict.high) == (judged(named).low, judged(named).high)


@pytest.mark.parametrize("described", [False, True])
def test_latents_that_have_something_in_common_are_compared_in_pairs(described):
    rows = table(0 if described else 0.6)
    if described:
        rows["explanation"] = [f"text {i % 9}" for i in rows["latent"]]
    assert judged(rows).n == {"latent": 80}


def test_prompts_are_the_same_in_all_arms_whatever_their_numbers():
    assert judged(table(0, unit="prompt"), unit="prompt").n == {"prompt": 80}


def test_a_claim_about_each_latent_says_what_would_show_that_they_are_the_same():
    with pytest.raises(ClaimError, match="add a column that says what each is"):
        judged(table(0), claim="share(mine.score > base.score) > 0.6")


@pytest.mark.parametrize("own", [False, True])
def test_prompts_that_an_arm_drew_for_itself_are_not_those_of_the_same_number(own):
    """What the unchanged model does on a prompt is the same in all arms."""
    rng, frames = np.random.default_rng(0), []
    common = rng.normal(2, 0.8, 80)
    for arm in ("mine", "base"):
        clean = rng.normal(2, 0.8, 80) if own and arm == "mine" else common
        score = clean + (arm == "mine") + rng.normal(0, 0.2, 80)
        numbers = {"prompt": range(80), "clean_lead": clean, "score": score}
        frames.append(pd.DataFrame({"arm": arm, **numbers}))
    assert judged(pd.concat(frames), unit="prompt").n == {"prompt": 160 if own else 80}


@pytest.mark.parametrize("unit", ["latent", "prompt"])
def test_units_that_each_arm_drew_from_thousands_are_not_refused_for_two_of_one_number(unit):
    """What the two of one number are called says nothing of them."""
    rows = table(0, unit=unit)
    rows[unit] += 1078 * (rows["arm"] == "mine")
    named = rows.replace({unit: {1078: 78, 1079: 79}})
    drawn, apart = judged(named, unit=unit), judged(rows, unit=unit)
    assert drawn.n == {unit: 160}
    assert (drawn.low, drawn.high) == pytest.approx((apart.low, apart.high))
    assert drawn.notes[0].startswith(f"only 2 of 80 {unit}s have the same name in mine and base")


def test_arms_with_little_in_common_are_told_first_to_be_compared_as_groups():
    rows = table(0, unit="prompt")
    rows["prompt"] = "p" + (rows["prompt"] + 70 * (rows["arm"] == "mine")).astype(str)
    with pytest.raises(ClaimError, match=r"in all\); to compare the arms as independent groups"):
        judged(rows, unit="prompt")
    numbered = table(0, unit="prompt")
    numbered["prompt"] += 40 * (numbered["arm"] == "mine")
    found = judged(numbered, unit="prompt")  # with half in common, the others are missing
    assert (found.outcome, found.reason) == ("undecided", "grouped by missing numbers")
