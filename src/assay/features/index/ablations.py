"""What taking features out does to the loss, on a sample: some features of all densities, each on a
few windows in which it is on."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from assay.core.errors import DataError
from assay.core.heavy import scipy, torch
from assay.core.intervals import interval
from assay.dictionaries.measuring.ablation import capture, spliced_run
from assay.features.importance import finish, importance_sums
from assay.features.index import names, relations
from assay.features.index.blocks import LEAST, Text, by_token
from assay.features.index.firings import CELLS, Block, Firings, Place

STEP = 4
"""Windows that are read at once: few, as most features are taken out on the first ones, and what is
done is to be seen."""
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Sample:
    """The windows of an index, each with its document, and the tokens that count."""

    tokens: Int[np.ndarray, "w s"]
    document: Int[np.ndarray, " w"]
    kept: Bool[np.ndarray, "w s"]


def ablate(
    place: Place,
    shards: Sequence[Path],
    sample: Sample,
    count: int,
    windows: int,
    tick: Callable[[int, int], None],
    parts: Path,
) -> tuple[Arrays | None, dict[str, Any]]:
    """Take out `count` features, each on the first `windows` windows in which it is on; columns of
    `features`, and numbers for `About`.

    The features are evenly spaced along the logarithm of how often they fire: those that have a
    good name, and others only where these are too few. `tick` hears of
    windows, each as often as the model reads it. What is done is kept in the folder `parts` a few
    windows at a time, and gone on with from there after a kill.

    Formula: `importance` ι = Σ ΔCE over active tokens / active; its interval over documents;
    `importance_total` ι·δ, δ of the whole text; `spill` and `ablation_text` means over the windows
    taken, `gradient_sample` the first-order estimate of the last"""
    firings = Firings.of(shards)
    chosen, window_mask = _chosen(firings, place.dictionary.width, count, windows, sample)
    if not len(chosen):
        return None, {"ablated": 0}
    return _measure(place, firings, sample, chosen, window_mask, tick, parts)


def ablate_one(
    place: Place,
    shards: Sequence[Path],
    feature: int,
    windows: int,
    turn: AbstractContextManager[Any],
    tick: Callable[[int, int], None],
    parts: Path,
) -> Arrays:
    """Take out one feature, whatever its name, as `ablate` does; the model reads each window
    within `turn`. Raises: DataError for one that never fires."""
    firings = Firings.of(shards)
    sample = Sample(firings.tokens, firings.document, firings.kept)
    rows = firings.block(feature, feature + 1).row
    if not len(rows):
        raise DataError(f"feature {feature} never fires on this text")
    mask = np.zeros((1, len(sample.tokens)), bool)
    mask[0, _first(np.unique(rows // sample.tokens.shape[1]), windows, sample)] = True
    chosen = np.array([feature])
    columns, about = _measure(place, firings, sample, chosen, mask, tick, parts, turn, 1)
    return columns | {"ablation_tokens": np.array([about["ablation_tokens"]])}


def _measure(
    place: Place,
    firings: Firings,
    sample: Sample,
    chosen: Int[np.ndarray, " f"],
    window_mask: Bool[np.ndarray, "f w"],
    tick: Callable[[int, int], None],
    parts: Path,
    turn: AbstractContextManager[Any] = nullcontext(),  # noqa: B008
    step: int = STEP,
) -> tuple[Arrays, dict[str, Any]]:
    """Take out features, each on windows of its own: what `ablate` gives."""
    used = np.flatnonzero(window_mask.any(0))
    tokens, keep_mask = sample.tokens[used], sample.kept[used]
    _, document = np.unique(sample.document[used], return_inverse=True)
    documents = int(document.max()) + 1
    sums: dict[str, np.ndarray] = {}
    work, of = int(window_mask.sum()), zlib.crc32(chosen.tobytes() + window_mask.tobytes())
    for a in range(0, len(used), step):
        chunk = slice(a, a + step)
        rows = np.flatnonzero(window_mask[:, used[chunk]].any(1))

        def taken_out(chunk: slice = chunk, rows: np.ndarray = rows) -> Arrays:
            return importance_sums(
                place.subject,
                place.writes,
                place.dictionary,
                [int(k) for k in chosen[rows]],
                torch.from_numpy(tokens[chunk].astype(np.int64)),
                document[chunk],
                documents,
                keep=torch.from_numpy(keep_mask[chunk]),
                reads=place.reads,
                window_mask=window_mask[rows][:, used[chunk]],
                batch=int(np.clip(2 * CELLS // (place.dictionary.width * tokens.shape[1]), 1, 8)),
            )

        with turn:
            part = _load_or_make(parts / f"windows-{a:06}-{of:08x}.npz", taken_out)
        for name, values in part.items():
            sums.setdefault(name, np.zeros((len(chosen), documents)))[rows] += values
        tick(int(window_mask[:, used[: a + step]].sum()), work)
    density = _density(firings, place.dictionary.width)[chosen]
    columns = _columns(sums, density) | {"feature": chosen.astype(np.int32)}
    columns["gradient_sample"] = np.array(
        [
            _first_order(firings.block(int(k), int(k) + 1), mask, sample.tokens.shape[1], tokens)
            for k, mask, tokens in zip(chosen, window_mask, sums["tokens"].sum(1), strict=True)
        ]
    )
    return columns, {
        "ablated": len(chosen),
        "ablation_tokens": int(len(used) * sample.tokens.shape[1]),
        "agreement": _agreement(columns["gradient_sample"], columns["ablation_text"]),
    }


def _agreement(estimate: np.ndarray, exact: np.ndarray) -> float | None:
    """The rank correlation of first-order estimates with what taking out does; None where that is
    not defined."""
    both = np.isfinite(estimate) & np.isfinite(exact)
    if both.sum() <= 2 or not np.ptp(estimate[both]) > 0:
        return None
    rho = float(scipy.stats.spearmanr(estimate[both], exact[both]).statistic)
    return rho if np.isfinite(rho) else None


def _load_or_make(path: Path, make: Callable[[], Arrays]) -> Arrays:
    """The arrays of a part that is there already; else they are made, and written whole or not at
    all."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"partial-{path.name}")
        # NumPy's stub takes its own options among the names
        np.savez(partial, **make())  # type: ignore[arg-type]
        partial.replace(path)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def rise(
    place: Place, sample: Sample, windows: int, tick: Callable[[int, int], None], parts: Path
) -> Arrays:
    """Sums over each of the first windows: `rise` of the loss, in nats, with the reconstruction in
    place of the activations, and `predictions`.

    What is done is kept in the folder `parts`, as in `ablate`.
    """
    count = min(windows, len(sample.tokens))
    sums: list[Arrays] = []
    for a in range(0, count, STEP):
        chunk = slice(a, min(a + STEP, count))

        def spliced(chunk: slice = chunk) -> Arrays:
            ids, keep = (
                torch.from_numpy(sample.tokens[chunk].astype(np.int64)),
                torch.from_numpy(sample.kept[chunk]),
            )
            passage, trace = capture(place.subject, place.writes, ids, keep, place.reads)
            inputs = passage.acts if passage.inputs is None else passage.inputs
            new = torch.stack([place.dictionary.reconstruct(x) for x in inputs])
            change = (
                spliced_run(place.subject, place.writes, passage, new).loss().double()
                - trace.loss().double()
            )
            of_window = change.reshape(len(ids), -1).sum(1).cpu().numpy()
            predictions = np.full(len(ids), change.numel() / len(ids))
            return {"rise": of_window, "predictions": predictions}

        sums.append(_load_or_make(parts / f"rise-{a:06}.npz", spliced))
        tick(min(a + STEP, count), count)
    return {name: np.concatenate([part[name] for part in sums]) for name in sums[0]}


