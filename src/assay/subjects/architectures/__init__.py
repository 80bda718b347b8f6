"""Architecture: what Assay must know of a model's modules and settings, one value each; a file in
this folder is found by being there, and a module of another distribution by an entry point in the
group `assay.architectures`.

A file holds an architecture and its relatives as values at its top. Which sites a model has follows
from its architecture: a kind of site without a place in `sites` does not exist there.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from assay.subjects.places import (
    Inside,
    Normalized,
    Place,
    Result,
    Returned,
    Scale,
    read_by,
    returned_by,
)

GROUP = "assay.architectures"

__all__ = [
    "Architecture",
    "Inside",
    "Normalized",
    "Place",
    "Result",
    "Returned",
    "Scale",
    "attention",
    "before_mlp",
    "known",
    "post_norms",
    "read_by",
    "returned_by",
]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes, modules and sites of the models of one transformers type."""

    name: str
    """transformers' model_type, e.g. "llama"."""
    sizes: Mapping[str, str]
    """Letter of a size → its name in config.json: layers, d stream, m MLP, h heads, e width of a
    head, kv, v vocabulary, positions."""
    follow: Mapping[str, Callable[[Mapping[str, int]], int]] = field(default_factory=dict)
    """Sizes that a config may leave out, from those it gives; e is d / h wherever there are
    heads."""
    prefix: str
    """What the stored names of weights begin with, in files that have it."""
    stored: Mapping[str, str]
    """Weights that must be stored, `*` for each block → their sizes by letters, such as "h·e d"."""
    layer_norm: bool = False
    """Whether its norms take out the mean, as LayerNorm does and RMSNorm does not."""
    tied: bool = False
    """Whether the unembedding is the embedding's tensor where config.json does not say
    (`tie_word_embeddings`)."""
    pos_embed: str = ""
    """Learned positions, an attribute of transformers' base model; "" where there are none."""
    blocks: str
    """The list of blocks, an attribute of transformers' base model."""
    final_norm: str
    """The norm before the unembedding, likewise."""
    sites: Mapping[str, Place]
    """Kind of site within a block → where it is, in the order in which a forward pass meets
    them."""
    kinds: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Kinds that only such models have → the hook's name within a block, and the axes:
    ("hook_delta", "b s c")."""
    open_up: Callable[[Any], None] | None = None
    """What is done to transformers' model, where some of its sites are no module's input or output:
    they get a module each."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Kinds of site that other transformers have and these lack → why."""
    otherwise: Callable[[Mapping[str, Any]], Architecture | None] | None = None
    """The architecture that a config means, where a setting of it makes another one."""
    guesses: tuple[tuple[str, str], ...] = ()
    """Of an architecture that was found by structure: pairs of modules that may be what attention
    and MLP write, tried in this order when a model is opened."""
    promised: int = 0
    """Of such an architecture: how many numbers its weights have, in place of `stored`."""
    bos: bool = False
    """Whether their text needs a BOS token, which the tokenizer of a GGUF file does not put
    there."""
    traits: tuple[str, ...] = ()
    """What such models do otherwise than Llama, each in a few words for whoever picks a site."""

    def places(self) -> Iterator[Mapping[str, Place]]:
        """Yield where its sites are: for certain, or guess by guess."""
        yield self.sites
        for attention, mlp in self.guesses[1:]:
            yield {**self.sites, "attn_out": returned_by(attention), "mlp_out": returned_by(mlp)}

    @property
    def needed(self) -> tuple[str, ...]:
        """Letters of the sizes that a config must give."""
        return tuple(
            letter
            for letter in ("layers", "d", "h", "m")
            if letter in self.sizes and letter not in self.follow
        )


def attention(module: str) -> dict[str, Place]:
    """Place the four steps within an attention."""
    steps = ("rot_q", "rot_k", "attn_scores", "pattern")
    return {step: Inside(module, step) for step in steps}


def before_mlp(norm: str) -> dict[str, Place]:
    """Place what a norm before the MLP divides by, what it makes before its weight, and what the
    MLP reads, behind it."""
    return {"ln2_scale": Scale(norm), "ln2_normalized": Normalized(norm), "mlp_in": read_by("mlp")}


POST_SCALES = {
    "ln1_post_scale": ("ln1_post.hook_scale", "b s 1"),
    "ln2_post_scale": ("ln2_post.hook_scale", "b s 1"),
}
"""Kinds that only those have who norm what attention and MLP write."""


def post_norms(sites: Mapping[str, Place]) -> dict[str, Place]:
    """Place, among other sites, what the norms behind attention and MLP divide by and return."""
    norms = {"attn_out": "post_attention_layernorm", "mlp_out": "post_feedforward_layernorm"}
    places: dict[str, Place] = {}
    for kind, place in sites.items():
        if kind in norms:
            scale = "ln1_post_scale" if kind == "attn_out" else "ln2_post_scale"
            places |= {scale: Scale(norms[kind]), kind: returned_by(norms[kind])}
        else:
            places[kind] = place
    return places


@cache
def known() -> Mapping[str, Architecture]:
    """Find the architectures of this folder, and those that other distributions add, by name, the
    largest family first."""
    files = [point.load() for point in entry_points(group=GROUP)]
    files += [import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
    families = [
        [
            value
            for name, value in vars(file).items()
            if isinstance(value, Architecture) and name.isupper() and name[0] != "_"
        ]
        for file in files
    ]
    return MappingProxyType(
        {
            architecture.name: architecture
            for family in sorted(families, key=len, reverse=True)
            for architecture in family
        }
    )
