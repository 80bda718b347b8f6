"""Where the documentation of an experiment is: a page of its own, or a section of a page that
several share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Documented:
    """The documentation of one experiment."""

    file: Path
    heading: str
    """Of the section; empty where the whole page is about the experiment."""
    text: str

    @property
    def link(self) -> str:
        """What a page in the same folder links to."""
        words = re.sub(r"[^\w\- ]", "", self.heading.lower())
        anchor = re.sub(r"[ -]+", "-", words)
        return f"{self.file.name}#{anchor}" if anchor else self.file.name


def documented(folder: Path, name: str) -> Documented | None:
    """Find the documentation of an experiment in a folder of pages: the page NAME.md, or a section
    of another page whose heading is `## NAME: …`; None where there is neither."""
    own = folder / f"{name}.md"
    if own.exists():
        return Documented(own, "", own.read_text("utf-8"))
    section = re.compile(
        rf"^## ({re.escape(name)}(?::[^\n]*)?)\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL
    )
    for file in sorted(folder.glob("*.md")):
        text = file.read_text("utf-8")
        unfenced = FENCED.sub(lambda block: " " * len(block[0]), text)
        if match := section.search(unfenced):
            return Documented(file, match[1], text[match.start() : match.end()])
    return None


def links(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """What a page in the folder links to for each experiment that is documented there."""
    pages = {name: documented(folder, name) for name in names}
    return {name: page.link for name, page in pages.items() if page is not None}
