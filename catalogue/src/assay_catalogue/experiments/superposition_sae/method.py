"""The method of superposition-sae: what one run is, how it is trained and what is measured of
it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Float

from assay.core import Bench, PerRun, Runs, Spec, SpecError, descent, fit
from assay.core.fit import Trained, warm_up_decay
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data import planted
from assay.dictionaries.baselines.directions import pca
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.metrics import fvu, l0
from assay.dictionaries.measuring.recovery import cosines, support, support_sums
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses
from assay.train import rng
from assay_catalogue.analysis.starts import best_starts
from assay_catalogue.worlds.bottleneck.capacity import capacity
from assay_catalogue.worlds.bottleneck.crowding import crowding


@dataclass(frozen=True, kw_only=True)
class SuperpositionSAE(Spec):
    penalty: PerRun[Annotated[float, Ge(0)]] = 1.0
    """λ of ‖h − ĥ‖² + λ Σ f, on hidden activations scaled to E‖h‖² = width."""
    method: Literal["toy", "relu", "topk", "shuffled", "random", "pca"] = "toy"
    """What is trained: the toy itself, or a dictionary on its hidden activations."""
    features: Annotated[int, Ge(1)] = 20
    """Input features of the toy."""
    width: Annotated[int, Ge(1)] = 5
    """Dimensions of its bottleneck."""
    ratio: Annotated[float, Gt(0), Le(1)] = 0.8
    """Importance of each feature over that of the next more important one."""
    equal: bool = False
    """Whether the toy's loss weighs all features alike; the importances are then labels without a
    meaning."""
    density: Annotated[float, Gt(0), Le(1)] = 0.025
    """Geometric middle of the probabilities that features are on."""
    spread: Annotated[float, Ge(1)] = 4.0
    """They run from density/spread to density·spread in equal ratios, in an order that has nothing
    to do with importance."""
    candidates: Annotated[int, Ge(1)] = 8
    """Toys of one group, started from seeds of their own; the one of lowest held-out loss is
    frozen."""
    toy_steps: Annotated[int, Ge(1)] = 3000
    """Training steps of the toys."""
    toy_lr: Annotated[float, Gt(0)] = 5e-3
    """Adam's learning rate for the toys, falling to 0 over the last third."""
    latents: Annotated[int, Ge(1)] = 20
    """Latents of the dictionary."""
    favour: Annotated[float, Ge(0)] = 0.0
    """The dictionary is shown each occurrence of a feature with probability importance^favour; 0:
    all of them, as the toy has."""
    steps: Annotated[int, Ge(1)] = 3000
    """Training steps of the dictionaries."""
    lr: Annotated[float, Gt(0)] = 3e-3
    """Adam's learning rate for the dictionaries."""
    batch: Annotated[int, Ge(1)] = 256
    """Fresh inputs a step."""
    rows: Annotated[int, Ge(1)] = 30_000
    """Held-out inputs of each toy."""

    def check(self) -> None:
        if self.density * self.spread > 1:
            raise SpecError(
                "SuperpositionSAE needs a density and a spread whose product is a probability of "
                f"at most 1; got density={self.density}, spread={self.spread}"
            )
        if self.width > self.features:
            raise SpecError(
                f"SuperpositionSAE.width is a bottleneck of at most the {self.features} "
                f"features, got {self.width}"
            )

    @property
    def densities(self) -> str:
        """The least and the largest probability that a feature is on."""
        return f"{self.density / self.spread:g} to {self.density * self.spread:g}"


def importances(runs: Runs[SuperpositionSAE]) -> Float[torch.Tensor, "run f"]:
    """[run, f]: ratio^rank in an order that each seed draws."""
    from assay_catalogue.worlds.bottleneck import toy

    return toy.importances(runs.seeds, runs.shared.features, runs.shared.ratio, permuted=True)


def frequencies(runs: Runs[SuperpositionSAE]) -> Float[np.ndarray, "run f"]:
    """[run, f]: the probability that each feature is on, in an order of its own."""
    s = runs.shared
    steps = np.linspace(-1, 1, s.features) if s.features > 1 else np.zeros(1)
    return (
        s.density
        * s.spread ** steps[rng.permutation(runs.seeds, "superposition-sae.density", 0, s.features)]
    )


