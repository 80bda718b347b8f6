"""Every slow test is in the list of tests/reasons.md, and nothing else is; so is the reason of a
test without a mark that takes more than a second."""

import ast
import re
from pathlib import Path

from parsed import tree

from budget import listed, reasons

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "tests/reasons.md").read_text()
MARK = "mark.slow"


def slow(path: Path) -> set[str]:
    """The tests of a file that have the mark: by a decorator, by the file's `pytestmark`, or by
    parameters with a name."""
    body = tree(path).body
    named = {
        ast.unparse(node.targets[0])
        for node in body
        if isinstance(node, ast.Assign) and MARK in ast.unparse(node.value)
    }
    tests = [
        node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    return {
        test.name
        for test in tests
        if "pytestmark" in named
        or any(
            MARK in ast.unparse(d) or named & {n.id for n in ast.walk(d) if isinstance(n, ast.Name)}
            for d in test.decorator_list
        )
    }


def test_the_list_of_slow_tests_is_whole() -> None:
    part = PAGE.partition("## The slow tests")[2]
    found = listed(part)
    marked = {
        f"{path.relative_to(ROOT)}::{name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in slow(path)
    }
    assert len(found) == len(set(found))
    assert set(found) == marked


def test_what_may_take_more_than_a_second_is_there() -> None:
    found = reasons(PAGE)
    assert found
    for name in found:
        path, _, test = name.partition("::")
        assert re.search(rf"^def {test}\(", (ROOT / path).read_text(), re.MULTILINE), name
