"""Gated SAEs on real activations: is shrinkage gone, and what is the gate worth?

Paper: Rajamanoharan et al. 2024, Improving Dictionary Learning with Gated Sparse Autoencoders, sections 3 to 5
Claim: at equal L0 the Gated dictionary's FVU lies at least 0.010 below that of a ReLU dictionary of equal width
Baselines: relu, equal width; wide, ReLU 1.5 times wider (equal cost); topk; rescaled and refit, repairs of relu; pca; relu-again, no effect
Cost: 300 s on 2 cores, 550 CPU-seconds, 1.7 GB a process; full a guess of 40 GPU-hours, never run
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from assay.core import Arm, Claim, Cost, Experiment, Figure, Finding, Joint, PerRun, Published, Spec, grid, probes, summary
from assay.core.errors import ClaimError, SpecError
from assay.core.measures import by, measures
from assay.core.rng import generator
from assay.core.stats import budget_ratio, lead_at_own, ratio, share_closed, sides
from assay.data.harvest import HarvestSpec, harvest
from assay.data.harvest import inputs as harvest_inputs
from assay.dictionaries.measuring import frontier
from assay.dictionaries.measuring.frontier import EARLIER, FRONTIER, FVU, GAMMA, L0, norm_ratio, sums, worst
from assay.subjects.folder import find
from assay.subjects.site import Site

PAPER = "Rajamanoharan et al. 2024, Improving Dictionary Learning with Gated SAEs"
GAO = "Gao et al. 2024, Scaling and Evaluating Sparse Autoencoders, section 2.3"
DISCUSSION = "R. Shah, comment in the discussion of that paper"
PILOT = "pilot: seeds 0–5 (0–11 for independent ReLU runs), same model, site and corpus"


@dataclass(frozen=True, kw_only=True)
class GatedSAE(Spec):
    penalty: PerRun[float] = 0.2
    """λ on the sum of features (Gated: of the gate); means different things to different methods, so never compared at equal λ."""
    method: Literal["gated", "gated-no-aux", "relu", "topk", "pca"] = "gated"
    """The architecture and its loss."""
    width: int = 512
    """Features in the dictionary; principal components for pca."""
    k: int = 12
    """Features that TopK keeps; other methods ignore it."""
    subject: str = "smollm2"
    """The language model: "smollm2" or a local folder."""
    layer: int = 9
    """The site is the residual stream before this block."""
    corpus: str = "stdlib"
    """The text: "stdlib" or a folder of text files."""
    windows: int = 1800
    """Training windows of 128 tokens."""
    per_file: int = 3
    """Test windows from one file, at most, so that no large file is most of the test."""
    passages: int = 20
    """Test documents (one window each) on which cross-entropy is measured."""
    ce_at: tuple[float, ...] = ()
    """Penalties at which cross-entropy is measured: it costs as much as training."""
    batch: int = 256
    """Activations a step."""
    steps: int = 1000
    """Training steps."""
    lr: float = 4e-3
    """Adam's learning rate at its top."""
    products: Literal["bfloat16", "float32"] = "bfloat16"
    """Precision of matrix products in training; parameters are float32."""
    repair: Literal["", "rescale", "refit", "damp"] = ""
    """What is done to a trained dictionary: rescale & shift, decoder refit, or codes made 15 % too short."""
    of: str = ""
    """The arm that was repaired."""
    showcase_width: int = 4608
    """Width of the one dictionary whose features are shown."""
    showcase_steps: int = 400
    """Steps of 2,048 activations for it."""
    repair_rows: int = 30_000
    """Training activations to which a repair is fitted."""
    repair_pull: float = 5.0
    """Firings' worth of pull towards no repair: plain least squares gave rare features factors up to 13 (pilot seeds 0 and 1)."""
    replicate: int = 0
    """Another independent draw of start and data order at the same seed."""
    cards: int = 0
    """How many features are written up as cards."""
    card_windows: int = 500
    """Training windows on which they are shown."""

    def check(self) -> None:
        least = {"width": 1, "k": 1, "layer": 0, "windows": 1, "per_file": 0, "passages": 1, "batch": 1, "steps": 2}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise SpecError(f"GatedSAE.{name} must be at least {low}, got {getattr(self, name)}")
        if self.lr <= 0 or self.penalty < 0:
            raise SpecError(f"GatedSAE needs lr above 0 and penalty at least 0, got lr={self.lr}, penalty={self.penalty}")

    def text(self, part, windows=0, per_file=0):
        """The harvest of one part of the corpus at this site."""
        site = f"blocks.{self.layer}.hook_resid_pre"
        return HarvestSpec(subject=self.subject, site=site, corpus=self.corpus, part=part, windows=windows, per_file=per_file)


