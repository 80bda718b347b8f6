"""Belief states: what a transformer's residual stream knows of the hidden state behind its tokens.

Paper: Shai et al. 2024, Transformers represent belief state geometry in their residual stream
Claim: on RRXOR a linear probe of the stream reads 0.1 of R² more of the belief than kernel regression on the raw tokens, endings held out
Baselines: kernel regression and tables on tokens, without a network; untrained; the network's own prediction; shuffled beliefs; noise
Cost: 210 s on 2 cores, 350 CPU-seconds, 0.62 GB a process; full a guess of 10 GPU-hours, never run
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from assay.core import Arm, Claim, Exact, Experiment, Finding, Gate, PerRun, Published, Spec, added, grid, reserved
from assay.core.errors import SpecError
from assay.core.figures import Figure, columns, summary
from assay.core.measures import measures

PAPER = "Shai et al. 2024, Transformers represent belief state geometry in their residual stream"
ROHIN = "Shah 2024, comment on Transformers Represent Belief State Geometry in their Residual Stream"
PILOT = "pilot: seeds 0–5"
WINDOWS = 7
"""The longest joint table of last tokens that is a rival."""
SHOWN = 5
"""Length of the longest prefixes in the picture of the simplex."""
HELD_OUT = {"prefix": "prefixes held out", "ending": "endings held out"}
APART = 10**6
"""How far apart the seeds are of one run's draws of folds."""
WEAKER = (10.0, 100.0, 1000.0)
"""Penalties that a probe beside the kernel may choose as well: the last of them adds nothing."""


@dataclass(frozen=True, kw_only=True)
class BeliefStates(Spec):
    process: Literal["rrxor", "mess3"] = "rrxor"
    """What emits the tokens."""
    x: float = 0.05
    """Mess3: probability of each move to another state."""
    alpha: float = 0.85
    """Mess3: probability that a state emits its own token."""
    read: Literal["network", "planted", "noise", "tokens"] = "network"
    """What is probed: the residual stream, a planted belief or noise in its place, or the tokens themselves."""
    steps: int = 1_800
    """Training steps; 0 leaves the network untrained."""
    lr: PerRun[float] = 3e-3
    """Learning rate at its top: 50 steps of warm-up, linear decay to 0 over the whole training."""
    decay: float = 1.0
    """Decoupled weight decay of matrices, times the learning rate."""
    whole: bool = False
    """Whether every step sees all prefixes, weighted by their probability, in place of sampled sequences; the rate then follows a cosine."""
    batch: int = 64
    """Sequences a step and run, drawn fresh."""
    sampled: bool = False
    """Whether targets are the tokens that came next, in place of their exact distribution."""
    sgd: bool = False
    """Plain gradient descent at a constant rate, as published, in place of AdamW."""
    moments: tuple[float, ...] = ()
    """Shares of training after which endings are probed; 0 is the start."""
    probed: int = 10
    """Length of the longest prefixes that are probed."""
    ending: int = 5
    """Prefixes that end in the same so many tokens are held out together."""
    draws: int = added(1, before=1)
    """Draws of the folds that hold endings out, over which each run is averaged."""
    layers: int = 4
    """Blocks."""
    d: int = 64
    """Width of the residual stream."""
    heads: int = 1
    """Attention heads in a block."""
    d_head: int = 8
    """Width of one head."""
    d_mlp: int = 256
    """Neurons in a block's MLP."""
    context: int = 10
    """Tokens in a training sequence, the most that the network can read."""
    replicate: int = 0
    """Another independent draw of the same set-up: shifts every seed."""

    def check(self) -> None:
        for name in ("batch", "probed", "ending", "draws", "layers", "d", "heads", "d_head", "d_mlp", "context"):
            if getattr(self, name) < 1:
                raise SpecError(f"BeliefStates.{name} must be at least 1, got {getattr(self, name)}")
        if self.steps < 0 or self.lr <= 0 or self.decay < 0:
            got = f"steps={self.steps}, lr={self.lr}, decay={self.decay}"
            raise SpecError(f"BeliefStates needs steps and decay of at least 0 and lr above 0, got {got}")
        if not all(0 <= share <= 1 for share in self.moments):
            raise SpecError(f"BeliefStates.moments are shares of training between 0 and 1, got {self.moments}")
        if self.probed > self.context:
            raise SpecError(f"BeliefStates.probed={self.probed} tokens are more than the network reads, context={self.context}")
        if self.ending > self.probed:
            raise SpecError(
                f"BeliefStates.ending={self.ending} tokens are more than the longest prefix has, probed={self.probed}"
            )
        hidden(self.process, self.x, self.alpha)


@lru_cache
def hidden(process, x, alpha):
    """The process that emits the tokens. Raises: DataError for an impossible x or alpha."""
    from assay.worlds.hidden_markov.process import mess3, rrxor

    return rrxor() if process == "rrxor" else mess3(x, alpha)


