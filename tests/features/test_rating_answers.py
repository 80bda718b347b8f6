"""What is kept of a rater: goes on after a kill, and any change that was not made by answering is
seen."""

from __future__ import annotations

import json

import pytest

from assay.core.errors import DataError
from assay.features.rating import Answers


@pytest.fixture
def sheet(tmp_path):
    made = Answers(tmp_path / "ann.jsonl", "plan", "ann")
    for item, score in (("a", 1.0), ("b", 0.0), ("a", 0.5)):
        made.add(item, score, "loops, mostly" if item == "b" else "")
    return made


def again(sheet, plan="plan"):
    return Answers(sheet.path, plan, "ann")


def test_the_last_answer_counts_and_a_reader_finds_all(sheet):
    found = again(sheet)
    assert not found.fault and {k: v.score for k, v in found.answers.items()} == {
        "a": 0.5,
        "b": 0.0,
    }
    assert found.answers["b"].words == "loops, mostly"
    assert len(sheet.path.read_text().splitlines()) == 4, "lines are only added"


def test_a_line_cut_by_a_kill_is_written_over(sheet):
    sheet.path.write_bytes(sheet.path.read_bytes() + b'{"item":"c","sco')
    found = again(sheet)
    assert not found.fault and "c" not in found.answers
    found.add("c", 1.0)
    assert not again(sheet).fault and again(sheet).answers["c"].score == 1.0


@pytest.mark.parametrize("change", ["score", "swap", "drop", "import", "first"])
def test_a_changed_file_is_no_blinded_rating(sheet, change):
    lines = sheet.path.read_text().splitlines()
    if change == "score":
        lines[2] = lines[2].replace('"score":0.0', '"score":1.0')
    elif change == "swap":
        lines[1], lines[2] = lines[2], lines[1]
    elif change == "drop":
        del lines[1]
    elif change == "import":
        lines.append(json.dumps({"item": "z", "score": 1.0, "words": ""}))
    else:
        lines[0] = lines[0].replace("ann", "ann ")
    sheet.path.write_text("\n".join(lines) + "\n")
    found = again(sheet)
    assert found.fault
    with pytest.raises(DataError, match="no longer count"):
        found.add("d", 1.0)


def test_nothing_counts_after_the_arms_were_shown(sheet):
    sheet.show_arms()
    with pytest.raises(DataError, match="arms were shown"):
        again(sheet).add("c", 1.0)
    assert not again(sheet).fault and len(again(sheet).answers) == 2


def test_another_plan_or_score_is_refused(sheet):
    assert again(sheet, "another").fault == "it belongs to another plan or rater"
    with pytest.raises(DataError, match="a score is"):
        sheet.add("c", 0.7)
