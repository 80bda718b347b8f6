"""What a reader is given, as a sum over the parts that wrote it: a norm is linear once its divisor
is held where it is.

Direct logit attribution: the number divided among the parts that wrote to the stream, as the
final norm divided it.

Attention scores as sums over pairs of parts: whose writing asks and whose is found, exactly."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from assay.core.heavy import torch
from assay.subjects.decoder import EPS, Params, rotated
from assay_catalogue.circuits.find.question import Question
from assay_catalogue.subjects.parts import Apart, Part, Reader, Slot, earlier


def normed_terms(
    params: Params, forward_pass: Apart, reader: Reader
) -> dict[Part, Float[torch.Tensor, "run b s d"]]:
    """Give each earlier part's share of what a reader is given after its norm, at the divisor of
    this pass."""
    gain, bias = _norm_of(params, reader)
    # Of the whole stream, not of the part's share: only then do the shares add up to what the norm
    # gives.
    sigma = _divisor(_stream(params, forward_pass, reader), gain, bias)
    return {
        part: _scaled(forward_pass.wrote[part], sigma, gain, bias)
        for part in earlier(params, reader)
    }


def constant(
    params: Params, forward_pass: Apart, reader: Reader
) -> Float[torch.Tensor, "run b s d"]:
    """Give what no part wrote: biases of earlier attention through the norm, and the norm's own
    bias."""
    gain, bias = _norm_of(params, reader)
    stream = _stream(params, forward_pass, reader)
    # Biases of attention belong to no head, so that heads' shares alone would not add up to what is
    # read.
    biases = _biases(params, reader).expand_as(stream)
    out = _scaled(biases, _divisor(stream, gain, bias), gain, bias)
    return out if bias is None else out + bias[:, None, None]


def _norm_of(params: Params, reader: Reader) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Gain and bias of the norm in front of a reader, where it has one."""
    if reader.kind == "logits":
        return params.get("gain"), params.get("bias")
    names = ("gain_1", "bias_1") if reader.kind == "head" else ("gain_2", "bias_2")
    gain, bias = (params[name][:, reader.layer] if name in params else None for name in names)
    return gain, bias


def _biases(params: Params, reader: Reader) -> Float[torch.Tensor, "run 1 1 d"]:
    """The sum of the attention biases that a reader reads: those of earlier blocks, and of its own
    for an MLP."""
    runs, layers, d = params["W_QKV"].shape[:3]
    if "b_O" not in params:
        return params["W_QKV"].new_zeros(runs, 1, 1, d)
    # An MLP comes after the attention of its own block.
    upto = layers if reader.kind == "logits" else reader.layer + (reader.kind == "mlp")
    return params["b_O"][:, :upto].sum(1)[:, None, None]


def _stream(
    params: Params, forward_pass: Apart, reader: Reader
) -> Float[torch.Tensor, "run b s d"]:
    """What a reader reads before its norm."""
    return torch.stack([forward_pass.wrote[part] for part in earlier(params, reader)]).sum(
        0
    ) + _biases(params, reader)


def _divisor(
    x: torch.Tensor, gain: torch.Tensor | None, bias: torch.Tensor | None
) -> Float[torch.Tensor, "run b s 1"] | None:
    """What a norm divides by; None where there is none."""
    if gain is None:
        return None
    # A bias is how LayerNorm is told from RMSNorm, which takes no mean off.
    x = x if bias is None else x - x.mean(-1, keepdim=True)
    return (x.square().mean(-1, keepdim=True) + EPS).sqrt()


def _scaled(
    x: torch.Tensor,
    sigma: torch.Tensor | None,
    gain: torch.Tensor | None,
    bias: torch.Tensor | None,
) -> Float[torch.Tensor, "run b s d"]:
    """What a norm makes of one share of what it reads, without its bias."""
    if gain is None:
        return x
    x = x if bias is None else x - x.mean(-1, keepdim=True)
    return (x if sigma is None else x / sigma) * gain[:, None, None]


@dataclass(frozen=True, eq=False)
class Direct:
    """What each part adds to the number by itself, through no later part."""

    of: dict[Part, Float[torch.Tensor, "run b"]]
    rest: Float[torch.Tensor, "run b"]
    """What biases of attention and the final norm's own bias add."""

    @property
    def total(self) -> Float[torch.Tensor, "run b"]:
        """All of it: the number itself."""
        return torch.stack([*self.of.values(), self.rest]).sum(0)


