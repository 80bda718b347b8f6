"""Tiny language models in local folders, and the same forward passes written out in NumPy
float64."""

import json
from functools import partial

import numpy as np

TEXT = (
    "def add(a, b):\n    return a + b  # the sum of a and b\n\nclass Point:\n    x = 10\n    "
    "y = 2048\n"
) * 4
CONTEXT = 64
GPT2_NAMES = ("gpt2", "gptj")
"""Types whose sizes have GPT-2's names."""


def save_tokenizer(folder):
    """Writes a byte-level tokenizer with some merges; returns its number of tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [TEXT], trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer.get_vocab_size()


def write_texts(folder, count, functions):
    """Writes so many files of Python, the i-th with functions(i) different functions; returns the
    folder."""
    folder.mkdir(exist_ok=True)
    for i in range(count):
        lines = (f"def f{i}_{j}(x):\n    return x + {i * j}\n" for j in range(functions(i)))
        (folder / f"t{i}.py").write_text("".join(lines))
    return folder


def make(folder, kind, **changes):
    """A folder with a random model of this architecture: grouped queries, an unusual rope base,
    every parameter random."""
    import torch
    import transformers

    folder.mkdir(parents=True)
    vocab = save_tokenizer(folder)
    llama = {
        "vocab_size": vocab,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    gpt2 = {
        "vocab_size": vocab,
        "n_embd": 24,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": CONTEXT,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(kind, **(gpt2 if kind in GPT2_NAMES else llama) | changes)
    )
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=draw)
            gain = p.ndim == 1 and name.endswith("weight")
            p.copy_(1 + 0.2 * noise if gain else 0.3 * noise if p.ndim == 2 else 0.1 * noise)
    model.save_pretrained(folder)
    if kind.startswith("gemma") and model.config.bos_token_id is not None:
        put_first(folder, model.config.bos_token_id)
    return folder


def put_first(folder, *ids):
    """Let the tokenizer of a folder put these tokens before every text, as that of a Llama or a
    Gemma does."""
    from tokenizers import Tokenizer, processors

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokens = [tokenizer.id_to_token(i) for i in ids]
    template = " ".join(f"[{i}]" for i in range(len(ids)))
    special = [
        {"id": f"[{i}]", "ids": [ids[i]], "tokens": [token]} for i, token in enumerate(tokens)
    ]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{template} $A", special_tokens=special
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def weights(folder):
    from safetensors.numpy import load_file

    w = {k: v.astype(np.float64) for k, v in load_file(folder / "model.safetensors").items()}
    return {k.removeprefix("transformer."): v for k, v in w.items()}


GGUF_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def interleave(w, heads):
    """What llama.cpp's converter does to query and key rows."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def write_gguf(path, folder, kind=None, *, leave_out=()):
    """The folder's model as a GGUF file whose matrices are of this kind, float32 without one."""
    import gguf

    tokens = json.loads((folder / "tokenizer.json").read_text())["model"]
    config = json.loads((folder / "config.json").read_text())
    out = gguf.GGUFWriter(path, "llama")
    out.add_block_count(config["num_hidden_layers"])
    out.add_context_length(64)
    out.add_embedding_length(32)
    out.add_feed_forward_length(64)
    out.add_head_count(4)
    out.add_head_count_kv(2)
    out.add_rope_freq_base(500.0)
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_license("mit")
    out.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind.name}" if kind else "ALL_F32"])
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("smollm")
    vocab = sorted(tokens["vocab"], key=tokens["vocab"].get)
    out.add_token_list(vocab)
    out.add_token_types([3 if i == 0 else 1 for i in range(len(vocab))])
    out.add_token_merges([" ".join(m) for m in tokens["merges"]])
    for name, w in weights(folder).items():
        stem = name.removesuffix(".weight")
        if stem.startswith("model.layers."):
            _, _, layer, part = stem.split(".", 3)
            stem = f"blk.{layer}.{GGUF_NAMES[part]}"
            if part.endswith(("q_proj", "k_proj")):
                w = interleave(w, 4 if "q_proj" in part else 2)
        else:
            stem = {
                "model.embed_tokens": "token_embd",
                "model.norm": "output_norm",
                "lm_head": "output",
            }[stem]
        if stem in leave_out:
            continue
        raw = np.ascontiguousarray(w, np.float32)
        if w.ndim == 1 or kind is None:
            out.add_tensor(f"{stem}.weight", raw)
        else:
            out.add_tensor(f"{stem}.weight", gguf.quants.quantize(raw, kind), raw_dtype=kind)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