def _density(firings: Firings, width: int) -> np.ndarray:
    return firings.counts(width) / max(1, int(firings.kept.sum()))


def _chosen(
    firings: Firings, width: int, count: int, windows: int, sample: Sample
) -> tuple[np.ndarray, np.ndarray]:
    """Features evenly spaced by how often they fire, among those that fire in enough documents: as
    far as there are such, those with a good name; and the windows of each, [feature, window]."""
    feature, window, is_named = _fired(firings, width)
    document_keys = np.unique(feature * (int(sample.document.max()) + 1) + sample.document[window])
    documents = np.bincount(document_keys // (int(sample.document.max()) + 1), minlength=width)
    density = _density(firings, width)
    able = np.flatnonzero(documents >= max(1, min(LEAST, documents.max(initial=0))))
    if not len(able) or not count:
        return np.zeros(0, np.int64), np.zeros((0, len(sample.tokens)), bool)
    named, rest = able[is_named[able]], able[~is_named[able]]
    chosen = _spaced(named, np.log(density[named]), count)
    more = _spaced(rest, np.log(density[rest]), count - len(chosen))
    chosen = np.unique(np.concatenate([chosen, more]))
    window_mask = np.zeros((len(chosen), len(sample.tokens)), bool)
    for i, k in enumerate(chosen):
        a, b = np.searchsorted(feature, [k, k + 1])
        window_mask[i, _first(window[a:b], windows, sample)] = True
    return chosen, window_mask


def _first(on: Int[np.ndarray, " n"], count: int, sample: Sample) -> Int[np.ndarray, " m"]:
    """The first of the windows in which a feature is on; a document's second one comes after every
    document's first."""
    nth = np.zeros(len(on), np.int64)
    for d in np.unique(sample.document[on]):
        of_it = sample.document[on] == d
        nth[of_it] = np.arange(of_it.sum())
    return on[np.lexsort((on, nth))][:count]


def _fired(firings: Firings, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every feature with each window in which it is on; and which features have tokens as a name
    that can be relied on, and are not on everywhere."""
    counts = np.bincount(firings.tokens[firings.kept])
    text, tables, pairs = Text(firings.tokens, firings.document, firings.kept, counts), [], []
    windows, length = firings.tokens.shape
    for first, end in firings.blocks(width):
        block = firings.block(first, end)
        tables.append(by_token(block, first, end - first, text)[0])
        pairs.append(np.unique(block.feature.astype(np.int64) * windows + block.row // length))
    times = firings.counts(width)
    score, _ = names.rules(relations.concatenate_tables(tables), times)
    frequent = (times >= names.FEWEST) & (times <= names.COMMON * text.rows)
    return *np.divmod(np.concatenate(pairs), windows), frequent & (score >= names.LEGIBLE)


def _spaced(numbers: np.ndarray, positions: np.ndarray, count: int) -> np.ndarray:
    """So many of the numbers, evenly spaced along `positions`: the nearest to each mark that is
    still free."""
    if len(numbers) <= count:
        return numbers
    order = np.argsort(positions, kind="stable")
    free = list(order)
    picks = []
    for mark in np.linspace(positions.min(), positions.max(), count):
        i = int(np.argmin(np.abs(positions[free] - mark)))
        picks.append(free.pop(i))
    return numbers[np.array(picks, int)]


def _columns(sums: dict[str, np.ndarray], density: np.ndarray) -> Arrays:
    whole = finish(sums)
    limits = np.array(
        [_interval(sums["delta_active"][i], sums["active"][i]) for i in range(len(density))]
    )
    return {
        "ablated_firings": sums["active"].sum(1).astype(np.int32),
        "importance": whole["conditional"],
        "importance_low": limits[:, 0],
        "importance_high": limits[:, 1],
        "importance_total": whole["conditional"] * density,
        "spill": whole["spill"],
        "hit_share": whole["hit_share"],
        "ablation_text": whole["text"],
    }


def _interval(delta: np.ndarray, active: np.ndarray) -> tuple[float, float]:
    """The 95% interval of Σ delta / Σ active over documents: the hull of bootstrap and Student's
    t; NaN with too few."""
    on = active > 0
    if on.sum() < LEAST:
        return np.nan, np.nan
    bounds = interval(
        {"delta": delta[on], "active": active[on]}, lambda m: m["delta"] / m["active"]
    )
    return min(bounds.low, bounds.t_low), max(bounds.high, bounds.t_high)


def _first_order(block: Block, windows: np.ndarray, length: int, tokens: float) -> float:
    """The first-order estimate of the change of the loss by one feature's firings in these windows,
    per predicted token; NaN without gradients."""
    if block.effect is None or not tokens:
        return float("nan")
    predicts = windows[block.row // length] & (block.row % length < length - 1)
    return float(block.effect[predicts].astype(np.float64).sum() / tokens)
