"""What ultra-rare-features claims, and its picture: the statements, and how each value is computed
from measures."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, Published, Value, figure
from assay.core.claims import same_method
from assay.core.heavy import xr
from assay.core.stats import ratio
from assay_catalogue.dictionaries.dynamics import isolated

SEED = (
    "nostalgebraist 2023, comment on Open Source Replication & Commentary on Anthropic's "
    "Dictionary Learning Paper"
)
NANDA = "Nanda 2023, Open Source Replication & Commentary on Anthropic's Dictionary Learning Paper"
FLOW = "theory: under a penalty alone, gradient flow falls by 0.88 to 1.43 decades a decade"
PLAN = "plan: before anything was trained"
PILOT = (
    "pilot: seeds 0–3, .51 on planted inputs and .32 on the model; the plan's margin for net drift"
)


def of_rare(name: str) -> Value:
    """[run]: a median over the rare latents of an arm."""
    return lambda arm, arms: arm[name].sel(kind="rare")


def between(name: str, more: str, less: str, moment: str | None = None) -> Value:
    """[run]: what the one kind of latents has more of than the other, in the same dictionary, at
    one moment where there are several."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        values = arm[name] if moment is None else arm[name].sel(moment=moment)
        return values.sel(kind=more) - values.sel(kind=less)

    return value


