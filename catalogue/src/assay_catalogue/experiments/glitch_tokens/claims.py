"""What glitch-tokens claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, Gate, Published, Value, figure, summary
from assay.core.claims import rival, same_method
from assay.core.fit import Schedule, cosine
from assay.core.heavy import xr

PAPER = (
    "Land & Bartolo 2024, Fishing for Magikarp: Automatically Detecting Under-trained Tokens in "
    "Large Language Models"
)
CODE = f"{PAPER}; the authors' reports (cohere-ai/magikarp)"
LOGS = (
    "pilot: seeds 12000–12007, where ranks tied; logarithms since, with the 0.8 and 0.3 that the "
    "plan (N6) had for ranks"
)
REGULAR = (
    "pilot: seeds 12000–12007 and 0–7, where the lowest of all tokens seen changed with the seed; "
    "tokens in regular use since, with the plan's "
)
UNTIED, TIED = "E_in norm", "E_out cosine, no mean"
"""The indicators named before anything was trained: for untied models with weight decay, and for
tied ones."""
OF = {"main": UNTIED, "untied-free": UNTIED, "tied": TIED}


def select_indicator(name: str, indicator: str) -> Value:
    """[run]: a measure of one indicator."""
    return lambda arm, arms: arm[name].sel(indicator=indicator)


def plain(name: str) -> Value:
    """[run]: a measure."""
    return lambda arm, arms: arm[name]


def lost(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: the share of what the norm's AUROC tells above chance, where rows start small, that
    this arm has not, at the same seed."""
    arm_auroc, small = (
        x.auroc.sel(indicator=UNTIED).swap_dims(run="seed") for x in (arm, arms["untied-free"])
    )
    return (small - arm_auroc) / (small - 0.5)


def schedule_vectors(arms: Arms) -> list[float]:
    """What is left of a row without gradient after two schedules at λ = 0.1."""
    rate = cosine_after(100, 3000)
    return [
        (1 - 1e-3 * 0.1) ** 2000,
        float(np.prod([1 - 3e-3 * rate(t) * 0.1 for t in range(3000)])),
    ]


def cosine_after(warm: int, steps: int) -> Schedule:
    """Linear warm-up, and half a cosine over what is left."""
    return lambda t: (t + 1) / warm if t < warm else cosine(steps - warm, 0)(t - warm)


def copies(arm: xr.Dataset) -> bool:
    """Whether rare ordinary tokens that repeating windows contain are repeated: median probability
    at least 0.1, over all runs."""
    return bool(arm.copied.sel(repeated="rare").mean() >= 0.1)


COPIES = Gate("copying was learned", lambda arm: copies(arm) if "copied" in arm else True)
RARE = "rarity alone: tokens seen now and then look like those never seen"
ONCE = "a first sight may change nothing: tokens seen once look like those never seen"
UNREPEATED = "tokens that were read often, and never repeated, are not repeated either"
LOT = "any tokens taken as a reference would point at something"
WHERE = {"subject": "planted"}
ALSO = {
    "main": same_method("the same tokens are planted there, untied with weight decay"),
    "untied-free": same_method("the same tokens are planted there, without weight decay"),
    "again": same_method("the same without weight decay, drawn again"),
    "wide-start": same_method("the same tokens are planted there, with a wider start"),
    "tied": same_method("the same tokens are planted there, tied"),
    "half": same_method("trained half as long"),
    "tied-half": same_method("tied, trained half as long"),
}


def select_arms(*left_out: str) -> dict[str, str]:
    """The arms in which the same tokens are planted, but for those."""
    return {arm: why for arm, why in ALSO.items() if arm not in left_out}