def naive(folder, tokens, edits=None):
    """Logits and the activations at every site, by name, with `edits` applied where they are
    named."""
    config = json.loads((folder / "config.json").read_text())
    acts = {}

    def at(name, x):
        acts[name] = np.array((edits or {}).get(name, lambda v: v)(x))
        return acts[name]

    forward = _gpt2 if config["model_type"] == "gpt2" else _llama
    return forward(weights(folder), config, tokens, at), acts


def _attend(q, k, v, at=lambda name, x: x):
    """Causal attention, one head of one sequence at a time; q, k, v: [b, s, h, e]."""
    b, s, h, e = q.shape
    share = h // k.shape[2]  # queries' heads for each head of keys and values
    scores = np.full((b, h, s, s), float(np.finfo(np.float32).min))
    for i in range(b):
        for j in range(h):
            for t in range(s):
                for u in range(t + 1):
                    scores[i, j, t, u] = q[i, t, j] @ k[i, u, j // share] / np.sqrt(e)
    scores = at("attn.hook_attn_scores", scores)
    pattern = np.exp(scores - scores.max(-1, keepdims=True))
    pattern = at("attn.hook_pattern", pattern / pattern.sum(-1, keepdims=True))
    z = np.zeros(q.shape)
    for i in range(b):
        for j in range(h):
            z[i, :, j] = pattern[i, j] @ v[i, :, j // share]
    return z


def _rope(x, theta):
    """Rotates the pair (i, i + e/2) of every head at position p by p · theta^(−2i/e)."""
    out, half = x.copy(), x.shape[3] // 2
    for p in range(x.shape[1]):
        for i in range(half):
            angle = p * theta ** (-2 * i / x.shape[3])
            a, b = x[:, p, :, i], x[:, p, :, i + half]
            out[:, p, :, i] = a * np.cos(angle) - b * np.sin(angle)
            out[:, p, :, i + half] = b * np.cos(angle) + a * np.sin(angle)
    return out


def _rms(x, w, eps, at=lambda x: x, plain=lambda x: x):
    return plain(x / at(np.sqrt((x**2).mean(-1, keepdims=True) + eps))) * w


def _heads_write(z, W, at):
    """What each head writes, z [b, s, h, e] by its rows of W [h·e, d]; their sum."""
    parts = W.reshape(z.shape[2], z.shape[3], -1)
    result = np.stack([z[:, :, j] @ parts[j] for j in range(z.shape[2])], 2)
    return at("attn.hook_result", result).sum(2)


def _llama(w, c, tokens, at):
    eps, theta = c["rms_norm_eps"], c["rope_parameters"]["rope_theta"]
    heads, groups = c["num_attention_heads"], c["num_key_value_heads"]
    x = at("hook_embed", w["model.embed_tokens.weight"][tokens])
    for i in range(c["num_hidden_layers"]):
        p, s = f"model.layers.{i}.", f"blocks.{i}."

        def linear(name, x, p=p):
            return x @ w[f"{p}{name}.weight"].T + w.get(f"{p}{name}.bias", 0.0)

        def here(name, x, s=s):
            return at(s + name, x)

        x = here("hook_resid_pre", x)
        h = _rms(x, w[p + "input_layernorm.weight"], eps, partial(here, "ln1.hook_scale"))
        split = {"q": heads, "k": groups, "v": groups}
        q, k, v = (
            here(f"attn.hook_{n}", linear(f"self_attn.{n}_proj", h).reshape(*x.shape[:2], many, -1))
            for n, many in split.items()
        )
        q, k = (here(f"attn.hook_rot_{n}", _rope(y, theta)) for n, y in (("q", q), ("k", k)))
        z = here("attn.hook_z", _attend(q, k, v, here))
        written = _heads_write(z, w[p + "self_attn.o_proj.weight"].T, here)
        x = here("hook_resid_mid", x + here("hook_attn_out", written))
        scale, plain = (partial(here, f"ln2.hook_{name}") for name in ("scale", "normalized"))
        h = _rms(x, w[p + "post_attention_layernorm.weight"], eps, scale, plain)
        h = here("mlp.hook_in", h)
        gate = here("mlp.hook_pre", linear("mlp.gate_proj", h))
        up = here("mlp.hook_pre_linear", linear("mlp.up_proj", h))
        post = here("mlp.hook_post", gate / (1 + np.exp(-gate)) * up)
        x = at(s + "hook_resid_post", x + at(s + "hook_mlp_out", linear("mlp.down_proj", post)))
    final = _rms(x, w["model.norm.weight"], eps, partial(at, "ln_final.hook_scale"))
    x = at("ln_final.hook_normalized", final)
    return x @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T


def _layer_norm(x, w, name, at=lambda x: x, plain=lambda x: x, eps=1e-5):
    x = x - x.mean(-1, keepdims=True)
    scale = at(np.sqrt((x**2).mean(-1, keepdims=True) + eps))
    return plain(x / scale) * w[name + ".weight"] + w[name + ".bias"]


def _gpt2(w, c, tokens, at):
    place = np.broadcast_to(w["wpe.weight"][: tokens.shape[1]], (*tokens.shape, c["n_embd"]))
    x = at("hook_embed", w["wte.weight"][tokens]) + at("hook_pos_embed", place)
    for i in range(c["n_layer"]):
        p, s = f"h.{i}.", f"blocks.{i}."

        def linear(name, x, p=p):
            # GPT-2 keeps its matrices input first
            return x @ w[f"{p}{name}.weight"] + w[f"{p}{name}.bias"]

        def here(name, x, s=s):
            return at(s + name, x)

        x = here("hook_resid_pre", x)
        read = _layer_norm(x, w, p + "ln_1", partial(here, "ln1.hook_scale"))
        qkv = np.split(linear("attn.c_attn", read), 3, axis=-1)
        q, k, v = (
            here(f"attn.hook_{n}", a.reshape(*x.shape[:2], c["n_head"], -1))
            for n, a in zip("qkv", qkv, strict=True)
        )
        # nothing turns them
        q, k = here("attn.hook_rot_q", q), here("attn.hook_rot_k", k)
        z = here("attn.hook_z", _attend(q, k, v, here))
        written = _heads_write(z, w[p + "attn.c_proj.weight"], here) + w[p + "attn.c_proj.bias"]
        x = here("hook_resid_mid", x + here("hook_attn_out", written))
        scale, plain = (partial(here, f"ln2.hook_{name}") for name in ("scale", "normalized"))
        read = here("mlp.hook_in", _layer_norm(x, w, p + "ln_2", scale, plain))
        pre = here("mlp.hook_pre", linear("mlp.c_fc", read))
        gelu = 0.5 * pre * (1 + np.tanh(np.sqrt(2 / np.pi) * (pre + 0.044715 * pre**3)))
        x = at(
            s + "hook_resid_post",
            x + at(s + "hook_mlp_out", linear("mlp.c_proj", at(s + "mlp.hook_post", gelu))),
        )
    final = _layer_norm(x, w, "ln_f", partial(at, "ln_final.hook_scale"))
    return at("ln_final.hook_normalized", final) @ w["wte.weight"].T


def naive_loss(logits, tokens):
    """−log softmax of the next token, [b, s−1], nats."""
    out = np.zeros((tokens.shape[0], tokens.shape[1] - 1))
    for b in range(out.shape[0]):
        for i in range(out.shape[1]):
            row = logits[b, i] - logits[b, i].max()
            out[b, i] = np.log(np.exp(row).sum()) - row[tokens[b, i + 1]]
    return out
