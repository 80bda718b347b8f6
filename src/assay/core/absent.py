"""Absent: levels of a unit that an arm lacks although it has most of the others, such as the seed
of a run that crashed: they count as rows without a number."""

from __future__ import annotations



