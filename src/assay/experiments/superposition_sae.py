"""Dictionaries on toy features of unequal importance: is what mattered to the toy found again, and does it matter beyond the toy?

Paper: none; proposed by C. McDougall in a comment on his superposition exercises, whose toy is Elhage et al. 2022, Toy Models of Superposition
Claim: over a toy's features the rank correlation of recovery by a dictionary with importance is at least 0.5
Baselines: pca; equal, toys whose features matter alike; random; shuffled; favoured and bypassed, planted effects; donated, importance set aside
Cost: 210 s on 2 cores, 410 CPU-seconds, 0.72 GB a process; full a guess of 1 GPU-hour, never run
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from assay.core import Arm, Claim, Experiment, Figure, Finding, PerRun, Spec, columns, descent, fit, grid, reserved, summary
from assay.core.errors import SpecError
from assay.core.measures import measures

SEED = "C. McDougall, comment on ARENA's exercises on superposition: importance and sparse autoencoders"
PILOT = "pilot: seeds 0–31"
CHOSEN = 2.5
"""The penalty at which claims are judged: of the pilot's three the one that finds most."""
DONORS = 3
"""Features of other toys with which each feature is compared."""
BLOCK = 12
"""Toys in a block. Donors come from toys of the same block, so that blocks share nothing: the whole procedure is done anew in each."""
FEWER = 32
"""Toys of the arms that only serve claims about single toys."""


