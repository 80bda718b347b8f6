"""The method of ultra-rare-features: what one run is, how it is trained and what is measured of
it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Bool, Float, Int

from assay.core import Bench, PerRun, Runs, Spec, SpecError, Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data.harvest import Harvest, HarvestSpec
from assay.data.names import model_in_words, text_in_words
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training import losses
from assay.dictionaries.training.dead import DeadPolicy, Resample
from assay.train.rng import generator
from assay_catalogue.data.embedded import SMALLEST, Embedded, embedded
from assay_catalogue.dictionaries.dynamics.byhand import ByHand
from assay_catalogue.dictionaries.dynamics.cohort import Counted, Snapshots
from assay_catalogue.dictionaries.dynamics.pulls import features
from assay_catalogue.dictionaries.on_text import both_parts, joint
from assay_catalogue.features.training_measures import (
    KINDS,
    SHOWN,
    directions,
    encoders,
    gradients,
    histograms,
    savings,
    trajectories,
)

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method

MOMENTS = ("half", "end")
"""When directions are told of; gradients are those of a quarter, those of useful latents of the
half."""


@dataclass(frozen=True, kw_only=True)
class UltraRare(Spec):
    penalty: PerRun[Annotated[float, Ge(0)]] = 0.1
    """λ of ‖x − x̂‖² + λ Σ f, on inputs that are not normalised (planted) or have E‖x − mean‖² = d
    (a model's)."""
    width: Annotated[int, Ge(2)] = 256
    """Latents in the dictionary."""
    d: Annotated[int, Ge(2)] = 32
    """Dimensions of the inputs."""
    subject: Literal["planted", "smollm2"] = "planted"
    """Where inputs come from: planted features, or a language model's activations."""
    layer: int = 4
    """The model's site is the residual stream before this block."""
    windows: Annotated[int, Ge(1)] = 600
    """Training windows of 128 tokens; a planted world ignores these three."""
    test_windows: Annotated[int, Ge(1)] = 400
    """Held-out windows on which firings are counted."""
    silent: int = 0
    """Batches without a firing after which a latent counts as dead at a check; 0: a 300th of
    training."""
    ramp: int = 1
    """Steps over which rate and penalty rise at the start."""
    truth: Annotated[int, Ge(1)] = 64
    """True features, random directions."""
    rarest: float = 1e-3
    """Least probability of a true feature; they are log-uniform from here to `commonest`."""
    commonest: float = 1e-1
    """Largest probability of a true feature."""
    useful: Annotated[int, Ge(0)] = 8
    """Further true features, rarer than all others, for which a latent each is planted at a quarter
    of training."""
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
    batch: Annotated[int, Ge(1)] = 256
    """Inputs a step."""
    steps: Annotated[int, Ge(48)] = 12_000
    """Training steps."""
    lr: Annotated[float, Gt(0)] = 1e-3
    """Adam's learning rate, constant but for the ramp and for the 100 steps after a check for dead
    latents."""
    rare: float = 1e-3
    """Density below which a latent counts as ultra-rare: no true feature but the planted is
    rarer."""
    ordinary: float = 1e-2
    """Density above which one counts as ordinary; between the two it is uncommon."""
    rows: Annotated[int, Ge(1)] = 400_000
    """Inputs on which gradients and ablations are measured; planted densities have a formula,
    others are counted on them."""

    def check(self) -> None:
        if 2 * self.useful > self.width:
            raise SpecError(
                f"UltraRare.useful must be at most half the width, {self.width}, got {self.useful}"
            )
        if self.subject != "planted" and not self.centred:
            raise SpecError(
                "UltraRare on a model's activations is centred: they come so from the harvest"
            )

    @property
    def inputs_in_words(self) -> str:
        """What dictionaries are trained on."""
        if self.subject == "planted":
            middle = "0" if self.centred else f"a constant of length {self.mean:g}"
            features = f"{self.truth:,} sparse features in {self.d} dimensions"
            return f"planted inputs, {features} about {middle}"
        text = text_in_words(self.text("train").corpus)
        return f"{model_in_words(self.subject)}, residual stream before block {self.layer}, {text}"

    def text(self, part: Literal["train", "test"]) -> HarvestSpec:
        """The harvest of one part of the corpus at this site."""
        count = self.windows if part == "train" else self.test_windows
        return HarvestSpec(
            subject=self.subject,
            site=f"blocks.{self.layer}.hook_resid_pre",
            part=part,
            windows=count,
        )


def checkpoints(s: UltraRare) -> list[int]:
    """The steps at which densities are taken: log-spaced, three an octave, from a quarter of
    training to its end."""
    return sorted({round(s.steps * 2 ** (-k / 3)) for k in range(7)})


def moments(steps: int) -> list[int]:
    """The steps of a quarter, a half and the end; a quarter is when the judged latents are
    chosen."""
    return [round(steps * 2 ** (-k / 3)) for k in (6, 3, 0)]


def world(runs: Runs[UltraRare]) -> Embedded:
    """The planted truth of each run."""
    s = runs.shared
    truth = embedded(
        runs.seeds,
        s.truth,
        s.d,
        p=(s.rarest, s.commonest),
        mean=s.mean,
        rare=(s.useful_p,) * s.useful,
    )
    return truth.centred if s.centred else truth


def activations(s: UltraRare, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest); both come centred and scaled."""
    return both_parts(s.text("train"), s.text("test"), bench)


def batches(runs: Runs[UltraRare], bench: Bench) -> Callable[[int], Any]:
    """Inputs by step."""
    s = runs.shared
    return (
        world(runs).batches(s.batch)
        if s.subject == "planted"
        else activations(s, bench)[0].batches(runs.seeds, s.batch)
    )


def method(runs: Runs[UltraRare]) -> Method:
    """ReLU + L1 with independent starts of encoder and decoder; checks for dead latents at a
    quarter and a half spare a random half."""

    from assay.dictionaries.training.train import Method

    s = runs.shared
    quarter = moments(s.steps)[0]
    # Checks come in pairs: silent for 20 batches (5,120 inputs) is rare, silent since the pair
    # before is nobody. They come a step after the snapshots, in which nobody is fresh.
    window, first = s.silent or max(1, s.steps // 300), [m + 1 for m in moments(s.steps)[:2]]
    dead: DeadPolicy = Resample(
        at=tuple(sorted(c for m in first for c in (m - window, m))), exempt=0.5
    )
    if s.subject == "planted":
        truth, useful = world(runs), np.arange(s.truth, s.truth + s.useful)
        reads, writes = (
            torch.from_numpy(m.astype(np.float32))
            for m in (truth.detectors(useful), truth.directions[:, useful])
        )
        held = ("b_enc",) if s.frozen else ()
        dead = ByHand(dead, quarter, reads, writes, bias=0.0 if s.frozen else -0.5, held=held)

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / s.ramp) * (
            0.1 if s.annealed and step >= s.steps * 2 / 3 else 1.0
        )

    return Method(
        ReLU(),
        losses.l1,
        s.width,
        lr=np.full(len(runs), s.lr),
        penalty=runs.each("penalty") / s.d**0.5,
        betas=(0.9, 0.999),
        tied_start=False,
        dead=dead,
        rate=rate,
        sparsity=lambda step: min(1.0, (step + 1) / s.ramp),
        products="float32",
    )


def train_together(groups: Sequence[Runs[UltraRare]], bench: Bench) -> list[Trained]:
    """Arms that see the same inputs, in one pass."""
    from assay.dictionaries.training.train import fit_dictionaries

    s = groups[0].shared
    probe_steps = checkpoints(s)
    watch = {
        "encoder_at": (probe_steps, lambda p: p["W_enc"]),
        "bias_at": (probe_steps, lambda p: p["b_enc"]),
        "centre_at": (probe_steps, lambda p: p["b_dec"]),
        "decoder_at": (moments(s.steps), lambda p: p["W_dec"]),
        "encoder_start": ((0,), lambda p: p["W_enc"]),
    }
    return fit_dictionaries(
        [(r, method(r)) for r in groups],
        batches(groups[0], bench),
        d=s.d,
        steps=s.steps,
        bench=bench,
        probe_at=probe_steps,
        watch=watch,
    )


def train(runs: Runs[UltraRare], bench: Bench) -> Trained:
    return train_together([runs], bench)[0]


def measure(runs: Runs[UltraRare], trained: Trained, bench: Bench) -> xr.Dataset:
    rows = [
        measures_of_run(run, {k: v[r].cpu() for k, v in trained.tensors.items()}, bench)
        for r, run in enumerate(runs.split(1))
    ]
    coords: dict[str, Sequence] = {
        "step": checkpoints(runs.shared),
        "kind": list(KINDS),
        "moment": list(MOMENTS),
    }
    variables = {
        k: ("run " + dims, np.stack([f[k][1] for f in rows]), unit)
        for k, (dims, _, unit) in rows[0].items()
    }
    return measures(runs, coords=coords, **variables)


def judging_inputs(run: Runs[UltraRare], bench: Bench) -> tuple[Any, Any, torch.Tensor]:
    """(what latents are chosen by, what they are followed on, held-out rows): a formula, or
    training rows and held-out ones."""
    s = run.shared
    if s.subject == "planted":
        truth = world(run)
        draw = truth.batches(4096, "test")
        return truth, truth, torch.cat([draw(i)[0] for i in range(-(-s.rows // 4096))])[: s.rows]
    train_rows, held_out = (part.rows(part.kept[: s.rows]) for part in activations(s, bench))
    return train_rows, held_out, held_out


def measures_of_run(
    single: Runs[UltraRare], t: Mapping[str, torch.Tensor], bench: Bench
) -> dict[str, tuple[str, Any, str]]:
    """Everything measured of one run, {name: (dims, values, unit)}: medians over each kind of
    latent."""

    s, penalty = single.shared, float(single.each("penalty")[0])
    planted_world = s.subject == "planted"
    by, on, x = judging_inputs(single, bench)
    steps = checkpoints(s)
    snaps = (Snapshots if planted_world else Counted)(
        steps, t["encoder_at"], t["bias_at"], t["centre_at"]
    )
    indices = [steps.index(m) for m in moments(s.steps)]
    everyone = np.arange(s.width)
    planted, exempt = everyone < s.useful, t["exempt"].numpy()
    first, end = (
        snaps.density(source, everyone, [i])[:, 0]
        for source, i in ((by, indices[0]), (on, indices[2]))
    )
    kinds = latents_by_kind(
        s, first, exempt & ~planted, planted, SMALLEST if planted_world else 0.75 / len(by)
    )
    followed = {kind: latents for kind, latents in kinds.items() if kind != "ordinary-2"}
    variables = histograms([first, end]) | trajectories(snaps, on, followed, s.rare)
    resampled = ~exempt & (t["resampled"].numpy() > 0)
    quarter, halfway, last = (
        {
            "W_enc": t["encoder_at"][i],
            "b_enc": t["bias_at"][i],
            "W_dec": t["decoder_at"][m],
            "b_dec": t["centre_at"][i],
        }
        for m, i in enumerate(indices)
    )
    few = 20_000 if planted_world else 6_000
    medians = gradients(quarter, x, {k: i for k, i in kinds.items() if k != "useful"}, penalty, few)
    for name, (values, _) in gradients(halfway, x, {"useful": kinds["useful"]}, penalty).items():
        medians[name][0].update(values)  # they were planted at a quarter
    medians |= savings(
        quarter, x, kinds, generator(int(single.seeds[0]), "ultra-rare.dead-weight"), few
    )
    variables |= {
        name: ("kind", [values.get(k, np.nan) for k in KINDS], unit)
        for name, (values, unit) in medians.items()
    }
    turned = [encoders(params, t["encoder_start"][0], kinds) for params in (halfway, last)]
    for name, (_, unit) in turned[0].items():
        variables[name] = (
            "kind moment",
            [[single[name][0].get(k, np.nan) for single in turned] for k in KINDS],
            unit,
        )
    cosine, cosines = directions(last), np.full((len(KINDS), SHOWN), np.nan)
    for kind, latents in kinds.items():
        cosines[KINDS.index(kind), : len(latents[:SHOWN])] = cosine[latents[:SHOWN]]
    common = end > s.ordinary
    rows = x[:100_000]
    fires = (features(last, rows) > 0).sum(0) / len(rows)
    counted = float(fires[common].sum()) / end[common].sum() if common.any() else np.nan
    alignment = torch.cosine_similarity(
        last["W_enc"][:, kinds["rare"]].mean(1), last["b_dec"] - x.mean(0), dim=0
    )
    return variables | {
        "cosines": ("kind shown", cosines, "1"),
        "counted_density": ("", counted, "share of the formula's"),
        "l0": ("", float(fires.sum()), "latents"),
        "away": ("", float(alignment), "cosine"),
        "rare_share": ("", np.mean(end < s.rare), "share"),
        "resampled_alive": (
            "",
            (end[resampled] > s.rare).mean() if resampled.any() else np.nan,
            "share",
        ),
    }


def latents_by_kind(
    s: UltraRare,
    density: Float[np.ndarray, "f"],
    exempt: Bool[np.ndarray, "f"],
    planted: Bool[np.ndarray, "f"],
    least: float,
) -> dict[str, Int[np.ndarray, "latent"]]:
    """{kind: latents}, by their densities at a quarter: rare and uncommon ones that are exempt and
    fire at all (above `least`), two halves of the ordinary ones, the planted."""
    ordinary = np.flatnonzero((density > s.ordinary) & ~planted)[
        :64
    ]  # any 64: their order is that of random starts
    rare = np.flatnonzero(exempt & (density > least) & (density < s.rare))
    uncommon = np.flatnonzero(exempt & (density >= s.rare) & (density <= s.ordinary))
    return {
        "rare": rare,
        "ordinary": ordinary[::2],
        "ordinary-2": ordinary[1::2],
        "useful": np.flatnonzero(planted),
        "uncommon": uncommon,
    }


TOGETHER = joint(train_together)
