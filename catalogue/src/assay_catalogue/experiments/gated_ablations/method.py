"""The method of gated-ablations: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float

from assay.core import Bench, PerRun, Runs, Spec, Trained, probes
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.dictionaries import gates
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.recovery import cosines, mcc
from assay.dictionaries.measuring.sums import of_reconstructions, of_rows
from assay.dictionaries.nonlinearity import Identity, Nonlinearity, ReLU
from assay.dictionaries.training import losses
from assay.dictionaries.training.losses import Loss
from assay.train import rng
from assay_catalogue.data.planted_mixture import Mixture
from assay_catalogue.dictionaries import frontier

Method = Literal[
    "gated",
    "no-aux",
    "unfrozen-aux",
    "untied",
    "no-rmag",
    "no-heaviside",
    "sigmoid",
    "sigmoid-relu",
    "relu",
    "oracle",
]


@dataclass(frozen=True, kw_only=True)
class GatedAblations(Spec):
    penalty: PerRun[Annotated[float, Ge(0)]] = 0.65
    """λ of Σ‖x − x̂‖² + λ Σ f as published; means different things to different methods, so never
    compared at equal λ."""
    method: Method = "gated"
    """The architecture and its loss; oracle: the true directions and codes."""
    width: Annotated[int, Ge(1)] = 128
    """Features in the dictionary."""
    d: Annotated[int, Ge(1)] = 32
    """Dimensions of an input."""
    features: Annotated[int, Ge(1)] = 128
    """True directions."""
    density: float = 0.02
    """Probability that a true feature is on."""
    orthonormal: bool = False
    """Whether the true directions are orthogonal: no superposition."""
    batch: Annotated[int, Ge(1)] = 128
    """Fresh inputs a step."""
    steps: Annotated[int, Ge(2)] = 4000
    """Training steps."""
    lr: Annotated[float, Gt(0)] = 1e-2
    """Adam's learning rate at its top."""
    decay: float = 0.4
    """Share of the steps, at the end, over which the rate falls to 0."""
    test_rows: Annotated[int, Ge(1)] = 50_000
    """Held-out inputs of each seed."""
    repair: Literal["", "rescale", "refit"] = ""
    """What is done to a trained dictionary: rescale & shift, or a decoder refit."""
    of: str = ""
    """The arm that was repaired, or shrunk."""
    shrink: float = 1.0
    """By what the features of another arm are multiplied: a planted bias."""
    repair_rows: Annotated[int, Ge(1)] = 50_000
    """Inputs to which a repair is fitted."""
    repair_pull: float = 5.0
    """Firings' worth of pull towards no repair."""
    code_noise: float = 0.05
    """Standard deviation of the oracle's codes, relative to the true ones."""
    replicate: int = 0
    """Another independent draw of start and training inputs in the world of the same seed."""

    def world(self) -> Mixture:
        """The law of the inputs."""
        return Mixture(
            d=self.d, features=self.features, density=self.density, orthonormal=self.orthonormal
        )


def train(runs: Runs[GatedAblations], bench: Bench) -> Trained:
    """Dictionaries of one method, each on the inputs of its seed's own world."""
    from assay.dictionaries.training.train import Method as Trainer
    from assay.dictionaries.training.train import fit_dictionaries

    s = runs.shared
    nonlinearity, loss = architecture(s.method)
    method = Trainer(
        nonlinearity,
        loss,
        s.width,
        lr=np.full(len(runs), s.lr),
        penalty=runs.each("penalty") / s.d**0.5,
        decay=s.decay,
        penalty_warm_up=0.05,
        encoder_scale=1.0,
    )
    inputs = s.world().inputs(runs.seeds, s.batch, f"train-{s.replicate}")
    return fit_dictionaries(
        [(runs.replicated(), method)],
        inputs,
        d=s.d,
        steps=s.steps,
        bench=bench,
        probe_at=probes(s.steps, 30, log=True),
    )[0]


def architecture(name: str) -> tuple[Nonlinearity, Loss]:
    """(nonlinearity, loss) of a method."""
    architectures: dict[str, tuple[Nonlinearity, Loss]] = {
        "relu": (ReLU(), losses.l1),
        "gated": (gates.Gated(), losses.gated),
        "no-aux": (gates.Gated(), losses.gated_no_aux),
        "unfrozen-aux": (gates.Gated(), losses.gated_unfrozen_aux),
        "untied": (gates.GatedUntied(), losses.gated),
        "no-rmag": (gates.GatedShift(), losses.gated),
        "no-heaviside": (gates.ScaledReLU(), losses.gated),
        "sigmoid": (gates.GatedSigmoid(), losses.gated_sigmoid),
        "sigmoid-relu": (gates.GatedSigmoid(), losses.gated_no_aux),
    }
    return architectures[name]


def oracle(runs: Runs[GatedAblations], bench: Bench) -> Trained:
    """The true directions as a decoder; `measure` gives it the true codes."""
    D = runs.shared.world().directions(runs.seeds)  # [run, f, d]
    return Dictionary(
        D.mT, D.new_zeros(D.shape[:2]), D, D.new_zeros(D.shape[::2]), Identity()
    ).to_trained()


