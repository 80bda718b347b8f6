"""The tests on devices, also those of the catalogue, pass in processes of their own, in which
PyTorch learns of a device before it first passes back."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEVICES = tuple(
    ROOT / folder
    for folder in ("tests/acceptance/devices", "tests/devices", "catalogue/tests/devices")
)


def passes(devices, *words):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, str(devices)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=devices.parents[1])
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0 and " passed" in last and "skipped" not in last, done.stdout[
        -20_000:
    ]


@pytest.mark.thorough
@pytest.mark.parametrize("devices", DEVICES)
def test_they_pass(devices):
    passes(devices)


@pytest.mark.slow
@pytest.mark.parametrize("devices", DEVICES)
def test_the_slow_ones_pass(devices):
    passes(devices, "-m", "slow")
