"""What mamba-induction claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, Value, by, by_level, figure
from assay.core.claims import rival
from assay.core.heavy import xr
from assay.core.sizes import written
from assay_catalogue.analysis import plateaus
from assay_catalogue.experiments.mamba_induction.method import CONV, RATE, WRITE

PAPER = "Okpekpe & Orvieto 2025, Revisiting associative recall in modern recurrent models"
PILOT = "pilot: seed 0"
PILOTS = "pilot: seeds 0–3"
OURS = "Assay's own: convolution and state patched apart"
LAU = (
    "Lau et al. 2023, The Local Learning Coefficient; Hoogland et al. 2024, who follow it along "
    "training"
)
HALFWAY = "theory: more than all other places together; set before any trained network was patched"


def tuned(arm: xr.Dataset, name: str) -> xr.DataArray:
    """[seed, …]: a measure at each seed's best learning rate, chosen by its error on other
    sequences than those that are judged."""
    runs = by(arm, "lr")
    return runs[name].isel(lr=runs.held_out.argmin("lr"))


def log_odds(error: xr.DataArray) -> xr.DataArray:
    """The logarithm of wrong answers per right one."""
    # NumPy says that it gives arrays
    return np.log(error / (1 - error))  # type: ignore[return-value]


def steeper(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: by how much the log-odds of an error exceed the tuned ones at the highest rate."""
    return log_odds(by(arm, "lr").error.isel(lr=-1, drop=True)) - log_odds(tuned(arm, "error"))


def restored(patch: str) -> Value:
    """A value [seed]: what one patch restores of the donor's answer, at the best rate."""
    return lambda arm, arms: tuned(arm, "restored").sel(patch=patch, drop=True)


def standing(arm: xr.Dataset) -> xr.DataArray:
    """[seed]: the learning coefficient of the last state kept that gives more wrong answers than
    right; of the first where there is none."""
    runs = by(arm)
    last = runs.moment.where(runs.wrong > 0.5).max("moment").fillna(runs.moment[0])
    return runs.llc.where(runs.moment == last).sum("moment")


def ending(arm: xr.Dataset) -> xr.DataArray:
    """[seed]: the learning coefficient at the end of training."""
    return by(arm).llc.isel(moment=-1, drop=True)


def steps_to(name: str, share: float) -> Callable[[Arms], xr.DataArray]:
    """[seed]: the first step at which the loss is at most this share of its start, at the rate at
    which chains are run; NaN for never."""

    def value(arms: Arms) -> xr.DataArray:
        loss = by(arms[name], "lr").loss.sel(lr=RATE).transpose("seed", "step")
        points = plateaus.time_to(loss.values, share)
        return loss.isel(step=0, drop=True).copy(
            data=[np.nan if np.isnan(i) else float(loss.step[int(i)]) for i in points]
        )

    return value


HALF = {"main": "half"}
SAME_WAY = rival("it recalls less, but what it recalls may go the same way")
claim = partial(Claim, half=HALF, published="new", unit="share of the answer", source=OURS)
"""A claim with what most of them share."""
CLAIMS = (
    claim(
        text="One block recalls: at its best learning rate more answers are right than wrong, "
        "where knowing the shown values alone gives {known:/}",
        value=lambda arm, arms: log_odds(tuned(arm, "error")),
        high=0.0,
        empty=math.log(2),  # two of three wrong, as where the shown values alone are known
        unit="log-odds of an error",
        must_fail=("frozen", "no-conv", "untrained"),
        near={
            "frozen": "a time-invariant scan with convolution and gate, tuned as well",
            "no-conv": "a selective scan alone, tuned as well",
        },
        source=PAPER,
        threshold_from=f"{PILOTS}, .08 to .12 of answers wrong; wide of it, as training goes on",
    ),
    claim(
        text="With a selective scan the window of rates is narrow: at the highest rate of the "
        "sweep the odds of an error are at least double those at the best",
        value=steeper,
        low=math.log(2),
        unit="log-odds of an error",
        near={"frozen": "any block of this size has such a window on this task"},
        also={"no-conv": rival("a selective scan too, which learns less and loses that as well")},
        source=PAPER,
        threshold_from=f"{PILOT}, four pairs: .89 of answers right at 0.01, .31 at 0.02; two is "
        "the smallest round factor",
    ),
    claim(
        text="The value is kept where it stood: what its own position writes to the state restores "
        "at least half of a donor's answer",
        value=restored("write at the value"),
        low=0.5,
        must_fail=("write-next", "untrained"),
        near={"write-next": "the next position, which sees the value through the convolution"},
        also={"no-conv": rival("there no other position sees the value"), "frozen": SAME_WAY},
        threshold_from=HALFWAY,
    ),
    claim(
        text="The convolution binds the pair at once: its output at the value's position restores "
        "at least half of the answer to a donor's key",
        value=restored("conv at the value"),
        low=0.5,
        must_fail=("conv-key", "conv-next", "untrained"),
        near={
            "conv-key": "the key's own position says which key it was",
            "conv-next": "the position after the value sees the key as well",
        },
        also={"frozen": SAME_WAY},
        threshold_from=HALFWAY,
    ),
    claim(
        text="The value is kept one token late: what the position after it writes to the state "
        "restores at least half of a donor's answer",
        value=restored("write 1 later"),
        low=0.5,
        must_fail=("write-here", "write-second", "untrained"),
        near={
            "write-here": "the value's own position holds it as well",
            "write-second": "so does whatever the convolution lets see it",
        },
        also={"frozen": SAME_WAY},
        threshold_from=f"{PILOTS}, .89 to .92",
    ),
    claim(
        text="The pair is bound one token late: the convolution's output after the value restores "
        "at least half of the answer to a donor's key",
        value=restored("conv 1 later"),
        low=0.5,
        must_fail=("conv-here", "conv-second", "untrained"),
        near={
            "conv-here": "the value's own position, too, sees both",
            "conv-second": "so does the second position after it",
        },
        also={"frozen": SAME_WAY},
        threshold_from=f"{PILOTS}, .97 to 1.00",
    ),
)
EXACT = (
    Exact(
        text="Hidden attention is the scan: largest relative deviation of its product with the "
        "values, trained networks, float32",
        value=lambda arms: max(
            float(arms[name].deviation.max()) for name in ("main", "no-conv", "frozen")
        ),
        tolerance=1e-5,
        source="Ali et al. 2024, The Hidden Attention of Mamba Models",
    ),
)


