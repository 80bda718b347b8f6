"""What these tests parse is let go after them: a million objects would slow down what follows."""

import parsed
import pytest


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path.parent != item.path.parent:
        parsed.tree.cache_clear()
        parsed.nodes.cache_clear()
