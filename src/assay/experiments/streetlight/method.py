"""The method of streetlight: what one run is, how its dictionary is trained, and what is asked of
it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt

from assay.core import Cost, Spec, probes
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.rng import generator
from assay.core.runs import Runs
from assay.data import concepts
from assay.data.concept_acts import answers, concept_acts, concept_folders
from assay.data.harvest import Harvest, HarvestSpec, harvest
from assay.data.harvest import inputs as harvest_inputs
from assay.data.names import DRAWN, InWords, model_in_words
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.freezing import Part, freeze
from assay.experiments.streetlight.looking import found_in, looked
from assay.experiments.streetlight.probes import (
    CHANCE,
    EQUAL,
    MEANINGLESS,
    METHODS,
    PERMUTATIONS,
    PERMUTED,
    REGIMES,
    SAE,
    Asked,
    own_methods,
    questions,
    read_of,
)
from assay.experiments.streetlight.shared import (
    Baselines,
    ChanceSpec,
    asked_spec,
    chance,
    equal,
    rows,
)
from assay.features.kernel_probe import auc
from assay.subjects.folder import find
from assay.subjects.site import Site
from assay.subjects.untrained import untrained


@dataclass(frozen=True, kw_only=True)
class Streetlight(InWords, Spec):
    subject: str = "smollm2"
    """The language model: "smollm2", "gemma3-270m", a local folder or a hub's name."""
    weights: Literal["trained", "random"] = "trained"
    """The model's own, or drawn as before its training."""
    layer: Annotated[int, Ge(1)] = 9
    """The site is the residual stream before this block."""
    corpus: str = "stdlib"
    """The text on which dictionaries are trained and looked at: "stdlib" or a folder of text
    files."""
    windows: Annotated[int, Ge(1)] = 500
    """Training windows of 128 tokens."""
    looked: Annotated[int, Ge(1)] = 40
    """Windows in which features are looked at, and as many that judge what was found there."""
    width: Annotated[int, Ge(64)] = 1024
    """Features in the dictionary."""
    k: Annotated[int, Ge(1)] = 32
    """Features that TopK keeps."""
    batch: Annotated[int, Ge(1)] = 128
    """Activations a step."""
    steps: Annotated[int, Ge(1)] = 1000
    """Training steps."""
    lr: Annotated[float, Gt(0)] = 4e-3
    """Adam's learning rate at its top."""
    frozen: Part = ""
    """Which half of the dictionary is not learned; a decoder that is not starts with the covariance
    of the activations."""
    asks: Literal["listed", "planted"] = "listed"
    """The frozen list; or whether a feature drawn by lot is on."""
    lots: Annotated[int, Ge(1)] = 8
    """How many features drawn by lot are asked for."""
    regimes: tuple[str, ...] = (*REGIMES, PERMUTED)
    """Which of the regimes."""
    sizes: tuple[int, ...] = (64, 32, 64, 24)
    """Texts of each concept for training, validation, test and shifted test; half of them have the
    property."""
    worded: tuple[int, ...] = (0, 8, 20, 0)
    """How many of them the model is asked about in words."""

    def check(self) -> None:
        if unknown := [r for r in self.regimes if r not in (*REGIMES, PERMUTED)]:
            raise SpecError(
                f"Streetlight.regimes names {unknown[0]!r}; regimes: "
                f"{', '.join((*REGIMES, PERMUTED))}"
            )
        if "standard" not in self.regimes:
            raise SpecError(
                "Streetlight.regimes must have 'standard', whose texts of other templates are "
                "measured as well"
            )
        if len(self.sizes) != 4 or len(self.worded) != 4 or any(n % 2 or n < 2 for n in self.sizes):
            raise SpecError(
                "Streetlight.sizes and .worded are four numbers: train, validation, test, "
                "shifted; sizes even and at least 2"
            )

    @property
    def model_in_words(self) -> str:
        """The language model whose activations are read."""
        return model_in_words(self.subject if self.weights == "trained" else DRAWN + self.subject)

    def text(self, part: Literal["train", "test"], windows: int) -> HarvestSpec:
        """The harvest of one part of the corpus at this site."""
        return HarvestSpec(
            subject=self.subject,
            site=f"blocks.{self.layer}.hook_resid_pre",
            corpus=self.corpus,
            part=part,
            windows=windows,
        )


