"""The benchmark that benchmarks/records.md quotes for the index runs."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_benchmark_of_the_index_runs(tmp_path):
    """Truth: exit code 0 and the size that was given, at the least size."""
    words = ["--features", "64", "--tokens", "2000", "--on", "4"]
    command = [sys.executable, ROOT / "benchmarks/index_build.py", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"[\d,]{2,}", done.stdout.splitlines()[-1])[:2] == ["64", "2,000"]
