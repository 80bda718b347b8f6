"""A decoder taken apart: what each of its parts writes to the stream, and what each reads of every
earlier one.

The stream before any part is the sum of what earlier parts wrote, so a part can be given something
else in place of what one other part wrote: an edge can be cut while both its ends go on. Runs come
first in every shape, as in `decoder`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from jaxtyping import Float, Int

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.decoder import (
    ACTIVATIONS,
    BLOCK,
    Activation,
    Params,
    check_context,
    normed,
    rotated,
)

Written: TypeAlias = (
    'Callable[[Float[torch.Tensor, "run b s d"]], Float[torch.Tensor, "run b s d"]]'
)
"""What a part writes in place of what it would have written."""
Neurons: TypeAlias = (
    'Callable[[Float[torch.Tensor, "run b s m"]], Float[torch.Tensor, "run b s m"]]'
)
"""The neurons of one MLP after their non-linearity, in place of what they would have been."""
Slot = Literal["q", "k", "v"]
SLOTS: tuple[Slot, ...] = ("q", "k", "v")


@dataclass(frozen=True, order=True)
class Part:
    """What writes to the stream: `embed`, `pos`, head 1 of block 0 as `a0.1`, the MLP of block 0 as
    `m0`. `str()` and `parse` are inverse."""

    kind: Literal["embed", "pos", "head", "mlp"]
    layer: int = -1
    head: int = -1

    def __str__(self) -> str:
        return {"head": f"a{self.layer}.{self.head}", "mlp": f"m{self.layer}"}.get(
            self.kind, self.kind
        )

    @classmethod
    def parse(cls, text: str) -> Part:
        """The part that a name stands for. Raises: ModelError."""
        if text in ("embed", "pos"):
            return cls("embed" if text == "embed" else "pos")
        if match := re.fullmatch(r"a(\d+)\.(\d+)", text):
            return cls("head", int(match[1]), int(match[2]))
        if match := re.fullmatch(r"m(\d+)", text):
            return cls("mlp", int(match[1]))
        raise ModelError(
            f"no part {text!r}; parts are embed, pos, heads such as a0.1 (block 0, head 1) "
            "and MLPs such as m0"
        )


@dataclass(frozen=True, order=True)
class Reader:
    """What reads the stream: queries, keys or values of a head as `a1.0.q`, an MLP as `m1`, the
    `logits`. `str()` and `parse` are inverse."""

    kind: Literal["head", "mlp", "logits"]
    layer: int = -1
    head: int = -1
    slot: Slot | None = None

    def __str__(self) -> str:
        return {"head": f"a{self.layer}.{self.head}.{self.slot}", "mlp": f"m{self.layer}"}.get(
            self.kind, self.kind
        )

    @classmethod
    def parse(cls, text: str) -> Reader:
        """The reader that a name stands for. Raises: ModelError."""
        if text == "logits":
            return cls("logits")
        if match := re.fullmatch(r"a(\d+)\.(\d+)\.([qkv])", text):
            return cls("head", int(match[1]), int(match[2]), SLOTS["qkv".index(match[3])])
        if match := re.fullmatch(r"m(\d+)", text):
            return cls("mlp", int(match[1]))
        raise ModelError(
            f"no reader {text!r}; readers are a0.1.q, a0.1.k and a0.1.v of a head, an MLP "
            "such as m0, and logits"
        )

    @property
    def of(self) -> Part | None:
        """The part that reads here; none for the logits."""
        return None if self.kind == "logits" else Part(self.kind, self.layer, self.head)


Edge = tuple[Part, Reader]


@dataclass(frozen=True, eq=False)
class Apart:
    """One pass of a decoder, part by part."""

    logits: Float[torch.Tensor, "run b s v"]
    wrote: dict[Part, Float[torch.Tensor, "run b s d"]]
    """What each part added to the stream. Biases of attention belong to no head: all later readers
    read them. An MLP's is its own."""
    patterns: list[Float[torch.Tensor, "run b h s s"]]
    """Of each block, how each position (last but one) spreads its attention over positions
    (last)."""
    neurons: list[Float[torch.Tensor, "run b s m"]]
    """Of each block that has an MLP, its neurons after their non-linearity."""
    stream: dict[tuple[str, int], Float[torch.Tensor, "run b s d"]]
    """The stream as it stood before the heads of a block, ("head", layer), before its MLP, ("mlp",
    layer), and at the end, ("logits", -1)."""


