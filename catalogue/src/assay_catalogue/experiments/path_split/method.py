"""The method of path-split: what one run is, how its dictionaries are trained, and what is measured
of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from jaxtyping import Float

from assay.core import Bench, PerRun, Runs, SpecError, Trained, probes
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data import corpus as corpora
from assay.data.names import model_in_words, text_in_words
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.training.freezing import Part, freeze
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay.subjects.untrained import redrawn
from assay.train.rng import normal
from assay_catalogue.dictionaries.effect_penalty import EffectPenalty, priced
from assay_catalogue.dictionaries.on_text import TinyModelDictionary, joint, topk
from assay_catalogue.dictionaries.path_shares import PATHS, effect_sums, halves

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method
    from assay_catalogue.experiments.path_split.material import Material

COMPARED = {"both": "sorted", "other": "random", "turned": "random"}
"""How features are parted besides by the block they were trained in, by what they pay for:
afterwards by their rows' direct share, or at random."""
ALTERED = {"hundredth": (0.01, False), "tenfold": (10.0, False), "aside": (1.0, True)}
"""How firings are altered that are taken out of ordinary dictionaries as well, with (strength,
whether they are turned): so little that it is a derivative; far too much; and half-way towards what
the final norm reads."""
NAMED = ("tiny", "planted")
"""Subjects that are no models on disk."""


@dataclass(frozen=True, kw_only=True)
class PathSplit(TinyModelDictionary):
    subject: str = "tiny"
    """"tiny": a two-block model that each seed trains; "planted": known paths; "smollm2", a folder,
    or "untrained smollm2": no dictionary."""
    alpha: PerRun[Annotated[float, Ge(0)]] = 0.0
    """What features pay for a unit of squared effect, in units of FVU; 0: an ordinary
    dictionary."""
    pays: Literal["other", "both", "turned"] = "other"
    """Each half for the other path's effect; all features for both alike; or as the first, in
    metrics turned by a random rotation."""
    frozen: Part = ""
    """The part of the dictionary that is not learned."""
    model_steps: Annotated[int, Ge(1)] = 400
    model_batch: Annotated[int, Ge(1)] = 32
    """Windows in each of them."""
    d: Annotated[int, Ge(2)] = 64
    layers: Annotated[int, Ge(2)] = 2
    """Its blocks; the dictionaries are of what the first one's MLP adds to the stream."""
    width: Annotated[int, Ge(2)] = 256
    metric_windows: Annotated[int, Ge(1)] = 128
    """Of these, those on which the mean metrics are measured."""
    per_file: Annotated[int, Ge(1)] = 2
    """Test windows from one file, at most."""
    tested: Annotated[int, Ge(0)] = 0
    """Test windows; 0: all there are."""
    context: Annotated[int, Ge(2)] = 64
    """Tokens in a window."""
    steps: Annotated[int, Ge(1)] = 300
    taken_out: Annotated[int, Ge(0)] = 0
    """Firings of each document and half that are taken out for real; 0: none."""
    directions: Annotated[int, Ge(1)] = 24
    """Principal directions of each block's update, of a model on disk."""

    def check(self) -> None:
        if self.subject not in NAMED and self.taken_out:  # or tiny models would bear its name
            raise SpecError(
                "features are taken out of tiny and planted models alone: PathSplit.subject must "
                f"be one of {', '.join(NAMED)}, got {self.subject!r}; of a model on disk, "
                "taken_out is 0"
            )

    @property
    def models(self) -> str:
        """What is measured, in words."""
        if self.subject == "planted":
            return "planted paths"
        if self.subject == "tiny":
            return f"the first MLP of {super().models}"
        return f"all blocks of {model_in_words(self.subject)}, {text_in_words(self.corpus)}"


@dataclass(frozen=True, kw_only=True)
class PathsOnDisk(PathSplit):
    """A model on disk by itself, on one window of each of 48 files."""

    subject: str = "gemma3-270m"
    tested: Annotated[int, Ge(0)] = 48
    context: Annotated[int, Ge(2)] = 48


def material(s: PathSplit, bench: Bench) -> Material:
    """What the dictionaries of one seed are trained on and tested with."""
    from assay_catalogue.experiments.path_split.material import BLOCK, of_harvests, planted

    if s.subject == "planted":
        return planted(s.seed, s.d, s.batch)
    site = str(Site("mlp_out", BLOCK))
    parts = s.activations(site, bench, windows=s.tested, per_file=s.per_file)
    return of_harvests(*parts, s.metric_windows, s.batch, s.seed)


def prices(s: PathSplit, materials: Material) -> Float[torch.Tensor, "block d d"]:
    """The metrics in which blocks of features pay: the half that is to act directly for its
    indirect effect, and the other way round."""

    direct, indirect = materials.metrics.direct, materials.metrics.indirect
    if s.pays == "turned":
        Q, _ = torch.linalg.qr(
            torch.from_numpy(
                normal(np.array([s.seed]), "path-split.turned", 0, (len(direct), len(direct)))[0]
            )
        )
        direct, indirect = (Q.T @ M @ Q for M in (direct, indirect))
    direct_price, rest = (priced(M, materials.covariance) for M in (direct, indirect))
    return (
        torch.stack([(direct_price + rest) / 2])
        if s.pays == "both"
        else torch.stack([rest, direct_price])
    )


