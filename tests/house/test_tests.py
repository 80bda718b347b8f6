"""House rules for the tests themselves: files that can be collected together, and helpers that are
written once."""

import ast
from collections import Counter, defaultdict
from pathlib import Path

from parsed import tree

TESTS = sorted(Path(__file__).parents[1].rglob("*.py"))


def test_no_two_test_files_have_one_name() -> None:
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


def test_no_helper_is_written_three_times() -> None:
    """Two copies are fine, three are not: what three files need lies in a file of tests/ that all
    can import."""
    places = defaultdict(list)
    for path in TESTS:
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("test_"):
                does = node.body[1:] if ast.get_docstring(node) else node.body
                places[ast.dump(node.args) + "".join(map(ast.dump, does))].append(
                    f"{path.name}: {node.name}"
                )
    assert not [where for where in places.values() if len(where) > 2]
