"""Attention step by step, in the place of transformers' own where a site lies inside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

from jaxtyping import Float

from assay.core.errors import ModelError
from assay.core.heavy import torch

Visit: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
"""What is at a site → what goes on in its place."""

NAME = "assay"
"""Under which transformers finds it."""
_HERE = "assay_visits"
"""Attribute of an attention module: step → what visits it in this pass."""


class Handle:
    """Takes a visit away and, after the last of a model, gives attention back to transformers."""

    def __init__(self, module: Any, step: str, before: str | None):
        self.module, self.step, self.before = module, step, before

    def remove(self) -> None:
        """Undo what `hook` did; the last hooked goes first."""
        visits = getattr(self.module, _HERE)
        del visits[self.step]
        self.module.config._attn_implementation = self.before
        if not visits:
            delattr(self.module, _HERE)
            self.module.__dict__.pop("_attn", None)


def hook(module: Any, step: str, visit: Visit) -> Handle:
    """Let `visit` see a step of one attention in every pass until the handle is removed."""
    _register()
    before = module.config._attn_implementation
    if not hasattr(module, _HERE):
        setattr(module, _HERE, {})
    getattr(module, _HERE)[step] = visit
    if hasattr(type(module), "_attn"):  # GPT-J has a method where others ask for a function
        module._attn = lambda q, k, v, mask=None: _head_first(attend(module, q, k, v, mask))
    else:
        module.config._attn_implementation = NAME
    return Handle(module, step, before)


def attend(
    module: Any,
    query: Float[torch.Tensor, "b h q e"],
    key: Float[torch.Tensor, "b kv k e"],
    value: Float[torch.Tensor, "b kv k e"],
    attention_mask: Float[torch.Tensor, "b 1 q k"] | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    **more: Any,
) -> tuple[Float[torch.Tensor, "b q h e"], Float[torch.Tensor, "b h q k"]]:
    """Attend as transformers does, visiting each step.

    Formula: softmax(cap · tanh(q kᵀ · scaling / cap) + mask) v, softmax in float32
    """
    if more.get("s_aux") is not None:
        raise ModelError("this attention has sinks, whose steps Assay does not know")
    visits = getattr(module, _HERE, {})
    if "rot_q" in visits:
        query = visits["rot_q"](query.transpose(1, 2)).transpose(1, 2)
    if "rot_k" in visits:
        key = visits["rot_k"](key.transpose(1, 2)).transpose(1, 2)
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if attention_mask is not None:
        scores = scores + attention_mask
    if "attn_scores" in visits:
        scores = visits["attn_scores"](scores)
    pattern = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    if "pattern" in visits:
        pattern = visits["pattern"](pattern)
    return (pattern @ value).transpose(1, 2).contiguous(), pattern


def _head_first(
    out: tuple[torch.Tensor, torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    return out[0].transpose(1, 2), out[1]


@cache
def _register() -> None:
    import transformers
    from transformers.masking_utils import eager_mask

    transformers.AttentionInterface.register(NAME, attend)
    transformers.AttentionMaskInterface.register(NAME, eager_mask)