@lru_cache(maxsize=8)
def prefixes_of(process, x, alpha, length):
    """The tree of all prefixes of at most this length."""
    return hidden(process, x, alpha).tree(length)


def tree_of(s, length):
    return prefixes_of(s.process, s.x, s.alpha, length)


# --- training ------------------------------------------------------------------------------------------------------------


def train(runs, bench):
    import torch

    from assay.core import Group, cosine, descent, fit, warm_up_decay
    from assay.core.fit import watched
    from assay.worlds.networks.prefixes import Prefixes, forward_prefixes
    from assay.worlds.networks.transformer import MATRICES, Sizes, transformer

    s = runs.shared
    if s.read != "network":  # nothing is trained: what is probed is made when it is measured
        return fit([Group(runs, {"none": torch.zeros(len(runs))}, lambda *step: torch.zeros(len(runs)))], batches(runs), steps=0,
                   bench=bench)[0]  # fmt: skip
    sizes = Sizes(layers=s.layers, d=s.d, heads=s.heads, d_head=s.d_head, d_mlp=s.d_mlp, context=s.context,
                  vocab=hidden(s.process, s.x, s.alpha).vocab)  # fmt: skip

    def loss(params, batch):
        token, position, ancestors, weight, target = batch
        logits, _ = forward_prefixes(params, Prefixes(token, position, ancestors))
        return -(weight[..., None] * target * logits.log_softmax(-1)).sum((1, 2)) / weight.sum(1)  # [run]

    params, rates = transformer(runs.replicated().seeds, sizes), runs.each("lr")
    if s.sgd:
        group = descent(runs, params, loss, lr=rates, plain=True)
    else:
        rate = cosine(s.steps, 50, 0.1) if s.whole else warm_up_decay(s.steps, 50, 1.0)
        group = descent(
            runs, params, loss, lr=rates, schedule=rate, clip=0.3, betas=(0.9, 0.98), decay=dict.fromkeys(MATRICES, s.decay)
        )
    return fit([watched(group, tuple(params), moments(s))], batches(runs), steps=s.steps, bench=bench)[0]


def moments(s):
    """The steps at which endings are probed along training."""
    return [round(share * s.steps) for share in s.moments]


def batches(runs):
    """step → (token, position, ancestors, weight, target): distinct prefixes, how much each counts, what follows it."""
    from assay.worlds.hidden_markov.batches import drawn_prefixes, every_prefix

    s = runs.shared
    tree = tree_of(s, s.context)
    if s.whole:
        everything = every_prefix(tree)
        return lambda step: everything
    return drawn_prefixes(tree, runs.replicated().seeds, s.batch, s.sampled)


# --- measuring -----------------------------------------------------------------------------------------------------------


def measure(runs, trained, bench):
    import torch

    from assay.worlds.hidden_markov.beliefs import excess

    s = runs.shared
    tree = tree_of(s, s.probed)
    belief = torch.from_numpy(tree.belief)
    x, predicted = probed_features(runs, trained, tree)
    named = {} if predicted is None else {"excess": ("run", excess(tree, predicted.numpy()), "nats")}
    coords = {}
    if trained.history:
        named["loss"], coords["step"] = ("run step", rounded(trained.history["loss"]), "nats"), trained.steps.tolist()
    for protocol in HELD_OUT if s.process == "rrxor" else ["ending"]:
        found = probe_all(x, runs, tree, protocol, bench)
        coords["probe"] = list(found)
        named[f"{protocol}_missing"] = ("run probe", missing(found, belief), "share")
        if protocol == "prefix":
            named |= distances(tree, belief, found)
    if s.process == "mess3":
        shown = found[judged(vars(runs.specs[0]))][:, 0, tree.depth <= SHOWN, :2]
        named["simplex"], coords["coordinate"] = ("run row coordinate", np.round(shown.numpy(), 3), "probability"), [0, 1]
    if at := moments(s):
        named |= along_training(runs, trained, tree, len(at))
        other = belief[tree.shuffled(0, "belief-states.shuffled")]
        found = folded({"concat": x["concat"]}, other, runs, tree, "ending")
        named["shuffled_missing"] = ("run", missing(found, other)[:, 0], "share")
    return measures(runs, coords=coords, **named)


def rounded(values):
    """Six digits: a record is a text, and nobody reads more."""
    return np.round(np.asarray(values, dtype=np.float64), 6)


def streams(s, params, tree):
    """{probe: [run, row, d]} of a network's residual stream, and its next-token distributions [run, row, v]."""
    import torch

    from assay.worlds.hidden_markov.batches import all_prefixes
    from assay.worlds.networks.prefixes import forward_prefixes

    with torch.no_grad():
        logits, residuals = forward_prefixes(params, all_prefixes(tree))
    named = {f"layer {i + 1}": x for i, x in enumerate(residuals)}
    return {"concat": torch.cat(residuals, -1), **named}, logits.double().softmax(-1)


