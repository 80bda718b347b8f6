"""Reads of weights: numbers that heads and neurons have whatever a model reads, and what a head's
OV circuit makes of a token's embedding.

The weights of the norms are multiplied in, as TransformerLens does it: that before a block's part
into what the part reads, that behind it into what it writes, and the last one into the
unembedding. What a LayerNorm takes away, the mean over dimensions, is left out. A head's values are
x W_V, of a row x, and it writes x W_V W_O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from jaxtyping import Float

from assay.ask.measure import heads, next_tokens
from assay.ask.measure.seen import Behind, Context, PassOutput, Prompt, Ready, each
from assay.ask.tables import Read
from assay.controls import picks
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.architectures import gain
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.readout import ROWS
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

OF_HEADS, OF_NEURONS = ("Q", "K", "V", "O", "OV", "QK"), ("in", "out")
"""The matrices of which there is a norm."""
OF_TOKENS = ("ov_cosine", "ov_rank")
"""The kinds that differ between prompts: what a head makes of a token's embedding."""
WORDS = {
    "norm": "norm of the weights ({matrix})",
    "cosine": "cosine of the input and output weights",
    "copying": "how far the eigenvalues of the OV circuit are positive",
    "composition": "composition (by {by})",
    "ov_cosine": "cosine of what the OV circuit writes with an unembedding",
    "ov_rank": "rank of a token in what the OV circuit writes",
}
RANGES = {"ov_cosine": (-1.0, 1.0), "ov_rank": (1.0, None)}
"""Of what differs between prompts; any other number has no interval that could end there."""
Part = tuple[int, int]
"""Block and number of a head or a neuron."""
Matrix: TypeAlias = 'Float[torch.Tensor, "i j"]'


def in_words(read: Read) -> str:
    """Say what number it is."""
    matrix = read.matrix or ("out" if read.neurons else "OV")
    return WORDS[read.weights].format(matrix=matrix, by=read.input or "v")


def weights(read: Read, prompt: Prompt, context: Context) -> Ready:
    """A number of weights: of named heads or neurons their mean, of two heads how far they compose.

    Raises: DataError for parts that the model does not have, or that it is not of."""
    parts = _parts(read, prompt.folder)
    texts: list[Behind] = []
    if read.weights in OF_TOKENS:
        filled = [prompt.row.fill(t) for t in (read.token, read.onto or read.token)]
        texts = [Behind(t, tuple(prompt.folder.tokenizer.encode(t))) for t in filled]
    tokens = [text.tokens[0] for text in texts]
    other = context.stands_in == "heads" and bool(read.heads)
    count = read_sizes(prompt.folder.config)["h"]

    def number(reading: PassOutput) -> float:
        some = [(n, picks.another(h, count, reading.seed) if other else h) for n, h in parts]
        key = (read.weights, read.matrix, read.input, *some, *tokens)
        if key not in context.memo:  # prompts, and edits, have it in common
            context.memo[key] = _number(read, context, some, tokens)
        return float(context.memo[key])

    distinct = [[text] for text in dict.fromkeys(texts)]
    notes = next_tokens.notes(prompt, distinct, next_tokens.FIRST) if distinct else ()
    return Ready(each(number), notes=notes)


def check(read: Read) -> None:
    """Refuse fields that a kind of weights does not have. Raises: DataError."""
    kind, neurons = read.weights, bool(read.neurons)
    if bool(read.heads) == neurons or (kind != "norm" and neurons != (kind == "cosine")):
        raise DataError(
            f'{read.name}: weights = "{kind}" is of '
            + {"norm": 'heads = ["9.1"] or neurons = ["9.41"]', "cosine": 'neurons = ["9.41"]'}.get(
                kind, 'heads = ["9.1"]'
            )
        )
    if kind == "composition" and len(read.heads) != 2:
        raise DataError(f"{read.name}: two heads compose, the earlier one first")
    if read.matrix and (kind != "norm" or read.matrix not in (OF_NEURONS if neurons else OF_HEADS)):
        raise DataError(
            f"{read.name}: matrix is of the norm of heads ({', '.join(OF_HEADS)}) or of neurons "
            f"({', '.join(OF_NEURONS)}), got {read.matrix!r} of {kind}"
        )
    if bool(read.token) != (kind in OF_TOKENS) or (read.onto and not read.token):
        raise DataError(
            f'{read.name}: {" and ".join(OF_TOKENS)} are of a token = " {{country}}", and onto '
            "another one if it is not written onto itself"
        )
    if read.input and kind != "composition":
        raise DataError(f"{read.name}: input is that of the later head of a composition")


