"""The method of lm-importance: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Bool, Float, Int

from assay.core import Bench, Runs, Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data.harvest import Harvest
from assay.dictionaries.dictionary import Dictionary
from assay.subjects.folder import find
from assay.train.rng import generator
from assay_catalogue.dictionaries import frontier
from assay_catalogue.dictionaries.on_text import HeldOutDictionary, activations, fit_on, joint, topk

if TYPE_CHECKING:
    from assay_catalogue.experiments.lm_importance.removal import Clean

QUARTERS = ("weakest", "strongest")
"""The quarters of a feature's firings by strength that are measured; the borders are those of its
firings on training text."""
CLEAR = 0.1
"""Nats by which a loss has to move before a firing counts as right or wrong: noise of bfloat16 is
about 0.06."""
LETTERS = 16
"""Characters of a token that are kept to name a feature."""


@dataclass(frozen=True, kw_only=True)
class LMImportance(HeldOutDictionary):
    frozen: Literal["", "decoder"] = ""
    """Whether the decoder stays as random as it started."""
    width: Annotated[int, Ge(1)] = 1024
    layer: Annotated[int, Ge(1)] = 25
    windows: Annotated[int, Ge(1)] = 320
    per_file: Annotated[int, Ge(0)] = 3
    batch: Annotated[int, Ge(1)] = 256
    steps: Annotated[int, Ge(2)] = 1000
    features: Annotated[int, Ge(2)] = 20
    """Features of each dictionary that are taken out, drawn log-uniformly in density."""
    each: Annotated[int, Ge(4)] = 32
    """Of the strongest quarter of each one's firings on test text, how many are taken out at most,
    drawn by lot; of the weakest a quarter as many."""
    rarest: Annotated[float, Gt(0)] = 3e-3
    """The least density, on training text, of a feature that may be drawn."""


def train_together(groups: Sequence[Runs[LMImportance]], bench: Bench) -> list[Trained]:
    """TopK dictionaries of several arms in one pass over the same batches."""
    data, _ = activations(groups[0].shared, bench)
    frozen = [("W_dec",) if r.shared.frozen else () for r in groups]
    methods = [topk(r, frozen=names) for r, names in zip(groups, frozen, strict=True)]
    return fit_on(data, list(zip(groups, methods, strict=True)), bench)


def firings(dictionary: Dictionary, data: Harvest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, feature, strength) of every firing on the kept rows of a harvest, by row."""
    plain, batches = dictionary.normalised, []
    for a in range(0, len(data.kept), 8192):
        rows = data.kept[a : a + 8192]
        on = plain.active(data.rows(rows).to(dictionary.W_enc.device))
        batches.append(
            (rows[on.row.cpu().numpy()], on.feature.cpu().numpy(), on.value.cpu().numpy())
        )
    row, feature, value = (np.concatenate(x) for x in zip(*batches, strict=True))
    return row, feature, value


def log_uniform(
    density: Float[np.ndarray, "feature"], count: int, least: float, seed: int
) -> Int[np.ndarray, "drawn"]:
    """Features drawn log-uniformly in density, rarest first: one by lot from each of `count` equal
    steps of its logarithm.

    A step that has none gives the feature nearest to its middle that no other step took. Where too
    few features are as dense as `least`, the rarer ones come in, the densest first.
    """
    ranked = np.argsort(-density, kind="stable")
    able = ranked[: max(count, int((density >= least).sum()))]
    log_density = np.log(np.maximum(density[able], 1e-9))
    edges = np.linspace(log_density.min(), log_density.max(), count + 1)
    lot = generator(seed, "lm-importance.features").permutation(len(able))
    picks: list[int] = []
    for low, high in pairwise(edges):
        inside = [i for i in lot if low <= log_density[i] <= high and i not in picks]
        nearest = min(
            (i for i in lot if i not in picks), key=lambda i: abs(log_density[i] - (low + high) / 2)
        )
        picks.append(int(inside[0] if inside else nearest))
    features = able[picks]
    return features[np.argsort(density[features], kind="stable")]


