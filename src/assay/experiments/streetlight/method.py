"""The method of streetlight: what one run is, how its dictionary is trained, and what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt

from assay.core import Cost, Spec, probes
from assay.core.errors import SpecError
from assay.core.measures import measures
from assay.core.rng import generator
from assay.data import concepts
from assay.data.harvest import HarvestSpec, harvest
from assay.data.harvest import inputs as harvest_inputs
from assay.experiments.streetlight.probes import IDENTITY, METHODS, PARTS, REGIMES, Asked, methods, questions, read
from assay.subjects.folder import find
from assay.subjects.site import Site
from assay.subjects.untrained import untrained

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Bool

    from assay.core.bench import Bench
    from assay.core.fit import Trained
    from assay.core.runs import Runs
    from assay.data.harvest import Harvest
    from assay.dictionaries.dictionary import Dictionary


@dataclass(frozen=True, kw_only=True)
class Streetlight(Spec):
    subject: str = "smollm2"
    """The language model: "smollm2" or a local folder."""
    weights: Literal["trained", "random"] = "trained"
    """The model's own, or drawn as before its training."""
    layer: Annotated[int, Ge(1)] = 9
    """The site is the residual stream before this block."""
    corpus: str = "stdlib"
    """The text on which dictionaries are trained and looked at: "stdlib" or a folder of text files."""
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
    steps: Annotated[int, Ge(1)] = 500
    """Training steps."""
    lr: Annotated[float, Gt(0)] = 4e-3
    """Adam's learning rate at its top."""
    asks: Literal["listed", "permuted", "planted"] = "listed"
    """The frozen list; the list with permuted answers; or whether a feature drawn by lot is on."""
    regimes: tuple[str, ...] = REGIMES
    """Which of the regimes."""
    sizes: tuple[int, ...] = (64, 32, 80, 80)
    """Texts of each concept for training, validation, test and shifted test; half of them have the property."""
    worded: tuple[int, ...] = (0, 12, 32, 0)
    """How many of them the model is asked about in words."""
    lots: Annotated[int, Ge(1)] = 100
    """Features that are looked at, drawn by lot."""

    def check(self) -> None:
        if unknown := [r for r in self.regimes if r not in REGIMES]:
            raise SpecError(f"Streetlight.regimes names {unknown[0]!r}; regimes: {', '.join(REGIMES)}")
        if len(self.sizes) != 4 or len(self.worded) != 4 or any(n % 2 or n < 2 for n in self.sizes):
            raise SpecError("Streetlight.sizes and .worded are four numbers: train, validation, test, shifted; sizes even and at least 2")

    def text(self, part: Literal["train", "test"], windows: int) -> HarvestSpec:
        """The harvest of one part of the corpus at this site."""
        return HarvestSpec(subject=self.subject, site=f"blocks.{self.layer}.hook_resid_pre", corpus=self.corpus, part=part, windows=windows)


