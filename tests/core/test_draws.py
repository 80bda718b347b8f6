"""Each of several draws of a control is a control, as in a check."""

import numpy as np
import pandas as pd
import pytest

import assay
from acceptance.test_draws import ASK, table
from assay.core.errors import ClaimError


def test_a_draw_that_satisfies_the_claim_makes_it_unspecific_though_their_mean_does_not():
    rows = table(np.random.default_rng(0), (-0.9, 0.9, -0.6, 0.6, 0, 0))
    verdict = assay.judge(rows, control={"random": "any direction"}, **ASK)
    assert verdict.outcome == "unspecific"
    satisfy = [n for n, v in verdict.controls.items() if v.outcome == "holds"]
    assert satisfy == ["random (draw 2 of 6)", "random (draw 4 of 6)"]
    # the number of a draw is that of its rows
    means = rows.groupby(["arm", "seed"])["score"].mean()
    second = verdict.controls["random (draw 2 of 6)"].estimate
    assert np.isclose(second, means["random", 1] - means["base", 0])


def of_seeds(rng, seeds, gain):
    """An arm, a baseline with the same seeds, and a control with seeds of its own."""
    frames, own = list[pd.DataFrame](), {"old": range(8), "new": range(8), "again": seeds}
    for arm, every in own.items():
        loss = rng.normal(0, 0.3, len(every)) - gain * (arm == "new")
        frames.append(pd.DataFrame({"arm": arm, "seed": every, "loss": loss}))
    return pd.concat(frames, ignore_index=True)


SEEDS = {"claim": "new.loss - old.loss < -0.4", "unit": "seed", "about": "new"}


def test_a_control_with_seeds_of_its_own_is_paired_in_order():
    for seeds, n in ((range(50, 58), 8), (range(50, 56), 6), (range(50, 60), 8)):
        rows = of_seeds(np.random.default_rng(3), seeds, gain=2.0)
        verdict = assay.judge(rows, control="again", **SEEDS)
        assert verdict.outcome == "holds"
        each = rows.set_index(["arm", "seed"])["loss"]
        apart = each["again"].to_numpy()[:n] - each["old"].to_numpy()[:n]
        assert np.isclose(verdict.controls["again"].estimate, apart.mean())
        assert any(x.startswith("control again has seeds of its own") for x in verdict.notes)


@pytest.mark.parametrize("recurs", [False, True])
def test_what_differs_between_draws_alone_is_no_level(recurs):
    """Such as the folder of each; and what differs between rows of a draw, too, is one."""
    draw, rows = np.random.default_rng(0), []
    for arm, k in (("main", 0), ("steered", 0), *(("random", k) for k in range(4))):
        for prompt in range(30):
            at = {"arm": arm, "draw": k, "prompt": prompt, "folder": f"runs/{arm}_{k}"}
            for way in ("a", "b")[: 1 + recurs]:
                x = draw.normal(2 * (arm == "steered"), 0.3)
                rows.append({**at, **({"way": way} if recurs else {}), "host": f"n{k % 2}", "x": x})

    def judged(claim):
        ask = {"unit": "prompt", "control": "random", "about": "steered"}
        return assay.judge(pd.DataFrame(rows), claim=claim, **ask)

    if recurs:
        with pytest.raises(ClaimError, match="varies over way"):
            judged("steered.x - main.x > 1")
    claim = "mean(steered.x, over=way) - mean(main.x, over=way) > 1"
    verdict = judged(claim if recurs else "steered.x - main.x > 1")
    assert verdict.outcome == "holds" and len(verdict.controls) == 4