def measure(runs: Runs[LMImportance], trained: Trained, bench: Bench) -> xr.Dataset:
    """What taking features out does, summed by feature, document and quarter of strength; and how
    well the dictionary reconstructs."""
    from assay_catalogue.experiments.lm_importance.removal import clean

    (s,) = runs.specs  # each seed draws its own features, so it is a group of its own
    data, test = activations(s, bench)
    text, dictionary = clean(test, bench), Dictionary.of(trained)
    variables, coords = frontier.document_measures(dictionary, test)
    variables = {name: variables[name] for name in frontier.FRONTIER}

    row, feature, value = firings(dictionary, data)
    density = np.bincount(feature, minlength=s.width) / len(data.kept)
    features = log_uniform(density, s.features, s.rarest, s.seed)
    variables["density"] = ("run feature", density[features][None], "share of tokens")
    variables["number"] = ("run feature", features[None], "1")
    variables["spoken"] = (
        "run feature letter",
        np.stack([spoken(data, row[feature == f], value[feature == f]) for f in features])[None],
        "1",
    )
    borders = np.stack([np.quantile(value[feature == f], (0.25, 0.75)) for f in features])

    chosen = sample(s, test, firings(dictionary, test), features, borders)
    variables |= others_push(dictionary, test, chosen, features)
    effects = removed(s, data, text, dictionary, chosen, features, test.keep)
    files, document = np.unique(test.windows.document, return_inverse=True)
    shape = (len(features), len(files), len(QUARTERS))
    for name, x in effects.items():
        total = np.zeros(shape)
        np.add.at(total, (chosen.of, document[chosen.window], chosen.quarter), x)
        variables[name] = (
            "run feature document quarter",
            total[None],
            "nats" if name.startswith("change") else "firings",
        )
    return measures(runs, coords=coords, **variables)


@dataclass(frozen=True, eq=False)
class Sample:
    """Firings on test text that are taken out, one a row: which of the drawn features it is of,
    where, how strong, and of which of the QUARTERS."""

    of: Int[np.ndarray, "n"]
    window: Int[np.ndarray, "n"]
    position: Int[np.ndarray, "n"]
    value: Float[np.ndarray, "n"]
    quarter: Int[np.ndarray, "n"]


