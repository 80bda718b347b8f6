"""The tests of tests/devices pass in a process of their own, in which PyTorch learns of a device
before it first passes back."""

import subprocess
import sys
from pathlib import Path

import pytest

DEVICES = Path(__file__).parents[1] / "devices"


def passes(*words):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, str(DEVICES)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=DEVICES.parents[1])
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0 and " passed" in last and "skipped" not in last, done.stdout[
        -20_000:
    ]


@pytest.mark.thorough
def test_they_pass():
    passes()


@pytest.mark.slow
def test_the_slow_ones_pass():
    passes("-m", "slow")
