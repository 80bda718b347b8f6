"""Gated SAEs on planted truth: what each part of the method is worth, one ablation at a time.

Paper: Rajamanoharan et al. 2024, Improving Dictionary Learning with Gated Sparse Autoencoders, sections 3.2, 5 and Figure 9
Claim: at L0 3, 5 and 8 Gated's FVU lies at least 0.01 below that of a ReLU dictionary 1.5 times wider with rescale & shift
Baselines: wide and relu; rescaled, refit and relu-rescaled, repairs of them; again, no effect; short, a quarter of the training; oracle
Cost: 150 s on 2 cores, 300 CPU-seconds, 1.2 GB a process; full a guess of 2 GPU-hours, never run
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from assay.core import Arm, Claim, Exact, Experiment, Figure, Finding, PerRun, Published, Spec, grid, probes, summary
from assay.core.errors import SpecError
from assay.core.measures import by, measures
from assay.core.stats import at_matched, lead_at_own, ratio, share_closed, sides
from assay.dictionaries.measuring import frontier
from assay.dictionaries.measuring.frontier import EARLIER, FRONTIER, FVU, GAMMA, L0, norm_ratio, worst

PAPER = "Rajamanoharan et al. 2024, Improving Dictionary Learning with Gated SAEs"
DISCUSSION = "R. Shah, comment in the discussion of that paper"
PILOT = "pilot: seeds 0–7"
MARGIN = 0.01
"""Of FVU at equal L0: what is less is no change, what is more a cost or a lead. The first plan's, set before any pilot."""

Method = Literal[
    "gated", "no-aux", "unfrozen-aux", "untied", "no-rmag", "no-heaviside", "sigmoid", "sigmoid-relu", "relu", "oracle"
]


@dataclass(frozen=True, kw_only=True)
class GatedAblations(Spec):
    penalty: PerRun[float] = 0.65
    """λ of Σ‖x − x̂‖² + λ Σ f as published; means different things to different methods, so never compared at equal λ."""
    method: Method = "gated"
    """The architecture and its loss; oracle: the true directions and codes."""
    width: int = 128
    """Features in the dictionary."""
    d: int = 32
    """Dimensions of an input."""
    features: int = 128
    """True directions."""
    density: float = 0.02
    """Probability that a true feature is on."""
    orthonormal: bool = False
    """Whether the true directions are orthogonal: no superposition."""
    batch: int = 128
    """Fresh inputs a step."""
    steps: int = 4000
    """Training steps."""
    lr: float = 1e-2
    """Adam's learning rate at its top."""
    decay: float = 0.4
    """Share of the steps, at the end, over which the rate falls to 0."""
    test_rows: int = 50_000
    """Held-out inputs of each seed."""
    repair: Literal["", "rescale", "refit"] = ""
    """What is done to a trained dictionary: rescale & shift, or a decoder refit."""
    of: str = ""
    """The arm that was repaired."""
    repair_rows: int = 50_000
    """Inputs to which a repair is fitted."""
    repair_pull: float = 5.0
    """Firings' worth of pull towards no repair."""
    code_noise: float = 0.05
    """Standard deviation of the oracle's codes, relative to the true ones."""
    replicate: int = 0
    """Another independent draw of start and training inputs in the world of the same seed."""

    def check(self) -> None:
        for name in ("width", "d", "features", "batch", "test_rows", "repair_rows"):
            if getattr(self, name) < 1:
                raise SpecError(f"GatedAblations.{name} must be at least 1, got {getattr(self, name)}")
        if self.steps < 2 or self.lr <= 0 or self.penalty < 0:
            raise SpecError(
                f"GatedAblations needs steps of at least 2, lr above 0 and penalty at least 0, got steps={self.steps}, lr={self.lr}, "
                f"penalty={self.penalty}"
            )

    def world(self):
        """The law of the inputs."""
        from assay.data.planted import Mixture

        return Mixture(d=self.d, features=self.features, density=self.density, orthonormal=self.orthonormal)


# --- what is trained ---------------------------------------------------------------------------------------------------


def train(runs, bench):
    """Dictionaries of one method, each on the inputs of its seed's own world."""
    from assay.dictionaries.training.train import Method as Trainer
    from assay.dictionaries.training.train import fit_dictionaries

    s = runs.shared
    nonlinearity, loss = architecture(s.method)
    method = Trainer(
        nonlinearity, loss, s.width, lr=np.full(len(runs), s.lr), penalty=runs.each("penalty") / s.d**0.5, decay=s.decay,
        penalty_warm_up=0.05, encoder_scale=1.0,
    )  # fmt: skip
    inputs = s.world().inputs(runs.seeds, s.batch, f"train-{s.replicate}")
    return fit_dictionaries(
        [(runs.replicated(), method)], inputs, d=s.d, steps=s.steps, bench=bench, probe_at=probes(s.steps, 30, log=True)
    )[0]


