"""gguf_tokenizer: the tokenizers that a GGUF file's vocabulary means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.errors import ModelError
from assay.subjects.gguf_header import value

if TYPE_CHECKING:
    from gguf import GGUFReader

_CONTROL, _USER_DEFINED = 3, 4
"""GGUF's types of special tokens, and of texts that are always one token."""


def byte_level(reader: GGUFReader, path: Path) -> Any:
    """Byte-level BPE. "smollm" splits digits one by one first, which the tokenizer that
    transformers makes of it does not.

    Raises: ModelError for a tokenizer of another kind."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    model, pre = (
        value(reader, "tokenizer.ggml.model"),
        value(reader, "tokenizer.ggml.pre", "gpt-2"),
    )
    if model != "gpt2" or pre not in ("smollm", "gpt-2"):
        raise ModelError(
            f"{path} has tokenizer {model} with pre-tokenizer {pre}; only gpt2 with smollm or "
            "gpt-2 can be converted"
        )
    tokens = value(reader, "tokenizer.ggml.tokens")
    types = value(reader, "tokenizer.ggml.token_type")
    merges = [tuple(m.split(" ")) for m in value(reader, "tokenizer.ggml.merges")]
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


def pieces(reader: GGUFReader, path: Path) -> Any:
    """Gemma's SentencePiece as BPE: spaces are ▁, what has no token falls back to its bytes, and
    the file lists no merges, so that they follow from the vocabulary.

    Raises: ModelError for a tokenizer of another kind."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

    model = value(reader, "tokenizer.ggml.model")
    if model != "llama" or value(reader, "tokenizer.ggml.add_space_prefix", True):
        raise ModelError(
            f"{path} has tokenizer {model}; of a Gemma 3 only llama without a space before the "
            "text (add_space_prefix false) can be converted"
        )
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
