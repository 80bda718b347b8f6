"""gated-sae on the real model, killed twenty times at random moments: the measures are the bytes of
an uninterrupted run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.subjects.fetch import SMOLLM2

pytestmark = [
    pytest.mark.slow,
    pytest.mark.model,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(SMOLLM2.present() is None, reason=SMOLLM2.absent),
]

RUN = [
    sys.executable,
    "-m",
    "assay",
    "run",
    "gated-sae",
    "--preset",
    "smoke",
    "--set",
    "steps=400",
    "--set",
    "windows=200",
]
KILLS = 20


def start(root: Path) -> subprocess.Popen:
    environment = os.environ | {"ASSAY_CHECKPOINT_SECONDS": "0.3", "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(
        [*RUN, "--root", str(root)], env=environment, start_new_session=True, **quiet
    )


def measures_of(root: Path) -> dict[str, bytes]:
    return {
        p.parent.name: p.read_bytes() for p in sorted(root.glob("runs/*/*/measures.safetensors"))
    }


def phase(root: Path) -> str:
    """What the store shows was going on when the kill came."""
    if any((root / "tmp").glob("*")):
        return "store write"
    if any(root.glob("artefacts/*/*.partial")):
        return "harvest"
    if any(root.glob("groups/*/*.safetensors")):
        return "training or measuring"
    return "start"


def test_twenty_kills_change_no_byte(tmp_path):
    began = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    length = time.monotonic() - began
    whole = measures_of(tmp_path / "whole")
    assert whole
    draw, phases, stores = random.Random(0), [], 0
    while len(phases) < KILLS or stores == 0:
        root = tmp_path / f"killed-{stores}"
        while True:  # until the store is complete, however often it is killed
            process = start(root)
            try:
                assert process.wait(timeout=1.0 + draw.random() * length) == 0
                break
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            phases.append(phase(root))
            assert {k for k, v in measures_of(root).items() if whole[k] != v} == set()
        assert measures_of(root) == whole
        stores += 1
    print(f"uninterrupted {length:.0f} s; {len(phases)} kills in {stores} stores: {phases}")
    assert {"harvest", "training or measuring"} <= set(phases)
