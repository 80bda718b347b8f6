"""Many prompts under many edits in one pass, each as if it had been run alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.edits import by_row, edited
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import BEFORE, Site
from assay.subjects.subject import Edit, Trace

ROWS = 96
"""Sequences in a pass: enough that matrices are large, few enough that logits fit."""


def run_many(
    model: Pretrained,
    prompts: Sequence[Sequence[int]],
    edits: Sequence[Mapping[Site, Edit]] = ({},),
    *,
    capture: Sequence[Site] = (),
    logits: bool = True,
    rows: int = ROWS,
) -> list[list[Trace]]:
    """Run every prompt under every edit; the trace of prompt p under edit e is `[p][e]`.

    Shorter prompts are filled up on the right, where nothing earlier looks; an edit sees the
    prompt's own positions alone. What lies before the first block that any edit touches is run once
    for each prompt.

    Args:
        model: as `load` gives it.
        prompts: token ids, of any lengths.
        edits: each as for `Pretrained.run`; {} leaves the model as it is.
        capture: sites, as edited.
        logits: whether to go on to the end.
        rows: sequences in a pass.
    Raises: ModelError for an empty prompt, and as `Pretrained.run`.
    """
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise ModelError("every prompt must have a token, and there must be a prompt")
    if not edits:
        raise ModelError("there must be an edit; {} leaves the model as it is")
    for site in capture:
        model.folder.check(site)
    first = _first_block(edits)
    early = [site for site in capture if first and _block(site) < first]
    late = [site for site in capture if site not in early]
    # Prompts of like lengths share a pass, so that little is filled up.
    order = sorted(range(len(prompts)), key=lambda p: len(prompts[p]))
    each = max(1, rows // len(edits))
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
            start = (first, clean.pop(stream).repeat_interleave(len(edits), 0))
        trace = model.run(
            tokens.repeat_interleave(len(edits), 0),
            capture=late,
            edits=by_row([_own_positions(mapping, n) for n in lengths for mapping in edits]),
            logits=logits,
            start=start,
        )
        for row, p in enumerate(some):
            shared = {site: _own(site, x, row, lengths[row]) for site, x in clean.items()}
            traces[p] = [
                _one(trace, row * len(edits) + e, lengths[row], shared) for e in range(len(edits))
            ]
    return [traces[p] for p in range(len(prompts))]


def _first_block(edits: Sequence[Mapping[Site, Edit]]) -> int:
    blocks = [_block(site) for mapping in edits for site in mapping]
    return max(0, min(blocks)) if blocks and min(blocks) < 10**9 else 0


def _block(site: Site) -> int:
    if site.layer is None:
        return -1 if site.kind in BEFORE else 10**9
    return site.layer


def _own_positions(mapping: Mapping[Site, Edit], length: int) -> dict[Site, Edit]:
    """Edits of a row that was filled up: they see the prompt's own positions."""

    def of(site: Site, edit: Edit) -> Edit:
        def change(x: torch.Tensor) -> torch.Tensor:
            own = _own(site, x, 0, length)
            own.copy_(edited(site, own, edit))
            return x

        return change

    return {site: of(site, edit) for site, edit in mapping.items()}


def _own(site: Site, x: torch.Tensor, row: int, length: int) -> torch.Tensor:
    """What a site has of one row's own positions, a view."""
    own = x[row : row + 1]
    return own[:, :, :length, :length] if "q" in site.dims.split() else own[:, :length]


def _one(trace: Trace, row: int, length: int, shared: Mapping[Site, torch.Tensor]) -> Trace:
    acts = {site: _own(site, x, row, length) for site, x in trace.acts.items()}
    final = None if trace.final is None else trace.final[row : row + 1, :length]
    return Trace(trace.tokens[row : row + 1, :length], {**shared, **acts}, final, trace.head)
