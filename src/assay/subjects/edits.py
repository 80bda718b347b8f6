"""Edits: what goes on in the place of activations at a site, at chosen positions and heads.

Each function gives a mapping for `Pretrained.run(edits=…)`; several are joined with `|`:

    model.run(tokens, edits=zero("blocks.3.attn.hook_z", heads=2) | scale("hook_embed", 0.5))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.site import Site
from assay.subjects.subject import Edit

Where: TypeAlias = "int | Sequence[int] | slice | None"
"""Positions, heads: one, several, a stretch; None for all. Negative numbers count from the end."""
Edits: TypeAlias = "dict[Site, Edit]"


def replace(
    site: Site | str,
    value: Float[torch.Tensor, "..."] | float,
    *,
    positions: Where = None,
    heads: Where = None,
) -> Edits:
    """Put a value in the place of what is there.

    Args:
        site: or its name.
        value: a number, or what fits the chosen positions and heads.
        positions: tokens; of a pattern, those that attend.
        heads: of a site that has them.
    Raises: ModelError when the run meets the site and shapes do not fit.
    Example:
        >>> import torch
        >>> from assay.subjects import edits, Site
        >>> (edit,) = edits.replace("blocks.0.attn.hook_z", 0.0, heads=1).values()
        >>> edit(torch.ones(1, 2, 3, 1))[0, :, :, 0].tolist()
        [[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]
    """

    def value_of(x: torch.Tensor) -> torch.Tensor:
        return x.new_full((), value) if isinstance(value, float | int) else value.to(x)

    return _edit(site, value_of, positions, heads)


def zero(site: Site | str, *, positions: Where = None, heads: Where = None) -> Edits:
    """Take out what is there: `replace` by 0.

    Args:
        site: or its name.
        positions: tokens; of a pattern, those that attend.
        heads: of a site that has them.
    Example:
        >>> import torch
        >>> from assay.subjects import edits
        >>> (edit,) = edits.zero("blocks.0.hook_mlp_out", positions=-1).values()
        >>> edit(torch.ones(1, 2, 2)).tolist()
        [[[1.0, 1.0], [0.0, 0.0]]]
    """
    return replace(site, 0.0, positions=positions, heads=heads)


def add(
    site: Site | str,
    vector: Float[torch.Tensor, "..."],
    *,
    positions: Where = None,
    heads: Where = None,
) -> Edits:
    """Add a vector, as steering does.

    Args:
        site: or its name.
        vector: [width], or what fits the chosen positions and heads.
        positions: tokens.
        heads: of a site that has them.
    Example:
        >>> import torch
        >>> from assay.subjects import edits
        >>> (edit,) = edits.add("blocks.0.hook_resid_pre", torch.tensor([0.0, 2.0])).values()
        >>> edit(torch.ones(1, 1, 2)).tolist()
        [[[1.0, 3.0]]]
    """
    return _edit(site, lambda x: x + vector.to(x), positions, heads)


def scale(
    site: Site | str, factor: float, *, positions: Where = None, heads: Where = None
) -> Edits:
    """Multiply what is there.

    Args:
        site: or its name.
        factor: by which.
        positions: tokens.
        heads: of a site that has them.
    Example:
        >>> import torch
        >>> from assay.subjects import edits
        >>> (edit,) = edits.scale("blocks.0.hook_mlp_out", 0.5).values()
        >>> edit(torch.ones(1, 1, 2)).tolist()
        [[[0.5, 0.5]]]
    """
    return _edit(site, lambda x: x * factor, positions, heads)


def project_out(
    site: Site | str,
    direction: Float[torch.Tensor, " width"],
    *,
    positions: Where = None,
    heads: Where = None,
) -> Edits:
    """Remove the component along a direction.

    Formula: x − (x · u) u, with u = direction / ‖direction‖

    Args:
        site: or its name.
        direction: of any length but 0.
        positions: tokens.
        heads: of a site that has them.
    Raises: ModelError for a direction of length 0.
    Example:
        >>> import torch
        >>> from assay.subjects import edits
        >>> (edit,) = edits.project_out("blocks.0.hook_mlp_out", torch.tensor([3.0, 0])).values()
        >>> edit(torch.ones(1, 1, 2)).tolist()
        [[[0.0, 1.0]]]
    """
    if not (length := float(direction.norm())) > 0:
        raise ModelError(f"a direction to project out must have a length, got {length}")

    def without(x: torch.Tensor) -> torch.Tensor:
        u = (direction / length).to(x)
        return x - (x @ u)[..., None] * u

    return _edit(site, without, positions, heads)


def patch(
    site: Site | str,
    acts: Mapping[Site, Float[torch.Tensor, "b s ..."]],
    *,
    positions: Where = None,
    heads: Where = None,
) -> Edits:
    """Put what another run had at the same site in place of what is there.

    Args:
        site: or its name.
        acts: of the other run's Trace, which captured the site; of one sequence or of as many.
        positions: tokens, the same of both runs; tokens that `generate` writes are none of them.
        heads: of a site that has them.
    Raises: ModelError where the other run did not capture the site.
    Example:
        >>> import torch
        >>> from assay.subjects import edits, Site
        >>> other = {Site("resid_pre", 0): torch.zeros(1, 2, 1)}
        >>> (edit,) = edits.patch("blocks.0.hook_resid_pre", other, positions=0).values()
        >>> edit(torch.ones(1, 2, 1)).flatten().tolist()
        [0.0, 1.0]
    """
    place = Site.parse(site) if isinstance(site, str) else site
    if place not in acts:
        raise ModelError(
            f"the other run did not capture {place}; it has {', '.join(map(str, acts)) or 'none'}"
        )
    index = _index(place, positions, heads)
    change = Change(place, lambda x: acts[place][index].to(x), positions, heads, goes_on=False)
    return {place: change}


def _edit(
    site: Site | str, change: Callable[[torch.Tensor], torch.Tensor], positions: Where, heads: Where
) -> Edits:
    place = Site.parse(site) if isinstance(site, str) else site
    _index(place, positions, heads)  # refused here, not in a run
    return {place: Change(place, change, positions, heads)}


@dataclass(frozen=True, eq=False)
class Change:
    """An edit that knows where it acts."""

    site: Site
    change: Callable[[torch.Tensor], torch.Tensor]
    """What is at the chosen positions and heads → what goes on there."""
    positions: Where = None
    heads: Where = None
    goes_on: bool = True
    """Whether it may act behind the prompt that it was written for."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Edit in place, and give it back."""
        positions, heads = (
            stretch(where, x.shape[axis]) if axis < x.ndim else where
            for where, axis in zip((self.positions, self.heads), _axes(self.site), strict=True)
        )
        index = _index(self.site, positions, heads)
        try:
            x[index] = self.change(x[index])
        except (IndexError, RuntimeError, ValueError) as error:
            raise ModelError(f"the edit of {self.site}, {list(x.shape)}: {error}") from error
        return x

    def later(self, n: int, prompt: int) -> Edit | None:
        """Give the edit of token n alone, behind a prompt of so many tokens; None where positions
        end within the prompt."""
        where = slice(None) if self.positions is None else self.positions
        if not self.goes_on or not isinstance(where, slice) or where.stop is not None:
            return None
        start = where.start or 0
        if n not in range(start + prompt if start < 0 else start, n + 1, where.step or 1):
            return None
        return dataclasses.replace(self, positions=None)


@dataclass(frozen=True, eq=False)
class Own:
    """An edit of a row that was filled up on the right to `most` tokens: it sees the prompt's own
    positions, and zeros where a cache holds what is there."""

    site: Site
    edit: Edit
    length: int
    """Tokens of the prompt."""
    most: int

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Edit in place, and give it back."""
        axis = 2 if "q" in self.site.dims.split() else 1
        before, n = self.most - x.shape[axis], self.length
        part = x[:, :, : n - before, :n] if axis == 2 else x[:, : n - before]
        if not before:
            put(self.site, part, self.edit)
            return x
        gap = part.new_zeros((*part.shape[:axis], before, *part.shape[axis + 1 :]))
        new = edited(self.site, torch.cat([gap, part], axis), self.edit)
        part.copy_(new.narrow(axis, before, n - before))
        return x


def put(site: Site, x: torch.Tensor, edit: Edit) -> None:
    """Edit a tensor in place that nothing else refers to. Raises: ModelError as `edited`."""
    if isinstance(edit, Change | Own):  # which work in place, and keep the shape
        edit(x)
    else:
        x.copy_(edited(site, x, edit))


def edited(site: Site, x: torch.Tensor, edit: Edit) -> torch.Tensor:
    """Give what an edit makes of a site. Raises: ModelError where it has another shape."""
    new = edit(x.clone())  # an edit may work in place, and x may be what another site captured
    if new.shape != x.shape:
        raise ModelError(
            f"the edit of {site} must return {list(x.shape)}, returned {list(new.shape)}"
        )
    return new.to(x)


def continued(edits: Mapping[Site, Edit], prompt: int, length: int) -> dict[Site, Edit]:
    """Give edits as they act on a text of so many tokens that goes on behind its prompt.

    An edit sees the prompt as in a run, then each later token by itself, if its positions have no
    end. Of a text whose beginning a cache holds a site has the last tokens alone.
    """

    def of(site: Site, edit: Edit) -> Edit:
        axis = 2 if "q" in site.dims.split() else 1

        def change(x: torch.Tensor) -> torch.Tensor:
            begin = length - x.shape[axis]  # 0 for keys, which come from the cache as well
            if not begin:
                part = x[:, :, :prompt, :prompt] if axis == 2 else x[:, :prompt]
                part.copy_(edited(site, part, edit))
            for n in range(max(begin, prompt), length):
                later = edit.later(n, prompt) if isinstance(edit, Change) else edit
                if later:
                    part = x.narrow(axis, n - begin, 1)
                    part.copy_(edited(site, part, later))
            return x

        return change

    return {site: of(site, edit) for site, edit in edits.items()}


def by_row(edits: Sequence[Mapping[Site, Edit]]) -> dict[Site, Edit]:
    """Join edits of single sequences to those of a batch: each row is edited by its own."""

    def of(site: Site) -> Edit:
        def change(x: torch.Tensor) -> torch.Tensor:
            for row, mapping in enumerate(edits):
                if site in mapping:
                    put(site, x[row : row + 1], mapping[site])
            return x

        return change

    return {site: of(site) for mapping in edits for site in mapping}


def _index(site: Site, positions: Where, heads: Where) -> tuple[slice | list, ...]:
    """The part of a site that is chosen: of lists of positions and of heads every pair."""
    axes = site.dims.split()
    if heads is not None and not {"h", "kv"} & set(axes):
        raise ModelError(f"{site} has no heads, got heads={heads}")
    chosen = {"q" if "q" in axes else "s": positions, "kv" if "kv" in axes else "h": heads}
    index: list[slice | list] = [_along(chosen.get(axis)) for axis in axes]
    lists = [n for n, part in enumerate(index) if isinstance(part, list)]
    if len(lists) == 2:  # as a column and a row, which torch spreads over each other
        index[lists[0]] = [[n] for n in index[lists[0]]]  # type: ignore[union-attr]
    return tuple(index)


def _axes(site: Site) -> tuple[int, int]:
    """The axes along which positions and heads are chosen; without heads an axis that is none."""
    axes = site.dims.split()
    heads = [axes.index(axis) for axis in ("kv", "h") if axis in axes]
    return axes.index("q" if "q" in axes else "s"), heads[0] if heads else len(axes)


def stretch(where: Where, size: int) -> Where:
    """Give the same places of an axis of this size as a slice, if they are one: a list has to be
    copied to a device, which can do nothing else meanwhile."""
    if where is None or isinstance(where, slice):
        return where
    places = [int(n) for n in ([where] if isinstance(where, int) else where)]
    places = [n + size if n < 0 else n for n in places]
    if not places or places[0] < 0 or places[-1] >= size:
        return where
    step = places[1] - places[0] if len(places) > 1 else 1
    even = step > 0 and places == [*range(places[0], places[-1] + 1, step)]
    return slice(places[0], places[-1] + 1, step) if even else where


def _along(where: Where) -> slice | list:
    if where is None or isinstance(where, slice):
        return slice(None) if where is None else where
    return [where] if isinstance(where, int) else [*where]