def train_toys(runs: Runs[SuperpositionSAE], bench: Bench) -> Trained:
    """Of each run's candidates the toy with the lowest held-out loss: W [run, f, d], b [run, f]."""

    from assay_catalogue.worlds.bottleneck import toy

    s, p, k = runs.shared, frequencies(runs), runs.shared.candidates
    toy_runs = type(runs)([x.replace(seed=k * x.seed + c) for x in runs.specs for c in range(k)])
    weight = torch.ones(len(runs), s.features) if s.equal else importances(runs)
    weight = (weight / weight.mean(1, keepdim=True)).repeat_interleave(k, 0).to(bench.device)

    def shared(stream: str, batch: int) -> Callable[[int], torch.Tensor]:
        """Batches of inputs, equal for all candidates of a run."""
        source = planted.sparse_features(runs, s.features, batch, stream=stream, density=p)
        return lambda step: source(step).repeat_interleave(k, 0)

    def loss(params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return toy.weighted_square(toy.reconstruct(params, x), x, weight)

    start = toy.bottleneck(toy_runs, s.features, s.width)
    rate = warm_up_decay(s.toy_steps, 0, 1 / 3)
    group = descent(toy_runs, start, loss, lr=np.full(len(toy_runs), s.toy_lr), schedule=rate)
    trained = fit([group], shared("train", s.batch), steps=s.toy_steps, bench=bench)[0]
    fresh = shared("choice", 2048)
    with torch.no_grad():
        held_out = torch.as_tensor(
            sum(loss(trained.tensors, fresh(i).to(bench.device)) for i in range(10))
        )
    return best_starts(trained, held_out, k)


def hidden_activations(
    runs: Runs[SuperpositionSAE],
    before: Mapping[str, torch.Tensor],
    batch: int,
    stream: str,
    p: Float[np.ndarray, "run f"] | None = None,
) -> Callable[[int], tuple[Float[torch.Tensor, "run b d"], Float[torch.Tensor, "run b f"]]]:
    """A source of the toys' hidden activations [run, b, d], scaled to E‖h‖² = d, and of the inputs
    [run, b, f] behind them."""

    p = frequencies(runs) if p is None else p
    W = before["W"].cpu()
    chance = torch.from_numpy(p).to(W)[..., None]
    second = (W.square() * (chance / 3 - chance**2 / 4)).sum((1, 2)) + (W * chance / 2).sum(
        1
    ).square().sum(-1)  # E‖W x‖²
    W = W * (runs.shared.width / second.clamp_min(1e-12)).sqrt()[:, None, None]
    source = planted.sparse_features(runs, runs.shared.features, batch, stream=stream, density=p)
    return lambda step: (torch.bmm(x := source(step), W), x)


def train_dictionaries(runs: Runs[SuperpositionSAE], bench: Bench, before: Trained) -> Trained:
    """A dictionary on each toy's hidden activations; beside it the toy's W."""
    from assay.dictionaries.training.train import Method, fit_dictionaries

    s = runs.shared
    densities = frequencies(runs) * importances(runs).numpy() ** s.favour
    draw = hidden_activations(runs, before.tensors, s.batch, "dictionary", densities)
    method = Method(
        TopK(1) if s.method == "topk" else ReLU(),
        losses.mse if s.method == "topk" else losses.l1,
        s.latents,
        lr=np.full(len(runs), s.lr),
        penalty=runs.each("penalty") / s.width**0.5,
    )

    def batches(step: int) -> torch.Tensor:
        h, _ = draw(step)
        return shuffle_coordinates(h) if s.method == "shuffled" else h

    trained = fit_dictionaries([(runs, method)], batches, d=s.width, steps=s.steps, bench=bench)[0]
    return with_toy(trained, before)


def fixed_directions(runs: Runs[SuperpositionSAE], bench: Bench, before: Trained) -> Trained:
    """Random directions, or principal components both ways round, each latent with the bias at
    which it is on as often as a feature."""

    s = runs.shared
    h = hidden_activations(runs, before.tensors, 20_000, "bias")(0)[0]
    if s.method == "pca":
        components = torch.cat([pca(hidden, s.width)[0].W_dec for hidden in h])
        D = torch.cat([components, -components], 1)
    else:
        D = torch.from_numpy(
            rng.normal(runs.seeds, "superposition-sae.random", 0, (s.latents, s.width))
        )
        D = D / D.norm(dim=-1, keepdim=True)
    rate = float(frequencies(runs).mean())
    bias = -torch.quantile(h @ D.mT, 1 - rate, dim=1)
    dictionary = Dictionary(D.mT.contiguous(), bias, D, torch.zeros(len(runs), s.width), ReLU())
    return with_toy(dictionary.to(bench.device).to_trained(), before)


def shuffle_coordinates(h: Float[torch.Tensor, "run b d"]) -> Float[torch.Tensor, "run b d"]:
    """Take each coordinate of the activations from another row: every coordinate keeps its law,
    directions are lost."""
    return torch.stack([h[..., k].roll(k, dims=1) for k in range(h.shape[-1])], dim=-1)


def with_toy(trained: Trained, before: Trained) -> Trained:
    """A trained dictionary with its toy's W among its tensors."""
    tensors = {**trained.tensors, "W": before.tensors["W"]}
    header = {**trained.header, "beside": [*trained.header.get("beside", ()), "W"]}
    return type(trained)(
        tensors, header, trained.history, trained.steps, trained.diverged | before.diverged
    )


def measure(runs: Runs[SuperpositionSAE], trained: Trained, bench: Bench) -> xr.Dataset:
    """What the toy kept of each feature; how well the dictionary found it, on held-out inputs."""
    found = toy_measures(runs, trained)
    found |= {} if runs.shared.method == "toy" else dictionary_measures(runs, trained)
    # in single precision, in which they are judged
    singles = {name: (d, np.asarray(x, np.float32), unit) for name, (d, x, unit) in found.items()}
    return measures(runs, coords=None, **singles)


def toy_measures(runs: Runs[SuperpositionSAE], trained: Trained) -> dict[str, tuple[str, Any, str]]:
    """The toy's side: importance, probability, norm, capacity and crowding of every feature."""

    W, p = trained.tensors["W"].double().cpu(), frequencies(runs)
    return {
        "importance": ("run feature", importances(runs), "1"),
        "frequency": ("run feature", p, "probability"),
        "norm_squared": ("run feature", W.square().sum(-1), "1"),
        "capacity": ("run feature", capacity(W), "dimensions"),
        "crowding": ("run feature", crowding(W, torch.from_numpy(p)), "share of own energy"),
    }


def dictionary_measures(
    runs: Runs[SuperpositionSAE], trained: Trained
) -> dict[str, tuple[str, Any, str]]:
    """The dictionary's side: of each feature the cosine of the latent nearest in direction, and
    that latent's F1; L0 and FVU."""

    s, dictionaries = runs.shared, Dictionary.of(trained).to("cpu")
    direction = cosines(trained.tensors["W"].cpu(), dictionaries.W_dec)  # [run, f, latent]
    direction = torch.nan_to_num(
        direction, nan=0.0
    )  # a feature of length 0 has no direction to find
    cosine, match = direction.max(-1)
    draw = hidden_activations(runs, trained.tensors, 5000, "test")
    f1, active, error = np.zeros(cosine.shape), np.zeros(len(runs)), np.zeros(len(runs))
    with torch.no_grad():
        rows = [draw(i) for i in range(max(1, s.rows // 5000))]
        for r, dictionary in enumerate(dictionaries):
            h, x = torch.cat([a[r] for a, _ in rows]), torch.cat([b[r] for _, b in rows])
            features = dictionary.encode(h)
            f1[r] = np.nan_to_num(support(support_sums(x, features), match[r].numpy())["f1"])
            active[r], error[r] = l0(features), fvu(h, dictionary.decode(features))
    return {
        "cosine": ("run feature", cosine, "cosine"),
        "f1": ("run feature", f1, "F1"),
        "l0": ("run", active, "latents"),
        "fvu": ("run", error, "FVU"),
    }
