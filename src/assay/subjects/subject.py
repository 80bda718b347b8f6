"""Trace: what a run of a model gives back; Edit: what changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from jaxtyping import Float, Int

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.site import Site

Edit: TypeAlias = 'Callable[[Float[torch.Tensor, "b s ..."]], Float[torch.Tensor, "b s ..."]]'
"""What replaces the activations of a site, given them."""

Start: TypeAlias = 'tuple[int, Float[torch.Tensor, "b s d"]]'
"""(layer, residual stream before that block): where a run begins when everything earlier is known
already."""


class Activations(dict[Site, Any]):
    """What was captured by site; the name of a site finds it as well."""

    def __missing__(self, name: Any) -> Any:
        if isinstance(name, str) and (site := Site.parse(name)) in self:
            return self[site]
        raise KeyError(name)


@dataclass(frozen=True, eq=False)
class Trace:
    """One run of a subject: the activations captured and, if it went to the end, what is needed for
    logits and losses.

    Example:
        >>> import torch
        >>> from assay.subjects import Trace
        >>> tokens, final = torch.tensor([[0, 3]]), torch.zeros(1, 2, 4)
        >>> Trace(tokens, {}, final, torch.nn.Identity()).loss()  # four tokens alike: log 4 nats
        tensor([[1.3863]])
    """

    tokens: Int[torch.Tensor, "b s"]
    """Ids that were run."""
    acts: dict[Site, Float[torch.Tensor, "b s ..."]]
    """What was captured."""
    final: Float[torch.Tensor, "b s d"] | None = None
    """What the unembedding reads; None when the run stopped earlier."""
    head: Callable[[torch.Tensor], torch.Tensor] | None = field(default=None, repr=False)
    """From what the unembedding reads to logits [b, s, v]; None when the run stopped earlier."""

    @cached_property
    def logits(self) -> Float[torch.Tensor, "b s v"] | None:
        """All logits, or None when the run stopped earlier; made when first asked for, as they are
        large."""
        if self.final is None or self.head is None:
            return None
        with torch.no_grad():
            return self.head(self.final)

    def loss(self, *, last: bool = False) -> Float[torch.Tensor, "b p"]:
        """Loss at predicting each next token, in nats, or at predicting the `last` token of each
        sequence alone; never holds more than 256 rows of logits.

        Formula: −log softmax(logits[b, i])[tokens[b, i + 1]]
        """
        if self.final is None or self.head is None:
            raise ModelError(
                "this run stopped before the logits, so it has no loss; run with logits=True"
            )
        with torch.no_grad():
            if last:
                return _losses(self.head, self.final[:, -2], self.tokens[:, -1])[:, None]
            return torch.stack(
                [
                    _losses(self.head, x[:-1], t[1:])
                    for x, t in zip(self.final, self.tokens, strict=True)
                ]
            )


ROWS = 256
"""Rows of logits made at a time, a good size for the product: 50 MB of a vocabulary of 50,000 in
float32, 270 MB of 262,144."""
_CACHED = 32 * 49_152
"""Logits that are worked on at once, so that they stay in a cache."""


def cached_rows(vocabulary: int) -> int:
    """Tell how many rows of logits are worked on at once: 32, or fewer of a large vocabulary."""
    return max(1, min(32, _CACHED // vocabulary))


def _losses(
    head: Callable[[torch.Tensor], torch.Tensor],
    final: Float[torch.Tensor, "s d"],
    targets: Int[torch.Tensor, " s"],
) -> Float[torch.Tensor, " s"]:
    parts, losses = max(1, -(-len(final) // ROWS)), []
    for x, part in zip(final.tensor_split(parts), targets.tensor_split(parts), strict=True):
        logits = head(x)
        few = cached_rows(logits.shape[1])
        # a few rows' float32 copy is 7 times as fast as a sequence's 25 MB (Zen, bfloat16)
        losses += [
            torch.nn.functional.cross_entropy(z.float(), t, reduction="none")
            for z, t in zip(logits.split(few), part.split(few), strict=True)
        ]
    return torch.cat(losses)
