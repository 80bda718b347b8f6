"""Ultra-rare features: are they on their way to dying, and what moves them when they fire?

Paper: Bricken et al. 2023, Towards Monosemanticity, the ultralow density cluster; nostalgebraist 2023, comment on a replication of it
Claim: latents that are rare and left alone grow rarer, by at least 0.9 decades for each decade of training
Baselines: uncommon, ordinary and useful latents; no-l1; about-mean; dead-weight; pair, a planted conspiracy
Cost: 200 s on 2 cores, 370 CPU-seconds, 1.3 GB a process; full a guess of 1 GPU-hour, never run
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from assay.core import Arm, Claim, Cost, Exact, Experiment, Figure, Finding, Joint, PerRun, Published, Spec, grid, summary
from assay.core.errors import SpecError
from assay.core.measures import measures
from assay.core.stats import ratio
from assay.data.harvest import HarvestSpec, harvest
from assay.data.harvest import inputs as harvest_inputs
from assay.features.followed import BINS, KINDS, SHOWN
from assay.subjects.folder import find
from assay.subjects.site import Site

SEED = "nostalgebraist 2023, comment on Open Source Replication & Commentary on Anthropic's Dictionary Learning Paper"
NANDA = "Nanda 2023, Open Source Replication & Commentary on Anthropic's Dictionary Learning Paper"
FLOW = "theory: under a penalty alone, gradient flow falls by 0.88 to 1.43 decades a decade"
PLAN = "plan: before anything was trained"
PILOT = "pilot: seeds 0–3, .51 on planted inputs and .32 on the model; the plan's margin for net drift"

MOMENTS = ("half", "end")
"""When directions are told of; gradients are those of a quarter, those of useful latents of the half."""


@dataclass(frozen=True, kw_only=True)
class UltraRare(Spec):
    penalty: PerRun[float] = 0.1
    """λ of ‖x − x̂‖² + λ Σ f, on inputs that are not normalised (planted) or have E‖x − mean‖² = d (a model's)."""
    width: int = 256
    """Latents in the dictionary."""
    d: int = 32
    """Dimensions of the inputs."""
    subject: Literal["planted", "smollm2"] = "planted"
    """Where inputs come from: planted features, or a language model's activations."""
    layer: int = 4
    """The model's site is the residual stream before this block."""
    windows: int = 600
    """Training windows of 128 tokens; a planted world ignores these three."""
    test_windows: int = 400
    """Held-out windows on which firings are counted."""
    silent: int = 0
    """Batches without a firing after which a latent counts as dead at a check; 0: a 300th of training."""
    ramp: int = 1
    """Steps over which rate and penalty rise at the start."""
    truth: int = 64
    """True features, random directions."""
    rarest: float = 1e-3
    """Least probability of a true feature; they are log-uniform from here to `commonest`."""
    commonest: float = 1e-1
    """Largest probability of a true feature."""
    useful: int = 8
    """Further true features, rarer than all others, for which a latent each is planted at a quarter of training."""
    useful_p: float = 5e-4
    """Their probability."""
    mean: float = 2.0
    """Length of the constant that is added to every planted input."""
    centred: bool = False
    """Whether the expectation of the inputs is subtracted."""
    frozen: bool = False
    """Whether encoder biases stay at 0."""
    annealed: bool = False
    """Whether the learning rate falls to a tenth for the last third."""
    batch: int = 256
    """Inputs a step."""
    steps: int = 12_000
    """Training steps."""
    lr: float = 1e-3
    """Adam's learning rate, constant but for the ramp and for the 100 steps after a check for dead latents."""
    rare: float = 1e-3
    """Density below which a latent counts as ultra-rare: no true feature but the planted is rarer."""
    ordinary: float = 1e-2
    """Density above which one counts as ordinary; between the two it is uncommon."""
    rows: int = 400_000
    """Inputs on which gradients and ablations are measured; planted densities have a formula, others are counted on them."""

    def check(self) -> None:
        least = {"width": 2, "d": 2, "truth": 1, "useful": 0, "batch": 1, "steps": 48, "rows": 1, "windows": 1, "test_windows": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise SpecError(f"UltraRare.{name} must be at least {low}, got {getattr(self, name)}")
        if 2 * self.useful > self.width:
            raise SpecError(f"UltraRare.useful must be at most half the width, {self.width}, got {self.useful}")
        if self.lr <= 0 or self.penalty < 0:
            raise SpecError(f"UltraRare needs lr above 0 and penalty at least 0, got lr={self.lr}, penalty={self.penalty}")
        if self.subject != "planted" and not self.centred:
            raise SpecError("UltraRare on a model's activations is centred: they come so from the harvest")

    def text(self, part):
        """The harvest of one part of the corpus at this site."""
        count = self.windows if part == "train" else self.test_windows
        return HarvestSpec(subject=self.subject, site=f"blocks.{self.layer}.hook_resid_pre", part=part, windows=count)


def checkpoints(s):
    """The steps at which densities are taken: log-spaced, three an octave, from a quarter of training to its end."""
    return sorted({round(s.steps * 2 ** (-k / 3)) for k in range(7)})


def moments(steps):
    """The steps of a quarter, a half and the end; a quarter is when the judged latents are chosen."""
    return [round(steps * 2 ** (-k / 3)) for k in (6, 3, 0)]


# --- what is trained ---------------------------------------------------------------------------------------------------


def world(runs):
    """The planted truth of each run."""
    from assay.data.embedded import embedded

    s = runs.shared
    made = embedded(runs.seeds, s.truth, s.d, p=(s.rarest, s.commonest), mean=s.mean, rare=(s.useful_p,) * s.useful)
    return made.centred if s.centred else made


def activations(s, bench):
    """(training harvest, test harvest); both come centred and scaled."""
    data = harvest(s.text("train"), bench)
    return data, harvest(s.text("test"), bench, like=data)


def batches(runs, bench):
    """Inputs by step."""
    s = runs.shared
    return world(runs).batches(s.batch) if s.subject == "planted" else activations(s, bench)[0].batches(runs.seeds, s.batch)


def method(runs):
    """ReLU + L1 with independent starts of encoder and decoder; checks for dead latents at a quarter and a half spare a random half."""
    import torch

    from assay.dictionaries.dynamics.byhand import ByHand
    from assay.dictionaries.nonlinearity import ReLU
    from assay.dictionaries.training import losses
    from assay.dictionaries.training.dead import DeadPolicy, Resample
    from assay.dictionaries.training.train import Method

    s = runs.shared
    quarter = moments(s.steps)[0]
    # Checks come in pairs: silent for 20 batches (5,120 inputs) is rare, silent since the pair before is nobody. They come a
    # step after the snapshots, in which nobody is fresh.
    window, first = s.silent or max(1, s.steps // 300), [m + 1 for m in moments(s.steps)[:2]]
    dead: DeadPolicy = Resample(at=tuple(sorted(c for m in first for c in (m - window, m))), exempt=0.5)
    if s.subject == "planted":
        truth, useful = world(runs), np.arange(s.truth, s.truth + s.useful)
        reads, writes = (torch.from_numpy(m.astype(np.float32)) for m in (truth.detectors(useful), truth.directions[:, useful]))
        held = ("b_enc",) if s.frozen else ()
        dead = ByHand(dead, quarter, reads, writes, bias=0.0 if s.frozen else -0.5, held=held)

    def rate(step):
        return min(1.0, (step + 1) / s.ramp) * (0.1 if s.annealed and step >= s.steps * 2 / 3 else 1.0)

    return Method(
        ReLU(), losses.l1, s.width, lr=np.full(len(runs), s.lr), penalty=runs.each("penalty") / s.d**0.5, betas=(0.9, 0.999),
        tied_start=False, dead=dead, rate=rate, sparsity=lambda step: min(1.0, (step + 1) / s.ramp),
        products="float32",
    )  # fmt: skip


def train_together(groups, bench):
    """Arms that see the same inputs, in one pass."""
    from assay.dictionaries.training.train import fit_dictionaries

    s = groups[0].shared
    at = checkpoints(s)
    watch = {
        "encoder_at": (at, lambda p: p["W_enc"]), "bias_at": (at, lambda p: p["b_enc"]), "centre_at": (at, lambda p: p["b_dec"]),
        "decoder_at": (moments(s.steps), lambda p: p["W_dec"]), "encoder_start": ((0,), lambda p: p["W_enc"]),
    }  # fmt: skip
    return fit_dictionaries(
        [(r, method(r)) for r in groups], batches(groups[0], bench), d=s.d, steps=s.steps, bench=bench, probe_at=at, watch=watch,
    )  # fmt: skip


def train(runs, bench):
    return train_together([runs], bench)[0]


# --- what is measured --------------------------------------------------------------------------------------------------


def measure(runs, trained, bench):
    found = [one_run(one, {k: v[r].cpu() for k, v in trained.tensors.items()}, bench) for r, one in enumerate(runs.split(1))]
    coords = {"step": checkpoints(runs.shared), "kind": list(KINDS), "moment": list(MOMENTS)}
    named = {k: ("run " + dims, np.stack([f[k][1] for f in found]), unit) for k, (dims, _, unit) in found[0].items()}
    return measures(runs, coords=coords, **named)


def looked_at(one, bench):
    """(what latents are chosen by, what they are followed on, held-out rows): a formula, or training rows and held-out ones."""
    import torch

    s = one.shared
    if s.subject == "planted":
        truth = world(one)
        draw = truth.batches(4096, "test")
        return truth, truth, torch.cat([draw(i)[0] for i in range(-(-s.rows // 4096))])[: s.rows]
    seen, held_out = (part.rows(part.kept[: s.rows]) for part in activations(s, bench))
    return seen, held_out, held_out


def one_run(one, t, bench):
    """Everything measured of one run, {name: (dims, values, unit)}: medians over each kind of latent."""
    import torch

    from assay.core.rng import generator
    from assay.data.embedded import SMALLEST
    from assay.dictionaries.dynamics.cohort import Counted, Snapshots
    from assay.dictionaries.dynamics.pulls import features
    from assay.features.followed import directions, encoders, gradients, histograms, savings, trajectories

    s, penalty = one.shared, float(one.each("penalty")[0])
    planted_world = s.subject == "planted"
    by, on, x = looked_at(one, bench)
    steps = checkpoints(s)
    snaps = (Snapshots if planted_world else Counted)(steps, t["encoder_at"], t["bias_at"], t["centre_at"])
    at = [steps.index(m) for m in moments(s.steps)]
    everyone = np.arange(s.width)
    planted, exempt = everyone < s.useful, t["exempt"].numpy()
    first, end = (snaps.density(seen, everyone, [i])[:, 0] for seen, i in ((by, at[0]), (on, at[2])))
    kinds = chosen(s, first, exempt & ~planted, planted, SMALLEST if planted_world else 0.75 / len(by))
    followed = {kind: latents for kind, latents in kinds.items() if kind != "ordinary-2"}
    named = histograms([first, end]) | trajectories(snaps, on, followed, s.rare)
    resampled = ~exempt & (t["resampled"].numpy() > 0)
    then, halfway, last = (
        {"W_enc": t["encoder_at"][i], "b_enc": t["bias_at"][i], "W_dec": t["decoder_at"][m], "b_dec": t["centre_at"][i]}
        for m, i in enumerate(at)
    )
    few = 20_000 if planted_world else 6_000
    found = gradients(then, x, {k: i for k, i in kinds.items() if k != "useful"}, penalty, few)
    for name, (values, _) in gradients(halfway, x, {"useful": kinds["useful"]}, penalty).items():
        found[name][0].update(values)  # they were planted at a quarter
    found |= savings(then, x, kinds, generator(int(one.seeds[0]), "ultra-rare.dead-weight"), few)
    named |= {name: ("kind", [values.get(k, np.nan) for k in KINDS], unit) for name, (values, unit) in found.items()}
    turned = [encoders(params, t["encoder_start"][0], kinds) for params in (halfway, last)]
    for name, (_, unit) in turned[0].items():
        named[name] = ("kind moment", [[one[name][0].get(k, np.nan) for one in turned] for k in KINDS], unit)
    cosine, cosines = directions(last), np.full((len(KINDS), SHOWN), np.nan)
    for kind, latents in kinds.items():
        cosines[KINDS.index(kind), : len(latents[:SHOWN])] = cosine[latents[:SHOWN]]
    common = end > s.ordinary
    rows = x[:100_000]
    fires = (features(last, rows) > 0).sum(0) / len(rows)
    counted = float(fires[common].sum()) / end[common].sum() if common.any() else np.nan
    away = torch.cosine_similarity(last["W_enc"][:, kinds["rare"]].mean(1), last["b_dec"] - x.mean(0), dim=0)
    return named | {
        "cosines": ("kind shown", cosines, "1"),
        "counted_density": ("", counted, "share of the formula's"),
        "l0": ("", float(fires.sum()), "latents"),
        "away": ("", float(away), "cosine"),
        "rare_share": ("", np.mean(end < s.rare), "share"),
        "resampled_alive": ("", (end[resampled] > s.rare).mean() if resampled.any() else np.nan, "share"),
    }


def chosen(s, density, exempt, planted, least):
    """{kind: latents}, by their densities at a quarter: rare and uncommon ones that are exempt and fire at all (above `least`),
    two halves of the ordinary ones, the planted."""
    ordinary = np.flatnonzero((density > s.ordinary) & ~planted)[:64]  # any 64: their order is that of random starts
    rare = np.flatnonzero(exempt & (density > least) & (density < s.rare))
    uncommon = np.flatnonzero(exempt & (density >= s.rare) & (density <= s.ordinary))
    return {
        "rare": rare,
        "ordinary": ordinary[::2],
        "ordinary-2": ordinary[1::2],
        "useful": np.flatnonzero(planted),
        "uncommon": uncommon,
    }


def inputs(spec):
    """Model and corpus of a run that reads a model; nothing for planted inputs."""
    if spec.subject == "planted":
        return {}
    find(spec.subject).check(Site.parse(spec.text("train").site))
    return harvest_inputs(spec.text("train"))


def cost(runs):
    """The disk that the harvest takes, shared by all arms that read it; seconds come from the record."""
    if runs.shared.subject == "planted":
        return Cost()
    text = runs.shared.text("train")
    return Cost(bytes=text.bytes(), artefacts={text.to_json(): text.bytes()})


# --- what is compared ---------------------------------------------------------------------------------------------------


def of_rare(name, moment=None):
    """[run]: a median over the rare latents of an arm, at one moment where it was measured at several."""

    def value(arm, arms):
        found = arm[name].sel(kind="rare")
        return found if moment is None else found.sel(moment=moment)

    return value


def between(name, more, less, moment=None):
    """[run]: what the one kind of latents has more of than the other, in the same dictionary, at one moment where there are several."""

    def value(arm, arms):
        found = arm[name] if moment is None else arm[name].sel(moment=moment)
        return found.sel(kind=more) - found.sel(kind=less)

    return value


def less_steep(arm, arms):
    """[run]: slope of the rare latents' densities over that of main at the same seed: above 0 where they fall less steeply."""
    mine, main = (x.slope.sel(kind="rare").swap_dims(run="seed") for x in (arm, arms["main"]))
    return mine - main


def conspiracy_terms(arm, arms):
    """Terms: what the rare latents save only together, and what as many ordinary firings of equal strength save."""
    return {name: arm[name].sel(kind="rare") for name in ("synergy", "saved")}


def against(base):
    """[seed]: log of the share of latents that end ultra-rare, over that of the arm `base` at the same seed."""

    def value(arm, arms):
        half_a_latent = 0.5 / arm.attrs["width"]  # added to both, as none may be left
        mine, other = (x.rare_share.swap_dims(run="seed") for x in (arm, arms[base]))
        return np.log((mine + half_a_latent) / (other + half_a_latent))

    return value


def taken(of="main", **places):
    """A derived arm: another arm's measures with other kinds of latents in the places of these."""

    def derive(arms):
        made = arms[of].copy(deep=True)
        for name, values in arms[of].data_vars.items():
            for place, kind in places.items() if "kind" in values.dims else ():
                made[name].loc[{"kind": place}] = values.sel(kind=kind)
        return made.drop_vars("rare_share")  # the dictionary is the same, and so is its share

    return derive


def at_half(arms):
    """A derived arm: what a training of half the length would have had. The rate is constant, so that is main's half-way point."""
    made = arms["main"][["cosine"]].copy(deep=True)
    made.cosine.loc[{"moment": "end"}] = made.cosine.sel(moment="half")
    return made


# --- arms, claims, figures -----------------------------------------------------------------------------------------------


def like(seeds=None, penalty=None, **fields):
    """The preset's (first so many) seeds with other fields."""

    def specs(main):
        base = main[0].replace(**fields)
        return grid(base, penalty=(base.penalty if penalty is None else penalty,), seed=sorted({s.seed for s in main})[:seeds])

    return specs


def on_model(main):
    """The preset's seeds, and half as many more, on a language model's activations, for two fifteenths of its steps."""
    s, seeds = main[0], sorted({one.seed for one in main})
    steps = max(48, s.steps * 2 // 15)
    own = s.replace(subject="smollm2", d=576, useful=0, centred=True, rows=min(s.rows, 50_000), steps=steps, lr=min(s.lr, 1e-3),
                    silent=steps // 20, ramp=steps // 16)  # fmt: skip
    return grid(own, penalty=(7.2,), seed=(*seeds, *range(seeds[-1] + 1, seeds[-1] + 1 + len(seeds) // 2)))


UNCOMMON = {"rare": "uncommon", "uncommon": "ordinary"}
ORDINARY = {"rare": "ordinary", "ordinary": "ordinary-2", "uncommon": "ordinary-2"}
TOGETHER = Joint(train_together)
ARMS = {
    "main": Arm(TOGETHER, note="planted inputs about 0, λ = 0.4, where L0 is near the truth's 1.4; its rare latents are those judged"),
    "no-l1": Arm(TOGETHER, specs=like(penalty=0.0), note="no penalty: reconstruction alone"),
    "about-mean": Arm(train, specs=like(centred=False), note="the same inputs about a mean of length 2, which is not subtracted"),
    "real": Arm(train, specs=on_model, note="SmolLM2's activations, centred and scaled, λ = 7.2"),
    "uncommon": Arm(derive=taken(**UNCOMMON), note="main's uncommon latents, between .001 and .01, taken for the rare, ordinary ones for them"),
    "ordinary": Arm(derive=taken(**ORDINARY), note="main's ordinary latents taken for the rare, half against half"),
    "useful": Arm(derive=taken(rare="useful"), note="main's planted latents, each of which encodes a rare truth, taken for the rare"),
    "dead-weight": Arm(derive=taken(rare="dead-weight"), note="32 random latents added to main's dictionaries, of density 3e-4"),
    "pair": Arm(derive=taken(rare="pair"), note="a conspiracy by construction: each useful latent split into two halves"),
    "real-uncommon": Arm(derive=taken("real", **UNCOMMON), note="uncommon latents of the dictionaries of SmolLM2"),
    "real-ordinary": Arm(derive=taken("real", **ORDINARY), note="ordinary latents of the dictionaries of SmolLM2"),
    "half": Arm(derive=at_half, note="main at half its length (the rate is constant, so that is the half-way point)"),
}  # fmt: skip


def flow_slopes(arms):
    """[mean 1, 2, 4 × span]: slopes of a lone feature's density under gradient flow."""
    from assay.dictionaries.dynamics import lone

    spans = ((1e2, 1e4), (1e4, 1e6), (1e6, 1e9))
    return [[path.slope(*span) for span in spans] for path in map(lone.flow, (1, 2, 4))]


def flow_floors(arms):
    """[mean 1, 2]: density of a lone feature with its bias held at 0, over Φ(−‖μ‖)."""
    from assay.dictionaries.dynamics import lone

    return [lone.flow(mean, held=True).density[-1] / lone.floor(mean) for mean in (1, 2, 4)]


def flow_alignments(arms):
    """κ of lone features: free bias from 0 at ‖μ‖ = 1, 2, 4; bias held at −1 at the same."""
    from assay.dictionaries.dynamics import lone

    free = [lone.flow(mean).alignment[-1] for mean in (1, 2, 4)]
    return free + [lone.flow(mean, bias=-1, held=True).alignment[-1] for mean in (1, 2, 4)]


def adams_kick(arms):
    """How far Adam moves a weight for one lone gradient, in learning rates, summed term by term."""
    step, m, v = 0.0, 0.1, 0.001
    for _ in range(2_000):
        step, m, v = step + m / v**0.5, 0.9 * m, 0.999 * v
    return step


def counted_density(arms):
    """Firings counted on held-out rows over what the formula says, summed over ordinary latents; mean over main's runs."""
    return float(arms["main"].counted_density.mean())


SLOPE = "decades per decade of training"
PLANTED, MODEL = {"subject": "planted"}, {"subject": "smollm2"}
RARITY = "rarity alone: it encodes a truth, and would drift off only because it seldom fires"
SPARSER = "a dictionary that grows sparser as a whole, of which the rare latents are only one end"
ALSO = {
    "about-mean": "its rare latents are left alone as well, among inputs about a mean",
    "no-l1": "its rare latents are left alone as well; what the penalty adds is another claim",
}
FOUND = {"about-mean": ALSO["about-mean"]}
COMMON = ("uncommon", "ordinary", "useful")
KEPT = dict.fromkeys(COMMON, "not rare latents, and they do not get rarer with the penalty either")
HELD = between("resists", "uncommon", "rare")
CLAIMS = (
    Claim(
        text="Left alone, latents that are ultra-rare at a quarter of training grow rarer: median slope at most −0.9",
        value=of_rare("slope"), where=PLANTED, high=-0.9, unit=SLOPE, must_fail=("useful", "uncommon", "ordinary"),
        near={"useful": RARITY, "uncommon": SPARSER}, also=ALSO, threshold_from=FLOW, published="new", source=SEED,
    ),
    Claim(
        text="At Adam's constant rate of .002 there is no equilibrium rarity: over the second octave the slope of their median density is "
             "still at most −0.9",
        value=of_rare("late_slope"), where=PLANTED, high=-0.9, unit=SLOPE, must_fail=("useful", "uncommon", "ordinary"),
        near={"useful": RARITY, "uncommon": SPARSER}, also=ALSO, threshold_from=FLOW, published="new", source=SEED,
    ),
    Claim(
        text="It takes the penalty: without L1 the median slope is less steep by at least 0.9, in the same worlds",
        of="no-l1", value=less_steep, where=PLANTED, low=0.9, unit=SLOPE, must_fail=("about-mean",),
        near={"about-mean": "any change of the training slows it as much"}, also=KEPT,
        threshold_from="pilot: seeds 4000–4011, −.95 without and −2.4 with L1; 0.9 is what theory gives a penalty alone", published="new",
        source=SEED,
    ),
    Claim(
        text="When one fires, reconstruction takes back less of the penalty's pull on its bias than of an uncommon latent's: by at least 0.2",
        value=HELD, where=PLANTED, low=0.2, unit="share of the penalty's pull", must_fail=("useful", "uncommon", "ordinary"),
        near={"useful": RARITY, "uncommon": "the rarer the less held up, at any rarity"}, also=FOUND, threshold_from=PILOT, published="new",
        source=SEED,
    ),
    Claim(
        text="Its encoder's gradient is mostly the penalty's: median signed share at least 0.5",
        value=of_rare("share"), where=PLANTED, low=0.5, unit="share of the gradient",
        must_fail=("useful", "ordinary", "no-l1"), near={"useful": RARITY, "ordinary": "what is left of two large terms that balance"},
        also=FOUND, threshold_from="theory: half of it", published="new", source=SEED,
    ),
    Claim(
        text="That gradient is out of balance: its net drift exceeds that of ordinary latents by at least 0.2",
        value=between("drift", "rare", "ordinary"), where=PLANTED, low=0.2, unit="net drift", must_fail=("useful", "uncommon", "ordinary"),
        near={"useful": RARITY, "uncommon": "few firings: a balanced gradient drifts by 1/√n"}, also=ALSO,
        threshold_from=PLAN, published="new", source=SEED,
    ),
    Claim(
        text="Their encoder and decoder directions are less related than uncommon latents': median |cosine| lower by at least 0.2",
        value=between("cosine", "uncommon", "rare", "end"), where=PLANTED, low=0.2, unit="|cosine|",
        must_fail=("useful", "uncommon", "ordinary"), near={"uncommon": "the fewer firings, the nearer to independent starts, at any rarity"},
        also=ALSO, half={"main": "half"}, threshold_from="pilot: seeds 4000–4011, .21 beside .71", published="new", source=SEED,
    ),
    Claim(
        text="They come from the inputs' mean: about a mean at least twice as many latents end ultra-rare",
        of="about-mean", value=against("main"), where=PLANTED, low=float(np.log(2)), unit="log ratio of shares",
        must_fail=("no-l1",), near={"no-l1": "a share that moves as much with any change of the training"},
        threshold_from="pilot: seeds 0 and 3 at λ = 0.1, .39 and .38 about a mean, .08 and .09 without", published="new",
        source=f"{SEED}: to fire as rarely as possible, turn away from the data",
    ),
    Claim(
        text="They conspire: what they save only together is at least 0.2 of what as many ordinary firings save",
        value=conspiracy_terms, statistic=ratio("synergy", "saved"), where=PLANTED, low=0.2, unit="share of ordinary savings",
        must_fail=("dead-weight",), near={"dead-weight": "latents without any use that fire at once by chance"}, also=ALSO,
        must_hold=("pair",), threshold_from=PLAN, published="new", source=SEED,
    ),
    Claim(
        text="On SmolLM2, latents that are left alone and ultra-rare at a quarter of training grow rarer: median slope at most −0.9",
        of="real", value=of_rare("slope"), where=MODEL, high=-0.9, unit=SLOPE, must_fail=("real-uncommon", "real-ordinary"),
        near={"real-uncommon": SPARSER}, threshold_from=FLOW, published="new", source=SEED,
    ),
    Claim(
        text="On SmolLM2, when one fires, reconstruction takes back less of the penalty's pull than of an uncommon latent's: by at least 0.2",
        of="real", value=HELD, where=MODEL, low=0.2, unit="share of the penalty's pull", must_fail=("real-uncommon", "real-ordinary"),
        near={"real-uncommon": "the rarer the less held up, at any rarity"}, threshold_from=PILOT, published="new", source=SEED,
    ),
    Claim(
        text="On SmolLM2, their encoder and decoder directions are less related than uncommon latents': median |cosine| lower by at least 0.05",
        of="real", value=between("cosine", "uncommon", "rare", "end"), where=MODEL, low=0.05, unit="|cosine|",
        must_fail=("real-uncommon", "real-ordinary"),
        near={"real-uncommon": "the fewer firings, the nearer to independent starts, at any rarity"},
        threshold_from="pilot: seeds 4000–4011, .09 beside .23", published="new", source=SEED,
    ),
    Exact(
        text="A lone feature under a penalty never settles: slopes by gradient flow at ‖μ‖ = 1, 2, 4 (b free) in three spans of time",
        value=flow_slopes, expected=[[-1.30, -1.17, -1.11], [-1.43, -1.24, -1.14], [-0.88, -1.09, -1.29]], tolerance=0.1,
        unit="decades per decade", source="integrated apart from this code",
    ),
    Exact(
        text="With its bias held at 0 it settles at Φ(−‖μ‖): ratio to that floor at ‖μ‖ = 1, 2, 4",
        value=flow_floors, expected=[1.0, 1.0, 1.0], tolerance=0.05, source="normal distribution",
    ),
    Exact(
        text="Lone features share a direction only where the bias stays: κ with b free from 0, then held at −1, at ‖μ‖ = 1, 2, 4",
        value=flow_alignments, expected=[0.711, 0.972, 0.9996, 0.358, 0.767, 0.956], tolerance=0.02, source="integrated apart from this code",
    ),
    Exact(
        text="One lone firing moves every weight of a latent by 31.77 learning rates under Adam, whatever the gradient's size",
        value=adams_kick, expected=31.77, tolerance=0.32, unit="learning rates", source="geometric series of Adam's moments",
    ),
    Exact(
        text="Densities by formula are those counted on held-out inputs: ratio over ordinary latents",
        value=counted_density, expected=1.0, tolerance=0.02, source="characteristic function of the planted inputs",
    ),
    Finding(
        text="Rare latents followed in a dictionary (main)", value=lambda arms: arms["main"].followed.sel(kind="rare"), unit="latents",
    ),
    Finding(
        text="Rare latents followed in a dictionary of SmolLM2", value=lambda arms: arms["real"].followed.sel(kind="rare"), unit="latents",
    ),
    Finding(
        text="Taken back of the penalty's pull on a rare latent's bias (main): a claim of earlier designs, at most 0.5, that could not be decided",
        value=lambda arms: arms["main"].resists.sel(kind="rare"), unit="share of the penalty's pull", published="new", source=SEED,
    ),
    Finding(
        text="The same on SmolLM2, where uncommon latents lay at 0.5",
        value=lambda arms: arms["real"].resists.sel(kind="rare"), unit="share of the penalty's pull", published="new", source=SEED,
    ),
    Finding(
        text="Mean cosine of rare encoder rows at the end, over that of their random starts (main): a claim of earlier designs, at least "
             "0.3, that could not be decided",
        value=lambda arms: arms["main"].alignment.sel(kind="rare", moment="end"), unit="mean cosine", source=NANDA,
        published=Published(0.95, NANDA, at="TLDR", note="share of the rare latents that fired on one input, told there beside 'almost all "
                            "the same' encoder; its cosines are a histogram without numbers"),
    ),
    Finding(
        text="The same on SmolLM2", value=lambda arms: arms["real"].alignment.sel(kind="rare", moment="end"), unit="mean cosine",
    ),
    Finding(text="L0 at the end (main)", value=lambda arms: arms["main"].l0, unit="latents"),
    Finding(text="L0 at the end on SmolLM2", value=lambda arms: arms["real"].l0, unit="latents"),
    Finding(
        text="Share that ends below a third of the density it was chosen at (main)",
        value=lambda arms: arms["main"].fallen.sel(kind="rare"), unit="share of rare latents",
    ),
    Finding(
        text="Share of rare latents left alone that end above 1e-3 (main)",
        value=lambda arms: arms["main"].risen.sel(kind="rare"), unit="share",
    ),
    Finding(
        text="Share of rare latents left alone that end above 1e-3 on SmolLM2", value=lambda arms: arms["real"].risen.sel(kind="rare"), unit="share",
    ),
    Finding(
        text="Share of resampled latents that end above 1e-3 (main)", value=lambda arms: arms["main"].resampled_alive, unit="share",
    ),
    Finding(
        text="Share of resampled latents that end above 1e-3 on SmolLM2", value=lambda arms: arms["real"].resampled_alive, unit="share",
    ),
    Finding(
        text="Cosine of the rare latents' mean encoder row with minus the mean encoder input, at the end (about a mean)",
        value=lambda arms: arms["about-mean"].away, unit="cosine",
    ),
)  # fmt: skip


def along_training(arms):
    """Columns: density of rare, ordinary and useful latents along training in four arms, means over seeds of each quartile."""
    columns: dict[str, list] = {"step": [], "density": [], "low": [], "high": [], "kind": [], "arm": []}
    for arm in ("main", "about-mean", "no-l1", "real"):
        data = arms[arm].quantiles.mean("run")
        for kind in ("rare", "uncommon", "ordinary", "useful"):
            for step, (low, middle, high) in zip(data.step.values, 10 ** data.sel(kind=kind).values, strict=True):
                if not np.isnan(middle):
                    row = (int(step), middle, low, high, kind, arm)
                    for name, value in zip(columns, row, strict=True):
                        columns[name].append(value)
        guide = 10 ** float(data.sel(kind="rare")[0, 1]) * data.step.values[0] / data.step.values
        for step, value in zip(data.step.values, guide, strict=True):
            for name, cell in zip(columns, (int(step), value, value, value, "1/t, a guide", arm), strict=True):
                columns[name].append(cell)
    return columns


def densities(arms):
    """Columns: how many of main's latents have which density at a quarter of training and at its end, means over runs."""
    data, middle = arms["main"].histogram.mean("run").values, (BINS[1:] + BINS[:-1]) / 2
    names = [f"step {int(arms['main'].step.values[i]):,}" for i in (0, -1)]
    rows = [(x, float(n), name) for name, counts in zip(names, data, strict=True) for x, n in zip(middle, counts, strict=True)]
    return {name: [row[i] for row in rows] for i, name in enumerate(("density", "count", "at"))}


def apart(arms):
    """Columns: encoder-decoder cosine and end density of single latents of main's first run."""
    columns: dict[str, list] = {"density": [], "cosine": [], "kind": []}
    one = arms["main"].isel(run=0)
    for kind in ("rare", "uncommon", "ordinary", "useful"):
        for density, cosine in zip(10 ** one.ends.sel(kind=kind).values, one.cosines.sel(kind=kind).values, strict=True):
            if not np.isnan(density):
                for name, value in zip(columns, (density, cosine, kind), strict=True):
                    columns[name].append(value)
    return columns


def together(arms):
    """Columns: synergy over what ordinary firings save, of the rare latents, of dead weight and of planted pairs."""
    columns: dict[str, list] = {"kind": [], "mean": [], "low": [], "high": []}
    for label, kind in (("rare latents", "rare"), ("dead weight", "dead-weight"), ("planted pairs", "pair")):
        at = arms["main"].sel(kind=kind)
        for name, value in zip(columns, (label, *summary((at.synergy / at.saved).values)), strict=True):
            columns[name].append(value)
    return columns


def figures(arms):
    quartiles = "Medians and quartiles over latents, averaged over seeds on the log scale; chosen at a quarter of training."
    return [
        Figure("Density along training: rare latents that are left alone, beside others", along_training(arms), "line",
               x="step", y="density", color="kind", facet="arm", band=("low", "high"), x_log=True, y_log=True,
               x_title="training step", y_title="density, share of inputs", note=quartiles),
        Figure("How often main's latents fire, at a quarter of training and at its end", densities(arms), "line", x="density", y="count", color="at",
               x_title="log10 density", y_title="latents in a quarter of a decade", note="The lowest bin holds all densities below 1e-12."),
        Figure("Encoder against decoder row, and density, of single latents", apart(arms), "points", x="density",
               y="cosine", color="kind", x_log=True, x_title="density at the end of training", y_title="cosine of encoder and decoder row",
               note="Main's first run, at most 48 latents of a kind."),
        Figure("What latents save only together, over what as many ordinary firings save", together(arms), "bars", x="kind", y="mean",
               band=("low", "high"), x_title="", y_title="share of ordinary savings", rules=((0.2, "a conspiracy"),)),
    ]  # fmt: skip


DEFAULT = UltraRare(penalty=0.4, centred=True, steps=6_000, lr=2e-3, windows=400, test_windows=200)
SMALL = UltraRare(penalty=0.4, centred=True, width=64, d=8, truth=16, useful=2, steps=120, batch=64, rows=8192, rare=0.2, ordinary=0.4,
                  windows=8, test_windows=8)  # fmt: skip

PAGE = """
**The hypothesis.** Sparse autoencoders trained with an L1 penalty have a second, ultra-rare cluster of latents. Are these dying and not
yet dead, so that the density we see is an artefact of when we look? Then latents that are never resampled should get rarer without an
end; when one fires, the penalty should rule its encoder's gradient and nothing hold it up; and its encoder and decoder rows should be
unrelated. Or do they conspire, saving together what none saves alone?

**How it is judged.** At a quarter of training the latents below 1e-3 are chosen among a random half that is never resampled; what is told
of their densities comes after. Planted inputs are 64 sparse features in 32 dimensions, about 0, where the density of a latent has a
formula and nothing is guessed from counts. The same is followed on dictionaries of SmolLM2's activations, where latents are chosen on one
text and counted on another. Encoder and decoder start independently. A statistic is the median over the latents of a dictionary; a unit
is a seed, on planted inputs with a world of its own. Every claim is held against latents that are not ultra-rare: the uncommon
(.001 to .01), the ordinary, and planted ones that are as rare and of use. Two kinds are compared within one dictionary.

**Read this before you quote it.** 256 latents on planted inputs and on a model, and 800 steps there: the youngest of trainings. "Rare at
a quarter of training" matters: nothing is said of latents that are rare before that, when rare truths are still unlearned. Slopes on the
model end at half a firing in 25,400 rows, so falls are at least as steep as told. All its dictionaries are counted on one test text, which
is not resampled.
"""

experiment = Experiment(
    page=PAGE.strip(), arms=ARMS, measure=measure, claims=CLAIMS, figures=figures, inputs=inputs, cost=cost, seeds_per_group=6,
    version=2,  # twice the rate for half the steps; 256 latents on the model too
    measured=3,  # from a quarter on; the median density's own slope
    scope="planted inputs, 64 sparse features in 32 dimensions about 0, 256 latents; claims that name SmolLM2-135M-Instruct (4-bit): its "
          "residual stream before block 4, Python's standard library, 256 latents",
    smoke=grid(SMALL, seed=range(2)),
    default=grid(DEFAULT, seed=range(7000, 7012)),
    full=grid(DEFAULT.replace(width=4096, d=256, truth=2048, rarest=1e-5, useful_p=5e-6, batch=4096, steps=200_000, lr=3e-4, rows=4_000_000,
                              windows=12_000, test_windows=2_000), seed=range(7000, 7008)),
)  # fmt: skip
