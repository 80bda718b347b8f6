"""A rule that is asked of many files at once fails for each that breaks it, and is not passed by
asking nothing."""

import pytest
from everywhere import everywhere


def test_every_case_that_fails_is_listed_with_its_words():
    asked = []

    @everywhere([1, 2, 3, 0])
    def rule(n):
        asked.append(n)
        assert 6 // n != 3, f"{n} is half of six"

    with pytest.raises(AssertionError) as told:
        rule()
    assert asked == [1, 2, 3, 0]
    lines = str(told.value).splitlines()
    assert any(line.startswith("2: AssertionError: 2 is half of six") for line in lines)
    assert any(line.startswith("0: ZeroDivisionError") for line in lines)
    assert not any(line.startswith(("1:", "3:")) for line in lines)


def test_a_rule_asked_of_nothing_fails():
    with pytest.raises(AssertionError, match="asked of nothing"):
        everywhere([])(lambda case: None)()