def probed_features(runs, trained, tree):
    """{probe: [run or 1, row, d]} and what the network predicts [run, row, v], None where there is no prediction."""
    import torch

    from assay.core import rng
    from assay.worlds.hidden_markov.beliefs import additive, joint

    s = runs.shared
    exact = torch.from_numpy(tree.predicted)[None]
    if s.read == "tokens":
        tables = {f"last {k}": joint(tree, k) for k in range(1, (WINDOWS if s.process == "rrxor" else s.ending) + 1)}
        columns = {**tables, "additive": additive(tree, s.probed)}
        return {name: torch.from_numpy(x)[None] for name, x in columns.items()} | {"next token": exact}, None
    if s.read == "network":
        params = {name: p for name, p in trained.tensors.items() if not name.endswith("/at")}
        x, predicted = streams(s, params, tree)
    else:
        drawn = torch.from_numpy(
            rng.normal(runs.replicated().seeds, f"belief-states.{s.read}", 0, (len(tree) + tree.belief.shape[1], s.layers * s.d))
        )
        noise, mix = drawn[:, : len(tree)].double(), drawn[:, len(tree) :].double()
        x = {"concat": noise if s.read == "noise" else torch.from_numpy(tree.belief) @ mix + 0.3 * noise}
        predicted = exact.expand(len(runs), -1, -1)
    return {**x, "softmax": predicted}, predicted


@dataclass(frozen=True, kw_only=True)
class OnTokens(Spec):
    """Kernel regression of the belief on the raw tokens, out of the folds that this seed draws: made once for all arms."""

    process: str
    """As in BeliefStates, like the next four."""
    x: float
    """See there."""
    alpha: float
    """See there."""
    probed: int
    """See there."""
    ending: int
    """See there."""
    protocol: str
    """What is held out: "prefix" or "ending"."""


def regress(spec, folder):
    """Writes the predictions of the kernel regression, and those within its training rows."""
    import torch

    from assay.features.token_kernel import kernel_out_of_fold

    tree = tree_of(spec, spec.probed)
    group, k = held_out(tree, spec.ending, spec.protocol)
    last, belief = tree.last(spec.probed), torch.from_numpy(tree.belief)
    found = kernel_out_of_fold(last, tree.process.vocab, belief, group, k, seed=spec.seed)
    np.savez(folder / "kernel.npz", **{name: part.numpy() for name, part in found._asdict().items()})


def on_tokens(s, seed, protocol, bench):
    """The kernel regression's predictions [row, state], and those within its training rows [fold, row, state]."""
    import torch

    from assay.features.token_kernel import OutOfFold

    own = {name: getattr(s, name) for name in ("process", "x", "alpha", "probed", "ending")}
    [folder] = bench.artefacts([OnTokens(seed=seed, protocol=protocol, **own)], regress)
    with np.load(folder / "kernel.npz") as stored:
        return OutOfFold(**{name: torch.from_numpy(part) for name, part in stored.items()})


def held_out(tree, ending, protocol):
    """The groups of prefixes that are held out together, and in how many folds."""
    return (np.arange(len(tree)), 5) if protocol == "prefix" else (tree.suffixes(ending), 6)


def draws(runs, protocol):
    """The seeds of every run's folds [run][draw]."""
    return [[spec.seed + APART * i for i in range(spec.draws if protocol == "ending" else 1)] for spec in runs.specs]


def folded(x, y, runs, tree, protocol, kernels=None):
    """{probe: y as read by a ridge out of folds [run, draw, row, state]}; cut to 0 … 1, since y are probabilities.

    With `kernels` [run][draw], a share of the kernel's predictions and a probe of what that share leaves over.
    """
    import torch

    from assay.features.linear_probe import STRENGTHS, out_of_fold

    group, k = held_out(tree, runs.shared.ending, protocol)

    def read(features, i, j, seed):
        how = {} if kernels is None else {"beside": kernels[i][j], "strengths": STRENGTHS + WEAKER}
        return out_of_fold(features[i % len(features)][None], y, group, k, seed=seed, **how)[0].clamp(0, 1)

    return {
        name: torch.stack([torch.stack([read(features, i, j, seed) for j, seed in enumerate(own)]) for i, own in enumerate(draws(runs, protocol))])
        for name, features in x.items()
    }  # fmt: skip


def probe_all(x, runs, tree, protocol, bench):
    """{probe: beliefs as predicted [run, draw, row, state]}, fitted to exact beliefs; "kernel" is no probe but the kernel regression."""
    import torch

    s, belief = runs.specs[0], torch.from_numpy(tree.belief)
    kernels = [[on_tokens(s, seed, protocol, bench) for seed in own] for own in draws(runs, protocol)]
    found = folded(x, belief, runs, tree, protocol)
    if s.read == "tokens":
        return found | {"kernel": torch.stack([torch.stack([one.predicted for one in own]) for own in kernels]).clamp(0, 1)}
    beside = folded({name: x[name] for name in (judged(vars(s)), "softmax")}, belief, runs, tree, protocol, kernels)
    return found | {f"{name} + kernel": predicted for name, predicted in beside.items()}


