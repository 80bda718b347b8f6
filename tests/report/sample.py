"""A hand-made result, as the lab would return it: every outcome, hostile text, a wide control;
figures and cards beside it."""

import math

from assay.core.figures import Figure
from assay.core.results import ResultData
from assay.features.card import Example, FeatureCard, Group

HOSTILE = '<script>alert("x")</script>'
N = {"seed": 6, "document": 49}


def entry(
    text, outcome, estimate, low, high, *, threshold="", allowed=(None, None), arm="main", **more
):
    """One verdict's JSON."""
    spread = (
        []
        if estimate is None
        else [estimate + d * (high - low) / 5 for d in (-1.5, -0.8, -0.1, 0.3, 0.9, 1.4)]
    )
    ends = {"low": low, "high": high}
    return {
        "text": text,
        "arm": arm,
        "outcome": outcome,
        "estimate": estimate,
        **{way + end: x for way in ("", "boot_", "t_", "skew_") for end, x in ends.items()},
        "p": 0.004,
        "n": dict(N),
        "units": ["seed", "document"],
        "unit": "1",
        "scope": (
            "over seeds and documents; SmolLM2-135M-Instruct (4-bit), blocks.9.hook_resid_pre, "
            "Python's standard library"
        ),
        "method": "crossed bootstrap (10,000 draws, expanded percentile) and Student t agree",
        "source": "Improving Dictionary Learning with Gated SAEs, section 4",
        "threshold": threshold,
        "range": list(allowed),
        "fail_range": list(allowed),
        "threshold_from": "pilot: seeds 0–5",
        "detectable": [0.5, None],
        "gates": {"converged": True},
        "points": spread,
        "controls": {},
        **more,
    }


def control(arm, outcome, estimate, low, high, like):
    """A control's verdict on the claim `like`."""
    return {
        **like,
        "arm": arm,
        "outcome": outcome,
        "estimate": estimate,
        "low": low,
        "high": high,
        "controls": {},
        "points": [],
    }


def verdicts():
    """Seven claims: each outcome, each way the page has to cope with."""
    gamma = entry(
        "Gated is unbiased: γ of every penalty lies in [0.98, 1.02]",
        "holds",
        0.9972,
        0.9943,
        0.9998,
        threshold="in [0.98, 1.02]",
        allowed=(0.98, 1.02),
        published={
            "number": 0.99,
            "source": "Figure 5",
            "same": False,
            "set_up": "other set-up: not comparable, for orientation",
            "note": "",
            "at": "",
        },
    )
    gamma["controls"] = {
        "relu": control("relu", "fails", 0.943, 0.940, 0.946, gamma),
        "untrained": control("untrained", "fails", 0.433, 0.41, 0.45, gamma),
    }
    lead = entry(
        "Gated leads the 1.5× wider ReLU by at least 0.005 FVU at L0 12",
        "fails",
        0.0021,
        -0.0009,
        0.0042,
        threshold=">= 0.005",
        allowed=(0.005, None),
        published="new",
    )
    lead["controls"] = {"relu-again": control("relu-again", "fails", 0.0008, -0.002, 0.003, lead)}
    share = entry(
        "Decoder refit closes at least 0.9 of the gap",
        "undecided",
        0.912,
        0.851,
        0.977,
        threshold=">= 0.9",
        allowed=(0.9, None),
        reason="interval straddles 0.9",
        price={
            "text": "about 40 more seeds, 12 min: assay run gated-sae --set seeds=46",
            "factor": "seed",
            "more": 40,
        },
    )
    share["controls"] = {"rescaled": control("rescaled", "undecided", 0.89, 0.84, 0.95, share)}
    l0 = entry(
        "ReLU needs at least 1.4 times the L0 of Gated at FVU 0.19",
        "holds",
        1.68,
        1.58,
        1.74,
        threshold=">= 1.4",
        allowed=(1.4, None),
    )
    l0["controls"] = {"relu-again": control("relu-again", "fails", 0.99, 0.95, 1.04, l0)}
    l0["planted"] = {"halved": control("halved", "holds", 2.01, 1.97, 2.06, l0)}
    wide = entry(
        "The share closed against the wider ReLU is below 0.9",
        "unspecific",
        -41.0,
        -138.2,
        221.5,
        threshold="<= 0.9",
        allowed=(None, 0.9),
        reason="control shuffled satisfies it too",
        unit="share of the gap",
    )
    wide["controls"] = {"shuffled": control("shuffled", "holds", 0.1, 0.05, 0.2, wide)}
    lost = entry(
        f"A diverged claim {HOSTILE} is not estimated",
        "undecided",
        None,
        None,
        None,
        threshold=">= 1",
        allowed=(1, None),
        reason="diverged",
        points=[],
        gates={"converged": False},
        dropped=2,
    )
    same = entry(
        "In all seeds exactly 4 features per dimension are represented",
        "holds",
        4.0,
        4.0,
        4.0,
        threshold=">= 1.5 features per dimension",
        allowed=(1.5, None),
        unit="features per dimension",
        n={"seed": 8},
        units=["seed"],
    )
    same["controls"] = {"linear": control("linear", "fails", 0.2, 0.0, 0.4, same)}
    return [gamma, lead, share, l0, wide, lost, same]


def result():
    """The whole result."""
    return ResultData.from_json(written())


def of(*verdicts, **fields):
    """A result of these verdicts, given as JSON."""
    return ResultData.from_json({"verdicts": verdicts, **fields})


