"""Marks: how far a running group is, as the share of its time that the last group of its kind had
taken by then.

A group may count several things one after the other, such as windows and then steps, and measures
after the last step: what it has counted is no share of its time, but groups of one kind take alike
shares of it for each."""

from __future__ import annotations

from bisect import bisect_right

Stage = tuple[str, int, int]
FINE = 0.01
"""The share of a stage between two marks that are kept."""


class Marks:
    """When a group had counted how much, in seconds since it began."""

    def __init__(self) -> None:
        self.latest: tuple[Stage, int, float] | None = None
        """What is counted, how much of it there is, and when that was told."""
        self._begun: dict[tuple[str, int], int] = {}
        self._kept: dict[Stage, list[tuple[int, float]]] = {}

    def note(self, count: int, total: int, unit: str, seconds: float) -> None:
        """Take down that a group had counted so much; a count that falls begins the next stage."""
        before = self.latest
        continues = before is not None and before[0][:2] == (unit, total) and count >= before[1]
        if not continues:
            self._begun[unit, total] = self._begun.get((unit, total), 0) + 1
        stage = (unit, total, self._begun[unit, total])
        self.latest = (stage, count, seconds)
        stage_marks = self._kept.setdefault(stage, [])
        if not stage_marks or count - stage_marks[-1][0] >= FINE * total:
            stage_marks.append((count, seconds))

    def when(self, stage: Stage, count: int) -> float | None:
        """Seconds after which the group had counted so much; None where it never counted that."""
        stage_marks = self._kept.get(stage, [])
        i = bisect_right(stage_marks, count, key=lambda mark: mark[0])
        return stage_marks[i - 1][1] if i else None
