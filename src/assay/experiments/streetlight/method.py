"""The method of streetlight: what one run is, how its dictionary is trained, and what is asked of
it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from jaxtyping import Float

from assay.core import Bench, Runs, Spec, SpecError, Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.rng import generator
from assay.data.harvest import Harvest
from assay.data.names import DRAWN, model_in_words
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.training.freezing import Part, freeze
from assay.dictionaries.training.on_text import NamedModelDictionary, activations, fit_on, topk
from assay.experiments.streetlight.frame import PASSAGE, Marked, frame, lot, passages, usable
from assay.experiments.streetlight.probes import (
    CHOSEN,
    EQUAL,
    METHODS,
    REGIMES,
    SAE,
    SURFACE,
    Asked,
    Numbers,
    numbers,
    own_methods,
    picked,
    plain_methods,
    questions,
    quiver,
    read_of,
)
from assay.experiments.streetlight.shared import (
    AskedSpec,
    ChanceSpec,
    PlainSpec,
    arrays,
    chance,
    equal,
    found_in,
    looked,
)
from assay.features.kernel_probe import Questions


@dataclass(frozen=True, kw_only=True)
class Streetlight(NamedModelDictionary):
    weights: Literal["trained", "random"] = "trained"
    """The model's own, or drawn as before its training."""
    looked: Annotated[int, Ge(1)] = 40
    """Windows in which features are looked at, and as many that judge what was found there."""
    width: Annotated[int, Ge(64)] = 1024
    k: Annotated[int, Ge(1)] = 32
    steps: Annotated[int, Ge(1)] = 1000
    frozen: Part = ""
    """Which half of the dictionary is not learned; a decoder that is not starts with the covariance
    of the activations."""
    asks: Literal["listed", "planted"] = "listed"
    """The concepts of a lot; or whether a feature of the dictionary drawn by lot is on."""
    lots: Annotated[int, Ge(1)] = 16
    """How many features drawn by lot are asked for."""
    concepts: Annotated[int, Ge(1)] = 88
    """Concepts of a lot."""
    lot: Annotated[int, Ge(0)] = 1
    """Which piece of the frame: 0 for pilots, 1 for what is judged."""
    files: Annotated[int, Ge(1)] = 6
    """From how many files of a part either answer has to come."""
    judged: Annotated[int, Ge(1)] = 300
    """Windows of 128 tokens from which test passages are drawn."""
    regimes: tuple[str, ...] = REGIMES
    """Which of the regimes."""
    sizes: tuple[int, ...] = (64, 32, 64)
    """Passages of each concept for training, validation and test; half of them have the
    property."""

    def check(self) -> None:
        if unknown := [r for r in self.regimes if r not in REGIMES]:
            raise SpecError(
                f"Streetlight.regimes names {unknown[0]!r}; regimes: {', '.join(REGIMES)}"
            )
        if "plain" not in self.regimes:
            raise SpecError("Streetlight.regimes must have 'plain', which most claims read")
        if len(self.sizes) != 3 or any(n % 2 or n < 2 for n in self.sizes):
            raise SpecError(
                "Streetlight.sizes are three numbers: train, validation, test; even and at least 2"
            )
        if self.looked > min(self.windows, self.judged):
            raise SpecError(
                f"Streetlight.looked is {self.looked}, but there are {self.windows} windows for "
                f"training and {self.judged} for the test"
            )

    @property
    def model_in_words(self) -> str:
        """The language model whose activations are read."""
        return model_in_words(self.subject if self.weights == "trained" else DRAWN + self.subject)

    def cut(self, part: Literal["train", "test"]) -> dict[str, Any]:
        """Give at most four training windows of one file, and twelve for the test."""
        if part == "train":
            return {"windows": self.windows, "per_file": 4}
        return {"windows": self.judged, "per_file": 12}


