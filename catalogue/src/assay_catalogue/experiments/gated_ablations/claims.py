"""What gated-ablations claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, Published, Value, by
from assay.core.claims import rival, same_method
from assay.core.heavy import xr
from assay.core.memo import once
from assay.core.stats import (
    Means,
    Statistic,
    at_matched,
    largest,
    lead_at_own,
    ratio,
    share_closed,
    sides,
    smallest,
)
from assay_catalogue.dictionaries import frontier
from assay_catalogue.dictionaries.frontier import FRONTIER, FVU, GAMMA, L0, norm_ratio
from assay_catalogue.experiments.gated_ablations.method import UNITS

PAPER = "Rajamanoharan et al. 2024, Improving Dictionary Learning with Gated SAEs"
DISCUSSION = "R. Shah, comment in the discussion of that paper"
PILOT = "pilot: seeds 0–7"
MARGIN = 0.01
"""Of FVU at equal L0: what is less is no change, what is more a cost or a lead. The first plan's,
set before any pilot."""


@once
def sums(
    arm: xr.Dataset, *names: str, position: Literal["middle"] | int | None = None
) -> dict[str, xr.DataArray]:
    """Terms {name: [seed, penalty]}: there is one set of held-out inputs for each seed."""
    return {
        name: x.sum("document") for name, x in frontier.sums(arm, *names, position=position).items()
    }


def sweep(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms of FVU, L0, γ and the norm ratio along the arm's sweep."""
    return sums(arm, *UNITS)


