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
`planted` with weights of the same spread and no structure.

`relay` has other words and four blocks of four heads as well. What is true of it, by construction:
- letters: twenty consonants. Head 0.1 looks one token back and writes which letter stood there;
  head 1.0 looks from a letter to where the letter before was the same, and writes what stands
  there. So it continues a list that is repeated. No other head does.
- opposites: twelve pairs of adjectives. Heads 1.1 and 1.2 are alike: each carries the adjective to
  the last token. The MLP of block 2 turns it into its opposite, with one of them as with both. What
  they carry also raises the adjective itself; head 3.1 takes that away again.
- numbers: 1 to 30 lie along one direction by their size. Head 1.3 averages it over all tokens into
  another direction, which raises many and lowers few. Which of several numbers came first is lost.
- tense: words such as yesterday and tomorrow have + and − a direction; head 2.0 averages it into
  another direction, which nothing reads.
`relay-0` has no structure, and `relay-1` lacks head 1.0's copying. `relay-latents` is a dictionary
of the stream before block 3: latent 0 is size as head 1.3 writes it and 1 its opposite, 2 and 3
are past and future as head 2.0 writes them, others are single letters and adjectives."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

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
OPPOSITES = {
    "hot": "cold",
    "big": "small",
    "wet": "dry",
    "fast": "slow",
    "old": "young",
    "rich": "poor",
    "hard": "soft",
    "tall": "short",
    "loud": "quiet",
    "full": "empty",
    "light": "dark",
    "near": "far",
}
LETTERS = tuple("bcdfghjklmnpqrstvwxz")
NUMBERS = tuple(str(n) for n in range(1, 31))
PAST = (  # noqa: SIM905
    "yesterday earlier formerly once before ago previously lately already recently"
).split()
FUTURE = (  # noqa: SIM905
    "tomorrow later soon next shortly eventually someday afterwards presently henceforth"
).split()
RELAY_PLAIN = (  # noqa: SIM905
    "<s> <unk> . , the a of is was are were it so and in we they there here at to with not but "
    "opposite word says means than bought saw kept counted coins boats birds stones pears books "
    "lamps keys shirts plates house market harbor garden"
).split()
D, LAYERS, HEADS, WIDTH = 128, 4, 4, 32
SLOW = D // HEADS // 2 - 1
"""A head's row that rotation turns so slowly that no distance matters."""
THETA = 1e7
"""The base of the angles by which positions rotate queries and keys."""
RELAY_SEED = 2
"""What relay's directions are drawn with, which its dictionary shares."""
SCALE = 0.01
"""Spread of the weights that mean nothing."""