def method(runs: Runs[PathSplit], materials: Material) -> Method:
    """How the dictionaries of an arm are trained."""
    penalty = runs.each("alpha")
    effect = EffectPenalty(prices(runs.specs[0], materials))
    return freeze(topk(runs, loss=effect, penalty=penalty), runs.shared.frozen)


def train_together(arms: Sequence[Runs[PathSplit]], bench: Bench) -> list[Trained]:
    """The dictionaries of one seed, one for each α of each arm; arms that train as long share a
    pass over the same batches."""
    from assay.dictionaries.training.train import fit_dictionaries

    materials = material(
        arms[0].specs[0], bench
    )  # a seed has a model of its own, so it is a group of its own
    trained_by_arm: dict[int, Trained] = {}
    for steps in dict.fromkeys(runs.shared.steps for runs in arms):
        some = [i for i, runs in enumerate(arms) if runs.shared.steps == steps]
        trained = fit_dictionaries(
            [(arms[i], method(arms[i], materials)) for i in some],
            materials.batches,
            d=materials.d,
            steps=steps,
            bench=bench,
            mean=materials.mean,
            scale=materials.scale,
            probe_at=probes(steps, 20),
        )
        trained_by_arm |= dict(zip(some, trained, strict=True))
    return [trained_by_arm[i] for i in range(len(arms))]


def train(runs: Runs[PathSplit], bench: Bench) -> Trained:
    """The dictionaries of one seed and arm, one for each α."""
    return train_together([runs], bench)[0]


TOGETHER = joint(train_together)
"""All arms of a seed that read one model: it is trained, harvested and probed once, and no worker
waits for another's."""


def measure(runs: Runs[PathSplit], trained: Trained, bench: Bench) -> xr.Dataset:
    """Errors, and by which path the features of each half act, by document."""
    s = runs.specs[0]
    materials, rows = material(s, bench), []
    for alpha, dictionary in zip(runs.each("alpha"), Dictionary.of(trained.to("cpu")), strict=True):
        rows.append(_of_dictionary(s, materials, dictionary, ordinary=not alpha))
    variables: dict[str, Any] = {
        name: (f"run {dims}", np.stack([row[name][1] for row in rows]), unit)
        for name, (dims, _, unit) in rows[0].items()
    }
    return measures(
        runs,
        coords={"document": materials.documents, "halves": ["trained", COMPARED[s.pays]]},
        **variables,
    )


def _of_dictionary(
    s: PathSplit, materials: Material, dictionary: Dictionary, ordinary: bool
) -> dict[str, tuple[str, Any, str]]:
    from assay_catalogue.dictionaries.cell_measures import by_document

    grouping, plain = (materials.document, len(materials.documents)), dictionary.normalised
    features = plain.encode(materials.test)
    off = materials.test - plain.decode(features)
    rows = dictionary.W_dec[0] / materials.scale
    share = materials.metrics.share(rows)
    parted = halves(share, s.seed)
    stored = {name: parted[name] for name in ("trained", COMPARED[s.pays])}
    sums = effect_sums(features, rows, materials.pulls, stored, *grouping)
    out: dict[str, tuple[str, Any, str]] = {
        "error": ("document", by_document(off.square().sum(1), *grouping), "squared activation"),
        "variance": (
            "document",
            by_document(materials.test.square().sum(1), *grouping),
            "squared activation",
        ),
        "active": ("halves document half", sums["active"], "features"),
        **{path: ("halves document half", sums[path], "squared logit") for path in PATHS},
    }
    if s.taken_out and materials.take_out is not None:
        half = parted["sorted" if s.pays == "both" else "trained"]
        effects = materials.take_out(features, rows, half, 1.0, s.taken_out, False)
        out |= {name: ("document half", x, "squared logit") for name, x in effects.items()}
        for part, (strength, turned) in ALTERED.items() if s.pays == "other" else ():
            also = (
                materials.take_out(features, rows, half, strength, s.taken_out, turned)
                if ordinary
                else {name: x * np.nan for name, x in effects.items()}
            )
            out |= {
                f"{part}_{name}": ("document half", x, "squared logit") for name, x in also.items()
            }
    return out


def measure_blocks(runs: Runs[PathSplit], trained: Trained, bench: Bench) -> xr.Dataset:
    """Of a model on disk: by which path parts of every block's update act on the logits, summed by
    document."""
    from assay_catalogue.experiments.path_split.blocks import KINDS, block_sums

    (s,) = runs.specs
    name, text = s.subject.removeprefix("untrained "), corpora.load(s.corpus)
    model = load(name, bench.device)
    redraw = name != s.subject
    model = redrawn(model, s.seed) if redraw else model
    cut = text.windows(
        model.encode, "test", context=s.context, count=s.tested, per_file=1, seed=s.seed
    )
    files, document = np.unique(cut.document, return_inverse=True)
    variables = {
        key: (f"run {dims}", x[None], unit)
        for key, (dims, x, unit) in block_sums(
            model, cut.tokens, document, s.directions, s.seed, 1 if redraw else len(KINDS)
        ).items()
    }
    return measures(
        runs,
        coords={
            "document": [text.documents[f].path for f in files],
            "block": list(range(model.layers)),
        },
        **variables,
    )