def parts(params: Params) -> tuple[Part, ...]:
    """Every part of a decoder that writes, in the order of a forward pass."""
    _, layers, _, _, heads, _ = params["W_QKV"].shape
    return _parts(layers, heads, "W_pos" in params, "W_in" in params)


@cache  # asked for tens of thousands of times, of few shapes
def _parts(layers: int, heads: int, placed: bool, neurons: bool) -> tuple[Part, ...]:
    all_parts = [Part("embed"), *([Part("pos")] if placed else [])]
    for layer in range(layers):
        all_parts += [Part("head", layer, h) for h in range(heads)]
        all_parts += [Part("mlp", layer)] if neurons else []
    return tuple(all_parts)


def readers(params: Params) -> tuple[Reader, ...]:
    """Every reader of a decoder, in the order of a forward pass."""
    all_readers: list[Reader] = []
    for part in parts(params):
        if part.kind == "head":
            all_readers += [Reader("head", part.layer, part.head, slot) for slot in SLOTS]
        elif part.kind == "mlp":
            all_readers.append(Reader("mlp", part.layer))
    return (*all_readers, Reader("logits"))


def earlier(params: Params, reader: Reader) -> tuple[Part, ...]:
    """The parts whose writing a reader reads: those of earlier blocks, and for an MLP the heads of
    its own."""
    return _earlier(parts(params), reader)


@cache
def _earlier(all_parts: tuple[Part, ...], reader: Reader) -> tuple[Part, ...]:
    layer, its_heads_too = reader.layer, reader.kind == "mlp"
    if reader.kind == "logits":
        return all_parts
    return tuple(
        p
        for p in all_parts
        if p.layer < layer or (its_heads_too and p.kind == "head" and p.layer == layer)
    )


def edges(params: Params) -> tuple[Edge, ...]:
    """Every pair of a part and a later reader."""
    # By reader, in the order of a pass: `circuits.find` breaks ties and prunes by this order.
    return tuple((part, reader) for reader in readers(params) for part in earlier(params, reader))


def run_by_parts(
    params: Params,
    tokens: Int[torch.Tensor, "b s"] | Int[torch.Tensor, "run b s"],
    activation: Activation = "relu",
    *,
    written: Mapping[Part, Written] | None = None,
    neurons: Mapping[int, Neurons] | None = None,
    read: Mapping[Edge, Float[torch.Tensor, "run b s d"] | Written] | None = None,
) -> Apart:
    """Run a decoder part by part, with what some parts write replaced for all who read it, or for
    one reader alone.

    `read` gives what a reader is shown in place of what a part wrote, as numbers or made of what
    the part wrote in this very pass; all others go on reading the part itself.
    Raises: ModelError for a part or an edge that the decoder does not have; SpecError for sequences
    that are too long."""
    written, neurons, read = written or {}, neurons or {}, read or {}
    _check(params, written, neurons, read)
    runs = len(params["W_E"])
    tokens = tokens.to(params["W_E"].device).expand(runs, *tokens.shape[-2:])
    check_context(params, tokens.shape[-1])
    wrote: dict[Part, torch.Tensor] = {}
    x = torch.zeros(())

    def write(part: Part, out: torch.Tensor) -> None:
        nonlocal x
        wrote[part] = written[part](out) if part in written else out
        x = x + wrote[part]

    def read_stream(reader: Reader) -> torch.Tensor:
        """The stream as one reader sees it."""
        return view_stream(x, reader, read, wrote)

    for part, embedding in entered(params, tokens).items():
        write(part, embedding)
    patterns, fired = [], []
    stream: dict[tuple[str, int], torch.Tensor] = {}
    for layer in range(params["W_QKV"].shape[1]):
        stream["head", layer] = x
        out, pattern = heads(params, layer, x, read_stream, {who for _, who in read})
        patterns.append(pattern)
        # Of no head: added to the stream alone, so that cutting heads never takes it away.
        if "b_O" in params:
            x = x + params["b_O"][:, layer, None, None]
        for head, head_out in enumerate(out):
            write(Part("head", layer, head), head_out)
        if "W_in" not in params:
            continue
        stream["mlp", layer] = x
        hidden, out_mlp = mlp(
            params, layer, read_stream(Reader("mlp", layer)), activation, neurons.get(layer)
        )
        fired.append(hidden)
        write(Part("mlp", layer), out_mlp)
    stream["logits", -1] = x
    return Apart(logits(params, read_stream(Reader("logits"))), wrote, patterns, fired, stream)


