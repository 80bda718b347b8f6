"""Each of several draws of a control is a control, as in a check."""

import numpy as np
import pandas as pd

import assay


def table(rng, effects):
    """One direction that adds 0.8 on average, and a random direction for each effect."""
    base, frames = rng.normal(0, 0.5, 40), list[pd.DataFrame]()
    arms = [("base", 0, 0.0), ("mine", 0, 0.8), *(("random", k, e) for k, e in enumerate(effects))]
    for arm, seed, effect in arms:
        score = base + effect + rng.normal(0, 0.3, 40) * (arm != "base")
        frames.append(pd.DataFrame({"arm": arm, "seed": seed, "prompt": range(40), "score": score}))
    return pd.concat(frames)


ASK = {"claim": "mine.score - base.score > 0.4", "unit": "prompt", "about": "mine"}


def test_draws_without_an_effect_leave_a_claim_that_holds():
    verdict = assay.judge(table(np.random.default_rng(1), np.zeros(10)), control="random", **ASK)
    assert verdict.outcome == "holds" and verdict.controls["random"].draws == 10


def test_seeds_that_all_arms_have_are_averaged():
    rng = np.random.default_rng(2)
    every = pd.concat(table(rng, (0.0,)).assign(seed=k) for k in range(3))
    assert assay.judge(every, control="random", **ASK).controls["random"].draws == 1