def middle(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms of the same in the middle of the sweep."""
    return sums(arm, *UNITS, position="middle")


def bias(m: Means) -> np.ndarray:
    """|γ − 1| along the sweep."""
    return abs(GAMMA(m) - 1)


def spread(m: Means) -> np.ndarray:
    """γ at the smallest penalty less γ at the largest."""
    gamma = GAMMA(m)
    return gamma[:, 0] - gamma[:, -1]


def paired(**terms: Mapping[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """The terms of several arms on the seeds that all of them have: not every arm has as many."""
    seeds = {
        side: next(iter(arm_terms.values())).seed.values.tolist()
        for side, arm_terms in terms.items()
    }
    shared = sorted(set.intersection(*map(set, seeds.values())))
    return sides(
        **{
            side: {
                name: x if seeds[side] == shared else x.sel(seed=shared)
                for name, x in arm_terms.items()
            }
            for side, arm_terms in terms.items()
        }
    )


@cache
def against(other: str) -> Value:
    """Terms: this arm's whole sweep, and another arm's."""
    return lambda arm, arms: paired(a=sums(arm, *FRONTIER), b=sums(arms[other], *FRONTIER))


def leads(m: Means) -> np.ndarray:
    """By how much this arm's FVU lies below the other's at L0 3, 5 and 8."""
    return np.stack([-at_matched(L0, FVU, at=(l0,))(m) for l0 in (3, 5, 8)], axis=1)


smallest_lead = smallest(leads)
"""The smallest of the three."""


def excess(m: Means) -> np.ndarray:
    """By how much this arm's FVU lies above the other arm's sweep, at this arm's own L0."""
    return -lead_at_own(L0, FVU)(m)


def against_parts(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms: this arm, the sweep of Gated, and Gated without each of the other parts."""
    part_terms = {name: sums(arms[name], *FRONTIER) for name in PARTS if name in arms}
    return paired(a=sums(arm, *FRONTIER), b=sums(arms["main"], *FRONTIER), **part_terms)


def dearest(m: Means) -> np.ndarray:
    """By how much this arm's excess exceeds that of every other part, and 0."""
    leads = [-lead_at_own(L0, FVU, a=name)(m) for name in PARTS if f"{name}.error" in m]
    return excess(m) - np.stack([0 * excess(m), *leads]).max(0)


def gap_terms(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms: Gated in the middle of its sweep in the same world, the arm that was repaired, and its
    repair."""
    best = arms["orthonormal-gated" if arm.attrs["orthonormal"] else "main"]
    return paired(
        best=sums(best, *FRONTIER, position="middle"),
        base=sums(arms[arm.attrs["of"]], *FRONTIER),
        repaired=sums(arm, *FRONTIER),
    )


def hardened(m: Means) -> np.ndarray:
    """What FVU gains when a gate is read hard instead of as it was trained."""
    return (m["error"] - m["soft_error"]) / m["variance"]


def soft_share(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms of the share of latents that are on in an input as the arm was trained."""
    terms = sums(arm, "soft_active", "tokens")
    return {"on": terms["soft_active"], "latents": terms["tokens"] * arm.attrs["width"]}


def with_theory(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms of γ about 0, and beside them 2/(2 + λ/2), what soft-thresholding by λ/2 gives for
    exponential amounts."""
    raw = sums(arm, "norm_raw", "dot_raw")
    return {**raw, "law": 2 / (2 + raw["dot_raw"].penalty / 2) + 0 * raw["dot_raw"]}


def off_theory(m: Means) -> np.ndarray:
    """The largest |γ − 2/(2 + λ/2)| along the sweep."""
    return abs(m["norm_raw"] / m["dot_raw"] - m["law"]).max(1)


def off_identity(arms: Arms) -> np.ndarray:
    """Norm ratio² less (1 − FVU) γ/(2 − γ), of each penalty of Gated and of the 1.5 times wider
    ReLU."""
    differences = []
    for name in ("main", "wide"):
        total = sums(arms[name], *UNITS)
        m = {term: x.sum("seed").values[None] for term, x in total.items()}
        differences.append((norm_ratio(m) ** 2 - (1 - FVU(m)) * GAMMA(m) / (2 - GAMMA(m)))[0])
    return np.concatenate(differences)


PARTS = ("unfrozen", "untied", "no-rmag")
"""What is taken from Gated besides the Heaviside."""
GATES = dict.fromkeys(
    (
        "narrow",
        "again",
        "unfrozen",
        "untied",
        "no-rmag",
        "no-heaviside",
        "short",
        "lagging",
        "orthonormal-gated",
    ),
    same_method(
        "Gated as well, whole or with a part changed: no penalty on magnitudes in any of them"
    ),
)
MENDED = dict.fromkeys(
    ("rescaled", "refit", "relu-rescaled", "narrow-rescaled", "orthonormal-rescaled"),
    rival("mended by least squares: that makes γ 1 on the inputs it is fitted to"),
)
GATELESS = dict.fromkeys(
    ("wide", "relu", "rescaled", "refit", "relu-rescaled", "narrow-wide", "narrow-rescaled"),
    rival("ReLU + L1 has no Heaviside either"),
) | {"narrow": rival("half as many features, which is no part of the method")}
UNBIASED = GATES | MENDED
SHRUNK = same_method("the same, too small by a factor, which costs little FVU")
FULL = 5.0
"""About the L0 of Gated at the penalty at which a gate is said to shut."""
WEAK = {"lightest": "that a penalty may be too weak to shrink anything"}
SPARSE = dict.fromkeys(
    ("orthonormal-relu", "orthonormal-gated", "orthonormal-rescaled"),
    rival("a world in which only 0.64 features are on in truth"),
)


def without(also: Mapping[str, str], *names: str) -> dict[str, str]:
    return {arm: why for arm, why in also.items() if arm not in names}


MOVING = "An auxiliary loss that moves the decoder"
WIDER = "the 1.5 times wider ReLU"
LARGEST_FVU = largest(FVU)


def finding(
    text: str,
    arm: str,
    value: Value = sweep,
    statistic: Statistic = LARGEST_FVU,
    unit: str = "FVU",
    source: str = "",
) -> Estimate:
    """A finding of one arm: its largest FVU, if nothing else is said."""
    return Estimate(
        text=text,
        value=lambda arms: value(arms[arm], arms),
        statistic=statistic,
        unit=unit,
        source=source,
    )


claim = partial(Claim, published="new")
"""A claim with what most of them share."""
unbiased = partial(
    claim,
    value=sweep,
    statistic=largest(bias),
    high=0.02,
    distance=True,
    must_fail=("lightest", "wide"),
    near=WEAK,
)
"""A claim that γ is 1."""
shut = partial(
    claim,
    value=sweep,
    statistic=smallest(L0),
    high=0.5,
    empty=FULL,
    unit="L0",
    near={
        "wide": "a strong penalty: ReLU at nearly twice this one",
        "main": "the same, of Gated",
    },
)
"""A claim that hardly any feature is on."""
CLAIMS = (
    unbiased(
        text="Gated is unbiased: at every penalty (L0 from 1.5 to 10) γ lies within 0.02 of 1",
        unit="largest |γ − 1|",
        violations=("shrunk",),
        also=UNBIASED,
        half={"main": "half"},
        threshold_from="theory: 1, with a margin of a fifth of ReLU's bias at its smallest penalty",
        published=Published(0.0, f"{PAPER}, section 4: γ ≈ 1 at all sites"),
        source=f"{PAPER}, section 4",
    ),
    claim(
        text="ReLU + L1 shrinks more as the penalty grows: from its smallest to its largest γ "
        "falls by at least 0.05",
        of="wide",
        value=sweep,
        statistic=spread,
        low=0.05,
        unit="difference of γ",
        must_fail=("rescaled", "main"),
        near={
            "rescaled": (
                "what fewer features do to γ by themselves: the same dictionaries, their "
                "shrinkage mended"
            )
        },
        also={"narrow-wide": same_method("ReLU + L1 of another width")},
        half={"wide": "wide-half"},
        threshold_from=(
            f"{PILOT}: .124 [.120, .129] at equal width and up to a penalty of 1.4; Gated .003"
        ),
        source=f"{PAPER}, section 4",
    ),
    claim(
        text="On orthonormal features ReLU's γ is what soft-thresholding predicts, 2/(2 + λ/2), "
        "within 0.01 at every penalty",
        of="orthonormal-relu",
        value=with_theory,
        statistic=off_theory,
        high=0.01,
        empty=1 - 2 / (2 + 0.5 / 2),  # were nothing shrunk, at the larger penalty
        unit="largest difference of γ",
        distance=True,
        must_fail=("relu", "orthonormal-gated"),
        near={"relu": "that any ReLU + L1 dictionary follows the formula, superposition or not"},
        threshold_from="theory: the optimum is f = max(a − λ/2, 0), and a is exponential",
        source=f"{PAPER}, section 3.1",
    ),
    claim(
        text="Gated leads plain ReLU: at L0 3, 5 and 8 its FVU lies at least 0.01 below that of a "
        "ReLU dictionary 1.5 times wider",
        value=against("wide"),
        statistic=smallest_lead,
        low=MARGIN,
        unit="smallest lead in FVU",
        near={"rescaled": "mended magnitudes, which need no gate", "relu": "another width"},
        also={"narrow": same_method("Gated, of half the width"), "shrunk": SHRUNK},
        half={"main": "half", "wide": "wide-half"},
        threshold_from=(
            f"{PILOT}: .058 [.056, .059]; width alone −.009 to .005; the margin is the first plan's"
        ),
        source=f"{PAPER}, section 4.1",
    ),
    claim(
        text="Gated leads repaired ReLU: at L0 3, 5 and 8 its FVU lies at least 0.01 below that of "
        "a 1.5 times wider ReLU with rescale & shift",
        value=against("rescaled"),
        statistic=smallest_lead,
        low=MARGIN,
        unit="smallest lead in FVU",
        near={
            "refit": "a better repair: the decoder refitted as well",
            "relu-rescaled": "the same repair at another width",
        },
        also={"narrow": same_method("Gated, of half the width"), "shrunk": SHRUNK},
        half={"main": "half", "rescaled": "wide-half-rescaled"},
        threshold_from="pilot: seeds 0–3: .0101 [.0089, .0116], the smallest at L0 3; the margin "
        "is the first plan's",
        source=f"{PAPER}, section 5, Figure 9",
    ),
    claim(
        text="At half the width Gated leads repaired ReLU too: at L0 3, 5 and 8 its FVU lies at "
        "least 0.01 below it",
        of="narrow",
        value=against("narrow-rescaled"),
        statistic=smallest_lead,
        low=MARGIN,
        unit="smallest lead in FVU",
        must_fail=("relu-rescaled", "narrow-wide"),
        near={"relu-rescaled": "width: the same repair with twice as many features"},
        also={
            "main": same_method("Gated, of twice the width"),
            **dict.fromkeys(
                ("refit", "rescaled"), rival("twice as wide, and another claim's question")
            ),
        },
        half={"narrow": "narrow-half", "narrow-rescaled": "narrow-rescaled-half"},
        threshold_from=(
            "plan: the margin of the claim before it, written down before this width was tried"
        ),
        source=f"{PAPER}, section 5, Figure 9",
    ),
    shut(
        text="Without the auxiliary loss the gate shuts: at a penalty where the full loss has L0 "
        "5, at most 0.5 features are on",
        of="no-aux",
        also=SPARSE | dict.fromkeys(("sigmoid", "sigmoid-relu"), rival("no auxiliary loss either")),
        half={"no-aux": "no-aux-half"},
        threshold_from=f"{PILOT}: .011 [.010, .012]; Gated 4.7",
        source=f"{PAPER}, section 3.2.2; {DISCUSSION}",
    ),
    unbiased(
        text="Rescale & shift repairs the bias of ReLU: γ within 0.02 of 1 at every penalty (L0 "
        "from 1.5 to 11)",
        of="rescaled",
        unit="largest |γ − 1|",
        violations=("rescaled-shrunk",),
        also=dict.fromkeys(("main", *GATES), rival("Gated, whole or with a part changed"))
        | dict.fromkeys(
            without(MENDED, "rescaled"), same_method("mended as well, or of another width")
        ),
        half={"rescaled": "wide-half-rescaled"},
        threshold_from=(
            "theory: 1 on the inputs it is fitted to, with the margin of the first claim"
        ),
        source=f"{PAPER}, section 5, Figure 9",
    ),
    claim(
        text="An encoder of its own for the magnitudes changes FVU at equal L0 by at most 0.01",
        of="untied",
        value=against("main"),
        statistic=excess,
        low=-MARGIN,
        high=MARGIN,
        unit="FVU",
        must_fail=("short", "no-heaviside"),
        near={"short": "that the comparison is blind to a difference of a few hundredths"},
        violations=("lagging",),
        also={
            "again": rival("Gated itself, drawn anew"),
            "shrunk": rival("Gated itself, too small by a factor"),
            **dict.fromkeys(
                ("no-rmag", "unfrozen"),
                rival("another part that may be worth less than the margin"),
            ),
        },
        half={"untied": "untied-half", "main": "half"},
        threshold_from="plan: ± .01, set before any pilot",
        source=f"{PAPER}, section 5.2, ablations",
    ),
    unbiased(
        text="Without the Heaviside the code is unbiased as well: γ within 0.02 of 1",
        of="no-heaviside",
        unit="|γ − 1|",
        violations=("no-heaviside-shrunk",),
        also=without(UNBIASED, "no-heaviside") | {"main": rival("Gated itself")},
        half={"no-heaviside": "no-heaviside-half"},
        threshold_from="theory: 1, with the margin of the first claim",
        source=DISCUSSION,
    ),
    claim(
        text="The Heaviside earns more than unbiasedness: without it FVU at equal L0 is at least "
        "0.01 higher than without any other part",
        of="no-heaviside",
        value=against_parts,
        statistic=dearest,
        low=MARGIN,
        unit="FVU",
        must_fail=("unfrozen", "no-rmag", "untied", "again"),
        near=dict.fromkeys(
            ("unfrozen", "no-rmag"), "that the dearest of several parts always stands out"
        ),
        must_hold=("short",),
        also=GATELESS | {"no-heaviside-shrunk": SHRUNK},
        half={
            "no-heaviside": "no-heaviside-half",
            "main": "half",
            "unfrozen": "unfrozen-half",
            "untied": "untied-half",
        },
        threshold_from=f"{PILOT} and 3000–3005: .044, the next dearest part .009; the margin is "
        "the first plan's",
        source=DISCUSSION,
    ),
    shut(
        text="A sigmoid gate evades the L1 of its input: read hard, at most 0.5 features are on",
        of="sigmoid-relu",
        also=SPARSE
        | {
            "no-aux": rival("a gate without its auxiliary loss shuts in another way"),
            "sigmoid": rival("the sigmoid's other penalty"),
        },
        half={"sigmoid-relu": "sigmoid-relu-half"},
        threshold_from=f"{PILOT}: .055 [.051, .060]",
        source=DISCUSSION,
    ),
    claim(
        text="A sigmoid gate evades the L1 of its input: as trained, more than half of all latents "
        "are on",
        of="sigmoid-relu",
        value=soft_share,
        statistic=smallest(ratio("on", "latents")),
        low=0.5,
        unit="share of latents",
        must_fail=("sigmoid", "main"),
        near={"sigmoid": "that any smooth gate leaves most latents on, whatever the penalty"},
        half={"sigmoid-relu": "sigmoid-relu-half"},
        threshold_from=f"{PILOT}: .954 [.953, .956]; penalised itself .32 at the larger penalty",
        source=DISCUSSION,
    ),
    Exact(
        text="The square of the norm ratio is (1 − FVU) γ/(2 − γ), so that unbiased "
        "reconstructions are shorter than inputs: difference",
        value=off_identity,
        tolerance=1e-4,
        source="arithmetic of ‖x − x̂‖² = ‖x‖² − 2 x·x̂ + ‖x̂‖²",
    ),
    finding(
        "Norm ratio of Gated at the middle penalty",
        "main",
        middle,
        largest(norm_ratio),
        "norm ratio",
        f"{DISCUSSION}: vectors at an angle",
    ),
    finding(
        "FVU of the true codes with {oracle.code_noise:%} noise, L0 {truth}: what any dictionary "
        "could reach there",
        "oracle",
    ),
    finding(
        "Without the auxiliary loss: FVU at that penalty",
        "no-aux",
        source=f"{PAPER}, section 3.2.2; {DISCUSSION}",
    ),
    *(
        finding(
            f"At L0 3, 5 and 8: by how much {ahead}'s FVU lies below that of {behind} (smallest)",
            arm,
            against(other),
            smallest_lead,
        )
        for ahead, arm, behind, other in (
            ("Gated", "main", "ReLU of equal width", "relu"),
            ("Gated", "main", "the 1.5 times wider ReLU with its decoder refitted", "refit"),
            ("the 1.5 times wider ReLU", "wide", "ReLU of equal width", "relu"),
        )
    ),
    *(
        finding(
            f"{what}: FVU above the sweep of Gated at its own L0",
            arm,
            against(base),
            excess,
            source=f"{PAPER}, section 5.2, ablations",
        )
        for what, arm, base in (
            (MOVING, "unfrozen", "main"),
            (f"{MOVING}, both trained half as long", "unfrozen-half", "half"),
            ("Without r_mag", "no-rmag", "main"),
            ("Without the Heaviside", "no-heaviside", "main"),
            ("Gated, independent runs", "again", "main"),
        )
    ),
    finding("Without r_mag: largest |γ − 1|", "no-rmag", sweep, largest(bias), "|γ − 1|"),
    *(
        finding(
            f"Share of the gap closed by {what}, at Gated's own L0",
            arm,
            gap_terms,
            share_closed(L0, FVU),
            "share of the gap",
            source,
        )
        for what, arm, source in (
            (f"rescale & shift on {WIDER}", "rescaled", f"{PAPER}, section 5, Figure 9"),
            (f"rescale & shift and a refitted decoder on {WIDER}", "refit", ""),
            ("rescale & shift on ReLU of equal width", "relu-rescaled", ""),
            ("rescale & shift on orthonormal features", "orthonormal-rescaled", ""),
        )
    ),
    finding(
        "Sigmoid gate under the L1 of its input: FVU read hard less FVU as trained",
        "sigmoid-relu",
        sweep,
        smallest(hardened),
        source=DISCUSSION,
    ),
    *(
        finding(
            f"Sigmoid gate penalised by λ Σ σ at λ 0.4: {what}",
            "sigmoid",
            sweep,
            largest(statistic),
            unit,
            DISCUSSION,
        )
        for what, statistic, unit in (
            ("L0, read hard", L0, "L0"),
            ("γ, read hard", GAMMA, "γ"),
            ("FVU, read hard", FVU, "FVU"),
            ("FVU as trained", ratio("soft_error", "variance"), "FVU"),
            ("latents on as trained", ratio("soft_active", "tokens"), "latents"),
        )
    ),
    *(
        Estimate(
            text=f"True directions found by {label} (mean largest |cosine|; chance {{{chance}}}; "
            "it says nothing of codes)",
            value=lambda arms, name=name: by(arms[name], "penalty").mcc.mean("penalty"),
            unit="cosine",
        )
        for label, name, chance in (
            ("Gated", "main", "main-chance"),
            ("ReLU 1.5 ×, shrunken as it is", "wide", "wide-chance"),
        )
    ),
)


COMPARED = {
    "Frontier: the gate against width and repairs": [
        ("Gated", "main", FVU),
        ("ReLU 1 ×", "relu", FVU),
        ("ReLU 1.5 ×", "wide", FVU),
        ("… + rescale & shift", "rescaled", FVU),
        ("… + decoder refit", "refit", FVU),
    ],
    "What each part of Gated is worth": [
        ("Gated", "main", FVU),
        ("no effect", "again", FVU),
        ("unfrozen aux", "unfrozen", FVU),
        ("untied", "untied", FVU),
        ("no r_mag", "no-rmag", FVU),
        ("no Heaviside", "no-heaviside", FVU),
    ],
}


def figures(arms: Arms) -> list[Figure]:
    return [
        frontier.over_l0(
            arms,
            title,
            series,
            x_title="L0 (features on per input)",
            y_title="FVU",
            note="Mean and 95% t interval over seeds, each with a world of its own.",
        )
        for title, series in COMPARED.items()
    ]