def activations(s: Streetlight, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest) of the model, or of one of its shape with random weights."""
    train, test = s.text("train", s.windows), s.text("test", s.looked).replace(per_file=2)
    if s.weights == "random":
        # the same place: the model without its weights ends there
        site = f"blocks.{s.layer - 1}.hook_resid_post"
        overrides = {"subject": str(untrained(s.subject, s.layer, bench)), "site": site}
        train, test = train.replace(**overrides), test.replace(**overrides)
    data = harvest(train, bench)
    return data, harvest(test, bench, like=data)


def train(runs: Runs[Streetlight], bench: Bench) -> Trained:
    """A TopK dictionary for each seed, on the same activations in an order of its own."""
    from assay.dictionaries.training.train import Method, fit_dictionaries

    s = runs.shared
    data, _ = activations(runs.specs[0], bench)
    method = Method(
        TopK(s.k),
        losses.mse,
        s.width,
        lr=np.full(len(runs), s.lr),
        penalty=np.zeros(len(runs)),
        betas=(0.9, 0.999),
        encoder_scale=1.0,
    )
    method = freeze(
        method, s.frozen, data.rows(data.kept[:8192]).mT.cov() if s.frozen == "decoder" else None
    )
    return fit_dictionaries(
        [(runs, method)],
        data.batches(runs.seeds, s.batch),
        d=data.d,
        steps=s.steps,
        bench=bench,
        mean=data.mean,
        scale=data.scale,
        sites=(data.spec.site,),
        probe_at=probes(s.steps, 20),
        trained_on=data.trained_on,
    )[0]


def reuse_dictionaries(runs: Runs[Streetlight], bench: Bench, before: Trained) -> Trained:
    """The dictionaries of another arm, asked other questions."""
    return before.with_tensors(before.tensors)


def measure(runs: Runs[Streetlight], trained: Trained, bench: Bench) -> xr.Dataset:
    """What every method reaches on every question in every regime, what is found by looking, and
    how good the dictionary is."""
    outcomes = [
        measured_one(s, entry, bench)
        for s, entry in zip(runs, Dictionary.of(trained.to("cpu")), strict=True)
    ]
    names, coords = outcomes[0][1], {"regime": list(runs.shared.regimes), "probe": list(METHODS)}
    variables = {
        name: (dims, np.stack([entry[name] for entry, _ in outcomes]), unit)
        for name, (dims, unit) in MEASURED.items()
        if name in outcomes[0][0]
    }
    return measures(runs, coords={**coords, "task": list(names)}, **variables)


MEASURED = {
    "validation": ("run task regime probe", "AUROC"),
    "auroc": ("run task regime probe", "AUROC"),
    "shifted": ("run task probe", "AUROC"),
    "asked": ("run task", "AUROC"),
    **dict.fromkeys(
        ("found", "found_random", "found_shuffled", "dead"), ("run", "share of features")
    ),
    **dict.fromkeys(("lot", "lot_random"), ("run", "share of rules")),
    "fvu": ("run", "share"),
}


def measured_one(
    s: Streetlight, dictionary: Dictionary, bench: Bench
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The measures of one run, without the axis run, and the names of its questions."""
    data, test = activations(s, bench)
    listing = s.asks == "listed"
    question_set = listed(s, data, bench) if listing else planted(s, dictionary, data)
    name = asked_spec(data, s.sizes) if listing else None
    baselines, codes = (
        Baselines(question_set, bench, name),
        read_of(question_set, dictionary.normalised),
    )
    reached = np.full((3, len(question_set.names), len(s.regimes), len(METHODS)), np.nan)
    for i, regime in enumerate(s.regimes):
        draws, names = (PERMUTATIONS, MEANINGLESS) if regime == PERMUTED else (1, (*SAE, "error"))
        scores = [
            baselines.reached(regime, s.seed, d)
            | rows(own_methods(codes, questions(question_set, regime, s.seed, d), names))
            for d in range(draws)
        ]
        for method in scores[0]:
            reached[:, :, i, METHODS.index(method)] = np.mean(
                [score[method] for score in scores], 0
            )
    tokens = looked(data, test, s.looked, bench) if listing else None
    shares = (
        found_in(dictionary.normalised, tokens, s.seed if PERMUTED in s.regimes else None)
        if tokens is not None
        else {}
    )
    chance_spec = (
        ChanceSpec(
            seed=s.seed,
            of=name,
            width=s.width,
            k=s.k,
            looked=s.looked,
            test=test.spec.replace(subject="").to_json(),
        )
        if name
        else None
    )
    once = chance(
        question_set,
        data,
        tokens,
        s.seed,
        s.width,
        s.k,
        bench,
        chance_spec,
        CHANCE if listing and s.weights == "trained" else CHANCE[:1],
    )
    if tokens is not None:
        once |= rows([(EQUAL, equal(question_set, data, tokens, s.seed, shares["fvu"]))])
    for method in (m for m in METHODS if m in once):
        reached[:, :, s.regimes.index("standard"), METHODS.index(method)] = once[method]
    variables: dict[str, Any] = {
        "validation": reached[0],
        "auroc": reached[1],
        "shifted": reached[2, :, s.regimes.index("standard")],
    }
    if tokens is not None:
        variables |= {**shares, "found_random": once["found"], "lot_random": once["lot"]}
    if listing and any(s.worded) and s.weights == "trained":
        variables["asked"] = in_words(s, question_set, data, bench)
    return variables, question_set.names