def entered(
    params: Params, tokens: Int[torch.Tensor, "run b s"]
) -> dict[Part, Float[torch.Tensor, "run b s d"]]:
    """Give what tokens write to the stream, and positions where they are learned."""
    run = torch.arange(len(tokens), device=tokens.device)[:, None, None]
    writes = {Part("embed"): params["W_E"][run, tokens]}
    if "W_pos" in params:
        writes[Part("pos")] = params["W_pos"][:, None, : tokens.shape[-1]].expand(*tokens.shape, -1)
    return writes


def view_stream(
    x: Float[torch.Tensor, "run b s d"],
    reader: Reader,
    read: Mapping[Edge, Float[torch.Tensor, "run b s d"] | Written],
    wrote: Mapping[Part, Float[torch.Tensor, "run b s d"]],
) -> Float[torch.Tensor, "run b s d"]:
    """Give the stream x as one reader sees it: with what it reads in place of what some parts
    wrote."""
    changes = [
        # As differences: the stream itself is there already, and only what changes is added up.
        (new(wrote[part]) if callable(new) else new) - wrote[part]
        for (part, who), new in read.items()
        if who == reader
    ]
    return x + torch.stack(changes).sum(0) if changes else x


def heads(
    params: Params,
    layer: int,
    x: Float[torch.Tensor, "run b s d"],
    read_stream: Callable[[Reader], torch.Tensor],
    changed_readers: Set[Reader],
) -> tuple[tuple[Float[torch.Tensor, "run b s d"], ...], Float[torch.Tensor, "run b h s s"]]:
    """Give what each head of a block writes from the stream x, and its pattern; slots in
    `changed_readers` read what `read_stream` gives them."""
    p = {name: params[name][:, layer] for name in BLOCK if name in params}
    z, pattern = _attention(p, layer, x, read_stream, changed_readers, turned="W_pos" not in params)
    return torch.einsum("rbshe,rhed->rbhsd", z, p["W_O"]).unbind(2), pattern


def mlp(
    params: Params,
    layer: int,
    x: Float[torch.Tensor, "run b s d"],
    activation: Activation = "relu",
    changed: Neurons | None = None,
) -> tuple[Float[torch.Tensor, "run b s m"], Float[torch.Tensor, "run b s d"]]:
    """Give the neurons of a block's MLP that reads the stream x, and what it writes."""
    p, act = (
        {name: params[name][:, layer] for name in BLOCK if name in params},
        ACTIVATIONS[activation],
    )
    read = _norm(x, p.get("gain_2"), p.get("bias_2"))
    hidden = torch.einsum("rbsd,rdm->rbsm", read, p["W_in"])
    hidden = hidden + p["b_in"][:, None, None] if "b_in" in p else hidden
    hidden = (
        act(torch.einsum("rbsd,rdm->rbsm", read, p["W_gate"])) * hidden
        if "W_gate" in p
        else act(hidden)
    )
    hidden = changed(hidden) if changed else hidden
    out = torch.einsum("rbsm,rmd->rbsd", hidden, p["W_out"])
    return hidden, out + p["b_out"][:, None, None] if "b_out" in p else out


