"""Syntax: Python text as a tree, also where several threads read at once.

Python 3.11 counts the depth of a tree for all threads together. Where the garbage collector lets another thread parse meanwhile,
`ast.parse` throws SystemError. So one thread parses at a time here, and what other code disturbed is read again.
"""

from __future__ import annotations

import ast
import threading

_AGAIN = 20
_ONE_READER = threading.RLock()  # a finaliser that parses is run by the thread that parses


def module(text: str | bytes, filename: str = "<text>") -> ast.Module:
    """Parse the text of a file. Raises: SyntaxError, ValueError, RecursionError, MemoryError, as `ast.parse` does."""
    found = _parsed(text, filename, "exec")
    assert isinstance(found, ast.Module)
    return found


def expression(text: str) -> ast.expr:
    """Parse one expression. Raises: SyntaxError, ValueError, RecursionError, MemoryError, as `ast.parse` does."""
    found = _parsed(text, "<text>", "eval")
    assert isinstance(found, ast.Expression)
    return found.body


def _parsed(text: str | bytes, filename: str, mode: str) -> ast.AST:
    for left in reversed(range(_AGAIN)):
        try:
            with _ONE_READER:
                return ast.parse(text, filename, mode)
        except SystemError as e:
            if "recursion depth mismatch" not in str(e) or not left:
                raise
    raise AssertionError("the last attempt returns or raises")