def architecture(name):
    """(nonlinearity, loss) of a method."""
    from assay.dictionaries import gates
    from assay.dictionaries.nonlinearity import ReLU
    from assay.dictionaries.training import losses

    return {
        "relu": (ReLU(), losses.l1),
        "gated": (gates.Gated(), losses.gated),
        "no-aux": (gates.Gated(), losses.gated_no_aux),
        "unfrozen-aux": (gates.Gated(), losses.gated_unfrozen_aux),
        "untied": (gates.GatedUntied(), losses.gated),
        "no-rmag": (gates.GatedShift(), losses.gated),
        "no-heaviside": (gates.ScaledReLU(), losses.gated),
        "sigmoid": (gates.GatedSigmoid(), losses.gated_sigmoid),
        "sigmoid-relu": (gates.GatedSigmoid(), losses.gated_no_aux),
    }[name]


def oracle(runs, bench):
    """The true directions as a decoder; `measure` gives it the true codes."""
    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.nonlinearity import Identity

    D = runs.shared.world().directions(runs.seeds)  # [run, f, d]
    return Dictionary(D.mT, D.new_zeros(D.shape[:2]), D, D.new_zeros(D.shape[::2]), Identity()).to_trained()


def repair(runs, bench, before):
    """Another arm's dictionaries with features rescaled & shifted, or with the decoder refitted, on inputs of a stream of their own."""
    from assay.dictionaries.baselines.repair import refit_decoder, rescale_and_shift
    from assay.dictionaries.dictionary import Dictionary

    s, given = runs.shared, Dictionary.of(before)
    mend = {"rescale": rescale_and_shift, "refit": refit_decoder}[s.repair]
    fitted = [
        mend(given[i], s.world().inputs([spec.seed], s.repair_rows, "repair")(0)[0], pull=s.repair_pull)
        for i, spec in enumerate(runs)
    ]
    return Dictionary.join(fitted).to_trained()


# --- what is measured --------------------------------------------------------------------------------------------------

UNITS = {**frontier.SUMS, "soft_active": "features", "soft_error": "squared activation"}
BINS = np.linspace(-1.5, 4.0, 56)


def measure(runs, trained, bench):
    """Sums over the held-out inputs of each seed; for a smooth gate read hard, and beside it as it was trained."""
    import torch

    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.measuring.recovery import mcc

    s, given = runs.shared, Dictionary.of(trained)
    world, found, gates = s.world(), [], []
    tests = {seed: held_out(world, seed, s.test_rows, bench) for seed in np.unique(runs.seeds).tolist()}
    with torch.no_grad():
        for one, spec in zip(given, runs, strict=True):
            x, codes, directions = tests[spec.seed]
            features = noisy(codes, spec)[None] if s.method == "oracle" else one.encode(x)
            row = sums_of(x, one.decode(features)[0], features[0])
            soft = row if one.as_trained is one else soft_sums(one.as_trained, x)
            found.append(row | {"soft_active": soft["active"], "soft_error": soft["error"]})
            if s.method == "gated":
                gates.append(gate_counts(one, x, codes, directions))
        recovered = mcc(world.directions(runs.seeds).to(given.W_dec), given.W_dec)
    named = {name: ("run document", np.array([[row[name]] for row in found]), unit) for name, unit in UNITS.items()}
    coords = {"document": ["test"]}
    if gates:
        named |= {f"gate_{when}": ("run bin", np.stack([g[when] for g in gates]), "inputs") for when in ("on", "off")}
        coords["bin"] = ((BINS[1:] + BINS[:-1]) / 2).round(6).tolist()
    if trained.history:
        coords["step"] = trained.steps.tolist()
        named |= {name: ("run step", trained.history[name], unit) for name, unit in (("loss", "1"), ("l0", "features"))}
    return measures(runs, coords=coords, mcc=("run", recovered, "cosine"), **named)


def held_out(world, seed, rows, bench):
    """(x [b, d], codes [b, f], directions [f, d]) of one seed."""
    codes = world.codes([seed], rows, "test")(0)[0].to(bench.device)
    directions = world.directions([seed])[0].to(bench.device)
    return codes @ directions, codes, directions


def sums_of(x, x_hat, features):
    """Sums over rows as `metrics.document_sums` gives them, of one document and given codes."""
    middle = x.double().mean(0).float()
    centred, guess = x - middle, x_hat - middle
    pairs = {"error": (x - x_hat, x - x_hat), "variance": (centred, centred), "dot": (guess, centred), "norm": (guess, guess),
             "dot_raw": (x_hat, x), "norm_raw": (x_hat, x_hat)}  # fmt: skip
    total = {name: float((a * b).sum(1).double().sum()) for name, (a, b) in pairs.items()}
    return {"tokens": float(len(x)), "active": float((features > 0).sum()), **total}


def soft_sums(one, x):
    """The same sums of a smooth gate's own code."""
    features = one.encode(x)
    return sums_of(x, one.decode(features)[0], features[0])


def noisy(codes, spec):
    """True codes with a little noise of their own, relative to their size."""
    import torch

    from assay.core import rng

    noise = rng.normal(np.array([spec.seed]), "gated-ablations.oracle", 0, tuple(codes.shape))[0]
    return codes * (1 + spec.code_noise * torch.from_numpy(noise).to(codes.device))