def written():
    """The whole JSON of a result."""
    return {
        "schema": 1,
        "experiment": "gated-sae",
        "preset": "default",
        "seconds": 283.4,
        "cpu_seconds": 541.2,
        "verdicts": verdicts(),
        "exact": [
            {
                "text": "One-hot inputs have L0 exactly 1",
                "outcome": "exact",
                "value": 1.0,
                "expected": 1.0,
                "tolerance": 0.0,
                "source": "arithmetic",
            },
            {
                "text": "Two plus two",
                "outcome": "violated",
                "value": [5.0, 4.0, 4.0, 4.0],
                "expected": 4.0,
                "tolerance": 1e-9,
                "source": "arithmetic",
            },
        ],
        "findings": [
            entry(
                "The mean alone recovers this share of zero ablation's loss",
                "finding",
                0.392,
                0.361,
                0.418,
                kind="finding",
            )
        ],
        "provenance": {
            "runs": 84,
            "diverged": 0,
            "inputs": {"model": "ab" * 32, "corpus": "cd" * 16},
            "keys": "12" * 32,
            "finished": "2026-11-20T09:00:00+00:00",
            "device": "cpu",
            "peak_rss": 1_200_000_000,
            "software": {"assay": "0.1.0", "commit": "0123abcd4567", "torch": "2.13.0"},
            "machine": {"cpu": "a CPU", "cores": 2},
        },
        "claims_key": "ef" * 32,
        "skipped": [],
        "arm": "main",
    }


def figures():
    """One figure of each mark, two of them with several series."""
    lines = {"arm": [], "L0": [], "mean": [], "low": [], "high": []}
    for arm, base in (("gated", 0.235), ("relu 512", 0.26), ("relu 768", 0.238)):
        for i, l0 in enumerate((4.1, 10.8, 31.6)):
            for column, v in zip(
                lines,
                (arm, l0, base - 0.045 * i, base - 0.045 * i - 0.006, base - 0.045 * i + 0.006),
                strict=True,
            ):
                lines[column].append(v)
    steps = list(range(0, 1001, 50))
    return [
        Figure(
            "One dictionary, two metrics: unbiased by γ, shrunk by the earlier form",
            {
                "penalty": [0.1, 0.1, 0.2, 0.2, 0.4, 0.4],
                "metric": ["γ", "earlier form"] * 3,
                "value": [0.998, 0.849, 0.998, 0.81, 0.997, 0.762],
            },
            "bars",
            x="penalty",
            y="value",
            color="metric",
            x_title="penalty λ",
            y_title="scale of the reconstruction, 1 = unbiased",
            rules=((1, "unbiased"),),
            note="The earlier form equals 1 − FVU to 0.001: it measures **error**, not shrinkage.",
        ),
        Figure(
            "At equal sparsity Gated leaves less unexplained than ReLU of equal width",
            lines,
            "line",
            x="L0",
            y="mean",
            color="arm",
            band=("low", "high"),
            x_log=True,
            x_title="L0, active features per token",
            y_title="FVU, unexplained share of variance",
            note="Means of 6 seeds; bands are 95 % intervals.",
        ),
        Figure(
            "The mean alone already recovers 41 % of the loss of zero ablation",
            {
                "what": ["Gated 512", "ReLU 512", "mean ablation alone"],
                "share": [0.948, 0.928, 0.41],
                "low": [0.935, 0.912, 0.38],
                "high": [0.96, 0.943, 0.44],
            },
            "bars",
            x="what",
            y="share",
            band=("low", "high"),
            y_title="cross-entropy recovered, 1",
        ),
        Figure(
            "Loss falls and flattens",
            {"step": steps, "loss": [0.2 + math.exp(-s / 150) for s in steps]},
            "line",
            x="step",
            y="loss",
            y_log=True,
        ),
        Figure(
            f"A heat map with a hostile title {HOSTILE}",
            {"a": [1, 1, 2, 2], "b": [1, 2, 1, 2], "v": [0.1, 0.5, 0.9, float("nan")]},
            "heatmap",
            x="a",
            y="b",
            color="v",
        ),
    ]


_WORDS = [
    "\n",
    "    ",
    "def",
    " wait",
    "(",
    "self",
    ",",
    " timeout",
    "=",
    "None",
    ")",
    ":",
    "\n\n",
    "\t",
    '"""',
    "Block until",
    " the",
    " event",
    "&amp;",
    HOSTILE,
]


def card(index, drawn):
    """A feature card with every kind of token."""

    def example(i, peak):
        tokens = tuple(_WORDS[(i * 7 + index + j) % len(_WORDS)] for j in range(16))
        return Example(
            tokens,
            tuple(peak if j == 10 else peak / 3 if j == 11 else 0.0 for j in range(16)),
            10,
            f"threading{i % 4}.py",
            40 + i,
        )

    peak = 3 + index % 5
    groups = tuple(
        Group(
            f"{name} quarter",
            tuple(example(30 + i + 3 * q, peak * (0.8 - 0.2 * q)) for i in range(3)),
        )
        for q, name in enumerate(("highest", "second", "third", "lowest"))
    )
    return FeatureCard(
        address=f"smollm2-135m/blocks.9.hook_resid_pre/{index}",
        index=index,
        drawn=drawn,
        firings=100 + index,
        density=(100 + index) / 20_000,
        maximum=float(peak),
        purity=0.3 + index % 7 / 10,
        edges=tuple(2 ** (k / 6) / 4 for k in range(13)),
        counts=tuple(max(1, 40 - (k - 5) ** 2) for k in range(12)),
        top=tuple(example(i, peak * (1 - i / 60)) for i in range(20)),
        groups=groups,
        promoted=(*((f" word{k}", 1.2 - k / 12) for k in range(9)), (HOSTILE, 0.1)),
        suppressed=tuple(("\n" * (k + 1), -1.0 + k / 14) for k in range(10)),
    )


def cards(drawn=20, browse=40):
    """Drawn cards, then some for browsing."""
    return [card(17 * i % 4608, i <= drawn) for i in range(1, drawn + browse + 1)]
