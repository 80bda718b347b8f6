"""A store with two made-up indexes of one site, whose tokens hold everything that a page must not
obey; and its server."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from starlette.testclient import TestClient

import simulated
from assay.explorer.app import application
from assay.explorer.library import Library

HOSTILE = [
    "<script>alert(1)</script>",
    "</textarea><img src=x onerror=alert(1)>",
    "\u202egnorw",
    "\x1b[31m",
    "\x00",
    "\ufffd",
    "\n",
    "\t",
    "  ",
    "",
    '" onmouseover="alert(1)',
    "' or 1=1 --",
    "{{ 7 * 7 }}",
    "&amp;",
    "\U0001f600",
    "é",
    "\u2066x\u2069",
    "%3Cb%3E",
]
WORDS = [
    "import",
    " os",
    " def",
    "(self",
    "):",
    " return",
    " =",
    " pass",
    ".",
    " for",
    " in",
    " if",
    " self",
    ",",
    " True",
    '"""',
    " the",
    " of",
]
BASE = "/model/made-up~text"


def words(ids):
    """Plain tokens first, then hostile ones, then numbered ones, so that the three ways they look
    are all on a page."""
    known = [*WORDS, *HOSTILE]
    return [known[i] if i < len(known) else f" name{i}" for i in ids]


def ablated(width):
    """What taking three features out did: one helps, one hurts, of one nothing can be told."""
    value, half = np.array([0.0124, -0.031, 0.0006]), np.array([0.0022, 0.011, 0.0041])
    return {
        "feature": np.array([4, 5, 6]),
        "ablated_firings": np.array([120, 45, 300]),
        "importance": value,
        "importance_low": value - half,
        "importance_high": value + half,
        "importance_total": value * 0.05,
        "spill": np.array([1e-5, -3e-6, 0.0]),
        "hit_share": np.array([0.62, 0.4, 0.51]),
        "ablation_text": value * 0.05 + 1e-5,
        "gradient_sample": value * 0.04,
    }


@dataclass(frozen=True)
class World:
    """The store, the arrays that its first index was made from, and a client of its server."""

    store: Path
    made: simulated.Made
    client: TestClient

    @property
    def folder(self):
        """The first index."""
        return self.store / "artefacts/index" / ("0" * 16)


def world(folder):
    """Make both indexes; the second has the first's decoder rows, some of them turned, and other
    firings."""
    indexes = folder / "store/artefacts/index"
    indexes.mkdir(parents=True)
    first = simulated.made(folder / "first", words=words, ablated=ablated(40))
    shutil.move(first.folder, indexes / ("0" * 16))
    second = simulated.made(folder / "second", words=words, width=50, seed=1)
    shutil.move(second.folder, indexes / ("1" * 16))
    about = indexes / ("1" * 16) / "about.json"
    about.write_text(about.read_text().replace("made/up", "again"))
    rows = np.load(indexes / ("0" * 16) / "decoder.npy")
    mixed = np.load(indexes / ("1" * 16) / "decoder.npy")
    mixed[:20] = rows[20:40]
    np.save(indexes / ("1" * 16) / "decoder.npy", mixed)
    store = folder / "store"
    return World(store, first, TestClient(application(Library(store)), base_url="http://127.0.0.1"))
