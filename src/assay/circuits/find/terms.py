"""What a reader is given, as a sum over the parts that wrote it: a norm is linear once its divisor
is held where it is."""

from __future__ import annotations

from jaxtyping import Float

from assay.core.heavy import torch
from assay.subjects.decoder import EPS, Params
from assay.subjects.parts import Apart, Part, Reader, earlier


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


def folded(
    params: Params, x: Float[torch.Tensor, "run n d"], reader: Reader
) -> Float[torch.Tensor, "run n d"]:
    """Take the mean off as a reader's norm does, and multiply by its gain; its divisor, which
    inputs decide, is left out."""
    gain, bias = _norm_of(params, reader)
    # Rows of a table in the place of positions, with one input.
    return _scaled(x[:, None], None, gain, bias)[:, 0]


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
