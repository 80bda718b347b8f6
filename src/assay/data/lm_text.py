"""What small language models read: a tokenizer trained on a corpus, its training part in windows,
held-out windows, batches by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Int

from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.core.spec import Spec
from assay.data.corpus import Corpus
from assay.train import rng


@dataclass(frozen=True, kw_only=True)
class TinyTextSpec(Spec):
    """What models of one vocabulary and context read: a tokenizer and windows, named by the
    corpus's fingerprint."""

    corpus: str
    vocab: int
    context: int


@dataclass(frozen=True, kw_only=True)
class HeldOutSpec(Spec):
    """Windows of the validation part, in the tokens of such a text; at most `per_file` of one
    file."""

    of: TinyTextSpec
    windows: int
    per_file: int = 4


def words(text: Corpus, vocab: int, context: int, bench: Bench) -> Path:
    """The folder with tokenizer.json and tokens.npy [window, s], made now or found: a byte-level
    BPE, and the whole training part."""
    spec = TinyTextSpec(corpus=text.fingerprint, vocab=vocab, context=context)
    return bench.artefact(spec, lambda path: _words(text, spec, path))


def tokens_of(words: Path) -> tuple[Int[np.ndarray, "window s"], int]:
    """The training windows of such a folder, and how many tokens its tokenizer has."""
    import tokenizers

    return np.load(words / "tokens.npy"), tokenizers.Tokenizer.from_file(
        str(words / "tokenizer.json")
    ).get_vocab_size()


def held_out(
    text: Corpus, vocab: int, context: int, windows: int, bench: Bench
) -> Int[np.ndarray, "window s"]:
    """So many windows of the validation part, fewer where there are fewer, none where the corpus is
    too small to have one."""
    spec = HeldOutSpec(
        of=TinyTextSpec(corpus=text.fingerprint, vocab=vocab, context=context), windows=windows
    )
    words_folder = words(text, vocab, context, bench)
    return np.load(
        bench.artefact(spec, lambda path: _held_out(text, spec, words_folder, path)) / "tokens.npy"
    )


def _words(text: Corpus, spec: TinyTextSpec, path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    texts = [text.text(i) for i in text.part("train")]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=spec.vocab, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.save(str(path / "tokenizer.json"))
    np.save(
        path / "tokens.npy",
        text.windows(encoder(path), "train", context=spec.context, count=0).tokens,
    )


def _held_out(text: Corpus, spec: HeldOutSpec, words: Path, path: Path) -> None:
    encode, context = encoder(words), spec.of.context
    is_long_enough = any(
        len(encode(text.text(i))) >= context for i in text.part("validation")
    )  # a corpus of a few documents may have none
    windows = (
        text.windows(
            encode,
            "validation",
            context=context,
            count=spec.windows,
            per_file=spec.per_file,
            fewer=True,
        ).tokens
        if is_long_enough
        else None
    )
    np.save(path / "tokens.npy", np.zeros((0, context), np.int32) if windows is None else windows)


def encoder(words: Path) -> Callable[[str], list[int]]:
    """The tokenizer of such a folder: from text to token ids."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(words / "tokenizer.json"))
    return lambda document: tokenizer.encode(document, add_special_tokens=False).ids


def batches(
    seeds: Int[np.ndarray, " run"],
    tokens: Int[np.ndarray, "window s"],
    vocab: int,
    batch: int,
    repeats: float = 0.0,
) -> Callable[[int], Int[torch.Tensor, "run b s"]]:
    """Training windows as a function of the step: each once per epoch in an order drawn by each
    run's seed, some made repetitions.

    `repeats` is the share that is replaced by random tokens, their first half twice.
    Raises: SpecError where a batch is more than all windows.
    """
    per_epoch, context = len(tokens) // batch, tokens.shape[1]
    if not per_epoch:
        raise SpecError(
            f"a batch of {batch} windows is more than the {len(tokens)} of {context} tokens "
            "that the text has"
        )

    @lru_cache(maxsize=2)
    def order(epoch: int) -> np.ndarray:
        return rng.permutation(seeds, "tiny.batches", epoch, len(tokens))

    def draw_batch(step: int) -> Int[torch.Tensor, "run b s"]:
        epoch, i = divmod(step, per_epoch)
        x = tokens[order(epoch)[:, i * batch : (i + 1) * batch]].astype(np.int64)
        if repeats:
            half = context // 2
            noise = rng.integers(seeds, "tiny.repeats", step, (batch, half), vocab)
            replaced = rng.uniform(seeds, "tiny.replaced", step, (batch,)) < repeats
            x[replaced] = np.concatenate([noise, noise, noise[..., : context - 2 * half]], -1)[
                replaced
            ]
        return torch.from_numpy(x)

    return draw_batch
