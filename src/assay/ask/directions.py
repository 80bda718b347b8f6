"""Directions: what is learned from activations at a site, or read off weights, and what stands in
its place in controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.ask.tables import Direction, Plain
from assay.core import rng
from assay.core.errors import DataError, nearest
from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

WAYS = ("difference", "probe", "component", "feature", "unembedding", "embedding")
LEARNED = ("difference", "probe", "component")
"""Those that are learned from prompts."""


def way_of(table: Direction) -> str:
    """How a direction is got. Raises: DataError where it says no way or several."""
    ways = [w for w in WAYS if getattr(table, w) not in (None, "")]
    if len(ways) != 1:
        got = " and ".join(ways) or "none of them"
        raise DataError(f"say one of {', '.join(WAYS)} of the direction {table.name!r}, got {got}")
    return ways[0]


def find(tables: Sequence[Direction], name: str) -> Direction:
    """The direction of this name. Raises: DataError."""
    names = [t.name for t in tables]
    if name not in names:
        raise DataError(f"there is no direction {name!r}; {nearest(name, names)}")
    return tables[names.index(name)]


@dataclass(frozen=True, eq=False)
class Examples:
    """The activations that a direction is learned from."""

    acts: Float[torch.Tensor, "row d"]
    labels: tuple[str, ...]


def learn(
    table: Direction, model: Pretrained, examples: Examples | None, site: Site
) -> Float[torch.Tensor, "d"]:
    """Get a direction: a difference of means with its length, every other of length 1. Raises:
    DataError where the examples lack a label or it has no length."""
    way = way_of(table)
    if way in ("unembedding", "embedding"):
        direction = _token(table, model, way)
    elif way in LEARNED:
        assert examples is not None
        direction = _LEARN[way](table, examples)
    else:
        raise DataError(f"the direction {table.name!r} cannot be got by {way}")
    length = float(direction.norm())
    if not 0 < length < float("inf"):
        raise DataError(f"the direction {table.name!r} has length {length:g} at {site}")
    return direction if way == "difference" else direction / length


def _of_label(table: Direction, examples: Examples, label: Plain) -> torch.Tensor:
    name = str(label) if not isinstance(label, bool) else str(label).lower()
    rows = [i for i, other in enumerate(examples.labels) if other == name]
    if not rows:
        hint = nearest(name, sorted(set(examples.labels)))
        raise DataError(f"direction {table.name!r}: no row has {table.label} = {name!r}; {hint}")
    return examples.acts[rows]


def _difference(table: Direction, examples: Examples) -> torch.Tensor:
    assert table.difference is not None
    first, second = (_of_label(table, examples, label) for label in table.difference)
    return first.mean(0) - second.mean(0)


def _probe(table: Direction, examples: Examples) -> torch.Tensor:
    """Ridge weights between two labels, with a penalty of a tenth of the mean variance."""
    assert table.probe is not None
    first, second = (_of_label(table, examples, label) for label in table.probe)
    x = torch.cat([first, second]).double()
    y = torch.cat([x.new_ones(len(first)), -x.new_ones(len(second))])
    x = x - x.mean(0)
    gram = x @ x.T
    ridge = 0.1 * gram.diagonal().mean()
    weights: torch.Tensor = x.T @ torch.linalg.solve(
        gram + ridge * torch.eye(len(x)), (y - y.mean())
    )
    return weights.float()


def _component(table: Direction, examples: Examples) -> torch.Tensor:
    assert table.component is not None
    x = examples.acts - examples.acts.mean(0)
    if table.component > min(x.shape):
        raise DataError(
            f"direction {table.name!r}: {len(x)} prompts have no component {table.component}"
        )
    direction: torch.Tensor = torch.linalg.svd(x, full_matrices=False).Vh[table.component - 1]
    # a component has no sign of its own: its largest entry is taken to be positive
    return direction * direction[direction.abs().argmax()].sign()


_LEARN = {"difference": _difference, "probe": _probe, "component": _component}


def _token(table: Direction, model: Pretrained, way: str) -> torch.Tensor:
    texts = getattr(table, way)
    module = (
        model.model.get_output_embeddings()
        if way == "unembedding"
        else model.model.get_input_embeddings()
    )
    rows = []
    for text in (texts,) if isinstance(texts, str) else texts:
        ids = model.encode(text)
        if len(ids) != 1:
            raise DataError(
                f"direction {table.name!r}: {text!r} is {len(ids)} tokens; an {way} is that of one"
            )
        rows.append(module.weight[ids[0]].detach().float())
    return rows[0] - rows[1] if len(rows) > 1 else rows[0]


def random_like(direction: Float[torch.Tensor, "d"], seed: int) -> Float[torch.Tensor, "d"]:
    """Draw a direction of the same length."""
    drawn = torch.from_numpy(
        rng.normal(np.array([seed]), "ask.random", 0, tuple(direction.shape))[0]
    )
    return drawn.to(direction) * (direction.norm() / drawn.norm())


def shuffled(
    table: Direction, examples: Examples, site: Site, seed: int
) -> Float[torch.Tensor, "d"]:
    """Learn a direction from labels that tell nothing: half of the rows of each label have the
    other one.

    So whatever tells the labels apart cancels: the direction has no share of the true one, of
    either sign, but by noise. Raises: DataError where a label has fewer than two rows."""
    pair = table.difference or table.probe
    assert pair is not None
    swapped = list(examples.labels)
    halves: list[torch.Tensor] = []
    for k, label in enumerate(pair):
        name = str(label)
        rows = [i for i, other in enumerate(examples.labels) if other == name]
        if len(rows) < 2:
            raise DataError(
                f"direction {table.name!r}: labels are shuffled within each label, and "
                f"{name!r} has {len(rows)} of the rows that are learned from; give 2 or more"
            )
        order = rng.permutation(np.array([seed]), "ask.shuffled", k, len(rows))[0]
        chosen = [rows[i] for i in order]
        some, others = chosen[: len(rows) // 2], chosen[len(rows) // 2 :]
        halves.append((examples.acts[some].mean(0) - examples.acts[others].mean(0)) / 2)
        for i in some:
            swapped[i] = str(pair[1 - k])
    if table.difference is not None:  # exact also where a label has an odd number of rows
        return halves[0] + halves[1]
    return _probe(table, Examples(examples.acts, tuple(swapped)))


def as_long_as(
    direction: Float[torch.Tensor, "d"], other: Float[torch.Tensor, "d"]
) -> Float[torch.Tensor, "d"]:
    """Scale a direction to the length of another."""
    length = direction.norm()
    if not float(length) > 0:
        raise DataError("a control's direction has length 0; give it more examples")
    return direction * (other.norm() / length)


def far_layer(site: Site, layers: int) -> Site:
    """The same site a third of the model away: earlier, where that is not the first block, else
    later. Raises: DataError for a model of one block."""
    assert site.layer is not None
    away = max(1, layers // 3)
    others = [n for n in (site.layer - away, site.layer + away) if 0 <= n < layers]
    if not others:
        raise DataError("a model of one block has no other layer; name other controls")
    return Site(site.kind, next((n for n in others if n > 0), others[0]))
