"""Figures for experiments: the numbers that were given, without what computes them, drawn by the
report as any other figure."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from assay.circuits.picture import figures
from assay.circuits.verify.score import Row
from assay.report import draw


def test_attention_as_a_figure_has_the_weights_that_can_be_seen():
    pattern = np.tril(np.random.default_rng(0).random((5, 5)))
    found = figures.attention(
        "Heads look back", {"a0.0": pattern, "a0.1": 2 * pattern}, ("B", "a", "a", "b", "<b>")
    )
    rows = list(
        zip(*(found.columns[c] for c in ("head", "asks", "looked at", "attention")), strict=True)
    )
    assert len(rows) == 30 and len({row[1] for row in rows}) == 5, (
        "positions with the same token are told apart"
    )
    assert ("a0.1", "3: b", "1: a", pytest.approx(2 * pattern[3, 1])) in rows
    ET.fromstring(draw.svg(found))


def test_long_inputs_show_their_end():
    found = figures.attention("x", {"a0.0": np.eye(50)})
    assert set(found.columns["asks"]) == {str(i) for i in range(18, 50)} and found.facet is None


def test_patching_below_0_is_blue_and_above_0_orange():
    drawn = draw.svg(figures.patching("x", np.array([[-1.0, 0.0, 0.5, 1.0]]), ["a0.0"]))
    shades = [
        (kind, float(x))
        for kind, x in re.findall(r' fill="(#408ce6|#ff8c00)" fill-opacity="([.\d]+)"', drawn)
    ]
    cold = [x for kind, x in shades if kind == draw.COLD]
    assert cold == [1.0] and sorted(x for kind, x in shades if kind == draw.FIRE) == pytest.approx(
        [0, 0.5, 1], abs=0.01
    )


def test_scores_stand_beside_those_of_controls_and_what_is_not_known_is_left_out():
    rows = {
        "ours": [Row("E1", 0.9, 0.8, 1.0), Row("E4", np.nan, np.nan, np.nan)],
        "empty": [Row("E1", 0.0, 0.0, 0.1)],
    }
    found = figures.scores("Ours is better", rows)
    assert list(found.columns["score"]) == [0.9, 0.0] and list(found.columns["high"]) == [1.0, 0.1]
    ET.fromstring(draw.svg(found))


def test_drawing_loads_nothing_that_trains():
    code = "import sys, assay.circuits.picture.figures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
