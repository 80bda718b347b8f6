"""How much a feature matters to a language model: the change in cross-entropy when it is taken out,
in nats.

    ΔCE_k(t) = CE with x ← x − a_k d_k at every position where a_k > 0, less CE as it is, at
    predicting token t + 1

Above 0 means that the feature helps; sae_vis shows the opposite sign. Only the feature's own part
a_k d_k is taken out: what the dictionary cannot reconstruct stays. A feature has a *conditional*
importance, the mean over tokens where it is active, and a *total* one, that times its density: a
rare feature may matter much where it is on and little over all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.arrays import ratio_or_nan
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.ablation import Passage, capture, spliced_run
from assay.dictionaries.measuring.sums import switched_on
from assay.features.effects import added
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

STREAM = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")
"""Kinds of sites that are added to the residual stream, or are it."""


def token_sums(
    delta: Float[np.ndarray, "*any t"], active: Bool[np.ndarray, "*any t"]
) -> dict[str, Float[np.ndarray, "*any"]]:
    """Sums over tokens of ΔCE in nats: `tokens`, `active`, `helps` (ΔCE > 0 where active),
    `delta_active` and `delta_silent`."""
    delta, active = np.asarray(delta, dtype=np.float64), np.asarray(active, dtype=bool)
    return {
        "tokens": np.full(active.shape[:-1], float(active.shape[-1])),
        "active": active.sum(-1).astype(np.float64),
        "helps": (active & (delta > 0)).sum(-1).astype(np.float64),
        "delta_active": np.where(active, delta, 0).sum(-1),
        "delta_silent": np.where(active, 0, delta).sum(-1),
    }


def finish(
    sums: Mapping[str, Float[np.ndarray, "feature document"]],
) -> dict[str, Float[np.ndarray, " feature"]]:
    """The importance of each feature, as ratios of sums over documents.

    Formula: `density` δ = active/tokens; `conditional` ι = Σ ΔCE over active tokens / active;
        `total` = Σ ΔCE over active tokens / tokens = ι·δ; `spill` = Σ ΔCE over the others / their
        number (0 but for attention); `hit_share` = #{active with ΔCE > 0} / active; `text` = Σ ΔCE
        over all tokens / tokens, which is total and spill together
    Range: nats, of either sign; NaN where there is no such token: `conditional` of a feature that
    is never active
    Better: neither: above 0 the model predicts this text better with the feature than without
    Source: Callum McDougall's loss effect of a feature, averaged where it is active and over all
    tokens"""
    s = {name: np.asarray(value, dtype=np.float64).sum(-1) for name, value in sums.items()}
    measures = {
        "density": ratio_or_nan(s["active"], s["tokens"]),
        "conditional": ratio_or_nan(s["delta_active"], s["active"]),
        "total": ratio_or_nan(s["delta_active"], s["tokens"]),
        "hit_share": ratio_or_nan(s["helps"], s["active"]),
    }
    if "delta_silent" in s:
        measures["spill"] = ratio_or_nan(s["delta_silent"], s["tokens"] - s["active"])
        measures["text"] = ratio_or_nan(s["delta_active"] + s["delta_silent"], s["tokens"])
    return measures


def importance_sums(
    subject: Pretrained,
    site: Site,
    dictionary: Dictionary,
    features: Sequence[int | Sequence[int]],
    tokens: Int[torch.Tensor, "w s"],
    document: Int[np.ndarray, " w"],
    documents: int,
    *,
    keep: Bool[torch.Tensor, "w s"] | None = None,
    reads: Site | None = None,
    window_mask: Bool[np.ndarray, "feature w"] | None = None,
    batch: int = 8,
) -> dict[str, Float[np.ndarray, "feature document"]]:
    """Sums over each document's predictions of ΔCE, for every feature, as `finish` takes them;
    those of several calls add up.

    A list among `features` is a set taken out at once. Only windows in which a feature is active
    are run, packed `batch` at a time whatever the feature, so memory does not grow with the number
    of features, and a feature that is never active costs nothing and is exactly 0; so is ΔCE before
    its first active position. Where `keep` is False nothing is taken out. `window_mask` says which
    windows count for each feature; None: all.

    Raises: DataError for several runs, features that are not there, or windows that do not fit.
    """
    groups = [list(g) if isinstance(g, Sequence) else [int(g)] for g in features]
    tokens, document = torch.as_tensor(tokens), np.asarray(document)
    _check(dictionary, groups, tokens, document, documents)
    names = ("tokens", "active", "helps", "delta_active", "delta_silent")
    sums = {name: np.zeros((len(groups), documents)) for name in names}
    for a in range(0, len(tokens), batch):
        part = slice(a, a + batch)
        kept = None if keep is None else keep[part]
        passage, _ = capture(subject, site, tokens[part], kept, reads, logits=False)
        inputs = passage.acts if passage.inputs is None else passage.inputs
        codes = dictionary.encode(inputs.flatten(0, 1))
        codes = (codes * switched_on(dictionary, codes)).unflatten(
            0, passage.tokens.shape
        ) * passage.keep[..., None]
        on = torch.stack([(codes[..., group] != 0).any(2) for group in groups])
        counts = (
            np.ones((len(groups), len(passage.tokens)), bool)
            if window_mask is None
            else window_mask[:, part]
        )
        on = on & torch.from_numpy(counts).to(on.device)[..., None]

        def removed(
            g: int, w: int, codes: torch.Tensor = codes, inputs: torch.Tensor = inputs
        ) -> Float[torch.Tensor, "s d"]:
            return added(dictionary, groups[g], codes[w][:, groups[g]], inputs[w])

        delta = deltas(subject, site, passage, removed, on, batch)
        active = on[..., :-1].cpu().numpy()
        for name, values in token_sums(delta, active).items():
            np.add.at(sums[name].T, document[part], (values * counts).T)
    return sums


def deltas(
    subject: Pretrained,
    site: Site,
    passage: Passage,
    removed: Callable[[int, int], Float[torch.Tensor, "s d"]],
    on: Bool[torch.Tensor, "g w s"],
    batch: int,
    last: bool = False,
) -> Float[np.ndarray, "g w p"]:
    """ΔCE of every group in every window, 0 where nothing was run, at every prediction or at the
    `last` of each window alone; `removed` gives what is taken out of a group's window."""
    windows = len(passage.tokens)
    clean = torch.cat(
        [
            _loss(subject, site, passage, rows, None, last)[: len(rows)]
            for rows in _packs(range(windows), batch)
        ]
    )
    delta = torch.zeros(*on.shape[:2], clean.shape[1], dtype=torch.float64, device=clean.device)
    jobs = [(int(g), int(w)) for g, w in on[..., :-1].any(2).nonzero()]
    for pack in _packs(jobs, batch):
        new = torch.stack([passage.acts[w] - removed(g, w) for g, w in pack])
        loss = _loss(subject, site, passage, [w for _, w in pack], new, last)
        for (g, w), row in zip(pack, loss, strict=False):
            first = 0 if last else int(on[g, w].nonzero()[0])
            delta[g, w, first:] = (row - clean[w])[first:]
    return delta.cpu().numpy()


