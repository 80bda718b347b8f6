"""tiny: small language models that Assay trains itself, on one CPU thread in under a minute, as ordinary model folders."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Int

from assay.core import rng
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.evaluations import due_steps
from assay.core.spec import Spec
from assay.data import corpus as corpora

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TinySpec(Spec):
    """A GPT-2 of a block or two, and how it is trained; the seed draws its start, and the order of its text."""

    layers: Annotated[int, Ge(1)] = 1
    """Blocks."""
    d: Annotated[int, Ge(1)] = 64
    """Width of the residual stream."""
    heads: Annotated[int, Ge(1)] = 4
    """Attention heads in a block."""
    m: Annotated[int, Ge(1)] = 256
    """Neurons in a block's MLP."""
    activation: Literal["gelu", "relu"] = "gelu"
    """The MLP's non-linearity."""
    tied: bool = False
    """Whether the unembedding is the embedding."""
    context: Annotated[int, Ge(2)] = 64
    """Tokens in a window, and the most it can read."""
    vocab: Annotated[int, Ge(257)] = 512
    """Tokens of its byte-level BPE, learned on the training part of the corpus."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib", "docs" or a folder of text files; the model is trained on its training part."""
    repeats: Annotated[float, Ge(0), Le(1)] = 0.0
    """Share of training windows in place of which stand random tokens, their first half twice: what teaches a model to copy."""
    steps: Annotated[int, Ge(1)] = 1000
    """Training steps."""
    batch: Annotated[int, Ge(1)] = 64
    """Windows a step."""
    lr: Annotated[float, Gt(0)] = 3e-3
    """Adam's learning rate at its top: 50 steps of warm-up, then linearly to 0 over the last four fifths."""

    def check(self) -> None:
        """Raise SpecError where heads do not divide the width."""
        if self.d % self.heads:
            raise SpecError(f"TinySpec.d must be a multiple of heads, got d={self.d} and heads={self.heads}")


@dataclass(frozen=True, kw_only=True)
class TinyTextSpec(Spec):
    """What models of one vocabulary and context read: a tokenizer and windows, named by the corpus's fingerprint."""

    corpus: str
    vocab: int
    context: int


def tiny(spec: TinySpec, bench: Bench) -> Path:
    """The folder of the model, trained now or found; every part of Assay reads it as it reads any model folder.

    A training that was killed goes on where it was. The same spec gives the same weights (same machine type, versions and
    one thread). Its assay.json keeps the training loss at each step at which an evaluation was due, every 4× of compute.
    """
    text = corpora.load(spec.corpus)
    of = TinyTextSpec(corpus=text.fingerprint, vocab=spec.vocab, context=spec.context)
    words = bench.artefact(of, lambda path: _words(text, of, path))
    named = spec.replace(corpus=text.fingerprint)  # the same text is the same model, wherever it lies
    return bench.artefact(named, lambda path: _train(spec, words, path, bench))


