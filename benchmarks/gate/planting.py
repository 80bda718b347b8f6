"""Planting: small GPT-2s of Hugging Face transformers whose weights are set by hand, so that it is
known which part of them moves which answer.

A word's embedding has named directions besides noise. A planted head reads some of them and writes
answers; every other head and MLP has small random weights. With `flagged` a head looks at the token
that has the direction `flag`, else at all tokens alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

WIDTH, LAYERS, PLACES = 64, 4, 24
NAMES = [
    "Arden",
    "Belmar",
    "Corvo",
    "Dunmere",
    "Estral",
    "Farrow",
    "Gildan",
    "Harth",
    "Ivoria",
    "Jorund",
    "Kestel",
    "Lomond",
    "Mirren",
    "Norvik",
    "Ostara",
    "Pellan",
    "Quill",
    "Rovan",
    "Selwyn",
    "Tarn",
    "Ulster",
    "Varda",
    "Wexly",
    "Yarrow",
]
CITIES = [f"{name.lower()}ton" for name in NAMES]
FILLERS = [
    "amber",
    "basket",
    "candle",
    "door",
    "east",
    "field",
    "garden",
    "hollow",
    "iron",
    "jar",
    "kettle",
    "lamp",
    "meadow",
    "needle",
    "orchard",
    "paper",
    "quiet",
    "river",
    "stone",
    "table",
    "under",
    "valley",
    "window",
    "yellow",
    "autumn",
    "bridge",
    "copper",
    "dust",
    "elm",
    "fence",
    "glass",
    "harbour",
    "ink",
    "joint",
    "knot",
    "ladder",
    "marble",
    "north",
    "oak",
    "pebble",
    "quartz",
    "rope",
    "silver",
    "timber",
    "upper",
    "velvet",
    "willow",
    "yard",
    "ash",
    "bell",
    "cloud",
    "drum",
    "edge",
    "feather",
    "grain",
    "hill",
    "island",
    "jacket",
]
FIXED = [
    "the",
    "town",
    "of",
    "is",
    "here",
    "big",
    "small",
    "yes",
    "no",
    "please",
    "answer",
    "with",
    "care",
    "and",
    "speak",
]
OPENINGS = [f"opening{i}" for i in range(240)]
"""Words that stand for a wording of the prompt, or for a document that it is from."""
WORDS = ["<unk>", *FIXED, *NAMES, *CITIES, *FILLERS, *OPENINGS]
ID = {word: i for i, word in enumerate(WORDS)}
DIRECTIONS = (
    ["flag", "kind", "answer", "size", "big", "opening", "topic", "length"]
    + [f"name{i}" for i in range(12)]
    + [f"city{i}" for i in range(12)]
)
STRENGTH = 4.0


class Planted:
    """A model that is being made: directions, embeddings, and heads with what they read and
    write."""

    def __init__(self, seed: int, heads: int = 4) -> None:
        self.draw = np.random.default_rng([2027, seed])
        self.heads, self.size = heads, WIDTH // heads
        ones = np.ones((WIDTH, 1)) / WIDTH**0.5  # which the layer norm takes out
        basis = self.draw.normal(size=(WIDTH, len(DIRECTIONS)))
        full = np.linalg.qr(np.hstack([ones, basis, self.draw.normal(size=(WIDTH, WIDTH))]))[0]
        self.free = full[:, 1 + len(DIRECTIONS) : WIDTH]
        """What no name is given to."""
        self.along = dict(zip(DIRECTIONS, full[:, 1 : 1 + len(DIRECTIONS)].T, strict=True))
        named = full[:, 1 : 1 + len(DIRECTIONS)]
        noise = self.draw.normal(size=(len(WORDS), WIDTH))
        noise -= 0.85 * noise @ named @ named.T  # words are only a little alike in what is read
        fillers = [ID[w] for w in FILLERS]
        noise[fillers] -= noise[fillers].mean(0)
        self.embeddings = noise
        torch.manual_seed(seed)
        config = GPT2Config(
            vocab_size=len(WORDS), n_positions=PLACES, n_embd=WIDTH, n_layer=LAYERS, n_head=heads,
            n_inner=WIDTH, tie_word_embeddings=False, bos_token_id=None, eos_token_id=None,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )  # fmt: skip
        self.model = GPT2LMHeadModel(config).eval()
        weights = {k: v.numpy() for k, v in self.model.state_dict().items()}
        self.weights = weights
        for name, w in weights.items():
            if ".attn.c_" in name or ".mlp.c_" in name:
                w[...] = 0 if name.endswith("bias") else self.draw.normal(0, 0.015, w.shape)
        weights["transformer.wpe.weight"][...] = self.draw.normal(0, 0.05, (PLACES, WIDTH))
        weights["lm_head.weight"][...] = 0.02 * self.draw.normal(size=(len(WORDS), WIDTH))
        self.unembed("yes", "answer", 0.5)
        self.unembed("no", "answer", -0.5)
        self.unembed("big", "big", 0.5)
        self.unembed("small", "big", -0.5)
        for i in range(12):
            self.unembed(CITIES[i], f"city{i}", 0.7)

    def unembed(self, word: str, direction: str, by: float) -> None:
        """Let a direction of the stream's end raise a word."""
        self.weights["lm_head.weight"][ID[word]] += by * self.along[direction]

    def give(self, word: str, direction: str, by: float = STRENGTH) -> None:
        """Give a word's embedding a direction."""
        self.embeddings[ID[word]] += by * self.along[direction]

    def head(
        self,
        layer: int,
        head: int,
        moves: list[tuple[str | np.ndarray, str, float]],
        flagged: bool = False,
    ) -> None:
        """Plant a head that reads and writes directions, (read, write, gain)."""
        block, d, at = f"transformer.h.{layer}.attn", WIDTH, head * self.size
        c_attn, bias = self.weights[f"{block}.c_attn.weight"], self.weights[f"{block}.c_attn.bias"]
        c_proj = self.weights[f"{block}.c_proj.weight"]
        here = slice(at, at + self.size)
        c_attn[:, here] = 0
        c_attn[:, d + at : d + at + self.size] = 0
        c_attn[:, 2 * d + at : 2 * d + at + self.size] = 0
        c_proj[here] = 0
        if flagged:
            bias[at] = 4.0
            c_attn[:, d + at] = 2.0 * self.along["flag"]
        for i, (read, write, gain) in enumerate(moves):
            along = self.along[read] if isinstance(read, str) else read
            c_attn[:, 2 * d + at + i] = along
            c_proj[at + i] = gain * self.along[write]

    def finish(self, folder: Path) -> None:
        """Write the model and its tokenizer, as `from_pretrained` reads them."""
        self.weights["transformer.wte.weight"][...] = self.embeddings
        tokenizer = Tokenizer(WordLevel(ID, unk_token="<unk>"))
        tokenizer.pre_tokenizer = WhitespaceSplit()
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
        self.model.save_pretrained(folder)
        fast.save_pretrained(folder)
