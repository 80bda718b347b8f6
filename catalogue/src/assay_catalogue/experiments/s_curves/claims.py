"""What s-curves claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from assay.core import (
    Arms,
    Claim,
    Estimate,
    Exact,
    Figure,
    Gate,
    OneTerm,
    Value,
    by,
    figure,
)
from assay.core.claims import same_method
from assay.core.heavy import torch, xr
from assay_catalogue.experiments.s_curves.method import DEPTH, LEFT, PROMINENCES, SHARE
from assay_catalogue.worlds.linear import factors
from assay_catalogue.worlds.linear.factors import generalised_kl, raw_cross_entropy, row_kl

POST = "Jermyn & Shlegeris 2022, Multi-Component Learning and S-Curves"
COMMENT = "Jermyn 2022, comments on Multi-Component Learning and S-Curves"
OWN = "Assay's own"


def at_rank(name: str, rank: int) -> Value:
    """[run]: a measure at one rank, or at the highest for rank −1."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        return arm[name].isel(rank=-1) if rank == -1 else arm[name].sel(rank=rank)

    return value


def several(rank: int, prominence: float) -> OneTerm:
    """[run]: 1 where at least twice a drop of this prominence is seen at this rank, so that there
    are two plateaus; else 0.

    The higher the prominence, the fewer drops: what is true of at least some runs at the highest is
    true at all, and so is what is true of at most some runs at the lowest.
    """

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        return (arm.drops.sel(rank=rank, prominence=prominence) >= 2).astype(float)

    return value


def hard(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: 1 where a hundredth of the loss or more is left at rank 10; else 0."""
    return (arm.left.sel(rank=10) >= 0.01).astype(float)


def next_rank(low: float, high: float) -> Value:
    """[seed]: by what factor the plateau is shallower at the next rank; the least of all ranks and
    starts from `low` to `high`."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        depth = by(arm, "start").depth
        depth = depth.sel(start=(depth.start >= low) & (depth.start <= high))
        return (
            depth.isel(rank=slice(1, None)).drop_vars("rank")
            / depth.isel(rank=slice(-1)).drop_vars("rank")
        ).min(("start", "rank"))

    return value


def deepening(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: how many times deeper the plateau of rank 1 is from the smallest start than from the
    largest."""
    depth = by(arm, "start").depth.sel(rank=1)
    return depth.isel(start=-1, drop=True) / depth.isel(start=0, drop=True)


def against_theory(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: steps to half the loss at rank 1, over what the scalar solution says."""
    return arm.t50.sel(rank=1) / arm.predicted


def stretch(name: str, rank: int = 1) -> Callable[[Arms], xr.DataArray]:
    """[run]: an arm's steps to a tenth of the loss over those to nine tenths; the sharper the drop,
    the nearer to 1."""
    return lambda arms: arms[name].t10.sel(rank=rank) / arms[name].t90.sel(rank=rank)


def finding(name: str, measured: Callable[[int], Value], rank: int) -> Callable[[Arms], Any]:
    """The value of an Estimate: a measure of one arm at one rank."""
    return lambda arms: measured(rank)(arms[name], arms)


def scalar_error(arms: Arms) -> list[float]:
    """Largest deviation of small steps on ½(σ − u²)² from the closed form, as a share of σ, at σ =
    1 and u₀ = 0.01, 0.1, 0.3."""
    worst = []
    for u in (0.01, 0.1, 0.3):
        path = [u]
        for _ in range(12_000):
            path.append(path[-1] + 1e-3 * (1 - path[-1] ** 2) * path[-1])
        worst.append(
            np.abs(np.square(path) - factors.rank_one(np.arange(12_001) * 1e-3, 1.0, path[0])).max()
        )
    return worst


def free_error(arms: Arms) -> float:
    """Largest deviation of the free matrices' losses from L₀(1 − η)^{2t}, as a share of L₀, over
    all runs and steps shown."""
    free = arms["free"]
    rate = (free.lr / (free.attrs["n"] * free.attrs["scale"])).values[:, None, None]
    return float(np.abs(free.curve - factors.free_matrix(free.time.values, 1.0, rate)).max())


def free_depths(arms: Arms) -> list[float]:
    """Least and greatest plateau depth of the free matrices, over all runs and ranks."""
    depth = arms["free"].depth.values
    return [float(depth.min()), float(depth.max())]


def open_question(arms: Arms) -> list[float]:
    """Raw −ΣC ln Z at Z = C and at 2C, generalised KL at Z = 1 and at C, for C = ((.5, 1), (2,
    .1))."""

    C = torch.tensor([[[0.5, 1.0], [2.0, 0.1]]], dtype=torch.float64)
    cases = [
        (raw_cross_entropy, C),
        (raw_cross_entropy, 2 * C),
        (generalised_kl, torch.ones_like(C)),
        (generalised_kl, C),
    ]
    return [float(make(C)(Z)[0]) for make, Z in cases]


def logits(arms: Arms) -> list[float]:
    """Row KL of softmax C to softmax Z: two rows by hand, then C with another constant added to
    each row."""

    C = torch.tensor([[[1.0, 0.0, -1.0], [2.0, 2.0, 0.0]]], dtype=torch.float64)
    Z = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]], dtype=torch.float64)
    by_row = [float(row_kl(C[:, [i]])(Z[:, [i]])[0]) for i in range(2)]
    return [*by_row, float(row_kl(C)(C + torch.tensor([[[3.0], [-5.0]]]))[0])]