def _words(text: corpora.Corpus, of: TinyTextSpec, path: Path) -> None:
    """Write tokenizer.json, and tokens.npy [window, s]: the whole training part, cut into windows."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    texts = [text.text(i) for i in text.part("train")]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=of.vocab, initial_alphabet=alphabet, show_progress=False))
    tokenizer.save(str(path / "tokenizer.json"))

    def encode(document: str) -> list[int]:
        return tokenizer.encode(document, add_special_tokens=False).ids

    np.save(path / "tokens.npy", text.windows(encode, "train", context=of.context, count=0).tokens)


def _model(spec: TinySpec, vocab: int) -> Any:
    """The module, with weights by its own code that are replaced before use."""
    import torch
    import transformers

    config = transformers.GPT2Config(
        vocab_size=vocab, n_positions=spec.context, n_embd=spec.d, n_layer=spec.layers, n_head=spec.heads, n_inner=spec.m,
        activation_function=spec.activation, tie_word_embeddings=spec.tied, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):  # what it draws is thrown away, the global stream put back
        return transformers.GPT2LMHeadModel(config).eval()


def start(spec: TinySpec, model: Any) -> dict[str, Tensor]:
    """Parameters before training, [1, …] by name with / for the dot: matrices N(0, 0.02²) by seed, gains 1, biases 0."""
    import torch

    def drawn(name: str, p: Tensor) -> Tensor:
        if p.ndim < 2:
            return torch.ones_like(p) if name.endswith("weight") else torch.zeros_like(p)
        return torch.from_numpy(rng.normal(np.array([spec.seed]), f"tiny.{name}", 0, tuple(p.shape))[0] * np.float32(0.02))

    return {name.replace(".", "/"): drawn(name, p.detach())[None].clone() for name, p in model.named_parameters()}


def windows(spec: TinySpec, tokens: Int[np.ndarray, "window s"], vocab: int) -> Callable[[int], Int[Tensor, "b s"]]:
    """Training windows as a function of the step: each once per epoch in an order drawn by the seed, some made repetitions."""
    import torch

    seed, per_epoch = np.array([spec.seed]), len(tokens) // spec.batch
    if not per_epoch:
        raise SpecError(f"TinySpec.batch={spec.batch} is more than the {len(tokens)} windows of the text")

    @lru_cache(maxsize=2)
    def order(epoch: int) -> np.ndarray:
        return rng.permutation(seed, "tiny.batches", epoch, len(tokens))[0]

    def batch(step: int) -> Int[Tensor, "b s"]:
        epoch, i = divmod(step, per_epoch)
        x = tokens[order(epoch)[i * spec.batch : (i + 1) * spec.batch]].astype(np.int64)
        if spec.repeats:
            half = spec.context // 2
            noise = rng.integers(seed, "tiny.repeats", step, (spec.batch, half), vocab)[0]
            replaced = rng.uniform(seed, "tiny.replaced", step, (spec.batch,))[0] < spec.repeats
            x[replaced] = np.concatenate([noise, noise, noise[:, : spec.context - 2 * half]], 1)[replaced]
        return torch.from_numpy(x)

    return batch


def _train(spec: TinySpec, words: Path, path: Path, bench: Bench) -> None:
    import tokenizers
    import torch
    from safetensors.torch import save_file
    from torch.func import functional_call
    from torch.nn.functional import cross_entropy

    from assay.core.descent import descent
    from assay.core.fit import fit
    from assay.core.runs import Runs
    from assay.core.schedules import warm_up_decay

    vocab = tokenizers.Tokenizer.from_file(str(words / "tokenizer.json")).get_vocab_size()
    model = _model(spec, vocab).to(bench.device)

    def loss(params: Mapping[str, Tensor], x: Int[Tensor, "b s"]) -> Tensor:
        mine = {name.replace("/", "."): value[0] for name, value in params.items()}
        logits = functional_call(model, mine, (), {"input_ids": x, "use_cache": False}).logits[:, :-1]
        return cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten())[None]

    rate = warm_up_decay(spec.steps, 50, 0.8)
    group = descent(Runs([spec]), start(spec, model), loss, lr=np.array([spec.lr]), schedule=rate, betas=(0.9, 0.99))
    batches = windows(spec, np.load(words / "tokens.npy"), vocab)
    alone = _Alone(bench, path)
    looks = due_steps(spec.steps)  # every 4× of compute: each step costs the same
    (trained,) = fit([group], batches, steps=spec.steps, probe_at=looks, bench=alone)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(trained.tensors[name.replace(".", "/")][0])
    weights = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters()}
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    model.config.save_pretrained(path)
    shutil.copy(words / "tokenizer.json", path / "tokenizer.json")
    called = f"{spec.layers}-block GPT-2 of width {spec.d} (Assay, {spec.steps:,} steps, seed {spec.seed})"
    losses = {int(step): loss for step, loss in zip(trained.steps, trained.history["loss"][0].tolist(), strict=True)}
    evaluations = [{"step": step, "loss": losses[step]} for step in looks]
    about = {"name": called, "loss": losses[spec.steps], "evaluations": evaluations}
    (path / "assay.json").write_text(json.dumps(about))
    alone.file.unlink()


class _Alone:
    """A bench whose checkpoint lies in the model's own unfinished folder: the one who asked for the model has fits of its own."""

    def __init__(self, bench: Bench, folder: Path):
        self.device, self.root, self.report, self.file = bench.device, bench.root, bench.report, folder / "training.safetensors"
        self.artefact, self.artefacts = bench.artefact, bench.artefacts
        self._last = time.monotonic()

    def slot(self) -> _Alone:
        return self

    def restore(self) -> tuple[int, dict[str, torch.Tensor]] | None:
        from safetensors import SafetensorError, safe_open
        from safetensors.torch import load_file

        try:
            with safe_open(self.file, "pt") as file:
                step = int(file.metadata()["step"])
            return step, load_file(self.file)
        except (OSError, SafetensorError):
            return None

    def due(self) -> bool:
        return time.monotonic() - self._last >= 20

    def save(self, step: int, tensors: Mapping[str, torch.Tensor]) -> None:
        from safetensors.torch import save_file

        partial = self.file.with_suffix(".new")
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, partial, {"step": str(step)})
        partial.replace(self.file)
        self._last = time.monotonic()
