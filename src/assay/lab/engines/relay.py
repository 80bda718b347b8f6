"""Relay: passes on what processes elsewhere say of their groups."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from assay.lab.store.groups import RunGroup
from assay.lab.work.events import Progress, Report, Started, from_line


class Relay:
    """Reports that a group started, once however often it is begun again, and how far it is."""

    def __init__(self, report: Report):
        self._report = report
        self._begun = set[str]()

    def begin(self, group: RunGroup) -> None:
        """Report that a group started."""
        if group.name not in self._begun:
            self._begun.add(group.name)
            self._report(Started.describe(group))

    def line(self, line: str, groups: Mapping[str, RunGroup]) -> None:
        """Report what a line of `to_line` says of one of these groups; any other says nothing."""
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            event = from_line(line)
            if (group := groups.get(event.group)) is not None:
                self.begin(group)
                if isinstance(event, Progress):
                    self._report(event)
