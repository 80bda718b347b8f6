"""The method of mamba-induction: what one run is, how it is trained, and what patches do to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Gt

from assay.core import PerRun, Runs, Spec, descent, fit, probes, warm_up_decay
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained, watched
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.subjects.site import Site
from assay.train import rng
from assay_catalogue.data.recall import locate_queries, recall

if TYPE_CHECKING:
    from assay_catalogue.subjects.mamba import Shape

TESTED, PATCHED = 256, 96
"""Sequences on which errors are counted, and on which activations are exchanged."""
KEPT = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 1.0)
"""After these shares of a training its parameters are kept."""
RATE = 0.01
"""The rate at which the states of a training are looked at: the best of most seeds."""
CURVE = 60
"""Points of a loss curve."""
WRITE = {"write at the value": 0, "write 1 later": 1, "write 2 later": 2, "write 3 later": 3}
CONV = {"conv at the value": 0, "conv at the key": -1, "conv 1 later": 1, "conv 2 later": 2}
"""What is exchanged in the two experiments, and how far from the value it lies; further off nothing
sees the token that differs."""


@dataclass(frozen=True, kw_only=True)
class MambaInduction(Spec):
    keys: Annotated[int, Ge(2)] = 32
    """Tokens that are keys; more than half as many as channels, or the gate can do what selection
    is for."""
    values: Annotated[int, Ge(2)] = 32
    """Tokens that are values."""
    pairs: Annotated[int, Ge(3)] = 3
    """Pairs in a sequence, each asked for once."""
    layers: Annotated[int, Ge(1)] = 1
    """Blocks."""
    d: Annotated[int, Ge(1)] = 64
    """Width of the residual stream."""
    channels: Annotated[int, Ge(1)] = 64
    """Channels of a block's scan."""
    state: Annotated[int, Ge(1)] = 16
    """Numbers in a channel's state."""
    conv: Annotated[int, Ge(0)] = 4
    """Positions that the short convolution reads; 0 for none."""
    selective: bool = True
    """Whether Δ, B and C follow from the tokens; else they are learned constants."""
    steps: Annotated[int, Ge(0)] = 800
    """Training steps; 0 leaves the network untrained."""
    batch: Annotated[int, Ge(1)] = 32
    """Sequences a step, drawn fresh."""
    lr: PerRun[Annotated[float, Gt(0)]] = 0.01
    """Adam's learning rate at its top: 50 steps of warm-up, linear decay to 0 over the second
    half."""

    chains: Annotated[int, Ge(0)] = 0
    """Langevin chains at each state of a training that was kept; 0 where none are run."""
    samples: Annotated[int, Ge(2)] = 1000
    """Data points n of the chains' inverse temperature n/ln n."""
    localisation: Annotated[float, Ge(0)] = 1000.0
    """The pull that holds a chain to where it started."""
    step: Annotated[float, Gt(0)] = 1e-4
    """A chain's step."""
    draws: Annotated[int, Ge(20)] = 100
    """Steps of a chain, the first half of which do not count."""

    def check(self) -> None:
        """Raise SpecError where there are fewer keys than patches need, or values."""
        if min(self.keys, self.values) <= self.pairs:
            raise SpecError(
                f"MambaInduction: keys={self.keys} and values={self.values} must both be more "
                f"than pairs={self.pairs}"
            )