# --- what is trained ---------------------------------------------------------------------------------------------------


def activations(s, bench):
    """(training harvest, test harvest), made once and read by every arm."""
    train = harvest(s.text("train", s.windows), bench)
    return train, harvest(s.text("test", per_file=s.per_file), bench, like=train)


def method(runs):
    """How this arm's dictionaries are trained: the pilot's settings for every method, momentum for TopK alone."""
    from assay.dictionaries.nonlinearity import Gated, ReLU, TopK
    from assay.dictionaries.training import losses
    from assay.dictionaries.training.train import Method

    s = runs.shared
    given = {"width": s.width, "lr": np.full(len(runs), s.lr), "penalty": runs.each("penalty"), "products": s.products}
    if s.method == "topk":
        return Method(TopK(s.k), losses.mse, betas=(0.9, 0.999), encoder_scale=1.0, **given)
    if s.method == "relu":
        return Method(ReLU(), losses.l1, **given)
    return Method(Gated(), losses.gated if s.method == "gated" else losses.gated_no_aux, **given)


def train_together(groups, bench):
    """Dictionaries of several shapes in one pass over the same batches."""
    from assay.dictionaries.training.train import fit_dictionaries

    s = groups[0].shared
    data, _ = activations(s, bench)
    drawn = [r.replicated() for r in groups]
    return fit_dictionaries(
        [(r, method(r)) for r in drawn], data.batches(drawn[0].seeds, s.batch), d=data.d, steps=s.steps, bench=bench,
        mean=data.mean, scale=data.scale, sites=(data.spec.site,), probe_at=probes(s.steps, 20),
    )  # fmt: skip


def train(runs, bench):
    return train_together([runs], bench)[0]


def rows(runs, bench, count):
    """[b, d]: normalised training activations, a subset drawn by the first run's seed."""
    data, _ = activations(runs.shared, bench)
    chosen = generator(int(runs.seeds[0]), "gated-sae.rows").permutation(data.kept)[:count]
    return data, data.rows(np.sort(chosen))


def principal(runs, bench):
    """Principal components of 20,000 activations drawn by each seed; the draws of two seeds share a tenth."""
    from assay.dictionaries.baselines.linear import pca
    from assay.dictionaries.dictionary import Dictionary

    found = []
    for one in runs.split(1):
        data, x = rows(one, bench, 20_000)
        found.append(replace(pca(x, runs.shared.width)[0], sites=(data.spec.site,)))
    return Dictionary.join(found).to_trained()


def repair(runs, bench, before):
    """Another arm's dictionaries with features rescaled & shifted, the decoder refitted, or codes × 0.85."""
    from assay.dictionaries.baselines.repair import refit_decoder, rescale_and_shift, shrunk
    from assay.dictionaries.dictionary import Dictionary

    kind, given = runs.shared.repair, Dictionary.of(before)
    if kind == "damp":
        return shrunk(given, 0.85).to_trained()
    _, x = rows(runs, bench, runs.shared.repair_rows)
    mended = (refit_decoder if kind == "refit" else rescale_and_shift)(given.normalised, x, pull=runs.shared.repair_pull)
    return replace(mended, mean=given.mean, scale=given.scale).to_trained()


# --- what is measured --------------------------------------------------------------------------------------------------


