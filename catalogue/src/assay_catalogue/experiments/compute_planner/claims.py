"""What compute-planner claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, OneTerm, figure
from assay.core.heavy import xr
from assay_catalogue.experiments.compute_planner import flop
from assay_catalogue.experiments.compute_planner.flop import Transformer
from assay_catalogue.experiments.compute_planner.method import SIZES

KAPLAN = "Kaplan et al. 2020, Scaling Laws for Neural Language Models, Table 1"
AMP = "Kokotajlo 2021, Fun with +12 OOMs of Compute, Amp"
PLAN = (
    "plan: a factor of 2 either way, before any command ran; that it is taken without its sign "
    "came later, before these commands ran"
)


def off(what: str) -> OneTerm:
    """[entry]: the factor between seconds and the middle of the planned range, whichever is larger;
    geometric mean over sizes."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        middle = np.sqrt(arm[f"{what}_low"] * arm[f"{what}_high"])
        return np.exp(abs(np.log(arm[what] / middle)).mean("size")).swap_dims(run="entry")

    return value


def clock(arms: Arms) -> xr.DataArray:
    """[entry]: `off` of seconds by the clock."""
    return off("seconds")(arms["timed"], arms)


def width_over_planned(kind: str) -> OneTerm:
    """[density]: half-width of 24 toys over that planned from 6, geometric mean over pilots."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        return np.exp(
            np.log(arm[f"{kind}_actual"] / arm[f"{kind}_planned"]).mean("pilot")
        ).swap_dims(run="density")

    return value


def over_planned(arms: Arms) -> xr.DataArray:
    """[entry]: CPU-seconds over the middle of the planned range, geometric mean over sizes."""
    arm = arms["timed"]
    return np.exp(np.log(arm.cpu / np.sqrt(arm.cpu_low * arm.cpu_high)).mean("size")).swap_dims(
        run="entry"
    )


def crowding(arms: Arms) -> xr.DataArray:
    """[entry]: seconds by the clock for each CPU-second of a busy loop beside the commands,
    geometric mean over sizes."""
    return np.exp(np.log(arms["timed"].crowded).mean("size")).swap_dims(run="entry")


def inside(arms: Arms) -> xr.DataArray:
    """[entry]: the share of commands whose CPU-seconds lie in the planned range."""
    arm = arms["timed"]
    is_inside = (arm.cpu >= arm.cpu_low) & (arm.cpu <= arm.cpu_high)
    return is_inside.where(arm.cpu.notnull()).mean("size").swap_dims(run="entry")


def wide(arms: Arms) -> xr.DataArray:
    """[entry]: the upper end of the planned range over the lower, geometric mean over sizes."""
    arm = arms["timed"]
    return np.exp(np.log(arm.cpu_high / arm.cpu_low).mean("size")).swap_dims(run="entry")


def arithmetic(
    text: str, value: Callable[[ModuleType], Any], expected: Any, source: str, unit: str = "FLOP"
) -> Exact:
    """A statement that a count comes out as it should, to four digits: what is computed over what
    is expected."""

    def ratio(arms: Arms) -> np.ndarray:
        return np.asarray(value(flop), dtype=float) / np.asarray(expected, dtype=float)

    return Exact(
        f"{text}: ratio",
        value=ratio,
        expected=np.ones(np.shape(expected)),
        tolerance=5e-5,
        source=source,
    )


def amp(c: ModuleType, per_token: float) -> float:
    return c.search(1e17, 1, 1e8, 5e4, 5e4, per_token).low


def smollm2(c: ModuleType) -> Transformer:
    return c.Transformer(
        layers=30,
        width=576,
        mlp=1536,
        vocabulary=49152,
        heads=9,
        head=64,
        kv_heads=3,
        gated=True,
        tied=True,
    )


BUDGET = 3.14e23
"""FLOP of GPT-3's training, as the comment that this experiment starts from rounds it."""
STATEMENTS = (
    arithmetic(
        "GPT-3's training, 6 N D at 1.746e11 and at 1.75e11 parameters and 3e11 tokens, is "
        "3.1428e23 and 3.15e23 FLOP",
        lambda c: [c.training(n, 3e11).low for n in (1.746e11, 1.75e11)],
        [3.1428e23, 3.15e23],
        "Brown et al. 2020, Language Models are Few-Shot Learners, Table D.1",
    ),
    arithmetic(
        "Attention adds 1.3805 % to GPT-3's forward pass of 2 N at 2,048 tokens, 1.64 and "
        "13.2 % to SmolLM2's at 128 and 1,024",
        lambda c: [
            c.attention(96, 2048, 12288).low / c.forward(1.75e11).low,
            *[smollm2(c).attending(n) / c.forward(smollm2(c).multiplied).low for n in (128, 1024)],
        ],
        [0.013805, 4423680 / 268959744, 35389440 / 268959744],
        KAPLAN,
    ),
    arithmetic(
        "A token of SmolLM2 meets 106,168,320 weights in blocks and 28,311,552 in the "
        "unembedding, so 268,959,744 FLOP",
        lambda c: [smollm2(c).blocks, smollm2(c).multiplied, c.forward(smollm2(c).multiplied).low],
        [106168320, 134479872, 268959744],
        "sizes of HuggingFaceTB/SmolLM2-135M",
    ),
    arithmetic(
        "Amp's two phases are not about 1e34 FLOP each: training 6e34, search 1.5e35 at 6 "
        "FLOP a token and 5e34 at 2",
        lambda c: [c.training(1e17, 1e17).low, amp(c, 6), amp(c, 2)],
        [6e34, 1.5e35, 5e34],
        AMP,
    ),
    arithmetic(
        "Counting a search without backward passes takes off a factor of 3, and a generation "
        "costs 1e30 FLOP",
        lambda c: [amp(c, 6) / amp(c, 2), c.search(1e17, 1, 1e8, 5e4, 1).low],
        [3.0, 1e30],
        AMP,
    ),
    arithmetic(
        "With 1 to 2,048 tokens a call Amp's search takes 5e34 to 1.024e38 FLOP, over three "
        "orders of magnitude",
        lambda c: [
            c.search(1e17, c.Range(1, 2048), 1e8, 5e4, 5e4).low,
            c.search(1e17, c.Range(1, 2048), 1e8, 5e4, 5e4).high,
        ],
        [5e34, 1.024e38],
        AMP,
    ),
    arithmetic(
        "GPT-3's budget of 3.14e23 FLOP is 2.990e11 one-token calls at 6 FLOP and 8.971e11 at 2",
        lambda c: [BUDGET / c.training(1.75e11, 1).low, BUDGET / c.forward(1.75e11).low],
        [2.99048e11, 8.97143e11],
        AMP,
    ),
    arithmetic(
        "Read as 1e5 calls a run, 1,600 steps of 1,600 runs use 85.6 % of it; the largest "
        "square is 1,729 at 6 FLOP, 2,995 at 2",
        lambda c: [
            c.search(1.75e11, 1, 1e5, 1600, 1600, 6).low / BUDGET,
            *[(BUDGET / c.search(1.75e11, 1, 1e5, 1, 1, k).low) ** 0.5 for k in (6, 2)],
        ],
        [0.856051, 1729.30, 2995.23],
        AMP,
    ),
    arithmetic(
        "Read as 10000 calls a run, 1,600 steps leave a population of 18,690: not both of the "
        "numbers in print can be meant",
        lambda c: BUDGET / c.search(1.75e11, 1, 1e4, 1, 1600, 6).low,
        18690.48,
        AMP,
    ),
)
CLAIMS = (
    Claim(
        "Typically the CPU-seconds of a command differ by a factor of at most 2 from the "
        "middle of what was planned",
        value=off("cpu"),
        units=("entry",),
        high=2.0,
        scale="log",
        of="timed",
        must_fail=("constant", "tenfold"),
        near={"constant": "that commands take about as long as each other"},
        threshold_from=PLAN,
        published="new",
        source=AMP,
        unit="× off",
    ),
    Claim(
        "The half-width that 24 toys have is between 0.7 and 1.4 times what 6 others promise",
        value=width_over_planned("seeds"),
        units=("density",),
        low=0.7,
        high=1.4,
        scale="log",
        near={"by-n": "that widths fall in proportion to the number of units"},
        threshold_from="plan: before any toy was trained",
        published="new",
        source="standard error of a mean of independent units",
        unit="actual over planned",
    ),
    Claim(
        "With blocks of inputs as a second factor too: between 0.7 and 1.4 times what 6 toys "
        "on these blocks promise",
        value=width_over_planned("crossed"),
        units=("density",),
        low=0.7,
        high=1.4,
        scale="log",
        near={"all-shrinks": "that more toys narrow all of the interval"},
        threshold_from="plan: before any toy was trained",
        published="new",
        source="Owen 2007, The pigeonhole bootstrap",
        unit="actual over planned",
    ),
    *STATEMENTS,
    *(
        Estimate(
            text=text,
            value=value,
            units=("entry",),
            published="new",
            source="this program",
            unit=unit,
            natural=(0, 1) if value is inside else (0, np.inf),
        )
        for text, value, unit in (
            (
                (
                    "Seconds by the clock, by which factor off the middle of what was planned; "
                    "read it with the load"
                ),
                clock,
                "× off",
            ),
            (
                (
                    "Load: seconds by the clock for each CPU-second of a busy loop beside the "
                    "commands; 1 on free cores"
                ),
                crowding,
                "× as long",
            ),
            (
                (
                    "CPU-seconds over the middle of what was planned, geometric mean over an "
                    "experiment's sizes"
                ),
                over_planned,
                "actual over planned",
            ),
            (
                (
                    "How wide planned ranges of CPU-seconds are, geometric mean over an "
                    "experiment's sizes"
                ),
                wide,
                "upper over lower",
            ),
            (
                "Share of commands whose CPU-seconds lie within the whole planned range",
                inside,
                "share of commands",
            ),
        )
    ),
)


def figures(arms: Arms) -> list[Figure]:
    main = arms["main"]
    kinds, toy_flop = ("over toys", "over toys × blocks"), float(main.flop_per_toy[0])
    bought = [
        (
            toy_flop * n / 1e6,
            100 * float(main[f"curve_{which}"].isel(kind=k, toys_bought=i).mean("run")),
            f"{kind}, {which}",
        )
        for (k, kind), (i, n), which in itertools.product(
            enumerate(kinds), enumerate(SIZES), ("planned", "actual")
        )
    ]
    return [
        figure(
            "What more FLOP buy: intervals narrow until the blocks are all that is left",
            "line",
            {"flop": "x", "half": "y", "line": "color"},
            bought,
            x_title="million FLOP of training 6 to 48 toys",
            y_title="half-width, % of the mean loss",
            x_log=True,
            y_log=True,
            rules=((5.0, "a bound 5 % away is decided below"),),
        )
    ]
