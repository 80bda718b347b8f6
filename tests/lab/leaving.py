"""Workers that are told to leave."""

from __future__ import annotations

import re
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path


def dismiss(process: BaseProcess) -> None:
    """Tell a fork to leave, once it listens: before that the signal would kill it."""
    while process.is_alive() and not _listens(process):
        time.sleep(0.01)
    process.terminate()


def _listens(process: BaseProcess) -> bool:
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)
