"""A house rule for the tests themselves: files that can be collected together."""

from collections import Counter
from pathlib import Path

TESTS = sorted(Path(__file__).parents[1].rglob("*.py"))


def test_no_two_test_files_have_one_name():
    """No folder here is a package, so pytest knows a file by its name alone and stops at the
    second."""
    twice = [
        name
        for name, times in Counter(
            path.name for path in TESTS if path.name != "conftest.py"
        ).items()
        if times > 1
    ]
    assert not twice, f"rename one of each: {twice}"
