"""Syntax: a text is read as `ast.parse` reads it, also while other threads parse and the collector
runs Python code."""

import ast
import gc
import sys
import threading

import pytest

from assay.core import syntax

TEXT = "\n".join(
    f"def f{i}(x):\n    return [{i} * (x + {{1: [x, (x, -x)]}}[1][0]) for y in x if y]"
    for i in range(40)
)


class Finalised:
    """Garbage whose end runs Python code, where the interpreter may go over to another thread."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        sum(i for i in range(50))


@pytest.fixture
def restless():
    """An interpreter that collects and switches threads all the time."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(50, 2, 2)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*threshold)


@pytest.mark.parametrize("times", [10, pytest.param(25, marks=pytest.mark.thorough)])
def test_threads_that_parse_at_once_all_get_the_tree(restless, times):
    expected, found = ast.dump(ast.parse(TEXT)), []

    def read():
        for _ in range(times):
            Finalised()
            try:
                found.append(ast.dump(syntax.module(TEXT)) == expected)
            except SystemError as e:
                found.append(e)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == [True] * 4 * times


def test_a_text_that_other_codes_parsing_disturbs_is_read_again(monkeypatch):
    """The error as Python 3.11 words it, twice, then none."""
    left, parse = [1, 2], ast.parse

    def disturbed(*args):
        if left:
            left.pop()
            raise SystemError("AST constructor recursion depth mismatch (before=18, after=15)")
        return parse(*args)

    monkeypatch.setattr(ast, "parse", disturbed)
    assert ast.unparse(syntax.expression("a  +b")) == "a + b"
    assert left == []


def test_any_other_system_error_is_raised(monkeypatch):
    def broken(*args):
        raise SystemError("something else")

    monkeypatch.setattr(ast, "parse", broken)
    with pytest.raises(SystemError, match="something else"):
        syntax.module("x")


def test_what_is_no_python_is_refused_as_ever():
    with pytest.raises(SyntaxError):
        syntax.expression("a b")
    assert syntax.module(b"# coding: latin-1\nx = '\xe9'").body[0].value.value == "é"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = 1",
        '"""A title."""',
        '# a\n\n  \n# b\n"""A title.\n\n   Indented\n"""\nx = 1\n',
        "r'''A \\d'''\n",
        '"""quoted \\""" here"""\n',
        '"""one""" "two"\nx = 1',
        '"""one""" + x',
        '"""one""" ; x = 1',
        'f"""{1}"""\n',
        '"""\\x41\n"""\n',
        "'short'\n",
        '""""""\n',
    ],
)
def test_a_docstring_is_what_the_whole_file_would_give(text):
    assert syntax.docstring(text) == ast.get_docstring(ast.parse(text))


def test_what_stands_after_a_docstring_is_not_parsed():
    assert syntax.docstring('"""A title."""\n\ndef (') == "A title."
    with pytest.raises(SyntaxError):
        syntax.docstring('"""never closed')
