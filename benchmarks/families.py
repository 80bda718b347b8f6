"""How often a claim about dependent rows holds though the truth is the threshold, by `judge_table`.

23 families of tables whose rows are not as independent as they seem: copies with a jitter,
templates, cells of seeds and documents, series in time; with the true groups declared as units, and
with nothing declared. Then 8 honest families, at twice the threshold.
Goal: with groups declared at most 2.5 % of each family hold.
Run: python benchmarks/families.py [--tables 200] [--only NAME]
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import pandas as pd

from assay.errors import AssayError
from assay.verdicts.rule import Sample, interval
from assay.verdicts.table import judge_table

BLOCK = 5
"""Neighbours of a series, or of windows, that are one unit where blocks are declared."""

MARGIN, SPREAD = 0.05, 0.02
"""The threshold of every claim, and the standard deviation of a unit of each arm."""


def copies(real, times, jitter, how="repeated"):
    """So many real units, each copied with a noise between these two."""

    def one(rng):
        x, of = SPREAD * rng.normal(size=real), np.repeat(np.arange(real), times)
        of = np.tile(np.arange(real), times) if how == "tiled" else of
        noise = np.exp(rng.uniform(*np.log(jitter)))
        order = np.random.default_rng(7).permutation(len(of)) if how == "shuffled" else slice(None)
        x = x[of] + noise * rng.normal(size=len(of))
        order = rng.permutation(len(of)) if how == "each arm in an order of its own" else order
        return x[order], of[order]

    return one


def rescaled(rng):
    """Four real units in six copies, each copy stretched and moved a little."""
    copy = np.random.default_rng(rng.integers(2**31))
    stretch, moved = 1 + 0.03 * copy.normal(size=6), 0.003 * copy.normal(size=6)
    x = np.tile(SPREAD * rng.normal(size=4), 6)
    return np.repeat(stretch, 4) * x + np.repeat(moved, 4), np.tile(np.arange(4), 6)


def shared(*groups, nested=False):
    """Units that share parts of their variance with the others of each grouping; of nested ones
    the first is the widest."""

    def one(rng):
        left = 1 - sum(part for _, part in groups)
        x = np.sqrt(left) * rng.normal(size=len(groups[0][0]))
        for of, part in groups:
            x = x + np.sqrt(part) * rng.normal(size=of.max() + 1)[of]
        return SPREAD * x, *(of for of, _ in groups[: 1 if nested else 2])

    return one


def series(correlation, n=40):
    """Units that follow each other in time."""

    def one(rng):
        x = rng.normal(size=n)
        for i in range(1, n):
            x[i] = correlation * x[i - 1] + np.sqrt(1 - correlation**2) * x[i]
        return SPREAD * x, np.arange(n) // BLOCK

    return one


def named(of, name):
    return [f"{name}{i}" for i in of]


def overlapping(rng):
    """Windows that share three quarters with the next, in another order."""
    x = np.convolve(rng.normal(size=51), np.full(4, 0.5), "valid")
    return SPREAD * x[MIXED], MIXED // BLOCK


MIXED = np.random.default_rng(3).permutation(48)
SPELLINGS = (
    str,
    str.upper,
    str.title,
    str.capitalize,
    lambda x: f" {x}",
    lambda x: f"{x} .",
    lambda x: x.replace(" ", "  "),
    lambda x: f"{x}!",
)
WORDINGS = (
    "The capital of {} is",
    "I once went to {} and saw",
    "We know that {} is known for its",
    "People in {} like to",
    "Send it to {} or to",
    "My friend from {} said",
    "There is a road to {} that",
    "If you ever see {} then",
    "Nobody has heard of {} since",
    "Trains that go to {} are",
    "In the north of {} there",
    "They were sent away to {} by",
)
NAMES = [f"land{chr(97 + i)}" for i in range(16)]
PROMPTS, CELLS, LINES, GRID = np.arange(48), np.arange(48), np.arange(60), np.arange(96)
SEED, DOCUMENT = CELLS // 8, CELLS % 8
FAMILIES = {
    "4 units, 6 copies": (copies(4, 6, (0.001, 0.01)), {}),
    "8 units, 3 copies": (copies(8, 3, (0.001, 0.01), "tiled"), {}),
    "12 units, 2 copies": (copies(12, 2, (0.001, 0.01)), {}),
    "4 units, 6 copies, shuffled": (copies(4, 6, (0.001, 0.003), "shuffled"), {}),
    "8 units, 3 copies, shuffled": (copies(8, 3, (0.001, 0.003), "shuffled"), {}),
    "copies, each arm in another order": (
        copies(4, 6, (0.0005, 0.001), "each arm in an order of its own"),
        {},
    ),
    "copies, stretched and moved": (rescaled, {}),
    "copies under a label that differs": (
        copies(4, 6, (0.0001, 0.001), "tiled"),
        {"variant": named(np.arange(24) // 4, "v")},
    ),
    "2 templates": (shared((PROMPTS % 2, 0.5)), {"template": named(PROMPTS % 2, "t")}),
    "3 templates": (shared((PROMPTS % 3, 0.5)), {"template": named(PROMPTS % 3, "t")}),
    "6 templates, numbered": (shared((PROMPTS % 6, 0.5)), {"template": [*PROMPTS % 6]}),
    "6 templates, a tenth shared": (
        shared((PROMPTS % 6, 0.1)),
        {"template": named(PROMPTS % 6, "t")},
    ),
    "6 seeds × 8 documents as cells": (
        shared((SEED, 0.35), (DOCUMENT, 0.35)),
        {"seed": [*SEED], "document": named(DOCUMENT, "d")},
    ),
    "sentences of documents of authors": (
        shared((LINES // 10, 0.3), (LINES // 5, 0.3), nested=True),
        {"document": named(LINES // 5, "d"), "author": named(LINES // 10, "a")},
    ),
    "a series": (series(0.6), {}),
    "a long-winded series": (series(0.9), {}),
    "texts that only spelling tells apart, shuffled": (
        shared((MIXED // 8, 0.5)),
        {"text": [SPELLINGS[k % 8](f"it was a day in town {k // 8}") for k in MIXED]},
    ),
    "templates of which a column has other spaces": (
        shared((PROMPTS % 3, 0.5)),
        {"template": [f"t{k % 3}" + " " * (k // 3 % 4) for k in PROMPTS]},
    ),
    "wordings that only texts tell, shuffled": (
        shared((MIXED % 3, 0.5)),
        {"text": [WORDINGS[k % 3].format(NAMES[k // 3]) for k in MIXED]},
    ),
    "wordings of the texts that name the units, shuffled": (
        shared((MIXED % 3, 0.5)),
        {"unit": [WORDINGS[k % 3].format(NAMES[k // 3]) for k in MIXED]},
    ),
    "things that only texts tell, shuffled": (
        shared((MIXED % 4, 0.5)),
        {"text": [(WORDINGS[k // 4]).format(NAMES[k % 4]) for k in MIXED]},
    ),
    "windows that overlap, by where they begin": (overlapping, {"start": [*(64 * MIXED)]}),
    "6 templates that no column names": (shared((PROMPTS % 6, 0.5)), {}),
}
HONEST = {
    "independent": (shared((np.arange(24), 0.5)), {}),
    "independent, of 6 kinds": (
        shared((PROMPTS, 0.5)),
        {"kind": named(PROMPTS % 6, "k"), "length": [*(PROMPTS * 7 % 11)]},
    ),
    "independent, of texts, lengths and yes and no": (
        shared((np.arange(24), 0.5)),
        {
            "text": [" ".join(np.random.default_rng(k).choice(NAMES, 7)) for k in range(24)],
            "tokens": [*(3 * MIXED[:24] + 10)],
            "chars": [*(17 * MIXED[24:] + 40)],
            "question": [*(MIXED[:24] % 2)],
        },
    ),
    "independent, named by texts": (
        shared((np.arange(24), 0.5)),
        {"unit": [" ".join(np.random.default_rng(k).choice(NAMES, 7)) for k in range(24)]},
    ),
    "12 wordings of the texts that name the units": (
        shared((PROMPTS % 12, 0.5)),
        {"unit": [WORDINGS[k % 12].format(NAMES[k // 12]) for k in PROMPTS]},
    ),
    "skewed": (lambda rng: (SPREAD * (rng.exponential(size=24) - 1), np.arange(24)), {}),
    "12 templates": (shared((PROMPTS % 12, 0.5)), {"template": named(PROMPTS % 12, "t")}),
    "8 seeds × 12 documents as cells": (
        shared((GRID // 12, 0.35), (GRID % 12, 0.35)),
        {"seed": [*(GRID // 12)], "document": named(GRID % 12, "d")},
    ),
}
"""Tables in which enough is independent for true effects to be found; of six groups, as of six
units, about nine in ten are."""


def table(name, effect, case, of=FAMILIES, declared=False):
    """Three arms, the first lower by `effect`; where declared, with the columns of true units."""
    rng, (one, columns) = np.random.default_rng([case, len(name)]), of[name]
    arms = {"mine": -effect, "old": 0.0, "again": 0.0}
    rows = []
    for arm, level in arms.items():
        x, *true = one(rng)
        units = {f"true {k}": groups for k, groups in enumerate(true)} if declared else {}
        loss = {"arm": arm, "unit": range(len(x)), "loss": 0.2 + level + x}
        rows.append(pd.DataFrame({**loss, **columns, **units}))
    return pd.concat(rows)


# fmt: off
_HELD = (4, 2.5, 2.5, 3.5, 1.5, 22.5, 1.5, 1, 1.5, 2, 2.5, 0.5,
         2.5, 1, 5, 3.5, 5.5, 3.5, 1, 2, 21.5, 0, 6)
# fmt: on
PILOT = dict(zip(FAMILIES, _HELD, strict=True))
"""Percent that held with nothing declared in the pilot of these diagnostics, of 200 tables."""


def outcome(name, case, declared, of=FAMILIES):
    """What comes of a table's claim; one that holds with a note of few groups is of these only.
    Where the interval of the units alone spans the threshold, nothing further is asked."""
    effect = MARGIN if of is FAMILIES else 2 * MARGIN
    rows = table(name, effect, case, of, declared)
    unit = [c for c in rows if c.startswith("true")] if declared else ["unit"]
    means = rows.pivot_table("loss", unit, "arm")
    labels = {u: means.index.get_level_values(u).to_numpy() for u in unit}
    difference = (means["mine"] - means["old"]).to_numpy()[:, None]
    if not interval(Sample(difference, labels)).limits()[1] < -MARGIN:
        return "straddles"
    claim = f"mine.loss - old.loss < {-MARGIN}"
    try:
        result = judge_table(rows, claim, unit, control="again", about="mine")
    except AssayError as refused:
        return refused.code
    (judged,) = result.claims
    limited = any(note.code == "few-groups" for note in judged.notes)
    verdict = judged.verdict
    return "of these only" * limited or "holds" if verdict.outcome == "holds" else verdict.reason


def page(tables, only=""):
    """The lines of families.md."""
    yield "# Dependent rows"
    yield f"""