def activations(s: Streetlight, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest) of the model, or of one of its shape with random weights."""
    train, test = s.text("train", s.windows), s.text("test", s.looked).replace(per_file=2)
    if s.weights == "random":
        site = f"blocks.{s.layer - 1}.hook_resid_post"  # the same place: the model without its weights ends there
        given = {"subject": str(untrained(s.subject, s.layer, bench)), "site": site}
        train, test = train.replace(**given), test.replace(**given)
    data = harvest(train, bench)
    return data, harvest(test, bench, like=data)


def train(runs: Runs[Streetlight], bench: Bench) -> Trained:
    """A TopK dictionary for each seed, on the same activations in an order of its own."""
    from assay.dictionaries.selection import TopK
    from assay.dictionaries.training import losses
    from assay.dictionaries.training.train import Method, fit_dictionaries

    s = runs.shared
    data, _ = activations(runs.specs[0], bench)
    method = Method(TopK(s.k), losses.mse, s.width, lr=np.full(len(runs), s.lr), penalty=np.zeros(len(runs)), betas=(0.9, 0.999),
                    encoder_scale=1.0)  # fmt: skip
    return fit_dictionaries(
        [(runs, method)], data.batches(runs.seeds, s.batch), d=data.d, steps=s.steps, bench=bench, mean=data.mean, scale=data.scale,
        sites=(data.spec.site,), probe_at=probes(s.steps, 20), trained_on=data.trained_on,
    )[0]  # fmt: skip


def again(runs: Runs[Streetlight], bench: Bench, before: Trained) -> Trained:
    """The dictionaries of another arm, asked other questions."""
    return before.with_tensors(before.tensors)


def measure(runs: Runs[Streetlight], trained: Trained, bench: Bench) -> xr.Dataset:
    """What every method reaches on every question in every regime, what is found by looking, and how good the dictionary is."""
    from assay.dictionaries.dictionary import Dictionary

    found = [measured_one(s, one, bench) for s, one in zip(runs, Dictionary.of(trained), strict=True)]
    names, coords = found[0][1], {"regime": list(runs.shared.regimes), "probe": list(METHODS), "part": list(PARTS)}
    named = {name: (dims, np.stack([one[name] for one, _ in found]), unit) for name, (dims, unit) in MEASURED.items() if name in found[0][0]}
    return measures(runs, coords={**coords, "task": list(names)}, **named)


MEASURED = {
    "validation": ("run task regime probe", "AUROC"), "auroc": ("run task regime probe part", "AUROC"), "asked": ("run task", "AUROC"),
    "found": ("run", "share of features"), "found_random": ("run", "share of features"), "found_shuffled": ("run", "share of features"),
    "lot": ("run", "share of rules"), "lot_random": ("run", "share of rules"),
    "fvu": ("run", "share"), "dead": ("run", "share of features"),
}  # fmt: skip


def measured_one(s: Streetlight, dictionary: Dictionary, bench: Bench) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The measures of one run, without the axis run, and the names of its questions."""
    from assay.dictionaries.baselines.linear import pca
    from assay.features.probing import random_dictionary

    data, test = activations(s, bench)
    rows = data.rows(data.kept[: 8192])
    others = () if s.asks == "permuted" else ("random", "random-again")
    made = {"sae": dictionary, **{name: random_dictionary(dictionary.normalised, rows, seed=s.seed + 10**6 * i) for i, name in enumerate(others)}}
    asked = planted(s, dictionary, data) if s.asks == "planted" else listed(s, data, bench)
    texts = read(asked, made, pca(rows, min(IDENTITY, data.d))[0])
    validation = np.full((len(asked.names), len(s.regimes), len(METHODS)), np.nan)
    reached = np.full((*validation.shape, len(PARTS)), np.nan)
    for i, regime in enumerate(s.regimes):
        q = questions(asked, regime, s.seed, permuted=s.asks == "permuted")
        for name, tuned in methods(texts, q, s.seed):
            at = METHODS.index(name)
            validation[:, i, at], reached[:, i, at] = tuned.validation.numpy(), tuned.tests.mT.numpy()
    named: dict[str, Any] = {"validation": validation, "auroc": reached}
    if s.asks == "listed":
        named |= looking(s, made, data, test, bench)
    if s.asks != "planted" and any(s.worded) and s.weights == "trained":
        named["asked"] = in_words(s, asked, data, bench)
    return named, asked.names


def listed(s: Streetlight, data: Harvest, bench: Bench) -> Asked:
    """The frozen list."""
    import torch

    from assay.data.concept_acts import concept_acts

    got = concept_acts(data, s.sizes, bench)
    return Asked(got.names, data.normalise(torch.from_numpy(got.acts).float()), got.tokens, got.label, got.part)


def planted(s: Streetlight, dictionary: Dictionary, data: Harvest, before: int = 8) -> Asked:
    """Questions whose answer is one feature: is it on at the last of so many tokens? As many as there are concepts, features drawn by lot."""
    import torch

    count = len(concepts.CONCEPTS)
    rows = data.kept[data.kept % data.spec.context >= before][:12_800]
    f = torch.cat([dictionary.normalised.encode(data.rows(part))[0] > 0 for part in np.array_split(rows, 8)]).numpy()
    halves = np.array(s.sizes) // 2
    usable = np.flatnonzero((f.sum(0) >= halves.sum()) & ((~f).sum(0) >= halves.sum()))
    draw = generator(s.seed, "streetlight.planted")
    label, part, at = [], [], []
    for feature in draw.permutation(usable)[:count]:
        sides = [draw.permutation(np.flatnonzero(f[:, feature] == yes))[: halves.sum()] for yes in (True, False)]
        at.append(rows[np.concatenate(sides)])
        label.append(np.repeat([True, False], halves.sum()))
        part.append(np.tile(np.repeat(np.arange(4), halves), 2))
    if len(at) < count:
        raise SpecError(f"only {len(at)} features are on often enough for a planted question, {count} are needed; give more windows or fewer sizes")
    places = np.stack(at)[..., None] - np.arange(before)[::-1]
    x = data.rows(places.ravel()).view(*places.shape, data.d)
    tokens = data.tokens.ravel()[places]
    return Asked(tuple(c.name for c in concepts.CONCEPTS), x, tokens, np.stack(label), np.stack(part))


