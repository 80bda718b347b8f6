"""In a notebook figures are pictures and results tables; outside of one nothing is registered."""

from __future__ import annotations

import types
from html.parser import HTMLParser

import pytest

from assay import notebook
from assay.core.claims import Claim
from assay.core.figures import Figure
from assay.core.table import judge


class Formatter:
    def __init__(self):
        self.known = {}

    def for_type_by_name(self, module, name, show):
        self.known[module, name] = show


@pytest.fixture
def shell(monkeypatch):
    html = Formatter()
    shell = types.SimpleNamespace(display_formatter=types.SimpleNamespace(formatters={"text/html": html}))
    monkeypatch.setitem(notebook.sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    return html


def test_without_a_shell_nothing_is_registered(monkeypatch):
    monkeypatch.delitem(notebook.sys.modules, "IPython", raising=False)
    assert notebook.register() is False


def test_what_is_registered_is_shown(shell):
    assert notebook.register() is True
    picture = shell.known["assay.core.figures", "Figure"](Figure("t", {"x": [1, 2], "y": [3, 4]}, "points", x="x", y="y"))
    assert picture.lstrip().startswith("<svg")
    table = {"arm": ["a"] * 6 + ["b"] * 6 + ["c"] * 6, "seed": list(range(6)) * 3, "x": [*[1.0, 1.1, 0.9] * 2, *[2.0, 2.1, 1.9] * 4]}
    claim = judge(table, claim="a.x < 1.5", unit=["seed"], control=["b"])
    assert isinstance(claim.claim, Claim)
    page = shell.known["assay.core.claims", "Judged"](claim)
    parser = HTMLParser()
    parser.feed(page)
    assert "<table>" in page and "holds" in page
