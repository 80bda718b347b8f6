"""Splicing: what happens to a language model's loss when activations at a site are replaced by their reconstruction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from assay.dictionaries.dictionary import Dictionary
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site


@dataclass(frozen=True, eq=False)
class Passage:
    """Windows of text with their activations at a site, and the positions that may be replaced.

    Massive activations (`keep` False) stay as they are: a dictionary was never trained on them.
    """

    tokens: Int[Tensor, "w s"]
    acts: Float[Tensor, "w s d"]
    keep: Bool[Tensor, "w s"]


def spliced_loss(subject: Pretrained, site: Site, passage: Passage, new: Float[Tensor, "w s d"]) -> Float[Tensor, "w"]:
    """Mean next-token loss of each window, in nats, with the kept positions' activations replaced by `new`.

    The model runs only from the site on where the site is a block's input; otherwise the whole pass is edited.
    """
    mixed = torch.where(passage.keep[..., None], new, passage.acts)
    if site.kind == "resid_pre" and site.layer is not None:
        losses = subject.losses(passage.tokens, start=(site.layer, mixed))
    else:
        losses = subject.losses(passage.tokens, edits={site: lambda x: mixed.reshape(x.shape)})
    return losses.double().mean(1)


def reference_losses(
    subject: Pretrained, site: Site, passage: Passage, mean: Float[Tensor, "d"]
) -> dict[str, Float[Tensor, "w"]]:
    """Mean loss of each window in nats: `clean` as it is, `mean` and `zero` with the kept activations replaced by these."""
    acts = passage.acts
    return {
        "clean": spliced_loss(subject, site, passage, acts),
        "mean": spliced_loss(subject, site, passage, mean.expand_as(acts)),
        "zero": spliced_loss(subject, site, passage, torch.zeros_like(acts)),
    }


def reconstruction_losses(
    subject: Pretrained, site: Site, passage: Passage, dictionary: Dictionary
) -> Float[Tensor, "run w"]:
    """Mean loss of each window in nats with the kept activations replaced by each run's reconstruction of them."""
    flat = passage.acts.flatten(0, 1)
    return torch.stack(
        [spliced_loss(subject, site, passage, one.reconstruct(flat)[0].reshape(passage.acts.shape)) for one in dictionary]
    )
