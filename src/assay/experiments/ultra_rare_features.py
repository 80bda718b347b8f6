"""Ultra-rare features: are they on their way to dying, and what moves them when they fire?

Paper: Bricken et al. 2023, Towards Monosemanticity, the ultralow density cluster; nostalgebraist 2023, comment on a replication of it
Claim: latents that are rare and left alone grow rarer without end, by at least 0.9 decades for each decade of training
Baselines: ordinary latents; useful ones that encode a rare truth; no-l1; centred; dead-weight; pair, a planted conspiracy
Cost: 180 s on 2 cores, 350 CPU-seconds, 0.9 GB a process; full a guess of 1 GPU-hour, never run
"""

from dataclasses import dataclass

import numpy as np

from assay.core import Arm, Claim, Exact, Experiment, Figure, Finding, Joint, PerRun, Spec, grid, summary
from assay.core.errors import SpecError
from assay.core.measures import measures
from assay.core.stats import ratio
from assay.features.followed import BINS, KINDS, SHOWN

SEED = "nostalgebraist 2023, comment on Open Source Replication & Commentary on Anthropic's Dictionary Learning Paper"
BRICKEN = "Bricken et al. 2023, Towards Monosemanticity, ultralow density cluster"
NANDA = "Nanda 2023, Open Source Replication & Commentary on Anthropic's Dictionary Learning Paper"
FLOW = "theory: under a penalty alone, gradient flow falls by 0.88 to 1.43 decades a decade"
PLAN = "plan, before the pilot (seeds 0, 3, 4)"

CHECKPOINTS = 24
"""Log-spaced, three an octave, the last at the end: a half, a quarter and so on of training are among them."""
MOMENTS = ("quarter", "half", "end")


