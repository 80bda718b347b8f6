"""The GGUF file of a model that has a name here → a folder that transformers opens: weights,
tokenizer, configuration, where it came from. For other files transformers' own reader is enough."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import cache, foreign
from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.sizes import told_of_a_model
from assay.subjects.tokenizer import silent

if TYPE_CHECKING:
    from gguf import GGUFReader


def convert(
    path: Path, folder: Path, *, name: str, sha256: str, notices: Sequence[Path] = ()
) -> Path:
    """The folder made from a GGUF file: model.safetensors (norms float32; matrices of Llama
    float16, of Gemma 3 float32), tokenizer.json, config.json, assay.json, and copies of the
    notices.

    The folder appears whole or not at all: it is written next to its place and renamed. The file's
    hash is always checked, so that a file which somebody else made is not read at all; an existing
    folder is then kept.

    Raises: ModelError when the file is missing or has another hash than `sha256`."""
    if not path.is_file():
        raise ModelError(f"no GGUF file at {path}; give the path of an existing .gguf file")
    with told_of_a_model():
        foreign.regular(path, "a GGUF file")
        digest = cache.sha256(path)  # remembered while its size, inode and times stay
    if digest != sha256:
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
        for notice in notices:
            shutil.copy(notice, partial)
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
    from gguf import GGUFReader, LlamaFileType
    from safetensors.torch import save_file

    reader = GGUFReader(path)
    make_config, make_tokenizer, numbers = _FAMILIES[value(reader, "general.architecture")]
    config = make_config(reader)
    save_file(_weights(path, numbers), folder / "model.safetensors", metadata={"format": "pt"})
    make_tokenizer(reader).save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    about = {
        "name": name,
        "quantisation": LlamaFileType(value(reader, "general.file_type")).name.partition("_")[2],
        "licence": value(reader, "general.license", "unknown"),
        "gguf_sha256": sha256,
        "gguf": path.name,
    }
    (folder / "assay.json").write_text(json.dumps(about, indent=1))


def _llama(reader: GGUFReader, kind: str = "llama") -> dict[str, Any]:
    heads = value(reader, f"{kind}.attention.head_count")
    width = value(reader, f"{kind}.embedding_length")
    tied = not any(t.name == "output.weight" for t in reader.tensors)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(value(reader, "tokenizer.ggml.tokens")),
        "hidden_size": width,
        "intermediate_size": value(reader, f"{kind}.feed_forward_length"),
        "num_hidden_layers": value(reader, f"{kind}.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": value(reader, f"{kind}.attention.head_count_kv", heads),
        "head_dim": value(reader, f"{kind}.rope.dimension_count", width // heads),
        "hidden_act": "silu",
        # float32 in the file; six digits give back the number that was meant (1e-05, not
        # 9.999999747e-06)
        "rms_norm_eps": float(f"{value(reader, f'{kind}.attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_parameters": _rope(reader, f"{kind}.rope.freq_base", 10_000.0),
        "max_position_embeddings": value(reader, f"{kind}.context_length"),
        "tie_word_embeddings": tied,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": value(reader, "tokenizer.ggml.bos_token_id", None),
        "eos_token_id": value(reader, "tokenizer.ggml.eos_token_id", None),
        # given one, transformers would zero that row of the embedding's gradient; nothing here pads
        "pad_token_id": None,
        "dtype": "float16",
    }


def _gemma3(reader: GGUFReader) -> dict[str, Any]:
    """What no key says is the same in every Gemma 3 that has no scaled rope: blocks in windows turn
    positions by a base of 10,000, and every sixth block sees everything."""
    shared = _llama(reader, "gemma3")
    head = value(reader, "gemma3.attention.key_length")
    return {key: v for key, v in shared.items() if key not in ("hidden_act", "mlp_bias")} | {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "head_dim": head,
        "query_pre_attn_scalar": head,
        "hidden_activation": "gelu_pytorch_tanh",
        "sliding_window": value(reader, "gemma3.attention.sliding_window"),
        "layer_types": [
            "full_attention" if layer % 6 == 5 else "sliding_attention"
            for layer in range(shared["num_hidden_layers"])
        ],
        "rope_parameters": {
            "full_attention": _rope(reader, "gemma3.rope.freq_base", 1_000_000.0),
            "sliding_attention": _rope(reader, "gemma3.rope.freq_base_swa", 10_000.0),
        },
        "dtype": "float32",
    }


def _rope(reader: GGUFReader, key: str, base: float) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": float(value(reader, key, base))}


_CONTROL, _USER_DEFINED = 3, 4
"""GGUF's types of special tokens, and of texts that are always one token."""


def byte_level(reader: GGUFReader) -> Any:
    """Byte-level BPE. "smollm" splits digits one by one first, which the tokenizer that
    transformers makes of it does not."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = value(reader, "tokenizer.ggml.tokens")
    types = value(reader, "tokenizer.ggml.token_type")
    merges = [tuple(m.split(" ")) for m in value(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True) for t, k in zip(tokens, types, strict=True) if k == _CONTROL]
    )
    return tokenizer


def pieces(reader: GGUFReader) -> Any:
    """Gemma's SentencePiece as BPE: spaces are ▁, what has no token falls back to its bytes, and
    the file lists no merges, so that they follow from the vocabulary."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

    listed = value(reader, "tokenizer.ggml.tokens")
    types = value(reader, "tokenizer.ggml.token_type")
    # runs of spaces are listed as they are, and looked up after spaces have become ▁
    tokens = [t if t.strip(" ") else t.replace(" ", "▁") for t in listed]
    vocab = {token: i for i, token in enumerate(tokens)}
    # The earlier in the vocabulary, the earlier merged. Scores say the same of ordinary tokens, and
    # nothing of runs of spaces, which are −1000 all. Of the ways to make one token the longest
    # first part goes first, as in the tokenizer that transformers makes.
    merges = [
        (token[:cut], token[cut:])
        for token in tokens
        for cut in range(len(token) - 1, 0, -1)
        if token[:cut] in vocab and token[cut:] in vocab
    ]
    unknown = tokens[value(reader, "tokenizer.ggml.unknown_token_id")]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    # A run of spaces is not split off before merging: the others are met in the text as it is.
    whole = [
        AddedToken(t, normalized=False, special=kind == _CONTROL)
        for t, kind in zip(tokens, types, strict=True)
        if kind in (_CONTROL, _USER_DEFINED) and t.strip("▁")
    ]
    tokenizer.add_tokens(whole)
    return tokenizer


# A dequantised weight is a float16 scale times an integer: neither float16 nor bfloat16 holds every
# one of Gemma 3.
_FAMILIES = {"llama": (_llama, byte_level, "float16"), "gemma3": (_gemma3, pieces, "float32")}
"""By GGUF's name of an architecture: what makes its configuration and its tokenizer, and in which
numbers its matrices are stored."""


def _weights(path: Path, numbers: str) -> dict[str, torch.Tensor]:
    """Every tensor by its name, as transformers reads it; norms in float32."""
    import transformers

    with silent():
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True
        )
    matrices = getattr(torch, numbers)
    # what is tied has two names, of which a file may keep one
    return {
        name: (weight.to(matrices) if weight.ndim > 1 else weight).contiguous().detach()
        for name, weight in model.named_parameters()
    }


def value(reader: GGUFReader, key: str, *default: Any) -> Any:
    """Give what the header says under a key, or the default. Raises: KeyError without either."""
    if default and key not in reader.fields:
        return default[0]
    return reader.fields[key].contents()
