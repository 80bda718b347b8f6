"""Prose: what is plain English in the documentation strings of Python source, paragraph by
paragraph.

The rule is strict rather than complete, for much of a documentation string is no prose. Kept is a
block between blank lines that starts at the margin, begins like a sentence and ends like one, has
eight words or more, and of which four fifths are plain words once reST and Markdown marks are taken
off. Left out with this are parameter tables, lists, code, doctests, signatures and mathematics.
It does not read: a table of words would pass, and an indented paragraph of good prose is lost.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator

from assay.core import syntax

RULE = 1
"""Raised when other paragraphs come out: whatever was kept of an earlier rule is made anew."""
WORDS = 8
"""Words that a paragraph has at least."""
PLAIN = 0.8
"""Share of its words that are plain ones."""

_ADDING = {"add_newdoc", "add_docstr", "_add_docstr"}
"""Functions by which NumPy, SciPy and torch give documentation to what is written in C."""
_TABLES = {
    "Parameters",
    "Other Parameters",
    "Returns",
    "Yields",
    "Receives",
    "Raises",
    "Warns",
    "Attributes",
    "Methods",
    "See Also",
    "References",
}
"""Sections of numpydoc that are lists, whatever their lines look like."""
_UNDERLINE = re.compile(r"([-=~^*#\"'`+])\1{2,}\s*")
_FENCE = re.compile(r"^[ \t]*(```|~~~).*?^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_SENTENCE = re.compile(r"[A-Z](?=.*[a-z]).*[.!?][\"')]*", re.DOTALL)
_WORD = re.compile(r"[(\"']*[A-Za-z][a-z]*(?:[-'’/][A-Za-z][a-z]*)*[\"')]*[.,;:!?]*[\"')]*")
_CODE = re.compile(r">>>|\.\.\s|::|\\|[{}|<>=]|\$")
_MARKS = (
    (re.compile(r"\[([^][]+)\]\([^()\s]+\)"), r"\1"),  # [text](address)
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`_{0,2}"), r"\1"),  # `text <address>`_
    (re.compile(r":[a-z:+-]+:`[~!]?([^`]*)`"), r"\1"),  # :class:`~package.Name`
    (re.compile(r"\s*\[[#\w]+\]_"), ""),  # [1]_
    (re.compile(r"``([^`]+)``|`([^`]+)`_{0,2}"), r"\1\2"),
    (
        re.compile(r"\*\*([^*]+)\*\*|(?<!\w)\*([^*\s][^*]*)\*(?!\w)|(?<!\w)__([^_]+)__(?!\w)"),
        r"\1\2\3",
    ),
)


def documentation(source: bytes) -> Iterator[str]:
    """The documentation strings of a module, its classes, their methods and attributes in the order
    of the text, margins taken off.

    A file that is no Python of this version has none.
    """
    try:
        tree = syntax.module(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    yield from map(inspect.cleandoc, _strings(tree.body))


def _strings(body: Iterable[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.Expr):
            value = statement.value
            called = getattr(value, "func", None)
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value
            elif getattr(called, "id", getattr(called, "attr", "")) in _ADDING:
                yield from (
                    n.value
                    for n in ast.walk(value)
                    if isinstance(n, ast.Constant) and isinstance(n.value, str)
                )
        for inner in ("body", "orelse"):
            yield from _strings(getattr(statement, inner, ()))


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of prose in a documentation string, each in one line without marks."""
    table = False
    for block in re.split(r"\n[ \t]*\n", _FENCE.sub("\n\n", text).expandtabs()):
        lines = block.strip("\n").split("\n")
        if len(lines) > 1 and _UNDERLINE.fullmatch(lines[1]):
            table = lines[0].strip() in _TABLES
            lines = lines[2:]
        if table or not lines:
            continue
        at_margin = not any(line[:1].isspace() for line in lines)
        if at_margin and (paragraph := prose(" ".join(lines))):
            yield paragraph


def prose(paragraph: str) -> str:
    """The paragraph without marks, or "" where it is none of prose."""
    if ":math:" in paragraph:  # formulas are no words, whatever is left of them without marks
        return ""
    for mark, replacement in _MARKS:
        paragraph = mark.sub(replacement, paragraph)
    paragraph = " ".join(paragraph.split())
    words = paragraph.split(" ")
    if len(words) < WORDS or not _SENTENCE.fullmatch(paragraph) or _CODE.search(paragraph):
        return ""
    return (
        paragraph
        if sum(_WORD.fullmatch(w) is not None for w in words) >= PLAIN * len(words)
        else ""
    )


def wording(paragraph: str) -> str:
    """What two paragraphs share that say the same of different things: its lower-case words,
    without names and numbers."""
    return " ".join(re.findall(r"(?<![\w.])[a-z]+(?![\w.(])", paragraph))
