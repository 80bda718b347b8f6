"""Syntax: Python text as a tree, also where several threads read at once.

Python 3.11 counts the depth of a tree for all threads together. Where the garbage collector lets
another thread parse meanwhile, `ast.parse` throws SystemError. So one thread parses at a time here,
and what other code disturbed is read again."""

from __future__ import annotations

import ast
import contextlib
import re
import threading
from typing import TypeGuard

_AGAIN = 20
_QUOTES = re.compile(
    r'(?:[ \t]*(?:#[^\n]*)?\n)*[rR]?("{3}|\'{3})'
)  # a file's first statement, after comments
_ONE_READER = threading.RLock()  # a finaliser that parses is run by the thread that parses


def module(text: str | bytes, filename: str = "<text>") -> ast.Module:
    """Parse the text of a file. Raises: SyntaxError, ValueError, RecursionError, MemoryError, as
    `ast.parse` does."""
    tree = _parsed(text, filename, "exec")
    assert isinstance(tree, ast.Module)
    return tree


def expression(text: str) -> ast.expr:
    """Parse one expression. Raises: SyntaxError, ValueError, RecursionError, MemoryError, as
    `ast.parse` does."""
    tree = _parsed(text, "<text>", "eval")
    assert isinstance(tree, ast.Expression)
    return tree.body


def docstring(text: str, filename: str = "<text>") -> str | None:
    """Read the docstring that a file begins with, or None; where no code follows it on its line,
    nothing after it is parsed.

    Raises: as `module`.
    """
    begins = _QUOTES.match(text)
    end = text.find(begins[1], begins.end()) + len(begins[1]) if begins else 0
    if begins and end > begins.end() and text[end : end + 1] in ("", "\n"):
        with contextlib.suppress(
            SyntaxError
        ):  # as where a quote was escaped: then the whole file says what it is
            return ast.get_docstring(module(text[:end], filename))
    return ast.get_docstring(module(text, filename))


def is_measured(node: ast.AST) -> TypeGuard[ast.Call]:
    """Whether this is a call of `assay.measured`, whose function is an experiment."""
    function = node.func if isinstance(node, ast.Call) else None
    return "measured" in (getattr(function, "id", ""), getattr(function, "attr", ""))


def _parsed(text: str | bytes, filename: str, mode: str) -> ast.AST:
    for retries in reversed(range(_AGAIN)):
        try:
            with _ONE_READER:
                return ast.parse(text, filename, mode)
        except SystemError as e:
            if "recursion depth mismatch" not in str(e) or not retries:
                raise
    raise AssertionError("the last attempt returns or raises")
