"""Compute planner: whether planned times and planned interval widths come true, and what counts of FLOP say and do not say.

Paper: Kokotajlo 2021, Fun with +12 OOMs of Compute; Kaplan et al. 2020, Scaling Laws for Neural Language Models, Table 1
Claim: planned CPU-seconds and interval widths come true within stated factors; a search is 2 FLOP per parameter and token, not 6
Baselines: constant, one time for every command; tenfold, ten times the FLOP/s; by-n, widths as 1/n; all-shrinks, no second factor
Cost: 200 s on 2 cores, 370 CPU-seconds, 0.51 GB a process; full a guess of 1 CPU-hour, never run
"""

import itertools
from dataclasses import dataclass

import numpy as np

from assay.core import Arm, Claim, Exact, Experiment, Figure, Finding, PerRun, Spec, columns, descent, fit, reserved
from assay.core.errors import SpecError
from assay.core.measures import measures

KAPLAN = "Kaplan et al. 2020, Scaling Laws for Neural Language Models, Table 1"
AMP = "Kokotajlo 2021, Fun with +12 OOMs of Compute, Amp"
PLAN = "plan: a factor of 2 either way, before any command ran; that it is taken without its sign came later, before these commands ran"
DENSITIES = tuple(float(p) for p in np.round(np.geomspace(1, 0.03, 36), 4))
FEW, MANY = 6, 24
"""Toys of a pilot, and of what is planned from it: four times as many."""
TIMED = {
    "deep-linear": (("steps=20", "seed=200:202"), ("seed=200:224",)),
    "superposition-phase": (("steps=20", "densities=0.1,1.0", "relative=0.4", "seed=200:208"), ("steps=500", "relative=0.2", "seed=200:208")),
    "features-per-dimension": (("steps=20", "net_steps=20", "seed=200:202"), ("seed=200:224",)),
    "eval-schedule": (("steps=32", "seed=200:202"), ("steps=1024", "seed=200:208")),
    "superposition-llc": (("steps=100", "seed=200:202"), ("steps=1500", "seed=200:208")),
    "llc": (("burn_in=160", "steps=400", "seed=200:202"), ("burn_in=2000", "steps=5000", "seed=200:208")),
    "myopia": (("steps=20", "updates=20", "seed=200:202"), ("steps=1000", "updates=500", "seed=200:202")),
    "sgd-noise": (("steps=100", "minibatches=50", "subset=64", "seed=200:202"), ("steps=4000", "seed=200:232")),
}
"""Experiments that need no language model and from which no number of the planner comes, each at two sizes far apart.

Their seeds are none of the judged ones. The larger sizes are those for which about 20 CPU-seconds are planned. The two that are left out,
belief-states and gated-ablations, have no command for which fewer than 10 are planned.
"""