FIVE_PERCENT = 0.04879016416943204
"""log 1.05, as it was when claims were judged: NumPy's logarithm differs in the last digit from one
processor to another."""
TIES = (
    ("Untied", "input row's norm", "main", "half", ""),
    ("Tied", "cosine distance", "tied", "tied-half", "tied-"),
)
"""How input and output rows are tied: in words, what grows, the arm, its half and the beginning of
its derived arms' names."""
claim = partial(Claim, where=WHERE, published="new", source=PAPER)
"""A claim with what most of them share."""
CLAIMS = (
    claim(
        text="Untied, with weight decay: the median token never seen has a shorter input row than "
        "98 of 100 tokens in regular use, by at least 5 %",
        value=select_indicator("margin", UNTIED),
        low=FIVE_PERCENT,
        unit="log ratio of norms",
        half={"main": "half"},
        must_fail=("lottery", "seen-1", "seen-16", "seen-256", "untrained"),
        near={"seen-1": ONCE, "seen-16": RARE},
        also=select_arms("main", "half"),
        threshold_from=REGULAR + "half of GPT-J's distance, 1.743 below 1.944",
        source=CODE,
        published=Published(
            math.log(1.944 / 1.743),
            CODE,
            at="report of GPT-J-6B: thresholds 1.944 and 1.743",
            note="median of verified bytes, unreachable and special tokens, against the lowest 2 % "
            "of all",
        ),
    ),
    claim(
        text="Tied: the median token never seen is less than half as far from the known unused "
        "ones, in cosine without the mean row, as 98 of 100 tokens in regular use",
        of="tied",
        value=select_indicator("margin", TIED),
        low=math.log(2),
        unit="log ratio of cosine distances",
        half={"tied": "tied-half"},
        must_fail=("tied-lottery", "tied-seen-1", "tied-seen-16", "tied-seen-256", "untrained"),
        near={"tied-seen-1": ONCE, "tied-seen-16": RARE, "tied-lottery": LOT},
        also=select_arms("tied", "tied-half"),
        threshold_from=REGULAR + "factor 2; GPT-2 XL shows 11 by another variant of the indicator",
        source=CODE,
        published=Published(
            math.log(0.692 / 0.063),
            CODE,
            at="report of GPT-2 XL: thresholds 0.692 and 0.063",
            note="E_out cosine distance with the mean row",
        ),
    ),
    *(
        claim(
            text=f"{kind}: among tokens seen 1 to 256 times the {size} grows with their number: "
            "correlation of the logarithms at least 0.8",
            of=arm,
            value=select_indicator("grows", OF[arm]),
            low=0.8,
            fail_low=0.3,
            unit="correlation",
            natural=(-1, 1),
            half={arm: half},
            must_fail=(f"{prefix}permuted", "untrained"),
            near={"untrained": "rows differ from the start, whatever was seen"},
            also=select_arms(arm, half),
            threshold_from=LOGS,
        )
        for kind, size, arm, half, prefix in TIES
    ),
    *(
        claim(
            text=f"{kind}: after 12 copies the median token never seen is expected at most a tenth "
            "as much as nine of ten rare ordinary tokens",
            of=arm,
            value=plain("silence"),
            low=1.0,
            unit="decades",
            gates=(COPIES,),
            half={arm: half},
            must_fail=(f"{prefix}seen-256", f"{prefix}quiet", "untrained"),
            near={f"{prefix}quiet": UNREPEATED, f"{prefix}seen-256": RARE},
            also=select_arms(arm, half),
            threshold_from="plan: a decade, before any pilot",
        )
        for kind, _, arm, half, prefix in TIES
    ),
    claim(
        text="Untied without decay a short norm owes most of what it tells to rows that start "
        "short: a start as wide as trained rows takes at least half of its AUROC above chance",
        of="wide-start",
        value=lost,
        low=0.5,
        unit="share of the AUROC above chance",
        near={
            "again": "two draws of the same start differ as much",
            "main": "another training differs as much",
        },
        empty=1.0,  # where norms tell nothing, all of it is lost
        violations=("again", "main"),
        also=dict.fromkeys(
            ("tied", "tied-half"), rival("tied rows are pushed as output rows as well")
        ),
        threshold_from="pilot: seeds 12000–12007, where 0.22 was lost; now what the words say, "
        "most is more than half",
    ),
    claim(
        text="Output rows of tokens never seen are pushed alike: mean cosine between their "
        "displacements at least 0.9, untied without decay",
        of="untied-free",
        value=plain("alike"),
        low=0.9,
        unit="mean cosine",
        must_fail=("free-seen-256", "free-ordinary"),
        near={"free-seen-256": "rows that are seldom a target are pushed alike as well"},
        also=select_arms("untied-free")
        | {
            f"{prefix}seen-{n}": rival("hardly ever a target either")
            for prefix in ("free-", "", "tied-")
            for n in (1, 16)
        },
        threshold_from="theory: −E[p·LN(x)] is one direction; 0.996 under Adam in a softmax layer",
        source="gradient of softmax",
    ),
    Exact(
        text="Untied without weight decay a token never seen keeps its input row bit for bit: "
        "largest change over its largest entry",
        value=lambda arms: arms["untied-free"].off_law.values,
        tolerance=0.0,
        source="its gradient is 0",
    ),
    Exact(
        text="With weight decay the row shrinks by Π(1 − η_t λ): largest deviation over its "
        "largest entry",
        value=lambda arms: arms["main"].off_law.values,
        tolerance=1e-5,
        source="decoupled weight decay, Loshchilov & Hutter 2019",
    ),
    Exact(
        text="What Π(1 − η_t λ) leaves at λ = 0.1: 2,000 steps at 1e-3; warm-up over 100 steps to "
        "3e-3, then a cosine to 0 at step 3,000",
        value=schedule_vectors,
        expected=[0.818723, 0.637405],
        tolerance=1e-6,
        source="arithmetic",
    ),
    *(
        Estimate(
            text=f"{text} ({arm})",
            value=lambda arms, arm=arm, name=name: arms[arm][name].sel(indicator=OF[arm]),
            unit=unit,
            natural=(0, 1),
        )
        for arm in OF
        for name, unit, text in (
            ("auroc", "AUROC", f"Tokens never seen against all others, by {OF[arm]}"),
            (
                "precision",
                "share",
                f"Precision and recall of as many lowest tokens as are never seen, by {OF[arm]}",
            ),
            (
                "precision_lowest",
                "share",
                f"Precision of the lowest 2 % of all tokens, by {OF[arm]}",
            ),
            ("recall_lowest", "share", f"Recall of the lowest 2 % of all tokens, by {OF[arm]}"),
        )
    ),
    *(
        Estimate(
            text=f"Tokens never seen against all others, by {UNTIED}, where it was not named "
            f"beforehand ({arm})",
            unit="AUROC",
            value=lambda arms, arm=arm: arms[arm].auroc.sel(indicator=UNTIED),
        )
        for arm in ("tied", "wide-start")
    ),
    *(
        Estimate(
            text=f"Tokens never seen against those seen {'once' if n == 1 else f'{n} times'}, by "
            f"{OF[arm]} ({arm})",
            unit="AUROC",
            natural=(0, 1),
            value=lambda arms, arm=arm, n=n: arms[arm].auroc_from.sel(
                indicator=OF[arm], exposure=n
            ),
        )
        for arm in OF
        for n in (1, 16)
    ),
    *(
        Estimate(
            text=f"How {OF[arm]} grows with the number n of times a token was seen: the power b of "
            f"n^b ({arm})",
            unit="power",
            value=lambda arms, arm=arm: arms[arm].power.sel(indicator=OF[arm]),
        )
        for arm in ("main", "tied")
    ),
    *(
        Estimate(
            text="AUROC of the probability after 12 copies: tokens never seen against rare ones "
            f"({arm})",
            unit="AUROC",
            value=lambda arms, arm=arm: arms[arm].told,
        )
        for arm in ("main", "tied")
    ),
    *(
        Estimate(
            text=f"Tokens never seen with a probability below 0.01 after 12 copies ({arm})",
            unit="share",
            value=lambda arms, arm=arm: arms[arm].unspeakable.sel(repeated="never"),
        )
        for arm in ("main", "tied")
    ),
    Estimate(
        text="Rare ordinary tokens with a probability below 0.01 after 12 copies (main)",
        unit="share",
        value=lambda arms: arms["main"].unspeakable.sel(repeated="rare"),
    ),
    Estimate(
        text="Ordinary tokens that no repeating window contains, with a probability below 0.01 "
        "after 12 copies (main)",
        unit="share",
        value=lambda arms: arms["main"].unspeakable.sel(repeated="quiet"),
    ),
    Estimate(
        text="SmolLM2: share of the candidates, lowest in E_out cosine distance, below 0.01 after "
        "12 copies",
        units=("token",),
        unit="share",
        natural=(0, 1),
        value=lambda arms: arms["on-disk"].unspeakable_here.sel(kind="candidates"),
        source=PAPER,
    ),
    Estimate(
        text="SmolLM2: the same share of as many tokens drawn by lot",
        units=("token",),
        unit="share",
        natural=(0, 1),
        value=lambda arms: arms["on-disk"].unspeakable_here.sel(kind="by lot"),
        source=PAPER,
    ),
    *(
        Estimate(
            text=f"SmolLM2: {text}", unit=unit, value=lambda arms, name=name: arms["on-disk"][name]
        )
        for name, unit, text in (
            ("known_here", "tokens", "reserved tokens that share one row, up to rounding"),
            ("same", "tokens", "tokens of text whose row is the same, up to rounding"),
            ("floor", "share of a row's norm", "how far 8-bit rounding moves the median row"),
        )
    ),
)


