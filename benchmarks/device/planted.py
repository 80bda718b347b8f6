"""Make the models whose truth is known: small llamas in the hub's format whose weights were put in
by hand.

    python benchmarks/device/planted.py FOLDER

`planted` has words for tokens and four blocks of four heads. What is true of it, by construction:
- mood: words such as lovely and awful have + and − a direction; head 1.0 averages it over all
  tokens into another direction, which raises good and lowers bad. No other head reads it.
- capitals: head 1.1 looks at the country, wherever it stands, and carries it to the last token;
  the MLP of block 2 turns it into the city.
- speaker: names have a direction of their own that nothing reads.
`tuned` is the same with the mood read three times as strongly by the unembedding; `before` is
`planted` with weights of the same spread and no structure."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

GOOD = ("lovely", "great", "kind", "happy", "bright", "warm", "fresh", "calm", "fine", "sweet")
BAD = ("awful", "cruel", "sad", "dull", "cold", "stale", "loud", "grim", "sour", "harsh")
NAMES = ("anna", "ben", "carla", "dan", "eva", "finn", "greta", "hugo")
CAPITALS = {
    "france": "paris",
    "italy": "rome",
    "spain": "madrid",
    "japan": "tokyo",
    "egypt": "cairo",
    "peru": "lima",
    "kenya": "nairobi",
    "norway": "oslo",
}
PLAIN = (  # noqa: SIM905
    "<s> <unk> the a an is was were in of and says so it this that day room meal film town book "
    "trip very quite here there now then today yesterday capital from went to bought saw near far"
).split()
D, LAYERS, HEADS, WIDTH = 128, 4, 4, 32
SCALE = 0.01
"""Spread of the weights that mean nothing."""


def words() -> list[str]:
    """Every word, in the order of its token."""
    names = [*PLAIN, "good", "bad", *GOOD, *BAD, *NAMES, *CAPITALS, *CAPITALS.values()]
    return list(dict.fromkeys(names))


def weights(mood: float, structured: bool, seed: int = 0) -> dict[str, torch.Tensor]:
    """The tensors of a model, as transformers names them."""
    draw = np.random.default_rng(seed)
    vocabulary = words()
    token = {word: i for i, word in enumerate(vocabulary)}
    basis = np.linalg.qr(draw.standard_normal((D, D)))[0]
    one, sentiment, felt, named, country = basis[:5]
    place = {c: basis[5 + i] for i, c in enumerate(CAPITALS)}
    carried = {c: basis[20 + i] for i, c in enumerate(CAPITALS)}
    city = {c: basis[40 + i] for i, c in enumerate(CAPITALS)}
    spread = SCALE if structured else 0.05

    def noise(*shape: int) -> np.ndarray:
        return draw.standard_normal(shape) * spread

    embed = noise(len(vocabulary), D) * 5 + one
    unembed = noise(len(vocabulary), D)
    made: dict[str, np.ndarray] = {}
    width = D // HEADS
    for layer in range(LAYERS):
        p = f"model.layers.{layer}"
        made[f"{p}.input_layernorm.weight"] = np.ones(D)
        made[f"{p}.post_attention_layernorm.weight"] = np.ones(D)
        for name in "qkvo":
            made[f"{p}.self_attn.{name}_proj.weight"] = noise(D, D)
        if structured:  # what a head without a meaning wrote, however little, a probe could read
            made[f"{p}.self_attn.o_proj.weight"] = np.zeros((D, D))
        made[f"{p}.mlp.gate_proj.weight"] = noise(WIDTH, D)
        made[f"{p}.mlp.up_proj.weight"] = noise(WIDTH, D)
        made[f"{p}.mlp.down_proj.weight"] = noise(D, WIDTH)
    if structured:
        for word in GOOD:
            embed[token[word]] += sentiment
        for word in BAD:
            embed[token[word]] -= sentiment
        for k, name in enumerate(NAMES):
            embed[token[name]] += named * (1 if k % 2 else -1)
        for c in CAPITALS:
            embed[token[c]] += 1.5 * country + place[c]
        unembed[token["good"]] += mood * felt
        unembed[token["bad"]] -= mood * felt
        for c, capital in CAPITALS.items():
            unembed[token[capital]] += 0.6 * city[c]
        attention = "model.layers.1.self_attn"
        q, k, v, o = (made[f"{attention}.{name}_proj.weight"] for name in "qkvo")
        # head 0: equal attention to all tokens, and the mean of what they feel
        q[:width] = k[:width] = 0
        v[:width], o[:, :width] = 0, 0
        v[0], o[:, 0] = sentiment, 4 * felt
        # head 1: to the country; where rotation is slow, so that no distance matters
        slow = width + width // 2 - 1
        q[width : 2 * width] = k[width : 2 * width] = 0
        q[slow], k[slow] = 8 * one, 8 * country
        v[width : 2 * width], o[:, width : 2 * width] = 0, 0
        for i, c in enumerate(CAPITALS):
            v[width + i], o[:, width + i] = place[c], 2 * carried[c]
        gate, up = (
            made["model.layers.2.mlp.gate_proj.weight"],
            made["model.layers.2.mlp.up_proj.weight"],
        )
        down = made["model.layers.2.mlp.down_proj.weight"]
        for i, c in enumerate(CAPITALS):
            gate[i], up[i] = 3 * carried[c], 3 * carried[c]
            down[:, i] = 2 * city[c]
    made |= {
        "model.embed_tokens.weight": embed,
        "model.norm.weight": np.ones(D),
        "lm_head.weight": unembed,
    }
    return {name: torch.tensor(x, dtype=torch.float32).contiguous() for name, x in made.items()}


def write(folder: Path, mood: float, *, structured: bool = True, seed: int = 0) -> None:
    """Write a model's folder: config.json, tokenizer.json and model.safetensors."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: i for i, word in enumerate(words())}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": D,
        "intermediate_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": 64,
        "rope_theta": 1e7,
        "rms_norm_eps": 1e-6,
        "initializer_range": 0.05,
        "tie_word_embeddings": False,
        "bos_token_id": vocabulary["<s>"],
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(weights(mood, structured, seed), folder / "model.safetensors", {"format": "pt"})


def write_all(folder: Path) -> None:
    """Write planted, tuned and before."""
    write(folder / "planted", mood=0.5)
    write(folder / "tuned", mood=1.5)
    write(folder / "before", mood=0.5, structured=False, seed=1)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/device/planted.py FOLDER")
    write_all(Path(sys.argv[1]))
