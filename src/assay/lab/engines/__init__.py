"""Engines: run tasks and hand back how each ended, on this machine, in a Ray cluster, or on SLURM.

An executor has one method, `map(tasks, report)`. It draws a task whenever it has room, so the order
may depend on what is finished by then; drawing None means that nothing is ready yet. Executors of
this machine are found by being files of this folder with an EXECUTOR.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

from assay.lab.engines.inline import Inline
from assay.lab.engines.workers import Workers
from assay.lab.work.events import Executor

__all__ = ["Executor", "Inline", "Workers", "known"]


@cache
def known() -> Mapping[str, Callable[..., Executor]]:
    """Find the executors of this folder by their files' names: each file's EXECUTOR, which is made
    with `threads=`."""
    files = {
        file.name: import_module(f"{__name__}.{file.name}")
        for file in pkgutil.iter_modules(__path__)
    }
    return MappingProxyType(
        {name: file.EXECUTOR for name, file in files.items() if hasattr(file, "EXECUTOR")}
    )