def missing(found, y):
    """[run, probe]: the share of the spread of y that is not read, 1 − R², mean over draws of folds."""
    spread = (y - y.mean(0)).square().sum()
    return rounded(np.stack([((predicted - y).square().sum((2, 3)).mean(1) / spread).numpy() for predicted in found.values()], 1))


def distances(tree, belief, found):
    """How well distances between the 35 predicted beliefs are those of the true ones, and those of the next-token distributions."""
    import torch

    from assay.features.linear_probe import centroids, distance_r2

    true, following = (centroids(y[None], tree.state)[0] for y in (belief, torch.from_numpy(tree.predicted)))
    means = [centroids(predicted[:, 0], tree.state) for predicted in found.values()]
    return {
        f"distance_{name}": ("run probe", rounded(np.stack([distance_r2(m, to) for m in means], 1)), "R²")
        for name, to in (("belief", true), ("next", following))
    }


def along_training(runs, trained, tree, count):
    """Excess loss and R² with endings held out, in one draw of the folds, at each moment of training."""
    import torch

    from assay.core import Runs
    from assay.worlds.hidden_markov.beliefs import excess

    belief, once, over, left = torch.from_numpy(tree.belief), Runs([s.replace(draws=1) for s in runs.specs]), [], []
    for i in range(count):
        params = {name.removesuffix("/at"): p[:, i] for name, p in trained.tensors.items() if name.endswith("/at")}
        x, predicted = streams(runs.shared, params, tree)
        over.append(excess(tree, predicted.numpy()))
        left.append(missing(folded({"concat": x["concat"]}, belief, once, tree, "ending"), belief)[:, 0])
    return {"excess_at": ("run moment", np.stack(over, 1), "nats"), "r2_at": ("run moment", 1 - np.stack(left, 1), "R²")}


# --- what is compared ----------------------------------------------------------------------------------------------------


def judged(spec):
    """The probe that stands for a run, by its static fields: on Mess3 a trained network's last layer, else all; of tokens, the best rival."""
    if spec["read"] == "tokens":
        return "kernel" if spec["process"] == "rrxor" else "additive"
    return f"layer {spec['layers']}" if spec["process"] == "mess3" and spec["steps"] else "concat"


def left(arm, protocol, probe=None):
    """[run]: the share that one probe does not read, by default the one that stands for the runs of the arm."""
    return arm[f"{protocol}_missing"].sel(probe=probe or judged(arm.attrs), drop=True)


def common(*arms):
    """The runs of each arm whose seeds all arms have, in the order of the seeds."""
    seeds = set.intersection(*(set(a.seed.values.tolist()) for a in arms))
    return [a.isel(run=np.isin(a.seed.values, sorted(seeds))).sortby("seed") for a in arms]


def beside(spec):
    """The probe that stands for a run, with kernel regression on the tokens beside it."""
    return f"{judged(spec)} + kernel"


def over(other, protocol, probe=None, against=None):
    """A value [run]: R² of a probe of the arm less that of a probe of another arm, on the seeds that both have."""

    def value(arm, arms):
        mine, theirs = common(arm, arms[other])
        own = left(mine, protocol, probe)
        return own.copy(data=left(theirs, protocol, against).values - own.values)

    return value


def over_tokens(protocol, probe=judged):
    """A value [run]: R² of a probe less that of whatever reads the tokens best in the same folds: tables, a sum over places, the kernel."""

    def value(arm, arms):
        mine, tokens = common(arm, arms["tokens" if arm.attrs["process"] == "rrxor" else "mess3-tokens"])
        rivals = [p for p in tokens.probe.values if p.startswith("last ") or p in ("additive", "kernel")]
        own = left(mine, protocol, probe(arm.attrs))
        return own.copy(data=tokens[f"{protocol}_missing"].sel(probe=rivals).min("probe").values - own.values)

    return value


def distance_gain(arm, arms):
    """[run]: R² of the probe's distances with those of the beliefs, less that with those of the next-token distributions."""
    at = {"probe": judged(arm.attrs)}
    return arm.distance_belief.sel(at, drop=True) - arm.distance_next.sel(at, drop=True)


def growth(arm, along=None):
    """[run]: rank correlation over moments of training of R² and minus excess loss, or any other numbers [moment] that rise."""
    from scipy.stats import spearmanr

    rising = -arm.excess_at.values if along is None else [along] * arm.sizes["run"]
    return arm.excess.copy(data=np.array([spearmanr(a, b).statistic for a, b in zip(rising, arm.r2_at.values, strict=True)]))


