"""Inline: runs tasks in this process, one after the other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterable

from assay.core.heavy import torch
from assay.lab.work.events import Outcome, Report, Task
from assay.lab.work.worker import run_group

_AGAIN = 0.2  # seconds until asking again for a task when none was ready


class Inline:
    """Runs tasks one after the other in this process; for tests, notebooks, and experiments that
    live in no file.

    On `threads` threads, as its workers would have; the process has its own number back in between
    and afterwards."""

    width = 1

    def __init__(self, threads: int = 1):
        self.threads = threads

    def map(self, tasks: Iterable[Task | None], report: Report) -> Generator[Outcome, None, None]:
        """The outcome of each task, in order."""
        for task in tasks:
            if task is None:
                time.sleep(_AGAIN)
                continue
            threads = torch.get_num_threads()
            torch.set_num_threads(self.threads)
            try:
                # an experiment that goes elsewhere does not take a relative store along
                with contextlib.chdir("."):
                    outcome = run_group(task, report)
            finally:
                torch.set_num_threads(threads)
            yield outcome


EXECUTOR = Inline
