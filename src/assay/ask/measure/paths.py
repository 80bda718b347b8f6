"""Paths: what heads or MLPs of another text send to some later ones, or to the logits, and to
nothing else: all other heads and MLPs keep their original output.

Source: Wang et al., Interpretability in the Wild, 2022; here MLPs in between are held constant
too.

Source: Wang et al., Interpretability in the Wild, 2022; here MLPs between the two are held too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from assay.ask.measure.elsewhere import Places
from assay.ask.measure.heads import check_heads, head_of
from assay.ask.measure.interventions import positions_of, put
from assay.ask.measure.pairs import Rows
from assay.ask.measure.replacements import Replacements
from assay.ask.measure.tokenized import Prompt
from assay.ask.tables import Intervention, Path
from assay.core.errors import DataError
from assay.subjects import edits as changes
from assay.subjects.batches import run_many
from assay.subjects.edits import Edits
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import KINDS, Site

LOGITS, MLP = "logits", "mlp"
SENDERS = ("z", "mlp_out")
"""Kinds of sites that send something, and are held constant."""


def receivers(name: str, path: Path) -> dict[Site, list[int] | None]:
    """Give the sites to which a path leads, with the heads at each; none for the logits. Raises:
    DataError."""
    if LOGITS in path.to:
        if path.to[1:] or path.input:
            raise DataError(f'{name!r}: a path leads to = ["logits"] alone, or to heads and MLPs')
        return {}
    sites: dict[Site, list[int] | None] = {}
    for text in path.to:
        layer, _, part = text.partition(".")
        if part == MLP and layer.isdecimal():
            sites[Site("mlp_out", int(layer))] = None
            continue
        number, head = head_of(text)
        heads = sites.setdefault(Site("z", number), []) or []
        sites[Site("z", number)] = [*heads, head]
    if path.input and not all(sites.values()):
        raise DataError(f"{name!r}: input = {path.input!r} is of heads; an MLP has one input")
    return sites


def check(table: Intervention, places: Places, folder: ModelFolder) -> None:
    """Refuse a path that leads nowhere in a model. Raises: DataError, ModelError."""
    assert table.path is not None
    to = receivers(table.name, table.path)
    for site, _ in places:
        if site.kind not in SENDERS:
            raise DataError(
                f"{table.name!r}: a path begins at heads, or at blocks.N.hook_mlp_out; got {site}"
            )
        for end, numbers in to.items():
            behind = (end.layer or 0, end.kind != "z") > (site.layer or 0, site.kind != "z")
            if not behind or (site.kind == end.kind and site.layer == end.layer):
                raise DataError(f"{table.name!r}: {end} does not come after {site}")
            folder.check(end)
            check_heads(table.name, end.layer, numbers, folder.shape(end)[0])


def inside(table: Intervention, end: Site, read: Iterable[Site], folder: ModelFolder) -> list[Site]:
    """The sites within a receiver among those that are read. Raises: DataError for one that it
    shares with heads that the path does not reach."""
    assert table.path is not None
    start = "ln1_scale" if end.kind == "z" else "ln2_scale"
    between = KINDS[KINDS.index(start) : KINDS.index(end.kind)]
    outside = [kind for kind in ("k", "rot_k", "v") if table.path.input not in ("", kind[-1])]
    sites = [
        s for s in read if s.layer == end.layer and s.kind in between and s.kind not in outside
    ]
    for site in sites if end.kind == "z" else ():
        axes = site.dims.split()
        if "h" not in axes and ("kv" not in axes or folder.shape(site)[0] != folder.shape(end)[0]):
            raise DataError(
                f"{table.name!r}: {site} belongs to several heads together, and a path leads to "
                "some of them alone, so it cannot be read; read the attn_scores or the pattern of "
                "a head"
            )
    return sites


def edits(
    table: Intervention,
    places: Places,
    sent: Sequence[Mapping[Site, Rows]],
    source: Replacements,
    read: Sequence[Site] = (),
) -> list[Edits]:
    """The edits of every prompt that put what is sent along a path alone.

    Args:
        table: at one point of its sweep.
        places: sites that send, each with its heads.
        sent: their activations on the other text, for each prompt.
        source: gives activations without a change.
        read: the sites that are read; those within a receiver keep its values.
    """
    assert table.path is not None
    model: Pretrained = source.model
    check(table, places, model.folder)  # chosen heads, and those of controls, are known only now
    first = min(site.layer or 0 for site, _ in places)
    held_sites = [Site(kind, n) for n in range(first, model.layers) for kind in SENDERS]
    senders, to = dict(places), receivers(table.name, table.path)
    clean = source.seen(source.prompts, held_sites)

    def holding(i: int, p: Prompt, free: Site | None) -> Edits:
        combined: Edits = {}
        for site in held_sites:
            rows = clean[i][site]
            if site in senders:
                rows = rows.clone()
                positions, heads = positions_of(table, p), senders[site]
                index = changes.stretch(slice(None) if positions is None else positions, len(rows))
                new = sent[i][site]
                for head in heads if heads is not None else [slice(None)]:
                    rows[index, head] = new[index, head].to(rows)
            combined |= put(site, rows, None, None, False) if site != free else {}
        return combined

    pairs = [*enumerate(source.prompts)]
    if not to:
        return [holding(i, p, None) for i, p in pairs]
    final: list[Edits] = [{} for _ in pairs]
    for end, heads in to.items():
        fixed = [Site(kind, end.layer) for kind in "qkv" if table.path.input not in ("", kind)]
        inputs = source.seen(source.prompts, fixed) if fixed else [{}] * len(pairs)
        held_there = [
            [holding(i, p, end) | {k: v for s in fixed for k, v in put(s, inputs[i][s]).items()}]
            for i, p in pairs
        ]
        tokens = [p.tokens for p in source.prompts]
        captured = [*inside(table, end, read, model.folder), end]
        traces = run_many(model, tokens, held_there, capture=captured, logits=False)
        for edit, traced in zip(final, traces, strict=True):
            for site in captured:
                edit |= put(site, traced[0].acts[site][0].clone(), None, heads, False)
    return final