# --- arms made from others -----------------------------------------------------------------------------------------------


def in_place(of, **probes):
    """A derived arm: another arm's measures with one probe in the place of the one that is judged, alone and beside the kernel."""

    def derive(arms):
        made, own = arms[of].copy(deep=True), judged(arms[of].attrs)
        for name, values in arms[of].data_vars.items():
            if "probe" in values.dims:
                for place, probe in {own: probes["alone"], f"{own} + kernel": probes.get("with_kernel")}.items():
                    if probe:
                        made[name].loc[{"probe": place}] = values.sel(probe=probe)
        return made

    return derive


def shuffled(arms):
    """A derived arm: main's networks, probed for beliefs exchanged between prefixes of one length, and nothing else of theirs."""
    made = arms["main"][["ending_missing"]].sel(probe=["concat"]).copy(deep=True)
    made["ending_missing"].loc[{"probe": "concat"}] = arms["main"].shuffled_missing
    return made


def first(seeds=None, **fields):
    """The preset's (first so many) seeds with other fields; `steps` as a share of main's."""

    def specs(main):
        chosen = sorted({s.seed for s in main})[:seeds]
        share = fields.get("steps", 1.0)
        rest = {k: v for k, v in fields.items() if k != "steps"}
        return tuple(s.replace(moments=(), **rest, steps=round(s.steps * share)) for s in main if s.seed in chosen)

    return specs


FEW = 6
"""Seeds of arms that stand beside the judged one, and on Mess3, where networks hardly differ."""
MESS3 = {"process": "mess3", "decay": 0.3, "context": 6, "probed": 6, "ending": 2, "draws": 1}
MESS3_STEPS = 500 / 1800
ARMS = {
    "main": Arm(train, specs=reserved("process", "read", "replicate"),
                note="RRXOR, AdamW on exact next-token distributions of sampled prefixes"),
    "half": Arm(train, specs=first(FEW, steps=0.5), note="half as long, with its own decay of the rate"),
    "untrained": Arm(train, specs=first(FEW, steps=0.0), note="the same networks before training"),
    "tokens": Arm(train, specs=first(steps=0.0, read="tokens"),
                  note="no network: kernel regression on the tokens, joint tables of the last 1 to 7, the last 10 one by one, the exact "
                       "prediction"),
    "planted": Arm(train, specs=first(FEW, steps=0.0, read="planted"),
                   note="the belief through a random matrix, plus noise of 0.3, in the place of the stream"),
    "noise": Arm(train, specs=first(FEW, steps=0.0, read="noise"), note="noise alone in its place"),
    "mess3": Arm(train, specs=first(FEW, steps=MESS3_STEPS, **MESS3), note="Mess3, last layer"),
    "mess3-half": Arm(train, specs=first(FEW, steps=MESS3_STEPS / 2, **MESS3), note="half as long, with its own decay of the rate"),
    "mess3-untrained": Arm(train, specs=first(FEW, steps=0.0, **MESS3), note="untrained networks on Mess3, all layers"),
    "mess3-tokens": Arm(train, specs=first(steps=0.0, read="tokens", **MESS3),
                        note="no network: the last 6 tokens of Mess3, by kernel regression, one by one, and tables of the last 1 and 2"),
    "own-prediction": Arm(derive=in_place("main", alone="softmax", with_kernel="softmax + kernel"),
                          note="main's own next-token predictions in the place of its stream"),
    "untrained-with-kernel": Arm(derive=in_place("untrained", alone="concat + kernel"),
                                 note="kernel regression on the tokens, and the untrained stream beside it"),
    "table": Arm(derive=in_place("tokens", alone=f"last {WINDOWS}"), note="the joint table of the last 7 tokens in its place"),
    "shuffled": Arm(derive=shuffled, note="main's stream, beliefs exchanged among prefixes of one length, fitted and scored so"),
    "mess3-untrained-with-kernel": Arm(derive=in_place("mess3-untrained", alone="concat + kernel"),
                                       note="kernel regression on Mess3's tokens, and the untrained stream beside it"),
}  # fmt: skip


# --- statements ----------------------------------------------------------------------------------------------------------

