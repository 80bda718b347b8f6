"""The cards of one dictionary on the text that was harvested for it, as measures of its run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.core.bench import Bench
from assay.data.harvest import Harvest
from assay.dictionaries.dictionary import Dictionary
from assay_catalogue.features import card
from assay_catalogue.features.card import Text


def card_measures(
    dictionary: Dictionary,
    harvest: Harvest,
    bench: Bench,
    *,
    windows: int,
    count: int,
    seed: int = 0,
) -> tuple[dict[str, tuple[str, Any, str]], dict[str, Sequence]]:
    """Variables and coordinates for `measures`: `count` features' cards from the first `windows`
    windows of a harvest.

    The dictionary must hold one run. Which features are shown is drawn by `seed` among those that
    fire at least 20 times."""
    model = harvest.model(bench.device)
    windows = min(windows, len(harvest.tokens))
    rows = harvest.kept[harvest.kept < windows * harvest.spec.context]
    plain = dictionary.normalised
    firings = []
    for a in range(0, len(rows), 4096):
        on = plain.active(harvest.rows(rows[a : a + 4096]).to(bench.device))
        firings.append((on.row.cpu().numpy() + a, on.feature.cpu().numpy(), on.value.cpu().numpy()))
    return card.measurements(
        firings,
        Text(harvest.tokens[:windows], *np.divmod(rows, harvest.spec.context)),
        strings=lambda token: model.token_text([token])[0],
        documents=[harvest.files[d] for d in harvest.windows.document[:windows]],
        decoder=_raw_decoder(dictionary),
        unembedding=model.unembed().cpu().numpy(),
        norm=None,
        seed=seed,
        count=count,
    )  # type: ignore[return-value]


def _raw_decoder(dictionary: Dictionary) -> np.ndarray:
    """What one unit of each feature adds to the raw activations, [feature, d]: what logits are made
    of."""
    W = (
        dictionary.W_dec[0]
        if dictionary.scale is None
        else dictionary.W_dec[0] / dictionary.scale[0]
    )
    return W.cpu().numpy()
