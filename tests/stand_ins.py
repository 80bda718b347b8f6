"""Tiny random models that stand in for smollm2 and gemma3-270m: as many blocks and heads, and to
their tokenizer every word of some files is one token."""

import re
import shutil

import tiny_models

LLAMA = {
    "hidden_size": 36,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
GEMMA = {
    "hidden_size": 32,
    "num_hidden_layers": 18,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "query_pre_attn_scalar": 8,
    "sliding_window": 16,
    "layer_types": ["sliding_attention", "full_attention"] * 9,
    "bos_token_id": 2,
    "tie_word_embeddings": True,
}


def save_words(folder, files):
    """Write a tokenizer to which every word of the files is one token; return their number."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    text = " ".join(p.read_text() for p in sorted(files)) + " yes no is are"
    # as both models read numbers
    digits = pre_tokenizers.Digits(individual_digits=True)
    split = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    words = {w for w, _ in split.pre_tokenize_str(text)}
    words |= {w for w, _ in split.pre_tokenize_str(re.sub(r"\W+", " ", text))}
    letters = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "?"]
    letters += ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # which SmolLM2's folder names
    vocab = {w: i for i, w in enumerate(dict.fromkeys([*letters, *sorted(words)]))}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="?"))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    return len(vocab)


def make(parent, files):
    """Make the folders that stand in for smollm2 and gemma3-270m, by these names."""
    vocab = save_words(parent, files)
    made = {}
    for name, kind, sizes in (("smollm2", "llama", LLAMA), ("gemma3-270m", "gemma3_text", GEMMA)):
        sizes = {**sizes, "vocab_size": vocab, "max_position_embeddings": 256}
        made[name] = tiny_models.make(parent / name, kind, **sizes)
        shutil.copy(parent / "tokenizer.json", made[name])
        if "bos_token_id" in sizes:
            tiny_models.put_first(made[name], sizes["bos_token_id"])
    return made