LEARNED = Gate("excess loss at most 0.001", lambda arm: (arm.excess <= 0.001).values)
HALF, HALF_3 = {"main": "half"}, {"mess3": "mess3-half"}
PROBE = "Assay's own: prefixes held out"
FEATURES = "any 256 functions of the tokens, fitted to exact posteriors as the stream is, help the kernel as well"
CLAIMS = (
    Claim(
        text="A linear probe of the stream, trained on exact posteriors, reads at least 0.1 of R² more than whatever reads the tokens alone "
             "(kernel regression, tables), over all 58 endings of RRXOR, held out",
        value=over_tokens("ending"), low=0.1, unit="R²", must_hold=("planted",),
        must_fail=("untrained-with-kernel", "own-prediction", "noise", "shuffled"),
        near={"untrained-with-kernel": FEATURES}, gates=(LEARNED,), half=HALF, source=PAPER, published="new",
        threshold_from=f"{PILOT}, .44 [.23, .62] above tables alone; the kernel was no rival then",
    ),
    Claim(
        text="With single prefixes held out, too, a linear probe of the stream reads at least 0.05 of R² more than whatever reads the tokens "
             "alone, over all 1,046 prefixes of RRXOR; all are trained on exact posteriors",
        value=over_tokens("prefix"), low=0.05, unit="R²", must_fail=("untrained-with-kernel",), near={"untrained-with-kernel": FEATURES},
        gates=(LEARNED,), half=HALF, source=PROBE, published="new",
        threshold_from=f"{PILOT}, .08 above the table of the last 7; the kernel was no rival then",
    ),
    Claim(
        text="Its geometry is the belief's: distances between beliefs that were read agree by at least 0.1 of R² better with the true ones "
             "than with next tokens, on all 35 beliefs, from probes trained on exact posteriors",
        value=distance_gain, low=0.1, unit="R² of distances", must_fail=("untrained", "own-prediction", "table", "tokens"),
        must_hold=("planted",), gates=(LEARNED,), half=HALF,
        near={"table": "the last 7 tokens have that geometry", "tokens": "whatever predicts posteriors from tokens has it, without a network"},
        threshold_from=f"{PILOT}, .27 [.22, .31] over seeds", source=PAPER,
        published=Published(0.64, "Shai et al. 2024, RRXOR",
                            note="R² .95 with belief distances less .31 with next-token distances; SGD, 1e6 steps, in sample"),
    ),
    Claim(
        text="On Mess3 a linear probe of the last layer reads at least 0.03 of R² more than whatever reads the last 6 tokens alone, over all "
             "12 endings, held out; all are trained on exact posteriors",
        of="mess3", value=over_tokens("ending"), low=0.03, unit="R²", must_fail=("mess3-untrained", "mess3-untrained-with-kernel"),
        near={"mess3-untrained-with-kernel": FEATURES}, gates=(LEARNED,), half=HALF_3,
        also={"planted": "it is the belief", "main": "on RRXOR that is the first claim"},
        threshold_from=f"{PILOT}, .08 [.05, .13] above the last 6 tokens one by one", source=ROHIN, published="new",
    ),
    Claim(
        text="On Mess3 hardly anything is missing: log(1 − R²) at most −2.53, an R² of 0.92, over all 12 endings, held out, probes trained "
             "on exact posteriors",
        of="mess3", value=lambda arm, arms: np.log(left(arm, "ending")), high=-2.53, unit="log(1 − R²)",
        must_fail=("mess3-untrained", "mess3-tokens"), must_hold=("planted",), gates=(LEARNED,), half=HALF_3,
        near={"mess3-tokens": "a sum of one number for each of the last 6 tokens is that near as well"},
        threshold_from=f"{PILOT}, −3.9 [−4.7, −3.1]", source=PAPER, published="new",
    ),
)  # fmt: skip


def published(process, length):
    """The prefixes of a process at its published x and alpha."""
    return prefixes_of(process, 0.05, 0.85, length)


def in_sample(*pairs):
    """In-sample R² of the beliefs of prefixes from features, for each pair of them."""
    from assay.worlds.hidden_markov.beliefs import explained

    return [explained(tree, x) for tree, x in pairs]


def windows(arms):
    """In-sample R² of Mess3's beliefs from the last 1, 2, 3 tokens, prefixes of at most 8."""
    from assay.worlds.hidden_markov.beliefs import joint

    return in_sample(*((tree, joint(tree, k)) for tree in (published("mess3", 8),) for k in (1, 2, 3)))


def intrinsic(arms):
    """R² between belief distances and next-token distances, over RRXOR's 35 beliefs."""
    from assay.features.linear_probe import distance_r2

    tree = published("rrxor", 10)
    at = np.unique(tree.state, return_index=True)[1]
    return distance_r2(tree.predicted[at], tree.belief[at])


ENUMERATED = "enumeration of all prefixes with exact probabilities, apart from this code"
EXACT = (
    Exact(text="No one predicts better: mean entropy of the next token over ten positions, RRXOR and Mess3",
          value=lambda arms: [published(name, 1).process.floors(10).mean() for name in ("rrxor", "mess3")],
          expected=[0.578185, 0.802512], tolerance=1e-5, unit="nats", source=ENUMERATED),
    Exact(text="Within ten tokens RRXOR has 1,046 prefixes and 35 beliefs (36 with the empty prefix)",
          value=lambda arms: [len(published("rrxor", 10)), len(np.unique(published("rrxor", 10).state))],
          expected=[1046, 35], tolerance=0, source=ENUMERATED),
    Exact(text="The exact next token tells little of RRXOR's belief and all of Mess3's: in-sample R², by probability",
          value=lambda arms: in_sample(*((tree, tree.predicted) for tree in (published("rrxor", 10), published("mess3", 8)))),
          expected=[0.2464, 1.0], tolerance=1e-4, unit="R²", source=ENUMERATED),
    Exact(text="Mess3's fractal needs no transformer: in-sample R² of the last 1, 2, 3 tokens, by probability",
          value=windows, expected=[0.834, 0.949, 0.991], tolerance=6e-4, unit="R²", source=ROHIN),
    Exact(text="Distances between RRXOR's beliefs and between its next-token distributions: R² over 35 beliefs",
          value=intrinsic, expected=0.2349, tolerance=1e-4, unit="R²", source=ENUMERATED),
)  # fmt: skip


