"""Training: which kind of training a table means, its defaults, and models that are trained from
another one or from scratch, on prompts or a text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float

from assay.ask.measure import adapting, models, rank_one
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.tokenized import prompt
from assay.ask.tables import Model, Train, Weights
from assay.core import compute
from assay.core.errors import AssayError, DataError, ModelError
from assay.core.heavy import torch
from assay.core.spec import Spec
from assay.data import corpus as corpora
from assay.data.tiny import TinySpec
from assay.subjects import folder as folders
from assay.subjects import sizes
from assay.subjects.pretrained import Pretrained, load
from assay.subjects.sizes import Regime, regime
from assay.train import rng

Tick = Callable[[int, int], None]
EACH = 16
"""Bytes of a weight, its gradient and its AdamW state."""
PREFIX = "trained "
"""The beginning of the names of trained models in specs."""


@dataclass(frozen=True, kw_only=True)
class TunedSpec(Spec):
    """What a model was trained from, and how, by content."""

    model: str
    """Hash of the original model."""
    text: str
    """Hash of the prompts or the text."""
    steps: int
    batch: int
    context: int
    lr: float


@dataclass(frozen=True, kw_only=True)
class OtherwiseTunedSpec(TunedSpec):
    """What a model was trained from, and how, with unusual settings."""

    decay: float
    warmup: int


@dataclass(frozen=True, kw_only=True)
class AdaptedSpec(TunedSpec):
    """What a model was trained from, and how, if only some of its weights are trained."""

    how: str
    """The other fields of its table, as JSON."""


def kind_of(table: Train) -> str:
    """What a table trains: "dictionary", "tuned", a model further, or "small", one from scratch."""
    if table.site or table.dictionary:
        return "dictionary"
    return "tuned" if table.of else "small"


USUAL: Mapping[str, Mapping[str, Any]] = {
    "tuned": {"steps": 20, "batch": 8, "context": 64, "lr": 1e-4, "decay": 0.0, "warmup": 0},
    "small": {
        **{"layers": 1, "d": 64, "heads": 4},
        **{"steps": 1000, "batch": 64, "context": 64, "lr": 3e-3},
    },
    "dictionary": {
        **{"dictionary": "topk", "d_sae": 2048, "tokens": 50_000},
        **{"steps": 1500, "batch": 256, "context": 128, "lr": 2e-3},
    },
}
"""The defaults of each kind."""
FIELDS: Mapping[str, Collection[str]] = {
    "tuned": {
        *("prompts", "text", "only", "rank", "alpha", "edit", "controls", "damage"),
        *USUAL["tuned"],
    },
    "small": {"text", *USUAL["small"]},
    "dictionary": {
        *("prompts", "text", "site", "models", "site_out", "k", "penalty", "decay", "warmup"),
        *("per_seed", "frozen", "controls", *USUAL["dictionary"]),
    },
}
"""The fields of each kind besides name, of and seed."""
WORDS = {
    "tuned": "a model trained further",
    "small": "a model from scratch",
    "dictionary": "a dictionary",
}


def usual(table: Train) -> Train:
    """A table with defaults filled in."""
    kind = {**USUAL[kind_of(table)], **({"lr": 0.5} if table.edit else {})}
    silent = {k: v for k, v in kind.items() if getattr(table, k) in (None, "")}
    return msgspec.structs.replace(table, **silent)


def wrong(table: Train, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """What is impossible for a training of its kind: the field, and the problem.

    Args:
        table: as it was written.
        names: the prompts of the study.
    """
    kind = kind_of(table)
    empty = Train(name="")
    for field in Train.__struct_fields__:
        stated = getattr(table, field) != getattr(empty, field)
        if stated and field not in ("name", "of", "seed", *FIELDS[kind]):
            users = " or ".join(WORDS[k] for k, fields in FIELDS.items() if field in fields)
            how = {
                "tuned": "a site would make it a dictionary, no `of` a model from scratch",
                "small": "with a site it is a dictionary, with `of` a model trained further",
                "dictionary": "without a site it is a model",
            }[kind]
            yield field, f"{table.name!r} is {WORDS[kind]}, and {field} is of {users}; {how}"
    ways = [w for w in ("prompts", "text") if getattr(table, w)]
    if kind == "small":
        if not table.text:
            how = 'say text = "stdlib", say, or `of`, the model that it begins as'
            yield "text", f"{table.name!r} is trained from scratch, on a text: {how}"
    elif table.edit and table.prompts:
        for field in ("batch", "warmup", "rank"):
            if getattr(table, field):
                yield field, f"{table.name!r} is an edit, which has no {field}"
    elif len(ways) != 1:
        got = " and ".join(ways) or "neither"
        yield "text", f"give one of prompts and text for {table.name!r} to learn; got {got}"
    if kind == "tuned" and isinstance(table.decay, Mapping):
        how = "write one number, as in decay = 0.01"
        yield "decay", f"{table.name!r} is {WORDS[kind]}, and all of its weights decay alike; {how}"
    if table.alpha and not table.rank:
        yield "alpha", f"alpha is of LoRA: write the rank of {table.name!r} too, as in rank = 4"
    for field in ("tokens", "context") if kind == "dictionary" and table.prompts else ():
        if getattr(table, field):
            yield field, f"{field} is of a text, and {table.name!r} learns whole prompts"
    if kind != "small" and table.prompts and table.prompts not in names:
        yield "prompts", f"there are no prompts {table.prompts!r} that {table.name!r} could learn"
    if kind == "small":
        try:
            small(usual(table))
        except AssayError as e:
            yield "d", f"{table.name!r}: {e}"


def small(table: Train) -> TinySpec:
    """The spec of a model from scratch, as for `assay.data.lm`. Raises: SpecError if heads do not
    divide the width."""
    assert table.d is not None
    fields = ("layers", "d", "heads", "context", "steps", "batch", "lr", "seed")
    return TinySpec(m=4 * table.d, corpus=table.text, **{f: getattr(table, f) for f in fields})


def shell(table: Train) -> folders.ModelFolder:
    """What is known about a model from scratch before it is trained: its sizes, and so its
    sites."""
    s = small(usual(table))
    sizes_of = {"n_embd": s.d, "n_layer": s.layers, "n_head": s.heads, "n_inner": s.m}
    more = {"model_type": "gpt2", "n_positions": s.context, "vocab_size": s.vocab}
    return folders.ModelFolder(
        table.name, Path(table.name), weights=(), config={**sizes_of, **more}, about={}
    )


def small_by_content(table: Train) -> TinySpec:
    """The spec of a model from scratch, by the content of its text. Raises: DataError."""
    return small(table).replace(corpus=corpora.load(table.text).fingerprint)


def spec(
    table: Train, start: str, source: PromptSet | None, bos: bool | None = None, begun: str = ""
) -> TunedSpec:
    """The spec of a training from the model of this folder, with this BOS setting; `begun` is its
    hash, if it is trained first. Raises: ModelError, DataError."""
    table = usual(table)
    assert table.steps and table.batch and table.context and table.lr
    learned = [source.digest] if source else []
    learned += [corpora.load(table.text).fingerprint] if table.text else []
    usually = TunedSpec(
        seed=table.seed,
        model=(begun or folders.fingerprint(start)) + models.key_suffix(Model(bos=bos)),
        text=" ".join(learned),
        steps=table.steps,
        batch=table.batch,
        context=table.context,
        lr=table.lr,
    )
    values = {f.name: getattr(usually, f.name) for f in fields(usually)}
    if more := {f: x for f in ("only", "rank", "alpha", "edit") if (x := getattr(table, f))}:
        part = Model(name=start, weights=Weights(of=table.only))
        models.check_weights(part, folders.find(start, bos))
        if table.edit and source:
            rank_one.facts(table, folders.find(start, bos), source)
        more |= {"decay": adapting.decay_of(table), "warmup": table.warmup or 0}
        return AdaptedSpec(**values, how=json.dumps(more, sort_keys=True))
    if not (table.decay or table.warmup):
        return usually
    return OtherwiseTunedSpec(**values, decay=adapting.decay_of(table), warmup=table.warmup or 0)


def key(spec: Spec) -> str:
    """The identifier of something that is trained: SHA-256 of its spec."""
    return hashlib.sha256(spec.to_json().encode()).hexdigest()


def in_words(table: Train) -> str:
    """Name a trained model in a sentence."""
    table = usual(table)
    whose = table.of or f"{table.layers}-block GPT-2 of width {table.d}"
    if table.edit:
        return f"{whose} with {table.only} edited to say {table.prompts}"
    how = f" by LoRA of rank {table.rank}" if table.rank else ""
    how += f" of {table.only} alone" if table.only else ""
    return f"{whose} after {table.steps} steps{how} on {table.prompts or table.text}"


def name_of(table: Train) -> str:
    """The name of a trained model in specs, instead of a folder."""
    return f"{PREFIX}{table.name}: {in_words(table)}"


def train(
    table: Train,
    start: str,
    source: PromptSet | None,
    bos: bool | None,
    device: str,
    path: Path,
    tick: Tick,
) -> None:
    """Train or edit a copy of the model of a folder, and write it to another one. Raises:
    ModelError if memory is short, DataError if the loss is not finite."""
    table = usual(table)
    folder = folders.find(start, bos)
    if folder.architecture.open_up:
        raise ModelError(f"{table.of} cannot be trained here: {folder.architecture.name}")
    whole = EACH, compute.free_memory(), f"the training of {table.name}"
    sizes.check_memory(folder.config, folder.shapes(), *whole)
    model = load(start, device, apart=True)
    if table.edit and source:
        rank_one.edit(table, model, rank_one.facts(table, folder, source), tick)
    else:
        _fit(table, model, _sequences(table, folder, source), device, tick)
    models.write(model, path, in_words(table))


def _fit(
    table: Train, opened: Pretrained, texts: Sequence[list[int]], device: str, tick: Tick
) -> None:
    """Train a model in memory by AdamW (β .9 and .999): mean loss of the next token over a batch,
    gradients clipped at norm 1, no dropout. Every text is read once before any is read again.
    Raises: DataError if the loss is not finite."""
    assert table.steps and table.batch and table.lr
    learned, merges = adapting.learnable(table, opened)
    model: Any = opened.model
    decay, warmup = adapting.decay_of(table), table.warmup or 0
    optimiser = torch.optim.AdamW(learned, lr=table.lr, weight_decay=decay)
    for step in range(table.steps):
        for group in optimiser.param_groups:
            rising = min(1.0, (step + 1) / (warmup + 1))
            group["lr"] = table.lr * rising * (1 - step / table.steps)
        batch = [texts[i] for i in _order(table, len(texts), step)]
        groups: dict[Regime, list[list[int]]] = {}
        for text in batch:
            groups.setdefault(regime(model.config, len(text)), []).append(text)
        loss = torch.cat([_losses(model, rows, device) for rows in groups.values()]).mean()
        if not bool(loss.isfinite()):
            raise DataError(f"the training of {table.name!r} diverged at step {step}; lower lr")
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        tick(step + 1, table.steps)
    for merge in merges:
        merge()


def _losses(
    model: Any, texts: Sequence[Sequence[int]], device: str
) -> Float[torch.Tensor, " token"]:
    """The loss of each token of each text except the first."""
    longest = max(map(len, texts))
    tokens = torch.zeros(len(texts), longest, dtype=torch.long)
    mask = torch.zeros(len(texts), longest, dtype=torch.bool)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = True
    tokens, mask = tokens.to(device), mask.to(device)
    logits = model(input_ids=tokens, attention_mask=mask.long(), use_cache=False).logits
    logs = logits[:, :-1].float().log_softmax(-1)
    losses = -logs.gather(2, tokens[:, 1:, None])[..., 0]
    return losses[mask[:, 1:]]


def _sequences(
    table: Train, folder: folders.ModelFolder, source: PromptSet | None
) -> list[list[int]]:
    """The texts as tokens, with those that open the model's texts. Raises: DataError."""
    assert table.steps and table.batch and table.context
    if source is None:
        return rank_one.windows(table, folder, table.steps * table.batch)
    texts = []
    for row in source.rows:
        text = [*folder.opening, *folder.tokenizer.encode(row.text)]
        texts.append([*(prompt(folder, row).tokens if row.chat else text)][: table.context])
    if short := [r for r, text in zip(source.rows, texts, strict=True) if len(text) < 2]:
        raise DataError(f"{short[0].place} has one token, so nothing can be learned from it")
    return texts


def _order(table: Train, count: int, step: int) -> list[int]:
    """The texts of a step."""
    assert table.batch
    chosen = []
    for n in range(step * table.batch, (step + 1) * table.batch):
        turn, place = divmod(n, count)
        order = rng.permutation(np.array([table.seed]), "ask.train", turn, count)[0]
        chosen.append(int(order[place]))
    return chosen
