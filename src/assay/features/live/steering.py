"""Text generated with features changed at every token, next to the unchanged model's text, and
what the change costs in KL.

Each new token is one pass over three rows with a cache of keys and values: the changed model on its
own continuation, the model as it is on that same continuation (which gives the KL), and the model
as it is on its own. The prompt is one pass over the same rows, after one to the dictionary's site
that settles what counts as an outlier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.measuring.ablation import nats, spliced_run
from assay.dictionaries.measuring.sums import select_positions
from assay.features.live.ablation import unit_directions
from assay.features.live.edits import Change, changed_part, check_changes, features_of
from assay.features.live.reader import Reader, Reading
from assay.subjects.site import Site
from assay.subjects.subject import Edit
from assay.subjects.writing import choose, processes


@dataclass(frozen=True)
class Step:
    """One more token of both continuations."""

    index: int
    """From 0."""
    before_id: int | None
    """The model's own token; None once it has ended."""
    after_id: int | None
    """The changed model's token; None once it has ended."""
    before: str
    """All that the model has written so far."""
    after: str
    """All that the changed model has written so far."""
    kl: float
    """KL(changed ‖ as it is) where the changed model chose this token, nats, at temperature 1; NaN
    once it has ended."""
    on: bool
    """Whether a changed feature was on, before the change, at any token read by then."""


def steer(
    reader: Reader,
    prompt: str,
    changes: Sequence[Change],
    *,
    new: int = 40,
    temperature: float = 0.0,
    seed: int = 0,
    stop: Sequence[int] | None = None,
) -> Iterator[Step]:
    """Continue a prompt with and without changes, token by token: a page shows each step as it
    comes and stops by asking no more.

    Changes act at the prompt's tokens and at every new one, by the reader's rules of what counts.
    At temperature 0 the most probable token is taken; else one is drawn, by numbers that depend on
    the seed and the step alone and are the same for both continuations, so that without a change
    both are one text. `stop` are the ids that end a continuation; None: the model's own. Nothing is
    held on the model between two steps.

    Raises: DataError, when called, for features that are not there, impossible numbers, or more
    tokens than the reader's limit."""
    check_changes(reader, changes)
    if new < 1 or not 0 <= temperature < float("inf"):
        raise DataError(
            f"new must be at least 1 and temperature at least 0, got {new} and {temperature:g}"
        )
    ids = reader.encode(prompt)
    if not ids:
        raise DataError("the prompt has no tokens; give at least one")
    if len(ids) + new > reader.limit:
        raise DataError(
            f"the prompt's {len(ids)} tokens and {new} new ones are more than the "
            f"{reader.limit} that are read; shorten one"
        )
    return _steps(
        reader,
        ids,
        changes,
        new,
        temperature,
        seed,
        frozenset(reader.subject.folder.ends if stop is None else stop),
    )


@dataclass(frozen=True, eq=False)
class Compared:
    """What changes do to the predictions of a text, and what a random direction does in their
    place."""

    cost: float
    """Of the random direction: mean KL from the model as it is, nats."""
    chances: Float[np.ndarray, "3 sets"]
    """How likely it is that the next token is one of each set: as the model is, with the changes,
    and with the random direction."""
    length: float
    """Of the changes and of the random direction: how long what they add to the activations is,
    divided by the length of these, on average over the tokens where they act."""


def compare(
    reader: Reader,
    ids: Sequence[int],
    changes: Sequence[Change],
    sets: Sequence[Sequence[int]],
    *,
    first: int,
    draws: int = 8,
    seed: int = 0,
) -> Iterator[Compared]:
    """Compare changes with random directions, each as long as these at every token: means over
    tokens `first` and later of a text.

    One pass of the later blocks per draw. Raises: DataError for a text that cannot be read."""
    reading = reader.read_ids(ids)
    part = _added(reader, reading, changes)
    size = part.norm(dim=-1, keepdim=True)
    added = size[:, 0] > 0
    acts = reading.passage.acts[0].reshape(part.shape).norm(dim=-1)
    length = float((size[:, 0] / acts)[added].mean())
    target = torch.tensor(list(ids[first:]), device=part.device)

    def chances(logits: torch.Tensor) -> list[float]:
        probabilities = logits.softmax(-1)
        return [float(probabilities[:, chunk].sum(-1).mean()) for chunk in map(list, sets)]

    changed, plain = _logits(reader, reading, part, first)
    likely = chances(plain), chances(changed)
    for direction in unit_directions(seed, draws, reading):
        turned, _ = _logits(reader, reading, size * direction, first)
        cost = float(nats(turned, plain, target)[1].mean())
        yield Compared(max(cost, 0.0), np.array([*likely, chances(turned)]), length)