def logits(params: Params, x: Float[torch.Tensor, "run b s d"]) -> Float[torch.Tensor, "run b s v"]:
    """Give the logits of the stream x."""
    final = _norm(x, params.get("gain"), params.get("bias"))
    return torch.einsum(
        "rbsd,rdv->rbsv", final, params["W_U"] if "W_U" in params else params["W_E"].mT
    )


def _attention(
    p: Mapping[str, torch.Tensor],
    layer: int,
    x: torch.Tensor,
    read_stream: Callable[[Reader], torch.Tensor],
    changed_readers: Set[Reader],
    *,
    turned: bool,
) -> tuple[Float[torch.Tensor, "run b s h e"], Float[torch.Tensor, "run b h s s"]]:
    """What each head of a block read of its values, and its pattern; slots that are shown something
    else are projected by themselves."""
    qkv = _projected(_norm(x, p.get("gain_1"), p.get("bias_1")), p["W_QKV"])
    for i, slot in enumerate(SLOTS):
        for head in range(qkv.shape[-2]):
            # Only these slots read another stream; all others are projected in one product above.
            if (reader := Reader("head", layer, head, slot)) in changed_readers:
                read = _norm(read_stream(reader), p.get("gain_1"), p.get("bias_1"))
                qkv[:, :, :, i, head] = torch.einsum(
                    "rbsd,rde->rbse", read, p["W_QKV"][:, :, i, head]
                )
    if "b_QKV" in p:
        qkv = qkv + p["b_QKV"][:, None, None]
    q, k, v = (slot_values.transpose(2, 3) for slot_values in qkv.unbind(3))  # [run, b, h, s, e]
    if turned:
        q, k = rotated(q), rotated(k)
    score = q @ k.mT / q.shape[-1] ** 0.5
    later = torch.ones(score.shape[-2:], dtype=torch.bool, device=score.device).triu(1)
    pattern = score.masked_fill(later, -torch.inf).softmax(-1)
    return (pattern @ v).transpose(2, 3), pattern


def _projected(
    x: Float[torch.Tensor, "run b s d"], W: Float[torch.Tensor, "run d 3 h e"]
) -> Float[torch.Tensor, "run b s 3 h e"]:
    return torch.einsum("rbsd,rdche->rbsche", x, W)


def _norm(
    x: Float[torch.Tensor, "run b s d"], gain: torch.Tensor | None, bias: torch.Tensor | None
) -> Float[torch.Tensor, "run b s d"]:
    return normed(x.flatten(1, 2), gain, bias).unflatten(1, x.shape[1:3])


def _check(
    params: Params,
    written: Mapping[Part, object],
    neurons: Mapping[int, object],
    read: Mapping[Edge, object],
) -> None:
    """Refuse parts and edges that are not there. Raises: ModelError."""
    all_parts = parts(params)
    if absent := [
        str(p) for p in [*written, *(Part("mlp", layer) for layer in neurons)] if p not in all_parts
    ]:
        raise ModelError(
            f"this decoder has no part {', '.join(absent)}; it has {', '.join(map(str, all_parts))}"
        )
    known = readers(params)
    for part, reader in read:
        if reader not in known:
            raise ModelError(
                f"this decoder has no reader {reader}; it has {', '.join(map(str, known))}"
            )
        if part not in earlier(params, reader):
            raise ModelError(
                f"{reader} does not read {part}; it reads "
                f"{', '.join(map(str, earlier(params, reader)))}"
            )
