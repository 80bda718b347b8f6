"""Reads of weights: how far a head copies; what its OV circuit makes of a token's embedding, or of
the output of a site, such as the first MLP, for a token that is read alone; and how much of what a
head writes a later head reads.

The weights of the norms are folded in, as in TransformerLens: that before a component into what the
component reads, that after it into what it writes, and the final one into the unembedding. The
centring of a LayerNorm is left out. A head's values are x W_V, for a row x, and it writes x W_V
W_O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from jaxtyping import Float

from assay.ask.measure import heads, neighbours, next_tokens
from assay.ask.measure.tokenized import Behind, Context, PassOutput, Prompt, Ready, each
from assay.ask.tables import Read
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.architectures import gain
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.readout import ROWS, output_matrix
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

OF_DIRECTIONS = ("logit", "rank")
"""Kinds of a direction: what the unembedding makes of it for a token."""
OF_TOKENS = ("ov_cosine", "ov_rank", *OF_DIRECTIONS)
"""Kinds that differ between prompts; those of heads by what they make of an embedding."""
COMPOSITIONS = ("q_composition", "k_composition", "v_composition")
"""Kinds with a later head, `to`, by the input through which it reads what the heads write."""
OF_NEURONS = ("norm", "kurtosis", "in_out_cosine")
"""Kinds of neurons."""
WORDS = {
    **{kind: f"{kind[0].upper()}-composition" for kind in COMPOSITIONS},
    "norm": "norm of the output weights",
    "kurtosis": "kurtosis of the output weights",
    "in_out_cosine": "cosine of input and output weights",
    "copying": "how far the eigenvalues of the OV circuit are positive",
    "ov_cosine": "cosine of what the OV circuit writes with an unembedding",
    "ov_rank": "rank of a token in what the OV circuit writes",
}
RANGES = {"ov_cosine": (-1.0, 1.0), "ov_rank": (1.0, None), "rank": (1.0, None)}
"""Ranges of kinds that differ between prompts; for other numbers a range would not bound any
interval."""
Part = tuple[int, int]
"""Block and number of a head."""
AT_ONCE = 2048
"""Tokens that are read alone, in one pass."""
Matrix: TypeAlias = 'Float[torch.Tensor, "i j"]'


def weights(read: Read, prompt: Prompt, context: Context) -> Ready:
    """A number of the weights of heads, of neurons, or of a direction.

    Raises: DataError for heads or neurons that the model does not have."""
    if read.neurons:
        return _of_neurons(read, prompt, context)
    parts = _parts(read.heads, read, prompt.folder)
    later = _later(read, parts, prompt.folder) if read.weights in COMPOSITIONS else None
    texts: list[Behind] = []
    likeliest = (next_tokens.own_token(read, prompt, len(prompt.tokens) - 1),)
    if read.weights in OF_TOKENS and isinstance(read.token, str):
        filled = [prompt.row.fill(t) for t in (read.token, read.onto or read.token)]
        texts = [Behind(t, tuple(prompt.folder.tokenizer.encode(t))) for t in filled]
    tokens = [text.tokens[0] for text in texts]
    other, sizes = context.stands_in == "heads", read_sizes(prompt.folder.config)
    width = prompt.folder.width(Site.parse(read.site)) if read.site else sizes["d"]
    if width != sizes["d"]:
        raise DataError(
            f"{read.name}: heads read {sizes['d']} numbers, as the output of an MLP or the "
            f"residual stream has, and {read.site} has {width}"
        )

    def of_direction(reading: PassOutput) -> float:
        (table,) = context.directions
        site = Site("resid_post", prompt.folder.layers - 1)
        vector = context.vector(table, site, reading.seed).flatten()
        key = ("promotes", vector.cpu().numpy().tobytes())
        if key not in context.memo:  # shared by all tokens, and by seeds that learn nothing
            context.memo[key] = _logits(context.subject, vector)
        logits = context.memo[key]
        of_token = logits[tokens[0] if tokens else int(reading.numbers[likeliest[0]])]
        return float(of_token if read.weights == "logit" else 1 + (logits > of_token).sum())

    def number(reading: PassOutput) -> float:
        chosen = [
            (n, neighbours.another(h, sizes["h"], reading.seed) if other else h) for n, h in parts
        ]
        key = (read.weights, read.site, read.to, *chosen, *tokens)
        if key not in context.memo:  # shared by prompts and edits
            context.memo[key] = (
                _number(read, context, chosen, tokens)
                if later is None
                else _composition(read, context.subject, chosen, later)
            )
        return float(context.memo[key])

    distinct = [[text] for text in dict.fromkeys(texts)]
    notes = next_tokens.notes(prompt, distinct, next_tokens.FIRST) if distinct else ()
    if not read.direction:
        return Ready(each(number), notes=notes)
    between = tuple(filter(None, [likeliest[0].untouched_site]))
    return Ready(each(of_direction), () if tokens else likeliest, between, notes=notes)


def _of_neurons(read: Read, prompt: Prompt, context: Context) -> Ready:
    """The mean of a number of the weights of neurons."""
    parts = [heads.head_of(str(name)) for name in read.neurons]
    for layer, n in parts:
        heads.check_neurons(read.name, Site("mlp_post", layer), [n], prompt.folder)

    def number(reading: PassOutput) -> float:
        return sum(_of_neuron(read.weights, context, *part) for part in parts) / len(parts)

    return Ready(each(number))


def _of_neuron(kind: str, context: Context, layer: int, n: int) -> float:
    """A number of the weights of one neuron; the input weights are those of its gate, if it has
    one.

    Formula: ‖w_out‖; kurtosis Σ (w − w̄)⁴ / d / σ⁴, which is 3 of a normal distribution; or the
        cosine of w_in and w_out
    """
    if (key := ("neurons", layer)) not in context.memo:
        place, W = _stored(context.subject, layer, "mlp_pre")
        W_in = W if place.pick is None else place.pick(W, ())
        context.memo[key] = W_in.T, output_matrix(context.subject, layer).to(W).double()
    w_in, w_out = (W[n] for W in context.memo[key])
    if kind == "in_out_cosine":
        return float(torch.cosine_similarity(w_in, w_out, dim=0))
    off = w_out - w_out.mean()
    return float(w_out.norm() if kind == "norm" else (off**4).mean() / off.var(correction=0) ** 2)


def words(read: Read) -> str:
    """What the number is, in words."""
    quoted = [json.dumps(t, ensure_ascii=False) for t in (read.token, read.onto or read.token)]
    if read.direction:
        token = next_tokens.own_in_words(read) if read.token is True else quoted[0]
        return f"{read.weights} of {token} in what the unembedding makes of {read.direction}"
    tokens = f", of {quoted[0]} onto {quoted[1]}" if read.token else ""
    if read.weights in COMPOSITIONS:
        return f"{WORDS[read.weights]} of {', '.join(map(str, read.heads))} with {read.to}"
    parts = ", ".join(map(str, read.heads or read.neurons))
    text = f"{WORDS[read.weights]} of {'neurons ' if read.neurons else ''}{parts}{tokens}"
    if not read.site:
        return text
    return f"{text}, which reads {read.site} of a token alone in place of its embedding"


def check(read: Read) -> None:
    """Refuse fields that a kind of weights does not have. Raises: DataError."""
    kind = read.weights
    if bool(read.direction) != (kind in OF_DIRECTIONS) or (read.direction and read.heads):
        raise DataError(
            f"{read.name}: {' and '.join(OF_DIRECTIONS)} are of a direction, by its name, and "
            "other weights of heads"
        )
    if read.direction and (not read.token or read.onto or read.site):
        raise DataError(
            f'{read.name}: weights = "{kind}" is of one token = " {{country}}", and of no site'
        )
    if read.direction:
        return
    if bool(read.neurons) != (kind in OF_NEURONS) or (read.neurons and read.site):
        raise DataError(
            f'{read.name}: {", ".join(OF_NEURONS)} are of neurons = ["9.41"], and of no site; '
            "other weights are of heads or of a direction"
        )
    if not (read.heads or read.neurons):
        raise DataError(f'{read.name}: weights = "{kind}" is of heads = ["9.1"]')
    if (kind in COMPOSITIONS) != isinstance(read.to, str) or (read.site and kind in COMPOSITIONS):
        raise DataError(
            f"{read.name}: {', '.join(COMPOSITIONS)} are of heads and of a later head "
            'to = "17.4", without a site'
        )
    texts = isinstance(read.token, str)
    if not texts or bool(read.token) != (kind in OF_TOKENS) or (read.onto and not read.token):
        raise DataError(
            f'{read.name}: {" and ".join(OF_TOKENS[:2])} are of a token = " {{country}}", and onto '
            "another one if it is not written onto itself"
        )


def _parts(names: Sequence[str], read: Read, folder: ModelFolder) -> list[Part]:
    """The heads of these names, by block and number. Raises: DataError, ModelError."""
    pairs = list[Part]()
    for kind in ("v", "z") if read.weights not in COMPOSITIONS else ("q", "k", "v", "z"):
        pairs = heads.checked_heads(read.name, kind, map(str, names), folder)
    return pairs


def _later(read: Read, parts: Sequence[Part], folder: ModelFolder) -> Part:
    """The head that reads what others write. Raises: DataError, ModelError."""
    (later,) = _parts([str(read.to)], read, folder)
    if late := [part for part in parts if part[0] >= later[0]]:
        raise DataError(
            f"{read.name}: head {read.to} reads what heads of earlier blocks write, and "
            f"{late[0][0]}.{late[0][1]} is not in one"
        )
    return later


def _number(read: Read, context: Context, parts: list[Part], tokens: list[int]) -> float:
    model: Pretrained = context.subject
    circuits = [_circuit(model, part) for part in parts]
    if read.weights == "copying":
        table = _onto_itself(model, read.site, context.memo)
        return float(torch.stack([_copying(v, o, table) for v, o in circuits]).mean())
    start = _entering(model, read.site, tokens[:1])[0].double()
    written = torch.stack([start @ v @ o for v, o in circuits]).sum(0)
    if read.weights == "ov_cosine":
        onto = of_token(model, "unembedding", tokens[1]).double()
        return float(torch.cosine_similarity(written, onto, dim=0))
    logits = _logits(model, written)
    return float(1 + (logits > logits[tokens[1]]).sum())


def _logits(model: Pretrained, written: Float[torch.Tensor, " d"]) -> Float[torch.Tensor, " v"]:
    """The product of the final norm's weight, the unembedding and a vector of the stream."""
    rows = embeddings(model, "unembedding").weight.detach()
    if isinstance(model.final_norm, torch.nn.LayerNorm):
        written = written - written.mean()
    return rows.float() @ (written * model.gain).float()