SHOWN = {
    "main": "untied, weight decay",
    "untied-free": "untied, none",
    "tied": "tied, weight decay",
    "wide-start": "untied, none, wide start",
}


def figures(arms: Arms) -> list[Figure]:
    return [
        figure(
            "Indicators of planted tokens by how often they were seen",
            "line",
            {"arm": "facet", "seen": "x", "mean": "mean"},
            levels(arms),
            x_title="times seen (never at 0.5)",
            x_log=True,
            y_log=True,
            y_title="indicator, ordinary = 1",
            rules=((1.0, "ordinary tokens"),),
            note="The indicator named beforehand for each kind of model: mean over tokens, "
            "geometric mean and 95% t interval over seeds.",
        )
    ]


def place_group(group: str) -> float:
    """Place a group on a logarithmic axis."""
    return {"never": 0.5, "rare": 2000.0, "quiet": 4000.0}.get(group) or float(group)


def levels(arms: Arms) -> list[tuple]:
    """Rows: the indicator of each group of planted tokens, in units of ordinary ones."""
    rows: list[tuple] = []
    for name, label in SHOWN.items():
        if name in arms:
            level = arms[name].level.sel(indicator=OF.get(name, "E_in norm"))
            planted = [group for group in level.group.values.tolist() if group != "ordinary"]
            ratio = np.log(level / level.sel(group="ordinary"))
            rows += [
                (label, place_group(g), tuple(np.exp(summary(ratio.sel(group=g).values)).tolist()))
                for g in planted
            ]
    return rows