def measure(runs, trained, bench):
    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.measuring.splice import cross_entropy
    from assay.features.showcase import card_measures

    s = runs.shared
    data, test = activations(s, bench)
    dictionary = Dictionary.of(trained)
    named, coords = frontier.document_measures(dictionary, test)
    if trained.history:
        coords["step"] = trained.steps.tolist()
        named |= {name: ("run step", trained.history[name], "1") for name in ("loss", "mse", "l0")}
    if s.ce_at:
        files, losses = cross_entropy(dictionary, test, s.passages, bench, only=np.isin(runs.each("penalty"), s.ce_at))
        coords["passage"] = files
        named |= {f"ce_{name}": ("run passage", values, "nats") for name, values in losses.items()}
    if s.cards:
        more, levels = card_measures(dictionary, data, bench, windows=s.card_windows, count=s.cards)
        named |= more
        coords |= levels
    return measures(runs, coords=coords, **named)


def inputs(spec):
    """Model and corpus of a run, after a look at whether the model has the site at all."""
    find(spec.subject).check(Site.parse(spec.text("train").site))
    return harvest_inputs(spec.text("train", spec.windows))


def cost(runs):
    """The disk that the harvest takes, shared by all arms; seconds come from the record."""
    harvest = runs.shared.text("train", runs.shared.windows)
    return Cost(bytes=harvest.bytes(), artefacts={harvest.to_json(): harvest.bytes()})


# --- what is compared ---------------------------------------------------------------------------------------------------


def bias_terms(arm, arms):
    """Terms of γ, its earlier form and the norm ratio along the arm's sweep."""
    return sums(arm, "norm", "dot", "variance")


def bias(m):
    """|γ − 1| along the sweep."""
    return abs(GAMMA(m) - 1)


def spread(m):
    """γ at the smallest penalty less γ at the largest."""
    gamma = GAMMA(m)
    return gamma[:, 0] - gamma[:, -1]


def against(other):
    """Terms: this arm at the middle of its sweep, and another arm's whole sweep."""
    return lambda arm, arms: sides(a=sums(arm, *FRONTIER, at="middle"), b=sums(arms[other], *FRONTIER))


def under(other):
    """Terms: this arm's whole sweep, and another arm at the middle of its own."""
    return lambda arm, arms: sides(b=sums(arm, *FRONTIER), a=sums(arms[other], *FRONTIER, at="middle"))


def lead_at_others_own(m):
    """How far this arm's sweep lies below the other arm's point, at that point's L0."""
    return -lead_at_own(L0, FVU)(m)


def gap_terms(arm, arms):
    """Terms: Gated in the middle of its sweep, the arm that was repaired, and its repair."""
    return sides(best=sums(arms["main"], *FRONTIER, at="middle"), base=sums(arms[arm.attrs["of"]], *FRONTIER),
                 repaired=sums(arm, *FRONTIER))  # fmt: skip


def same_penalty(arm, arms):
    """Terms: this arm's L0 and the full loss's at the penalty where this arm was trained."""
    mine, full = by(arm, "penalty"), by(arms["main"], "penalty")
    full = full.sel(penalty=mine.penalty.values)
    return sides(a={k: mine[k] for k in ("active", "tokens")}, b={k: full[k] for k in ("active", "tokens")})


def log_l0_ratio(m):
    """log of this arm's L0 over the full loss's, mean over the penalties of this arm."""
    return np.log(m["a.active"] / m["a.tokens"] * m["b.tokens"] / m["b.active"]).mean(1)


def spliced(arm):
    """The measures of an arm at the penalty where its cross-entropy was measured."""
    if not arm.attrs["ce_at"]:
        raise ClaimError("cross-entropy was not measured in this arm; it is in main, relu, relu-again and showcase")
    return by(arm, "penalty").sel(penalty=arm.attrs["ce_at"][0], drop=True)


def lost(arm):
    """[seed, passage]: nats that splicing adds."""
    data = spliced(arm)
    return data.ce_spliced - data.ce_clean


def ablated(arm, by_what):
    """[seed, passage]: nats that ablating the site adds, "mean" or "zero"."""
    data = spliced(arm)
    return data[f"ce_{by_what}"] - data.ce_clean