def _added(reader: Reader, reading: Reading, changes: Sequence[Change]) -> torch.Tensor:
    """What changes add to the activations of each token of a text."""
    device, count = reading.acts.device, torch.from_numpy(reading.keep)
    codes = torch.from_numpy(reading.firings.columns(features_of(changes), len(reading)))
    return changed_part(reader, changes, codes.to(device), reading.inputs, count.to(device))


def _logits(
    reader: Reader, reading: Reading, part: torch.Tensor, first: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of tokens `first` and later with `part` added to the activations, and without it."""
    acts = reading.passage.acts[0] + part.reshape(reading.passage.acts[0].shape)
    trace = spliced_run(reader.subject, reader.target, reading.passage, acts[None])
    assert trace.final is not None and trace.head is not None
    rows = slice(first - 1, len(reading) - 1)
    with torch.no_grad():
        changed, plain = (trace.head(x[rows]).float() for x in (trace.final[0], reading.final))
    return changed, plain


def _steps(
    reader: Reader,
    ids: list[int],
    changes: Sequence[Change],
    new: int,
    temperature: float,
    seed: int,
    stop: frozenset[int],
) -> Iterator[Step]:
    from transformers import DynamicCache

    subject, cache, limits = reader.subject, DynamicCache(), _limits(reader, ids)
    prompt = torch.tensor([ids], device=subject.device)
    process = processes(subject.model, subject.folder.writing, prompt, new)
    rows: list[list[int]] = [ids] * 3
    whole = [[*ids] for _ in rows]
    before: list[int] = []
    after: list[int] = []
    ended, length, on = [False, False], 0, torch.zeros(1, dtype=torch.bool)
    for index in range(new):
        if length and subject.regime(len(ids) + index) != subject.regime(len(ids) + index - 1):
            cache, length = DynamicCache(), 0  # its keys were turned otherwise
            rows = whole
        tokens = torch.tensor(rows, device=subject.device)
        trace = subject.run(tokens, edits=_edits(reader, changes, limits, length, on), cache=cache)
        length += tokens.shape[1]
        assert trace.final is not None and trace.head is not None
        with torch.no_grad():
            logits = trace.head(trace.final[:, -1]).float()
        kl = max(
            0.0,
            float(
                nats(
                    logits[:1], logits[1:2], torch.zeros(1, dtype=torch.long, device=logits.device)
                )[1]
            ),
        )
        if process is not None:
            seen = [torch.tensor([[*ids, *text]], device=logits.device) for text in (before, after)]
            processed = [process(t, logits[[i]]) for t, i in zip(seen, (2, 0), strict=True)]
            logits[[2, 0]] = torch.cat(processed)
        chosen = choose(logits[[2, 0]], temperature, [seed, seed], index).tolist()
        for i, text in enumerate((before, after)):
            if not ended[i]:
                text.append(chosen[i])
        emitted = [None if end else token for end, token in zip(ended, chosen, strict=True)]
        yield Step(
            index,
            emitted[0],
            emitted[1],
            subject.decode(before),
            subject.decode(after),
            float("nan") if ended[1] else kl,
            bool(on),
        )
        ended = [end or token in stop for end, token in zip(ended, chosen, strict=True)]
        if all(ended):
            return
        rows = [[chosen[1]], [chosen[1]], [chosen[0]]]
        whole = [[*text, *new_ids] for text, new_ids in zip(whole, rows, strict=True)]


def _limits(reader: Reader, ids: list[int]) -> tuple[float, float]:
    """What is too long to count, by the prompt: the first pass, up to the dictionary's site."""
    tokens = torch.tensor([ids], device=reader.subject.device)
    acts = reader.subject.run(
        tokens, capture=list({reader.reads, reader.target}), logits=False
    ).acts
    inputs, target = (acts[site].flatten(2).float() for site in (reader.reads, reader.target))
    return reader.outlier_limits(inputs, target)


def _edits(
    reader: Reader,
    changes: Sequence[Change],
    limits: tuple[float, float],
    first: int,
    on: Bool[torch.Tensor, " 1"],
) -> Mapping[Site, Edit]:
    """Changes of the first of three rows, at positions from `first` on; `on` becomes true if a
    changed feature is on at one of them."""
    met: dict[str, torch.Tensor] = {}

    def remember(x: torch.Tensor) -> torch.Tensor:
        met["inputs"] = x[:1].flatten(2).float()
        return x

    def put(x: torch.Tensor) -> torch.Tensor:
        acts = x[:1].flatten(2).float()
        inputs = met.get("inputs", acts)
        counts = select_positions(inputs, acts, limits, max(0, reader.skip_first - first))[0]
        codes = reader.codes(inputs[0])[:, features_of(changes)] * counts[:, None]
        on.logical_or_((codes > 0).any().cpu())
        x[0] += changed_part(reader, changes, codes, inputs[0], counts).to(x).reshape(x[0].shape)
        return x

    if not changes:
        return {}
    return (
        {reader.target: put}
        if reader.reads == reader.target
        else {reader.reads: remember, reader.target: put}
    )
