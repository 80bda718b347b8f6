"""The gate's tasks are what they are said to be, and what is handed out is graded against it."""

import csv
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))
pytest.importorskip("transformers")

from benchmarks.gate import folders, rules, tasks

from assay.errors import DataError


@pytest.mark.thorough
def test_on_many_prompts_only_what_is_planted_has_the_effect(tmp_path):
    """Of claims about wordings and chosen heads the mean over all prompts is 0: six standard errors
    of 240 openings, or of 600 prompts, reach it."""
    for number in (19, 21, 23):
        task = tasks.make(1, number)
        task.write(tmp_path / str(number))
        task.count = 240 if number < 23 else 600
        tasks._csv(tmp_path / str(number) / "prompts.csv", task.rows)
        hook = tasks.load(tmp_path / str(number))
        rows = hook["rows"]("prompts.csv")
        heads = [tuple(h) for h in task.credits["heads"]]
        effect = hook["measure"](heads, rows) - hook["measure"](None, rows)
        error = effect.std() / len(rows) ** 0.5
        assert abs(effect.mean()) < 0.1 + 3 * error, number


@pytest.mark.thorough
def test_what_is_handed_out_is_graded_and_what_was_written_is_kept(tmp_path):
    out, keys = tmp_path / "out", tmp_path / "keys"
    folders.hand_out(out, "gate", 1, 5, keys)
    assert "true" not in (out / folders.SEAL).read_text()
    names = [f"task-{i:02}" for i in range(1, 6)]
    (out / names[0] / "mine.py").write_text("print(1)\n")
    lines = [["task", "verdict"], *([name, "true"] for name in names)]
    with (out / folders.ANSWERS).open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    graded = folders.grade(out, keys, tmp_path / "kept")
    assert (graded.true_claims, graded.false_claims) == (graded.true, graded.false) == (2, 3)
    kept = {p.name for p in (tmp_path / "kept").rglob("*") if p.is_file()}
    assert kept == {"mine.py", "answers.csv"}
    with (out / folders.ANSWERS).open("w", newline="") as file:
        csv.writer(file).writerows(lines[:3])
    with pytest.raises(DataError) as error:
        folders.grade(out, keys)
    assert error.value.code == "no-verdict"
    assert rules.settle(out / names[0], rules.ARMS[1]).calls >= 1


def test_wilsons_interval():
    """Wilson (1927): (p + z²/2n ± z√(p(1−p)/n + z²/4n²)) / (1 + z²/n), at 3 of 10."""
    assert folders.wilson(3, 10) == pytest.approx((0.1078, 0.6032), abs=1e-4)