def harvests(s: Streetlight, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest) of the model, or of one of its shape with random weights."""
    return activations(s, bench, 0 if s.weights == "random" else None)


def train(runs: Runs[Streetlight], bench: Bench) -> Trained:
    """A TopK dictionary for each seed, on the same activations in an order of its own."""
    s = runs.shared
    data, _ = harvests(runs.specs[0], bench)
    covariance = data.rows(data.kept[:8192]).mT.cov() if s.frozen == "decoder" else None
    return fit_on(data, [(runs, freeze(topk(runs), s.frozen, covariance))], bench)[0]


def reuse_dictionaries(runs: Runs[Streetlight], bench: Bench, before: Trained) -> Trained:
    """The dictionaries of another arm, asked other questions."""
    return before.with_tensors(before.tensors)


def measure(runs: Runs[Streetlight], trained: Trained, bench: Bench) -> xr.Dataset:
    """What every method reaches on every question, what the quiver does in every regime, what is
    found by looking, and how good the dictionary is."""
    outcomes = [
        measured_one(s, entry, bench)
        for s, entry in zip(runs, Dictionary.of(trained.to("cpu")), strict=True)
    ]
    variables = {
        name: (dims, np.stack([entry[name] for entry, _ in outcomes]), unit)
        for name, (dims, unit) in MEASURED.items()
        if name in outcomes[0][0]
    }
    coords = {
        "task": list(outcomes[0][1]),
        "probe": list(METHODS),
        "regime": list(runs.shared.regimes),
        "chosen": list(CHOSEN),
    }
    used = {dim for dims, _, _ in variables.values() for dim in dims.split()}
    return measures(runs, coords={k: v for k, v in coords.items() if k in used}, **variables)


MEASURED = {
    "auroc": ("run task probe", "AUROC"),
    "quiver": ("run task regime chosen", "AUROC"),
    **dict.fromkeys(("found", "found_random", "found_shuffled"), ("run", "share of features")),
    **dict.fromkeys(("lot", "lot_random"), ("run", "share of rules")),
    "fvu": ("run", "share"),
}


def measured_one(
    s: Streetlight, dictionary: Dictionary, bench: Bench
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The measures of one run, without the axis run, and the names of its questions."""
    data, test = harvests(s, bench)
    planting = s.asks == "planted"
    asked = planted(s, dictionary, data, test) if planting else listed(s, data, test, bench)
    of = asked_spec(s, data, test)
    # What is asked of one dictionary alone is of no use to another run.
    stored = unstored if planting else partial(arrays, bench)
    tokens = None if planting else looked(data, test, s.looked, bench)
    read, reached = read_of(asked, dictionary.normalised), {}

    def plain(q: Questions) -> Numbers:
        return numbers(plain_methods(asked, q))

    for regime in s.regimes:
        q = questions(asked, regime, s.seed)
        own = numbers(own_methods(read, q, (*SAE, "error") if regime == "plain" else SAE))
        spec = PlainSpec(seed=s.seed, of=of, regime=regime)
        reached[regime] = own | stored(spec, partial(plain, q))
    by_chance = ChanceSpec(seed=s.seed, of=of, width=s.width, k=s.k, looked=s.looked)
    once = reached["plain"] | stored(
        by_chance, lambda: chance(asked, data, tokens, s.seed, s.width, s.k)
    )
    for name, methods in (("words", SURFACE[:2]), ("surface", SURFACE)):
        once[name] = np.stack([picked(once, methods)] * 2)
    shares: dict[str, Any] = {}
    if tokens is not None:
        shares |= found_in(dictionary.normalised, tokens, s.seed if len(s.regimes) > 1 else None)
        shares |= {"found_random": once["found"], "lot_random": once["lot"]}
        once[EQUAL] = equal(asked, data, tokens, s.seed, shares["fvu"])
    quivers = np.stack([quiver(by_regime) for by_regime in reached.values()])
    return {"auroc": rows(once), "quiver": quivers.transpose(2, 0, 1), **shares}, asked.names


def unstored(spec: Spec, work: Callable[[], Numbers]) -> Numbers:
    """Work the numbers out."""
    return work()


def rows(reached: Numbers) -> Float[np.ndarray, "q probe"]:
    """Test AUROC in the order of `METHODS`; NaN where a method was not asked."""
    nothing = np.full_like(reached["logistic"], np.nan)
    return np.stack([reached.get(name, nothing)[1] for name in METHODS], -1)


def listed(s: Streetlight, data: Harvest, test: Harvest, bench: Bench) -> Asked:
    """The concepts of the lot, each with passages drawn for this seed."""
    least = (sum(s.sizes[:2]) // 2, s.sizes[2] // 2)
    names, marked = frame(data, test, least, s.files, bench)
    which = lot(names, s.lot, s.concepts)
    some = tuple(replace(part, true=part.true[:, which]) for part in marked)
    return asked_about(names[which], (some[0], some[1]), (data, test), s)


def planted(s: Streetlight, dictionary: Dictionary, data: Harvest, test: Harvest) -> Asked:
    """Questions whose answer is one feature of the dictionary, drawn by lot: is it on?"""
    marked = []
    for part in (data, test):
        kept = usable(part)[:12_800]
        f = [dictionary.normalised.encode(part.rows(few))[0] > 0 for few in np.array_split(kept, 8)]
        marked.append(Marked(kept, torch.cat(f).numpy()))
    enough = [
        (part.true.sum(0) >= n) & ((~part.true).sum(0) >= n)
        for part, n in zip(marked, (sum(s.sizes[:2]) // 2, s.sizes[2] // 2), strict=True)
    ]
    common = np.flatnonzero(enough[0] & enough[1])
    if len(common) < s.lots:
        raise SpecError(
            f"only {len(common)} features are on often enough for a planted question, {s.lots} "
            "are needed; give more windows or fewer sizes"
        )
    some = generator(s.seed, "streetlight.planted").permutation(common)[: s.lots]
    first, second = (replace(part, true=part.true[:, some]) for part in marked)
    names = tuple(f"feature {i + 1}" for i in range(s.lots))
    return asked_about(names, (first, second), (data, test), s)


def asked_about(
    names: tuple[str, ...],
    marked: tuple[Marked, Marked],
    parts: tuple[Harvest, Harvest],
    s: Streetlight,
) -> Asked:
    """Questions about the passages of a seed."""
    rows_by_part, label, part = passages(marked, s.sizes, s.seed)
    x, tokens = [], []
    for harvested, where in zip(parts, rows_by_part, strict=True):
        x.append(harvested.rows(where.ravel()).view(*where.shape, harvested.d))
        tokens.append(harvested.tokens.ravel()[where[..., None] - np.arange(PASSAGE)[::-1]])
    return Asked(names, torch.cat(x, 1), np.concatenate(tokens, 1), label, part)


def asked_spec(s: Streetlight, data: Harvest, test: Harvest) -> AskedSpec:
    """The name under which everything about a lot's passages is kept."""
    return AskedSpec(
        model=data.trained_on["model"],
        corpus=data.trained_on["corpus"],
        dtype=data.dtype,
        train=data.spec.replace(subject=""),
        test=test.spec.replace(subject=""),
        sizes=s.sizes,
        concepts=s.concepts,
        lot=s.lot,
        files=s.files,
    )