@dataclass(frozen=True, kw_only=True)
class Planner(Spec):
    density: PerRun[float] = 1.0
    """Probability that a feature of the toys is active; one run is all toys of one density, drawn by the run's seed."""
    entry: PerRun[str] = ""
    """The experiment that is timed instead; set by the arm `timed`."""
    toys: int = 192
    """Toys in a run: a multiple of 24."""
    blocks: int = 24
    """Blocks of held-out inputs that all toys of a run are measured on."""
    entries: int = 8
    """How many experiments the arm `timed` times."""
    sizes: int = 2
    """At how many sizes: with very few steps and seeds, then with more of both."""
    features: int = 8
    """Input features of a toy."""
    width: int = 3
    """Dimensions of its bottleneck."""
    steps: int = 300
    """Training steps."""
    batch: int = 32
    """Inputs a step, drawn fresh."""
    lr: float = 1e-2
    """Adam's learning rate."""

    def check(self) -> None:
        for name in ("toys", "blocks", "entries", "sizes", "features", "width", "steps", "batch"):
            if getattr(self, name) < 1:
                raise SpecError(f"Planner.{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.density <= 1:
            raise SpecError(f"Planner.density is a probability above 0 and at most 1, got {self.density}")
        if self.toys % MANY or self.toys < 2 * MANY:
            raise SpecError(f"Planner.toys is a multiple of {MANY} from {2 * MANY} up, so that pilots have others to plan, got {self.toys}")
        if self.blocks < 2:
            raise SpecError(f"Planner.blocks must be at least 2, got {self.blocks}")
        if self.entries > len(TIMED) or self.sizes > 2:
            raise SpecError(f"Planner.entries is at most {len(TIMED)} and sizes at most 2, got {self.entries} and {self.sizes}")
        if self.entry and self.entry not in TIMED:
            raise SpecError(f"Planner.entry is one of {', '.join(TIMED)}, got {self.entry!r}")
        if self.lr <= 0:
            raise SpecError(f"Planner.lr must be positive, got {self.lr}")


# --- toys: what is planned from a few, and what many give -----------------------------------------------------------------------


def replicas(runs):
    """The toys of all runs as runs of their own: a run's seed draws a hundred others for them."""
    from assay.core.runs import Runs
    from assay.worlds.bottleneck import toy

    s = runs.shared
    pairs = zip(runs.seeds.tolist(), runs.each("density").tolist(), strict=True)
    return Runs([toy.Model(seed=seed * 1000 + i, density=p) for seed, p in pairs for i in range(s.toys)])


def train(runs, bench):
    """W [run toy f d] and b [run toy f]; the commands of a timed run are measured, not trained."""
    import torch

    from assay.core.fit import Trained
    from assay.data import planted
    from assay.worlds.bottleneck import toy

    s, each = runs.shared, replicas(runs)
    if runs.each("entry")[0]:
        return Trained({"none": torch.zeros(len(runs))}, {}, {}, np.zeros(0, dtype=int), np.zeros(len(runs), dtype=bool))
    start = toy.bottleneck(each, s.features, s.width)
    params = {name: t.unflatten(0, (len(runs), s.toys)).contiguous() for name, t in start.items()}

    def loss(p, x):
        flat = {name: t.flatten(0, 1) for name, t in p.items()}
        return toy.mean_square(toy.reconstruct(flat, x), x).unflatten(0, (-1, s.toys)).sum(1)  # [run]

    batches = planted.sparse_features(each, s.features, s.batch)
    return fit([descent(runs, params, loss, lr=np.full(len(runs), s.lr))], batches, steps=s.steps, bench=bench)[0]


def held_out(runs, trained):
    """[run, toy, block]: loss on 8 inputs a block; the blocks of a run are the same for all of its toys."""
    import torch

    from assay.data import planted
    from assay.worlds.bottleneck import toy

    s = runs.shared
    one = planted.sparse_features(runs, s.features, 8 * s.blocks, stream="blocks")(0)  # [run, b, f]
    found = []
    for i in range(len(runs)):
        params = {name: t[i].cpu() for name, t in trained.tensors.items()}
        off = (toy.reconstruct(params, one[i]) - one[i]).square().mean(-1)  # [toy, b]
        found.append(off.unflatten(1, (s.blocks, 8)).mean(-1))
    return torch.stack(found).double().numpy()


def half(x, factors):
    """The half-width of the 95 % interval of a mean over toys, or over toys and blocks, and the Spread it makes."""
    from assay.core.intervals import interval
    from assay.core.outlook import spread

    return spread(interval({"x": x if factors == 2 else x.mean(1)}, lambda m: m["x"], factors=factors, draws=1))


def planned(loss):
    """Half-widths [pilot] of one run, planned from every pilot of 6 toys for 24, and those that 24 other toys have, by kind."""
    groups = loss.reshape(-1, MANY, loss.shape[1])
    told = {}
    for kind, factors in (("seeds", 1), ("crossed", 2)):
        there = [half(g, factors).half_width for g in groups]
        pilots = [[half(g[i : i + FEW], factors) for i in range(0, MANY, FEW)] for g in groups]
        told[f"{kind}_planned"] = [p.expected(MANY) for group in pilots for p in group]
        told[f"{kind}_naive"] = [p.alone().expected(MANY) for group in pilots for p in group]
        told[f"{kind}_actual"] = [there[(i + 1) % len(there)] for i, group in enumerate(pilots) for _ in group]
    return told


def curve(loss, sizes):
    """Half-widths [kind, size] as shares of the mean loss: planned from the first six toys, and as they came out."""
    rows = []
    for factors in (1, 2):
        pilots = [half(g[:FEW], factors) for g in loss.reshape(-1, MANY, loss.shape[1])]
        rows.append([np.mean([p.expected(n) for p in pilots]) for n in sizes])
        rows.append([np.mean([half(g, factors).half_width for g in loss[: len(loss) // n * n].reshape(-1, n, loss.shape[1])]) for n in sizes])
    return np.array(rows) / loss.mean()


SIZES = (6, 12, 24, 48)


def measure(runs, trained, bench):
    if runs.each("entry")[0]:
        return timed(runs)
    loss = held_out(runs, trained)
    found = [planned(x) for x in loss]
    drawn = np.stack([curve(x, SIZES) for x in loss])
    flop = toy_flop(runs.shared)
    return measures(
        runs,
        coords={"toys_bought": SIZES},
        **{name: ("run pilot", np.array([f[name] for f in found]), "squared input") for name in found[0]},
        curve_planned=("run kind toys_bought", drawn[:, ::2], "share of the loss"),
        curve_actual=("run kind toys_bought", drawn[:, 1::2], "share of the loss"),
        loss=("run toy", loss.mean(-1), "squared input"),
        flop_per_toy=("run", np.full(len(runs), flop), "FLOP"),
    )


# --- commands: what was planned of them, and what they took -----------------------------------------------------------------


def timed(runs):
    """Planned ranges, what came out and the load meanwhile, [run, size], of each run's experiment, each command in an empty store."""
    import tempfile

    from assay.subjects.commands import ran

    shape = (len(runs), 2)
    found = {name: np.full(shape, np.nan) for name in ("seconds_low", "seconds_high", "cpu_low", "cpu_high", "seconds", "cpu", "crowded")}
    for i, entry in enumerate(runs.each("entry").tolist()):
        for j, sets in enumerate(TIMED[entry][: runs.shared.sizes]):
            words = [word for text in sets for word in ("--set", text)]
            with tempfile.TemporaryDirectory(prefix="assay-planner-") as root:
                told = ran("plan", entry, *words, "--executor", "inline", root=root).told
                took = ran("run", entry, *words, "--executor", "inline", root=root)
            found["seconds_low"][i, j], found["seconds_high"][i, j] = told["command_seconds"] or (np.nan, np.nan)
            found["cpu_low"][i, j], found["cpu_high"][i, j] = told["command_cpu_seconds"] or (np.nan, np.nan)
            found["seconds"][i, j], found["cpu"][i, j], found["crowded"][i, j] = took.seconds, took.cpu_seconds, took.load
    units = dict.fromkeys(found, "s") | {"crowded": "seconds a CPU-second"}
    return measures(runs, coords={"size": ["small", "larger"]}, **{name: ("run size", x, units[name]) for name, x in found.items()})


def timings(specs):
    """One run for each experiment that is timed; seeds are those of the first run and on."""
    first = specs[0]
    names = list(TIMED)[: first.entries]
    return tuple(first.replace(entry=name, density=1.0, seed=first.seed + i) for i, name in enumerate(names))


def tenfold(arms):
    """The timed commands as a planner sees them that believes in ten times the FLOP per second."""
    names = [n for n in arms["timed"] if str(n).endswith(("_low", "_high"))]
    return arms["timed"].assign({n: arms["timed"][n] / 10 for n in names})


def constant(arms):
    """The timed commands as a planner sees them that knows nothing of any: each takes what all of them take on average."""
    told = arms["timed"]
    same = {what: float(np.exp(np.log(told[what]).mean())) for what in ("cpu", "seconds")}
    return told.assign({f"{what}_{end}": told[what] * 0 + x for what, x in same.items() for end in ("low", "high")})


def by_n(arms):
    """Widths of toys alone, planned as if they fell with 1/n."""
    main = arms["main"][["seeds_planned", "seeds_actual"]]
    return main.assign(seeds_planned=main.seeds_planned * (FEW / MANY) ** 0.5)


def all_shrinks(arms):
    """Widths planned as if more toys narrowed the part of the blocks as well."""
    main = arms["main"][["crossed_planned", "crossed_actual", "crossed_naive"]]
    return main.assign(crossed_planned=main.crossed_naive)


# --- what is compared -------------------------------------------------------------------------------------------------------


def off(what):
    """[entry]: the factor between seconds and the middle of the planned range, whichever is larger; geometric mean over sizes."""

    def value(arm, arms):
        middle = np.sqrt(arm[f"{what}_low"] * arm[f"{what}_high"])
        return np.exp(abs(np.log(arm[what] / middle)).mean("size")).swap_dims(run="entry")

    return value


def clock(arms):
    """[entry]: `off` of seconds by the clock."""
    return off("seconds")(arms["timed"], arms)


def width_over_planned(kind):
    """[density]: half-width of 24 toys over that planned from 6, geometric mean over pilots."""

    def value(arm, arms):
        return np.exp(np.log(arm[f"{kind}_actual"] / arm[f"{kind}_planned"]).mean("pilot")).swap_dims(run="density")

    return value


def over_planned(arms):
    """[entry]: CPU-seconds over the middle of the planned range, geometric mean over sizes."""
    arm = arms["timed"]
    return np.exp(np.log(arm.cpu / np.sqrt(arm.cpu_low * arm.cpu_high)).mean("size")).swap_dims(run="entry")


def crowding(arms):
    """[entry]: seconds by the clock for each CPU-second of a busy loop beside the commands, geometric mean over sizes."""
    return np.exp(np.log(arms["timed"].crowded).mean("size")).swap_dims(run="entry")


def inside(arms):
    """[entry]: the share of commands whose CPU-seconds lie in the planned range."""
    arm = arms["timed"]
    there = (arm.cpu >= arm.cpu_low) & (arm.cpu <= arm.cpu_high)
    return there.where(arm.cpu.notnull()).mean("size").swap_dims(run="entry")


def wide(arms):
    """[entry]: the upper end of the planned range over the lower, geometric mean over sizes."""
    arm = arms["timed"]
    return np.exp(np.log(arm.cpu_high / arm.cpu_low).mean("size")).swap_dims(run="entry")


def toy_flop(s):
    """FLOP of training one toy: W is multiplied twice, forward and backward."""
    from assay.core import compute

    return compute.training(2 * s.features * s.width, s.steps * s.batch).low


# --- arithmetic ---------------------------------------------------------------------------------------------------------------


def arithmetic(text, value, expected, source, unit="FLOP"):
    """A statement that a count comes out as it should, to four digits: what is computed over what is expected."""

    def ratio(arms):
        from assay.core import compute

        return np.asarray(value(compute), dtype=float) / np.asarray(expected, dtype=float)

    return Exact(text=f"{text}: ratio", value=ratio, expected=np.ones(np.shape(expected)), tolerance=5e-5, source=source, unit="1")


def amp(c, per_token):
    return c.search(1e17, 1, 1e8, 5e4, 5e4, per_token).low


def smollm2(c):
    return c.Transformer(layers=30, width=576, mlp=1536, vocabulary=49152, heads=9, head=64, kv_heads=3, gated=True, tied=True)


BUDGET = 3.14e23
"""FLOP of GPT-3's training, as the comment that this experiment starts from rounds it."""
STATEMENTS = (
    arithmetic("GPT-3's training, 6 N D at 1.746e11 and at 1.75e11 parameters and 3e11 tokens, is 3.1428e23 and 3.15e23 FLOP",
               lambda c: [c.training(n, 3e11).low for n in (1.746e11, 1.75e11)], [3.1428e23, 3.15e23],
               "Brown et al. 2020, Language Models are Few-Shot Learners, Table D.1"),
    arithmetic("Attention adds 1.3805 % to GPT-3's forward pass of 2 N at 2,048 tokens, 1.64 and 13.2 % to SmolLM2's at 128 and 1,024",
               lambda c: [c.attention(96, 2048, 12288).low / c.forward(1.75e11).low,
                          *[smollm2(c).attending(n) / c.forward(smollm2(c).multiplied).low for n in (128, 1024)]],
               [0.013805, 4423680 / 268959744, 35389440 / 268959744], KAPLAN),
    arithmetic("A token of SmolLM2 meets 106,168,320 weights in blocks and 28,311,552 in the unembedding, so 268,959,744 FLOP",
               lambda c: [smollm2(c).blocks, smollm2(c).multiplied, c.forward(smollm2(c).multiplied).low],
               [106168320, 134479872, 268959744], "sizes of HuggingFaceTB/SmolLM2-135M"),
    arithmetic("Amp's two phases are not about 1e34 FLOP each: training 6e34, search 1.5e35 at 6 FLOP a token and 5e34 at 2",
               lambda c: [c.training(1e17, 1e17).low, amp(c, 6), amp(c, 2)], [6e34, 1.5e35, 5e34], AMP),
    arithmetic("Counting a search without backward passes takes off a factor of 3, and a generation costs 1e30 FLOP",
               lambda c: [amp(c, 6) / amp(c, 2), c.search(1e17, 1, 1e8, 5e4, 1).low], [3.0, 1e30], AMP),
    arithmetic("With 1 to 2,048 tokens a call Amp's search takes 5e34 to 1.024e38 FLOP, over three orders of magnitude",
               lambda c: [c.search(1e17, c.Range(1, 2048), 1e8, 5e4, 5e4).low, c.search(1e17, c.Range(1, 2048), 1e8, 5e4, 5e4).high],
               [5e34, 1.024e38], AMP),
    arithmetic("GPT-3's budget of 3.14e23 FLOP is 2.990e11 one-token calls at 6 FLOP and 8.971e11 at 2",
               lambda c: [BUDGET / c.training(1.75e11, 1).low, BUDGET / c.forward(1.75e11).low], [2.99048e11, 8.97143e11], AMP),
    arithmetic("Read as 1e5 calls a run, 1,600 steps of 1,600 runs use 85.6 % of it; the largest square is 1,729 at 6 FLOP, 2,995 at 2",
               lambda c: [c.search(1.75e11, 1, 1e5, 1600, 1600, 6).low / BUDGET,
                          *[(BUDGET / c.search(1.75e11, 1, 1e5, 1, 1, k).low) ** 0.5 for k in (6, 2)]],
               [0.856051, 1729.30, 2995.23], AMP),
    arithmetic("Read as 10000 calls a run, 1,600 steps leave a population of 18,690: not both of the numbers in print can be meant",
               lambda c: BUDGET / c.search(1.75e11, 1, 1e4, 1, 1600, 6).low, 18690.48, AMP),
)  # fmt: skip


# --- figures ------------------------------------------------------------------------------------------------------------------


def figures(arms):
    main, timing = arms["main"], arms["timed"]
    kinds, each = ("over toys", "over toys × blocks"), float(main.flop_per_toy[0])
    bought = [(each * n / 1e6, 100 * float(main[f"curve_{which}"].isel(kind=k, toys_bought=i).mean("run")), f"{kind}, {which}")
              for (k, kind), (i, n), which in itertools.product(enumerate(kinds), enumerate(SIZES), ("planned", "actual"))]  # fmt: skip
    middle = np.sqrt(timing.cpu_low * timing.cpu_high)
    ratio, names = (timing.cpu / middle).values, timing.entry.values.tolist()
    took = [(float(middle[i, j]), float(ratio[i, j]), names[i]) for i, j in np.argwhere(np.isfinite(ratio))]
    return [
        Figure("What more FLOP buy: intervals narrow until the blocks are all that is left",
               columns(("flop", "half", "line"), bought), "line", "flop", "half", color="line",
               x_title="million FLOP of training 6 to 48 toys", y_title="half-width, % of the mean loss", x_log=True, y_log=True,
               rules=((5.0, "a bound 5 % away is decided below"),)),
        Figure("CPU-seconds of commands over those planned", columns(("planned", "ratio", "entry"), took), "points",
               "planned", "ratio", color="entry", x_title="planned CPU-seconds, middle of the range",
               y_title="actual CPU-seconds over planned", y_log=True, rules=((0.5, "half"), (1.0, "as planned"), (2.0, "twice"))),
        Figure("Amp's two phases: one known, the other over three orders of magnitude", columns(("phase", "flop", "tokens"), phases()),
               "points", "phase", "flop", color="tokens", x_title="phase, and FLOP per parameter and token", y_title="FLOP", y_log=True,
               rules=((1e34, "about 1e34, as the comment says of each"),)),
    ]  # fmt: skip


def phases():
    """(phase, FLOP, tokens a call) of Amp, the search with one token a call and with a whole context of 2,048."""
    from assay.core import compute

    found = [("training, 6", compute.training(1e17, 1e17).low, "one token a call")]
    for per_token in (6, 2):
        told = compute.search(1e17, compute.Range(1, 2048), 1e8, 5e4, 5e4, per_token)
        found += [(f"search, {per_token}", told.low, "one token a call"), (f"search, {per_token}", told.high, "2,048 tokens a call")]
    return found


def worlds(first, count, **fields):
    """One run for each density, each with a seed of its own."""
    return tuple(Planner(density=p, seed=first + i, **fields) for i, p in enumerate(DENSITIES[:count]))


experiment = Experiment(
    arms={
        "main": Arm(train, specs=reserved("entry"), note="192 toys for each density: what the intervals of 24 will be, planned from 6"),
        "timed": Arm(train, specs=timings, note="commands of this program at two sizes, each planned first, in an empty store"),
        "constant": Arm(derive=constant, note="a planner that knows nothing: for each command the geometric mean of what all took"),
        "tenfold": Arm(derive=tenfold, note="a planner that believes in ten times the FLOP per second"),
        "by-n": Arm(derive=by_n, note="a planner whose widths of toys fall with 1/n"),
        "all-shrinks": Arm(derive=all_shrinks, note="a planner that forgets the factor that is not bought"),
    },
    measure=measure,
    claims=(
        Claim(
            text="Typically the CPU-seconds of a command differ by a factor of at most 2 from the middle of what was planned",
            value=off("cpu"), units=("entry",), high=2.0, scale="log", of="timed", must_fail=("constant", "tenfold"),
            near={"constant": "that commands take about as long as each other"},
            threshold_from=PLAN, published="new", source=AMP, unit="× off",
        ),
        Claim(
            text="The half-width that 24 toys have is between 0.7 and 1.4 times what 6 others promise",
            value=width_over_planned("seeds"), units=("density",), low=0.7, high=1.4, scale="log",
            must_fail=("by-n",), near={"by-n": "that widths fall in proportion to the number of units"},
            threshold_from="plan: before any toy was trained", published="new",
            source="standard error of a mean of independent units", unit="actual over planned",
        ),
        Claim(
            text="With blocks of inputs as a second factor too: between 0.7 and 1.4 times what 6 toys on these blocks promise",
            value=width_over_planned("crossed"), units=("density",), low=0.7, high=1.4, scale="log",
            must_fail=("all-shrinks",), near={"all-shrinks": "that more toys narrow all of the interval"},
            threshold_from="plan: before any toy was trained", published="new",
            source="Owen 2007, The pigeonhole bootstrap", unit="actual over planned",
        ),
        *STATEMENTS,
        *(
            Finding(text=text, value=value, units=("entry",), published="new", source="this program", unit=unit)
            for text, value, unit in (
                ("Seconds by the clock, by which factor off the middle of what was planned; read it with the load", clock, "× off"),
                ("Load: seconds by the clock for each CPU-second of a busy loop beside the commands; 1 on free cores", crowding, "× as long"),
                ("CPU-seconds over the middle of what was planned, geometric mean over an experiment's sizes", over_planned, "actual over planned"),
                ("How wide planned ranges of CPU-seconds are, geometric mean over an experiment's sizes", wide, "upper over lower"),
                ("Share of commands whose CPU-seconds lie within the whole planned range", inside, "share of commands"),
            )
        ),
    ),
    figures=figures,
    scope="toys of eight features in three dimensions; experiments of this program without a language model, on this machine",
    smoke=worlds(0, 2, toys=48, steps=20, entries=1, sizes=1),
    default=worlds(5000, 36),
    full=worlds(5000, 36, toys=1920, steps=3000),
    seeds_per_group=1,
    measured=2,
)  # fmt: skip