def _loss(
    subject: Pretrained,
    site: Site,
    passage: Passage,
    windows: Sequence[int],
    new: Float[torch.Tensor, "w s d"] | None,
    last: bool,
) -> Float[torch.Tensor, "w p"]:
    """Loss of these windows with `new` in place of their activations, or as they are: the same
    computation either way."""
    rows = torch.as_tensor(list(windows), device=passage.acts.device)
    before = None if passage.before is None else passage.before[rows]
    part = Passage(
        passage.tokens[rows], passage.acts[rows], torch.ones_like(passage.keep[rows]), None, before
    )
    run = spliced_run(subject, site, part, part.acts if new is None else new)
    return run.loss(last=last).double()


def _packs(items: Sequence, size: int) -> Iterator[Sequence]:
    return (items[a : a + size] for a in range(0, len(items), size))


def _check(
    dictionary: Dictionary,
    groups: Sequence[Sequence[int]],
    tokens: torch.Tensor,
    document: np.ndarray,
    documents: int,
) -> None:
    if len(dictionary) != 1:
        raise DataError(
            f"importance is of one dictionary, got {len(dictionary)} runs; take one: dictionary[0]"
        )
    wrong = [k for group in groups for k in group if not 0 <= k < dictionary.width]
    if not groups:
        raise DataError("importance is of features; name at least one")
    if wrong or not all(groups):
        raise DataError(
            f"features are numbered 0 to {dictionary.width - 1}, got "
            f"{wrong[0] if wrong else 'an empty set'}"
        )
    if document.shape != (len(tokens),) or (
        len(document) and not 0 <= document.min() <= document.max() < documents
    ):
        raise DataError(
            f"document must name, for each of the {len(tokens)} windows, one of 0 … {documents - 1}"
        )
