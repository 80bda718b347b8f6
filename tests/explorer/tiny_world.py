"""A tiny model, a dictionary of random directions, a real index of it in a store, and the same
numbers by a naive float64 pass."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import tiny_models
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.evaluation import indexing
from assay.explorer.library import Library
from assay.features.index.reader import Index
from assay.subjects import folder

SITE, LAST = "blocks.1.hook_resid_post", "blocks.2.hook_resid_post"
TEXT = "def add(self, other):\n    return self + other"
WIDTH = 48


def made_up(seed=0):
    draw = torch.Generator().manual_seed(seed)
    W = torch.nn.functional.normalize(torch.randn(1, WIDTH, 24, generator=draw), dim=-1)
    return Dictionary(
        0.6 * W.mT, torch.full((1, WIDTH), -0.4), W, torch.zeros(1, 24), ReLU(), sites=(SITE,)
    )


@dataclass
class Tiny:
    store: Path
    model: Path
    index: Index

    @property
    def base(self):
        return f"/{self.index.about.address}"

    def library(self):
        return Library(self.store)

    def ids(self, text):
        return np.array([folder.find(str(self.model)).tokenizer.encode(text)])

    def naive(self, ids, at=SITE, less=0.0):
        """Logits [s, v], and activations of features [s, f] where they count, with `less` taken off
        at a site."""
        logits, acts = tiny_models.naive(self.model, ids, {at: lambda x: x - less})
        codes = np.maximum(acts[SITE] @ made_up().W_enc[0].double().numpy() - np.float32(0.4), 0)[0]
        codes[0] = 0  # the first token does not count
        return logits[0], codes

    def part(self, codes, k):
        """What a feature with these activations [s] writes."""
        return codes[None, :, None] * made_up().W_dec[0][k].double().numpy()


def log_probabilities(logits):
    """log softmax of each row, written out."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def make(root):
    model = tiny_models.make(root / "llama", "llama")
    texts = root / "texts"
    store = root / "store"
    texts.mkdir()
    for i in range(30):
        (texts / f"{i:02}.txt").write_text(
            f"def add{i}(self, other):\n    return self + other\n" * 4
        )
    made_up().save(root / "one.safetensors")
    made = indexing.index(
        root / "one.safetensors",
        model=model,
        text=texts,
        root=store,
        tokens=480,
        context=12,
        ablate=2,
        ablate_windows=2,
    )
    return Tiny(store, model, made)
