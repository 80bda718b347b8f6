"""Sources: what reads experiments that are written in another form than Python, by how their files
end.

Their reader uses more than the lab and is a layer above it; so the package's `__init__` names it,
and it is imported when such a file is first read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assay.core.errors import ExperimentError

if TYPE_CHECKING:  # `import assay` registers, and loads nothing for it
    from assay.core.experiment import Experiment, Header


class Source(Protocol):
    """Reads one form of files that describe experiments."""

    def header(self, path: Path) -> Header:
        """Read what a list shows about it, without importing it. Raises:
        ExperimentError."""

    def experiment(self, path: Path) -> Experiment:
        """Make the experiment that it describes. Raises: ExperimentError with line and column."""


_readers: dict[str, Callable[[], Source]] = {}


def register(ending: str, source: Callable[[], Source]) -> None:
    """Have files that end so read by what this gives; called when the first of them is met."""
    _readers[ending] = source


def reader(path: Path) -> Source:
    """Give what reads this file. Raises: ExperimentError where nothing does."""
    if path.suffix not in _readers:
        raise ExperimentError(f"nothing reads {path}: experiments are .py{', '.join(_readers)}")
    return _readers[path.suffix]()