def listed(s: Streetlight, data: Harvest, bench: Bench) -> Asked:
    """The frozen list."""
    return _read(data, concept_folders(data, s.sizes, bench))


@lru_cache(maxsize=2)  # the arms of two models take turns
def _read(data: Harvest, folders: tuple[Path, ...]) -> Asked:
    """The texts in these folders, once for all runs of a process that ask the same."""

    got = concept_acts(folders)
    return Asked(
        got.names,
        data.normalise(torch.from_numpy(got.acts).float()),
        got.tokens,
        got.label,
        got.part,
    )


def planted(s: Streetlight, dictionary: Dictionary, data: Harvest, before: int = 8) -> Asked:
    """Questions whose answer is one feature drawn by lot: is it on at the last of so many
    tokens?"""
    count = s.lots
    tokens_at = data.kept[data.kept % data.spec.context >= before][:12_800]
    f = torch.cat(
        [
            dictionary.normalised.encode(data.rows(part))[0] > 0
            for part in np.array_split(tokens_at, 8)
        ]
    ).numpy()
    halves = np.array(s.sizes) // 2
    usable = np.flatnonzero((f.sum(0) >= halves.sum()) & ((~f).sum(0) >= halves.sum()))
    draw = generator(s.seed, "streetlight.planted")
    label, part, positions = [], [], []
    for feature in draw.permutation(usable)[:count]:
        sides = [
            draw.permutation(np.flatnonzero(f[:, feature] == yes))[: halves.sum()]
            for yes in (True, False)
        ]
        positions.append(tokens_at[np.concatenate(sides)])
        label.append(np.repeat([True, False], halves.sum()))
        part.append(np.tile(np.repeat(np.arange(4), halves), 2))
    if len(positions) < count:
        raise SpecError(
            f"only {len(positions)} features are on often enough for a planted question, {count} "
            "are "
            "needed; give more windows or fewer sizes"
        )
    places = np.stack(positions)[..., None] - np.arange(before)[::-1]
    x = data.rows(places.ravel()).view(*places.shape, data.d)
    tokens = data.tokens.ravel()[places]
    return Asked(
        tuple(f"feature {i + 1}" for i in range(count)), x, tokens, np.stack(label), np.stack(part)
    )


def in_words(s: Streetlight, question_set: Asked, data: Harvest, bench: Bench) -> Any:
    """AUROC of the model's own answers on test texts; which of its two words means yes is chosen on
    validation texts."""

    odds = answers(data, s.sizes, s.worded, bench)
    aurocs = []
    for score, label, part in zip(odds, question_set.label, question_set.part, strict=True):
        rows_by_part = [np.flatnonzero((part == p) & ~np.isnan(score)) for p in (1, 2)]
        values = [
            float(auc(torch.from_numpy(score[i]), torch.from_numpy(label[i]))) for i in rows_by_part
        ]
        aurocs.append(values[1] if not values[0] < 0.5 else 1 - values[1])
    return np.array(aurocs)


def inputs(spec: Streetlight) -> dict[str, str]:
    """Model and corpus of a run, and the hash of the frozen list."""
    find(spec.subject).check(Site.parse(spec.text("train", 1).site))
    return {**harvest_inputs(spec.text("train", spec.windows)), "concepts": concepts.fingerprint()}


def cost(runs: Runs[Streetlight]) -> Cost:
    """The disk that the harvest takes, shared by the arms on the same activations; seconds come
    from the record."""
    size = runs.shared.text("train", runs.shared.windows)
    return Cost(bytes=size.bytes(), artefacts={size.to_json(): size.bytes()})
