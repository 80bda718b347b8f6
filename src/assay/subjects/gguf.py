"""A Llama-shaped GGUF file → a folder that transformers opens: weights, tokenizer, configuration,
where it came from."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from assay.core import foreign
from assay.core.errors import ModelError
from assay.subjects import gguf_header, sizes
from assay.subjects.sizes import told_of_a_model

if TYPE_CHECKING:
    from gguf import GGUFReader

_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_CONTROL = 3  # GGUF's token type of special tokens


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits; reads it in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert(path: Path, folder: Path, *, name: str, sha256: str | None = None) -> Path:
    """The folder made from a GGUF file: model.safetensors (float16, norms float32), tokenizer.json,
    config.json, assay.json.

    The folder appears whole or not at all: it is written beside its place and renamed. The file's
    hash is always checked; an existing folder is then kept.

    Raises: ModelError when the file is missing, has another hash than `sha256`, is damaged, or is
    not Llama-shaped."""
    if not path.is_file():
        raise ModelError(f"no GGUF file at {path}; give the path of an existing .gguf file")
    with told_of_a_model():
        foreign.regular(path, "a GGUF file")
    digest = sha256_of(path)
    if sha256 is not None and digest != sha256:
        raise ModelError(
            f"{path} is not the expected file: sha256 should be {sha256}, is {digest}; fetch "
            "it again"
        )
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
    try:
        _write(path, partial, name, digest)
        try:
            partial.rename(folder)
        except OSError:  # another process finished first: its folder is as good as ours
            if not folder.exists():
                raise
    except OSError as error:
        raise ModelError(
            f"cannot write the converted model to {folder}: {error.strerror or error}"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _write(path: Path, folder: Path, name: str, sha256: str) -> None:
    from gguf import GGUFReader
    from safetensors.numpy import save_file

    try:
        gguf_header.check(path)  # the reader believes every count, and makes as much as it says
        reader = GGUFReader(path)
        config = _config(reader, path)
        sizes.check(config, path)
        weights, kinds = _weights(
            reader, config["num_attention_heads"], config["num_key_value_heads"]
        )
        tokenizer = _tokenizer(reader, path)
        licence = _optional(reader, "general.license", "unknown")
    except (ModelError, MemoryError):
        raise
    except (
        Exception
    ) as error:  # the reader meets a damaged file with whatever exception its bytes lead to
        raise ModelError(
            f"{path} is no whole GGUF file ({type(error).__name__} while reading it); fetch "
            "it again"
        ) from error
    missing = _expected(config) - weights.keys()
    extra = weights.keys() - _expected(config)
    if bad := sorted(name for name, w in weights.items() if not np.isfinite(w).all()):
        raise ModelError(f"{path}: {bad[0]} has numbers that are NaN or infinite; fetch it again")
    if missing or extra:
        what = (
            f"lacks {', '.join(sorted(missing)[:3])}"
            if missing
            else f"has unknown tensors {', '.join(sorted(extra)[:3])}"
        )
        raise ModelError(f"{path} is not Llama-shaped: it {what}")
    sizes.check_stored(
        config, {name: w.shape for name, w in weights.items()}, path, "fetch it again"
    )
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    about = {
        "name": name,
        "quantisation": kinds,
        "licence": licence,
        "gguf_sha256": sha256,
        "gguf": path.name,
    }
    (folder / "assay.json").write_text(json.dumps(about, indent=1))


def _value(reader: GGUFReader, key: str) -> Any:
    return reader.fields[key].contents()


def _optional(reader: GGUFReader, key: str, default: Any) -> Any:
    return _value(reader, key) if key in reader.fields else default


def _config(reader: GGUFReader, path: Path) -> dict[str, Any]:
    kind = _value(reader, "general.architecture")
    if kind != "llama":
        raise ModelError(
            f"{path} holds a {kind} model; only GGUF files of architecture llama can be converted"
        )
    heads = _value(reader, "llama.attention.head_count")
    width = _value(reader, "llama.embedding_length")
    tied = not any(t.name == "output.weight" for t in reader.tensors)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(_value(reader, "tokenizer.ggml.tokens")),
        "hidden_size": width,
        "intermediate_size": _value(reader, "llama.feed_forward_length"),
        "num_hidden_layers": _value(reader, "llama.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": _optional(reader, "llama.attention.head_count_kv", heads),
        "head_dim": _optional(reader, "llama.rope.dimension_count", width // heads),
        "hidden_act": "silu",
        # float32 in the file; six digits give back the number that was meant (1e-05, not
        # 9.999999747e-06)
        "rms_norm_eps": float(f"{_value(reader, 'llama.attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": float(_optional(reader, "llama.rope.freq_base", 10000.0)),
        },
        "max_position_embeddings": _value(reader, "llama.context_length"),
        "tie_word_embeddings": tied,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": _optional(reader, "tokenizer.ggml.bos_token_id", None),
        "eos_token_id": _optional(reader, "tokenizer.ggml.eos_token_id", None),
        # given one, transformers would zero that row of the embedding's gradient; nothing here pads
        "pad_token_id": None,
        "dtype": "float16",
    }


def _expected(config: dict[str, Any]) -> set[str]:
    blocks = {
        f"model.layers.{i}.{part}.weight"
        for i in range(config["num_hidden_layers"])
        for part in _BLOCK.values()
    }
    tops = {
        f"{top}.weight"
        for top in _TOP.values()
        if top != "lm_head" or not config["tie_word_embeddings"]
    }
    return blocks | tops


def unpermute(w: Float[np.ndarray, "out d"], heads: int) -> Float[np.ndarray, "out d"]:
    """Query or key rows in the half-split rope order (i, i + e/2), from GGUF's interleaved one (2i,
    2i + 1).

    A model with the rows left as they are runs, and is more than a nat worse.
    """
    out, d = w.shape
    return w.reshape(heads, out // heads // 2, 2, d).swapaxes(1, 2).reshape(out, d)


def _weights(reader: GGUFReader, heads: int, kv_heads: int) -> tuple[dict[str, np.ndarray], str]:
    from gguf.quants import dequantize

    weights: dict[str, np.ndarray] = {}
    kinds: Counter[str] = Counter()
    for tensor in reader.tensors:
        stem, _, end = tensor.name.rpartition(".")
        part = stem.split(".")
        if (
            end != "weight"
            or (len(part) == 3 and part[2] not in _BLOCK)
            or (len(part) != 3 and stem not in _TOP)
        ):
            if stem == "rope_freqs":
                raise ModelError(
                    f"the GGUF file scales its rope frequencies ({tensor.name}), which Assay "
                    "cannot convert"
                )
            weights[tensor.name] = np.empty(0)  # reported as unknown by the caller
            continue
        w = np.asarray(dequantize(tensor.data, tensor.tensor_type), np.float32)
        if len(part) == 3:
            name = f"model.layers.{part[1]}.{_BLOCK[part[2]]}.weight"
            kinds[tensor.tensor_type.name] += w.ndim == 2
            if part[2] in ("attn_q", "attn_k"):
                w = unpermute(w, heads if part[2] == "attn_q" else kv_heads)
        else:
            name = f"{_TOP[stem]}.weight"
        # a copy in every case: float32 tensors come as a read-only memory map of the file
        with np.errstate(
            over="ignore"
        ):  # what is too large for float16 is refused with what is no number
            weights[name] = np.array(w, np.float32 if w.ndim == 1 else np.float16, order="C")
    return weights, kinds.most_common(1)[0][0]


def _tokenizer(reader: GGUFReader, path: Path) -> Any:
    """Byte-level BPE. "smollm" splits digits one by one first, which the tokenizer that
    transformers makes of it does not."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    model, pre = (
        _value(reader, "tokenizer.ggml.model"),
        _optional(reader, "tokenizer.ggml.pre", "gpt-2"),
    )
    if model != "gpt2" or pre not in ("smollm", "gpt-2"):
        raise ModelError(
            f"{path} has tokenizer {model} with pre-tokenizer {pre}; only gpt2 with smollm or "
            "gpt-2 can be converted"
        )
    tokens = _value(reader, "tokenizer.ggml.tokens")
    types = _value(reader, "tokenizer.ggml.token_type")
    merges = [tuple(m.split(" ")) for m in _value(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Sequence([digits, bytes_]) if pre == "smollm" else bytes_
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True) for t, k in zip(tokens, types, strict=True) if k == _CONTROL]
    )
    return tokenizer
