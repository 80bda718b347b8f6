"""Worlds with a known truth: what is true holds, and what a control's alternative explains is
caught by that control, for each kind of thing that a claim credits."""

import pytest

import assay
from planted_worlds import ROWS, World, heads, some


def test_a_part_that_may_break_everything_is_noted_where_no_other_task_is_given():
    v = World("this head", heads(), some({(1, 2)})).check()
    assert any("no control 'damage'" in n for n in v.notes)
    with pytest.raises(assay.core.errors.DataError, match="has no control 'damaged'"):
        World("this head", heads(), some({(1, 2)})).check(controls=["damaged"])
    assert len(ROWS) == 24
