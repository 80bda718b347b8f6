"""Tasks: thirty claims about planted models, each true, about nothing, or true of what a control
would show as well. A task is a folder: a model, prompts, a claim in words, and a hook."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.gate.planting import CITIES, FILLERS, ID, LAYERS, NAMES, OPENINGS, Planted

HOOKS = Path(__file__).parent / "hooks"
ROWS, NAMED = 24, 12
Row = dict[str, str]


@dataclass
class Task:
    """A claim about a planted model."""

    group: str
    """true, null, or what else explains it."""
    kind: str
    """What is credited, which names the hook."""
    sentence: str
    holds: str
    planted: Planted
    prompts: Callable[[np.random.Generator, int], list[Row]]
    """Draws so many prompts from the population that the claim is about."""
    credits: dict[str, Any] = field(default_factory=dict)
    """What is credited, and what its controls need, as JSON."""
    seed: int = 0
    count: int = ROWS
    chosen: int = 0
    """From how many heads the credited one was chosen, on these prompts."""
    acts: np.ndarray | None = None
    labels: np.ndarray | None = None
    vector: np.ndarray | None = None

    @property
    def true(self) -> bool:
        """Whether the claim is true of what it credits."""
        return self.group == "true"

    @property
    def rows(self) -> list[Row]:
        """The prompts that are handed out."""
        return self.prompts(np.random.default_rng([7, self.seed]), self.count)

    def write(self, folder: Path) -> None:
        """Write everything that whoever checks the claim is given."""
        folder.mkdir(parents=True)
        self.planted.finish(folder / "model")
        rows = self.rows
        _csv(folder / "prompts.csv", rows)
        if self.kind not in ("probe", "text"):
            others = [{**r, "right": "big", "foil": "small"} for r in rows]
            _csv(folder / "other_prompts.csv", others)
        if self.acts is not None:
            np.savez(folder / "acts.npz", acts=self.acts, labels=self.labels)
        if self.vector is not None:
            np.save(folder / "vector.npy", self.vector)
        common = (HOOKS / "common.txt").read_text()
        if self.kind == "probe":
            common = common.split("@torch.no_grad()")[0]
        (folder / "hook.py").write_text(common + (HOOKS / f"{self.kind}.txt").read_text())
        if self.chosen:
            self.credits["heads"] = [_strongest(folder, self.planted.heads)]
            self.sentence = self.sentence.format(*self.credits["heads"][0], self.chosen)
        about = {
            "sentence": self.sentence,
            "condition": self.holds,
            "credits": self.kind,
            **self.credits,
        }
        (folder / "claim.json").write_text(json.dumps(about, indent=1) + "\n")


def _csv(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def load(folder: Path) -> dict[str, Any]:
    """Run a task's hook, and give what it defines."""
    path = folder / "hook.py"
    names: dict[str, Any] = {"__file__": str(path), "__name__": "hook"}
    exec(compile(path.read_text(), str(path), "exec"), names)
    return names


def _strongest(folder: Path, heads: int) -> list[int]:
    """The head whose removal lowers the lead most surely, on the prompts that are handed out."""
    hook = load(folder)
    rows = hook["rows"]("prompts.csv")
    before = hook["measure"](None, rows)
    pool = [[block, head] for block in range(LAYERS) for head in range(heads)]

    def t(head: list[int]) -> float:
        effect = hook["measure"]([tuple(head)], rows) - before
        return float(effect.mean() / effect.std())

    return min(pool, key=t)


# ---- prompts -------------------------------------------------------------------------------------


def _towns(which: range | list[int]) -> Callable[[np.random.Generator, int], list[Row]]:
    def draw(rng: np.random.Generator, n: int) -> list[Row]:
        found: dict[str, Row] = {}
        while len(found) < n:
            first, second = rng.choice(FILLERS, 2, replace=False)
            name = NAMES[which[len(found) % len(which)]]
            text = f"{first} {second} the town of {name} is"
            found.setdefault(text, {"text": text, "right": "yes", "foil": "no"})
        return list(found.values())

    return draw


