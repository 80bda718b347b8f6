"""What splicing a whole dictionary costs, as one call on whole windows: sums for each document, and
the measures that they come to."""

import numpy as np
import torch

from assay.core.errors import DataError
from assay.dictionaries.measuring.ablation import capture, compare, spliced_run
from assay.dictionaries.measuring.measures import ABLATIONS
from assay.dictionaries.measuring.metrics import ce_recovered, kl_recovered


def splice_sums(
    subject,
    site,
    dictionary,
    tokens,
    document,
    documents,
    donors,
    *,
    keep=None,
    reads=None,
    ablations=ABLATIONS,
    first=0,
    batch=8,
):
    """Sums over each document's predictions in nats: `ce_clean`, `ce_spliced`, `kl_spliced`, and
    `ce_`, `kl_` of each ablation.

    `predictions` counts them. `document` names each window's document, 0 to `documents` − 1;
    `first` is the number of the first window, which the draw of donors hangs on. Positions where
    `keep` is False stay as they are in every run alike. Memory is bounded by `batch` windows. Give
    `ablations=()` where they are known already: they are the same for every dictionary.

    Raises: DataError where windows, documents and donors do not fit together.
    """
    tokens, document = torch.as_tensor(tokens), np.asarray(document)
    if document.shape != (len(tokens),) or (
        len(document) and not 0 <= document.min() <= document.max() < documents
    ):
        raise DataError(
            f"document must name, for each of the {len(tokens)} windows, one of 0 … {documents - 1}"
        )
    if ablations and donors is None:
        raise DataError(
            "ablations need donors: give Donors.of(rows) of other text, or ablations=()"
        )
    names = [
        "predictions",
        "ce_clean",
        *(f"{kind}_{name}" for kind in ("ce", "kl") for name in ("spliced", *ablations)),
    ]
    sums = {name: np.zeros((len(dictionary), documents)) for name in names}
    for a in range(0, len(tokens), batch):
        part = slice(a, a + batch)
        passage, clean = capture(
            subject, site, tokens[part], None if keep is None else keep[part], reads
        )
        acts = passage.acts
        inputs = passage.acts if passage.inputs is None else passage.inputs
        flat, runs = inputs.flatten(0, 1), len(dictionary)
        news = [single.reconstruct(flat).reshape(acts.shape) for single in dictionary]
        if donors is not None:
            news += [donors.put(ablation, acts, first + a) for ablation in ablations]
        ce, kl = compare(clean, [spliced_run(subject, site, passage, new) for new in news])
        where = document[part]
        per_window = {
            "predictions": np.full((1, len(acts)), float(ce.shape[2])),
            "ce_clean": _summed(ce[:1]),
        }
        per_window |= {"ce_spliced": _summed(ce[1 : 1 + runs]), "kl_spliced": _summed(kl[:runs])}
        for i, ablation in enumerate(ablations):
            per_window |= {
                f"ce_{ablation}": _summed(ce[1 + runs + i][None]),
                f"kl_{ablation}": _summed(kl[runs + i][None]),
            }
        for name, values in per_window.items():
            np.add.at(sums[name].T, where, np.broadcast_to(values, (runs, len(acts))).T)
    return sums


def finish(sums):
    """The measures of `splice_sums`, one number per run, as ratios of total sums.

    Formula: `ce_X` and `kl_X` per prediction; `loss_recovered_A` = (CE_A − CE_spliced) / (CE_A −
        CE_clean) and `kl_recovered_A` = 1 − KL_spliced / KL_A for each ablation A that was summed
    Range: nats per prediction from 0; recovered −∞ to 1 but for a dictionary that beats the clean
    model; NaN where undefined
    Better: ce_spliced, kl_spliced lower; recovered higher
    """
    total = {name: np.asarray(value).sum(-1) for name, value in sums.items()}
    count = total.pop("predictions")
    with np.errstate(divide="ignore", invalid="ignore"):
        measures = {
            name: np.where(count > 0, value / count, np.nan) for name, value in total.items()
        }
    for name in [n for n in ABLATIONS if f"ce_{n}" in total]:
        measures[f"loss_recovered_{name}"] = ce_recovered(
            total["ce_clean"], total["ce_spliced"], total[f"ce_{name}"]
        )
        measures[f"kl_recovered_{name}"] = kl_recovered(total["kl_spliced"], total[f"kl_{name}"])
    return measures


def _summed(values):
    return values.sum(2).cpu().numpy()
