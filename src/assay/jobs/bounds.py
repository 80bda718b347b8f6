"""Bounds: how large a submission may be, and which places of this machine it may name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import ExperimentError

SHORT, LINE = 64, 200
"""Characters of a name, and of one field=value."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What is refused before anything is trained; each is one line that names the bound."""

    workspace: Path | None = None
    """The one folder whose files a submission may name; None: it names none."""
    code: bool = False
    """Whether experiment files of the workspace may be run: they are programs."""
    text: int = 64 * 1024
    """Bytes of a study."""
    runs: int = 2_000
    """Runs of all arms together."""
    sets: int = 32
    """Fields that are set for an experiment of the catalogue, and claims of a study."""
    queued: int = 1_000
    """Jobs that wait in the store, of all owners together."""
    queued_each: int | None = None
    """Jobs of this owner that wait or run."""
    cpu_seconds_each: float | None = None
    """CPU-seconds that jobs of this owner took in the last 24 hours, from which on no more are
    taken."""

    def place(self, text: str, location: str) -> Path:
        """Give the path that a text names, where it lies within the workspace. Raises:
        ExperimentError."""
        try:
            path, inside = Path(text), "\0" not in text and not text.startswith("~")
            if self.workspace is None:
                inside = inside and not path.is_absolute() and ".." not in path.parts
            else:
                whole = self.workspace.resolve()
                path = (whole / path).resolve()
                inside = inside and path.is_relative_to(whole)
        except (OSError, ValueError, RuntimeError):
            inside = False
        if not inside:
            where = (
                "the workspace"
                if self.workspace is not None
                else "its own folder, and this server has no workspace"
            )
            raise ExperimentError(
                f"{location}: {text[:LINE]!r} lies outside {where}; what is submitted names "
                "nothing else of this machine"
            )
        return path


def most(amount: int, bound: int, what: str) -> None:
    """Refuse more than a bound. Raises: ExperimentError."""
    if amount > bound:
        raise ExperimentError(f"{what}: {amount:,}, and at most {bound:,} are taken")
