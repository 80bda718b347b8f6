"""Many prompts under many edits in one pass, each as if it had been run alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.edits import Change, by_row, edited
from assay.subjects.folder import most_tokens
from assay.subjects.pretrained import Pretrained
from assay.subjects.regimes import Regime
from assay.subjects.site import BEFORE, Site
from assay.subjects.subject import Edit, Trace

ROWS = 96
"""Sequences in a pass: enough that matrices are large, few enough that logits fit."""


def run_many(
    model: Pretrained,
    prompts: Sequence[Sequence[int]],
    edits: Sequence[Mapping[Site, Edit]] | Sequence[Sequence[Mapping[Site, Edit]]] = ({},),
    *,
    capture: Sequence[Site] = (),
    logits: bool = True,
    rows: int = ROWS,
) -> list[list[Trace]]:
    """Run every prompt under every edit; the trace of prompt p under edit e is `[p][e]`.

    Shorter prompts are filled up on the right, where nothing earlier looks, never to a length at
    which the model is another; an edit sees the prompt's own positions alone. What lies before the
    first block that any edit touches is run once for each prompt; or, where that is less, what all
    prompts begin with and no edit touches is run once, unless something is captured.

    Args:
        model: as `load` gives it.
        prompts: token ids, of any lengths.
        edits: each as for `Pretrained.run`; {} leaves the model as it is. Where each prompt has
            its own, a list of as many for each.
        capture: sites, as edited.
        logits: whether to go on to the end.
        rows: sequences in a pass.
    Raises: ModelError for an empty prompt, and as `Pretrained.run`.
    """
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise ModelError("every prompt must have a token, and there must be a prompt")
    each_own = _of_each(prompts, edits)
    if not all(each_own):
        raise ModelError("there must be an edit; {} leaves the model as it is")
    count, edits = len(each_own[0]), [mapping for part in each_own for mapping in part]
    if (longest := max(map(len, prompts))) > (most := most_tokens(model.folder)):
        raise ModelError(f"{model.name} reads at most {most} positions, got {longest}")
    for site in (*capture, *(site for mapping in edits for site in mapping)):
        model.folder.check(site)
    groups: dict[Regime, list[int]] = {}
    for p, prompt in enumerate(prompts):
        groups.setdefault(model.regime(len(prompt)), []).append(p)
    if len(groups) > 1:
        apart: dict[int, list[Trace]] = {}
        for some in groups.values():
            asked = [prompts[p] for p in some], [each_own[p] for p in some]
            traces_of = run_many(model, *asked, capture=capture, logits=logits, rows=rows)
            apart |= dict(zip(some, traces_of, strict=True))
        return [apart[p] for p in range(len(prompts))]
    first, beginning, cache = _first_block(edits), None, None
    prefix = _prefix(model, prompts, edits, count, first) if logits and not capture else 0
    if prefix:
        first, cache = 0, shared_cache()
        beginning = model.run(torch.as_tensor([prompts[0][:prefix]]), cache=cache)
    early = [site for site in capture if first and _block(site) < first]
    late = [site for site in capture if site not in early]
    # Prompts of like lengths share a pass, so that little is filled up.
    order = sorted(range(len(prompts)), key=lambda p: len(prompts[p]))
    each = max(1, rows // count)
    traces: dict[int, list[Trace]] = {}
    for begin in range(0, len(order), each):
        some = order[begin : begin + each]
        lengths = [len(prompts[p]) for p in some]
        tokens = torch.zeros(len(some), max(lengths), dtype=torch.long)
        for row, p in enumerate(some):
            tokens[row, : lengths[row]] = torch.as_tensor(prompts[p])
        clean, start = {}, None
        if first:
            stream = Site("resid_pre", first)
            clean = model.run(tokens, capture=[*early, stream], logits=False).acts
            start = (first, clean.pop(stream).repeat_interleave(count, 0))
        part = [
            _own_positions(edit, n, max(lengths))
            for n, p in zip(lengths, some, strict=True)
            for edit in each_own[p]
        ]
        trace = model.run(
            tokens[:, prefix:].repeat_interleave(count, 0),
            capture=late,
            edits=by_row(part),
            logits=logits,
            start=start,
            cache=cache,
        )
        if beginning is not None:
            trace = _joined(beginning, trace)
        for row, p in enumerate(some):
            shared = {site: _own(site, x, row, lengths[row]) for site, x in clean.items()}
            traces[p] = [_one(trace, row * count + e, lengths[row], shared) for e in range(count)]
    return [traces[p] for p in range(len(prompts))]


def _of_each(prompts: Sequence[Any], edits: Sequence[Any]) -> list[Sequence[Mapping[Site, Edit]]]:
    """The edits of each prompt. Raises: ModelError where not all have as many."""
    if not edits or isinstance(edits[0], Mapping):
        return [edits] * len(prompts)
    if len(edits) != len(prompts) or len({len(part) for part in edits}) != 1:
        raise ModelError("where each prompt has its own edits, all must have as many")
    return list(edits)


def shared_cache() -> Any:
    """Make a cache for `Pretrained.run` that keeps the first pass alone: a prefix, one sequence,
    from which later passes go on in any number of rows."""
    from transformers import DynamicCache

    class Shared(DynamicCache):
        def update(
            self,
            key_states: torch.Tensor,
            value_states: torch.Tensor,
            layer_idx: int,
            *args: Any,
            **kwargs: Any,
        ) -> tuple[torch.Tensor, torch.Tensor]:
            if layer_idx >= len(self.layers):
                return super().update(key_states, value_states, layer_idx, *args, **kwargs)
            layer: Any = self.layers[layer_idx]
            keys, values = (
                torch.cat([before.expand(len(x), -1, -1, -1), x], 2)
                for before, x in ((layer.keys, key_states), (layer.values, value_states))
            )
            return keys, values

    return Shared()


def _prefix(
    model: Pretrained,
    prompts: Sequence[Sequence[int]],
    edits: Sequence[Mapping[Site, Edit]],
    count: int,
    first: int,
) -> int:
    """How many tokens all prompts begin with and no edit touches; 0 where it costs more to run
    all blocks on what follows than to start all prompts at block `first`."""
    tokens = [tuple(map(int, prompt)) for prompt in prompts]
    lengths, low, high = [len(t) for t in tokens], min(tokens), max(tokens)
    common = next((n for n, (x, y) in enumerate(zip(low, high, strict=False)) if x != y), len(low))
    changes = [edit for mapping in edits for edit in mapping.values()]
    free = [_first_position(edit, n) for edit in changes for n in set(lengths)]
    prefix = min(common, min(lengths) - 1, *free)
    if prefix and model.regime(prefix) != model.regime(lengths[0]):  # it would be turned otherwise
        return 0
    late = model.layers - first
    plain = sum(lengths) * (first + count * late)
    tails = count * (sum(lengths) - len(prompts) * prefix)
    cached = "z" in model.folder.architecture.sites
    return prefix if cached and (prefix + tails) * model.layers < plain else 0


def _first_position(edit: Edit, length: int) -> int:
    if not isinstance(edit, Change) or edit.positions is None:
        return 0
    try:
        return int(np.arange(length)[edit.positions].min(initial=length))
    except IndexError:  # which the run will tell
        return 0


def _joined(beginning: Trace, rest: Trace) -> Trace:
    """The trace of whole sequences, of a prefix and what follows on it in each."""
    assert beginning.final is not None and rest.final is not None
    rows = len(rest.tokens)
    tokens = torch.cat([beginning.tokens.expand(rows, -1), rest.tokens], 1)
    final = torch.cat([beginning.final.expand(rows, -1, -1), rest.final], 1)
    return Trace(tokens, {}, final, rest.head)


def _first_block(edits: Sequence[Mapping[Site, Edit]]) -> int:
    blocks = [_block(site) for mapping in edits for site in mapping]
    return max(0, min(blocks)) if blocks and min(blocks) < 10**9 else 0


def _block(site: Site) -> int:
    if site.layer is None:
        return -1 if site.kind in BEFORE else 10**9
    return site.layer


def _own_positions(mapping: Mapping[Site, Edit], length: int, most: int) -> dict[Site, Edit]:
    """Edits of a row that was filled up to `most` tokens: they see the prompt's own positions, and
    zeros where a cache holds what is there."""

    def of(site: Site, edit: Edit) -> Edit:
        axis = 2 if "q" in site.dims.split() else 1

        def change(x: torch.Tensor) -> torch.Tensor:
            before = most - x.shape[axis]
            part = x[:, :, : length - before, :length] if axis == 2 else x[:, : length - before]
            gap = part.new_zeros((*part.shape[:axis], before, *part.shape[axis + 1 :]))
            new = edited(site, torch.cat([gap, part], axis), edit)
            part.copy_(new.narrow(axis, before, length - before))
            return x

        return change

    return {site: of(site, edit) for site, edit in mapping.items()}


def _own(site: Site, x: torch.Tensor, row: int, length: int) -> torch.Tensor:
    """What a site has of one row's own positions, a view."""
    part = x[row : row + 1]
    return part[:, :, :length, :length] if "q" in site.dims.split() else part[:, :length]


def _one(trace: Trace, row: int, length: int, shared: Mapping[Site, torch.Tensor]) -> Trace:
    acts = {site: _own(site, x, row, length) for site, x in trace.acts.items()}
    final = None if trace.final is None else trace.final[row : row + 1, :length]
    return Trace(trace.tokens[row : row + 1, :length], {**shared, **acts}, final, trace.head)
