"""What is asked of SLURM for each worker, in the words of sbatch, and the script that asks for
it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from assay.core.errors import FleetError
from assay.core.plain import plain

__all__ = ["Request"]

WARNING = 60
"""Seconds before its time limit at which a worker is told to save and end; SLURM may tell it up to
a minute earlier."""

_TIME = r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}"
_OURS = (
    "--array",
    "--error",
    "--help",
    "--job-name",
    "--no-requeue",
    "--nodes",
    "--ntasks",
    "--open-mode",
    "--output",
    "--parsable",
    "--quiet",
    "--requeue",
    "--signal",
    "--test-only",
    "--usage",
    "--version",
    "--wait",
    "--wrap",
)
_OURS_SHORT = ("-a", "-e", "-h", "-J", "-N", "-n", "-o", "-Q", "-V", "-W")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of SLURM; what is left empty is as the partition has it.

    Raises: FleetError for what sbatch could not mean.
    """

    workers: int = 8
    """How many workers at most, each a task of a job array."""
    partition: str = ""
    time: str = ""
    """Until a worker is stopped: minutes, hours:minutes:seconds, days-hours."""
    gpus: str = ""
    """Of each worker: a number, or type:number."""
    cpus: int = 1
    """Of each worker."""
    memory: str = ""
    """Of each worker, such as 16G."""
    account: str = ""
    setup: str = ""
    """Lines of bash that come before the worker: `module load`, an environment activated."""
    extra: str = ""
    """Further options of sbatch, as one would type them."""

    def __post_init__(self) -> None:
        _check(self.workers >= 1, f"--workers is a number from 1 up, got {self.workers}")
        _check(self.cpus >= 1, f"--cpus is a number from 1 up, got {self.cpus}")
        for name in ("partition", "account"):
            word = getattr(self, name)
            _check(
                plain(word) == word and not re.search(r"\s|^-", word),
                f"--{name} is one word, got {plain(word)!r}",
            )
        _check(
            not self.time or re.fullmatch(_TIME, self.time),
            f"--time is 90, 1:30:00 or 2-12 as sbatch takes it, got {self.time!r}",
        )
        enough = self.seconds == 0 or self.seconds > 2 * WARNING
        _check(
            enough,
            (
                f"--time {self.time} leaves no time to work: a worker saves and ends up to two "
                "minutes before its limit"
            ),
        )
        _check(
            not self.gpus or re.fullmatch(r"([\w.-]+:)?\d+", self.gpus),
            f"--gpus is 2 or a100:2, got {self.gpus!r}",
        )
        _check(
            not self.memory or re.fullmatch(r"\d+[KMGT]?", self.memory),
            f"--memory is 16G or 900M, got {self.memory!r}",
        )
        for word in self.words:
            name = word.partition("=")[0]
            is_reserved = (
                name.startswith("--") and any(ours.startswith(name) for ours in _OURS)
            ) or word[:2] in _OURS_SHORT
            _check(
                not is_reserved,
                (
                    f"--sbatch cannot have {name}: Assay sets the array, its logs and its signals "
                    "itself"
                ),
            )

    @cached_property
    def words(self) -> list[str]:
        """The further options one by one."""
        try:
            words = shlex.split(self.extra)
        except ValueError as e:
            raise FleetError(f"--sbatch cannot be read: {str(e).lower()} in {self.extra!r}") from e
        well = not words or (
            words[0].startswith("-")
            and all(plain(word) == word and "\n" not in word for word in words)
        )
        _check(
            well,
            f"--sbatch is one line of options of sbatch, such as --qos=low, got {self.extra!r}",
        )
        return words

    @property
    def seconds(self) -> int:
        """The time limit in seconds; 0 without one."""
        days, dash, clock = self.time.rpartition("-")
        parts = [int(part) for part in clock.split(":") if part]
        units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
        return int(days or 0) * 86400 + sum(n * unit for n, unit in zip(parts, units, strict=False))

    def options(self, folder: Path) -> list[str]:
        """Those of sbatch for workers whose logs go to this folder, but for the array and
        `words`."""
        settings = {
            "partition": self.partition,
            "account": self.account,
            "time": self.time,
            "gpus-per-node": self.gpus,
            "mem": self.memory,
        }
        flags = [f"--{name}={value}" for name, value in settings.items() if value]
        ours = [
            "--nodes=1",
            "--ntasks=1",
            f"--cpus-per-task={self.cpus}",
            "--requeue",
            f"--signal=B:TERM@{WARNING}",
        ]
        logs = ["--open-mode=append", f"--output={str(folder).replace('%', '%%')}/%A_%a.log"]
        return [*flags, *ours, *logs]

    def script(self, command: Sequence[str], folder: Path) -> str:
        """The batch script, which `sbatch` can be given by hand as well.

        The command takes the shell's place, so that a signal to the shell (`B:TERM`) is one to the
        worker."""
        options = [
            f"--job-name={folder.name}",
            f"--array=0-{self.workers - 1}",
            *self.options(folder),
        ]
        lines = ["#!/bin/bash", *(f"#SBATCH {_quoted(option)}" for option in options)]
        lines += [f"#SBATCH {' '.join(map(_quoted, self.words))}"] if self.words else []
        lines += [
            "",
            (
                "# Workers of a store: each claims groups of runs until there are none. More of "
                "them, by hand: sbatch workers.sh"
            ),
        ]
        return "\n".join(
            [*lines, *self.setup.strip().splitlines(), f"exec {shlex.join(command)}", ""]
        )


def _quoted(option: str) -> str:
    """An option as sbatch reads it in a script: quoted as in a shell, but that a backslash escapes
    inside quotes too."""
    return shlex.quote(option.replace("\\", "\\\\"))


def _check(well: object, why: str) -> None:
    if not well:
        raise FleetError(why)
