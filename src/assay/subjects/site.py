"""Site: a named place in a language model where activations are read or edited."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assay.core.errors import ModelError, nearest
from assay.subjects import architectures

_KINDS = {
    "embed": ("hook_embed", "b s d"),
    "pos_embed": ("hook_pos_embed", "b s d"),
    "resid_pre": ("hook_resid_pre", "b s d"),
    "ln1_scale": ("ln1.hook_scale", "b s 1"),
    "q": ("attn.hook_q", "b s h e"),
    "k": ("attn.hook_k", "b s kv e"),
    "v": ("attn.hook_v", "b s kv e"),
    "rot_q": ("attn.hook_rot_q", "b s h e"),
    "rot_k": ("attn.hook_rot_k", "b s kv e"),
    "attn_scores": ("attn.hook_attn_scores", "b h q k"),
    "pattern": ("attn.hook_pattern", "b h q k"),
    "z": ("attn.hook_z", "b s h e"),
    "result": ("attn.hook_result", "b s h d"),
    "attn_out": ("hook_attn_out", "b s d"),
    "resid_mid": ("hook_resid_mid", "b s d"),
    "ln2_scale": ("ln2.hook_scale", "b s 1"),
    "ln2_normalized": ("ln2.hook_normalized", "b s d"),
    "mlp_in": ("mlp.hook_in", "b s d"),
    "mlp_pre": ("mlp.hook_pre", "b s m"),
    "mlp_pre_linear": ("mlp.hook_pre_linear", "b s m"),
    "mlp_post": ("mlp.hook_post", "b s m"),
    "mlp_out": ("hook_mlp_out", "b s d"),
    "resid_post": ("hook_resid_post", "b s d"),
    "final_scale": ("ln_final.hook_scale", "b s 1"),
    "final_norm": ("ln_final.hook_normalized", "b s d"),
}
KINDS = tuple(_KINDS)
"""The kinds of a transformer, in the order in which a forward pass meets them."""
BEFORE, AFTER = ("embed", "pos_embed"), ("final_scale", "final_norm")
"""Those that belong to no block: before the first, and after the last."""
SYNONYMS = {
    "embed.hook_out": "hook_embed",
    "pos_embed.hook_out": "hook_pos_embed",
    "hook_in": "hook_resid_pre",
    "attn.q.hook_out": "attn.hook_q",
    "attn.k.hook_out": "attn.hook_k",
    "attn.v.hook_out": "attn.hook_v",
    "attn.o.hook_in": "attn.hook_z",
    "attn.hook_out": "hook_attn_out",
    "ln2.hook_in": "hook_resid_mid",
    "hook_mlp_in": "hook_resid_mid",
    "mlp.gate.hook_out": "mlp.hook_pre",
    "mlp.out.hook_in": "mlp.hook_post",
    "mlp.hook_out": "hook_mlp_out",
    "hook_out": "hook_resid_post",
    "unembed.hook_in": "ln_final.hook_normalized",
}
"""Names of TransformerLens 3 → its older ones; its `hook_mlp_in` is what the norm before the MLP
reads."""


def _kinds() -> dict[str, tuple[str, str]]:
    """Every kind → its hook and its axes: those of transformers, and those that an architecture
    says only its models have."""
    kinds, hooks = dict(_KINDS), {hook: kind for kind, (hook, _) in _KINDS.items()}
    for architecture in architectures.known().values():
        for kind, (hook, axes) in architecture.kinds.items():
            if (
                kinds.setdefault(kind, (hook, axes)) != (hook, axes)
                or hooks.setdefault(hook, kind) != kind
            ):
                other_kind = hooks.get(hook, kind)
                raise ModelError(
                    f"architectures/: {architecture.name} has the site kind {kind!r} at {hook} "
                    f"({axes}), but {other_kind!r} is at "
                    f"{kinds[other_kind][0]} ({kinds[other_kind][1]}) elsewhere; give kind and "
                    "hook names "
                    "of their own"
                )
    return kinds


def _known() -> list[str]:
    return [
        hook if kind in BEFORE + AFTER else f"blocks.<layer>.{hook}"
        for kind, (hook, _) in _kinds().items()
    ]


MODULES = {"mlp": "hook_mlp_out", "att": "hook_attn_out", "": "hook_resid_post"}
"""By the last part of the name of a module in transformers: the hook of what it returns."""


def _of_module(text: str) -> str:
    """Name the site of what a module of a block returns in transformers; "" for any other name."""
    match = re.fullmatch(r"(?:\w+\.)*(?:layers|h)\.(\d+)(?:\.(?:self_)?(mlp|att)\w*)?", text)
    return f"write blocks.{match[1]}.{MODULES[match[2] or '']}" if match else ""


@dataclass(frozen=True, order=True)
class Site:
    """A place in a model: its kind and, within the blocks, its layer. `str()` and `Site.parse` are
    inverse.

    The names are those of TransformerLens. The stream is `resid_pre` before a block's attention,
    `resid_mid` between attention and MLP, and `resid_post` after the MLP; it starts with `embed`,
    and the unembedding reads `final_norm`. In attention, `q`, `k` and `v` are the outputs of the
    projections; `rot_q` and `rot_k` are queries and keys after norms and rotation; `attn_scores`
    are their products, scaled, capped and masked, and `pattern` is the softmax of these. `z` is the
    input of the output projection for each head, and `result` each head's output. `attn_out` and
    `mlp_out` are added to the stream, after a norm if the family has one there. `ln2_normalized` is
    the output of the norm before the MLP without its weight and bias, and `mlp_in` with them
    (TransformerLens calls the former `hook_normalized` for an RMSNorm, and the latter for a
    LayerNorm). `mlp_pre` is the (gate) projection of the MLP, `mlp_pre_linear` the other projection
    of a gated MLP, and `mlp_post` the input of its output projection. The scales are the divisors
    of norms. Kinds that only one architecture has are in its file in `architectures/`.

    Raises: ModelError for an unknown kind, or a layer that is missing or too much.
    Example:
        >>> from assay.subjects import Site
        >>> site = Site("resid_pre", 9)
        >>> str(site), site.dims
        ('blocks.9.hook_resid_pre', 'b s d')
    """

    kind: str
    """Such as "resid_pre"."""
    layer: int | None = None
    """Block, from 0; None for "final_norm", and for it alone."""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS and self.kind not in _kinds():
            raise ModelError(f"no site kind {self.kind!r}; {nearest(self.kind, _kinds())}")
        if (self.layer is None) != (self.kind in BEFORE + AFTER):
            raise ModelError(
                f"site {self.kind} "
                f"{'has no layer' if self.layer is not None else 'needs a layer'}, got "
                f"layer={self.layer}"
            )

    def __str__(self) -> str:
        hook = self._named[0]
        return hook if self.layer is None else f"blocks.{self.layer}.{hook}"

    @classmethod
    def parse(cls, text: str) -> Site:
        """Read the name of a site, such as "blocks.9.hook_resid_pre". Raises: ModelError, with
        the nearest name.

        Args:
            text: a name of TransformerLens.
        Example:
            >>> from assay.subjects import Site
            >>> Site.parse("blocks.9.hook_resid_pre")
            Site(kind='resid_pre', layer=9)
        """
        match = re.fullmatch(r"blocks\.(\d+)\.(.+)", text)
        hook = match[2] if match else text
        hook = SYNONYMS.get(hook, hook)
        kind = next((kind for kind, (name, _) in _kinds().items() if name == hook), "")
        if kind and (match is None) == (kind in BEFORE + AFTER):
            return cls(kind, int(match[1]) if match else None)
        if kind and match is None:
            raise ModelError(f"no site {text!r}; every block has one, such as blocks.0.{hook}")
        if slot := re.search(r"\{(\w+)\}", text):
            raise ModelError(
                f"{{{slot[1]}}} in {text} has no values; write sweep = "
                f'{{ {slot[1]} = "0:30" }}, or a number in its place'
            )
        typed = re.sub(r"^blocks\.(\d+|\*)", "blocks.<layer>", text)
        if typed in _known():
            raise ModelError(
                f"{text} is the site of every block, and one is meant here; name it, as in "
                f"{typed.replace('<layer>', '0')}"
            )
        suggestion = _of_module(text) or nearest(typed, _known())
        if match:
            suggestion = suggestion.replace("<layer>", match[1])
        if suggestion.startswith("known:"):
            suggestion = "name one such as blocks.9.hook_resid_post, or layers.9 for short"
        raise ModelError(f"no site {text!r}; {suggestion}")

    @property
    def dims(self) -> str:
        """Give its axes, separated by spaces: b batch, s sequence, d stream, h head, kv heads of
        keys and values, e width of a head, q and k positions that attend and are attended to, m
        width of the MLP; c channels, n state."""
        return self._named[1]

    @property
    def _named(self) -> tuple[str, str]:
        return _KINDS.get(self.kind) or _kinds()[self.kind]
