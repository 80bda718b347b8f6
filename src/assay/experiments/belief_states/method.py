"""The method of belief-states: what one run is, how it is trained and what is measured of it."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from assay.core import PerRun, Spec, added
from assay.core.errors import SpecError
from assay.core.measures import measures

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


def judged(spec):
    """The probe that stands for a run, by its static fields: on Mess3 a trained network's last layer, else all; of tokens, the best rival."""
    if spec["read"] == "tokens":
        return "kernel" if spec["process"] == "rrxor" else "additive"
    return f"layer {spec['layers']}" if spec["process"] == "mess3" and spec["steps"] else "concat"
