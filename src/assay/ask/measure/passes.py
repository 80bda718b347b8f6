"""Passes: run all prompts of an arm through the model under all of its edits, in few passes.
`Passes.given` captures activations and what the unembedding reads; `numbers` unembeds that in
blocks. The last results are cached in the process, so that a changed threshold or another read of
the same tokens needs no pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any, TypeAlias, assert_never

import numpy as np
from jaxtyping import Float

from assay.ask.measure import next_tokens
from assay.ask.measure.activations import captured
from assay.ask.measure.changes import Changes
from assay.ask.measure.tokenized import Want
from assay.core.heavy import torch
from assay.subjects.batches import most_rows, run_many
from assay.subjects.edits import Edits, continued
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes
from assay.subjects.subject import Trace, cached_rows

HELD = 2**24
"""Logits that are in memory at once: 64 MB, 340 rows of a vocabulary of 49,152, 64 of 262,144."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The vectors of one position of one prompt under each edit, and the numbers that are wanted of
    them."""

    final: Float[torch.Tensor, "v d"]
    """The input of the unembedding."""
    first: Float[torch.Tensor, "v d"] | Float[torch.Tensor, "1 d"]
    """The unchanged input, at the end of the stream or at the site of the wants, for each edit or
    once for all: the reference of KL divergences."""
    end: Float[torch.Tensor, "v d"] | Float[torch.Tensor, "1 d"]
    """The input there under each edit, to be compared with another model."""
    wants: tuple[Want, ...]


def numbers(
    model: Pretrained, rows: Sequence[Rows], base: Pretrained | None = None
) -> list[Float[np.ndarray, "v want"]]:
    """Unembed all rows and keep the numbers that are wanted; `base` is the model that unembeds
    `first`, if it is another one."""
    out = [np.empty((len(r.final), len(r.wants))) for r in rows]
    vocabulary = model.model.get_output_embeddings().weight.shape[0]
    shared: torch.Tensor | None = None  # unchanged logits that all edits share
    for parts in _batches(rows, max(1, HELD // vocabulary)):
        logits = _unembedded(model, [rows[i].final[a:b] for i, a, b in parts])
        totals = torch.cat([x.float().logsumexp(-1) for x in logits.split(cached_rows(vocabulary))])
        needed = [_untouched(rows[i], a, b) for i, a, b in parts]
        firsts = iter(_unembedded(base or model, needed) if any(map(len, needed)) else ())
        begin = 0
        for i, a, b in parts:
            chunk, total = logits[begin : begin + b - a].float(), totals[begin : begin + b - a]
            begin += b - a
            untouched = [next(firsts) for _ in _untouched(rows[i], a, b)]
            shared = untouched[0] if len(untouched) == 1 else shared
            bases: Any = untouched if len(untouched) == b - a else [shared] * (b - a)
            for k, want in enumerate(rows[i].wants):
                if want.what == "log_prob":
                    value = _of_token(chunk, want.token, bases)[:, 0] - total
                elif want.what == "logit":
                    value = _of_token(chunk, want.token, bases)[:, 0]
                elif want.what == "token":
                    value = torch.stack([x.argmax() for x in bases])
                elif want.what == "rank":
                    value = 1 + (chunk > _of_token(chunk, want.token, bases)).sum(-1)
                elif want.what == "entropy":  # in float64, as is what follows: both may be small
                    logs = (x.double().log_softmax(-1) for x in chunk)
                    value = torch.stack([-(x.exp() * x).sum() for x in logs])
                elif want.what == "kl" or want.what == "agrees":
                    how = _divergence if want.what == "kl" else _same
                    value = torch.stack([how(x, y) for x, y in zip(bases, chunk, strict=True)])
                else:
                    assert_never(want.what)
                out[i][a:b, k] = value.cpu().numpy()
    return out


def _unembedded(model: Pretrained, parts: Sequence[torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model.head(torch.cat(list(parts)))
    return logits


def _untouched(rows: Rows, a: int, b: int) -> torch.Tensor:
    """The unchanged vectors that rows a to b need; shared ones are given once."""
    if not any(want.needs_untouched for want in rows.wants):
        return rows.first[:0]
    return rows.first[a:b] if len(rows.first) > 1 else rows.first[: int(a == 0)]


def _of_token(
    logits: Float[torch.Tensor, "v token"], token: int, bases: Sequence[torch.Tensor]
) -> Float[torch.Tensor, "v 1"]:
    """The logit of a token, or, for token −1, of the most probable one of unchanged logits."""
    if token >= 0:
        return logits[:, token, None]
    best = torch.stack([x.argmax() for x in bases])
    return logits.gather(1, best[:, None])


def _divergence(untouched: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    """Σ p (log p − log q), p unchanged and q changed, from logits."""
    p, q = (x.double().log_softmax(-1) for x in (untouched, changed))
    return (p.exp() * (p - q)).sum()


def _same(untouched: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    """1 if both have the same most probable token, otherwise 0, from logits."""
    return (untouched.argmax() == changed.argmax()).double()


def _batches(rows: Sequence[Rows], limit: int) -> Iterator[list[tuple[int, int, int]]]:
    """All rows in order, in batches of limited size, as (row, from, to)."""
    batch: list[tuple[int, int, int]] = []
    room = limit
    for i, r in enumerate(rows):
        start = 0
        while start < len(r.final):
            size = min(room, len(r.final) - start)
            batch.append((i, start, start + size))
            start, room = start + size, room - size
            if not room:
                yield batch
                batch, room = [], limit
    if batch:
        yield batch


Traces: TypeAlias = list[list[Trace]]
Pair: TypeAlias = tuple[int, int]
"""The number of a prompt and of an edit."""
MOST = 2**26
"""Bytes of cached results."""
WRITING = 32
"""Texts that are continued together."""
CAPTURED, ON_A_DEVICE = 2**26, 2**28
"""Activations in memory at once in a pass, on a CPU and on other devices: 256 MB and 1 GB of
float32."""


@dataclass(frozen=True, eq=False)
class Written:
    """What the model wrote after a prompt under an edit."""

    tokens: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()
    """The loss of each token under the unchanged model, if a read needs it."""


@dataclass(frozen=True, eq=False)
class Given:
    """The results of passes for some prompts under some edits."""

    prompts: Sequence[int]
    rows: list[Rows]
    """Vectors to be unembedded, of all prompts."""
    of: list[int]
    """The prompt of each of these."""
    acts: Mapping[int, list[Mapping[Site, torch.Tensor]]]
    """The captured activations of each prompt under each edit."""


@dataclass(frozen=True, eq=False)
class Passes:
    """The prompts of an arm under all edits of its seeds and its sweep."""

    changes: Changes
    wants: Sequence[Sequence[Want]]
    """The numbers of next tokens that each prompt's reads need."""
    sites: Sequence[Site]
    """Where activations are captured."""
    clean: bool
    """Whether each prompt is also read without a change."""

    @property
    def model(self) -> Pretrained:
        """The model that reads."""
        return self.changes.model

    @property
    def count(self) -> int:
        """The number of edits under which each prompt is read."""
        return len(self.changes.variants)

    def batches(self) -> Iterator[tuple[list[int], range]]:
        """Prompts of similar length, and the edits under which they share a pass; few enough to
        keep what is captured in memory."""
        sequences = self._sequences(range(len(self.changes.prompts)))
        longest = max(len(self.changes.prompts[p].tokens) + len(c) for p, c in sequences)
        numbers = longest * read_sizes(self.model.folder.config)["d"]
        numbers += captured(self.model, self.sites, longest)
        room = CAPTURED if self.model.device.type == "cpu" else ON_A_DEVICE
        rows = max(1, min(most_rows(self.model), room // numbers))
        count = self.count
        order = sorted(
            range(len(self.changes.prompts)), key=lambda p: len(self.changes.prompts[p].tokens)
        )
        size = max(1, rows // count)
        for begin in range(0, len(order), size):
            for first in range(0, count, rows):
                yield order[begin : begin + size], range(first, min(first + rows, count))

    def _sequences(self, prompts: Iterable[int]) -> list[tuple[int, tuple[int, ...]]]:
        """Each of these prompts with each continuation that is needed, the prompt alone first. A
        continuation that is the beginning of another is left out, since later tokens do not change
        earlier ones, unless the model changes with the length of the text."""
        sequences = []
        for p in prompts:
            every = dict.fromkeys([(), *(w.continuation for w in self.wants[p])])
            sequences += [
                (p, c) for c in every if not any(o != c and self._covers(p, o, c) for o in every)
            ]
        return sequences

    def _covers(self, p: int, longer: tuple[int, ...], shorter: tuple[int, ...]) -> bool:
        """Whether a pass with one continuation includes that with a shorter one."""
        n = len(self.changes.prompts[p].tokens)
        same = self.model.regime(n + len(longer)) == self.model.regime(n + len(shorter))
        return same and longer[: len(shorter)] == shorter

    def given(self, prompts: Sequence[int], variants: range) -> Given:
        """Run some prompts under some edits, and without a change if that is needed."""
        sequences = self._sequences(prompts)
        its = slice(variants.start, variants.stop)
        key = self.changes.known_by
        untouched: list[Edits] = [{}] if self.clean else []
        traces = once(
            key and (*key, self.clean, sequences, variants, self.sites),
            lambda: run_many(
                self.model,
                [[*self.changes.prompts[p].tokens, *c] for p, c in sequences],
                [
                    [*(self._on(e, p, c) for e in self.changes.edits[p][its]), *untouched]
                    for p, c in sequences
                ],
                capture=self.sites,
            ),
        )
        rows, row_prompts = list[Rows](), list[int]()
        acts: dict[int, list[Mapping[Site, torch.Tensor]]] = {}
        for (p, continuation), traced in zip(sequences, traces, strict=True):
            if p not in acts and self._covers(p, continuation, ()):
                acts[p] = [_cut(t.acts, len(self.changes.prompts[p].tokens)) for t in traced]
            groups: dict[tuple[int, Site | None, Site | None], list[Want]] = {}
            for want in self.wants[p]:
                if self._covers(p, continuation, want.continuation):
                    place = want.position, want.site, want.untouched_site
                    groups.setdefault(place, []).append(want)
            for (position, site, untouched_site), wants in groups.items():
                final = self._unembedded_at(traced, site, position)
                end = final
                if untouched_site != site:
                    end = self._unembedded_at(traced, untouched_site, position)
                first = end[-1:] if self.clean else end[:1]
                rows.append(Rows(final[: len(variants)], first, end[: len(variants)], tuple(wants)))
                row_prompts.append(p)
        return Given(prompts, rows, row_prompts, acts)

    def _unembedded_at(
        self, traced: Sequence[Trace], site: Site | None, position: int
    ) -> Float[torch.Tensor, "v d"]:
        """The input of the unembedding at a token; by the logit lens if a site is named."""
        vectors = [_vector(t, site, position) for t in traced]
        if len({x.data_ptr() for x in vectors}) == 1:  # before the first block edited
            vectors = vectors[:1]
        x = torch.stack(vectors)
        return next_tokens.lensed(self.model, x) if site else x

    def _on(self, edits: Edits, p: int, continuation: tuple[int, ...]) -> Edits:
        """The edits of a prompt with a continuation, as when the model writes it."""
        n = len(self.changes.prompts[p].tokens)
        return continued(edits, n, n + len(continuation)) if continuation else edits

    def written(self, limit: int, scored: bool, temperature: float = 0.0) -> dict[Pair, Written]:
        """What the model writes after each prompt under each edit, and, if `scored`, the loss of
        each token under the unchanged model. Sampling depends only on the seed and the prompt, so
        that it is the same under each edit."""
        written: dict[Pair, tuple[int, ...]] = {}
        prompts = enumerate(self.changes.prompts)
        texts = {(p, v): prompt.tokens for p, prompt in prompts for v in range(self.count)}
        same: dict[Pair, Pair] = {}  # edits that no seed changes are written once
        for p, v in texts if not temperature else ():
            edits = self.changes.edits[p]
            same[p, v] = p, next(k for k in range(v + 1) if edits[k] is edits[v])
        texts = {pair: text for pair, text in texts.items() if same.get(pair, pair) == pair}
        for batch in _of_one_length(texts):
            tokens = torch.tensor([texts[pair] for pair in batch], device=self.model.device)
            edits = [self.changes.edits[p][v] for p, v in batch]
            seed_texts = [f"{self.changes.variants[v][0]} {[*texts[p, v]]}" for p, v in batch]
            seeds = [int.from_bytes(sha256(name.encode()).digest()[:6]) for name in seed_texts]
            ids = self.model.generate(
                tokens, edits=edits, new=limit, temperature=temperature, seeds=seeds
            )
            written |= {pair: tuple(new) for pair, new in zip(batch, ids, strict=True)}
        written |= {pair: written[other] for pair, other in same.items()}
        losses = self._losses(written) if scored else {}
        return {pair: Written(new, losses.get(pair, ())) for pair, new in written.items()}

    def _losses(self, written: Mapping[Pair, tuple[int, ...]]) -> dict[Pair, tuple[float, ...]]:
        """The loss of each written token under the unchanged model."""
        texts = {(p, v): (*self.changes.prompts[p].tokens, *new) for (p, v), new in written.items()}
        losses: dict[Pair, tuple[float, ...]] = {}
        for batch in _of_one_length(texts):
            tokens = torch.tensor([texts[pair] for pair in batch], device=self.model.device)
            for pair, row in zip(batch, self.model.losses(tokens).tolist(), strict=True):
                losses[pair] = tuple(row[len(row) - len(written[pair]) :])
        return losses


def _vector(trace: Trace, site: Site | None, position: int) -> Float[torch.Tensor, " d"]:
    """The activation of a site at a token; without a site the input of the unembedding."""
    x = trace.acts[site] if site else trace.final
    assert x is not None
    return x[0, position]


def _cut(acts: Mapping[Site, torch.Tensor], length: int) -> dict[Site, torch.Tensor]:
    """The activations of sites on the first tokens of a sequence."""
    return {
        site: x[0, :, :length, :length] if "q" in site.dims.split() else x[0, :length]
        for site, x in acts.items()
    }


def _of_one_length(texts: Mapping[Pair, Sequence[int]]) -> Iterator[tuple[Pair, ...]]:
    """Batches of texts with equally many tokens, by their keys, the shortest first."""

    def length(pair: Pair) -> int:
        return len(texts[pair])

    for _, group in itertools.groupby(sorted(texts, key=length), key=length):
        while batch := tuple(itertools.islice(group, WRITING)):
            yield batch


def once(about: Any, run: Callable[[], Traces]) -> Traces:
    """Give the cached result of a pass, otherwise run it.

    Args:
        about: everything that determines the result, by its repr; None: it is not cached.
        run: the pass.
    """
    if about is None:
        return run()
    key, memory = sha256(repr(about).encode()).hexdigest(), _known()
    memory[key] = traces = memory.pop(key) if key in memory else run()  # the last one used is last
    while sum(map(_bytes, memory.values())) > MOST:
        memory.pop(next(iter(memory)))
    return traces


@cache
def _known() -> dict[str, Traces]:
    """Cached results by their key; cleared when memory is released."""
    return {}


def _bytes(traces: Traces) -> int:
    tensors = [x for row in traces for t in row for x in (t.final, *t.acts.values())]
    storages = [x.untyped_storage() for x in tensors if x is not None]
    return sum({s.data_ptr(): s.nbytes() for s in storages}.values())