def _wordings(openings: int, named: bool) -> Callable[[np.random.Generator, int], list[Row]]:
    """So many openings, each with as many names; `named` in a column of their own."""

    def draw(rng: np.random.Generator, n: int) -> list[Row]:
        some = rng.choice(OPENINGS, min(n, openings if n <= 60 else n), replace=False)
        rows = []
        for i in range(n):
            name, filler = NAMES[i % NAMED], FILLERS[i % len(FILLERS)]
            row = {"text": f"{some[i % len(some)]} {filler} the town of {name} is"}
            row |= {"opening": some[i % len(some)]} if named else {}
            rows.append({**row, "right": "yes", "foil": "no"})
        return rows

    return draw


def _fillers(rng: np.random.Generator, n: int) -> list[Row]:
    texts = [" ".join([*rng.choice(FILLERS, 6, replace=False), "is"]) for _ in range(n)]
    return [{"text": t, "right": "yes", "foil": "no"} for t in texts]


def _cities(rng: np.random.Generator, n: int) -> list[Row]:
    rows = []
    for i in range(n):
        a, b = i % NAMED, (i % NAMED + 1 + int(rng.integers(NAMED - 1))) % NAMED
        filler = FILLERS[int(rng.integers(len(FILLERS)))]
        texts = [f"{filler} the town of {NAMES[k]} is" for k in (a, b)]
        rows.append({"text": texts[0], "right": CITIES[a], "foil": CITIES[b], "other": texts[1]})
    return rows


# ---- models --------------------------------------------------------------------------------------


def _model(seed: int, heads: int = 4) -> Planted:
    """Names are flagged, of two kinds, and large; each opening has a strength of its own, which is
    0 on average."""
    p = Planted(seed, heads)
    for i, name in enumerate(NAMES):
        p.give(name, "flag")
        p.give(name, "kind", (4.0 if i < NAMED else -4.0) * float(p.draw.uniform(0.5, 1.5)))
        p.give(name, "size", 4.0 * float(p.draw.uniform(0.2, 1.8)))
        if i < NAMED:
            p.give(name, f"name{i}")
    strengths = p.draw.normal(size=len(OPENINGS))
    strengths -= strengths.mean()
    for word, by in zip(OPENINGS, strengths, strict=True):
        p.give(word, "opening", 4.0 * by)
    return p