def less_steep(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: slope of the rare latents' densities over that of main at the same seed: above 0 where
    they fall less steeply."""
    arm_slope, main = (x.slope.sel(kind="rare").swap_dims(run="seed") for x in (arm, arms["main"]))
    return arm_slope - main


def conspiracy_terms(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms: what the rare latents save only together, and what as many ordinary firings of equal
    strength save."""
    return {name: arm[name].sel(kind="rare") for name in ("synergy", "saved")}


def against(base: str) -> Value:
    """[seed]: log of the share of latents that end ultra-rare, over that of the arm `base` at the
    same seed."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        half_a_latent = 0.5 / arm.attrs["width"]  # added to both, as none may be left
        arm_share, other = (x.rare_share.swap_dims(run="seed") for x in (arm, arms[base]))
        return np.log((arm_share + half_a_latent) / (other + half_a_latent))

    return value


def flow_slopes(arms: Arms) -> list[list[float]]:
    """[mean 1, 2, 4 × span]: slopes of a lone feature's density under gradient flow."""
    spans = ((1e2, 1e4), (1e4, 1e6), (1e6, 1e9))
    return [[path.slope(*span) for span in spans] for path in map(isolated.flow, (1, 2, 4))]


def flow_floors(arms: Arms) -> list[float]:
    """[mean 1, 2]: density of a lone feature with its bias held at 0, over Φ(−‖μ‖)."""
    return [isolated.flow(mean, held=True).density[-1] / isolated.floor(mean) for mean in (1, 2, 4)]


def flow_alignments(arms: Arms) -> list[float]:
    """κ of lone features: free bias from 0 at ‖μ‖ = 1, 2, 4; bias held at −1 at the same."""
    free = [isolated.flow(mean).alignment[-1] for mean in (1, 2, 4)]
    return free + [isolated.flow(mean, bias=-1, held=True).alignment[-1] for mean in (1, 2, 4)]


def adams_kick(arms: Arms) -> float:
    """How far Adam moves a weight for one lone gradient, in learning rates, summed term by term."""
    step, m, v = 0.0, 0.1, 0.001
    for _ in range(2_000):
        step, m, v = step + m / v**0.5, 0.9 * m, 0.999 * v
    return step


def counted_density(arms: Arms) -> float:
    """Firings counted on held-out rows over what the formula says, summed over ordinary latents;
    mean over main's runs."""
    return float(arms["main"].counted_density.mean())


SLOPE = "decades per decade of training"
PLANTED, MODEL = {"subject": "planted"}, {"subject": "smollm2"}
RARITY = "rarity alone: it encodes a truth, and would drift off only because it seldom fires"
SPARSER = "a dictionary that grows sparser as a whole, of which the rare latents are only one end"
ALSO = {
    "about-mean": same_method("its rare latents are left alone as well, among inputs about a mean"),
    "no-l1": same_method(
        "its rare latents are left alone as well; what the penalty adds is another claim"
    ),
}
FOUND = {"about-mean": ALSO["about-mean"]}
HELD = between("resists", "uncommon", "rare")
claim = partial(Claim, where=PLANTED, credits="latents", published="new", source=SEED)
"""A claim with what most of them share."""
rare = partial(claim, must_fail=("useful", "uncommon", "ordinary"))
"""A claim about rare latents among planted inputs."""
real = partial(claim, of="real", where=MODEL, must_fail=("real-uncommon", "real-ordinary"))
"""A claim about rare latents of SmolLM2."""
CLAIMS = (
    rare(
        text="Left alone, latents that are ultra-rare at a quarter of training grow rarer: median "
        "slope at most −0.9",
        value=of_rare("slope"),
        high=-0.9,
        unit=SLOPE,
        near={"useful": RARITY, "uncommon": SPARSER},
        also=ALSO,
        threshold_from=FLOW,
    ),
    rare(
        text="At Adam's constant rate of {main.lr:.} there is no equilibrium rarity: over the "
        "second octave the slope of their median density is still at most −0.9",
        value=of_rare("late_slope"),
        high=-0.9,
        unit=SLOPE,
        near={"useful": RARITY, "uncommon": SPARSER},
        also=ALSO,
        threshold_from=FLOW,
    ),
    claim(
        text="It takes the penalty: without L1 the median slope is less steep by at least 0.9, in "
        "the same worlds",
        of="no-l1",
        value=less_steep,
        low=0.9,
        unit=SLOPE,
        near={"about-mean": "any change of the training slows it as much"},
        threshold_from="pilot: seeds 4000–4011, −.95 without and −2.4 with L1; 0.9 is what theory "
        "gives a penalty alone",
    ),
    rare(
        text="When one fires, reconstruction takes back less of the penalty's pull on its bias "
        "than of an uncommon latent's: by at least 0.2",
        value=HELD,
        low=0.2,
        unit="share of the penalty's pull",
        near={"useful": RARITY, "uncommon": "the rarer the less held up, at any rarity"},
        also=FOUND,
        threshold_from=PILOT,
    ),
    claim(
        text="Its encoder's gradient is mostly the penalty's: median signed share at least 0.5",
        value=of_rare("share"),
        low=0.5,
        unit="share of the gradient",
        must_fail=("useful", "ordinary", "no-l1"),
        near={"useful": RARITY, "ordinary": "what is left of two large terms that balance"},
        also=FOUND,
        threshold_from="theory: half of it",
    ),
    rare(
        text="That gradient is out of balance: its net drift exceeds that of ordinary latents by "
        "at least 0.2",
        value=between("drift", "rare", "ordinary"),
        low=0.2,
        unit="net drift",
        near={"useful": RARITY, "uncommon": "few firings: a balanced gradient drifts by 1/√n"},
        also=ALSO,
        threshold_from=PLAN,
    ),
    rare(
        text="Their encoder and decoder directions are less related than uncommon latents': median "
        "|cosine| lower by at least 0.2",
        value=between("cosine", "uncommon", "rare", "end"),
        low=0.2,
        unit="|cosine|",
        near={"uncommon": "the fewer firings, the nearer to independent starts, at any rarity"},
        also=ALSO,
        half={"main": "half"},
        threshold_from="pilot: seeds 4000–4011, .21 beside .71",
    ),
    claim(
        text="They come from the inputs' mean: about a mean at least twice as many latents end "
        "ultra-rare",
        of="about-mean",
        value=against("main"),
        low=math.log(2),
        unit="log ratio of shares",
        near={"no-l1": "a share that moves as much with any change of the training"},
        threshold_from=(
            "pilot: seeds 0 and 3 at λ = 0.1, .39 and .38 about a mean, .08 and .09 without"
        ),
        source=f"{SEED}: to fire as rarely as possible, turn away from the data",
    ),
    claim(
        text="They conspire: what they save only together is at least 0.2 of what as many ordinary "
        "firings save",
        value=conspiracy_terms,
        statistic=ratio("synergy", "saved"),
        low=0.2,
        unit="share of ordinary savings",
        near={"dead-weight": "latents without any use that fire at once by chance"},
        also=ALSO,
        must_hold=("pair",),
        threshold_from=PLAN,
    ),
    real(
        text="On SmolLM2, latents that are left alone and ultra-rare at a quarter of training grow "
        "rarer: median slope at most −0.9",
        value=of_rare("slope"),
        high=-0.9,
        unit=SLOPE,
        near={"real-uncommon": SPARSER},
        threshold_from=FLOW,
    ),
    real(
        text="On SmolLM2, when one fires, reconstruction takes back less of the penalty's pull "
        "than of an uncommon latent's: by at least 0.2",
        value=HELD,
        low=0.2,
        unit="share of the penalty's pull",
        near={"real-uncommon": "the rarer the less held up, at any rarity"},
        threshold_from=PILOT,
    ),
    real(
        text="On SmolLM2, their encoder and decoder directions are less related than uncommon "
        "latents': median |cosine| lower by at least 0.05",
        value=between("cosine", "uncommon", "rare", "end"),
        low=0.05,
        unit="|cosine|",
        near={
            "real-uncommon": "the fewer firings, the nearer to independent starts, at any rarity"
        },
        threshold_from="pilot: seeds 4000–4011, .09 beside .23",
    ),
    Exact(
        text="A lone feature under a penalty never settles: slopes by gradient flow at ‖μ‖ = 1, 2, "
        "4 (b free) in three spans of time",
        value=flow_slopes,
        expected=[[-1.30, -1.17, -1.11], [-1.43, -1.24, -1.14], [-0.88, -1.09, -1.29]],
        tolerance=0.1,
        unit="decades per decade",
        source="integrated apart from this code",
    ),
    Exact(
        text="With its bias held at 0 it settles at Φ(−‖μ‖): ratio to that floor at ‖μ‖ = 1, 2, 4",
        value=flow_floors,
        expected=[1.0, 1.0, 1.0],
        tolerance=0.05,
        source="normal distribution",
    ),
    Exact(
        text="Lone features share a direction only where the bias stays: κ with b free from 0, "
        "then held at −1, at ‖μ‖ = 1, 2, 4",
        value=flow_alignments,
        expected=[0.711, 0.972, 0.9996, 0.358, 0.767, 0.956],
        tolerance=0.02,
        source="integrated apart from this code",
    ),
    Exact(
        text="One lone firing moves every weight of a latent by 31.77 learning rates under Adam, "
        "whatever the gradient's size",
        value=adams_kick,
        expected=31.77,
        tolerance=0.32,
        unit="learning rates",
        source="geometric series of Adam's moments",
    ),
    Exact(
        text=(
            "Densities by formula are those counted on held-out inputs: ratio over ordinary latents"
        ),
        value=counted_density,
        expected=1.0,
        tolerance=0.02,
        source="characteristic function of the planted inputs",
    ),
    Estimate(
        text="Rare latents followed in a dictionary (main)",
        value=lambda arms: arms["main"].followed.sel(kind="rare"),
        unit="latents",
    ),
    Estimate(
        text="Rare latents followed in a dictionary of SmolLM2",
        value=lambda arms: arms["real"].followed.sel(kind="rare"),
        unit="latents",
    ),
    Estimate(
        text="Taken back of the penalty's pull on a rare latent's bias (main): a claim of earlier "
        "designs, at most 0.5, that could not be decided",
        value=lambda arms: arms["main"].resists.sel(kind="rare"),
        unit="share of the penalty's pull",
        published="new",
        source=SEED,
    ),
    Estimate(
        text="The same on SmolLM2, where uncommon latents lay at 0.5",
        value=lambda arms: arms["real"].resists.sel(kind="rare"),
        unit="share of the penalty's pull",
        published="new",
        source=SEED,
    ),
    Estimate(
        text="Mean cosine of rare encoder rows at the end, over that of their random starts "
        "(main): a claim of earlier designs, at least 0.3, that could not be decided",
        value=lambda arms: arms["main"].alignment.sel(kind="rare", moment="end"),
        unit="mean cosine",
        source=NANDA,
        published=Published(
            0.95,
            NANDA,
            at="TLDR",
            note="share of the rare latents that fired on one input, told there beside 'almost all "
            "the same' encoder; its cosines are a histogram without numbers",
        ),
    ),
    Estimate(
        text="The same on SmolLM2",
        value=lambda arms: arms["real"].alignment.sel(kind="rare", moment="end"),
        unit="mean cosine",
    ),
    Estimate(text="L0 at the end (main)", value=lambda arms: arms["main"].l0, unit="latents"),
    Estimate(text="L0 at the end on SmolLM2", value=lambda arms: arms["real"].l0, unit="latents"),
    Estimate(
        text="Share that ends below a third of the density it was chosen at (main)",
        value=lambda arms: arms["main"].fallen.sel(kind="rare"),
        unit="share of rare latents",
    ),
    Estimate(
        text="Share of rare latents left alone that end above {main.rare:e} (main)",
        value=lambda arms: arms["main"].risen.sel(kind="rare"),
        unit="share",
    ),
    Estimate(
        text="Share of rare latents left alone that end above {real.rare:e} on SmolLM2",
        value=lambda arms: arms["real"].risen.sel(kind="rare"),
        unit="share",
    ),
    Estimate(
        text="Share of resampled latents that end above {main.rare:e} (main)",
        value=lambda arms: arms["main"].resampled_alive,
        unit="share",
        natural=(0, 1),
    ),
    Estimate(
        text="Share of resampled latents that end above {real.rare:e} on SmolLM2",
        value=lambda arms: arms["real"].resampled_alive,
        unit="share",
        natural=(0, 1),
    ),
    Estimate(
        text="Cosine of the rare latents' mean encoder row with minus the mean encoder input, at "
        "the end (about a mean)",
        value=lambda arms: arms["about-mean"].away,
        unit="cosine",
    ),
)


def along_training(arms: Arms) -> list[tuple]:
    """Rows: density of rare, ordinary and useful latents along training in four arms, means over
    seeds of each quartile."""
    rows: list[tuple] = []
    for arm in ("main", "about-mean", "no-l1", "real"):
        data = arms[arm].quantiles.mean("run")
        for kind in ("rare", "uncommon", "ordinary", "useful"):
            quartiles = zip(data.step.values, 10 ** data.sel(kind=kind).values, strict=True)
            rows += [
                (int(step), (middle, low, high), kind, arm)
                for step, (low, middle, high) in quartiles
                if not np.isnan(middle)
            ]
        guide = 10 ** float(data.sel(kind="rare")[0, 1]) * data.step.values[0] / data.step.values
        rows += [
            (int(step), (value, value, value), "1/t, a guide", arm)
            for step, value in zip(data.step.values, guide, strict=True)
        ]
    return rows


def figures(arms: Arms) -> list[Figure]:
    quartiles = (
        "Medians and quartiles over latents, averaged over seeds on the log scale; chosen at a "
        "quarter of training."
    )
    return [
        figure(
            "Density along training: rare latents that are left alone, beside others",
            "line",
            {"step": "x", "density": "mean", "kind": "color", "arm": "facet"},
            along_training(arms),
            x_log=True,
            y_log=True,
            x_title="training step",
            y_title="density, share of inputs",
            note=quartiles,
        )
    ]