def sample(
    s: LMImportance,
    test: Harvest,
    on: tuple[np.ndarray, np.ndarray, np.ndarray],
    features: Int[np.ndarray, "drawn"],
    borders: Float[np.ndarray, "drawn 2"],
) -> Sample:
    """Firings of every drawn feature that are weaker than the first of its borders or stronger than
    the second, by lot among those with a next token."""
    row, feature, value = on
    has_next = row % test.spec.context < test.spec.context - 1
    picks, of, quarter = [], [], []
    for i, (f, (low, high)) in enumerate(zip(features, borders, strict=True)):
        order = generator(s.seed, "lm-importance.firings", int(f)).permutation(len(row))
        mine = order[(feature[order] == f) & has_next[order]]
        parts = (mine[value[mine] <= low][: s.each // 4], mine[value[mine] > high][: s.each])
        for q, part in enumerate(parts):
            picks.append(np.sort(part))
            of.append(np.full(len(part), i))
            quarter.append(np.full(len(part), q))
    chosen = np.concatenate(picks)
    window, position = np.divmod(row[chosen], test.spec.context)
    return Sample(np.concatenate(of), window, position, value[chosen], np.concatenate(quarter))


def removed(
    s: LMImportance,
    data: Harvest,
    text: Clean,
    dictionary: Dictionary,
    chosen: Sample,
    features: Int[np.ndarray, "drawn"],
    keep: Bool[np.ndarray, "w s"],
) -> dict[str, Float[np.ndarray, "n"]]:
    """For every firing 1, by how much the next token's loss rises when something is taken out, and
    whether it clearly rises or falls.

    The feature's part; in its place, as long, the direction from one training activation to
    another, both drawn by lot (`random`); and the same part at another token of the window, drawn
    by lot (`permuted`). With a frozen decoder only the part and the random direction, which is what
    claims ask of it."""

    from assay_catalogue.experiments.lm_importance.removal import change

    # trained dictionaries know it
    rows = dictionary.W_dec[0, features] / dictionary.scale[0]  # type: ignore[index]
    lots = [generator(s.seed, "lm-importance.direction", int(f)) for f in features]
    pairs = np.stack([lot.choice(data.kept, 2, replace=False) for lot in lots])
    between = (data.rows(pairs[:, 0]) - data.rows(pairs[:, 1])).to(rows)
    other = torch.nn.functional.normalize(between, dim=1) * rows.norm(dim=1, keepdim=True)
    strength = torch.from_numpy(chosen.value).to(rows)[:, None]
    parts = strength * rows[chosen.of]
    elsewhere = shuffled(s, chosen, features, keep)
    edits = {
        "": (chosen.position, parts),
        "_random": (chosen.position, strength * other[chosen.of]),
    }
    if not s.frozen:
        edits["_permuted"] = (elsewhere, parts)
    # what is taken out at one place shares the passes over its windows
    positions, vectors = zip(*edits.values(), strict=True)
    changes = change(
        text,
        np.tile(chosen.window, len(edits)),
        np.concatenate(positions),
        torch.cat(vectors),
    )
    delta = dict(zip(edits, np.split(changes, len(edits)), strict=True))
    effects = {"firings": np.ones(len(parts))}
    for name, x in delta.items():
        effects |= {
            f"change{name}": x,
            f"right{name}": (x > CLEAR).astype(float),
            f"wrong{name}": (x < -CLEAR).astype(float),
        }
    return effects


def shuffled(
    s: LMImportance,
    chosen: Sample,
    features: Int[np.ndarray, "drawn"],
    keep: Bool[np.ndarray, "w s"],
) -> Int[np.ndarray, "n"]:
    """Another position for each firing: those of a feature in a window go to tokens of that window
    drawn by lot, no two to one."""
    positions = np.empty_like(chosen.position)
    for i, f in enumerate(features):
        lot = generator(s.seed, "lm-importance.tokens", int(f))
        for window in np.unique(chosen.window[chosen.of == i]):
            indices = np.flatnonzero((chosen.of == i) & (chosen.window == window))
            positions[indices] = lot.permutation(np.flatnonzero(keep[window, :-1]))[: len(indices)]
    return positions


def others_push(
    dictionary: Dictionary, test: Harvest, chosen: Sample, features: Int[np.ndarray, "drawn"]
) -> dict[str, tuple[str, Any, str]]:
    """Along each feature's own direction, at its firings: its own part of the stream, and the parts
    of the other features that are on."""
    plain = dictionary.normalised
    x = test.rows(chosen.window * test.spec.context + chosen.position).to(plain.W_dec.device)
    rows = plain.W_dec[0, features]
    directions = rows / rows.norm(dim=1, keepdim=True)
    whole = ((plain.reconstruct(x) - plain.b_dec[0]) * directions[chosen.of]).sum(1).cpu().numpy()
    own_part = chosen.value * rows.norm(dim=1).cpu().numpy()[chosen.of]
    sums = {
        "own": np.bincount(chosen.of, own_part, len(features)),
        "others": np.bincount(chosen.of, whole - own_part, len(features)),
    }
    return {name: ("run feature", x[None], "normalised activation") for name, x in sums.items()}


def spoken(data: Harvest, row: np.ndarray, value: np.ndarray) -> Int[np.ndarray, "letter"]:
    """The commonest token among a feature's twenty strongest firings, as the numbers of its
    characters."""
    strongest = data.tokens.reshape(-1)[row[np.argsort(-value, kind="stable")[:20]]]
    tokens, times = np.unique(strongest, return_counts=True)
    text = (
        find(data.spec.subject).tokenizer.token_text([int(tokens[times.argmax()])])[0]
        if len(tokens)
        else ""
    )
    return np.array([ord(c) for c in text[:LETTERS].ljust(LETTERS, "\0")])


TOGETHER, SHORT = joint(train_together), joint(train_together)
