"""The figures of docs/gate.md are those of its recorded answers."""

import json
import re
from pathlib import Path

import pytest
from scipy.stats import binomtest

ROOT = Path(__file__).parents[2]
ARMS = ("above zero", "above the threshold", "gate")
ANSWERS = json.loads((ROOT / "benchmarks/gate/gate.result.json").read_text())
PAGE = (ROOT / "docs/gate.md").read_text()


def told(arm, chosen):
    """How many claims an arm reports as true, and of how many."""
    came = [line["told"] for line in ANSWERS if line["arm"] == arm and chosen(line)]
    return sum(came), len(came)


@pytest.mark.parametrize("group", sorted({line["group"] for line in ANSWERS}))
def test_table_has_the_recorded_counts(group):
    """Truth: every answer, in the result file that `benchmarks.gate measure` wrote."""
    row = re.search(rf"^\| {group} \| (\d+ of .*) \|$", PAGE, re.M)[1].split(" | ")
    counts = [told(arm, lambda line: line["group"] == group) for arm in ARMS]
    assert [cell.partition(" [")[0] for cell in row] == [f"{k} of {n}" for k, n in counts]


@pytest.mark.parametrize(("name", "true"), [("true", True), (r"\*\*false, all\*\*", False)])
def test_shares_have_their_wilson_intervals(name, true):
    """Truth: SciPy's interval of the recorded counts."""
    row = re.search(rf"^\| {name} \| (\d+ of .*) \|$", PAGE, re.M)[1].split(" | ")
    for arm, cell in zip(ARMS, row, strict=True):
        k, n = told(arm, lambda line: line["true"] == true)
        low, high = binomtest(k, n).proportion_ci(method="wilson")
        assert cell == f"{k} of {n} [{low:.2f}, {high:.2f}]"
