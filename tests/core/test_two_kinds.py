"""Two clusters of units that a column tells apart are said to be of what it says."""

import numpy as np
import pandas as pd

import assay


def table(**columns):
    """Runs of two kinds and a control on eight seeds, three of which failed in the baseline."""
    draw, frames = np.random.default_rng(0), []
    for arm in ("new", "old", "again"):
        failed = np.isin(range(8), (2, 5, 6)) & (arm == "old")
        loss = 0.25 + 0.09 * failed + draw.normal(0, 0.004, 8)
        frame = pd.DataFrame({"arm": arm, "seed": range(8), "loss": loss})
        frames.append(frame.assign(**{name: of(failed) for name, of in columns.items()}))
    return pd.concat(frames, ignore_index=True)


def judged(rows):
    claim = "new.loss - old.loss < -0.015"
    return assay.judge(rows, claim=claim, unit="seed", control="again", about="new")


def test_the_column_that_tells_clusters_apart_is_named():
    verdict = judged(
        table(
            state=lambda failed: np.where(failed, "crashed", "finished"),
            last_step=lambda failed: np.where(failed, 1300 + 300 * np.arange(8) % 700, 4000),
        )
    )
    assert verdict.outcome == "undecided"
    said = "state of old is crashed and last_step of old is 1400 to"
    assert said in verdict.warning and verdict.warning.endswith("just these 3 seeds (2, 5 and 6)")
    assert verdict.price.text == "measure these 3 seeds anew, or leave them out of all arms"


def test_without_such_a_column_there_may_be_two_kinds():
    verdict = judged(
        table(state=lambda failed: np.roll(np.where(failed, "crashed", "finished"), 1))
    )
    assert "if they are of two kinds" in verdict.warning
