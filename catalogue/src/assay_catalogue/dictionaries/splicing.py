"""The loss of a few test passages with a dictionary's reconstructions in place, and those of the
passages as they are and with the site ablated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from assay.core.bench import Bench
from assay.core.heavy import torch
from assay.core.spec import Spec
from assay.data.harvest import Harvest, HarvestSpec
from assay.data.harvest import inputs as harvest_inputs
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.ablation import Passage
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.train.rng import permutation


def spliced_loss(
    subject: Pretrained, site: Site, passage: Passage, new: Float[torch.Tensor, "w s d"]
) -> Float[torch.Tensor, " w"]:
    """Mean next-token loss of each window, in nats, with the kept positions' activations replaced
    by `new`.

    The model runs only from the site on where the site is a block's input; otherwise the whole pass
    is edited."""
    mixed = torch.where(passage.keep[..., None], new, passage.acts)
    if site.kind == "resid_pre" and site.layer is not None:
        losses = subject.losses(passage.tokens, start=(site.layer, mixed))
    else:
        losses = subject.losses(passage.tokens, edits={site: lambda x: mixed.reshape(x.shape)})
    return losses.double().mean(1)


def reference_losses(
    subject: Pretrained, site: Site, passage: Passage, mean: Float[torch.Tensor, " d"]
) -> dict[str, Float[torch.Tensor, " w"]]:
    """Mean loss of each window in nats: `clean` as it is, `mean` and `zero` with the kept
    activations replaced by these."""
    acts = passage.acts
    return {
        "clean": spliced_loss(subject, site, passage, acts),
        "mean": spliced_loss(subject, site, passage, mean.expand_as(acts)),
        "zero": spliced_loss(subject, site, passage, torch.zeros_like(acts)),
    }


def reconstruction_losses(
    subject: Pretrained, site: Site, passage: Passage, dictionary: Dictionary
) -> Float[torch.Tensor, "run w"]:
    """Mean loss of each window in nats with the kept activations replaced by each run's
    reconstruction of them."""
    flat = passage.acts.flatten(0, 1)
    return torch.stack(
        [
            spliced_loss(
                subject, site, passage, single.reconstruct(flat).reshape(passage.acts.shape)
            )
            for single in dictionary
        ]
    )


@dataclass(frozen=True, kw_only=True)
class ReferenceSpec(Spec):
    """Losses of test passages as they are and with the site ablated: the same for every dictionary,
    so measured once."""

    of: HarvestSpec
    passages: int
    model: str
    corpus: str


def cross_entropy(
    dictionary: Dictionary,
    test: Harvest,
    passages: int,
    bench: Bench,
    only: Bool[np.ndarray, " run"],
) -> tuple[list[str], dict[str, Float[np.ndarray, "run passage"]]]:
    """The files, and mean losses in nats: clean, mean, zero (ablated) and spliced, NaN for runs
    that `only` leaves out.

    A passage is one window from each of `passages` documents of the test harvest, drawn by its
    seed."""
    _, first = np.unique(test.windows.document, return_index=True)
    order = permutation(np.array([test.spec.seed]), "splice.passages", 0, len(first))[0][:passages]
    chosen = first[np.sort(order)]
    site, model = Site.parse(test.spec.site), test.model(bench.device)
    passage = Passage(
        *(
            t.to(bench.device)
            for t in (
                torch.from_numpy(test.tokens[chosen].astype(np.int64)),
                test.raw(chosen),
                torch.from_numpy(test.keep[chosen]),
            )
        )
    )

    def build(folder: Path) -> None:
        for name, values in reference_losses(
            model, site, passage, torch.from_numpy(test.mean).to(bench.device)
        ).items():
            np.save(folder / f"{name}.npy", values.cpu().numpy())

    read = harvest_inputs(test.spec)
    spec = ReferenceSpec(
        of=test.spec, passages=passages, model=read["model"], corpus=read["corpus"]
    )
    folder = bench.artefact(spec, build)
    losses = {
        name: np.tile(np.load(folder / f"{name}.npy"), (len(dictionary), 1))
        for name in ("clean", "mean", "zero")
    }
    losses["spliced"] = np.full_like(losses["clean"], np.nan)
    for run in np.flatnonzero(only):
        losses["spliced"][run] = (
            reconstruction_losses(model, site, passage, dictionary[int(run)])[0].cpu().numpy()
        )
    return [test.files[d] for d in test.windows.document[chosen]], losses