def _parts(read: Read, folder: ModelFolder) -> list[Part]:
    """The heads or neurons of a read, by block and number. Raises: DataError, ModelError."""
    sizes, found = read_sizes(folder.config), list[Part]()
    for name in read.heads or read.neurons:
        layer, number = heads.head_of(str(name))
        if read.heads:
            for kind in ("q", "k", "v", "z"):
                folder.check(Site(kind, layer))
            heads.check(read.name, layer, [number], sizes["h"])
        elif number >= folder.width(Site("mlp_post", layer)):
            raise DataError(f"{read.name}: there is no neuron {name}")
        found.append((layer, number))
    if read.weights == "composition" and found[0][0] >= found[1][0]:
        raise DataError(
            f"{read.name}: a head reads what heads of earlier blocks wrote; {read.heads[1]} does "
            f"not come after the block of {read.heads[0]}"
        )
    return found


def _number(read: Read, context: Context, parts: list[Part], tokens: list[int]) -> float:
    model: Pretrained = context.subject
    if read.weights == "composition":
        return _composition(model, parts, read.input or "v")
    of_each: dict[str, Callable[[Part], torch.Tensor]] = {
        "norm": lambda part: _norm(model, part, read.matrix or ("out" if read.neurons else "OV")),
        "cosine": lambda part: torch.cosine_similarity(*_neuron(model, part), dim=0),
        "copying": lambda part: _copying(model, part, context.memo),
    }
    if read.weights in of_each:
        return float(torch.stack([of_each[read.weights](part) for part in parts]).mean())
    start = of_token(model, "embedding", tokens[0]).double()
    circuits = [(v, o) for _, _, v, o in (_head(model, part) for part in parts)]
    written = torch.stack([start @ v @ o for v, o in circuits]).sum(0)
    if read.weights == "ov_cosine":
        onto = of_token(model, "unembedding", tokens[1]).double()
        return float(torch.cosine_similarity(written, onto, dim=0))
    rows = embeddings(model, "unembedding").weight.detach()
    if isinstance(model.final_norm, torch.nn.LayerNorm):
        written = written - written.mean()
    logits = rows.float() @ (written * model.gain).float()
    return float(1 + (logits > logits[tokens[1]]).sum())


def _stored(model: Pretrained, layer: int, kind: str) -> tuple[Any, Matrix]:
    """Where a site is, and the matrix there, [in, out]."""
    place: Any = model.places[kind]
    linear: Any = model.blocks[layer].get_submodule(place.module)
    W = linear.weight.detach()
    return place, (W.T if isinstance(linear, torch.nn.Linear) else W).double()


def _read_by(model: Pretrained, layer: int, kind: str, norm: str) -> Float[torch.Tensor, "d ..."]:
    """What is computed of the stream at a site, with the weight of the norm before it."""
    place, W = _stored(model, layer, kind)
    shape = model.folder.shape(Site(kind, layer))
    x = W.unflatten(-1, shape) if place.pick is None else place.pick(W, shape)
    if norm not in model.places:
        return x
    before = model.blocks[layer].get_submodule(model.places[norm].module)
    x = x * gain(before).double().reshape(-1, *[1] * (x.ndim - 1))
    return x - x.mean(0) if isinstance(before, torch.nn.LayerNorm) else x


def _written_from(model: Pretrained, layer: int, kind: str, norm: str) -> Matrix:
    """What is written to the stream of each number of a site, with the weight of a norm behind."""
    W = _stored(model, layer, kind)[1]
    if norm not in model.places:
        return W
    return W * gain(model.blocks[layer].get_submodule(model.places[norm].module)).double()


