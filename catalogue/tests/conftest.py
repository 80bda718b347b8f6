"""The catalogue's tests share the fixtures of the device's."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [
    str(HERE),
    *(str(HERE.parents[1] / name) for name in ("tests", "tests/house", "docs")),
]

pytest_plugins = ("shared_fixtures", "browser_fixtures")
