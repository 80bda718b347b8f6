"""What splicing costs a language model: cross-entropy and KL per token, compared with zero, mean
and resample ablation.

Everything is measured on the same predictions, with the same positions replaced: clean, spliced and
every ablation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.measuring.measures import ABLATIONS, Ablation
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.subject import ROWS, Trace, cached_rows
from assay.train import rng


@dataclass(frozen=True, eq=False)
class Passage:
    """Windows of text with their activations at a site, and the positions that may be replaced.

    Massive activations (`keep` False) stay as they are: a dictionary was never trained on them.
    """

    tokens: Int[torch.Tensor, "w s"]
    acts: Float[torch.Tensor, "w s d"]
    keep: Bool[torch.Tensor, "w s"]
    inputs: Float[torch.Tensor, "w s d_in"] | None = None
    """What a transcoder reads; None: the activations themselves."""
    before: Float[torch.Tensor, "w s d"] | None = None
    """The residual stream before the site's block, where a run may start; None: not known."""


@dataclass(frozen=True, eq=False)
class Donors:
    """What an ablation puts in place of an activation: the mean, or the activation of another token
    drawn by lot.

    The draw depends on the seed and on the number of the window alone, so every dictionary, and any
    cutting into batches, is measured against the same replacements. Take donors from other text
    than is measured, and no token gets its own back."""

    mean: Float[torch.Tensor, " d"]
    rows: Float[torch.Tensor, "p d"]
    seed: int = 0

    @classmethod
    def of(cls, rows: Float[torch.Tensor, "p d"], seed: int = 0) -> Donors:
        """Donors that are these rows, and their mean."""
        if rows.ndim != 2 or len(rows) < 2:
            raise DataError(f"donors must be at least two rows [p, d], got {list(rows.shape)}")
        return cls(rows.double().mean(0).to(rows), rows, seed)

    def put(
        self, ablation: Ablation, acts: Float[torch.Tensor, "w s d"], first: int = 0
    ) -> Float[torch.Tensor, "w s d"]:
        """The replacement of `acts`, for windows numbered from `first` on."""
        if acts.shape[-1] != self.rows.shape[-1]:
            raise DataError(
                f"donors are {self.rows.shape[-1]} wide, the activations {acts.shape[-1]}"
            )
        match ablation:
            case "zero":
                return torch.zeros_like(acts)
            case "mean":
                return self.mean.to(acts).expand_as(acts)
            case "resample":
                count, seed = acts.shape[1], np.array([self.seed])
                row_indices = [
                    rng.integers(seed, "splice.resample", first + w, (count,), len(self.rows))[0]
                    for w in range(len(acts))
                ]
                return self.rows[torch.from_numpy(np.stack(row_indices)).to(self.rows.device)].to(
                    acts
                )
        raise DataError(f"no ablation {ablation!r}; known: {', '.join(ABLATIONS)}")


def capture(
    subject: Pretrained,
    site: Site,
    tokens: Int[torch.Tensor, "w s"],
    keep: Bool[torch.Tensor, "w s"] | None = None,
    reads: Site | None = None,
    also: Sequence[Site] = (),
    logits: bool = True,
) -> tuple[Passage, Trace]:
    """A passage of these windows, and the clean run that it was captured from, with the activations
    at the sites `also` asks for; without `logits` it ends at the last site.

    `keep` says which positions may be replaced (default: all); `reads` is where a transcoder's
    input is, if not at `site`."""
    reads = site if reads is None else reads
    block = (
        None
        if site.layer is None or site.kind.startswith("resid_p")
        else Site("resid_pre", site.layer)
    )
    sites = [s for s in {site, reads, block, *also} if s is not None]
    trace = subject.run(tokens, capture=sites, logits=logits)
    acts, inputs = (trace.acts[s].flatten(2).float() for s in (site, reads))
    keep = torch.ones(acts.shape[:2], dtype=torch.bool) if keep is None else torch.as_tensor(keep)
    before = None if block is None else trace.acts[block]
    return Passage(
        trace.tokens, acts, keep.to(acts.device), inputs if reads != site else None, before
    ), trace


def spliced_run(
    subject: Pretrained,
    site: Site,
    passage: Passage,
    new: Float[torch.Tensor, "w s d"],
    *,
    also: Sequence[Site] = (),
    gradients: bool = False,
) -> Trace:
    """A run with the kept positions' activations replaced by `new`; blocks before the site are not
    run again where that is known.

    It has the activations at the sites `also` asks for; with `gradients` it can be differentiated
    by `new`."""
    mixed = torch.where(passage.keep[..., None], new.to(passage.acts), passage.acts)
    if site.layer is not None:
        first = site.layer + (site.kind == "resid_post")
        if site.kind.startswith("resid_p") and first < subject.layers:
            return subject.run(
                passage.tokens, start=(first, mixed), capture=also, gradients=gradients
            )
    start = None if passage.before is None or site.layer is None else (site.layer, passage.before)
    edits = {site: lambda x: mixed.reshape(x.shape)}
    return subject.run(passage.tokens, edits=edits, start=start, capture=also, gradients=gradients)


