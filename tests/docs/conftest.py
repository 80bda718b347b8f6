"""Pages show studies on the tiny models of tests/door."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "door"))
