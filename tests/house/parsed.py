"""Python files as trees: each is parsed once in a process, whichever rules ask about it."""

import ast
from functools import cache
from pathlib import Path


@cache
def tree(path: Path) -> ast.Module:
    """Give a file's tree, which nobody changes."""
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """List all that stands in a file."""
    return tuple(ast.walk(tree(path)))