def direct(q: Question) -> Direct:
    """Divide the number of each input among the parts; the final norm's divisor is held where it
    is.

    Formula: Σ_v w_v (c(x_p)/σ · gain) W_U, of what part p wrote, x_p; c takes the mean off where
    the norm does
    Source: Elhage et al. 2021, A Mathematical Framework for Transformer Circuits; the divisor held:
    Nanda's TransformerLens."""
    terms = normed_terms(q.params, q.clean, Reader("logits"))
    unembed = q.params["W_U"] if "W_U" in q.params else q.params["W_E"].mT
    pull = torch.einsum(
        "bsv,rdv->rbsd", q.weights.to(unembed), unembed
    )  # what one unit of each coordinate is worth
    # The number is linear in the logits, and these in the normed stream at a held divisor: one
    # vector `pull` for all parts, and no pass beyond the clean one.
    by_part = {part: torch.einsum("rbsd,rbsd->rb", x, pull) for part, x in terms.items()}
    return Direct(
        by_part, torch.einsum("rbsd,rbsd->rb", constant(q.params, q.clean, Reader("logits")), pull)
    )


Source = Part | None
"""Who wrote what a head reads; None for biases, which nobody wrote."""


@dataclass(frozen=True, eq=False)
class ScoreTerms:
    """One head's attention scores before the softmax, divided among pairs of a writer that the
    query read and one that the key read."""

    sources: tuple[Source, ...]
    values: Float[torch.Tensor, "run b source source s s"]
    """Query's source, key's source, query's position, key's position; later keys too, which the
    softmax never sees."""

    @property
    def scores(self) -> Float[torch.Tensor, "run b s s"]:
        """The scores themselves: the sum of all terms."""
        return self.values.sum((2, 3))

    @property
    def share(self) -> Float[torch.Tensor, "run source source"]:
        """How much of what tells keys apart each pair makes: covariances with the score over the
        keys that each query sees, as shares.

        Formula: Σ_q cov_k(term_qk, score_qk) / Σ_q var_k(score_qk), over keys k ≤ q; the shares add
        up to 1"""
        causal_mask = torch.ones(self.values.shape[-2:], device=self.values.device).tril()
        count = causal_mask.sum(-1, keepdim=True)
        off = (
            # The softmax does not see what all keys of a query have in common, so each query's mean
            # over its keys is taken off first.
            self.values - (self.values * causal_mask).sum(-1, keepdim=True) / count
        ) * causal_mask
        whole = off.sum((2, 3))
        return (
            torch.einsum("rbijqk,rbqk->rij", off, whole)
            / whole.square().sum((1, 2, 3))[:, None, None]
        )


def score_terms(q: Question, layer: int, head: int) -> ScoreTerms:
    """Divide one head's attention scores among pairs of sources; the norm's divisors are held where
    they are, so that terms add up exactly.

    Formula: (x_i W_Q) · (y_j W_K) / √d_head, x_i and y_j each source's share of what query and key
    read; both turned where positions are
    Source: Elhage et al. 2021, A Mathematical Framework for Transformer Circuits (the QK circuit,
    divided over virtual weights)."""
    slots: tuple[Slot, ...] = ("q", "k")
    sides = []
    for i, slot in enumerate(slots):
        reader = Reader("head", layer, head, slot)
        W = q.params["W_QKV"][:, layer, :, i, head]
        terms = normed_terms(q.params, q.clean, reader)
        side = torch.einsum(
            "nrbsd,rde->nrbse",
            torch.stack([*terms.values(), constant(q.params, q.clean, reader)]),
            W,
        )
        if "b_QKV" in q.params:
            # The last source is nobody's: biases before the norm, the norm's own, and the
            # projection's.
            side[-1] += q.params["b_QKV"][:, layer, i, head][:, None, None]
        # A rotation is linear, so a sum's terms may be turned one by one.
        sides.append(side if "W_pos" in q.params else rotated(side))
    # (Σ_i q_i) · (Σ_j k_j) is the sum over all pairs: nothing is approximated.
    values = torch.einsum("irbqe,jrbke->rbijqk", sides[0], sides[1]) / sides[0].shape[-1] ** 0.5
    return ScoreTerms((*terms, None), values)
