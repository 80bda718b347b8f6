"""A rating of made-up features beside others, with the plan that `assay rate` writes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from shelf import shelve, simulated

from assay.evaluation.rating import Rating, go_on
from assay.features.index.reader import Index
from assay.features.rating import chosen, matched, shuffled
from assay.lab.store.store import Store

ARMS = ("trained", "random", "random-again", "other")
EACH, PASSAGES, SEED = 6, 4, 0


@dataclass(frozen=True)
class World:
    """A folder with a plan, and the store that its indexes are in."""

    root: Path
    folder: Path

    def rating(self, rater: str) -> Rating:
        return go_on(rater, self.folder, Store(self.root))


def make(root: Path) -> World:
    (root / "store").mkdir()
    (root / "store/store.json").write_text('{"format": 1}')
    keys = dict(zip(ARMS, ("a" * 16, "b" * 16, "b" * 16, "c" * 16), strict=True))
    for name, seed in (("trained", 0), ("random", 1), ("other", 2)):
        shelve(root / "store", keys[name], simulated.made(root / name, seed=seed), name=name)
    indexes = {name: Index(root / "store/artefacts/index" / key) for name, key in keys.items()}
    numbers = {
        "trained": chosen(indexes["trained"], EACH, SEED),
        "random": range(EACH),
        "random-again": range(EACH, 2 * EACH),
    }
    numbers["other"] = matched(
        indexes["other"], indexes["trained"].columns(("density",))["density"][numbers["trained"]]
    )
    items = shuffled({name: (indexes[name], numbers[name]) for name in ARMS}, PASSAGES, SEED)
    asked = {
        "dictionary": "made/up",
        "features": EACH,
        "contexts": PASSAGES,
        "seed": SEED,
        "against": ["other=elsewhere"],
    }
    plan = {"format": 1, "asked": asked, "arms": keys, "items": [item.hash for item in items]}
    (root / "rating").mkdir()
    (root / "rating/plan.json").write_text(json.dumps(plan))
    return World(root / "store", root / "rating")


def words(html: str) -> set[str]:
    """Every word of a page's source, tags and attributes included."""
    return set(re.findall(r"[a-z]+(?:-[a-z]+)*", html.lower()))
