"""Worlds have the effects that they plant, and what is let hold in one was planted."""

import csv
from collections import defaultdict

import handing
import numpy as np
import pandas as pd
import pytest
from worlds import ASKED, LEVELS, World

import assay

MANY = np.arange(10_000, 11_200)


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_what_a_candidate_does_beyond_its_near_control_is_the_truth_on_average(level):
    world = World(level, 1001)
    for candidate in range(world.about.candidates):
        own, near = (world.measure(MANY, candidate, near) for near in (0, 1))
        loud = world.loudness[candidate]
        # w differs between seeds by .5 on either side, times how far inputs lie along it
        error = 5 * (2 * (0.6 * loud) ** 2 + 1) ** 0.5 / len(MANY) ** 0.5
        assert (own - near).mean(0) == pytest.approx(world.truth[candidate], abs=error)


@pytest.mark.parametrize("level", [1, 3])
def test_what_judge_lets_hold_in_a_world_that_was_handed_out_was_planted(tmp_path, level):
    """Of loud directions, at level 3, some that are planted may be missed."""
    world = World(level, 1)
    handed = handing.hand_out(tmp_path / "world", world, tmp_path / "keys")
    rows = defaultdict(list)
    with (handed.folder / handing.TABLE).open() as file:
        for row in csv.DictReader(file):
            arm = row["arm"].partition("-")[0]
            rows[row["candidate"], row["group"]].append(
                {"arm": arm, "seed": int(row["seed"]), "effect": float(row["effect"])}
            )
    lines = ["candidate,group"]
    for (candidate, group), some in rows.items():
        claim = f"own.effect - near1.effect > {ASKED / 2}"
        judged = assay.judge(
            pd.DataFrame(some), claim=claim, control="near2", about="own", unit="seed"
        )
        if judged.verdict.outcome == "holds":
            lines.append(f"{candidate},{group}")
    (tmp_path / "answers.csv").write_text("\n".join(lines) + "\n")
    scored = handing.score(handed.folder, tmp_path / "answers.csv", tmp_path / "keys")
    assert scored.false == 0 < scored.true
    assert level == 3 or scored.true == scored.planted == world.planted.sum()
