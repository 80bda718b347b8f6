"""Decoder-only language models with a run axis: one dict of [run, …] tensors, every block's
parameters stacked along a layer axis.

A block is attention and then an MLP, each reading a norm of the stream and adding to it; logits are
a matrix of a last norm. Which parts a decoder has, its parameters say: with `W_pos` positions are
learned and added, else queries and keys are rotated; with a final `bias` norms are LayerNorm, with
a `gain` alone RMSNorm, with neither there are none; without `W_in` blocks are attention alone; with
`W_gate` the MLP is gated; without `W_U` the unembedding is the embedding; what has no bias adds
none. Names are those of TransformerLens where it has one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from jaxtyping import Float, Int

from assay.core.errors import SpecError
from assay.core.heavy import torch

Params: TypeAlias = "Mapping[str, torch.Tensor]"
Attend: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
"""Queries, keys and values [run, row, 3, h, e] → what each row's heads read, [run, row, h, e]."""
Edit: TypeAlias = "Callable[[str, int, torch.Tensor], torch.Tensor]"
"""A hook, its block and what is there → what goes on in its place: "hook_resid_pre" of the first
block [run, row, d], "hook_z" [run, row, h, e], "hook_post" [run, row, m], and what norms divide by,
"ln1.hook_scale", "ln2.hook_scale" and "ln_final.hook_scale" [run, row, 1]."""
Activation = Literal["gelu", "gelu_new", "relu", "silu"]

