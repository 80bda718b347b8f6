"""What these tests parse is a million objects: no later search for garbage looks at them."""

import gc

import pytest


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path.parent != item.path.parent:
        gc.freeze()
