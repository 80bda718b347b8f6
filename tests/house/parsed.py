"""Python files as trees: each is parsed once in a process, whichever rules ask about it."""

import ast
from functools import cache


@cache
def tree(path):
    """Give a file's tree, which nobody changes."""
    return ast.parse(path.read_text())


@cache
def nodes(path):
    """List all that stands in a file."""
    return tuple(ast.walk(tree(path)))