def gate_counts(one, x, codes, directions):
    """Histograms of π_gate of the latent that best matches a true direction, where that feature is on and where it is off."""
    from assay.dictionaries.measuring.recovery import cosines

    similarity = cosines(directions, one.W_dec[0])
    feature, latent = divmod(int(similarity.argmax()), one.width)
    gate = ((x - one.b_dec[0]) @ one.W_enc[0, :, latent] + one.b_enc[0, latent]).cpu().numpy()
    on = (codes[:, feature] > 0).cpu().numpy()
    return {"on": np.histogram(gate[on], BINS)[0], "off": np.histogram(gate[~on], BINS)[0]}


# --- what is compared ---------------------------------------------------------------------------------------------------


def sums(arm, *names, at=None):
    """Terms {name: [seed, penalty]}: there is one set of held-out inputs for each seed."""
    return {name: x.sum("document") for name, x in frontier.sums(arm, *names, at=at).items()}


def sweep(arm, arms):
    """Terms of FVU, L0, γ and the norm ratio along the arm's sweep."""
    return sums(arm, *UNITS)


def middle(arm, arms):
    """Terms of the same in the middle of the sweep."""
    return sums(arm, *UNITS, at="middle")


def bias(m):
    """|γ − 1| along the sweep."""
    return abs(GAMMA(m) - 1)


def least(of):
    """A statistic: the smallest value of another along the sweep."""
    return lambda m: of(m).reshape(len(of(m)), -1).min(1)


def spread(m):
    """γ at the smallest penalty less γ at the largest."""
    gamma = GAMMA(m)
    return gamma[:, 0] - gamma[:, -1]


def paired(**terms):
    """The terms of several arms on the seeds that all of them have: not every arm has as many."""
    seeds = [set(x.seed.values.tolist()) for named in terms.values() for x in named.values()]
    shared = sorted(set.intersection(*seeds))
    return sides(**{side: {name: x.sel(seed=shared) for name, x in named.items()} for side, named in terms.items()})


def against(other):
    """Terms: this arm's whole sweep, and another arm's."""
    return lambda arm, arms: paired(a=sums(arm, *FRONTIER), b=sums(arms[other], *FRONTIER))


def smallest_lead(m):
    """By how much this arm's FVU lies below the other's at L0 3, 5 and 8, the smallest of the three."""
    return np.min([-at_matched(L0, FVU, at=(at,))(m) for at in (3, 5, 8)], axis=0)


def excess(m):
    """By how much this arm's FVU lies above the other arm's sweep, at this arm's own L0."""
    return -lead_at_own(L0, FVU)(m)


def against_parts(arm, arms):
    """Terms: this arm, the sweep of Gated, and Gated without each of the other parts."""
    others = {name: sums(arms[name], *FRONTIER) for name in PARTS if name in arms}
    return paired(a=sums(arm, *FRONTIER), b=sums(arms["main"], *FRONTIER), **others)


def dearest(m):
    """By how much this arm's excess exceeds that of every other part, and 0."""
    others = [-lead_at_own(L0, FVU, a=name)(m) for name in PARTS if f"{name}.error" in m]
    return excess(m) - np.max([0 * excess(m), *others], axis=0)


def gap_terms(arm, arms):
    """Terms: Gated in the middle of its sweep in the same world, the arm that was repaired, and its repair."""
    best = arms["orthonormal-gated" if arm.attrs["orthonormal"] else "main"]
    return paired(
        best=sums(best, *FRONTIER, at="middle"), base=sums(arms[arm.attrs["of"]], *FRONTIER), repaired=sums(arm, *FRONTIER)
    )


def hardened(m):
    """What FVU gains when a gate is read hard instead of as it was trained."""
    return (m["error"] - m["soft_error"]) / m["variance"]


def soft_share(arm, arms):
    """Terms of the share of latents that are on in an input as the arm was trained."""
    terms = sums(arm, "soft_active", "tokens")
    return {"on": terms["soft_active"], "latents": terms["tokens"] * arm.attrs["width"]}


def with_theory(arm, arms):
    """Terms of γ about 0, and beside them 2/(2 + λ/2), what soft-thresholding by λ/2 gives for exponential amounts."""
    raw = sums(arm, "norm_raw", "dot_raw")
    return {**raw, "law": 2 / (2 + raw["dot_raw"].penalty / 2) + 0 * raw["dot_raw"]}


def off_theory(m):
    """The largest |γ − 2/(2 + λ/2)| along the sweep."""
    return abs(m["norm_raw"] / m["dot_raw"] - m["law"]).max(1)


def off_identity(arms):
    """Norm ratio² less (1 − FVU) γ/(2 − γ), of each penalty of Gated and of the 1.5 times wider ReLU."""
    found = []
    for name in ("main", "wide"):
        total = sums(arms[name], *UNITS)
        m = {term: x.sum("seed").values[None] for term, x in total.items()}
        found.append((norm_ratio(m) ** 2 - (1 - FVU(m)) * GAMMA(m) / (2 - GAMMA(m)))[0])
    return np.concatenate(found)


# --- arms, claims, figures -----------------------------------------------------------------------------------------------