def spliced_runs(
    subject: Pretrained,
    site: Site,
    passage: Passage,
    news: Iterable[Float[torch.Tensor, "w s d"]],
    most: int,
) -> Iterator[Trace]:
    """A run with the kept positions' activations replaced, for each of these; one pass takes as
    many as make up `most` windows."""
    news, at_once = iter(news), max(1, most // len(passage.tokens))
    while chunk := list(islice(news, at_once)):
        parts = (passage.tokens, passage.acts, passage.keep, passage.inputs, passage.before)
        # None for None
        many = Passage(*(None if x is None else torch.cat([x] * len(chunk)) for x in parts))  # type: ignore[arg-type]
        trace = spliced_run(subject, site, many, torch.cat(chunk))
        assert trace.final is not None
        yield from (
            Trace(passage.tokens, {}, final, trace.head) for final in trace.final.chunk(len(chunk))
        )


def compare(
    clean: Trace, variants: Sequence[Trace]
) -> tuple[Float[torch.Tensor, "1+v w s-1"], Float[torch.Tensor, "v w s-1"]]:
    """Cross-entropy of the clean run and of each other, and KL(clean ‖ other), in nats, at every
    prediction of a next token.

    Logits are held for a few rows at a time, of the clean run and one other; the clean run's
    log-probabilities are computed once."""
    assert clean.final is not None and clean.head is not None
    finals = [_predicting(trace) for trace in (clean, *variants)]
    target = clean.tokens[:, 1:].flatten()
    ce = torch.zeros(1 + len(variants), len(target), dtype=torch.float64, device=target.device)
    kl = torch.zeros(len(variants), len(target), dtype=torch.float64, device=target.device)
    with torch.no_grad():
        logits = _Logits(clean.head)
        for a in range(0, len(target), ROWS):
            rows = slice(a, a + ROWS)
            of_clean = [*_log_probs(logits(finals[0][rows]))]  # worked out once, for all runs
            ce[0, rows] = torch.cat(
                [
                    _surprise(log_p, t)
                    for log_p, t in zip(of_clean, target[rows].split(len(of_clean[0])), strict=True)
                ]
            )
            for v, final in enumerate(finals[1:]):
                ce[1 + v, rows], kl[v, rows] = _against(of_clean, logits(final[rows]), target[rows])
    shape = clean.tokens[:, 1:].shape
    return ce.unflatten(1, shape), kl.unflatten(1, shape)


def _predicting(trace: Trace) -> Float[torch.Tensor, "t d"]:
    """What the unembedding reads at the positions that predict a next token, windows one after the
    other."""
    assert trace.final is not None
    return trace.final[:, :-1].flatten(0, 1)


class _Logits:
    """An unembedding that writes into one array again and again: a fresh one of 50 MB takes a sixth
    of the product's time."""

    def __init__(self, head: Callable[[torch.Tensor], torch.Tensor]):
        self.head, self.array = head, torch.empty(0)

    def __call__(self, x: Float[torch.Tensor, "t d"]) -> Float[torch.Tensor, "t v"]:
        if not isinstance(self.head, torch.nn.Linear) or self.head.bias is not None:
            return self.head(x)
        if len(self.array) < len(x):
            self.array = x.new_empty(len(x), self.head.out_features)
        return torch.mm(x, self.head.weight.T, out=self.array[: len(x)])


def nats(
    true: Float[torch.Tensor, "t v"],
    other: Float[torch.Tensor, "t v"],
    target: Int[torch.Tensor, " t"],
) -> tuple[Float[torch.Tensor, " t"], Float[torch.Tensor, " t"]]:
    """Cross-entropy of `other` and KL(true ‖ other) of each row of logits."""
    return _against(_log_probs(true), other, target)


def _log_probs(logits: Float[torch.Tensor, "t v"]) -> Iterator[Float[torch.Tensor, "few v"]]:
    """Log-probabilities, a few rows at a time."""
    for z in logits.split(cached_rows(logits.shape[1])):
        yield z.float().log_softmax(-1)


def _against(
    clean: Iterable[torch.Tensor],
    other: Float[torch.Tensor, "t v"],
    target: Int[torch.Tensor, " t"],
) -> tuple[Float[torch.Tensor, " t"], Float[torch.Tensor, " t"]]:
    ce, kl, few = [], [], cached_rows(other.shape[1])
    for log_p, log_q, t in zip(clean, _log_probs(other), target.split(few), strict=True):
        ce.append(_surprise(log_q, t))
        kl.append(torch.linalg.vecdot(log_p.exp(), log_p - log_q).double())
    return torch.cat(ce), torch.cat(kl)


def _surprise(
    log_p: Float[torch.Tensor, "t v"], target: Int[torch.Tensor, " t"]
) -> Float[torch.Tensor, " t"]:
    return -log_p.gather(1, target[:, None])[:, 0].double()