def finding(text, arm, protocol, **which):
    """A Finding: an R², or by how much it exceeds that of another probe or arm: `probe`, `other`, `against`."""
    if {"other", "against"} & set(which):
        value = over(which.pop("other", arm), protocol, **which)
        return Finding(text=text, value=lambda arms: value(arms[arm], arms), unit="R²", published="new")
    return Finding(text=text, value=lambda arms: 1 - left(arms[arm], protocol, **which), unit="R²", published="new")


def adds(what, arm):
    """A Finding: what a stream, or what stands in its place, adds to the best that the tokens alone give."""
    text = f"What {what} to the best that the tokens alone give, read beside kernel regression on them, endings held out"
    return Finding(text=text, value=lambda arms: over_tokens("ending", beside)(arms[arm], arms), unit="R²", published="new")


FINDINGS = (
    adds("the trained stream adds (once a claim, of at least 0.1)", "main"),
    adds("the network's own predictions add", "own-prediction"),
    adds("the untrained stream adds", "untrained"),
    adds("noise adds", "noise"),
    finding("Beyond the next token: what the stream adds to kernel regression less what the network's own predictions add, endings held out "
            "(once a claim, of at least 0.05)", "main", "ending", probe="concat + kernel", against="softmax + kernel"),
    finding("R² of kernel regression on the tokens, no network, endings held out", "tokens", "ending"),
    finding("R² of kernel regression on the tokens, no network, prefixes held out", "tokens", "prefix"),
    finding("R² of the trained stream, endings held out", "main", "ending"),
    finding("R² of the trained stream, prefixes held out", "main", "prefix"),
    finding("R² of the untrained stream, prefixes held out", "untrained", "prefix"),
    finding("Lead of the trained stream over the untrained, endings held out", "main", "ending", other="untrained"),
    finding("What the stream adds to kernel regression, prefixes held out", "main", "prefix", probe="concat + kernel",
            other="tokens", against="kernel"),
    finding("What all layers hold beyond the last, prefixes held out", "main", "prefix", against="layer 4"),
    finding("What all layers hold beyond the last, endings held out", "main", "ending", against="layer 4"),
    Finding(text="Rank correlation over moments of R² and minus excess loss, endings held out",
            value=lambda arms: growth(arms["main"]), unit="rank correlation", published="new"),
    Finding(text="Rank correlation over moments of R² and time itself, endings held out",
            value=lambda arms: growth(arms["main"], np.arange(arms["main"].sizes["moment"])), unit="rank correlation", published="new"),
    finding("R² of all layers of untrained networks on Mess3, endings held out", "mess3-untrained", "ending"),
)  # fmt: skip


# --- figures -------------------------------------------------------------------------------------------------------------


def level(arm, protocol, probe=None):
    """[run]: R² of each run."""
    return 1 - left(arm, protocol, probe).values


def against_baselines(arms):
    """Columns: R² of networks and baselines by both ways of holding out, means over seeds with t intervals."""
    networks = (("trained", "main"), ("untrained", "untrained"))
    rows = [(told, arm, "concat") for told, arm in networks]
    rows += [("trained + kernel", "main", "concat + kernel"), ("kernel on tokens", "tokens", "kernel"),
             ("exact next token", "tokens", "next token")]  # fmt: skip
    rows += [(f"last {k} token{'s' * (k > 1)}", "tokens", f"last {k}") for k in range(WINDOWS, 0, -1)]
    return columns(("features", "mean", "low", "high", "held"), (
        (label, *summary(level(arms[arm], protocol, probe)), told) for protocol, told in HELD_OUT.items() for label, arm, probe in rows
    ))  # fmt: skip


def over_training(arms):
    """Columns: R² of main at each moment of training, means over seeds with t intervals."""
    main = arms["main"]
    moments = zip(main.attrs["moments"], main.r2_at.values.T, strict=True)
    return columns(("moment", "mean", "low", "high"), ((share, *summary(at)) for share, at in moments))