def output_of_heads(model: Pretrained, layer: int, norm: str = "") -> Float[torch.Tensor, "h e d"]:
    """The output matrix of each head of a block, with the weight of a norm behind."""
    shape = model.folder.shape(Site("z", layer))
    return _written_from(model, layer, "z", norm).unflatten(0, shape)


def _head(model: Pretrained, part: Part) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """W_Q, W_K and W_V, each [d, e], and W_O, [e, d], of a head; several may share keys and
    values."""
    layer, head = part
    some = [_read_by(model, layer, kind, "ln1_scale") for kind in ("q", "k", "v")]
    count = some[0].shape[1]
    q, k, v = (x[:, head * x.shape[1] // count] for x in some)
    return q, k, v, output_of_heads(model, layer, "ln1_post_scale")[head]


def _neuron(model: Pretrained, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
    """What a neuron reads, of a gated MLP by its gate, and what it writes."""
    layer, n = part
    reads = _read_by(model, layer, "mlp_pre", "ln2_scale")[:, n]
    return reads, _written_from(model, layer, "mlp_post", "ln2_post_scale")[n]


def _norm(model: Pretrained, part: Part, matrix: str) -> torch.Tensor:
    """The length of a vector, the Frobenius norm of a matrix."""
    if matrix in OF_NEURONS:
        return _neuron(model, part)[OF_NEURONS.index(matrix)].norm()
    q, k, v, o = _head(model, part)
    single = {"Q": q, "K": k, "V": v, "O": o}
    if matrix in single:
        return single[matrix].norm()
    return (v @ o).norm() if matrix == "OV" else (q @ k.T).norm()


def _composition(model: Pretrained, parts: list[Part], by: str) -> float:
    """How much of what one head writes a later one reads.

    Formula: ‖A B‖ / (‖A‖ ‖B‖), Frobenius norms, A = W_V W_O of the earlier head, B = W_Q W_Kᵀ, W_K
    W_Qᵀ or W_V W_O of the later one
    Source: Elhage et al., A Mathematical Framework for Transformer Circuits, 2021
    """
    (_, _, v, o), (q, k, later_v, later_o) = (_head(model, part) for part in parts)
    first = v @ o
    second = {"q": lambda: q @ k.T, "k": lambda: k @ q.T, "v": lambda: later_v @ later_o}[by]()
    return float((first @ second).norm() / (first.norm() * second.norm()))


def _copying(model: Pretrained, part: Part, memo: dict[Any, Any]) -> torch.Tensor:
    """How far the eigenvalues of a head's full OV circuit, of all tokens onto all, are positive.

    Formula: Σ Re λ / Σ |λ|, from −1 to 1, λ of W_E W_V W_O W_U, which are those of W_O (W_U W_E)
    W_V
    Source: Elhage et al., A Mathematical Framework for Transformer Circuits, 2021
    """
    if "tokens" not in memo:
        E, U = (embeddings(model, way).weight.detach() for way in ("embedding", "unembedding"))
        size = min(len(E), len(U))
        pairs = zip(E[:size].split(ROWS), U[:size].split(ROWS), strict=True)
        product = sum((u.float().T @ e.float()).double() for e, u in pairs)
        product = model.gain.double()[:, None] * product
        layer_norm = isinstance(model.final_norm, torch.nn.LayerNorm)
        memo["tokens"] = product - product.mean(0) if layer_norm else product
    _, _, v, o = _head(model, part)
    values = torch.linalg.eigvals(o @ memo["tokens"] @ v)
    return values.real.sum() / values.abs().sum()


def embeddings(model: Pretrained, way: str) -> torch.nn.Embedding | torch.nn.Linear:
    """The embedding or the unembedding of a model."""
    network = model.model
    module: torch.nn.Embedding | torch.nn.Linear = (
        network.get_output_embeddings() if way == "unembedding" else network.get_input_embeddings()
    )
    return module


def of_token(model: Pretrained, way: str, token: int) -> Float[torch.Tensor, " d"]:
    """A token's embedding, or its unembedding with the final norm's weight folded in."""
    row: torch.Tensor = embeddings(model, way).weight[token].detach().float()
    if way == "embedding":
        return row
    row = row * model.gain
    return row - row.mean() if isinstance(model.final_norm, torch.nn.LayerNorm) else row