def repair(runs: Runs[GatedAblations], bench: Bench, before: Trained) -> Trained:
    """Another arm's dictionaries with features rescaled & shifted, or with the decoder refitted, on
    inputs of a stream of their own."""
    from assay.dictionaries.baselines.repair import refit_decoder, rescale_and_shift

    s, dictionaries = runs.shared, Dictionary.of(before)
    mend = {"rescale": rescale_and_shift, "refit": refit_decoder}[s.repair]
    fitted = [
        mend(
            dictionaries[i],
            s.world().inputs([spec.seed], s.repair_rows, "repair")(0)[0],
            pull=s.repair_pull,
        )
        for i, spec in enumerate(runs)
    ]
    return Dictionary.join(fitted).to_trained()


def shrink(runs: Runs[GatedAblations], bench: Bench, before: Trained) -> Trained:
    """Another arm's dictionaries with all features multiplied, and nothing else wrong."""
    from assay.dictionaries.baselines.repair import shrunk

    return shrunk(Dictionary.of(before), runs.shared.shrink).to_trained()


UNITS = {**frontier.SUMS, "soft_active": "features", "soft_error": "squared activation"}
BINS = np.linspace(-1.5, 4.0, 56)


def measure(
    runs: Runs[GatedAblations], trained: Trained, bench: Bench, closely: bool = False
) -> xr.Dataset:
    """Sums over the held-out inputs of each seed; for a smooth gate read hard, and beside it as it
    was trained."""

    s, dictionaries = runs.shared, Dictionary.of(trained)
    world, rows, gates = s.world(), [], []
    tests = {
        seed: held_out(world, seed, s.test_rows, bench) for seed in np.unique(runs.seeds).tolist()
    }
    with torch.no_grad():
        for dictionary, spec in zip(dictionaries, runs, strict=True):
            x, codes, directions = tests[spec.seed]
            features = noisy(codes, spec) if s.method == "oracle" else dictionary.encode(x)
            row = sums_of(x, dictionary.decode(features), features)
            soft = (
                row if dictionary.as_trained is dictionary else soft_sums(dictionary.as_trained, x)
            )
            rows.append(row | {"soft_active": soft["active"], "soft_error": soft["error"]})
            if closely and s.method == "gated":
                gates.append(gate_counts(dictionary, x, codes, directions))
        recovered = mcc(world.directions(runs.seeds).to(dictionaries.W_dec), dictionaries.W_dec)
    variables = {
        name: ("run document", np.array([[row[name]] for row in rows]), unit)
        for name, unit in UNITS.items()
    }
    coords = {"document": ["test"]}
    if gates:
        variables |= {
            f"gate_{when}": ("run bin", np.stack([g[when] for g in gates]), "inputs")
            for when in ("on", "off")
        }
        coords["bin"] = ((BINS[1:] + BINS[:-1]) / 2).round(6).tolist()
    if closely:
        coords["step"] = trained.steps.tolist()
        variables["l0"] = ("run step", trained.history["l0"], "features")
    return measures(runs, coords=coords, mcc=("run", recovered, "cosine"), **variables)


def measure_closely(runs: Runs[GatedAblations], trained: Trained, bench: Bench) -> xr.Dataset:
    """Measure the same, and what pictures show of an arm: L0 on the way, and of whole Gated
    dictionaries the input of a gate."""
    return measure(runs, trained, bench, closely=True)


def held_out(
    world: Mixture, seed: int, rows: int, bench: Bench
) -> tuple[Float[torch.Tensor, "b d"], Float[torch.Tensor, "b f"], Float[torch.Tensor, "f d"]]:
    """(x [b, d], codes [b, f], directions [f, d]) of one seed."""
    codes = world.codes([seed], rows, "test")(0)[0].to(bench.device)
    directions = world.directions([seed])[0].to(bench.device)
    return codes @ directions, codes, directions


def sums_of(
    x: Float[torch.Tensor, "b d"],
    x_hat: Float[torch.Tensor, "b d"],
    features: Float[torch.Tensor, "b latent"],
) -> dict[str, float]:
    """Sums over rows as `document_sums` gives them, of one document and given codes."""
    middle = x.double().mean(0).float()
    parts = of_rows(x, middle) | of_reconstructions(x, x_hat, (features > 0).float(), middle)
    return {name: float(part.double().sum()) for name, part in parts.items()}


def soft_sums(dictionary: Dictionary, x: Float[torch.Tensor, "b d"]) -> dict[str, float]:
    """Sums of a smooth gate's own code."""
    features = dictionary.encode(x)
    return sums_of(x, dictionary.decode(features), features)


def noisy(codes: Float[torch.Tensor, "b f"], spec: GatedAblations) -> Float[torch.Tensor, "b f"]:
    """True codes with a little noise of their own, relative to their size."""

    noise = rng.normal(np.array([spec.seed]), "gated-ablations.oracle", 0, tuple(codes.shape))[0]
    return codes * (1 + spec.code_noise * torch.from_numpy(noise).to(codes.device))


def gate_counts(
    dictionary: Dictionary,
    x: Float[torch.Tensor, "b d"],
    codes: Float[torch.Tensor, "b f"],
    directions: Float[torch.Tensor, "f d"],
) -> dict[str, np.ndarray]:
    """Histograms of π_gate of the latent that best matches a true direction, where that feature is
    on and where it is off."""
    similarity = cosines(directions, dictionary.W_dec[0])
    feature, latent = divmod(int(similarity.argmax()), dictionary.width)
    gate = (
        ((x - dictionary.b_dec[0]) @ dictionary.W_enc[0, :, latent] + dictionary.b_enc[0, latent])
        .cpu()
        .numpy()
    )
    on = (codes[:, feature] > 0).cpu().numpy()
    return {"on": np.histogram(gate[on], BINS)[0], "off": np.histogram(gate[~on], BINS)[0]}