def by_layer(arms):
    """Columns: R² of each layer by itself, named by its number, trained and untrained, means over seeds with t intervals."""
    lines = [(f"{told}, {protocol}es" if protocol == "prefix" else f"{told}, {protocol}s", arm, protocol)
             for told, arm in (("trained", "main"), ("untrained", "untrained")) for protocol in HELD_OUT]  # fmt: skip
    return columns(("layer", "mean", "low", "high", "network"), (
        (probe.split()[1], *summary(level(arms[arm], protocol, probe)), label)
        for label, arm, protocol in lines for probe in arms[arm].probe.values if probe.startswith("layer")
    ))  # fmt: skip


def simplex(arms):
    """Columns: beliefs of Mess3 as points of a triangle: true ones, and predicted with endings held out, for the first seed."""
    attrs = arms["mess3"].attrs
    tree = prefixes_of("mess3", attrs["x"], attrs["alpha"], attrs["probed"])
    shown = tree.belief[tree.depth <= SHOWN]
    panels = {"true": shown[:, :2]}
    for label, arm in (
        ("trained, last layer", "mess3"),
        ("untrained, all layers", "mess3-untrained"),
        ("last 6 tokens", "mess3-tokens"),
    ):
        panels[label] = arms[arm].simplex.values[0]
    return columns(("x", "y", "state", "from"), (
        (b + (1 - a - b) / 2, (1 - a - b) * 3**0.5 / 2, f"state {state}", label)
        for label, points in panels.items() for (a, b), state in zip(points.tolist(), shown.argmax(1).tolist(), strict=True)
    ))  # fmt: skip


def figures(arms):
    return [
        Figure("What of the belief can be read from what", against_baselines(arms), "bars", x="features", y="mean", facet="held",
               band=("low", "high"), y_title="R² of the belief",
               note="RRXOR, 1,046 prefixes. Left, tables of last tokens have seen most endings before; right, no ending was seen. Neither "
                    "the kernel nor the tables use a network."),
        Figure("The belief grows over training", over_training(arms), "line", x="moment", y="mean", band=("low", "high"),
               x_title="share of training", y_title="R² of the belief, endings held out",
               note="The loss falls all the while: time and loss cannot be told apart here."),
        Figure("The belief layer by layer", by_layer(arms), "bars", x="layer", y="mean", color="network", band=("low", "high"),
               x_title="block after which the stream is read", y_title="R² of the belief"),
        Figure("Mess3: beliefs on the simplex, read with endings held out", simplex(arms), "points", x="x", y="y", color="state",
               facet="from", x_title="belief, horizontal", y_title="belief, vertical",
               note="Prefixes of at most 5 tokens, one seed; a point's series is its most likely true state."),
    ]  # fmt: skip


PAGE = """
**The hypothesis.** Whoever predicts tokens well must know how the process goes on from here: a belief about its hidden state. Shai et al.
find that belief, linearly, in the residual stream of small transformers. The fractal it draws for Mess3 is a matter of Bayes' rule and
not of transformers; what is to be shown is that the stream holds the belief beyond what tokens alone, or the prediction, give.

**How it is judged.** All prefixes of a process are enumerated with their exact beliefs, and a ridge probe is *trained on those exact
posteriors* and judged on prefixes it never saw. So may be any method that reads the tokens: kernel regression on the raw tokens, without
a network, is the strongest rival here, far above tables of last tokens. Every claim is judged for what the network adds to it. Each R²
says whether single prefixes were held out, or *all prefixes with the same last 5 tokens* together. It is over all prefixes and all
endings that the process has up to that length, every prefix counting the same; a unit is a network with its own draws of the folds.

**Read this before you quote it.** Nothing is said of other endings or other processes. A probe that finds the belief shows that the
stream lets a supervised reader work it out, as the tokens do. The networks learn from exact next-token distributions, not from sampled
tokens: the same expected gradient without noise. The belief grows while the loss falls, and both with time: which of them it follows
cannot be told here.
"""

ALONG = (0.0, 0.1, 0.25, 0.5, 1.0)
DEFAULT = BeliefStates(moments=ALONG, draws=2)
SMALL = BeliefStates(steps=30, moments=(0.0, 0.5, 1.0), layers=4, d=16, d_mlp=32, batch=16, context=6, probed=6, ending=3)

experiment = Experiment(
    page=PAGE.strip(), arms=ARMS, measure=measure, claims=(*CLAIMS, *EXACT, *FINDINGS), figures=figures, seeds_per_group=6,
    scope="all prefixes and endings of RRXOR up to 10 tokens and of Mess3 up to 6, 4-layer transformers of width 64",
    measured=3,  # R² over all endings, averaged over draws of the folds, beliefs cut to 0 … 1
    smoke=grid(SMALL, seed=range(1000, 1002)),
    default=grid(DEFAULT, seed=range(4000, 4012)),
    full=grid(BeliefStates(moments=ALONG, draws=2, steps=1_000_000, lr=0.01, decay=0.0, sgd=True, sampled=True), seed=range(4000, 4012)),
)  # fmt: skip