def shape_of(s: MambaInduction) -> Shape:
    """The Mamba that a spec asks for."""
    from assay_catalogue.subjects.mamba import Shape

    return Shape(
        layers=s.layers,
        d=s.d,
        channels=s.channels,
        state=s.state,
        rank=max(1, s.d // 16),
        vocab=s.keys + s.values,
        conv=s.conv,
        selective=s.selective,
        tied=False,
    )


def draw_sequences(runs: Runs[MambaInduction], stream: str, step: int, batch: int) -> torch.Tensor:
    """Sequences [run, b, s] of the task, by each run's seed."""

    s = runs.shared
    return torch.from_numpy(
        recall(
            runs.seeds,
            f"mamba-induction.{stream}",
            step,
            batch=batch,
            keys=s.keys,
            values=s.values,
            pairs=s.pairs,
        )
    )


def train(runs: Runs[MambaInduction], bench: Bench) -> Trained:
    """Train by cross-entropy at the answers alone; the parameters after `moments` steps are kept
    besides."""
    from assay_catalogue.worlds.networks.mamba import start

    s = runs.shared
    group = descent(
        runs,
        start(runs.seeds, shape_of(s), std=1.0),
        answer_loss,
        lr=runs.each("lr"),
        schedule=warm_up_decay(s.steps, 50, 0.5),
        clip=1.0,
        betas=(0.9, 0.99),
    )
    group = watched(group, tuple(shape_of(s).parameters()), moments(s.steps))
    return fit(
        [group],
        lambda step: draw_sequences(runs, "train", step, s.batch),
        steps=s.steps,
        probe_at=probes(s.steps, CURVE),
        bench=bench,
    )[0]


def moments(steps: int) -> list[int]:
    """The steps of a training after which its parameters are kept."""
    return sorted({max(1, round(share * steps)) for share in KEPT}) if steps else []


def answer_loss(params: Mapping[str, torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
    """[run]: the mean cross-entropy at the answers, in nats; the last token answers and is not
    read."""

    from assay_catalogue.subjects.mamba import forward

    positions = locate_queries(tokens.shape[-1] // 4)
    logits = forward(params, tokens[:, :, :-1])[0][:, :, positions]
    answers = tokens[:, :, 1:][:, :, positions]
    return (
        torch.nn.functional.cross_entropy(logits.flatten(0, 2), answers.flatten(), reduction="none")
        .view(len(tokens), -1)
        .mean(1)
    )


def measure(runs: Runs[MambaInduction], trained: Trained, bench: Bench) -> xr.Dataset:
    """Errors on fresh sequences, one set to choose the rate by and one to judge; what patches
    restore; how exact hidden attention is."""
    params, coords = trained.to("cpu").tensors, {}  # a block or two on some hundred sequences
    with torch.no_grad():
        variables = {
            "error": ("run", errors(runs, params, "test"), "share"),
            "held_out": ("run", errors(runs, params, "choice"), "share"),
        }
        restored = exchanged(runs, params)
        variables["restored"] = ("run patch", np.stack(list(restored.values()), 1), "share")
        variables["deviation"] = (
            "run",
            deviation(params, draw_sequences(runs, "test", 0, 8)),
            "relative",
        )
    if trained.history:
        variables["loss"], coords["step"] = (
            ("run step", np.round(trained.history["loss"], 4), "nats"),
            trained.steps.tolist(),
        )
    return measures(runs, coords={"patch": list(restored), **coords}, **variables)


def errors(runs: Runs[MambaInduction], params: dict[str, torch.Tensor], stream: str) -> np.ndarray:
    """[run]: share of answers that are wrong, half an answer counted as wrong and half as right
    besides: no log of 0."""
    from assay_catalogue.subjects.mamba import forward

    tokens, positions = draw_sequences(runs, stream, 0, TESTED), locate_queries(runs.shared.pairs)
    wrong = (
        forward(params, tokens)[0][:, :, positions].argmax(-1) != tokens[:, :, 1:][:, :, positions]
    ).flatten(1)
    return ((wrong.sum(1).double() + 0.5) / (wrong.shape[1] + 1)).numpy()


def exchanged(runs: Runs[MambaInduction], params: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """{what is exchanged: [run]}: how much of a donor sequence's answer is restored by its
    activations at these places alone.

    Twice a sequence and a donor that differ in one token of a pair, and whose first question is
    about it. In the first they differ in the value; the answer is told by the logit of the donor's
    value less that of the own. In the second they differ in the key, and both are asked for the
    donor's: the answer is told by the logit of the pair's value less the mean of the others'.

    Formula: Σ (patched − own)(donor − own) / Σ (donor − own)², over sequences
    """

    from assay_catalogue.subjects.mamba import forward

    s = runs.shared
    sequences = draw_sequences(runs, "patch", 0, PATCHED)
    pair = drawn_pair(runs)
    question, values = 2 * s.pairs, sequences[:, :, 1 : 2 * s.pairs : 2]
    other_key, other_value = (
        unused(sequences, first, count) for first, count in ((0, s.keys), (s.keys, s.values))
    )
    sequences = sequences[:, :, : question + 1]
    rows = torch.arange(sequences.shape[0])[:, None], torch.arange(sequences.shape[1])[None]
    place, last = 2 * pair + 1, Site("write", s.layers - 1)

    def with_token(
        tokens: torch.Tensor, position: torch.Tensor | int, token: torch.Tensor
    ) -> torch.Tensor:
        out = tokens.clone()
        out[(*rows, torch.as_tensor(position).expand_as(token))] = token
        return out

    def compared(
        site: Site,
        receiver: torch.Tensor,
        donor: torch.Tensor,
        answer: Callable[[torch.Tensor], torch.Tensor],
        offsets: dict[str, int],
    ) -> dict[str, np.ndarray]:
        (plain, _), (theirs, acts) = (
            forward(params, receiver),
            forward(params, donor, capture=[site]),
        )
        base, whole = answer(plain[:, :, -1]), answer(theirs[:, :, -1])
        out = {}
        for name, offset in offsets.items():
            mask = torch.zeros(receiver.shape, dtype=torch.bool)
            mask[(*rows, place + offset)] = True

            def put(x: torch.Tensor, mask: torch.Tensor = mask) -> torch.Tensor:
                return torch.where(mask.view(*mask.shape, *[1] * (x.ndim - 3)), acts[site], x)

            patched = answer(forward(params, receiver, edits={site: put})[0][:, :, -1])
            out[name] = (
                (
                    ((patched - base) * (whole - base)).sum(1)
                    / (whole - base).square().sum(1).clamp_min(1e-12)
                )
                .double()
                .numpy()
            )
        return out

    own_value = values.gather(2, pair[:, :, None])[:, :, 0]
    asked_for_it = with_token(
        sequences, question, sequences.gather(2, (2 * pair)[:, :, None])[:, :, 0]
    )

    def swapped(logits: torch.Tensor) -> torch.Tensor:
        return logits[(*rows, other_value)] - logits[(*rows, own_value)]

    restored = compared(
        last, asked_for_it, with_token(asked_for_it, place, other_value), swapped, WRITE
    )
    if not s.conv:
        return restored
    rival_values = values.scatter(2, pair[:, :, None], -1)

    def bound(logits: torch.Tensor) -> torch.Tensor:
        is_rival = (rival_values >= 0) & (rival_values != own_value[:, :, None])
        mean = (logits.gather(2, rival_values.clamp_min(0)) * is_rival).sum(2) / is_rival.sum(
            2
        ).clamp_min(1)
        return logits[(*rows, own_value)] - mean

    asked_for_other = with_token(sequences, question, other_key)
    donor = with_token(asked_for_other, place - 1, other_key)
    return restored | compared(Site("conv", s.layers - 1), asked_for_other, donor, bound, CONV)


def drawn_pair(runs: Runs[MambaInduction]) -> torch.Tensor:
    """[run, b]: which pair of a sequence is exchanged, none of the last two: a convolution over
    four tokens sees these at the question."""

    return torch.from_numpy(
        rng.integers(runs.seeds, "mamba-induction.pair", 0, (PATCHED,), runs.shared.pairs - 2)
    )


def unused(tokens: torch.Tensor, first: int, count: int) -> torch.Tensor:
    """[run, b]: the first of `count` tokens from `first` on that a sequence does not have, counted
    from one that moves with the row."""
    is_present = torch.zeros(*tokens.shape[:2], first + count, dtype=torch.bool).scatter(
        2, tokens.clamp_max(first + count - 1), True
    )
    start = torch.arange(tokens.shape[1]) % count
    turned = first + (start[:, None] + torch.arange(count)) % count  # [b, count]
    free = ~is_present.gather(2, turned.expand(len(tokens), -1, -1))
    return turned.expand(len(tokens), -1, -1).gather(2, free.int().argmax(2, keepdim=True))[:, :, 0]


def deviation(params: dict[str, torch.Tensor], tokens: torch.Tensor) -> np.ndarray:
    """[run]: largest difference of the last block's scan from its hidden attention times its
    values, relative to the largest output."""

    from assay_catalogue.subjects.mamba import decay, forward
    from assay_catalogue.subjects.selective_scan import hidden_attention

    last = params["W_in"].shape[1] - 1
    sites = {kind: Site(kind, last) for kind in ("delta", "B", "C", "ssm_in", "ssm_out")}
    acts = forward(params, tokens, capture=list(sites.values()))[1]
    delta, B, C, u, y = (acts[site] for site in sites.values())
    alpha = hidden_attention(delta, decay(params["A_log"][:, last]), B, C, D=params["D"][:, last])
    error = (torch.einsum("rbcts,rbsc->rbtc", alpha, u) - y).abs()
    return (error.flatten(1).amax(1) / y.abs().flatten(1).amax(1)).double().numpy()