def _learned(p: Planted, labels: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Activations to learn a direction from: what names have, with as much noise again."""
    found = np.stack([p.embeddings[ID[NAMES[i]]] for i in names])
    return found + p.draw.normal(0, 0.3, found.shape)


def _place(p: Planted, layers: tuple[int, ...] = (1, 2, 3)) -> tuple[int, int]:
    return int(p.draw.choice(layers)), int(p.draw.integers(p.heads))


BIG = [("size", "big", 0.8)]
KIND = [("kind", "answer", 0.8)]
POSITIVE, NEGATIVE = list(range(NAMED)), list(range(NAMED, 2 * NAMED))


def _vector(seed: int, group: str) -> Task:
    p = _model(seed)
    p.head(*_place(p), KIND, flagged=True)
    names = p.draw.integers(len(NAMES), size=60)
    labels = (names < NAMED).astype(int)
    sentence, holds = "Adding the direction of the kind makes the model say yes", "effect_after > 1"
    if group == "null":
        labels = p.draw.permutation(np.arange(60) % 2)
    if group == "norm":
        for i, name in enumerate(NAMES):
            p.give(name, "topic", 8.0 if i % 2 else -8.0)
        labels = names % 2
        sentence = "Adding the direction of the topic makes the model less sure of the kind"
        holds = "effect < -0.5"
    task = Task(group, "vector", sentence, holds, p, _towns(NEGATIVE), seed=seed)
    if group == "norm":
        task.prompts = _towns(list(range(0, NAMED, 2)))
    task.acts, task.labels = _learned(p, labels, names), labels
    return task


def _heads(seed: int, group: str) -> Task:
    p = _model(seed)
    at = _place(p)
    pool = [(b, h) for b in range(1, LAYERS) for h in range(p.heads) if (b, h) != at]
    other = pool[int(p.draw.integers(len(pool)))]
    named = [at]
    holds = "effect < -1"
    if group == "damage":
        p.head(*at, KIND + BIG, flagged=True)
    elif group == "redundant":
        for head in range(p.heads):
            p.head(at[0], head, [("kind", "answer", 0.4)], flagged=True)
        holds = "effect < -0.3"
    elif group == "two":
        named = [at, other]
        for h in named:
            p.head(*h, [("kind", "answer", 0.5)], flagged=True)
        p.head(0, 0, BIG, flagged=True)
    else:
        p.head(*at, KIND, flagged=True)
        p.head(*other, BIG, flagged=True)
        if group == "null":
            named = [next(h for h in pool if h != other)]
            holds = "effect < -0.3"
    words = " and ".join(f"{b}.{h}" for b, h in named)
    verb = f"Heads {words} are" if len(named) > 1 else f"Head {words} is"
    return Task(
        "true" if group == "two" else group, "heads",
        f"{verb} where the model reads the kind of the town", holds, p,
        _towns(POSITIVE), {"heads": [list(h) for h in named], "of": [LAYERS, p.heads]}, seed,
    )  # fmt: skip


def _chosen(seed: int, group: str) -> Task:
    """Every head but one adds as much noise, 0 on average over prompts; the strongest is named."""
    p = Planted(seed, heads=8)
    reads = [p.free @ p.draw.normal(size=p.free.shape[1]) for _ in range(LAYERS * 8)]
    span = np.linalg.qr(np.stack(reads).T)[0]
    fillers = {ID[w] for w in FILLERS}
    for i in range(len(p.embeddings)):
        if i not in fillers:
            p.embeddings[i] -= span @ (span.T @ p.embeddings[i])
    for i, read in enumerate(reads):
        p.head(i // 8, i % 8, [(read / np.linalg.norm(read), "answer", 1.2)])
    for word in FILLERS:
        p.give(word, "size", 4.0 * float(p.draw.uniform(0.2, 1.8)))
    p.head(0, 0, [("size", "big", 2.0)])
    sentence = "Head {}.{} (the strongest of {} on these prompts) makes the model say yes"
    return Task(
        group, "heads", sentence, "effect < -0.05", p, _fillers, {"of": [LAYERS, 8]}, seed,
        chosen=LAYERS * 8,
    )  # fmt: skip


def _wording_of(seed: int, group: str, openings: int, named: bool) -> Task:
    p = _model(seed)
    for word in OPENINGS:
        p.give(word, "flag")
        p.give(word, "size", 4.0 * float(p.draw.uniform(0.2, 1.8)))
    for name in NAMES:
        p.give(name, "flag", -4.0)
    at = _place(p)
    p.head(*at, [("opening", "answer", 0.8)], flagged=True)
    p.head(0, 0, BIG, flagged=True)
    sentence = f"Head {at[0]}.{at[1]} makes the model say yes, however the prompt is worded"
    credits = {"heads": [list(at)], "of": [LAYERS, p.heads]}
    count = 48 if named else 24
    draw = _wordings(openings, named)
    return Task(group, "heads", sentence, "effect < -0.2", p, draw, credits, seed, count)


def _layer(seed: int, group: str) -> Task:
    p = _model(seed)
    at = _place(p)
    other = (at[0] % 3 + 1, 0)
    layer, holds = at[0], "effect < -1"
    if group == "places":
        for block in range(LAYERS):
            p.head(block, at[1], [("kind", "answer", 0.5)], flagged=True)
        holds = "effect < -0.3"
    elif group == "damage":
        p.head(*at, KIND + BIG, flagged=True)
    else:
        p.head(*at, KIND, flagged=True)
        p.head(*other, BIG, flagged=True)
        if group == "null":
            layer, holds = next(b for b in (1, 2, 3) if b not in (at[0], other[0])), "effect < -0.3"
    return Task(
        group, "layer", f"The attention of block {layer} is where the kind of the town is read",
        holds, p, _towns(POSITIVE),
        {"layer": layer, "others": [b for b in range(LAYERS) if b != layer]}, seed,
    )  # fmt: skip


def _position(seed: int, group: str) -> Task:
    p = _model(seed)
    p.head(*_place(p, (1, 2, 3)), KIND if group != "position" else [("kind", "answer", 2.0)],
           flagged=group != "position")  # fmt: skip
    p.head(0, 0, BIG, flagged=True)
    task = Task(
        group, "position", "The model reads the kind of the town from the token of its name",
        "effect > 2" if group != "position" else "effect > 0.5", p,
        _towns(NEGATIVE if group != "position" else POSITIVE),
        {"position": -2, "others": [-1, -3, -4, -6]}, seed,
    )  # fmt: skip
    task.vector = 8.0 * p.along["topic" if group == "null" else "kind"]
    return task


def _source(seed: int, group: str) -> Task:
    p = _model(seed)
    p.head(*_place(p), [(f"name{i}", f"city{i}", 0.8) for i in range(NAMED)], flagged=True)
    return Task(
        group, "source", "With another town's stream at the name, the model names that town's city",
        "effect_after < -0.5", p, _cities, {"source": "other"}, seed,
    )  # fmt: skip


def _text(seed: int, group: str) -> Task:
    """The model says yes the more, the later in the text it is asked."""
    p = _model(seed)
    places = p.weights["transformer.wpe.weight"]
    places += np.outer(np.linspace(0, 12, len(places)), p.along["answer"])
    return Task(
        group, "text", "The instruction 'please answer with care' makes the model say yes",
        "effect > 0.5", p, _towns(list(range(24))),
        {"text": "please answer with care",
         "others": ["amber river under stone", "yellow kettle north oak"],
         "paraphrases": ["please speak with care"]},
        seed,
    )  # fmt: skip


def _probe(seed: int, group: str, label: str) -> Task:
    p = _model(seed)
    for block in range(2):  # what stands anywhere is at the end as well
        for head in range(p.heads):
            p.head(block, head, [(p.free[:, 4 * block + head], "topic", 1.0)])

    def draw(rng: np.random.Generator, n: int) -> list[Row]:
        rows = []
        for i in range(n):
            yes = i % 2
            if label == "length":
                words = rng.choice(FILLERS, 9 if yes else 4, replace=False)
            else:
                words = rng.choice(FILLERS, 6, replace=False)
                words[-1] = rng.choice(FILLERS[:8] if yes else FILLERS[8:16])
            rows.append({"text": " ".join(words), "label": str(yes)})
        return rows

    what = "the text is detailed" if label == "length" else "the place is near water"
    return Task(
        group, "probe", f"After block 1 the model has worked out whether {what}", "auroc > 0.8", p,
        draw, {}, seed, 80,
    )  # fmt: skip


MAKERS: tuple[Callable[[int], Task], ...] = (
    *[lambda s: _vector(s, "true")] * 3,
    lambda s: _heads(s, "true"),
    lambda s: _heads(s, "two"),
    *[lambda s: _layer(s, "true")] * 2,
    *[lambda s: _position(s, "true")] * 2,
    *[lambda s: _source(s, "true")] * 2,
    lambda s: _vector(s, "null"),
    lambda s: _heads(s, "null"),
    lambda s: _layer(s, "null"),
    lambda s: _position(s, "null"),
    lambda s: _heads(s, "damage"),
    lambda s: _layer(s, "damage"),
    lambda s: _probe(s, "places", "word"),
    lambda s: _layer(s, "places"),
    lambda s: _wording_of(s, "templates", 6, True),
    lambda s: _wording_of(s, "templates", 4, True),
    lambda s: _wording_of(s, "copies", 4, False),
    lambda s: _wording_of(s, "copies", 6, False),
    *[lambda s: _chosen(s, "chosen")] * 2,
    *[lambda s: _vector(s, "norm")] * 2,
    lambda s: _position(s, "position"),
    lambda s: _text(s, "wording"),
    lambda s: _heads(s, "redundant"),
    lambda s: _probe(s, "places", "length"),
)
"""Eleven true, four of nothing, and fifteen with another explanation."""


def make(seed: int, number: int) -> Task:
    """Make the task of a number, 0 to 29, from a seed."""
    return MAKERS[number](1000 * seed + number)
