"""One shard of text measured: a clean pass that keeps activations and losses, then one pass from
the site on for each replacement.

Every measure is over the same positions: those that are neither among the first of their window nor
outliers. Those alone are replaced, and the loss is that of predicting the token after each of them
(the last position of a window has none).

Sums over the tokens of each document, in float64: of the activations, of a dictionary's
reconstructions, and of losses.

Everything that `assay evaluate` prints is a function of these sums, so that any cutting into
batches and shards gives the same. Lengths are summed about a fixed `centre` near the mean;
`summary` moves them to the exact mean with the sums of the vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.ablation import (
    ABLATIONS,
    Donors,
    Passage,
    capture,
    compare,
    spliced_runs,
)
from assay.dictionaries.measuring.measures import Ablation
from assay.dictionaries.measuring.sums import (
    NOT_FINITE,
    RECONSTRUCTED,
    of_batch,
    of_rows,
    outlier_limit,
    select_positions,
)
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Place:
    """A site with all that is fixed before measuring: which positions count, and what ablations put
    in."""

    reads: Site
    writes: Site
    skip_first: int
    limits: tuple[float, float]
    """Longest activations that count, at both sites."""
    donors: Donors
    centred: bool = False
    """Whether activations are less their own mean over dimensions."""

    def keep(
        self, inputs: Float[torch.Tensor, "w s d_in"], acts: Float[torch.Tensor, "w s d"]
    ) -> Bool[torch.Tensor, "w s"]:
        """The positions that count."""
        return select_positions(inputs, acts, self.limits, self.skip_first)


def constants(
    subject: Pretrained,
    reads: Site,
    writes: Site,
    tokens: Int[np.ndarray, "w s"],
    skip_first: int,
    outlier: float,
    path: Path,
    centred: bool = False,
) -> None:
    """Write a site's limits for outliers and the kept activations of these windows, which ablations
    take their own from.

    Raises: DataError where no activation is left, or one is not finite.
    """
    batches = [_captured(subject, reads, writes, t, centred) for t in _batches(tokens, 2048)]
    inputs, acts = (torch.cat(parts) for parts in zip(*batches, strict=True))
    for site, x in ((reads, inputs), (writes, acts)):
        if not bool(x.isfinite().all()):
            raise DataError(
                f"the model's activations at {site} are not finite; try --dtype float32"
            )
    limits = (
        outlier_limit(inputs[:, skip_first:], outlier),
        outlier_limit(acts[:, skip_first:], outlier),
    )
    rows = acts[select_positions(inputs, acts, limits, skip_first)]
    if len(rows) < 2:
        raise DataError(
            f"all activations at {writes} are left out: windows are {tokens.shape[1]} tokens, "
            f"skip_first {skip_first}"
        )
    np.save(path / "limits.npy", np.array(limits))
    np.save(path / "rows.npy", rows.cpu().numpy())


def place(
    path: Path,
    reads: Site,
    writes: Site,
    skip_first: int,
    seed: int,
    device: torch.device,
    centred: bool = False,
) -> Place:
    """The place whose constants were written."""
    limits, rows = np.load(path / "limits.npy"), np.load(path / "rows.npy")
    return Place(
        reads,
        writes,
        skip_first,
        (float(limits[0]), float(limits[1])),
        Donors.of(torch.from_numpy(rows).to(device), seed),
        centred,
    )


def kept_rows(
    subject: Pretrained, site_place: Place, tokens: Int[np.ndarray, "w s"]
) -> tuple[Float[torch.Tensor, "b d_in"], Float[torch.Tensor, "b d"]]:
    """The activations of these windows that count, where a dictionary reads and where it writes;
    one tensor twice where that is the same."""
    rows = []
    for part in _batches(tokens, 2048):
        sites = site_place.reads, site_place.writes
        inputs, acts = _captured(subject, *sites, part, site_place.centred)
        keep = site_place.keep(inputs, acts)
        rows.append((inputs[keep], acts[keep]))
    x, y = (torch.cat(parts) for parts in zip(*rows, strict=True))
    return (y, y) if site_place.reads == site_place.writes else (x, y)


def shard(
    subject: Pretrained,
    site_place: Place,
    tokens: Int[np.ndarray, "w s"],
    document: Int[np.ndarray, " w"],
    ablated: Bool[np.ndarray, " w"],
    dictionaries: Sequence[Dictionary],
    *,
    reference: bool,
    first: int,
    batch: int,
    tick: Callable[[int], None],
) -> tuple[Arrays, list[Arrays]]:
    """The shard's sums per document, which `document` numbers from 0: what is the same for all
    dictionaries, then each one's.

    `reference` says whether the ablations are run (they may be known already). `first` is the
    number of the first window; memory is bounded by `batch` tokens. `tick` hears how many tokens
    are done."""
    n = int(document[-1]) + 1
    names = [f"a_{kind}_{name}" for kind in ("ce", "kl") for name in ABLATIONS] if reference else []
    shared: Sums = {
        name: torch.zeros(n, dtype=torch.float64, device=site_place.donors.mean.device)
        for name in names
    }
    dictionary_sums: list[Sums] = [{} for _ in dictionaries]
    # ablated windows first, so that a batch is of one kind
    order = np.argsort(~ablated, kind="stable")
    step = max(1, batch // tokens.shape[1])
    count = int(ablated.sum())
    for part in (*_cut(order[:count], step), *_cut(order[count:], step)):
        with_ablations = bool(ablated[part[0]])
        passage, clean = capture(
            subject,
            site_place.writes,
            torch.from_numpy(tokens[part].astype(np.int64)),
            None,
            site_place.reads,
        )
        if site_place.centred:  # what no norm sees of them goes
            passage = replace(passage, acts=_centred(passage.acts))
        inputs = passage.acts if passage.inputs is None else passage.inputs
        keep = site_place.keep(inputs, passage.acts)
        passage = Passage(passage.tokens, passage.acts, keep, passage.inputs, passage.before)
        where = (
            torch.from_numpy(document[part].astype(np.int64))
            .to(keep.device)[:, None]
            .expand(keep.shape)
        )
        x, y, rows = inputs[keep], passage.acts[keep], where[keep]
        add(shared, of_activations(y, rows, n, site_place.donors.mean))
        ablations = ABLATIONS if with_ablations and reference else ()
        news = chain(
            _reconstructed(
                dictionaries, dictionary_sums, passage, x, y, rows, n, site_place.donors.mean
            ),
            (_ablated(name, site_place.donors, passage.acts, first + part) for name in ablations),
        )
        ce, kl = compare(clean, list(spliced_runs(subject, site_place.writes, passage, news, step)))
        counted = keep[:, :-1]
        series = torch.cat([torch.ones_like(ce[:1]), ce, kl])[:, counted]
        totals = _add(series.T, where[:, :-1][counted], n).T
        _losses(shared, dictionary_sums, totals, ablations, with_ablations)
        tick(tokens[part].size)
    return arrays(shared), [arrays(single_sums) for single_sums in dictionary_sums]


def _losses(
    shared: Sums,
    dictionary_sums: list[Sums],
    totals: torch.Tensor,
    ablations: Sequence[str],
    with_ablations: bool,
) -> None:
    """Add the losses of one batch; those of ablated windows also under names that begin with `a_`,
    to compare like with like."""
    k = len(dictionary_sums)
    ce, kl = totals[2 : 2 + k + len(ablations)], totals[2 + k + len(ablations) :]
    zero = torch.zeros_like(totals[0])

    def both(name: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: value, f"a_{name}": value if with_ablations else zero}

    add(shared, both("predictions", totals[0]) | both("ce_clean", totals[1]))
    for i, single_sums in enumerate(dictionary_sums):
        add(single_sums, both("ce_spliced", ce[i]) | both("kl_spliced", kl[i]))
    for i, name in enumerate(ablations):
        add(shared, {f"a_ce_{name}": ce[k + i], f"a_kl_{name}": kl[k + i]})


def _reconstructed(
    dictionaries: Sequence[Dictionary],
    dictionary_sums: Sequence[Sums],
    passage: Passage,
    x: Float[torch.Tensor, "kept d_in"],
    y: Float[torch.Tensor, "kept d"],
    document: Int[torch.Tensor, " kept"],
    documents: int,
    centre: Float[torch.Tensor, " d"],
) -> Iterator[Float[torch.Tensor, "w s d"]]:
    """The activations with each dictionary's reconstructions in place, one when it is asked for;
    its sums are added to its own."""
    for dictionary, single_sums in zip(dictionaries, dictionary_sums, strict=True):
        new_sums, firings, y_hat = of_dictionary(dictionary, x, y, document, documents, centre)
        if not finite(new_sums):
            raise DataError(NOT_FINITE)
        add(single_sums, new_sums | {"firings": firings})
        new = passage.acts.clone()
        new[passage.keep] = y_hat.to(new.dtype)
        yield new


def _ablated(
    name: Ablation,
    donors: Donors,
    acts: Float[torch.Tensor, "w s d"],
    windows: Int[np.ndarray, " w"],
) -> Float[torch.Tensor, "w s d"]:
    """What an ablation puts in place of the activations of windows of these numbers."""
    return torch.cat([donors.put(name, acts[i : i + 1], int(w)) for i, w in enumerate(windows)])


def _centred(x: torch.Tensor) -> torch.Tensor:
    return x - x.mean(-1, keepdim=True)


def _captured(
    subject: Pretrained, reads: Site, writes: Site, tokens: np.ndarray, centred: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    trace = subject.run(
        torch.from_numpy(tokens.astype(np.int64)), capture=list({reads, writes}), logits=False
    )
    inputs, acts = (trace.acts[site].flatten(2).float() for site in (reads, writes))
    return (_centred(inputs), _centred(acts)) if centred else (inputs, acts)


def _batches(tokens: Int[np.ndarray, "w s"], batch: int) -> list[np.ndarray]:
    step = max(1, batch // tokens.shape[1])
    return [tokens[a : a + step] for a in range(0, len(tokens), step)]


def _cut(order: np.ndarray, step: int) -> list[np.ndarray]:
    return [np.sort(order[a : a + step]) for a in range(0, len(order), step)]


Sums: TypeAlias = "dict[str, torch.Tensor]"
ROWS = 512
"""Rows encoded at a time: the features of more would not stay in a cache, and of a wide dictionary
not in memory."""


def of_activations(
    y: Float[torch.Tensor, "b d"],
    document: Int[torch.Tensor, " b"],
    documents: int,
    centre: Float[torch.Tensor, " d"],
) -> dict[str, Float[torch.Tensor, "document ..."]]:
    """What is the same for every dictionary: `tokens`, ‖y − c‖² `variance`, ‖y‖² `square_raw`, and
    the vectors `sum` of y − c."""
    parts = of_rows(y, centre)
    summed = _add(torch.stack(list(parts.values()), 1), document, documents).unbind(1)
    return dict(zip(parts, summed, strict=True)) | {"sum": _add(y - centre, document, documents)}


def of_dictionary(
    dictionary: Dictionary,
    x: Float[torch.Tensor, "b d_in"],
    y: Float[torch.Tensor, "b d"],
    document: Int[torch.Tensor, " b"],
    documents: int,
    centre: Float[torch.Tensor, " d"],
) -> tuple[
    dict[str, Float[torch.Tensor, "document ..."]],
    Float[torch.Tensor, " f"],
    Float[torch.Tensor, "b d"],
]:
    """A dictionary's sums per document with the vectors `sum_hat` of ŷ − c, how often each feature
    is on, and ŷ, made from x."""
    firings = torch.zeros(dictionary.width, dtype=torch.float64, device=x.device)
    scalars, y_hat = torch.empty(len(x), len(RECONSTRUCTED), device=x.device), torch.empty_like(y)
    with torch.no_grad():
        for a in range(0, len(x), ROWS):
            part = slice(a, a + ROWS)
            row_sums, on, y_hat[part] = of_batch(dictionary, x[part], y[part], centre)
            firings += on
            scalars[part] = torch.stack([row_sums[name] for name in RECONSTRUCTED], 1)
    sums = dict(zip(RECONSTRUCTED, _add(scalars, document, documents).unbind(1), strict=True))
    return sums | {"sum_hat": _add(y_hat - centre, document, documents)}, firings, y_hat


def add(total: Sums, more: Mapping[str, torch.Tensor]) -> None:
    """Add each sum to the one of its name."""
    for name, value in more.items():
        total[name] = total[name] + value if name in total else value


def finite(sums: Mapping[str, torch.Tensor]) -> bool:
    """Tell whether every sum is a number; squares of a reconstruction may be none where it itself
    still is one."""
    return all(bool(value.isfinite().all()) for value in sums.values())


def arrays(sums: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """The sums as float64 arrays."""
    return {name: value.detach().double().cpu().numpy() for name, value in sums.items()}


def _add(
    values: Float[torch.Tensor, "b n"], document: Int[torch.Tensor, " b"], documents: int
) -> Float[torch.Tensor, "document n"]:
    out = torch.zeros(documents, values.shape[1], dtype=torch.float64, device=values.device)
    return out.index_add_(0, document, values.double())