def lost_terms(arm, arms):
    return {"mine": lost(arm), "relu": lost(arms["relu"])}


# --- arms, claims, figures -----------------------------------------------------------------------------------------------


def like(*penalties, halved=False, wider=1.0, seeds=None, **fields):
    """The preset's (first so many) seeds with these penalties and fields; `halved`: half as long, with a whole schedule of its own."""

    def specs(main):
        base = main[0].replace(ce_at=(), **fields) if "ce_at" not in fields else main[0].replace(**fields)
        if halved:
            base = base.replace(steps=base.steps // 2)
        base = base.replace(width=round(wider * base.width))
        return grid(base, penalty=penalties, seed=sorted({s.seed for s in main})[:seeds])

    return specs


def showcase(main):
    s = main[0]
    return (
        s.replace(method="topk", width=s.showcase_width, k=min(32, s.showcase_width), steps=s.showcase_steps, batch=8 * s.batch,
                  lr=1e-3, penalty=0.0, ce_at=(0.0,), cards=320),
    )  # fmt: skip


def at_penalties(*penalties):
    return lambda specs: tuple(s for s in specs if s.penalty in penalties)


def repaired(kind, of, *penalties):
    keep = at_penalties(*penalties)
    return lambda specs: tuple(s.replace(repair=kind, of=of, ce_at=()) for s in keep(specs))


TOGETHER = Joint(train_together)
ARMS = {
    "main": Arm(TOGETHER, keep=True, note="Gated"),
    "relu": Arm(TOGETHER, specs=like(0.05, 0.1, 0.2, method="relu", ce_at=(0.1,)), note="ReLU + L1, equal width"),
    "wide": Arm(TOGETHER, specs=like(0.1, method="relu", wider=1.5), note="ReLU + L1, 1.5 times wider: equal cost"),
    "topk": Arm(TOGETHER, specs=like(0.0, method="topk"), note="TopK, as wide as Gated"),
    "no-aux": Arm(TOGETHER, specs=like(0.2, method="gated-no-aux"), note="Gated without the auxiliary loss"),
    "relu-again": Arm(train, specs=like(0.1, method="relu", replicate=1, ce_at=(0.1,)), note="independent ReLU runs: no effect"),
    "half": Arm(train, specs=like(0.1, 0.2, halved=True), note="Gated trained half as long, with its own decay"),
    "relu-half": Arm(train, specs=like(0.05, 0.1, 0.2, halved=True, seeds=3, method="relu"), note="ReLU trained half as long"),
    "wide-half": Arm(train, specs=like(0.1, halved=True, seeds=3, method="relu", wider=1.5), note="1.5 × ReLU, half as long"),
    "wide-half-rescaled": Arm(repair, after="wide-half", specs=repaired("rescale", "wide-half", 0.1), note="the same, mended"),
    "rescaled": Arm(repair, after="relu", specs=repaired("rescale", "relu", 0.05, 0.1, 0.2), note="ReLU, then rescale & shift"),
    "refit": Arm(repair, after="rescaled", specs=repaired("refit", "relu", 0.1, 0.2), note="ReLU, rescale & shift, decoder refit"),
    "wide-rescaled": Arm(repair, after="wide", specs=repaired("rescale", "wide", 0.1), note="1.5 × ReLU, then rescale & shift"),
    "damped": Arm(repair, after="main", specs=repaired("damp", "main", 0.1, 0.2), note="Gated with codes × 0.85: shrinkage alone"),
    "damped-rescaled": Arm(repair, after="damped", specs=repaired("rescale", "damped", 0.1, 0.2), note="the same, mended"),
    "pca": Arm(principal, specs=like(0.0, method="pca", width=384), note="384 principal components: unbiased and dense"),
    "pca-32": Arm(principal, specs=like(0.0, method="pca", width=32), note="32 principal components"),
    "showcase": Arm(train, specs=showcase, keep=True, note="one wide TopK dictionary: its features are shown"),
}  # fmt: skip

CROSSED = ("seed", "document")
CLAIMS = (
    Claim(
        text="Gated is unbiased: at every penalty its relative reconstruction bias γ lies within 0.02 of 1",
        value=bias_terms, statistic=worst(bias), units=CROSSED, high=0.02, unit="largest |γ − 1|",
        must_fail=("relu",), half={"main": "half"}, threshold_from="theory: 1, with a margin of a sixth of ReLU's bias (pilot: .12, Gated .003)",
        published=Published(0.0, f"{PAPER}, section 4: γ ≈ 1 at all sites"), source=f"{PAPER}, section 4",
    ),
    Claim(
        text="ReLU + L1 shrinks: even at its smallest penalty γ is at most 0.97",
        of="relu", value=bias_terms, statistic=worst(GAMMA), units=CROSSED, high=0.97, unit="largest γ",
        must_fail=("main",), half={"relu": "relu-half"}, threshold_from=f"{PILOT}: .943 [.940, .946]",
        published="new", source=f"{PAPER}, section 4",
    ),
    Claim(
        text="Shrinkage grows with the penalty: γ of ReLU falls by at least 0.02 from the smallest to the largest",
        of="relu", value=bias_terms, statistic=spread, units=CROSSED, low=0.02, unit="difference of γ",
        must_fail=("main",), half={"relu": "relu-half"}, threshold_from=f"{PILOT}: .062 [.057, .069]",
        published="new", source=f"{PAPER}, section 4",
    ),
    Claim(
        text="The earlier form of γ reads as shrinkage on Gated: it is at most 0.95 at every penalty",
        value=bias_terms, statistic=worst(EARLIER), units=CROSSED, high=0.95, unit="largest earlier form",
        must_fail=("pca",), threshold_from=f"{PILOT}: .849; PCA 384 .969", published="new", source=f"{DISCUSSION}: sides swapped",
    ),
    Claim(
        text="Reconstructions are shorter than activations although unbiased: the norm ratio is at most 0.97 at every penalty",
        value=bias_terms, statistic=worst(norm_ratio), units=CROSSED, high=0.97, unit="largest norm ratio",
        must_fail=("pca",), threshold_from=f"{PILOT}: .921; PCA 384 .984",
        published="new", source=f"{DISCUSSION}: vectors at an angle",
    ),
    Claim(
        text="At its own L0 Gated's FVU lies at least 0.010 below that of ReLU of equal width",
        value=against("relu"), statistic=lead_at_own(L0, FVU), units=CROSSED, low=0.010, unit="FVU",
        must_fail=("relu-again",), half={"main": "half", "relu": "relu-half"}, threshold_from=f"{PILOT}: .024 [.022, .027]",
        published="new", source=f"{PAPER}, section 4.1",
    ),
    Claim(
        text="To reach Gated's FVU, ReLU of equal width needs at least 1.4 times its L0",
        value=against("relu"), statistic=budget_ratio(L0, FVU), units=CROSSED, low=1.4, unit="ratio of L0",
        must_fail=("relu-again",), half={"main": "half", "relu": "relu-half"}, threshold_from=f"{PILOT}: 1.68 [1.58, 1.74]",
        published=Published(2.0, f"{PAPER}, abstract: half as many firing features at comparable fidelity, against 1.5 × ReLU"),
        source=f"{PAPER}, section 4.1",
    ),
    Claim(
        text="At the L0 of the 1.5 times wider ReLU (equal cost), Gated's FVU lies at least 0.005 below it",
        value=under("wide"), statistic=lead_at_others_own, units=CROSSED, low=0.005, unit="FVU",
        must_fail=("relu",), half={"main": "half", "wide": "wide-half"},
        threshold_from=f"{PILOT}: .002 [−.001, .004]", published="new", source=f"{PAPER}, section 4.1",
    ),
    Claim(
        text="Rescale & shift repairs the bias of ReLU: γ within 0.02 of 1 at every penalty",
        of="rescaled", value=bias_terms, statistic=worst(bias), units=CROSSED, high=0.02,
        unit="largest |γ − 1|", must_fail=("relu",), threshold_from=f"{PILOT}: .996 to .998",
        published="new", source=f"{PAPER}, section 5, Figure 9",
    ),
    Claim(
        text="Rescale & shift leaves a gap to Gated at equal width: it closes less than 0.90 of it",
        of="rescaled", value=gap_terms, statistic=share_closed(L0, FVU), units=CROSSED, high=0.90, unit="share of the gap",
        must_fail=("damped-rescaled",), threshold_from=f"{PILOT}: .72 [.69, .75], .63 [.59, .68]",
        published="new", source=f"{PAPER}, section 5, Figure 9",
    ),
    Claim(
        text="Refitting the decoder as well closes at least 0.90 of that gap",
        of="refit", value=gap_terms, statistic=share_closed(L0, FVU), units=CROSSED, low=0.90, unit="share of the gap",
        must_fail=("rescaled",), threshold_from=f"{PILOT}: 1.16 [1.11, 1.21]",
        published="new", source="Assay's own baseline, beside Figure 9",
    ),
    Claim(
        text="At equal cost, Gated's FVU lies at least 0.005 below the 1.5 times wider ReLU with rescale & shift",
        value=under("wide-rescaled"), statistic=lead_at_others_own, units=CROSSED, low=0.005, unit="FVU",
        must_fail=("relu",), half={"main": "half", "wide-rescaled": "wide-half-rescaled"},
        threshold_from=f"{PILOT}: −.011 [−.013, −.009]", published="new", source=f"{PAPER}, section 5, Figure 9",
    ),
    Claim(
        text="Without the auxiliary loss the gate drifts shut: L0 falls to at most 1/e of the full loss's at the same penalty",
        of="no-aux", value=same_penalty, statistic=log_l0_ratio, units=CROSSED, high=-1.0, unit="log ratio of L0",
        must_fail=("half",), threshold_from=f"{PILOT}: −1.93 [−1.97, −1.89]", published="new", source=f"{PAPER}, section 3.2.2",
    ),
    Claim(
        text="Spliced in, ReLU loses at least e^0.1 times as much cross-entropy as Gated (L0 about 12 against 11)",
        value=lost_terms, statistic=lambda m: np.log(m["relu"] / m["mine"]), units=("seed", "passage"), low=0.10,
        unit="log ratio of nats", must_fail=("relu-again",), threshold_from=f"{PILOT}: .33 [.25, .41]",
        published="new", source=f"{PAPER}, section 4.1",
    ),
    Claim(
        text="The showcase, one wide TopK dictionary, leaves at most 0.13 of the variance unexplained",
        of="showcase", value=lambda arm, arms: {k: v.mean(("seed", "penalty")) for k, v in sums(arm, "error", "variance").items()},
        statistic=FVU, units=("document",), high=0.13, unit="FVU", must_fail=("topk",), threshold_from=f"{PILOT}: .115 [.110, .120]",
        published="new", source=GAO,
    ),
    Claim(
        text="The showcase loses at most 3 % of what mean ablation loses in cross-entropy",
        of="showcase", value=lambda arm, arms: {"lost": lost(arm).mean("seed"), "mean": ablated(arm, "mean").mean("seed")},
        statistic=ratio("lost", "mean"), units=("passage",), high=0.03, unit="share of the ablation's loss", must_fail=("relu",),
        threshold_from=f"{PILOT}: .015 [.009, .021]", published="new", source=GAO,
    ),
    Finding(
        text="Mean ablation alone, with no dictionary at all, 'recovers' this share of what zero ablation loses",
        value=lambda arms: {"mean": (ablated(arms["main"], "zero") - ablated(arms["main"], "mean")).mean("seed"),
                            "zero": ablated(arms["main"], "zero").mean("seed")},
        statistic=ratio("mean", "zero"), units=("passage",), unit="share",
    ),
    Finding(
        text="Cross-entropy recovered by Gated (L0 about 11), against mean ablation",
        value=lambda arms: {"lost": lost(arms["main"]), "all": ablated(arms["main"], "mean")},
        statistic=lambda m: 1 - m["lost"] / m["all"], units=("seed", "passage"), unit="share",
    ),
    Finding(
        text="Cross-entropy recovered by the same Gated dictionaries, against zero ablation",
        value=lambda arms: {"lost": lost(arms["main"]), "all": ablated(arms["main"], "zero")},
        statistic=lambda m: 1 - m["lost"] / m["all"], units=("seed", "passage"), unit="share",
    ),
    Finding(
        text="Width alone: how far the 1.5 times wider ReLU's FVU lies below that of ReLU of equal width, at its own L0",
        value=lambda arms: against("relu")(arms["wide"], arms), statistic=lead_at_own(L0, FVU), units=CROSSED, unit="FVU",
    ),
    Finding(
        text="TopK against Gated at TopK's own L0 of 12 (positive: TopK ahead)",
        value=lambda arms: against("main")(arms["topk"], arms), statistic=lead_at_own(L0, FVU), units=CROSSED, unit="FVU",
    ),
    Finding(
        text="Gated against ReLU of equal width at Gated's smallest penalty, L0 about 32 (positive: Gated ahead)",
        value=lambda arms: sides(a=sums(arms["main"], *FRONTIER, at=0), b=sums(arms["relu"], *FRONTIER)),
        statistic=lead_at_own(L0, FVU), units=CROSSED, unit="FVU",
    ),
    Finding(
        text="FVU of 32 principal components",
        value=lambda arms: {k: v.isel(penalty=0) for k, v in sums(arms["pca-32"], "error", "variance").items()},
        statistic=FVU, units=CROSSED, unit="FVU",
    ),
)  # fmt: skip


def figures(arms):
    equal = [("Gated 1 ×", "main", FVU), ("ReLU 1 ×", "relu", FVU), ("TopK 1 ×", "topk", FVU), ("ReLU 1.5 ×", "wide", FVU)]
    mended = [("Gated 1 ×", "main", FVU), ("ReLU 1 × + rescale & shift", "rescaled", FVU), ("… + decoder refit", "refit", FVU),
              ("ReLU 1.5 ×", "wide", FVU), ("ReLU 1.5 × + rescale & shift", "wide-rescaled", FVU)]  # fmt: skip
    metrics = [("Gated: γ", "main", GAMMA), ("Gated: earlier form", "main", EARLIER), ("ReLU: γ", "relu", GAMMA),
               ("ReLU: earlier form", "relu", EARLIER)]  # fmt: skip
    axes = {"mark": "line", "x": "L0", "y": "mean", "color": "arm", "band": ("low", "high"), "x_log": True,
            "x_title": "L0 (features on per token)"}  # fmt: skip
    pca = frontier.over_l0(arms, [("", "pca-32", FVU)])["mean"]
    note = "Mean and 95 % t interval over seeds; the claims resample seeds and documents."
    beside = f" 32 principal components leave {pca[0]:.2f}, off this axis." if pca else ""
    drawn = [
        Figure("Frontier: what each method leaves unexplained", frontier.over_l0(arms, equal), y_title="FVU", note=note + beside, **axes),
        Figure("The same with ReLU mended or wider", frontier.over_l0(arms, mended), y_title="FVU", note=note, **axes),
        Figure("Same dictionaries, two metrics: γ and its earlier form", frontier.over_l0(arms, metrics), y_title="γ",
               rules=((1.0, "unbiased"),), **axes),
        Figure("Training loss at the middle penalty", frontier.history(arms, ("main", "relu", "wide", "topk", "no-aux")), "line", x="step",
               y="loss", color="arm", band=("low", "high"), x_title="step", y_title="loss", y_log=True,
               note="Losses of different methods are different sums; compare shapes, not heights."),
    ]  # fmt: skip
    if "ce_spliced" in arms.get("main", {}):
        drawn.append(Figure("Same dictionaries, two baselines: recovery against each ablation", recovery(arms), "bars", x="arm", y="mean",
                            facet="against", band=("low", "high"), x_title="", y_title="cross-entropy recovered"))  # fmt: skip
    if "density" in arms.get("showcase", {}):  # a record leaves it out
        density = arms["showcase"].density.values[0]
        drawn.append(Figure("How often the showcase features fire", {"density": np.log10(density[density > 0]).tolist(),
                            "count": [1] * int((density > 0).sum())}, "histogram", x="density", y="count",
                            x_title="log10 of the share of tokens", y_title="features",
                            note=f"{int((density == 0).sum())} of {len(density)} fire on no test token and are left out."))  # fmt: skip
    return drawn


def recovery(arms):
    """Columns: cross-entropy recovered by each dictionary, and by the mean alone, against both ablations."""
    columns: dict[str, list] = {"arm": [], "against": [], "mean": [], "low": [], "high": []}
    for label, name in (("Gated", "main"), ("ReLU", "relu"), ("TopK, wide", "showcase")):
        for what in ("mean", "zero"):
            if name in arms and "ce_spliced" in arms[name]:
                share = 1 - lost(arms[name]).sum("passage") / ablated(arms[name], what).sum("passage")
                frontier.add(columns, label, f"{what} ablation", *summary(share.values))
    zero, mean = (ablated(arms["main"], what).isel(seed=0).sum("passage") for what in ("zero", "mean"))
    for what, share in (("mean", 0.0), ("zero", float(1 - mean / zero))):
        frontier.add(columns, "no dictionary: the mean", f"{what} ablation", *summary([share]))
    return columns


def feature_cards(arms):
    from assay.features import card

    if "showcase" not in arms:
        return []
    s = arms["showcase"].attrs
    return card.cards(arms["showcase"], seed=0, source=f"{s['subject']}/{s['layer']}-resid_pre-topk{s['width']}")


DEFAULT = GatedSAE(ce_at=(0.2,))
SMALL = GatedSAE(ce_at=(0.2,), width=32, windows=24, per_file=1, passages=2, steps=20, showcase_width=64, showcase_steps=4, batch=64)

PAGE = """
**The debate.** An L1 penalty decides which features are on and also pulls every magnitude towards zero. Gated SAEs take the second
effect away: the penalty touches a gate, magnitudes come from a path of their own. How much of the reported gain is that repair, how
much is better selection, and how much would a ReLU dictionary get by being wider or by being mended afterwards?

**How it is judged.** γ is the factor by which reconstructions would have to be divided to fit best: 1 is unbiased, below 1 shrunken. It
is taken about the mean of the held-out activations. Frontiers are compared at equal L0, never at equal penalty. Every interval resamples
seeds and held-out documents together. Where Gated and ReLU are compared, and for the bias of both, an outcome must also survive moving
its value by the change between trainings of half the length, with schedules of their own, and the whole ones.

**Read this before you quote it.** One model of 135 M parameters, 4-bit weights, instruction-tuned; one layer; source code as text; 512
features for 576 dimensions, so width is scarce, as it is not at published sizes; 1,000 steps. The published comparison gives ReLU 1.5
times the width (equal cost); the claim at equal width is ours and is the weaker one. The learning rate decides this debate: at 1e-3 all
methods are under-trained at 1,000 steps, ReLU most, and the gate's lead at equal width reads .046 at L0 8 where it reads .025 at 4e-3 and
.016 at 8e-3 (pilot, one seed). Rates, penalties and thresholds were fixed on pilot seeds 0–11; that pilot had seen part of the held-out
files, so the judged seeds are new and the documents only partly are. Feature cards show training text.
"""

experiment = Experiment(
    page=PAGE.strip(), arms=ARMS, measure=measure, claims=CLAIMS, figures=figures, cards=feature_cards, inputs=inputs, cost=cost,
    seeds_per_group=1,
    scope="SmolLM2-135M-Instruct (4-bit Q4_1), residual stream before block 9, text of Python's standard library",
    smoke=grid(SMALL, penalty=(0.1, 0.2, 0.4), seed=range(1000, 1002)),
    default=grid(DEFAULT, penalty=(0.1, 0.2, 0.4), seed=range(1000, 1006)),
    full=grid(DEFAULT.replace(width=16_384, batch=4096, steps=50_000, lr=3e-4, windows=12_000, products="bfloat16"),
              penalty=(0.1, 0.2, 0.4), seed=range(1000, 1008)),
)  # fmt: skip
