"""Stores of made-up indexes, and clients and browsers that read the explorer of one."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pandas as pd
from starlette.testclient import TestClient

import simulated  # noqa: F401 (other tests take it from here)
from assay.explorer.app import application
from assay.explorer.guard import Rules
from assay.explorer.library import Library
from assay.features.index.about import About

HOME = "/model/made-up~text"


def shelve(root, key, made, **changed):
    """Put an index where a store has it, under this key; `changed` are fields of its about.json."""
    folder = root / "artefacts/index" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made.folder, folder)
    if changed:
        dataclasses.replace(About.read(folder), **changed).write(folder)
    return folder


@contextmanager
def served(*words):
    """`assay serve` in a process of its own, at any port: the process, and its address."""
    with subprocess.Popen(
        [sys.executable, "-m", "assay", "serve", *words, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
    ) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def replace(folder, table, values, key):
    """Write other values into columns of a table; `values` has the key column too."""
    path = folder / f"{table}.parquet"
    connection = duckdb.connect()
    connection.register("other", pd.DataFrame(values))
    columns = ", ".join(f'o."{name}" AS "{name}"' for name in values if name != key)
    sql = (
        f"SELECT t.* REPLACE ({columns}) FROM read_parquet('{path}') t LEFT JOIN other o ON "
        f"o.{key} = t.{key} ORDER BY t.{key}"
    )
    connection.execute(f"COPY ({sql}) TO '{path}.new' (FORMAT parquet)")
    Path(f"{path}.new").replace(path)


def client(root, rules=Rules()):  # noqa: B008
    """Read the explorer of a store; redirects are not followed."""
    return TestClient(
        application(Library(root), rules), base_url="http://127.0.0.1:8377", follow_redirects=False
    )


class Rows(HTMLParser):
    """The text of each cell of each table row of a page."""

    def __init__(self, html):
        super().__init__()
        self.rows, self._cell = [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = []
        if tag == "br":
            self.handle_data(" ")

    def handle_data(self, data):
        if self._cell is not None:
            self._cell.append(data)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1].append(re.sub(r"\s+", " ", "".join(self._cell)).strip())
            self._cell = None


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def assert_obeys_the_policy(tags):
    """No script or style of its own, nothing of another host, nobody's text as markup."""
    for tag, attributes in tags:
        assert tag not in ("style", "iframe", "object", "embed", "img", "base"), tag
        own = [name for name in attributes if name.startswith("on") or name == "style"]
        assert not own, (tag, attributes)
        for name in ("src", "href", "action"):
            assert attributes.get(name, "/").startswith(("/", "#")), (tag, attributes)
            assert not attributes.get(name, "/").startswith("//"), (tag, attributes)
        assert tag != "script" or attributes.get("src", "").startswith("/static/")
