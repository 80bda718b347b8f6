"""Many prompts under many edits in one pass, each as if it had been run alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.edits import Change, Own, by_row
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import BEFORE, Site
from assay.subjects.sizes import Regime
from assay.subjects.subject import Edit, Trace

ROWS = 96
"""Sequences in a pass on a CPU: enough that matrices are large, few enough that logits fit."""
ON_A_DEVICE = 2048
"""As many elsewhere, where matrices must be larger."""
HELD = 4
"""For so many times the sequences of a pass the streams may be held with which later passes
begin."""
AFTER_ALL = 10**9
"""The block of a site behind all blocks."""


def most_rows(model: Pretrained) -> int:
    """How many sequences a pass of this model has at most."""
    return ROWS if model.device.type == "cpu" else ON_A_DEVICE


def run_many(
    model: Pretrained,
    prompts: Sequence[Sequence[int]],
    edits: Sequence[Mapping[Site, Edit]] | Sequence[Sequence[Mapping[Site, Edit]]] = ({},),
    *,
    capture: Sequence[Site] = (),
    logits: bool = True,
    rows: int | None = None,
) -> list[list[Trace]]:
    """Run every prompt under every edit; the trace of prompt p under edit e is `[p][e]`.

    Shorter prompts are filled up on the right, where nothing earlier looks, never to a length at
    which the model is another; an edit sees the prompt's own positions alone. Everything before the
    first block that an edit touches is run once for each prompt, whatever the number of edits; or,
    where that is less, what all prompts begin with and no edit touches is run once, unless
    something is captured.

    Args:
        model: as `load` gives it.
        prompts: token ids, of any lengths.
        edits: each as for `Pretrained.run`; {} leaves the model as it is. Where each prompt has
            its own, a list of as many for each.
        capture: sites, as edited.
        logits: whether to go on to the end.
        rows: sequences in a pass; None: as many as are good where the model is.
    Raises: ModelError for an empty prompt, and as `Pretrained.run`.
    """
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise ModelError("every prompt must have a token, and there must be a prompt")
    each_own = _of_each(prompts, edits)
    if not all(each_own):
        raise ModelError("there must be an edit; {} leaves the model as it is")
    count, edits = len(each_own[0]), [mapping for part in each_own for mapping in part]
    if (longest := max(map(len, prompts))) > (limit := model.folder.most_tokens):
        raise ModelError(f"{model.name} reads at most {limit} positions, got {longest}")
    for site in (*capture, *(site for mapping in edits for site in mapping)):
        model.folder.check(site)
    groups: dict[Regime, list[int]] = {}
    for p, prompt in enumerate(prompts):
        groups.setdefault(model.regime(len(prompt)), []).append(p)
    if len(groups) > 1:
        apart: dict[int, list[Trace]] = {}
        for group in groups.values():
            asked = [prompts[p] for p in group], [each_own[p] for p in group]
            traces_of = run_many(model, *asked, capture=capture, logits=logits, rows=rows)
            apart |= dict(zip(group, traces_of, strict=True))
        return [apart[p] for p in range(len(prompts))]
    starts, beginning, cache = _starts(each_own), None, None
    prefix = _prefix(model, prompts, edits, starts) if logits and not capture else 0
    if prefix:
        starts, cache = {0: [*range(count)]}, shared_cache()
        beginning = model.run(torch.as_tensor([prompts[0][:prefix]]), cache=cache)
    whole = _Whole(model, prompts, each_own, starts, capture, logits, prefix, beginning, cache)
    # Prompts of like lengths share a pass, so that little is filled up.
    order = sorted(range(len(prompts)), key=lambda p: len(prompts[p]))
    limit = max(*map(len, starts.values()), -(-len(starts) // HELD))
    each = max(1, (rows or most_rows(model)) // limit)
    traces: dict[tuple[int, int], Trace] = {}
    for begin in range(0, len(order), each):
        traces.update(whole.run(order[begin : begin + each]))
    return [[traces[p, e] for e in range(count)] for p in range(len(prompts))]


@dataclass(frozen=True, eq=False)
class _Whole:
    """All that `run_many` runs, a part of the prompts at a time."""

    model: Pretrained
    prompts: Sequence[Sequence[int]]
    each_own: Sequence[Sequence[Mapping[Site, Edit]]]
    starts: Mapping[int, Sequence[int]]
    """The edits that start before each block."""
    capture: Sequence[Site]
    logits: bool
    prefix: int
    """How many tokens are in the cache."""
    beginning: Trace | None
    """Of these tokens."""
    cache: Any

    def run(self, rows: Sequence[int]) -> Iterator[tuple[tuple[int, int], Trace]]:
        """The traces of these prompts under every edit, by prompt and edit."""
        lengths = [len(self.prompts[p]) for p in rows]
        tokens = torch.zeros(len(rows), max(lengths), dtype=torch.long)
        for row, p in enumerate(rows):
            tokens[row, : lengths[row]] = torch.as_tensor(self.prompts[p])
        clean = self._clean(tokens)
        for first, edits in self.starts.items():
            trace = self._late(rows, tokens, first, clean)
            early_sites = [site for site in self.capture if first and _block(site) < first]
            for row, p in enumerate(rows):
                n = lengths[row]
                shared = {site: _own(site, clean[site], row, n) for site in early_sites}
                for k, e in enumerate(edits):
                    yield (p, e), _one(trace, row * len(edits) + k, n, shared)

    def _clean(self, tokens: Int[torch.Tensor, "b s"]) -> dict[Site, torch.Tensor]:
        """What is the same under every edit that starts later, and the streams with which those
        start."""
        streams = [Site("resid_pre", first) for first in self.starts if first]
        if not streams:
            return {}
        early = [site for site in self.capture if _block(site) < max(self.starts)]
        sites = list(dict.fromkeys([*early, *streams]))
        return self.model.run(tokens, capture=sites, logits=False).acts

    def _late(
        self,
        rows: Sequence[int],
        tokens: Int[torch.Tensor, "b s"],
        first: int,
        clean: Mapping[Site, torch.Tensor],
    ) -> Trace:
        """The pass of the edits that start before this block."""
        edits, length = self.starts[first], tokens.shape[1]
        part = [
            {
                site: Own(site, edit, len(self.prompts[p]), length)
                for site, edit in self.each_own[p][e].items()
            }
            for p in rows
            for e in edits
        ]
        stream = clean[Site("resid_pre", first)] if first else None
        trace = self.model.run(
            tokens[:, self.prefix :].repeat_interleave(len(edits), 0),
            capture=[site for site in self.capture if not first or _block(site) >= first],
            edits=by_row(part),
            logits=self.logits,
            start=None if stream is None else (first, stream.repeat_interleave(len(edits), 0)),
            cache=self.cache,
        )
        return trace if self.beginning is None else _joined(self.beginning, trace)


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
    starts: Mapping[int, Sequence[int]],
) -> int:
    """How many tokens all prompts begin with and no edit touches; 0 where it costs more to run
    all blocks on what follows than to start each edit of all prompts at its block."""
    tokens = [tuple(map(int, prompt)) for prompt in prompts]
    lengths, low, high = [len(t) for t in tokens], min(tokens), max(tokens)
    common = next((n for n, (x, y) in enumerate(zip(low, high, strict=False)) if x != y), len(low))
    changes = [edit for mapping in edits for edit in mapping.values()]
    free = [_first_position(edit, n) for edit in changes for n in set(lengths)]
    prefix = min(common, min(lengths) - 1, *free)
    if prefix and model.regime(prefix) != model.regime(lengths[0]):  # it would be turned otherwise
        return 0
    late = sum(len(edited) * (model.layers - first) for first, edited in starts.items())
    plain = sum(lengths) * (max(starts) + late)
    tails = sum(map(len, starts.values())) * (sum(lengths) - len(prompts) * prefix)
    cached = "z" in model.folder.architecture.sites
    return prefix if cached and (prefix + tails) * model.layers < plain else 0


def _first_position(edit: Edit, length: int) -> int:
    if not isinstance(edit, Change) or edit.positions is None:
        return 0
    try:
        return int(np.arange(length)[edit.positions].min(initial=length))
    except IndexError:  # which the run will tell
        return 0


def _joined(beginning: Trace, late: Trace) -> Trace:
    """The trace of whole sequences, of a prefix and what follows on it in each."""
    assert beginning.final is not None and late.final is not None
    rows = len(late.tokens)
    tokens = torch.cat([beginning.tokens.expand(rows, -1), late.tokens], 1)
    final = torch.cat([beginning.final.expand(rows, -1, -1), late.final], 1)
    return Trace(tokens, {}, final, late.head)


def _starts(each_own: Sequence[Sequence[Mapping[Site, Edit]]]) -> dict[int, list[int]]:
    """Which edits can start before which block, by number: each before the first that it touches of
    any prompt; one that touches none with the last of the others."""
    firsts = []
    for e in range(len(each_own[0])):
        blocks = [_block(site) for edits in each_own for site in edits[e]]
        reached = min(blocks, default=AFTER_ALL)
        firsts.append(None if reached == AFTER_ALL else max(0, reached))
    last = max((first for first in firsts if first is not None), default=0)
    starts: dict[int, list[int]] = {}
    for e, first in enumerate(firsts):
        starts.setdefault(last if first is None else first, []).append(e)
    return starts


def _block(site: Site) -> int:
    if site.layer is None:
        return -1 if site.kind in BEFORE else AFTER_ALL
    return site.layer


def _own(site: Site, x: torch.Tensor, row: int, length: int) -> torch.Tensor:
    """What a site has of one row's own positions, a view."""
    part = x[row : row + 1]
    return part[:, :, :length, :length] if "q" in site.dims.split() else part[:, :length]


def _one(trace: Trace, row: int, length: int, shared: Mapping[Site, torch.Tensor]) -> Trace:
    acts = {site: _own(site, x, row, length) for site, x in trace.acts.items()}
    final = None if trace.final is None else trace.final[row : row + 1, :length]
    return Trace(trace.tokens[row : row + 1, :length], {**shared, **acts}, final, trace.head)
