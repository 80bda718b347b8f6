"""A world of the gym that is handed out is answered with the tool `judge`, and scored."""

import csv
from collections import defaultdict

import pytest

from assay.gym.worlds import ASKED, World
from assay.verbs import gym


@pytest.mark.parametrize("level", [1, 3])
def test_what_judge_lets_hold_was_planted(tmp_path, ask, level):
    """Of loud directions, at level 3, some that are planted may be missed."""
    world = World(level, 1)
    handed = gym.hand_out(tmp_path / "world", world, tmp_path / "store")
    rows = defaultdict(list)
    with (handed.folder / gym.TABLE).open() as file:
        for row in csv.DictReader(file):
            arm = row["arm"].partition("-")[0]
            rows[row["candidate"], row["group"]].append(
                {"arm": arm, "seed": int(row["seed"]), "effect": float(row["effect"])}
            )
    lines = ["candidate,group"]
    for (candidate, group), some in rows.items():
        answer = ask(
            "judge",
            rows=some,
            claim=f"own.effect - near1.effect > {ASKED / 2}",
            control=["near2"],
            unit=["seed"],
        )
        if answer["verdict"]["outcome"] == "holds":
            lines.append(f"{candidate},{group}")
    (tmp_path / "answers.csv").write_text("\n".join(lines) + "\n")
    scored = gym.score(handed.folder, tmp_path / "answers.csv", tmp_path / "store")
    assert scored.false == 0 < scored.true
    assert level == 3 or scored.true == scored.planted == world.planted.sum()