def like(*penalties, seeds=6, halved=False, wider=1.0, **fields):
    """The preset's first seeds with these penalties and fields; `halved`: three of them, half as long, with a whole schedule."""

    def specs(main):
        base = main[0].replace(**fields)
        base = base.replace(width=round(wider * base.width), steps=base.steps // 2 if halved else base.steps)
        return grid(base, penalty=penalties, seed=sorted({s.seed for s in main})[: 3 if halved else seeds])

    return specs


def repaired(kind, of):
    return lambda specs: tuple(s.replace(repair=kind, of=of) for s in specs)


def quarter(specs):
    """The same specs a quarter as long, with a whole schedule of their own."""
    return lambda main: tuple(s.replace(steps=max(2, s.steps // 4)) for s in specs(main))


def lightest(arms):
    """The arm `wide` at its smallest penalty only."""
    wide = arms["wide"]
    return wide.isel(run=wide.penalty.values == wide.penalty.values.min())


RELU, GATED = (0.35, 0.5, 0.7, 1.2), (0.45, 0.55, 0.65, 0.8, 1.1)
PARTS = ("unfrozen", "untied", "no-rmag")
"""What is taken from Gated besides the Heaviside."""
CLEAN = {"orthonormal": True, "features": 32, "width": 64}
ARMS = {
    "main": Arm(train, keep=True, note="Gated"),
    "wide": Arm(train, specs=like(*RELU, seeds=None, method="relu", wider=1.5), note="ReLU + L1, 1.5 times wider: equal cost"),
    "relu": Arm(train, specs=like(0.35, 0.5, 0.7, method="relu"), note="ReLU + L1, equal width"),
    "rescaled": Arm(repair, after="wide", specs=repaired("rescale", "wide"), note="1.5 × ReLU, then rescale & shift"),
    "refit": Arm(repair, after="rescaled", specs=repaired("refit", "wide"), note="1.5 × ReLU, rescale & shift, decoder refit"),
    "relu-rescaled": Arm(repair, after="relu", specs=repaired("rescale", "relu"), note="ReLU of equal width, then rescale & shift"),
    "again": Arm(train, specs=like(0.65, replicate=1), note="Gated with another start and other inputs of the same worlds: no effect"),
    "no-aux": Arm(train, specs=like(0.65, method="no-aux"), note="Gated without the auxiliary loss"),
    "unfrozen": Arm(train, specs=like(0.5, method="unfrozen-aux"), note="the auxiliary loss moves the decoder too"),
    "untied": Arm(train, specs=like(0.65, method="untied"), note="magnitudes from an encoder of their own"),
    "no-rmag": Arm(train, specs=like(0.65, method="no-rmag"), note="the two paths differ by a bias alone"),
    "no-heaviside": Arm(train, specs=like(1.2, method="no-heaviside"), note="the gate's own ReLU, made longer, in place of the two paths"),
    "sigmoid": Arm(train, specs=like(0.4, method="sigmoid"), note="a sigmoid gate, itself penalised, no auxiliary loss"),
    "sigmoid-relu": Arm(train, specs=like(0.65, method="sigmoid-relu"), note="a sigmoid gate, the ReLU of its input penalised"),
    "short": Arm(train, specs=quarter(like(0.8)), note="Gated, trained a quarter as long: a difference that the comparison has to find"),
    "lightest": Arm(derive=lightest, note="1.5 × ReLU at its smallest penalty only"),
    "oracle": Arm(oracle, specs=like(0.65, method="oracle"), note="true directions, true codes with 5 % noise"),
    "orthonormal-relu": Arm(train, specs=like(0.3, 0.5, method="relu", **CLEAN), note="ReLU + L1 on orthonormal features"),
    "orthonormal-gated": Arm(train, specs=like(0.4, **CLEAN), note="Gated on orthonormal features"),
    "orthonormal-rescaled": Arm(repair, after="orthonormal-relu", specs=repaired("rescale", "orthonormal-relu"),
                                note="there, ReLU with rescale & shift: shrinkage is all there is to mend"),
    "narrow": Arm(train, specs=like(*GATED, wider=0.5), note="Gated of half the width: half as many features as the truth"),
    "narrow-wide": Arm(train, specs=like(*RELU, method="relu", wider=0.75), note="ReLU + L1, 1.5 times wider than that"),
    "narrow-rescaled": Arm(repair, after="narrow-wide", specs=repaired("rescale", "narrow-wide"), note="the same, then rescale & shift"),
    "half": Arm(train, specs=like(*GATED, halved=True), note="Gated, half as long"),
    "wide-half": Arm(train, specs=like(*RELU, halved=True, method="relu", wider=1.5), note="1.5 × ReLU, half as long"),
    "wide-half-rescaled": Arm(repair, after="wide-half", specs=repaired("rescale", "wide-half"), note="the same, mended"),
    "narrow-half": Arm(train, specs=like(*GATED, halved=True, wider=0.5), note="Gated of half the width, half as long"),
    "narrow-wide-half": Arm(train, specs=like(*RELU, halved=True, method="relu", wider=0.75), note="its 1.5 × ReLU, half as long"),
    "narrow-rescaled-half": Arm(repair, after="narrow-wide-half", specs=repaired("rescale", "narrow-wide-half"), note="the same, mended"),
    "no-aux-half": Arm(train, specs=like(0.65, halved=True, method="no-aux"), note="no auxiliary loss, half as long"),
    "unfrozen-half": Arm(train, specs=like(0.5, halved=True, method="unfrozen-aux"), note="unfrozen, half as long"),
    "untied-half": Arm(train, specs=like(0.65, halved=True, method="untied"), note="untied, half as long"),
    "no-heaviside-half": Arm(train, specs=like(1.2, halved=True, method="no-heaviside"), note="no Heaviside, half as long"),
    "sigmoid-relu-half": Arm(train, specs=like(0.65, halved=True, method="sigmoid-relu"), note="the other, half as long"),
}  # fmt: skip

GATES = dict.fromkeys(
    ("narrow", "again", "unfrozen", "untied", "no-rmag", "no-heaviside", "short", "orthonormal-gated"),
    "Gated as well, whole or with a part changed: no penalty on magnitudes in any of them",
)
MENDED = dict.fromkeys(
    ("rescaled", "refit", "relu-rescaled", "narrow-rescaled", "orthonormal-rescaled"),
    "mended by least squares: that makes γ 1 on the inputs it is fitted to",
)
GATELESS = dict.fromkeys(
    ("wide", "relu", "rescaled", "refit", "relu-rescaled", "narrow-wide", "narrow-rescaled"), "ReLU + L1 has no Heaviside either"
) | {"narrow": "half as many features, which is no part of the method"}
TRUE = {"oracle": "the true codes, which nothing shrinks"}
UNBIASED = GATES | MENDED | TRUE
WEAK = {"lightest": "that a penalty may be too weak to shrink anything"}
SPARSE = {"orthonormal-relu": "a world in which only 0.64 features are on in truth",
          "orthonormal-gated": "a world in which only 0.64 features are on in truth",
          "orthonormal-rescaled": "a world in which only 0.64 features are on in truth"}  # fmt: skip


def without(also, *names):
    return {arm: why for arm, why in also.items() if arm not in names}


CLAIMS = (
    Claim(
        text="Gated is unbiased: at every penalty (L0 from 1.5 to 10) γ lies within 0.02 of 1",
        value=sweep, statistic=worst(bias), high=0.02, unit="largest |γ − 1|", must_fail=("lightest", "wide"), near=WEAK, also=UNBIASED,
        half={"main": "half"}, threshold_from="theory: 1, with a margin of a fifth of ReLU's bias at its smallest penalty",
        published=Published(0.0, f"{PAPER}, section 4: γ ≈ 1 at all sites"), source=f"{PAPER}, section 4",
    ),
    Claim(
        text="ReLU + L1 shrinks more as the penalty grows: from its smallest to its largest γ falls by at least 0.05",
        of="wide", value=sweep, statistic=spread, low=0.05, unit="difference of γ", must_fail=("rescaled", "main"),
        near={"rescaled": "what fewer features do to γ by themselves: the same dictionaries, their shrinkage mended"},
        also={"narrow-wide": "ReLU + L1 of another width"}, half={"wide": "wide-half"},
        threshold_from=f"{PILOT}: .124 [.120, .129] at equal width and up to a penalty of 1.4; Gated .003",
        published="new", source=f"{PAPER}, section 4",
    ),
    Claim(
        text="On orthonormal features ReLU's γ is what soft-thresholding predicts, 2/(2 + λ/2), within 0.01 at every penalty",
        of="orthonormal-relu", value=with_theory, statistic=off_theory, high=0.01, unit="largest difference of γ",
        must_fail=("relu", "orthonormal-gated"), near={"relu": "that any ReLU + L1 dictionary follows the formula, superposition or not"},
        threshold_from="theory: the optimum is f = max(a − λ/2, 0), and a is exponential", published="new", source=f"{PAPER}, section 3.1",
    ),
    Claim(
        text="Gated leads plain ReLU: at L0 3, 5 and 8 its FVU lies at least 0.01 below that of a ReLU dictionary 1.5 times wider",
        value=against("wide"), statistic=smallest_lead, low=MARGIN, unit="smallest lead in FVU", must_fail=("rescaled", "relu"),
        near={"rescaled": "mended magnitudes, which need no gate", "relu": "another width"},
        also={"narrow": "Gated, of half the width"}, half={"main": "half", "wide": "wide-half"},
        threshold_from=f"{PILOT}: .058 [.056, .059]; width alone −.009 to .005; the margin is the first plan's",
        published="new", source=f"{PAPER}, section 4.1",
    ),
    Claim(
        text="Gated leads repaired ReLU: at L0 3, 5 and 8 its FVU lies at least 0.01 below that of a 1.5 times wider ReLU with rescale & shift",
        value=against("rescaled"), statistic=smallest_lead, low=MARGIN, unit="smallest lead in FVU", must_fail=("refit", "relu-rescaled"),
        near={"refit": "a better repair: the decoder refitted as well", "relu-rescaled": "the same repair at another width"},
        also={"narrow": "Gated, of half the width"}, half={"main": "half", "rescaled": "wide-half-rescaled"},
        threshold_from="pilot: seeds 0–3: .0101 [.0089, .0116], the smallest at L0 3; the margin is the first plan's",
        published="new", source=f"{PAPER}, section 5, Figure 9",
    ),
    Claim(
        text="At half the width Gated leads repaired ReLU too: at L0 3, 5 and 8 its FVU lies at least 0.01 below it",
        of="narrow", value=against("narrow-rescaled"), statistic=smallest_lead, low=MARGIN, unit="smallest lead in FVU",
        must_fail=("relu-rescaled", "narrow-wide"),
        near={"relu-rescaled": "width: the same repair with twice as many features"},
        also={"main": "Gated, of twice the width", "refit": "twice as wide, and another claim's question",
              "rescaled": "twice as wide, and another claim's question"},
        half={"narrow": "narrow-half", "narrow-rescaled": "narrow-rescaled-half"},
        threshold_from="plan: the margin of the claim before it, written down before this width was tried",
        published="new", source=f"{PAPER}, section 5, Figure 9",
    ),
    Claim(
        text="Without the auxiliary loss the gate shuts: at a penalty where the full loss has L0 5, at most 0.5 features are on",
        of="no-aux", value=sweep, statistic=least(L0), high=0.5, unit="L0", must_fail=("wide", "main"),
        near={"wide": "a strong penalty: ReLU at nearly twice this one", "main": "the same, of Gated"},
        also=SPARSE | {"sigmoid": "no auxiliary loss either", "sigmoid-relu": "no auxiliary loss either"}, half={"no-aux": "no-aux-half"},
        threshold_from=f"{PILOT}: .011 [.010, .012]; Gated 4.7", published="new", source=f"{PAPER}, section 3.2.2; {DISCUSSION}",
    ),
    Claim(
        text="Rescale & shift repairs the bias of ReLU: γ within 0.02 of 1 at every penalty (L0 from 1.5 to 11)",
        of="rescaled", value=sweep, statistic=worst(bias), high=0.02, unit="largest |γ − 1|", must_fail=("lightest", "wide"),
        near=WEAK, also=without(UNBIASED, "rescaled") | {"main": "Gated"}, half={"rescaled": "wide-half-rescaled"},
        threshold_from="theory: 1 on the inputs it is fitted to, with the margin of the first claim",
        published="new", source=f"{PAPER}, section 5, Figure 9",
    ),
    Claim(
        text="An encoder of its own for the magnitudes changes FVU at equal L0 by at most 0.01",
        of="untied", value=against("main"), statistic=excess, low=-MARGIN, high=MARGIN, unit="FVU", must_fail=("short", "no-heaviside"),
        near={"short": "that the comparison is blind to a difference of a few hundredths"},
        also={"again": "Gated itself, drawn anew", "no-rmag": "another part that may be worth less than the margin",
              "unfrozen": "another part that may be worth less than the margin"},
        half={"untied": "untied-half", "main": "half"}, threshold_from="plan: ± .01, set before any pilot",
        published="new", source=f"{PAPER}, section 5.2, ablations",
    ),
    Claim(
        text="Without the Heaviside the code is unbiased as well: γ within 0.02 of 1",
        of="no-heaviside", value=sweep, statistic=worst(bias), high=0.02, unit="|γ − 1|", must_fail=("lightest", "wide"), near=WEAK,
        also=without(UNBIASED, "no-heaviside") | {"main": "Gated itself"}, half={"no-heaviside": "no-heaviside-half"},
        threshold_from="theory: 1, with the margin of the first claim", published="new", source=DISCUSSION,
    ),
    Claim(
        text="The Heaviside earns more than unbiasedness: without it FVU at equal L0 is at least 0.01 higher than without any other part",
        of="no-heaviside", value=against_parts, statistic=dearest, low=MARGIN, unit="FVU", must_fail=("unfrozen", "no-rmag", "untied", "again"),
        near=dict.fromkeys(("unfrozen", "no-rmag"), "that the dearest of several parts always stands out"), must_hold=("short",), also=GATELESS,
        half={"no-heaviside": "no-heaviside-half", "main": "half", "unfrozen": "unfrozen-half", "untied": "untied-half"},
        threshold_from=f"{PILOT} and 3000–3005: .044, the next dearest part .009; the margin is the first plan's",
        published="new", source=DISCUSSION,
    ),
    Claim(
        text="A sigmoid gate evades the L1 of its input: read hard, at most 0.5 features are on",
        of="sigmoid-relu", value=sweep, statistic=least(L0), high=0.5, unit="L0", must_fail=("wide", "main"),
        near={"wide": "a strong penalty: ReLU at nearly twice this one", "main": "the same, of Gated"},
        also=SPARSE | {"no-aux": "a gate without its auxiliary loss shuts in another way", "sigmoid": "the sigmoid's other penalty"},
        half={"sigmoid-relu": "sigmoid-relu-half"}, threshold_from=f"{PILOT}: .055 [.051, .060]", published="new", source=DISCUSSION,
    ),
    Claim(
        text="A sigmoid gate evades the L1 of its input: as trained, more than half of all latents are on",
        of="sigmoid-relu", value=soft_share, statistic=least(ratio("on", "latents")), low=0.5, unit="share of latents",
        must_fail=("sigmoid", "main"), near={"sigmoid": "that any smooth gate leaves most latents on, whatever the penalty"},
        half={"sigmoid-relu": "sigmoid-relu-half"}, threshold_from=f"{PILOT}: .954 [.953, .956]; penalised itself .32 at the larger penalty",
        published="new", source=DISCUSSION,
    ),
    Exact(
        text="The square of the norm ratio is (1 − FVU) γ/(2 − γ), so that unbiased reconstructions are shorter than inputs: difference",
        value=off_identity, expected=0.0, tolerance=1e-4, source="arithmetic of ‖x − x̂‖² = ‖x‖² − 2 x·x̂ + ‖x̂‖²",
    ),
    *(
        Finding(text=text, value=lambda arms, of=of, value=value: value(arms[of], arms), statistic=statistic, unit=unit, source=source)
        for text, of, value, statistic, unit, source in (
            ("Norm ratio of Gated at the middle penalty", "main", middle, worst(norm_ratio), "norm ratio", f"{DISCUSSION}: vectors at an angle"),
            ("FVU of the true codes with 5 % noise, L0 2.6: what any dictionary could reach there", "oracle", sweep, worst(FVU), "FVU", ""),
            ("Without the auxiliary loss: FVU at that penalty", "no-aux", sweep, worst(FVU), "FVU", f"{PAPER}, section 3.2.2; {DISCUSSION}"),
            *(
                (f"At L0 3, 5 and 8: by how much {ahead}'s FVU lies below that of {behind} (smallest)", of, against(other), smallest_lead, "FVU", "")
                for ahead, of, behind, other in (
                    ("Gated", "main", "ReLU of equal width", "relu"),
                    ("Gated", "main", "the 1.5 times wider ReLU with its decoder refitted", "refit"),
                    ("the 1.5 times wider ReLU", "wide", "ReLU of equal width", "relu"),
                )
            ),
            *(
                (f"{what}: FVU above the sweep of Gated at its own L0", of, against(base), excess, "FVU", f"{PAPER}, section 5.2, ablations")
                for what, of, base in (
                    ("An auxiliary loss that moves the decoder", "unfrozen", "main"),
                    ("An auxiliary loss that moves the decoder, both trained half as long", "unfrozen-half", "half"),
                    ("Without r_mag", "no-rmag", "main"),
                    ("Without the Heaviside", "no-heaviside", "main"),
                    ("Gated, independent runs", "again", "main"),
                )
            ),
            ("Without r_mag: largest |γ − 1|", "no-rmag", sweep, worst(bias), "|γ − 1|", ""),
            *(
                (f"Share of the gap closed by {what}, at Gated's own L0", of, gap_terms, share_closed(L0, FVU), "share of the gap", source)
                for what, of, source in (
                    ("rescale & shift on the 1.5 times wider ReLU", "rescaled", f"{PAPER}, section 5, Figure 9"),
                    ("rescale & shift and a refitted decoder on the 1.5 times wider ReLU", "refit", ""),
                    ("rescale & shift on ReLU of equal width", "relu-rescaled", ""),
                    ("rescale & shift on orthonormal features", "orthonormal-rescaled", ""),
                )
            ),
            ("Sigmoid gate under the L1 of its input: FVU read hard less FVU as trained", "sigmoid-relu", sweep, least(hardened), "FVU", DISCUSSION),
            *(
                (f"Sigmoid gate penalised by λ Σ σ at λ 0.4: {what}", "sigmoid", sweep, worst(statistic), unit, DISCUSSION)
                for what, statistic, unit in (
                    ("L0, read hard", L0, "L0"), ("γ, read hard", GAMMA, "γ"), ("FVU, read hard", FVU, "FVU"),
                    ("FVU as trained", ratio("soft_error", "variance"), "FVU"),
                    ("latents on as trained", ratio("soft_active", "tokens"), "latents"),
                )
            ),
        )
    ),
    *(
        Finding(text=f"True directions found by {label} (mean largest |cosine|; chance {chance}; it says nothing of codes)",
                value=lambda arms, name=name: by(arms[name], "penalty").mcc.mean("penalty"), unit="cosine")
        for label, name, chance in (("Gated", "main", ".48"), ("ReLU 1.5 ×, shrunken as it is", "wide", ".50"))
    ),
)  # fmt: skip


def figures(arms):
    frontiers = [("Gated", "main", FVU), ("ReLU 1 ×", "relu", FVU), ("ReLU 1.5 ×", "wide", FVU), ("… + rescale & shift", "rescaled", FVU),
                 ("… + decoder refit", "refit", FVU)]  # fmt: skip
    ablated = [("Gated", "main", FVU), ("no effect", "again", FVU), ("unfrozen aux", "unfrozen", FVU), ("untied", "untied", FVU),
               ("no r_mag", "no-rmag", FVU), ("no Heaviside", "no-heaviside", FVU)]  # fmt: skip
    metrics = [("Gated: γ", "main", GAMMA), ("Gated: earlier form", "main", EARLIER), ("ReLU 1.5 ×: γ", "wide", GAMMA),
               ("ReLU 1.5 ×: earlier form", "wide", EARLIER)]  # fmt: skip
    axes = {"mark": "line", "x": "L0", "y": "mean", "color": "arm", "band": ("low", "high"), "x_log": True,
            "x_title": "L0 (features on per input)"}  # fmt: skip
    note = "Mean and 95 % t interval over seeds, each with a world of its own."
    drawn = [
        Figure("Frontier: the gate against width and repairs", frontier.over_l0(arms, frontiers), y_title="FVU", note=note, **axes),
        Figure("What each part of Gated is worth", frontier.over_l0(arms, ablated), y_title="FVU", note=note, **axes),
        Figure("Same dictionaries, two metrics: γ and its earlier form", frontier.over_l0(arms, metrics), y_title="γ",
               rules=((1.0, "unbiased"),), note=note, **axes),
        Figure("What a repair can mend, in superposition and without", stages(arms), "bars", x="arm", y="mean", facet="world",
               band=("low", "high"), x_title="", y_title="FVU over that of ReLU",
               note="L0 is 4.7 for Gated and 5.0 for the 1.5 times wider ReLU; about 0.5 in the orthonormal world."),
    ]  # fmt: skip
    if "l0" in arms.get("no-aux", {}):
        drawn.append(Figure("Without the auxiliary loss the gate shuts", frontier.history(arms, ("main", "no-aux"), "l0"), "line", x="step",
                            y="l0", color="arm", band=("low", "high"), x_log=True, y_log=True, x_title="step",
                            y_title="L0 of the training batches", note="Both at λ .65."))  # fmt: skip
    if "gate_on" in arms["main"]:
        drawn.append(Figure("The gate's input of one latent, where its feature is on and where it is off", gate_inputs(arms["main"]),
                            "line", x="pre", y="share", color="feature", x_title="π_gate of the latent that best matches a feature",
                            y_title="share of inputs in the bin", y_log=True,
                            note="Gated at its middle penalty, first seed; the latent is on to the right of 0."))  # fmt: skip
    return drawn


def stages(arms):
    """Columns: FVU of ReLU, its repairs and Gated where L0 is about 5 (0.5 in the orthonormal world), as a share of ReLU's."""
    columns: dict[str, list] = {"arm": [], "world": [], "mean": [], "low": [], "high": []}
    worlds = {
        "superposition": (
            ("ReLU", "wide", 0.5),
            ("… + rescale & shift", "rescaled", 0.5),
            ("… + refit", "refit", 0.5),
            ("Gated", "main", 0.65),
        ),
        "orthonormal": (
            ("ReLU", "orthonormal-relu", 0.5),
            ("… + rescale & shift", "orthonormal-rescaled", 0.5),
            ("Gated", "orthonormal-gated", 0.4),
        ),
    }
    for world, parts in worlds.items():
        present = [(label, fvus(arms[name], penalty)) for label, name, penalty in parts if name in arms]
        for label, values in present:
            frontier.add(columns, label, world, *summary(values / present[0][1]))
    return columns


def fvus(arm, penalty):
    """[seed]: FVU at one penalty."""
    total = by(arm, "penalty").sum("document")
    return (total.error / total.variance).sel(penalty=penalty).values


def gate_inputs(arm):
    """Columns: the histogram of π_gate of one latent, split by whether its feature is on; bins without an input are left out."""
    one = by(arm, "penalty").isel(seed=0)
    one = one.isel(penalty=one.sizes["penalty"] // 2)
    columns: dict[str, list] = {"feature": [], "pre": [], "share": []}
    for when, counts in (("on", one.gate_on), ("off", one.gate_off)):
        for at, count in zip(one.bin.values.tolist(), counts.values.tolist(), strict=True):
            if count:
                frontier.add(columns, when, at, count / float(counts.sum()))
    return columns


PAGE = """
**The debate.** A Gated SAE lets the L1 penalty see one bit per feature, on or off, and takes magnitudes from a path it never sees. Its
authors answer three suggestions: that repairing an L1 code afterwards is as good; that the auxiliary loss could go; that a smooth gate, or
no gate at all but a factor, would do as well. Here the truth is planted, so each can be tried alone.

**The world.** 128 random directions in 32 dimensions, drawn by each seed, each on with probability .02 by an amount ~ Exp(1); and, as the
control for what a repair can mend, 32 orthonormal ones, where shrinkage is the only bias an L1 penalty can cause. Fresh inputs at every step.

**How it is judged.** At equal L0, never at equal λ. A unit is a seed: world, start and inputs. Gated, the wide ReLU and its repairs
have ten, the other arms the first six of them. FVU, L0 and γ are of 50,000 held-out inputs
of that world. Smooth gates are trained smooth and read hard; what they are when read as trained stands beside.

**One margin.** A difference of FVU at equal L0 counts from 0.01 on, in every claim: what is less is no change, what is more is a cost or a lead.

**Read this before you quote it.** One law of inputs, one size; the lead over a repaired ReLU is judged at two widths, each part of Gated
at one. All features have one law of magnitudes, so that r_mag has little to do
here. Directions can be right while codes are biased, and the reverse: the share of true directions found is shown and never judged.
"""

experiment = Experiment(
    page=PAGE.strip(), arms=ARMS, measure=measure, claims=CLAIMS, figures=figures, seeds_per_group=10,
    scope="128 independent features of exponential magnitude in 32 dimensions, each on in 2 % of inputs; no noise",
    smoke=grid(GatedAblations(steps=20, batch=32, test_rows=500, repair_rows=1000), penalty=GATED, seed=range(2)),
    default=grid(GatedAblations(), penalty=GATED, seed=range(4000, 4010)),
    full=grid(GatedAblations(steps=40_000, batch=512, lr=3e-3, test_rows=100_000, repair_rows=100_000), penalty=GATED,
              seed=range(4000, 4016)),
)  # fmt: skip