MATRICES = ("W_E", "W_pos", "W_QKV", "W_O", "W_gate", "W_in", "W_out", "W_U")
"""The parameters that are no biases and no gains: those that are drawn at random, and that weight
decay is for."""
EPS, BASE = 1e-5, 10_000.0
"""What norms add to the variance or the mean square, and the base of the angles by which rotary
positions turn."""
ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = MappingProxyType(
    {
        "gelu": lambda x: torch.nn.functional.gelu(x),
        "gelu_new": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
        "relu": lambda x: torch.relu(x),
        "silu": lambda x: torch.nn.functional.silu(x),
    }
)
BLOCK = (
    "gain_1",
    "bias_1",
    "W_QKV",
    "b_QKV",
    "W_O",
    "b_O",
    "gain_2",
    "bias_2",
    "W_gate",
    "W_in",
    "b_in",
    "W_out",
    "b_out",
)
"""The parameters that every block has its own of, along the axis after runs."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a decoder, and which parts it has."""

    layers: int
    d: int
    heads: int
    m: int
    """Neurons in a block's MLP; 0 for blocks of attention alone."""
    context: int
    """Most tokens it reads."""
    vocab: int
    norm: Literal["layer", "rms", "none"] = "layer"
    positions: Literal["learned", "rotary"] = "learned"
    activation: Activation = "gelu"
    gated: bool = False
    tied: bool = False
    d_head: int | None = None
    """Width of a head, where heads do not share the stream's width."""
    answers: int | None = None
    """Logits, where they are not of the tokens that are read."""

    @property
    def biases(self) -> bool:
        """Whether attention and MLP have biases: with LayerNorm, as in GPT-2, or no norm; not with
        RMSNorm, as in Llama."""
        return self.norm != "rms"

    @property
    def e(self) -> int:
        """Width of a head."""
        return self.d_head or self.d // self.heads

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter of one run, layers first where blocks are stacked."""
        s, e = self, self.e
        block: dict[str, tuple[int, ...]] = {
            "gain_1": (s.d,),
            "bias_1": (s.d,),
            "W_QKV": (s.d, 3, s.heads, e),
            "b_QKV": (3, s.heads, e),
            "W_O": (s.heads, e, s.d),
            "b_O": (s.d,),
            "gain_2": (s.d,),
            "bias_2": (s.d,),
            "W_gate": (s.d, s.m),
            "W_in": (s.d, s.m),
            "b_in": (s.m,),
            "W_out": (s.m, s.d),
            "b_out": (s.d,),
        }
        shapes = {"W_E": (s.vocab, s.d), "W_pos": (s.context, s.d)} | {
            name: (s.layers, *shape) for name, shape in block.items()
        }
        shapes |= {"gain": (s.d,), "bias": (s.d,), "W_U": (s.d, s.answers or s.vocab)}
        # All biases, and only they, begin with b: b_QKV, b_O, b_in, b_out, bias_1, bias_2 and bias.
        absent = set() if s.biases else {name for name in shapes if name.startswith("b")}
        absent |= {
            name
            for name, is_present in (
                ("W_pos", s.positions == "learned"),
                ("W_gate", s.gated),
                ("W_U", not s.tied),
            )
            if not is_present
        }
        absent |= (
            {"gain_1", "bias_1", "gain_2", "bias_2", "gain", "bias"} if s.norm == "none" else set()
        )
        absent |= set() if s.m else {"gain_2", "bias_2", "W_gate", "W_in", "b_in", "W_out", "b_out"}
        return {name: shape for name, shape in shapes.items() if name not in absent}


def forward(
    params: Params,
    tokens: Int[torch.Tensor, "b s"] | Int[torch.Tensor, "run b s"],
    activation: Activation = "relu",
    edit: Edit | None = None,
) -> tuple[Float[torch.Tensor, "run b s v"], list[Float[torch.Tensor, "run b s d"]]]:
    """Logits at every position, and the residual stream after each block; tokens shared by all runs
    or each run's own.

    `edit` sees what enters the first block, each head's output, each neuron and the scale of each
    norm, and says what goes on.

    Raises: SpecError when the sequences are longer than learned positions reach.
    """
    runs = len(params["W_E"])
    tokens = tokens.to(params["W_E"].device).expand(runs, *tokens.shape[-2:])
    _, b, s = tokens.shape
    check_context(params, s)
    turned = "W_pos" not in params

    def attend(qkv: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            x.unflatten(1, (b, s)).transpose(2, 3).flatten(0, 1) for x in qkv.unbind(2)
        )  # [run·b, h, s, e]
        if turned:
            q, k = rotated(q), rotated(k)
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return out.unflatten(0, (runs, b)).transpose(2, 3).flatten(1, 2)

    position = torch.arange(s, device=tokens.device).expand(runs, b, s)
    x = embedded(params, tokens.flatten(1), position.flatten(1))
    logits, residuals = stream(
        params, x if edit is None else edit("hook_resid_pre", 0, x), attend, activation, edit
    )
    return logits.unflatten(1, (b, s)), [x.unflatten(1, (b, s)) for x in residuals]


def next_token_loss(
    params: Params,
    tokens: Int[torch.Tensor, "b s"] | Int[torch.Tensor, "run b s"],
    activation: Activation,
) -> Float[torch.Tensor, "run b s-1"]:
    """The cross-entropy of each next token, in nats."""
    logits, _ = forward(params, tokens, activation)
    target = tokens.to(logits.device).expand(*logits.shape[:-1])[..., 1:]
    return torch.nn.functional.cross_entropy(
        logits[..., :-1, :].flatten(0, 2), target.flatten(), reduction="none"
    ).view(target.shape)


def check_context(params: Params, length: int) -> None:
    """Refuse more tokens than learned positions reach. Raises: SpecError."""
    if "W_pos" in params and length > (context := params["W_pos"].shape[1]):
        raise SpecError(f"this transformer reads at most {context} tokens, got {length}")


def embedded(
    params: Params, token: Int[torch.Tensor, "run row"], position: Int[torch.Tensor, "run row"]
) -> Float[torch.Tensor, "run row d"]:
    """What enters the first block: each row's token, and its position where positions are
    learned."""
    x = _picked(params["W_E"], token)
    return x + _picked(params["W_pos"], position) if "W_pos" in params else x


def stream(
    params: Params,
    x: Float[torch.Tensor, "run row d"],
    attend: Attend,
    activation: Activation = "relu",
    edit: Edit | None = None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits [run, row, v] and the residual stream after each block [run, row, d], where `attend`
    says which rows read which."""
    residuals, act = [], ACTIVATIONS[activation]
    # Views of each block's parameters, made once.
    parts = {name: params[name].unbind(1) for name in BLOCK if name in params}
    for n in range(params["W_QKV"].shape[1]):
        p = {name: part[n] for name, part in parts.items()}
        read = normed(x, p.get("gain_1"), p.get("bias_1"), _bind_edit(edit, "ln1.hook_scale", n))
        qkv = _affine(read, p["W_QKV"].flatten(2), p.get("b_QKV"))
        z = attend(qkv.unflatten(-1, p["W_QKV"].shape[2:]))
        z = z if edit is None else edit("hook_z", n, z)
        # All heads in one product, added to the stream as it is made; a bmm wants one axis of rows,
        # so that windows and positions are flattened throughout.
        x = torch.baddbmm(x, z.flatten(2), p["W_O"].flatten(1, 2))
        x = x + p["b_O"][:, None] if "b_O" in p else x
        if "W_in" in p:
            read = normed(
                x, p.get("gain_2"), p.get("bias_2"), _bind_edit(edit, "ln2.hook_scale", n)
            )
            hidden = _affine(read, p["W_in"], p.get("b_in"))
            hidden = act(torch.bmm(read, p["W_gate"])) * hidden if "W_gate" in p else act(hidden)
            hidden = hidden if edit is None else edit("hook_post", n, hidden)
            x = torch.baddbmm(x, hidden, p["W_out"])
            x = x + p["b_out"][:, None] if "b_out" in p else x
        residuals.append(x)
    final = normed(
        x,
        params.get("gain"),
        params.get("bias"),
        _bind_edit(edit, "ln_final.hook_scale", len(residuals)),
    )
    return torch.bmm(final, params["W_U"] if "W_U" in params else params["W_E"].mT), residuals