def looking(s: Streetlight, made: dict[str, Dictionary], data: Harvest, test: Harvest, bench: Bench) -> dict[str, Any]:
    """Shares of features for which looking finds a rule, and of rules drawn by lot for which there is a feature; error of the dictionary."""
    import torch

    from assay.features.predicates import followed

    rule = token_rules(s, data, test, bench)
    places = [np.flatnonzero(part.keep[: s.looked].ravel()) for part in (data, test)]
    true = [torch.from_numpy(r[at]) for r, at in zip(rule, places, strict=True)]
    x = [part.rows(at) for part, at in zip((data, test), places, strict=True)]
    out: dict[str, Any] = {}
    draw = generator(s.seed, "streetlight.lots")
    for name, suffix in (("sae", ""), ("random", "_random")):
        f = tuple(made[name].normalised.encode(part)[0] for part in x)
        live = np.flatnonzero(((f[0] > 0).sum(0) >= 10).numpy())
        mine = torch.from_numpy(draw.permutation(live)[: s.lots])
        by_feature, _ = followed((f[0][:, mine], f[1][:, mine]), (true[0], true[1]))
        _, by_rule = followed((f[0], f[1]), (true[0], true[1]))
        named = np.flatnonzero(~np.isnan(by_rule))
        out[f"found{suffix}"] = np.mean(by_feature >= GOOD_F1)
        out[f"lot{suffix}"] = np.mean(by_rule[draw.permutation(named)[: s.lots]] >= GOOD_F1)
        if not suffix:
            shuffled = [t[torch.from_numpy(draw.permutation(len(t)))] for t in true]
            out["found_shuffled"] = np.mean(followed((f[0][:, mine], f[1][:, mine]), (shuffled[0], shuffled[1]))[0] >= GOOD_F1)
            off = made[name].normalised.decode(f[1][None])[0] - x[1]
            out["fvu"] = float(off.square().sum() / (x[1] - x[1].mean(0)).square().sum())
            out["dead"] = float((~(f[0] > 0).any(0) & ~(f[1] > 0).any(0)).float().mean())
    return out


GOOD_F1 = 0.8
"""F1 from which a feature counts as following a rule."""


@dataclass(frozen=True, kw_only=True)
class RulesSpec(Spec):
    """The rules about the tokens of the first windows of two harvests."""

    model: str
    """Hash of the model whose tokenizer is read."""
    corpus: str
    """Fingerprint of the text."""
    train: HarvestSpec
    """The harvest whose tokens choose."""
    test: HarvestSpec
    """The harvest whose tokens judge."""
    looked: int
    """Windows of each."""
    library: int = 1
    """Counted up when the rules change."""


def token_rules(s: Streetlight, data: Harvest, test: Harvest, bench: Bench) -> tuple[Bool[np.ndarray, "token rule"], ...]:
    """What every rule says of the tokens that are looked at, and of those that judge; windows whose file does not parse have no syntax."""
    from assay.data import corpus as corpora
    from assay.data.corpus import Windows
    from assay.features.labels import window_labels
    from assay.features.predicates import common, rules

    def build(path: Path) -> None:
        tokenizer, corpus = find(data.spec.subject).tokenizer, corpora.load(s.corpus)
        text = tokenizer.token_text(range(len(tokenizer)))
        known = common(data.tokens[: s.looked], 200)
        for name, part in (("train", data), ("test", test)):
            first = Windows(*(values[: s.looked] for values in (part.windows.tokens, part.windows.document, part.windows.offset)))
            labels, _ = window_labels(corpus, first, tokenizer)
            np.save(path / f"{name}.npy", rules(first.tokens, text, labels, known).true)

    read = data.trained_on
    plain = [part.spec.replace(subject="", site="blocks.0.hook_resid_pre") for part in (data, test)]  # rules are about text alone
    where = bench.artefact(RulesSpec(model=tokenizer_of(s), corpus=read["corpus"], train=plain[0], test=plain[1], looked=s.looked), build)
    return tuple(np.load(where / f"{name}.npy") for name in ("train", "test"))


def tokenizer_of(s: Streetlight) -> str:
    """The model whose tokenizer is read."""
    return harvest_inputs(s.text("train", s.windows))["model"]


def in_words(s: Streetlight, asked: Asked, data: Harvest, bench: Bench) -> Any:
    """AUROC of the model's own answers on test texts; which of its two words means yes is chosen on validation texts."""
    import torch

    from assay.data.concept_acts import answers
    from assay.features.kernel_probe import auc

    odds = answers(data, s.sizes, s.worded, bench)
    found = []
    for score, label, part in zip(odds, asked.label, asked.part, strict=True):
        at = [np.flatnonzero((part == p) & ~np.isnan(score)) for p in (1, 2)]
        values = [float(auc(torch.from_numpy(score[i]), torch.from_numpy(label[i]))) for i in at]
        found.append(values[1] if not values[0] < 0.5 else 1 - values[1])
    return np.array(found)


def inputs(spec: Streetlight) -> dict[str, str]:
    """Model and corpus of a run, and the hash of the frozen list."""
    find(spec.subject).check(Site.parse(spec.text("train", 1).site))
    return {**harvest_inputs(spec.text("train", spec.windows)), "concepts": concepts.fingerprint()}


def cost(runs: Runs[Streetlight]) -> Cost:
    """The disk that the harvest takes, shared by the arms on the same activations; seconds come from the record."""
    size = runs.shared.text("train", runs.shared.windows)
    return Cost(bytes=size.bytes(), artefacts={size.to_json(): size.bytes()})