def wrong(text: str, arm: str) -> Estimate:
    """A Estimate: the share of wrong answers of an arm at its best rate."""
    return Estimate(
        text=text,
        value=lambda arms: tuned(arms[arm], "error"),
        unit="share",
        natural=(0, 1),
        published="new",
    )


FINDINGS = (
    wrong("Share of wrong answers, whole blocks", "main"),
    wrong(
        (
            "Share of wrong answers with a time-invariant scan ({missed}/{main.pairs} if only the "
            "shown values are known)"
        ),
        "frozen",
    ),
    wrong(
        (
            "Share of wrong answers without the convolution ({missed}/{main.pairs} if only the "
            "shown values are known)"
        ),
        "no-conv",
    ),
    wrong("Share of wrong answers after half as long a training", "half"),
    *(
        Estimate(
            text=f"Learning coefficient, {block}: {phrase}",
            published="new",
            source=LAU,
            value=lambda arms, arm=arm, when=when: when(arms[arm]),
        )
        for block, arm in (("whole blocks", "along"), ("time-invariant scans", "along-frozen"))
        for phrase, when in (
            ("the last state kept that does not recall", standing),
            ("the end of training", ending),
        )
    ),
    *(
        Estimate(
            text=f"Steps until the loss is {phrase} of its start, {block}",
            value=steps_to(arm, share),
            unit="steps",
            published="new",
        )
        for block, arm, phrase, share in (
            ("whole blocks", "main", "half", 0.5),
            ("whole blocks that get there", "main", "a quarter", 0.25),
            ("time-invariant scans", "frozen", "half", 0.5),
        )
    ),
    Estimate(
        text="The best learning rate of whole blocks",
        unit="rate",
        published="new",
        value=lambda arms: by(arms["main"], "lr").held_out.idxmin("lr"),
    ),
    *(
        Estimate(
            text=f"Restored of the donor's answer: {patch}",
            unit="share of the answer",
            published="new",
            value=lambda arms, patch=patch: restored(patch)(arms["main"], arms),
        )
        for patch in (*WRITE, *CONV)
    ),
)


ARMS = {"main": "whole", "frozen": "time-invariant scan", "no-conv": "no convolution"}


def over_rates(arms: Arms) -> list[tuple]:
    """Rows: share of wrong answers at each learning rate, means over seeds with t intervals."""
    return [
        (rate, values, label)
        for arm, label in ARMS.items()
        for rate, values in by_level(by(arms[arm], "lr").error, "lr")
    ]


def figures(arms: Arms) -> list[Figure]:
    """How errors depend on the rate."""
    s = arms["main"].attrs
    return [
        figure(
            "Whole blocks recall best at the middle rate; with a part missing most answers "
            "are wrong",
            "line",
            {"rate": "x", "mean": "mean", "block": "color"},
            over_rates(arms),
            x_title="learning rate",
            y_title="share of wrong answers",
            x_log=True,
            rules=(((s["pairs"] - 1) / s["pairs"], "only the shown values known"),),
            note=f"{written(s['pairs'], 'w pair|pairs').capitalize()} of {s['keys']} keys and "
            f"{s['values']} values; the rate is swept in every arm.",
        )
    ]
