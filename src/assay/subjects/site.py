"""Site: a named place in a language model where activations are read or edited."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assay.core.errors import ModelError, nearest
from assay.subjects import architectures

_KINDS = {
    "resid_pre": ("hook_resid_pre", "b s d"),
    "resid_mid": ("hook_resid_mid", "b s d"),
    "resid_post": ("hook_resid_post", "b s d"),
    "z": ("attn.hook_z", "b s h e"),
    "attn_out": ("hook_attn_out", "b s d"),
    "mlp_pre": ("mlp.hook_pre", "b s m"),
    "mlp_post": ("mlp.hook_post", "b s m"),
    "mlp_out": ("hook_mlp_out", "b s d"),
    "final_norm": ("ln_final.hook_normalized", "b s d"),
}
KINDS = tuple(_KINDS)
"""The kinds of a transformer, in the order in which a forward pass meets them; all but the last
belong to a block."""


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


def _known() -> str:
    return ", ".join(
        hook if kind == "final_norm" else f"blocks.<layer>.{hook}"
        for kind, (hook, _) in _kinds().items()
    )


@dataclass(frozen=True, order=True)
class Site:
    """A place in a model: its kind and, within the blocks, its layer. `str()` and `Site.parse` are
    inverse.

    The names are those of TransformerLens. A residual site is the stream itself: `resid_pre` before
    the block's attention, `resid_mid` between attention and MLP, `resid_post` after the MLP. `z` is
    what the attention's output projection reads, per head; `attn_out` and `mlp_out` are what the
    two halves add to the stream; `mlp_pre` is the MLP's (gate) projection before its non-linearity,
    `mlp_post` what its output projection reads; `final_norm` what the unembedding reads. Kinds that
    only one architecture has stand in its file of `architectures/`.

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
        if (self.layer is None) != (self.kind == "final_norm"):
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
        """The site that a name like "blocks.9.hook_resid_pre" stands for. Raises: ModelError,
        listing the sites.

        Args:
            text: a name of TransformerLens.
        Example:
            >>> from assay.subjects import Site
            >>> Site.parse("blocks.9.hook_resid_pre")
            Site(kind='resid_pre', layer=9)
        """
        if text == str(cls("final_norm")):
            return cls("final_norm")
        match = re.fullmatch(r"blocks\.(\d+)\.(.+)", text)
        kind = next(
            (kind for kind, (hook, _) in _kinds().items() if match and hook == match[2]),
            "final_norm",
        )
        if match and kind != "final_norm":
            return cls(kind, int(match[1]))
        raise ModelError(f"no site {text!r}; sites: {_known()}")

    @property
    def dims(self) -> str:
        """Its axes, space separated: b batch, s sequence, d stream, h head, e width of a head, m
        width of the MLP; c channels, n state."""
        return self._named[1]

    @property
    def _named(self) -> tuple[str, str]:
        return _KINDS.get(self.kind) or _kinds()[self.kind]
