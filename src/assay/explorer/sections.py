"""Sections: addresses of the explorer, and the pages that other distributions add.

A distribution adds pages with an entry point in the group `assay.pages`, whose value is a Section
in a module next to a folder `templates/`. Its page functions get the library of the server, as
those of the explorer do."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

GROUP = "assay.pages"


@dataclass(frozen=True)
class Address:
    """An address and the page function that answers it; `live`: it takes long and waits its turn,
    unless `made`; `sent`: it takes POST as well."""

    path: str
    page: Callable[..., Any]
    live: bool = False
    made: Callable[..., bool] | None = None
    sent: bool = False


@dataclass(frozen=True)
class Section:
    """Pages of another distribution: a link in the navigation, and what answers below it."""

    path: str
    """The address of its first page."""
    label: str
    """The words of the link."""
    addresses: tuple[Address, ...]
    style: Callable[[], str] = str
    """Gives the CSS that only its pages need."""


@functools.cache
def points() -> tuple[importlib.metadata.EntryPoint, ...]:
    """List what other distributions offer; nothing of them is imported."""
    return tuple(sorted(importlib.metadata.entry_points(group=GROUP), key=lambda e: e.name))


def packages() -> list[str]:
    """Name the packages whose folder `templates/` holds templates of other distributions."""
    return [point.module.rpartition(".")[0] for point in points()]


@functools.cache
def sections() -> tuple[Section, ...]:
    """Give the sections of other distributions."""
    return tuple(point.load() for point in points())