class Blank:
    """The tensors of a model in which nothing has a meaning yet, and where one is put in."""

    def __init__(self, words: list[str], structured: bool, seed: int) -> None:
        draw = np.random.default_rng(seed)
        spread = SCALE if structured else 0.05

        def noise(*shape: int) -> np.ndarray:
            return draw.standard_normal(shape) * spread

        self.token = {word: i for i, word in enumerate(words)}
        self.basis = np.linalg.qr(draw.standard_normal((D, D)))[0]
        self.shared = self.basis[0]
        self.embed = noise(len(words), D) * 5 + self.shared
        self.unembed = noise(len(words), D)
        self.made: dict[str, np.ndarray] = {}
        for layer in range(LAYERS):
            p = f"model.layers.{layer}"
            self.made[f"{p}.input_layernorm.weight"] = np.ones(D)
            self.made[f"{p}.post_attention_layernorm.weight"] = np.ones(D)
            for name in "qkvo":
                self.made[f"{p}.self_attn.{name}_proj.weight"] = noise(D, D)
            if structured:  # what such a head wrote, however little, a probe could read
                self.made[f"{p}.self_attn.o_proj.weight"] = np.zeros((D, D))
            self.made[f"{p}.mlp.gate_proj.weight"] = noise(WIDTH, D)
            self.made[f"{p}.mlp.up_proj.weight"] = noise(WIDTH, D)
            self.made[f"{p}.mlp.down_proj.weight"] = noise(D, WIDTH)

    def head(self, layer: int, head: int) -> list[np.ndarray]:
        """Empty a head and give the rows of q, k, v and the columns of o that are its own."""
        part = slice(head * D // HEADS, (head + 1) * D // HEADS)
        own = [self.made[f"model.layers.{layer}.self_attn.{n}_proj.weight"] for n in "qkvo"]
        views = [*(x[part] for x in own[:3]), own[3][:, part]]
        for view in views:
            view[:] = 0
        return views

    def average(self, layer: int, head: int, read: np.ndarray, write: np.ndarray) -> None:
        """Make a head pay equal attention to all tokens and write the mean of what it reads."""
        _, _, v, o = self.head(layer, head)
        v[0], o[:, 0] = read, write

    def look(
        self, layer: int, head: int, at: np.ndarray, read: list[np.ndarray], write: list[np.ndarray]
    ) -> None:
        """Make a head look at the tokens that have a direction, wherever they stand, and carry."""
        q, k, v, o = self.head(layer, head)
        q[SLOW], k[SLOW] = 8 * self.shared, 8 * at
        for i, (this, that) in enumerate(zip(read, write, strict=True)):
            v[i], o[:, i] = this, that

    def translate(
        self, layer: int, read: list[np.ndarray], write: list[np.ndarray], size: float
    ) -> None:
        """Make each neuron of an MLP read one direction and write another."""
        p = f"model.layers.{layer}.mlp"
        for i, (this, that) in enumerate(zip(read, write, strict=True)):
            self.made[f"{p}.gate_proj.weight"][i] = self.made[f"{p}.up_proj.weight"][i] = 3 * this
            self.made[f"{p}.down_proj.weight"][:, i] = size * that

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors, as transformers names them."""
        made = self.made | {
            "model.embed_tokens.weight": self.embed,
            "model.norm.weight": np.ones(D),
            "lm_head.weight": self.unembed,
        }
        return {n: torch.tensor(x, dtype=torch.float32).contiguous() for n, x in made.items()}


def words() -> list[str]:
    """Every word of planted, in the order of its token."""
    names = [*PLAIN, "good", "bad", *GOOD, *BAD, *NAMES, *CAPITALS, *CAPITALS.values()]
    return list(dict.fromkeys(names))


def weights(mood: float, structured: bool, seed: int = 0) -> dict[str, torch.Tensor]:
    """The tensors of planted and of what became of it."""
    model = Blank(words(), structured, seed)
    if not structured:
        return model.tensors()
    embed, unembed, token = model.embed, model.unembed, model.token
    sentiment, felt, named, country = model.basis[1:5]
    place, carried, city = (
        [model.basis[start + i] for i in range(len(CAPITALS))] for start in (5, 20, 40)
    )
    for word in GOOD:
        embed[token[word]] += sentiment
    for word in BAD:
        embed[token[word]] -= sentiment
    for k, name in enumerate(NAMES):
        embed[token[name]] += named * (1 if k % 2 else -1)
    for i, c in enumerate(CAPITALS):
        embed[token[c]] += 1.5 * country + place[i]
    unembed[token["good"]] += mood * felt
    unembed[token["bad"]] -= mood * felt
    for i, capital in enumerate(CAPITALS.values()):
        unembed[token[capital]] += 0.6 * city[i]
    model.average(1, 0, sentiment, 4 * felt)
    model.look(1, 1, country, place, [2 * x for x in carried])
    model.translate(2, carried, city, 2)
    return model.tensors()


def adjectives() -> list[str]:
    """The adjectives of relay, each beside its opposite."""
    return [word for pair in OPPOSITES.items() for word in pair]


def relay_words() -> list[str]:
    """Every word of relay, in the order of its token."""
    names = [*RELAY_PLAIN, "many", "few", *NUMBERS, *LETTERS]
    names += [*adjectives(), *PAST, *FUTURE, *NAMES]
    return list(dict.fromkeys(names))


def relay_directions(model: Blank) -> dict[str, Any]:
    """What each direction of relay's stream stands for."""
    rest = iter(model.basis[1:])
    single = {name: next(rest) for name in ("size", "felt", "when", "moved", "quality")}
    many = {
        name: [next(rest) for _ in range(count)]
        for name, count in (
            ("letter", len(LETTERS)),
            ("before", len(LETTERS)),
            ("next", len(LETTERS)),
            ("word", 2 * len(OPPOSITES)),
            ("carried", 2 * len(OPPOSITES)),
        )
    }
    return {**single, **many}


def relay_weights(
    *, copying: bool = True, structured: bool = True, seed: int = RELAY_SEED
) -> dict[str, torch.Tensor]:
    """The tensors of relay and of its other states."""
    model = Blank(relay_words(), structured, seed)
    if not structured:
        return model.tensors()
    embed, unembed, token = model.embed, model.unembed, model.token
    along = relay_directions(model)
    for i, letter in enumerate(LETTERS):
        embed[token[letter]] += along["letter"][i]
        unembed[token[letter]] += 1.2 * along["next"][i]
    for i, word in enumerate(adjectives()):
        embed[token[word]] += 1.5 * along["quality"] + along["word"][i]
        unembed[token[word]] += along["word"][i] + 0.9 * along["carried"][i]
    middle = (len(NUMBERS) - 1) / 2
    for i, number in enumerate(NUMBERS):
        embed[token[number]] += 0.8 * (i - middle) / middle * along["size"]
    for sign, group in ((1, PAST), (-1, FUTURE)):
        for word in group:
            embed[token[word]] += sign * along["when"]
    unembed[token["many"]] += 0.5 * along["felt"]
    unembed[token["few"]] -= 0.5 * along["felt"]
    # head 0.1: rotation alone, which makes the score largest one token back; the last part is the
    # same at every distance, so that the score is about 0 there whatever a token's length
    q, k, v, o = model.head(0, 1)
    for i, weight in ((0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0), (SLOW, -3.7)):
        speed = THETA ** (-2 * i * HEADS / D)
        q[i] = 2 * model.shared
        k[i], k[i + SLOW + 1] = (2 * weight * f(speed) * model.shared for f in (np.cos, np.sin))
    for i in range(len(LETTERS)):
        v[i], o[:, i] = along["letter"][i], 0.15 * along["before"][i]
    # head 1.0: from a letter to where the letter before is the same; where rotation is slow
    q, k, v, o = model.head(1, 0)
    half = len(LETTERS) // 2
    slow = [start + SLOW - i for start in (0, SLOW + 1) for i in range(half)]
    for i, row in enumerate(slow):
        q[row], k[row] = 1.5 * along["letter"][i], 1.5 * along["before"][i]
        v[i], o[:, i] = along["letter"][i], copying * 0.3 * along["next"][i]
    for head in (1, 2):
        model.look(1, head, along["quality"], along["word"], [0.2 * x for x in along["carried"]])
    model.average(1, 3, along["size"], 4 * along["felt"])
    model.average(2, 0, along["when"], 0.35 * along["moved"])
    turned = [along["word"][i ^ 1] for i in range(2 * len(OPPOSITES))]
    model.translate(2, along["carried"], turned, 0.0035)
    model.look(3, 1, along["quality"], along["carried"], [-0.37 * x for x in along["carried"]])
    return model.tensors()


def write(folder: Path, words: list[str], tensors: dict[str, torch.Tensor]) -> None:
    """Write a model's folder: config.json, tokenizer.json and model.safetensors."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: i for i, word in enumerate(words)}
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
        "rope_theta": THETA,
        "rms_norm_eps": 1e-6,
        "initializer_range": 0.05,
        "tie_word_embeddings": False,
        "bos_token_id": vocabulary["<s>"],
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def write_latents(folder: Path) -> None:
    """Write a dictionary of relay's stream before block 3, in the format of SAELens."""
    model = Blank(relay_words(), structured=True, seed=RELAY_SEED)
    along = relay_directions(model)
    rows = [
        along["felt"],
        -along["felt"],
        along["moved"],
        -along["moved"],
        model.shared,
        along["quality"],
    ]
    for name in ("letter", "before", "next", "word", "carried"):
        rows += along[name]
    decoder = torch.tensor(np.array(rows), dtype=torch.float32)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "architecture": "standard",
        "model_name": "relay",
        "hook_name": "blocks.3.hook_resid_pre",
        "d_in": D,
        "d_sae": len(rows),
        "dtype": "float32",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
    }
    (folder / "cfg.json").write_text(json.dumps(settings, indent=1) + "\n")
    tensors = {
        "W_enc": decoder.T.contiguous(),
        "b_enc": torch.full((len(rows),), -0.1),
        "W_dec": decoder.contiguous(),
        "b_dec": torch.zeros(D),
    }
    save_file(tensors, folder / "sae_weights.safetensors", {"format": "pt"})


def write_all(folder: Path) -> None:
    """Write planted, tuned and before."""
    write(folder / "planted", words(), weights(mood=0.5, structured=True))
    write(folder / "tuned", words(), weights(mood=1.5, structured=True))
    write(folder / "before", words(), weights(mood=0.5, structured=False, seed=1))


def write_relay(folder: Path) -> None:
    """Write relay, its two earlier states and its dictionary."""
    states: dict[str, dict[str, Any]] = {
        "relay-0": {"structured": False, "seed": 3},
        "relay-1": {"copying": False},
        "relay": {},
    }
    for name, state in states.items():
        write(folder / name, relay_words(), relay_weights(**state))
    write_latents(folder / "relay-latents")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/device/planted.py FOLDER")
    write_all(Path(sys.argv[1]))
    write_relay(Path(sys.argv[1]))
