"""The catalogue's tests share the fixtures of the device's."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests"), str(HERE.parents[1] / "docs")]

pytest_plugins = ("shared_fixtures", "browser_fixtures")
