"""What one run of metric-audit is, and a panel: dictionaries of many kinds and shapes, kept side by
side as one trained run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt

from assay.core.fit import Trained
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay_catalogue.data.planted_families import Families
from assay_catalogue.dictionaries.on_text import NamedModelDictionary


@dataclass(frozen=True, kw_only=True)
class MetricAudit(NamedModelDictionary):
    subject: str = ""
    """The language model whose activations are read, "smollm2", "gemma3-270m", a local folder or a
    hub's name; "": planted families."""
    width: Annotated[int, Ge(4)] = 96
    k: Annotated[int, Ge(2)] = 4
    """Features that are on: exactly for TopK, in the mean for other kinds."""
    steps: Annotated[int, Ge(4)] = 1000
    lr: Annotated[float, Gt(0)] = 1e-2
    penalty: Annotated[float, Ge(0)] = 0.13
    """λ of the ReLU dictionary; planted, where it starts on the way to an L0 of k."""
    gate_penalty: Annotated[float, Ge(0)] = 0.15
    """λ with which the gated dictionary starts on the way to an L0 of k."""
    d: Annotated[int, Ge(1)] = 32
    """Dimensions of a planted input."""
    parents: Annotated[int, Ge(2)] = 32
    """Planted features that are on by themselves."""
    children: Annotated[int, Ge(1)] = 2
    """Planted features of each parent that are on only where it is."""
    share: float = 0.6
    """Probability that a child is on where its parent is."""
    rows: Annotated[int, Ge(2)] = 3000
    """Held-out planted inputs that choose, and as many that judge."""
    l0: Annotated[float, Gt(0)] = 3.0
    """Planted: features that are on in the mean where a dictionary is read; of the others it keeps
    nothing."""
    known: Annotated[int, Ge(1)] = 8
    """Planted families whose features have labels; truth is about the others."""
    concepts: Annotated[int, Ge(1)] = 6
    """Labels that are probed: so many single features, and as many times "any of three"."""
    lots: Annotated[int, Ge(1)] = 96
    """Features drawn by lot that are explained on a language model."""
    drawn_layer: Annotated[int, Ge(1)] = 3
    """The site in a model with random weights is before this block: cheaper, and deeper only mixes
    more."""
    windows: Annotated[int, Ge(2)] = 250
    """Training windows of 128 tokens; two in five of them of a model with random weights."""
    passages: Annotated[int, Ge(1)] = 12
    """Test windows on which the loss is measured."""
    looked: Annotated[int, Ge(2)] = 32
    """Windows of training text, and of test text, in which features are probed and explained; all
    test text of a model with random weights."""
    probed: Annotated[int, Ge(8)] = 2000
    """Tokens of each that are probed."""

    @property
    def inputs_in_words(self) -> str:
        """What dictionaries are trained on."""
        if not self.subject:
            features = self.parents * (1 + self.children)
            return f"{features:,} planted features in families, {self.d} dimensions"
        site = f"residual stream before block {self.layer}"
        return f"{self.model_in_words}, {site}, {self.text_in_words}"

    def world(self) -> Families:
        """The law of the planted inputs."""
        return Families(d=self.d, parents=self.parents, children=self.children, share=self.share)

    def cut(self, part: Literal["train", "test"]) -> dict[str, Any]:
        """Give so many training windows, and one test window from each file."""
        return {"windows": self.windows} if part == "train" else {"windows": 0, "per_file": 1}


@dataclass(frozen=True, kw_only=True)
class ModelAudit(MetricAudit):
    """The panel on a language model, by itself; no claim is about the loss, whose logits are dear
    where the vocabulary is large."""

    subject: str = "gemma3-270m"
    width: Annotated[int, Ge(4)] = 512
    k: Annotated[int, Ge(2)] = 16
    steps: Annotated[int, Ge(4)] = 250
    lr: Annotated[float, Gt(0)] = 4e-3
    penalty: Annotated[float, Ge(0)] = 0.15
    passages: Annotated[int, Ge(1)] = 2


COPIES = 2
"""Trainings of one recipe in one run, which share nothing but the world: another start, other
inputs or another order."""


def packed(parts: Mapping[str, Trained], runs: int) -> Trained:
    """Several kinds of dictionaries, each [run · copy, …], as one Trained with tensors [run, copy,
    …] named kind.tensor."""
    tensors = {
        f"{kind}.{name}": x.reshape(runs, -1, *x.shape[1:])
        for kind, part in parts.items()
        for name, x in part.tensors.items()
    }
    diverged = np.stack([part.diverged.reshape(runs, -1).any(1) for part in parts.values()]).any(0)
    headers = {kind: dict(part.header) for kind, part in parts.items()}
    return Trained(
        tensors, {"kind": "panel", "parts": headers}, {}, np.zeros(0, np.int64), diverged
    )


def joined(packs: Sequence[Trained]) -> Trained:
    """The panels of several runs as one, whose tensors are [run, copy, …]."""
    tensors = {name: torch.cat([p.tensors[name] for p in packs]) for name in packs[0].tensors}
    diverged = np.concatenate([p.diverged for p in packs])
    return Trained(tensors, packs[0].header, {}, np.zeros(0, np.int64), diverged)


def opened(trained: Trained, run: int) -> dict[str, list[Dictionary]]:
    """The dictionaries of one run by kind, one for each copy; tensors that a watch stored are left
    out."""
    dictionaries: dict[str, list[Dictionary]] = {}
    for kind, header in trained.header["parts"].items():
        tensors = of_kind(trained, kind)
        number = tensors["W_dec"].shape[1]
        dictionaries[kind] = [
            Dictionary.from_tensors(
                {name: x[run, c : c + 1] for name, x in tensors.items()}, header
            )
            for c in range(number)
        ]
    return dictionaries


def of_kind(trained: Trained, kind: str) -> dict[str, torch.Tensor]:
    """The tensors [run, copy, …] of one kind."""
    return {
        name.removeprefix(f"{kind}."): x
        for name, x in trained.tensors.items()
        if name.startswith(f"{kind}.")
    }