@dataclass(frozen=True, kw_only=True)
class UltraRare(Spec):
    penalty: PerRun[float] = 0.1
    """λ of ‖x − x̂‖² + λ Σ f, on inputs that are not normalised."""
    width: int = 256
    """Latents in the dictionary."""
    d: int = 32
    """Dimensions of the inputs."""
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
    """Length of the constant that is added to every input."""
    centred: bool = False
    """Whether the expectation of the inputs is subtracted."""
    frozen: bool = False
    """Whether encoder biases stay at 0."""
    annealed: bool = False
    """Whether the learning rate falls to a tenth for the last third."""
    batch: int = 256
    """Inputs a step, drawn fresh."""
    steps: int = 12_000
    """Training steps."""
    lr: float = 1e-3
    """Adam's learning rate, constant but for the 100 steps after a check for dead latents."""
    rare: float = 1e-3
    """Density below which a latent counts as ultra-rare: no true feature but the planted is rarer."""
    ordinary: float = 1e-2
    """Density above which one counts as ordinary."""
    rows: int = 400_000
    """Held-out inputs on which gradients and ablations are measured; densities have a formula."""

    def check(self) -> None:
        least = {"width": 2, "d": 2, "truth": 1, "useful": 0, "batch": 1, "steps": 48, "rows": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise SpecError(f"UltraRare.{name} must be at least {low}, got {getattr(self, name)}")
        if 2 * self.useful > self.width:
            raise SpecError(f"UltraRare.useful must be at most half the width, {self.width}, got {self.useful}")
        if self.lr <= 0 or self.penalty < 0:
            raise SpecError(f"UltraRare needs lr above 0 and penalty at least 0, got lr={self.lr}, penalty={self.penalty}")


def checkpoints(steps):
    """The steps at which densities are taken."""
    return sorted({s for k in range(CHECKPOINTS) if (s := round(steps * 2 ** (-k / 3))) > 0})


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


def method(runs):
    """ReLU + L1 with independent starts of encoder and decoder; checks for dead latents at a quarter and a half spare a random half."""
    import torch

    from assay.dictionaries.dynamics.byhand import ByHand
    from assay.dictionaries.nonlinearity import ReLU
    from assay.dictionaries.training import losses
    from assay.dictionaries.training.dead import Resample
    from assay.dictionaries.training.train import Method

    s = runs.shared
    truth, quarter = world(runs), moments(s.steps)[0]
    # Checks come in pairs: silent for 40 batches (10,240 inputs) is rare, silent since the pair before is nobody. They come a
    # step after the snapshots, in which nobody is fresh.
    window, first = max(1, s.steps // 300), [m + 1 for m in moments(s.steps)[:2]]
    dead = Resample(at=tuple(sorted(c for m in first for c in (m - window, m))), exempt=0.5)
    useful = np.arange(s.truth, s.truth + s.useful)
    reads, writes = (torch.from_numpy(m.astype(np.float32)) for m in (truth.detectors(useful), truth.directions[:, useful]))
    held = ("b_enc",) if s.frozen else ()
    return Method(
        ReLU(), losses.l1, s.width, lr=np.full(len(runs), s.lr), penalty=runs.each("penalty") / s.d**0.5, betas=(0.9, 0.999),
        tied_start=False, dead=ByHand(dead, quarter, reads, writes, bias=0.0 if s.frozen else -0.5, held=held),
        rate=(lambda step: 0.1 if step >= s.steps * 2 / 3 else 1.0) if s.annealed else (lambda step: 1.0),
        sparsity=lambda step: 1.0,
    )  # fmt: skip


def train_together(groups, bench):
    """Arms that see the same inputs, in one pass."""
    from assay.dictionaries.training.train import fit_dictionaries

    s = groups[0].shared
    at = checkpoints(s.steps)
    watch = {
        "encoder_at": (at, lambda p: p["W_enc"]), "bias_at": (at, lambda p: p["b_enc"]), "centre_at": (at, lambda p: p["b_dec"]),
        "decoder_at": (moments(s.steps), lambda p: p["W_dec"]), "encoder_start": ((0,), lambda p: p["W_enc"]),
    }  # fmt: skip
    return fit_dictionaries(
        [(r, method(r)) for r in groups], world(groups[0]).batches(s.batch), d=s.d, steps=s.steps, bench=bench,
        probe_at=at, watch=watch,
    )  # fmt: skip


def train(runs, bench):
    return train_together([runs], bench)[0]


# --- what is measured --------------------------------------------------------------------------------------------------


def measure(runs, trained, bench):
    found = [one_run(one, {k: v[r].cpu() for k, v in trained.tensors.items()}) for r, one in enumerate(runs.split(1))]
    coords = {"step": checkpoints(runs.shared.steps), "kind": list(KINDS), "moment": list(MOMENTS)}
    named = {k: ("run " + dims, np.stack([f[k][1] for f in found]), unit) for k, (dims, _, unit) in found[0].items()}
    return measures(runs, coords=coords, **named)


def one_run(one, t):
    """Everything measured of one run, {name: (dims, values, unit)}: medians over each kind of latent."""
    import torch

    from assay.core.rng import generator
    from assay.dictionaries.dynamics.cohort import Snapshots
    from assay.dictionaries.dynamics.pulls import features
    from assay.features.followed import at_moment, directions, fates, histograms, trajectories

    s, truth, penalty = one.shared, world(one), float(one.each("penalty")[0])
    steps = checkpoints(s.steps)
    snaps = Snapshots(steps, t["encoder_at"], t["bias_at"], t["centre_at"])
    early, quarter, half, end = (steps.index(m) for m in (round(s.steps * 2 ** (-14 / 3)), *moments(s.steps)))
    everyone = np.arange(s.width)
    planted, exempt = everyone < s.useful, t["exempt"].numpy()
    density = {m: snaps.density(truth, everyone, [m])[:, 0] for m in sorted({early, quarter, half, end})}
    kinds = chosen(s, density[quarter], exempt & ~planted, planted)
    named = histograms(density) | trajectories(snaps, truth, kinds, quarter, s.rare)
    resampled, along = ~exempt & (t["resampled"].numpy() > 0), (early, quarter, end)
    named |= fates(snaps, truth, density, exempt & ~planted, resampled, along, s.rare)
    draw = truth.batches(4096, "test")
    x = torch.cat([draw(i)[0] for i in range(-(-s.rows // 4096))])[: s.rows]
    for m, at in enumerate((quarter, half, end)):
        params = {
            "W_enc": t["encoder_at"][at],
            "b_enc": t["bias_at"][at],
            "W_dec": t["decoder_at"][m],
            "b_dec": t["centre_at"][at],
        }
        rng = generator(int(one.seeds[0]), "ultra-rare.dead-weight")
        for name, (values, unit) in at_moment(params, t["encoder_start"][0], x, kinds, penalty, rng).items():
            table = named.setdefault(name, ("kind moment", np.full((len(KINDS), len(MOMENTS)), np.nan), unit))[1]
            table[:, m] = [values.get(kind, np.nan) for kind in KINDS]
    cosine = directions(params)
    cosines = np.full((len(KINDS), SHOWN), np.nan)
    for kind, latents in kinds.items():
        cosines[KINDS.index(kind), : len(latents)] = cosine[latents[:SHOWN]]
    common = np.flatnonzero(density[end] > s.ordinary)
    fires = (features(params, x[:100_000])[:, common] > 0).double().mean(0).sum()
    counted = float(fires) / density[end][common].sum() if len(common) else np.nan
    return named | {"cosines": ("kind shown", cosines, "1"), "counted_density": ("", counted, "share of the formula's")}


def chosen(s, density, may_be_rare, planted):
    """{kind: latents}, by their densities at a quarter: rare ones that are exempt, two halves of the ordinary ones, the planted."""
    from assay.data.embedded import SMALLEST

    ordinary = np.flatnonzero((density > s.ordinary) & ~planted)[:64]  # any 64: their order is that of random starts
    rare = np.flatnonzero(may_be_rare & (density > SMALLEST) & (density < s.rare))
    return {"rare": rare, "ordinary": ordinary[::2], "ordinary-2": ordinary[1::2], "useful": np.flatnonzero(planted)}


# --- what is compared ---------------------------------------------------------------------------------------------------


def of_rare(name, moment=None):
    """[run]: a median over the rare latents of an arm, at one moment where it was measured at several."""

    def value(arm, arms):
        found = arm[name].sel(kind="rare")
        return found if moment is None else found.sel(moment=moment)

    return value


def more_drift(arm, arms):
    """[run]: net drift of the rare latents less that of the ordinary ones, at a quarter of training, on equally many rows."""
    drift = arm.drift.sel(moment="quarter")
    return drift.sel(kind="rare") - drift.sel(kind="ordinary")


def conspiracy_terms(arm, arms):
    """Terms: what the rare latents save only together, and what as many ordinary firings of equal strength save."""
    return {name: arm[name].sel(kind="rare", moment="quarter") for name in ("synergy", "saved")}


def against_main(arm, arms):
    """[seed]: log of the share of latents that end ultra-rare, over main's at the same seed; half a latent is added to both."""
    half_a_latent = 0.5 / arm.attrs["width"]
    mine, mains = (x.rare_share.swap_dims(run="seed") for x in (arm, arms["main"]))
    return np.log((mine + half_a_latent) / (mains + half_a_latent))


def taken_for_rare(kind, second=None):
    """A derived arm: main's measures with another kind of latent in the place of the rare ones."""

    def derive(arms):
        made = arms["main"].copy(deep=True)
        for name, values in arms["main"].data_vars.items():
            if "kind" in values.dims:
                made[name].loc[{"kind": "rare"}] = values.sel(kind=kind)
                if second is not None:
                    made[name].loc[{"kind": kind}] = values.sel(kind=second)
        return made

    return derive


def at_half(arms):
    """A derived arm: what a training of half the length would have had. The rate is constant, so that is main's half-way point."""
    made = arms["main"].copy(deep=True)
    for name, values in arms["main"].data_vars.items():
        if "moment" in values.dims:
            made[name].loc[{"moment": "end"}] = values.sel(moment="half")
    return made


# --- arms, claims, figures -----------------------------------------------------------------------------------------------


def like(seeds=None, penalty=None, **fields):
    """The preset's (first so many) seeds with other fields."""

    def specs(main):
        base = main[0].replace(**fields)
        return grid(base, penalty=(base.penalty if penalty is None else penalty,), seed=sorted({s.seed for s in main})[:seeds])

    return specs


TOGETHER = Joint(train_together)
ARMS = {
    "main": Arm(TOGETHER, note="ReLU + L1 at λ = 0.1; its rare latents are those judged"),
    "strong": Arm(TOGETHER, specs=like(penalty=0.4), note="λ = 0.4, where L0 is near the truth's 1.4"),
    "no-l1": Arm(TOGETHER, specs=like(penalty=0.0), note="no penalty: reconstruction alone"),
    "centred": Arm(train, specs=like(centred=True), note="the same inputs with their expectation subtracted (as with b_dec set there)"),
    "frozen": Arm(TOGETHER, specs=like(2, frozen=True), note="encoder biases held at 0"),
    "annealed": Arm(TOGETHER, specs=like(2, annealed=True), note="a tenth of the learning rate for the last third"),
    "no-rare-truth": Arm(train, specs=like(2, rarest=1e-2), note="no true feature below 1 %, but for the planted"),
    "ordinary": Arm(derive=taken_for_rare("ordinary", "ordinary-2"), note="main's ordinary latents taken for the rare, half against half"),
    "useful": Arm(derive=taken_for_rare("useful"), note="main's planted latents, each of which encodes a rare truth, taken for the rare"),
    "dead-weight": Arm(derive=taken_for_rare("dead-weight"), note="32 random latents added to main's dictionaries, of density 3e-4"),
    "pair": Arm(derive=taken_for_rare("pair"), note="a conspiracy by construction: each useful latent split into two halves"),
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
CLAIMS = (
    Claim(
        text="Left alone, latents that are ultra-rare at a quarter of training grow rarer: median slope at most −0.9",
        value=of_rare("slope"), high=-0.9, unit=SLOPE, must_fail=("ordinary", "useful"), threshold_from=FLOW,
        published="new", source=SEED,
    ),
    Claim(
        text="The same under the stronger penalty: median slope at most −0.9",
        of="strong", value=of_rare("slope"), high=-0.9, unit=SLOPE, must_fail=("ordinary", "useful"), threshold_from=FLOW,
        published="new", source=SEED,
    ),
    Claim(
        text="There is no equilibrium rarity: in the last third of training the median slope is still at most −0.9",
        value=of_rare("late_slope"), high=-0.9, unit=SLOPE, must_fail=("ordinary", "useful"), threshold_from=FLOW,
        published="new", source=SEED,
    ),
    Claim(
        text="Most of them end at less than a third of the density they were chosen at: at least 0.6 of them",
        value=of_rare("fallen"), low=0.6, unit="share of rare latents", must_fail=("ordinary",),
        threshold_from=PLAN, published="new", source=SEED,
    ),
    Claim(
        text="It takes the penalty: without L1 the median slope is above −0.9",
        of="no-l1", value=of_rare("slope"), low=-0.9, unit=SLOPE, must_fail=("main",), threshold_from=FLOW,
        published="new", source=SEED,
    ),
    Claim(
        text="When one fires, its encoder's gradient is mostly the penalty's: median signed share at least 0.5",
        value=of_rare("share", "quarter"), low=0.5, unit="share of the gradient", must_fail=("no-l1",),
        threshold_from="theory: half of it", published="new", source=SEED,
    ),
    Claim(
        text="The same under the stronger penalty: median signed share at least 0.5",
        of="strong", value=of_rare("share", "quarter"), low=0.5, unit="share of the gradient", must_fail=("no-l1",),
        threshold_from="theory: half of it", published="new", source=SEED,
    ),
    Claim(
        text="That gradient is out of balance: its net drift exceeds that of ordinary latents by at least 0.2",
        value=more_drift, low=0.2, unit="net drift", must_fail=("ordinary",), threshold_from=PLAN, published="new", source=SEED,
    ),
    Claim(
        text="Their encoder and decoder directions are unrelated: median |cosine| at most 0.3",
        value=of_rare("cosine", "end"), high=0.3, unit="|cosine|", must_fail=("ordinary",), half={"main": "half"},
        threshold_from=PLAN, published="new", source=SEED,
    ),
    Claim(
        text="They share an encoder direction: mean cosine at least 0.3 above that of their random starts",
        value=of_rare("alignment", "end"), low=0.3, unit="mean cosine", must_fail=("ordinary",), half={"main": "half"},
        threshold_from=PLAN, published="new", source=NANDA,
    ),
    Claim(
        text="They come from the inputs' mean: on centred inputs at most half as many latents end ultra-rare",
        of="centred", value=against_main, high=float(np.log(0.5)), unit="log ratio of shares", must_fail=("strong",),
        threshold_from="pilot: seeds 0 and 3, .08 and .09 against .39 and .38", published="new", source="Assay's own",
    ),
    Claim(
        text="They conspire: what they save only together is at least 0.2 of what as many ordinary firings save",
        value=conspiracy_terms, statistic=ratio("synergy", "saved"), low=0.2, unit="share of ordinary savings",
        must_fail=("dead-weight",), must_hold=("pair",), threshold_from=PLAN, published="new", source=SEED,
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
        text="Asked too early: slope up to a quarter of training, of latents that are ultra-rare at a twenty-fifth of it (main)",
        value=lambda arms: arms["main"].early_slope, unit=SLOPE,
    ),
    Finding(
        text="The same under the stronger penalty",
        value=lambda arms: arms["strong"].early_slope, unit=SLOPE,
    ),
    Finding(
        text="Share of resampled latents that end above 1e-3 (main)",
        value=lambda arms: arms["main"].resampled_alive, unit="share",
    ),
    Finding(
        text="Share of rare latents left alone that end above 1e-3 (main)",
        value=lambda arms: arms["main"].risen.sel(kind="rare"), unit="share",
    ),
    Finding(
        text="Cosine of the rare latents' mean encoder row with minus the mean encoder input, at the end (main)",
        value=lambda arms: arms["main"].away.sel(kind="rare", moment="end"), unit="cosine",
    ),
    Finding(
        text="Share of latents that end ultra-rare with encoder biases held at 0",
        value=lambda arms: arms["frozen"].rare_share, unit="share",
    ),
    Finding(
        text="Slope with a tenth of the learning rate for the last third",
        value=lambda arms: arms["annealed"].late_slope.sel(kind="rare"), unit=SLOPE,
    ),
    Finding(
        text="Slope where no true feature is rarer than 1 %",
        value=lambda arms: arms["no-rare-truth"].slope.sel(kind="rare"), unit=SLOPE,
    ),
)  # fmt: skip


def along_training(arms):
    """Columns: density of rare, ordinary and useful latents along training in three arms, means over seeds of each quartile."""
    columns: dict[str, list] = {"step": [], "density": [], "low": [], "high": [], "kind": [], "arm": []}
    for arm in ("main", "strong", "no-l1"):
        data = arms[arm].quantiles.mean("run")
        for kind in ("rare", "ordinary", "useful"):
            for step, (low, middle, high) in zip(data.step.values, 10 ** data.sel(kind=kind).values, strict=True):
                if step >= data.step.values[-1] / (60 if kind != "useful" else 4):  # those are planted at a quarter
                    row = (int(step), middle, low, high, kind, arm)
                    for name, value in zip(columns, row, strict=True):
                        columns[name].append(value)
        start = data.step.values[-7]
        for step, value in zip(
            data.step.values[-7:], 10 ** float(data.sel(kind="rare")[-7, 1]) * start / data.step.values[-7:], strict=True
        ):
            for name, cell in zip(columns, (int(step), value, value, value, "1/t, a guide", arm), strict=True):
                columns[name].append(cell)
    return columns


def densities(arms):
    """Columns: how many of main's latents have which density at four checkpoints, means over runs."""
    data, middle = arms["main"].histogram.mean("run").values, (BINS[1:] + BINS[:-1]) / 2
    last = int(arms["main"].step.values[-1])
    names = [f"step {round(last * 2 ** (-k / 3)):,}" for k in (14, 6, 3, 0)]
    rows = [(x, float(n), name) for name, counts in zip(names, data, strict=True) for x, n in zip(middle, counts, strict=True)]
    return {name: [row[i] for row in rows] for i, name in enumerate(("density", "count", "at"))}


def apart(arms):
    """Columns: encoder-decoder cosine and end density of single latents of main's first run."""
    columns: dict[str, list] = {"density": [], "cosine": [], "kind": []}
    one = arms["main"].isel(run=0)
    for kind in ("rare", "ordinary", "useful"):
        for density, cosine in zip(10 ** one.ends.sel(kind=kind).values, one.cosines.sel(kind=kind).values, strict=True):
            if not np.isnan(density):
                for name, value in zip(columns, (density, cosine, kind), strict=True):
                    columns[name].append(value)
    return columns


def together(arms):
    """Columns: synergy over what ordinary firings save, of the rare latents, of dead weight and of planted pairs."""
    columns: dict[str, list] = {"kind": [], "mean": [], "low": [], "high": []}
    for label, kind in (("rare latents", "rare"), ("dead weight", "dead-weight"), ("planted pairs", "pair")):
        at = arms["main"].sel(kind=kind, moment="quarter")
        for name, value in zip(columns, (label, *summary((at.synergy / at.saved).values)), strict=True):
            columns[name].append(value)
    return columns


def figures(arms):
    quartiles = "Medians and quartiles over latents, averaged over seeds on the log scale; chosen at a quarter of training."
    return [
        Figure("Density along training: rare latents that are left alone, beside others", along_training(arms), "line",
               x="step", y="density", color="kind", facet="arm", band=("low", "high"), x_log=True, y_log=True,
               x_title="training step", y_title="density, share of inputs", note=quartiles),
        Figure("How often main's latents fire, at four steps", densities(arms), "line", x="density", y="count", color="at",
               x_title="log10 density", y_title="latents in a quarter of a decade", note="The lowest bin holds all densities below 1e-12."),
        Figure("Encoder against decoder row, and density, of single latents", apart(arms), "points", x="density",
               y="cosine", color="kind", x_log=True, x_title="density at the end of training", y_title="cosine of encoder and decoder row",
               note="Main's first run, at most 48 latents of a kind."),
        Figure("What latents save only together, over what as many ordinary firings save", together(arms), "bars", x="kind", y="mean",
               band=("low", "high"), x_title="", y_title="share of ordinary savings", rules=((0.2, "a conspiracy"),)),
    ]  # fmt: skip


DEFAULT = UltraRare()
SMALL = UltraRare(width=64, d=8, truth=16, useful=2, steps=120, batch=64, rows=8192, rare=0.2, ordinary=0.1)

PAGE = """
**The hypothesis.** Sparse autoencoders trained with an L1 penalty have a second, ultra-rare cluster of latents. Are these dying and not
yet dead, so that the density we see is an artefact of when we look? Then latents that are never resampled should get rarer without an
end; when one fires, the penalty should rule its encoder's gradient; and its encoder and decoder rows should be unrelated. Or do they
conspire, saving together what none saves alone?

**How it is judged.** Inputs are planted: 64 sparse features in 32 dimensions, about a mean of length 2, so the density of a latent has a
formula and nothing below one in a million is guessed from counts. Encoder and decoder start independently. At a quarter of training the
latents below 1e-3 are chosen among a random half that is never resampled; what is told of them comes after. A statistic is the median
over these latents, a unit is a seed with a world of its own.

**Read this before you quote it.** A toy with 256 latents; what it says about language models is a guess. "Rare at a quarter of training"
matters: asked at a twenty-fifth, when rare truths are still unlearned, some rare latents come alive and the median may rise. The penalty's
share of a gradient speaks of latents that fire on at least ten of 400,000 inputs.
"""

experiment = Experiment(
    page=PAGE.strip(), arms=ARMS, measure=measure, claims=CLAIMS, figures=figures, seeds_per_group=1,
    scope="planted inputs, 64 sparse features in 32 dimensions about a mean, 256 latents",
    smoke=grid(SMALL, seed=range(1000, 1002)),
    default=grid(DEFAULT, seed=range(1000, 1006)),
    full=grid(UltraRare(width=4096, d=256, truth=2048, rarest=1e-5, useful_p=5e-6, batch=4096, steps=200_000, lr=3e-4, rows=4_000_000),
              seed=range(1000, 1008)),
)  # fmt: skip
