"""Counts of FLOP: of trainings, forward passes and searches.

Matrix products alone are counted, as everybody does: a product with N weights costs 2N FLOP for
each token, its gradients twice that. What is not known is a range, and every number made from it is
one."""

from __future__ import annotations

from dataclasses import dataclass

from assay.core.compute import Range, amount
from assay.core.errors import DataError


def forward(parameters: Range | float, tokens: Range | float = 1.0) -> Range:
    """FLOP of forward passes without attention scores. Formula: 2 N D, N the weights that are
    multiplied, D tokens."""
    return 2.0 * amount(parameters, "parameters") * amount(tokens, "tokens")


def training(parameters: Range | float, tokens: Range | float) -> Range:
    """FLOP of a training without attention scores: forward, and twice as much backward. Formula: 6
    N D."""
    return 3.0 * forward(parameters, tokens)


def attention(layers: float, context: float, width: float, causal: bool = True) -> Range:
    """FLOP that attention scores and mixing add to a forward pass, for each token; three times as
    much in training.

    Formula: 2 layers context width, averaged over positions of a causal mask that is made use of; 4
    layers context width where the whole square is computed. `width` is that of all query heads
    together.
    Source: Kaplan et al. 2020, Scaling Laws for Neural Language Models, Table 1.
    """
    return (
        (2.0 if causal else 4.0)
        * amount(layers, "layers")
        * amount(context, "context")
        * amount(width, "width")
    )


def search(
    parameters: Range | float,
    tokens_per_call: Range | float,
    calls: Range | float,
    population: Range | float,
    generations: Range | float,
    per_token: float = 2.0,
) -> Range:
    """FLOP of an evolutionary search whose individuals call a model as a function.

    Formula: per_token N tokens_per_call calls population generations; per_token 2, since nothing
    goes backward."""
    flop_per_token = amount(per_token, "FLOP per parameter and token") * amount(
        parameters, "parameters"
    )
    evaluations = (
        amount(calls, "calls")
        * amount(population, "population")
        * amount(generations, "generations")
    )
    return flop_per_token * amount(tokens_per_call, "tokens per call") * evaluations


@dataclass(frozen=True)
class Transformer:
    """The sizes of a language model that decide what a token costs; biases are added, not
    multiplied, and left out."""

    layers: int
    width: int
    """Of the residual stream."""
    mlp: int
    vocabulary: int
    heads: int
    head: int
    """Width of a head."""
    kv_heads: int
    gated: bool = False
    """Whether the MLP has a gate: three matrices instead of two."""
    tied: bool = False
    """Whether the unembedding is the embedding."""

    def __post_init__(self) -> None:
        for name in ("layers", "width", "mlp", "vocabulary", "heads", "head", "kv_heads"):
            if getattr(self, name) < 1:
                raise DataError(f"Transformer.{name} must be at least 1, got {getattr(self, name)}")

    @property
    def blocks(self) -> int:
        """Weights of all blocks that are multiplied: queries, keys, values, output, MLP."""
        attending = self.width * self.head * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attending + (3 if self.gated else 2) * self.width * self.mlp)

    @property
    def multiplied(self) -> int:
        """Weights that a token is multiplied with: the blocks, and the unembedding once. The
        embedding is a look-up."""
        return self.blocks + self.vocabulary * self.width

    @property
    def matrices(self) -> int:
        """Weights in matrices: the embedding as well where it is one of its own."""
        return self.multiplied + (0 if self.tied else self.vocabulary * self.width)

    def attending(self, context: int, causal: bool = True) -> float:
        """FLOP that attention adds to a forward pass at this context, for each token."""
        return attention(self.layers, context, self.heads * self.head, causal).low
