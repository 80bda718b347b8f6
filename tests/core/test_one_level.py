"""A claim about the mean over a few levels that is true of one of them alone says so."""

import numpy as np
import pandas as pd
import pytest

import assay

ASK = {"unit": "prompt", "control": "random", "about": "tuned"}
CLAIM = "mean(tuned.score, over=judge) - mean(base.score, over=judge) > 0.3"


def scores(gains):
    """Scores of 30 prompts by judges, of which each prefers the tuned arm by a gain."""
    draw, rows = np.random.default_rng(0), []
    for prompt in range(30):
        for judge, gain in gains.items():
            for arm, x in {"tuned": gain, "base": 0.0, "random": 0.0}.items():
                score = 5 + x + draw.normal(0, 0.2)
                rows.append({"arm": arm, "prompt": prompt, "judge": judge, "score": score})
    return pd.DataFrame(rows)


def test_a_mean_that_one_judge_alone_raises_holds_with_that_reserve():
    rows = scores({"self": 2.0, "gpt": 0.0, "llama": 0.0})
    verdict = assay.judge(rows, claim=CLAIM, **ASK)
    assert verdict.outcome == "holds"
    assert verdict.unless == "judge “self” alone is the cause"
    (note,) = (n for n in verdict.notes if "alone determines" in n)
    rest = rows[rows["judge"] != "self"].groupby("arm")["score"].mean()
    number = float(note.rpartition("the number is ")[2].split()[0])
    assert number == pytest.approx(rest["tuned"] - rest["base"], abs=0.01)
    # of judges that are fixed as well, where none is named in the claim
    fixed = assay.judge(rows, claim="tuned.score - base.score > 0.3", fixed="judge", **ASK)
    assert fixed.unless == verdict.unless


@pytest.mark.parametrize(
    "gains",
    [
        {"self": 0.9, "gpt": 0.5, "llama": 0.4},  # larger by one, and there without it
        {"self": 0.9, "gpt": 0.8, "llama": 0.0},  # without either of two it would fail
    ],
)
def test_judges_that_differ_somewhat_are_no_reserve(gains):
    assert assay.judge(scores(gains), claim=CLAIM, **ASK).unless == ""