def normed(
    x: Float[torch.Tensor, "run row d"],
    gain: Float[torch.Tensor, "run d"] | None,
    bias: Float[torch.Tensor, "run d"] | None,
    scale: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Float[torch.Tensor, "run row d"]:
    """LayerNorm with each run's own gain and bias; without a bias RMSNorm, without a gain x itself.
    `scale` may change what it divides by.

    Formula: (x − mean)/√(variance + 1e-5) · gain + bias; x/√(mean of squares + 1e-5) · gain; x
    """
    if gain is None:
        return x
    # Written out only where an edit changes the divisor: the fused kernels below do not show it.
    if scale is not None:
        x = x if bias is None else x - x.mean(-1, keepdim=True)
        x = x / scale((x.square().mean(-1, keepdim=True) + EPS).sqrt())
        return x * gain[:, None] if bias is None else torch.addcmul(bias[:, None], x, gain[:, None])
    if bias is None:
        return torch.nn.functional.rms_norm(x, x.shape[-1:], eps=EPS) * gain[:, None]
    return torch.addcmul(
        bias[:, None], torch.nn.functional.layer_norm(x, x.shape[-1:], eps=EPS), gain[:, None]
    )


def rotated(x: Float[torch.Tensor, "... s e"]) -> Float[torch.Tensor, "... s e"]:
    """Queries or keys, turned by their positions: coordinate i together with i + e/2, by position ·
    10000^(−2i/e).

    Source: Su et al. 2021, RoFormer; the order of coordinates is that of Llama in transformers.
    """
    half = x.shape[-1] // 2
    speed = BASE ** (-torch.arange(half, device=x.device) / half)
    angle = torch.arange(x.shape[-2], device=x.device)[:, None] * speed
    # Halves, not neighbours, are turned together, as in Llama; other models interleave them.
    cos, sin, a, b = angle.cos(), angle.sin(), x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def _bind_edit(
    edit: Edit | None, hook: str, block: int
) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """What an edit makes of one hook of one block."""
    return None if edit is None else lambda x: edit(hook, block, x)


def _affine(x: torch.Tensor, W: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Each run's own product, with its bias where there is one."""
    return torch.bmm(x, W) if bias is None else torch.baddbmm(bias.flatten(1)[:, None], x, W)


def _picked(
    table: Float[torch.Tensor, "run n d"], index: Int[torch.Tensor, "run row"]
) -> Float[torch.Tensor, "run row d"]:
    """Each run's own rows of its own table."""
    # Tables of all runs one below another, so that one embedding picks for every run.
    offset = torch.arange(len(table), device=index.device)[:, None] * table.shape[1]
    return torch.nn.functional.embedding(index + offset, table.flatten(0, 1))


Family = Literal["gpt2", "llama"]

GPT2: Mapping[str, str] = {
    "W_E": "transformer.wte.weight",
    "W_pos": "transformer.wpe.weight",
    "gain_1": "transformer.h.{}.ln_1.weight",
    "bias_1": "transformer.h.{}.ln_1.bias",
    "W_QKV": "transformer.h.{}.attn.c_attn.weight",
    "b_QKV": "transformer.h.{}.attn.c_attn.bias",
    "W_O": "transformer.h.{}.attn.c_proj.weight",
    "b_O": "transformer.h.{}.attn.c_proj.bias",
    "gain_2": "transformer.h.{}.ln_2.weight",
    "bias_2": "transformer.h.{}.ln_2.bias",
    "W_gate": "transformer.h.{}.mlp.c_gate.weight",
    "W_in": "transformer.h.{}.mlp.c_fc.weight",
    "b_in": "transformer.h.{}.mlp.c_fc.bias",
    "W_out": "transformer.h.{}.mlp.c_proj.weight",
    "b_out": "transformer.h.{}.mlp.c_proj.bias",
    "gain": "transformer.ln_f.weight",
    "bias": "transformer.ln_f.bias",
    "W_U": "lm_head.weight",
}
"""Our names → GPT-2's, {} for the block. GPT-2 has no gate; ours is here because parameters are
drawn by these names."""
LLAMA: Mapping[str, str] = {
    "W_E": "model.embed_tokens.weight",
    "gain_1": "model.layers.{}.input_layernorm.weight",
    "W_O": "model.layers.{}.self_attn.o_proj.weight",
    "gain_2": "model.layers.{}.post_attention_layernorm.weight",
    "W_gate": "model.layers.{}.mlp.gate_proj.weight",
    "W_in": "model.layers.{}.mlp.up_proj.weight",
    "W_out": "model.layers.{}.mlp.down_proj.weight",
    "gain": "model.norm.weight",
    "W_U": "lm_head.weight",
}
_QKV = "model.layers.{}.self_attn.{}_proj.weight"


def family(shape: Shape) -> Family:
    """Find whose configuration expresses a decoder. Raises: SpecError where none that Assay reads
    does."""
    parts = (shape.norm, shape.positions, shape.gated)
    if shape.d_head or shape.answers or not shape.m:
        raise SpecError(
            "no model folder can hold a decoder whose heads do not share the width of the stream, "
            "whose logits are not of its tokens, or that "
            f"has no MLP, got d_head={shape.d_head}, answers={shape.answers} and m={shape.m}"
        )
    if parts == ("layer", "learned", False):
        return "gpt2"
    if parts == ("rms", "rotary", True):
        return "llama"
    description = (
        f"norm={shape.norm}, positions={shape.positions}, gated={str(shape.gated).lower()}"
    )
    raise SpecError(
        f"no model folder can hold a decoder with {description}: GPT-2's has layer, learned and no "
        "gate, Llama's rms, rotary and a gated MLP"
    )


def config(shape: Shape) -> Any:
    """The transformers configuration of a decoder. Raises: SpecError where none expresses it."""
    import transformers

    s, no_ends = shape, dict[str, Any](bos_token_id=None, eos_token_id=None)
    if family(s) == "gpt2":
        return transformers.GPT2Config(
            vocab_size=s.vocab,
            n_positions=s.context,
            n_embd=s.d,
            n_layer=s.layers,
            n_head=s.heads,
            n_inner=s.m,
            activation_function=s.activation,
            tie_word_embeddings=s.tied,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **no_ends,
        )
    return transformers.LlamaConfig(
        vocab_size=s.vocab,
        max_position_embeddings=s.context,
        hidden_size=s.d,
        num_hidden_layers=s.layers,
        num_attention_heads=s.heads,
        num_key_value_heads=s.heads,
        intermediate_size=s.m,
        hidden_act=s.activation,
        rms_norm_eps=EPS,
        tie_word_embeddings=s.tied,
        pad_token_id=None,
        **no_ends,
    )


def stored(params: Params, shape: Shape, run: int = 0) -> dict[str, torch.Tensor]:
    """One run's weights under the names, and in the layouts, of GPT-2 or Llama. Raises: SpecError
    where neither expresses them."""
    run_params = {
        name: value[run].detach().cpu().float()
        for name, value in params.items()
        if name in shape.parameters()
    }
    names = GPT2 if family(shape) == "gpt2" else LLAMA
    out: dict[str, torch.Tensor] = {}
    for name, value in run_params.items():
        for layer, weight in enumerate(value) if "{}" in GPT2[name] else [(0, value)]:
            if names is LLAMA and name == "W_QKV":
                out |= {
                    _QKV.format(layer, part): weight[:, i].flatten(1).T
                    for i, part in enumerate("qkv")
                }
            else:
                out[names[name].format(layer)] = _laid_out(
                    name, weight, outputs_first=names is LLAMA
                )
    return {name: value.contiguous() for name, value in out.items()}


def _laid_out(name: str, weight: torch.Tensor, *, outputs_first: bool) -> torch.Tensor:
    """One parameter of a block as it is stored: GPT-2 keeps matrices of blocks input first, and
    only the unembedding output first."""
    if name in ("W_QKV", "b_QKV"):
        weight = weight.flatten(1) if name == "W_QKV" else weight.flatten()
    elif name == "W_O":
        weight = weight.flatten(0, 1)
    turned = name == "W_U" or (outputs_first and name in ("W_O", "W_gate", "W_in", "W_out"))
    return weight.T if turned else weight


def write(
    folder: Path,
    params: Params,
    shape: Shape,
    tokenizer: Path,
    about: Mapping[str, Any],
    run: int = 0,
) -> None:
    """Write one run as a model folder: config, weights, tokenizer, and what is said about it in
    assay.json.

    Raises: SpecError where no configuration expresses the decoder.
    """
    write_folder(folder, config(shape), stored(params, shape, run), tokenizer, about)


def write_folder(
    folder: Path,
    config: Any,
    weights: Mapping[str, torch.Tensor],
    tokenizer: Path,
    about: Mapping[str, Any],
) -> None:
    """Write a model folder in transformers' format: configuration, weights, tokenizer, and what is
    said about it in assay.json."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(weights), folder / "model.safetensors", {"format": "pt"})
    config.save_pretrained(folder)
    shutil.copy(tokenizer, folder / "tokenizer.json")
    (folder / "assay.json").write_text(json.dumps(about))
