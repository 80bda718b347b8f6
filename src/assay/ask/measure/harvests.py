"""Harvests: the activations of all rows of some prompts at a site, from which directions and probes
are learned; the last few are kept in this process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jaxtyping import Float

from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.seen import PassOutput, prompt
from assay.ask.tables import Position
from assay.core.heavy import torch
from assay.subjects.batches import ROWS, run_many
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

READ = 2**28
"""Activations that are there at once where nothing is edited, of all sites together."""
KEPT = 64
"""So many activations, of a site each, are kept."""
_known: dict[tuple[str, str, str, Position], torch.Tensor] = {}
"""Activations that directions are learned from: (model, prompts, site, position)."""


def activations(
    model: Pretrained, model_key: str, prompts: PromptSet, site: Site, position: Position
) -> Float[torch.Tensor, "row d"]:
    """The activations of all rows at a site and a position; the last few are kept."""
    return all_activations(model, model_key, prompts, [site], position)[0]


def all_activations(
    model: Pretrained, model_key: str, prompts: PromptSet, sites: Sequence[Site], position: Position
) -> list[Float[torch.Tensor, "row d"]]:
    """The activations of all rows at several sites, of one pass for all that are not known yet."""

    def key(site: Site) -> tuple[str, str, str, Position]:
        return (model_key, prompts.digest, str(site), position)

    got = {site: _known[key(site)] for site in sites if key(site) in _known}
    if new := [site for site in dict.fromkeys(sites) if site not in got]:
        for site, acts in read_activations(model, prompts, new, position).items():
            while len(_known) >= KEPT:
                _known.pop(next(iter(_known)))
            got[site] = _known[key(site)] = acts
    return [got[site] for site in sites]


def read_activations(
    model: Pretrained, prompts: PromptSet, sites: Sequence[Site], position: Position
) -> dict[Site, Float[torch.Tensor, "row d"]]:
    """The activations of all rows at several sites, of one pass; nothing is kept."""
    rows: dict[Site, list[torch.Tensor]] = {site: [] for site in sites}
    every = [prompt(model.folder, row) for row in prompts.rows]
    numbers = captured(model, rows, max(len(p.tokens) for p in every))
    size = max(1, min(4 * ROWS, READ // numbers))
    for some in (every[i : i + size] for i in range(0, len(every), size)):
        traces = run_many(model, [p.tokens for p in some], capture=list(rows), logits=False)
        for p, traced in zip(some, traces, strict=True):
            seen = PassOutput(p, acts={site: x[0] for site, x in traced[0].acts.items()})
            for site in rows:
                act = seen.act(site, position)
                # what is a view of the pass would keep all of it
                rows[site].append(act.clone() if model.dtype == "float32" else act)
    return {site: torch.stack(acts) for site, acts in rows.items()}


def captured(model: Pretrained, sites: Iterable[Site], length: int) -> int:
    """How many numbers sites have on a text of so many tokens."""
    pairs = [site for site in sites if "q" in site.dims.split()]
    widths = sum(model.width(site) for site in sites if site not in pairs)
    return length * widths + len(pairs) * length**2 * read_sizes(model.folder.config).get("h", 0)