@dataclass(frozen=True, kw_only=True)
class SuperpositionSAE(Spec):
    penalty: PerRun[float] = 1.0
    """λ of ‖h − ĥ‖² + λ Σ f, on hidden activations scaled to E‖h‖² = width."""
    method: Literal["toy", "relu", "topk", "shuffled", "random", "pca"] = "toy"
    """What is trained: the toy itself, or a dictionary on its hidden activations."""
    features: int = 20
    """Input features of the toy."""
    width: int = 5
    """Dimensions of its bottleneck."""
    ratio: float = 0.8
    """Importance of each feature over that of the next more important one."""
    equal: bool = False
    """Whether the toy's loss weighs all features alike; the importances are then labels without a meaning."""
    density: float = 0.025
    """Geometric middle of the probabilities that features are on."""
    spread: float = 4.0
    """They run from density/spread to density·spread in equal ratios, in an order that has nothing to do with importance."""
    candidates: int = 8
    """Toys of one group, started from seeds of their own; the one of lowest held-out loss is frozen."""
    toy_steps: int = 3000
    """Training steps of the toys."""
    toy_lr: float = 5e-3
    """Adam's learning rate for the toys, falling to 0 over the last third."""
    latents: int = 20
    """Latents of the dictionary."""
    favour: float = 0.0
    """The dictionary is shown each occurrence of a feature with probability importance^favour; 0: all of them, as the toy has."""
    steps: int = 3000
    """Training steps of the dictionaries."""
    lr: float = 3e-3
    """Adam's learning rate for the dictionaries."""
    batch: int = 256
    """Fresh inputs a step."""
    rows: int = 30_000
    """Held-out inputs of each toy."""

    def check(self) -> None:
        for name in ("features", "width", "candidates", "toy_steps", "latents", "steps", "batch", "rows"):
            if getattr(self, name) < 1:
                raise SpecError(f"SuperpositionSAE.{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.density <= 1 or self.spread < 1 or self.density * self.spread > 1:
            raise SpecError(
                "SuperpositionSAE needs a density above 0 and a spread of at least 1, whose product is a probability of at most 1; "
                f"got density={self.density}, spread={self.spread}"
            )
        if not 0 < self.ratio <= 1:
            raise SpecError(f"SuperpositionSAE.ratio lies above 0 and at most at 1, got {self.ratio}")
        if self.width > self.features:
            raise SpecError(f"SuperpositionSAE.width is a bottleneck of at most the {self.features} features, got {self.width}")
        if self.lr <= 0 or self.toy_lr <= 0 or self.penalty < 0 or self.favour < 0:
            raise SpecError("SuperpositionSAE needs lr and toy_lr above 0, penalty and favour of at least 0, got "
                            f"lr={self.lr}, toy_lr={self.toy_lr}, penalty={self.penalty}, favour={self.favour}")  # fmt: skip


# --- what is trained ---------------------------------------------------------------------------------------------------


def importances(runs):
    """[run, f]: ratio^rank in an order that each seed draws."""
    from assay.worlds.bottleneck import toy

    return toy.importances(runs.seeds, runs.shared.features, runs.shared.ratio, permuted=True)


def frequencies(runs):
    """[run, f]: the probability that each feature is on, in an order of its own."""
    from assay.core import rng

    s = runs.shared
    steps = np.linspace(-1, 1, s.features) if s.features > 1 else np.zeros(1)
    return s.density * s.spread ** steps[rng.permutation(runs.seeds, "superposition-sae.density", 0, s.features)]


def train_toys(runs, bench):
    """Of each run's candidates the toy with the lowest held-out loss: W [run, f, d], b [run, f]."""
    import torch

    from assay.core.fit import best_starts
    from assay.core.schedules import warm_up_decay
    from assay.data import planted
    from assay.worlds.bottleneck import toy

    s, p, k = runs.shared, frequencies(runs), runs.shared.candidates
    each = type(runs)([x.replace(seed=k * x.seed + c) for x in runs.specs for c in range(k)])
    weight = torch.ones(len(runs), s.features) if s.equal else importances(runs)
    weight = (weight / weight.mean(1, keepdim=True)).repeat_interleave(k, 0).to(bench.device)

    def shared(stream, batch):
        """The same inputs for all candidates of a run."""
        drawn = planted.sparse_features(runs, s.features, batch, stream=stream, density=p)
        return lambda step: drawn(step).repeat_interleave(k, 0)

    def loss(params, x):
        return toy.weighted_square(toy.reconstruct(params, x), x, weight)

    start, rate = toy.bottleneck(each, s.features, s.width), warm_up_decay(s.toy_steps, 0, 1 / 3)
    group = descent(each, start, loss, lr=np.full(len(each), s.toy_lr), schedule=rate)
    trained = fit([group], shared("train", s.batch), steps=s.toy_steps, bench=bench)[0]
    fresh = shared("choice", 2048)
    with torch.no_grad():
        held_out = sum(loss(trained.tensors, fresh(i).to(bench.device)) for i in range(10))
    return best_starts(trained, held_out, k)


def hidden(runs, before, batch, stream, p=None):
    """A source of the toys' hidden activations [run, b, d], scaled to E‖h‖² = d, and of the inputs [run, b, f] behind them."""
    import torch

    from assay.data import planted

    p = frequencies(runs) if p is None else p
    W = before["W"].cpu()
    chance = torch.from_numpy(p).to(W)[..., None]
    second = (W.square() * (chance / 3 - chance**2 / 4)).sum((1, 2)) + (W * chance / 2).sum(1).square().sum(-1)  # E‖W x‖²
    W = W * (runs.shared.width / second.clamp_min(1e-12)).sqrt()[:, None, None]
    drawn = planted.sparse_features(runs, runs.shared.features, batch, stream=stream, density=p)
    return lambda step: (torch.bmm(x := drawn(step), W), x)


def train_dictionaries(runs, bench, before):
    """A dictionary on each toy's hidden activations; beside it the toy's W."""
    from assay.dictionaries.nonlinearity import ReLU
    from assay.dictionaries.selection import TopK
    from assay.dictionaries.training import losses
    from assay.dictionaries.training.train import Method, fit_dictionaries

    s = runs.shared
    shown = frequencies(runs) * importances(runs).numpy() ** s.favour
    draw = hidden(runs, before.tensors, s.batch, "dictionary", shown)
    method = Method(
        TopK(1) if s.method == "topk" else ReLU(), losses.mse if s.method == "topk" else losses.l1, s.latents,
        lr=np.full(len(runs), s.lr), penalty=runs.each("penalty") / s.width**0.5,
    )  # fmt: skip

    def batches(step):
        h, _ = draw(step)
        return apart(h) if s.method == "shuffled" else h

    trained = fit_dictionaries([(runs, method)], batches, d=s.width, steps=s.steps, bench=bench)[0]
    return beside(trained, before)


def apart(h):
    """The same activations with each coordinate taken from another row: every coordinate keeps its law, directions are lost."""
    import torch

    return torch.stack([h[..., k].roll(k, dims=1) for k in range(h.shape[-1])], dim=-1)


def fixed_directions(runs, bench, before):
    """Random directions, or principal components both ways round, each latent with the bias at which it is on as often as a feature."""
    import torch

    from assay.core import rng
    from assay.dictionaries.baselines.linear import pca
    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.nonlinearity import ReLU

    s = runs.shared
    h = hidden(runs, before.tensors, 20_000, "bias")(0)[0]
    if s.method == "pca":
        found = torch.cat([pca(one, s.width)[0].W_dec for one in h])
        D = torch.cat([found, -found], 1)
    else:
        D = torch.from_numpy(rng.normal(runs.seeds, "superposition-sae.random", 0, (s.latents, s.width)))
        D = D / D.norm(dim=-1, keepdim=True)
    rate = float(frequencies(runs).mean())
    bias = -torch.quantile(h @ D.mT, 1 - rate, dim=1)
    made = Dictionary(D.mT.contiguous(), bias, D, torch.zeros(len(runs), s.width), ReLU())
    return beside(made.to(bench.device).to_trained(), before)


def beside(trained, before):
    """A trained dictionary with its toy's W among its tensors."""
    tensors = {**trained.tensors, "W": before.tensors["W"]}
    header = {**trained.header, "beside": [*trained.header.get("beside", ()), "W"]}
    return type(trained)(tensors, header, trained.history, trained.steps, trained.diverged | before.diverged)


# --- what is measured --------------------------------------------------------------------------------------------------


def measure(runs, trained, bench):
    """What the toy kept of each feature; how well the dictionary found it, on held-out inputs."""
    return measures(runs, **kept(runs, trained), **({} if runs.shared.method == "toy" else found(runs, trained)))


def kept(runs, trained):
    """The toy's side: importance, probability, norm, capacity and crowding of every feature."""
    import torch

    from assay.worlds.bottleneck.capacity import capacity
    from assay.worlds.bottleneck.crowding import crowding

    W, p = trained.tensors["W"].double().cpu(), frequencies(runs)
    return {
        "importance": ("run feature", importances(runs), "1"),
        "frequency": ("run feature", p, "probability"),
        "norm_squared": ("run feature", W.square().sum(-1), "1"),
        "capacity": ("run feature", capacity(W), "dimensions"),
        "crowding": ("run feature", crowding(W, torch.from_numpy(p)), "share of own energy"),
    }


def found(runs, trained):
    """The dictionary's side: of each feature the cosine of the latent nearest in direction, and that latent's F1; L0 and FVU."""
    import torch

    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.measuring.metrics import fvu, l0
    from assay.dictionaries.measuring.recovery import cosines, support, support_sums

    s, given = runs.shared, Dictionary.of(trained).to("cpu")
    direction = cosines(trained.tensors["W"].cpu(), given.W_dec)  # [run, f, latent]
    direction = torch.nan_to_num(direction, nan=0.0)  # a feature of length 0 has no direction to find
    cosine, match = direction.max(-1)
    draw = hidden(runs, trained.tensors, 5000, "test")
    f1, active, error = np.zeros(cosine.shape), np.zeros(len(runs)), np.zeros(len(runs))
    with torch.no_grad():
        rows = [draw(i) for i in range(max(1, s.rows // 5000))]
        for r, one in enumerate(given):
            h, x = torch.cat([a[r] for a, _ in rows]), torch.cat([b[r] for _, b in rows])
            features = one.encode(h)[0]
            f1[r] = np.nan_to_num(support(support_sums(x, features), match[r].numpy())["f1"])
            active[r], error[r] = l0(features), fvu(h, one.decode(features[None])[0])
    return {
        "cosine": ("run feature", cosine, "cosine"),
        "f1": ("run feature", f1, "F1"),
        "l0": ("run", active, "latents"),
        "fvu": ("run", error, "FVU"),
    }


# --- what is compared --------------------------------------------------------------------------------------------------


def single(values):
    """The numbers in single precision, as a record keeps them: ranks and nearest neighbours are then the same from a record."""
    return np.asarray(values).astype(np.float32).astype(float)


def over_features(statistic):
    """A value [run]: a number made of each run's features, given as plain arrays by name; NaN where it is undefined."""

    def value(arm, arms):
        names = [n for n in arm.data_vars if arm[n].dims == ("run", "feature")]
        per_run = [statistic({n: single(arm[n].values[r]) for n in names}) for r in range(arm.sizes["run"])]
        return arm.cosine.isel(feature=0, drop=True).copy(data=np.array(per_run, dtype=float))

    return value


def represented(one):
    """Features of which the toy kept more than half: ‖w‖² > ½."""
    return one["norm_squared"] > 0.5


def recovered(one):
    """Features with a latent along them (cosine ≥ .9) that is on when they are (F1 ≥ .8)."""
    return (one["cosine"] >= 0.9) & (one["f1"] >= 0.8)


def share(of, among=represented):
    """A value [run]: the share of the features in `among` that are in `of`."""
    return over_features(lambda one: np.mean(of(one)[among(one)]) if among(one).any() else np.nan)


def correlation(one):
    """Spearman's correlation of cosine and importance over all features of a toy."""
    from scipy.stats import spearmanr

    return spearmanr(one["cosine"], one["importance"]).statistic


def partial(one):
    """The same with the ranks of norm and density taken out in straight lines."""
    from assay.core.matching import partial_spearman

    return partial_spearman(one["cosine"], one["importance"], np.column_stack([one["norm_squared"], one["frequency"]]))


OWN = ("norm_squared", "frequency")
AROUND = (*OWN, "crowding")


def covariates(arm, names):
    """[unit, covariate] of all represented features, norm as it is, the others by their logarithm; and which these are [run, f]."""
    here = single(arm.norm_squared.values) > 0.5
    columns = {n: single(arm[n].values[here]) for n in names}
    return np.column_stack([v if n == "norm_squared" else np.log(v + 0.01 * (n == "crowding")) for n, v in columns.items()]), here


def blocks(arm):
    """The runs of each block of toys, by seed; an incomplete last block is left out, unless there is no other."""
    order = np.argsort(arm.seed.values, kind="stable")
    whole = len(order) // BLOCK * BLOCK
    return order[:whole].reshape(-1, BLOCK) if whole else order[None]


def each_block(of):
    """A value [block]: a number made of the toys of each block by themselves."""

    def value(arm, arms):
        made = [float(of(arm.isel(run=runs), arms)) for runs in blocks(arm)]
        return xr.DataArray(made, dims="block", coords={"block": np.arange(len(made))})

    return value


def likes(arm, names, k):
    """For each represented feature of a block the k features of its other toys that are nearest in `names`; and which these are."""
    from assay.core.matching import donors

    x, here = covariates(arm, names)
    there = here.sum(1)
    enough = len(here) > 1 and (there.sum() - there).min() >= k
    return (donors(x, np.nonzero(here)[0], k) if enough else None), here


def matched(names, recovery="cosine"):
    """A value [block]: Spearman's correlation of what recovery and log importance of a toy's represented features have beyond donors'.

    Donors are the features of other toys of the block that are nearest in what `names` lists. The mean over the block's toys; NaN
    where there are too few donors, and no toy counts whose features are all alike.
    """

    def of(arm, arms):
        from scipy.stats import spearmanr

        from assay.core.matching import beyond

        near, here = likes(arm, names, DONORS)
        if near is None:
            return np.nan
        run = np.nonzero(here)[0]
        left = [beyond(v[here], near) for v in (single(arm[recovery].values), np.log(single(arm.importance.values)))]
        told = [spearmanr(*(v[run == r] for v in left)).statistic for r in range(len(here)) if (run == r).sum() > 2]
        return np.nanmean(told) if np.isfinite(told).any() else np.nan

    return each_block(of)


READ = ("cosine", "f1", "importance", "norm_squared", "frequency", "crowding")


def donated(names):
    """A derived arm: each represented feature's recovery is that of a feature of another toy of its block, near in `names`, no donor."""

    def derive(arms):
        main = arms["main"]
        given = main[list(READ)].copy(deep=True)
        for runs in blocks(main):
            near, here = likes(main.isel(run=runs), names, DONORS + 1)
            if near is None:
                continue
            r, f = np.nonzero(here)
            for name in ("cosine", "f1"):
                given[name].values[runs[r], f] = main[name].values[runs[r], f][near[:, -1]]
        return given

    return derive


def bypassed(arms):
    """A derived arm: nothing but donors' recovery, and 0.1 of F1 for every factor e of importance: what no summary of W explains."""
    given = donated(AROUND)(arms)
    given["f1"].values[:] += 0.1 * np.log(given.importance.values)
    return given


def gain(other):
    """A value [run]: by how much this arm's recovered share of represented features lies above another's."""

    def value(arm, arms):
        mine, theirs = (share(recovered)(one, arms).swap_dims(run="seed").reset_coords(drop=True) for one in (arm, arms[other]))
        return mine - theirs

    return value


# --- arms, claims, figures -----------------------------------------------------------------------------------------------

asked = reserved("method", "penalty", "equal", "favour")
"""The preset's toys, whose other fields may be set."""


def dictionaries(**fields):
    """Each toy's run as a run of a dictionary on it."""
    return lambda toys: tuple(t.replace(penalty=CHOSEN, **fields) for t in toys)


def first(toys):
    """The first toys, by seed."""
    return tuple(sorted(toys, key=lambda t: t.seed)[:FEWER])


def halved(toys):
    """The main arm's first dictionaries, trained half as long."""
    return tuple(t.replace(method="relu", penalty=CHOSEN, steps=t.steps // 2) for t in first(toys))


def equally(toys):
    """The first toys with a loss that weighs all features alike."""
    return tuple(t.replace(equal=True) for t in first(asked(toys)))


def built(train, note, after="toy", few=False, **fields):
    """An arm of dictionaries on an arm of toys, or on the first of them."""
    specs = dictionaries(**fields)
    return Arm(train, after=after, specs=(lambda toys: specs(first(toys))) if few else specs, note=note)


ARMS = {
    "toy": Arm(train_toys, specs=asked, note="toys with importances ratio^rank; the best of eight starts of each seed"),
    "toy-equal": Arm(train_toys, specs=equally, note="toys whose loss weighs all features alike"),
    "main": built(train_dictionaries, "ReLU + L1 dictionaries as wide as the toy has features", method="relu"),
    "half": Arm(train_dictionaries, after="toy", specs=halved, note="the same, trained half as long"),
    "topk": built(train_dictionaries, "TopK with k = 1: one latent an input", method="topk"),
    "equal": built(train_dictionaries, "dictionaries on the toys of equal importance: the label means nothing there",
                   after="toy-equal", method="relu"),
    "favoured": built(train_dictionaries, "the dictionary is shown important features more often than the toy was: an effect that bypasses it",
                      method="relu", favour=4.0),
    "pca": built(fixed_directions, "principal components both ways round, biases set so that each is on as often as a feature", method="pca"),
    "random": built(fixed_directions, "random directions, biases set likewise", method="random"),
    "shuffled": built(train_dictionaries, "trained on activations whose coordinates come from different inputs", few=True, method="shuffled"),
    "donated": Arm(derive=donated(OWN), note="each feature has the recovery of one of another toy alike in norm and density"),
    "donated-around": Arm(derive=donated(AROUND), note="… alike in norm, density and crowding"),
    "bypassed": Arm(derive=bypassed, note="the same, and 0.1 of F1 for every factor e of importance: an effect of known size"),
}  # fmt: skip
MOVED = "main's own recoveries, exchanged among like features"
MADE = {"donated": MOVED, "donated-around": MOVED, "bypassed": MOVED}
OTHERS = {"topk": "another dictionary on the same toys", "favoured": "a dictionary on the same toys as well", **MADE}
BLIND = {"equal": "importance is a label there that nothing acts on", "shuffled": "it finds next to nothing, so importance tells nothing",
         "random": "its directions know nothing of importance", "pca": "it finds few features, by norm and density"}  # fmt: skip
PRINCIPAL = {"pca": "that the largest directions are the features, which principal components find as well"}
FAVOURED = {"favoured": "that importance bypasses the toy: the dictionary itself is shown important features more often"}

CLAIMS = (
    Claim(
        text="What mattered to the toy is found: over all features recovery and importance have a rank correlation of at least 0.5",
        value=over_features(correlation), low=0.5, unit="Spearman's ρ", must_fail=("pca", "equal"), near=PRINCIPAL, also=OTHERS,
        half={"main": "half"}, threshold_from="plan: 0.5, before anything was trained", published="new", source=SEED,
    ),
    Claim(
        text="At least 0.8 of the represented features have a latent along them (cosine at least 0.9)",
        value=share(lambda one: one["cosine"] >= 0.9), low=0.8, bounds=(0, 1), unit="share of represented features",
        must_fail=("pca", "random", "shuffled"), near=PRINCIPAL, also=OTHERS | {"equal": "dictionaries on other toys"},
        half={"main": "half"}, threshold_from="plan: 0.8, before anything was trained", published="new", source=SEED,
    ),
    Claim(
        text="At least 0.8 of the represented features are recovered, direction and occasions alike (cosine 0.9, F1 0.8)",
        value=share(recovered), low=0.8, bounds=(0, 1), unit="share of represented features",
        must_fail=("pca", "random", "shuffled"), near=PRINCIPAL, also=OTHERS | {"equal": "dictionaries on other toys"},
        half={"main": "half"}, threshold_from="plan: 0.8, before anything was trained", published="new", source=SEED,
    ),
    Claim(
        text="Norm and density are all: among represented features alike in both, importance and F1 have a rank correlation "
             "within 0.2 of 0",
        value=matched(OWN, "f1"), units=("block",), low=-0.2, high=0.2, unit="Spearman's ρ", must_fail=("favoured",), near=FAVOURED,
        also=BLIND | {"donated-around": MOVED}, must_hold=("donated",), half={"main": "half"},
        threshold_from=f"{PILOT}: .63 ± .06; donated −.05 ± .08", published="new", source=SEED,
    ),
    Claim(
        text="Norm, density and crowding are all: among represented features alike in the three, importance and F1 have a rank "
             "correlation within 0.2 of 0",
        value=matched(AROUND, "f1"), units=("block",), low=-0.2, high=0.2, unit="Spearman's ρ", must_fail=("bypassed",),
        near={"bypassed": "that importance reaches F1 by what no summary of the toy's weights shows"},
        also=BLIND | {"donated": MOVED, "topk": OTHERS["topk"]}, must_hold=("donated-around",), half={"main": "half"},
        threshold_from="pilot: seeds 0–31, 1000–1047: .27 ± .09, .22 ± .07; the margin is that of the claim above", published="new", source=SEED,
    ),
    Claim(
        text="They are all there is to directions: among represented features alike in the three, importance and cosine have a rank "
             "correlation within 0.2 of 0",
        value=matched(AROUND), units=("block",), low=-0.2, high=0.2, unit="Spearman's ρ", must_fail=("favoured",), near=FAVOURED,
        also=BLIND | {"donated": MOVED, "bypassed": MOVED, "topk": OTHERS["topk"]}, must_hold=("donated-around",), half={"main": "half"},
        threshold_from=f"{PILOT}: .07 ± .10; favoured .40 ± .10", published="new", source=SEED,
    ),
    Claim(
        text="With one latent at a time norm and density are all: in TopK dictionaries importance and F1 of like features have a rank "
             "correlation within 0.2 of 0",
        of="topk", value=matched(OWN, "f1"), units=("block",), low=-0.2, high=0.2, unit="Spearman's ρ", must_fail=("main",),
        near={"main": "that dictionaries of any kind show it"}, also=BLIND | {"donated-around": MOVED}, must_hold=("donated",),
        threshold_from=f"{PILOT}: .08 ± .08; ReLU .63 ± .06", published="new", source=SEED,
    ),
    Finding(
        text="A partial rank correlation of importance and cosine given norm and density, where importance acts through them alone",
        value=lambda arms: each_block(lambda arm, _: over_features(partial)(arm, {}).mean())(arms["donated"], arms), units=("block",),
        unit="partial Spearman's ρ", source=SEED,
    ),
    *(
        Finding(
            text=f"{label}: rank correlation of importance and {what} of features alike in {alike}",
            value=lambda arms, name=name, names=names, recovery=recovery: matched(names, recovery)(arms[name], arms), units=("block",),
            unit="Spearman's ρ", source=SEED,
        )
        for label, name in (("ReLU + L1", "main"), ("TopK", "topk"))
        for alike, names in (("norm and density", OWN), ("norm, density and crowding", AROUND))
        for what, recovery in (("cosine", "cosine"), ("F1", "f1"))
        if (name, names, recovery) not in (("main", OWN, "f1"), ("main", AROUND, "f1"), ("main", AROUND, "cosine"), ("topk", OWN, "f1"))
    ),
    *(
        Finding(
            text=f"ReLU + L1: share of represented features recovered where crowding is {label} 0.05",
            value=lambda arms, alone=alone: share(recovered, lambda one: represented(one) & ((one["crowding"] < 0.05) == alone))(
                arms["main"], arms), unit="share of represented features",
        )
        for label, alone in (("below", True), ("above", False))
    ),
    Finding(
        text="TopK: share of represented features recovered beyond that of ReLU + L1",
        value=lambda arms: gain("main")(arms["topk"], arms), unit="difference of shares",
    ),
)  # fmt: skip


# --- figures -----------------------------------------------------------------------------------------------------------


LEAST = 0.01
"""Squared length below which features are drawn together."""


def figures(arms):
    main = arms["main"]
    keep = np.where(main.norm_squared.values > 0.5, "represented", "not represented").ravel().tolist()
    points = {"mark": "points", "y": "cosine", "color": "feature", "y_title": "cosine with the nearest latent"}
    cosines = {"cosine": main.cosine.values.ravel().tolist(), "feature": keep}
    seen = f"One point a feature of {main.sizes['run']} toys; ReLU + L1 at λ {CHOSEN:g}."
    return [
        Figure("What mattered is kept, and much of what is kept is recovered", by_rank(arms), "line", x="rank", y="share", color="what",
               x_title="rank of importance (1 is the most important feature)", y_title=f"share of {main.sizes['run']} toys"),
        Figure("Recovery against importance", cosines | {"importance": main.importance.values.ravel().tolist()}, x="importance",
               x_title="importance, over that of the first feature", x_log=True, note=seen, **points),
        Figure("Recovery against what the toy kept", cosines | {"norm": np.maximum(main.norm_squared.values, LEAST).ravel().tolist()}, x="norm",
               x_title="‖w‖², squared length of the feature's hidden direction", x_log=True,
               note=f"{seen} A length of {LEAST:g} stands for smaller ones as well.", **points),
        Figure("What dictionaries find of represented features, by arm", by_arm(arms), "bars", x="arm", y="mean", color="what",
               band=("low", "high"), x_title="", y_title="share of represented features", note="Mean and 95 % t interval over toys."),
        *(Figure(f"Importance and {told} of features that are alike", by_match(arms, of), "bars", x="arm", y="mean", color="alike in",
                 band=("low", "high"), x_title="", y_title="rank correlation with importance", rules=((-0.2, ""), (0.2, "")),
                 note=f"Represented features, each compared with like features of other toys of its block of {BLOCK}; mean and 95 % t interval "
                      "over blocks. Dashed: the margin of the claims.") for of, told in (("cosine", "cosine"), ("f1", "F1"))),
    ]  # fmt: skip


def by_rank(arms):
    """Columns: for each rank of importance the share of toys in which that feature is kept, and in which it is recovered."""
    parts = (("kept by the toy", "main", represented), ("recovered by ReLU + L1", "main", recovered), ("recovered by TopK", "topk", recovered))

    def shares(arm, of):
        order = np.argsort(-arm.importance.values, axis=1)
        return of({n: np.take_along_axis(arm[n].values, order, 1) for n in ("cosine", "f1", "norm_squared")}).mean(0).tolist()

    return columns(("what", "rank", "share"), (
        (label, rank, value) for label, name, of in parts if name in arms
        for rank, value in enumerate(shares(arms[name], of), 1)
    ))  # fmt: skip


def by_arm(arms):
    """Columns: shares of represented features, direction found and recovered, in each arm that has a dictionary."""
    parts = (("direction found", lambda one: one["cosine"] >= 0.9), ("recovered", recovered))
    return columns(("arm", "what", "mean", "low", "high"), (
        (name, label, *summary(share(of)(arms[name], {}).values))
        for name in ("main", "topk", "equal", "shuffled", "random", "pca") if name in arms for label, of in parts
    ))  # fmt: skip


def by_match(arms, of):
    """Columns: the matched rank correlation of importance with a measure of recovery, by what features are matched in."""
    return columns(("arm", "alike in", "mean", "low", "high"), (
        (name, label, *summary(matched(names, of)(arms[name], {}).values))
        for name in ("main", "donated", "donated-around", "favoured", "topk") if name in arms
        for names, label in ((OWN, "norm and density"), (AROUND, "… and crowding"))
    ))  # fmt: skip


experiment = Experiment(
    arms=ARMS, measure=measure, claims=CLAIMS, figures=figures, seeds_per_group=16,
    scope="20 features in 5 dimensions, importance falling by a fifth a feature, densities from 1/160 to 1/10; a block is twelve toys",
    smoke=grid(SuperpositionSAE(toy_steps=20, steps=20, rows=5000, batch=64), seed=range(2)),
    default=grid(SuperpositionSAE(), seed=range(4000, 4120)),
    full=grid(SuperpositionSAE(features=80, width=20, ratio=0.9, latents=80, toy_steps=10_000, toy_lr=1e-3, batch=1024, steps=20_000,
                               rows=100_000), seed=range(4000, 4120)),
)  # fmt: skip
