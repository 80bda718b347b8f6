"""A house rule for the tests themselves: files that can be collected together."""

from collections import Counter
from pathlib import Path

HERE = Path(__file__).parents[1]
TESTS = sorted({*HERE.rglob("*.py")} - {*(HERE / "acceptance").rglob("*.py")})


def test_no_two_test_files_have_one_name():
    """Only tests/acceptance is a package: of the other files pytest knows the name alone and stops
    at the second."""
    twice = [
        name
        for name, times in Counter(
            path.name for path in TESTS if path.name != "conftest.py"
        ).items()
        if times > 1
    ]
    assert not twice, f"rename one of each: {twice}"
