"""The worlds of benchmarks/coverage, which makes catalogue/records/coverage.md, are used here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "coverage"))
