"""Markdown of tables, and of what is folded away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def cell(words: str) -> str:
    """The words, escaped for a cell of a table."""
    return words.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], rule: str = "") -> str:
    """A table; `rule` parts its head from its body, where columns are aligned."""

    def line(cells: Sequence[str]) -> str:
        return "".join(f"| {c} " if c else "| " for c in cells) + "|\n"

    return line(heads) + (rule or "|---" * len(heads) + "|") + "\n" + "".join(map(line, rows))


def folded(summary: str, body: str) -> str:
    """Text folded away under a line that says what is there."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body.strip()}\n\n</details>\n"