def fallen(*ranks: int) -> Gate:
    """A gate: at these ranks every run has lost half its loss, so that its fastest descent has been
    seen."""
    return Gate(
        "fallen", lambda arm: (arm.left.sel(rank=list(ranks) or arm["rank"].values) <= 0.5).values
    )


DESCENT = {"start": 0.01, "loss": "row-kl", "adam": False, "free": False}
"""Factors under gradient descent on cross-entropy."""
ANY = (
    f"however prominent a drop has to be ({PROMINENCES[0]:g} to {PROMINENCES[-1]:g} of the fastest)"
)
claim = partial(Claim, credits="factors", published="new", source=COMMENT)
"""A claim with what most of them share."""
estimate = partial(Estimate, published="new", source=COMMENT)
"""An estimate with what most of them share."""
CLAIMS = (
    claim(
        "At rank 1 the loss stands before it falls: from a start of 0.2, plateau depth at most 0.1",
        value=at_rank("depth", 1),
        where={"start": 0.2},
        high=0.1,
        scale="log",
        unit=DEPTH,
        must_fail=("rank-ten", "full-rank"),
        near={"rank-ten": "that it is a product of factors, of however many components at once"},
        also={"dealt": same_method("rank 1 as well, its depths dealt out to other starts")},
        empty=1.0,
        gates=(fallen(1),),
        threshold_from="pilot: seeds 0–5; 0.1 was the plan's, for a start of 0.4",
        source=POST,
    ),
    claim(
        "From starts of 0.1 to 0.3, each next rank's plateau is at least 1.5 times shallower: "
        "ranks 1, 2, 10, full",
        value=next_rank(0.1, 0.3),
        low=1.5,
        scale="log",
        unit="ratio of depths",
        must_fail=("dealt", "free"),
        near={"dealt": "that ranks differ, whatever they start from"},
        also={
            "adam": same_method("the same products, by Adam"),
            "ce-full": same_method("the same products under cross-entropy, ranks 1 and full"),
        },
        credits=("factors", "start"),
        empty=1.0,
        gates=(fallen(),),
        threshold_from="pilot: seeds 0–7, least ratios of 2.7 to 9",
        source=POST,
    ),
    claim(
        "A smaller start makes a deeper plateau: at rank 1 at least 25 times deeper from 0.1 "
        "than from 0.5",
        value=deepening,
        low=25.0,
        scale="log",
        unit="ratio of depths",
        must_fail=("full-rank", "free"),
        near={"full-rank": "that the start is small, whatever learns from it"},
        also={
            "rank-ten": same_method("ten components are few as well: the start decides for them")
        },
        credits=("factors", "start"),
        empty=1.0,
        gates=(fallen(1),),
        threshold_from=(
            "theory: the scalar solution's depth is 27/4 u₀²/σ, which is 25 times less for a "
            "fifth of the start"
        ),
        source=POST,
    ),
    claim(
        "One scalar tells when: at rank 1 from 0.1, half the loss is gone within 10 % of the "
        "step that the scalar solution says",
        value=against_theory,
        where={"start": 0.1},
        low=0.9,
        high=1.1,
        scale="log",
        unit="share of the predicted step",
        near={"other-start": "that all starts take about as long"},
        credits=("factors", "start"),
        gates=(fallen(1),),
        threshold_from="theory: the scalar solution; 10 % for what 100 dimensions add",
        source=POST,
    ),
    claim(
        "Under Adam, too, the loss of rank 1 stands before it falls: from a start of 0.1, "
        "plateau depth at most 0.1",
        of="adam",
        value=at_rank("depth", 1),
        where={"start": 0.1, "adam": True},
        high=0.1,
        unit=DEPTH,
        must_fail=("adam-full", "free-adam"),
        near={"adam-full": "that it is a product of factors, of however many components at once"},
        empty=1.0,
        gates=(fallen(1),),
        threshold_from="plan: before anything was trained",
    ),
    claim(
        "It is cross-entropy that does it: with squared error, rank 2 drops once; at most "
        f"0.25 of the seeds drop twice, {ANY}",
        of="small",
        value=several(2, PROMINENCES[0]),
        where={"start": 0.01},
        high=0.25,
        bounds=(0, 1),
        unit=SHARE,
        near={"ce": "that rank two drops twice under any loss"},
        violations=("ce",),
        must_hold=("ce-free",),
        half={"small": "small-half"},
        threshold_from="plan: a quarter at most, if twice is what cross-entropy brings",
    ),
    claim(
        "It is rank two that does it: with cross-entropy, rank 1 drops once; at most 0.25 of "
        f"the seeds drop twice, {ANY}",
        of="ce",
        value=several(1, PROMINENCES[0]),
        where={"start": 0.01},
        high=0.25,
        bounds=(0, 1),
        unit=SHARE,
        near={"ce-two": "that cross-entropy drops twice at any rank"},
        violations=("ce-two",),
        must_hold=("small",),
        half={"ce": "ce-half"},
        threshold_from="plan: a quarter at most, if twice is what rank two brings",
    ),
    claim(
        "Under gradient descent rank 1 drops twice because rows of either sign fall apart: "
        "with rows of one sign, at most 0.25 of the "
        f"seeds drop twice, {ANY}",
        of="one-sign",
        value=several(1, PROMINENCES[0]),
        where=DESCENT,
        high=0.25,
        bounds=(0, 1),
        unit=SHARE,
        near={"ce": "that rank 1 drops once in any case"},
        violations=("two-to-one",),
        half={"one-sign": "one-sign-half"},
        threshold_from="pilot: seeds 0–31, none of 32, against 23 of 32 with both signs",
        source=OWN,
    ),
    claim(
        "Rank 10 is hard for gradient descent: at logit scale 4, at least three quarters of "
        "the seeds leave 0.01 of the loss or more after {steep.steps} steps",
        of="steep",
        value=hard,
        where={"start": 0.01, "loss": "row-kl"},
        low=0.75,
        bounds=(0, 1),
        unit=SHARE,
        near={
            "steep-two": "that targets of this scale are hard, whatever the rank",
            "steep-adam": "that rank 10 is hard for any optimiser",
        },
        threshold_from=(
            "pilot: seeds 3000–3015 of an earlier look, 16 of 16 against 5 of 16 at rank 2; the "
            "0.01 is the plan's"
        ),
    ),
    claim(
        "It is slow there, not stuck: at logit scale 2, four times the steps leave at most 0.001",
        of="ce-long",
        value=at_rank("left", 10),
        where=DESCENT | {"scale": 2.0},
        high=1e-3,
        scale="log",
        unit=LEFT,
        near={"ce": "that no more time is needed"},
        threshold_from="pilot: seeds 0–7, 4e-6 after 10,000 steps, 7e-3 after 2,500",
        source=OWN,
    ),
    claim(
        "Nothing need be normalised if the loss is generalised KL: Z ends within 0.1 of C",
        of="generalised",
        value=at_rank("off", 10),
        where={"positive": "ab"},
        high=0.1,
        scale="log",
        unit="share of the target's norm",
        must_fail=("raw", "normalised"),
        near={"normalised": "that it is normalising which lets positive matrices be learned"},
        threshold_from="pilot: seeds 0–11, 3e-4 to 5e-3 against 0.69 to 0.75",
    ),
    Exact(
        "A scalar learned as a product follows u² = σ/(1 + (σ/u₀² − 1) e^{−2σt}): largest "
        "error at u₀ = 0.01, 0.1, 0.3",
        value=scalar_error,
        expected=[0.0, 0.0, 0.0],
        tolerance=0.01,
        unit="share of σ",
        source="gradient flow, solved",
    ),
    Exact(
        "A free matrix falls as L₀(1 − η)^{2t}: largest error of all runs and steps",
        value=free_error,
        tolerance=1e-5,
        unit=LEFT,
        source="gradient descent on a parabola",
    ),
    Exact(
        "So it falls fastest at once and has no plateau: least and greatest depth of all runs "
        "and ranks",
        value=free_depths,
        expected=[1.0, 1.0],
        tolerance=1e-6,
        unit=DEPTH,
        source="gradient descent on a parabola",
    ),
    Exact(
        "Raw −ΣC ln Z is lower at 2C than at C, generalised KL is 0 at C: the four numbers "
        "for C = ((.5, 1), (2, .1))",
        value=open_question,
        expected=[-0.809462, -3.304791, 1.209462, 0.0],
        tolerance=2e-6,
        unit="nats",
        source="by hand",
    ),
    Exact(
        "Logits need no normalising: KL of two rows by hand, and 0 for C with a constant "
        "added to each row",
        value=logits,
        expected=[0.266217, 0.444924, 0.0],
        tolerance=1e-6,
        unit="nats",
        source="by hand",
    ),
    *[
        estimate(
            f"Plateau depth at {'full rank' if rank == -1 else f'rank {rank}'} from a start "
            "of 0.4, gradient descent on squared error",
            value=finding("main", lambda r: at_rank("depth", r), rank),
            where={"start": 0.4},
            unit=DEPTH,
            source=POST,
        )
        for rank in (1, 2, 10, -1)
    ],
    estimate(
        "From starts of 0.4 and 0.5, the least ratio of a next rank's plateau; it is 1 where "
        "both ranks are steepest at once",
        value=lambda arms: next_rank(0.4, 0.5)(arms["main"], arms),
        unit="ratio of depths",
        source=POST,
    ),
    estimate(
        "Plateau depth at full rank from a start of 0.3, gradient descent on cross-entropy",
        value=finding("ce-full", lambda r: at_rank("depth", r), -1),
        unit=DEPTH,
    ),
    estimate(
        "Un-normalised cross-entropy has no least value and runs below that at Z = C: loss "
        "left at rank 10",
        value=finding("raw", lambda r: at_rank("left", r), 10),
        unit=LEFT,
    ),
    *[
        estimate(
            f"Share of seeds with two drops or more at rank {rank}, a drop at least {p:g} of "
            f"the fastest: {label}",
            value=lambda arms, name=name, rank=rank, p=p: several(rank, p)(arms[name], arms),
            unit=SHARE,
            natural=(0, 1),
        )
        for name, rank, label in (
            ("ce", 2, "cross-entropy"),
            ("ce", 1, "cross-entropy"),
            ("small", 2, "squared error"),
        )
        for p in PROMINENCES
    ],
    estimate(
        "Steps to a tenth over steps to nine tenths of the loss, rank 1 from 0.1: gradient descent",
        value=stretch("main"),
        where={"start": 0.1},
        unit="ratio",
    ),
    estimate(
        "The same under Adam",
        value=stretch("adam"),
        where={"start": 0.1},
        unit="ratio",
    ),
    *[
        estimate(
            f"Share of seeds with two drops or more under Adam, cross-entropy at rank {rank}",
            value=finding("ce-adam", lambda r: several(r, 0.05), rank),
            unit=SHARE,
            natural=(0, 1),
        )
        for rank in (1, 2)
    ],
    estimate(
        "Share of the loss left at rank 2 at logit scale 4, for comparison with rank 10",
        value=finding("steep", lambda r: at_rank("left", r), 2),
        unit=LEFT,
    ),
)


def falling(main: xr.Dataset, seeds: int = 3) -> Figure:
    """The loss of single seeds at each rank, a draw of each, against the step."""
    start = min(main.start.values.tolist(), key=lambda s: abs(s - 0.3))
    arm = main.isel(run=(main.replicate == 0) & np.isclose(main.start, start))
    rows = [
        (f"rank {rank}", f"seed {int(arm.seed[run])}", float(step), float(y))
        for rank in arm["rank"].values.tolist()
        for run in range(min(seeds, arm.sizes["run"]))
        for curve in [arm.curve.isel(run=run).sel(rank=rank)]
        for step, y in zip(curve.time.values, curve.values, strict=True)
    ]
    return figure(
        "The lower the rank, the flatter the loss before it falls: squared error from a "
        f"start of {start:g}",
        "line",
        {"panel": "facet", "seed": "color", "step": "x", "y": "y"},
        rows,
        x_title="step",
        y_title="loss, share of the start's",
    )


def figures(arms: Arms) -> list[Figure]:
    return [falling(arms["main"])]
