"""Probes in many planted worlds: what tokens tell by themselves, by the place where they stand or
by how many there are is never credited to the model; what only the model works out is.

The worlds draw rows of tokens and their embeddings; "activations" are the embeddings at their
places turned at random, with a computed feature among them where the world has one. Controls read
as the device lets them, and its judge decides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from assay.ask.measure import probe_tasks, probes
from assay.ask.measure.probe_tasks import ProbeTask, linear
from assay.ask.measure.prompts import load
from assay.ask.near import PLACES
from assay.ask.tables import Model, Probe, Prompts
from assay.core.claims import Claim
from assay.core.judging import judge

CASES = 204
A_DAY = ("the word at a place", "which of two comes first")
WORDS, WIDTH, HIDDEN, ROWS = 16, 3, 60, 200
READER = probes._Reader
CONTROLS = ("bag", "embedding", "places", "untrained", "permuted")


def half(token):
    """A property of a word: one half of all words have it."""
    return token % 2


CONFOUNDS = {
    "a word anywhere": lambda ids, _: [int(0 in row) for row in ids],
    "the word at a place": lambda ids, _: [half(row[2]) for row in ids],
    "the word counted from the end": lambda ids, _: [half(row[-3]) for row in ids],
    "how many words": lambda ids, _: [int(len(row) > 6) for row in ids],
    "which of two comes first": lambda ids, _: [int(row.index(1) < row.index(2)) for row in ids],
    "nothing": lambda ids, draw: draw.integers(0, 2, len(ids)).tolist(),
}
"""What stands behind the label, and that a model need not work out."""
COMPUTED = {
    "two words alike": lambda ids, _: [half(row[1]) ^ half(row[-1]) for row in ids],
    "as many of a kind, evenly": lambda ids, _: [sum(map(half, row)) % 2 for row in ids],
}


def drawn(draw, name):
    """Rows of tokens, and the label of each."""
    if name == "which of two comes first":
        rows = []
        for _ in range(ROWS):
            row = draw.integers(3, WORDS, 6).tolist()
            at = sorted(draw.choice(6, 2, replace=False))
            first, second = draw.permutation([1, 2]).tolist()
            row[at[0]], row[at[1]] = first, second
            rows.append(row)
    else:
        rows = [draw.integers(0, WORDS, draw.integers(4, 9)).tolist() for _ in range(ROWS)]
        if name == "a word anywhere":
            rows = [[w if w or i % 2 else 1 for w in row] for i, row in enumerate(rows)]
            rows = [row if i % 2 == 0 else [0, *row[1:]] for i, row in enumerate(rows)]
            for row in rows:
                draw.shuffle(row)
    return rows, {**CONFOUNDS, **COMPUTED}[name](rows, draw)


class World:
    """Tokens, embeddings, activations of a model and of its untrained twins."""

    def __init__(self, seed, name):
        self.draw = np.random.default_rng([seed, sum(map(ord, name))])
        self.tokens, labels = drawn(self.draw, name)
        self.embedding = torch.tensor(0.3 * self.draw.normal(size=(WORDS, WIDTH))).float()
        self.embedding[:, 0] = torch.tensor([2.0 * half(word) - 1 for word in range(WORDS)])
        self.embedding[1, 1], self.embedding[2, 1], self.embedding[0, 2] = 2, -2, 3
        rows = tuple({"x": f"{i}", "label": f"is{y}"} for i, y in enumerate(labels))
        self.prompts = load(Prompts(name="p", text="{x}", rows=rows), Path())
        read = probe_tasks.placed(self.embedding, self.tokens).numpy()
        turn = self.draw.normal(size=(read.shape[1], HIDDEN)) / read.shape[1] ** 0.5
        self.acts = read @ turn + 0.05 * self.draw.normal(size=(ROWS, HIDDEN))
        if name in COMPUTED:
            self.acts[:, 0] = 2 * np.array(labels) - 1 + 0.2 * self.draw.normal(size=ROWS)
        self.read = read

    def arm(self, monkeypatch, control):
        world, seeds = self, np.arange(3)
        table = Probe(name="p", site="blocks.1.hook_resid_post")
        task = ProbeTask(Model(name="m"), table, self.prompts, control=control)
        if control == PLACES.name:
            task = replace(task, table=linear(task))
        order = [*task.learned, *task.rows]

        class Reader(READER):
            def __init__(self, *_):
                self.task, self.rows = task, task.rows

            def ids(self, table):
                return [world.tokens[i] for i in order]

            def _embedding(self, table, attends):
                x = [world.embedding[row] for row in self.ids(table)]
                return torch.stack([torch.cat([y.mean(0), y[-1]]) for y in x])

            def _placed(self, table, attends):
                return probe_tasks.placed(world.embedding, self.ids(table))

            def inputs(self, points, seed, changed=0, other=None):
                if control in probes.WITHOUT_MODEL:
                    return super().inputs(points, seed, changed, other)
                # a random network that forgets most of what it reads
                if control == "untrained":
                    own = np.random.default_rng(seed)
                    x = np.tanh(own.normal(size=(ROWS, HIDDEN)))
                    return [torch.tensor(x[order])]
                return [torch.tensor(world.acts[order])]

        monkeypatch.setattr(probes, "_Reader", Reader)
        found, coords = probes.measure(task, seeds, Path(), "cpu", False, lambda *_: None)
        x = found["accuracy"][1]
        return xr.Dataset(
            {"accuracy": (("run", "prompt"), x)},
            coords={"prompt": coords["prompt"], "seed": ("run", seeds)},
        )

    def judged(self, monkeypatch):
        arms = {"p": self.arm(monkeypatch, "")}
        arms |= {f"p/{name}": self.arm(monkeypatch, name) for name in CONTROLS}
        claim = Claim(
            text="the middle tells it",
            of="p",
            value=lambda arm, arms: arm.accuracy.mean("run"),
            units=("prompt",),
            low=0.75,
            empty=0.5,
            bounds=(0.0, 1.0),
            must_fail=tuple(f"p/{name}" for name in CONTROLS),
            near={f"p/{name}": "it tells as much" for name in CONTROLS},
            threshold_from="plan: three in four",
            source="here",
            fixed=("3 draws of what is learned from",),
        )
        return judge(claim, arms)


def share(monkeypatch, names, cases):
    """How often the claim holds in worlds of each name."""
    each = -(-cases // len(names))
    outcomes = {
        name: [World(seed, name).judged(monkeypatch).outcome for seed in range(each)]
        for name in names
    }
    return {name: np.mean([o == "holds" for o in some]) for name, some in outcomes.items()}


@pytest.mark.parametrize(
    ("names", "cases"), [(A_DAY, 2), pytest.param([*CONFOUNDS], CASES, marks=pytest.mark.thorough)]
)
def test_what_tokens_tell_by_themselves_is_credited_to_no_model(monkeypatch, names, cases):
    shares = share(monkeypatch, names, cases)
    assert np.mean([*shares.values()]) <= 0.025 and max(shares.values()) <= 0.06, shares


@pytest.mark.parametrize("cases", [2, pytest.param(CASES, marks=pytest.mark.thorough)])
def test_what_only_the_model_works_out_holds_at_twice_the_margin(monkeypatch, cases):
    shares = share(monkeypatch, COMPUTED, cases)
    assert min(shares.values()) >= 0.9, shares