Percent of {tables} tables of each family whose claim holds where the truth is the threshold, by
`python benchmarks/families.py --tables {tables}`; in brackets those that hold *of these groups
only*, by a note. The doubts are what mostly keeps the others open with nothing declared.
"""
    for of, title in ((FAMILIES, "family"), (HONEST, "honest, twice the threshold")):
        yield f"| {title} | true groups declared | nothing declared | pilot | doubts |"
        yield "|---|---|---|---|---|"
        for name in (x for x in of if only in x):
            shares = list[str]()
            for declared in (True, False):
                came = Counter(outcome(name, case, declared, of) for case in range(tables))
                held, these = (100 * came[x] / tables for x in ("holds", "of these only"))
                shares.append(f"{held:.1f}" + f" ({these:.1f})" * (these > 0))
            told = ", ".join(f"{x} {n}" for x, n in came.most_common() if x not in PLAIN)
            pilot = f"{PILOT[name]:.1f}" if of is FAMILIES else ""
            yield f"| {name} | {' | '.join(shares)} | {pilot} | {told} |"
        yield ""


PLAIN = ("holds", "of these only", "straddles", "")

if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--tables", type=int, default=200)
    ask.add_argument("--only", default="", help="a part of the families' names")
    a = ask.parse_args()
    for line in page(a.tables, a.only):
        print(line, flush=True)