def _stored(model: Pretrained, layer: int, kind: str) -> tuple[Any, Matrix]:
    """The place of a site, and its matrix, [in, out]."""
    place: Any = model.places[kind]
    linear: Any = model.blocks[layer].get_submodule(place.module)
    W = linear.weight.detach()
    return place, (W.T if isinstance(linear, torch.nn.Linear) else W).double()


def output_of_heads(model: Pretrained, layer: int, norm: str = "") -> Float[torch.Tensor, "h e d"]:
    """The output matrix of each head of a block, with the weight of the norm after it."""
    _, W = _stored(model, layer, "z")
    if norm in model.places:
        W = W * gain(model.blocks[layer].get_submodule(model.places[norm].module)).double()
    return W.unflatten(0, model.folder.shape(Site("z", layer)))


def _circuit(model: Pretrained, part: Part) -> tuple[Matrix, Matrix]:
    """W_V, [d, e], and W_O, [e, d], of a head; several may share values."""
    layer, head = part
    outputs = output_of_heads(model, layer, "ln1_post_scale")
    return _input(model, part, "v", len(outputs)), outputs[head]


def _input(model: Pretrained, part: Part, kind: str, count: int) -> Matrix:
    """W_Q, W_K or W_V of one of so many heads, [d, e], with the weight of the norm before it."""
    layer, head = part
    place, W = _stored(model, layer, kind)
    shape = model.folder.shape(Site(kind, layer))
    maps = W.unflatten(-1, shape) if place.pick is None else place.pick(W, shape)
    if "ln1_scale" in model.places:
        norm = model.blocks[layer].get_submodule(model.places["ln1_scale"].module)
        maps = maps * gain(norm).double()[:, None, None]
        if isinstance(norm, torch.nn.LayerNorm):
            maps = maps - maps.mean(0)
    return maps[:, head * maps.shape[1] // count]


def _composition(read: Read, model: Pretrained, parts: Sequence[Part], later: Part) -> float:
    """How much of what heads write a later head reads, the mean over these heads.

    Formula: ‖A B‖ / (‖A‖ ‖B‖), norms of all entries, of A = W_V W_O of a head and B = W_Q W_Kᵀ, or
    W_K W_Qᵀ, or W_V W_O of the later one; what rotates queries and keys by their positions is left
    out
    Source: Elhage et al., A Mathematical Framework for Transformer Circuits, 2021, on composition
    """
    count = len(output_of_heads(model, later[0]))
    if (kind := read.weights[0]) == "v":
        first, second = _circuit(model, later)
    else:
        other = {"q": "k", "k": "q"}[kind]
        first, second = (_input(model, later, k, count) for k in (kind, other))
        second = second.T
    shares = []
    for v, o in (_circuit(model, part) for part in parts):
        both = _length(v, o @ first, second)
        shares.append(both / (_length(v, o) * _length(first, second)))
    return float(torch.stack(shares).mean())


def _length(*maps: Matrix) -> torch.Tensor:
    """The norm of all entries of a product of matrices, the first tall and the last wide, without
    building the product: tr(Aᵀ A B Bᵀ) for A B."""
    tall, *middle, wide = maps
    for M in middle:
        tall = tall @ M
    return ((tall.T @ tall) * (wide @ wide.T)).sum().sqrt()


def _copying(v: Matrix, o: Matrix, table: Matrix) -> torch.Tensor:
    """How far the eigenvalues of a head's full OV circuit, from all tokens to all, are positive.

    Formula: Σ Re λ / Σ |λ|, from −1 to 1, λ of X W_V W_O W_U, which are those of W_O (W_U X) W_V, X
    the embeddings, or what enters the head in their place
    Source: Elhage et al., A Mathematical Framework for Transformer Circuits, 2021
    """
    values = torch.linalg.eigvals(o @ table @ v)
    return values.real.sum() / values.abs().sum()


def _onto_itself(model: Pretrained, site: str, memo: dict[Any, Any]) -> Matrix:
    """W_U X, the input of a head for every token times the token's unembedding, computed once."""
    if (key := ("tokens", site)) not in memo:
        U = embeddings(model, "unembedding").weight.detach()
        size = min(len(U), len(embeddings(model, "embedding").weight))
        chunks = torch.arange(size).split(AT_ONCE if site else ROWS)
        pairs = ((U[t], _entering(model, site, t.tolist())) for t in chunks)
        product = sum((u.float().T @ x).double() for u, x in pairs)
        product = model.gain.double()[:, None] * product
        layer_norm = isinstance(model.final_norm, torch.nn.LayerNorm)
        memo[key] = product - product.mean(0) if layer_norm else product
    matrix: Matrix = memo[key]
    return matrix


def _entering(model: Pretrained, site: str, tokens: list[int]) -> Float[torch.Tensor, "v d"]:
    """The input of heads for tokens: their embeddings, or the output of a site for each token as a
    text of its own, which attends only to itself and to the opening."""
    if not site:
        return embeddings(model, "embedding").weight[tokens].detach().float()
    place = Site.parse(site)
    texts = torch.tensor([[*model.folder.opening, token] for token in tokens], device=model.device)
    return model.run(texts, capture=[place], logits=False).acts[place][:, -1].float()


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
    return row if way == "embedding" else _read_by(model, row)


def mean_row(model: Pretrained, way: str) -> Float[torch.Tensor, " d"]:
    """The mean of all embeddings as they enter the first block, which some models scale, or of all
    unembeddings with the final norm's weight folded in."""
    module = embeddings(model, way)
    if way == "unembedding":
        return _read_by(model, module.weight.detach().double().mean(0).float())
    every = torch.arange(count := len(module.weight), device=module.weight.device)
    with torch.no_grad():
        sums = [module(chunk).double().sum(0) for chunk in every.split(ROWS)]
    return (torch.stack(sums).sum(0) / count).float()


def _read_by(model: Pretrained, row: Float[torch.Tensor, " d"]) -> Float[torch.Tensor, " d"]:
    """A row of the unembedding with the linear part of the final norm folded in."""
    row = row * model.gain
    return row - row.mean() if isinstance(model.final_norm, torch.nn.LayerNorm) else row
