"""What streetlight claims: the statements, and how each value is computed from measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from assay.core import Arms, Claim, Finding, Published, Value
from assay.core.measures import by
from assay.core.stats import Means
from assay.experiments.streetlight.probes import BASELINES, REGIMES, SAE, SCARCE

if TYPE_CHECKING:
    import xarray as xr

SHAH = "Shah 2024, comments on practically important features and the streetlight effect"
USEFUL = "Kantamneni et al. 2025, Are Sparse Autoencoders Useful? (arXiv 2502.16681)"
FIRST = "Kantamneni and Engels 2024, SAE Probing: What is it good for?"
GDM = "Smith et al. 2025, Negative Results for SAEs On Downstream Tasks"
PLAN = "plan: the specification's margin, before any pilot"
MARGIN = "pilot: the first look's margin, from seeds 0 and 1: with few texts nothing could be decided at the specification's ±.01"
PILOT = "pilot: seed 0, best single feature .81, with a frozen decoder .73; a rule is found for .047 and .068 of the features"
KORZNIKOV = "Korznikov et al. 2026, Sanity Checks for Sparse Autoencoders (arXiv 2602.14111)"
GOOD = {"test": 0.85, "shifted": 0.75}
"""AUROC from which a single feature counts as good, on unseen texts and, where that is asked too, on texts of other templates."""
FULL = tuple(r for r in REGIMES if r not in SCARCE)
TIED = 0.02
"""A concept whose words alone come that close to the best probe is one of surface."""


def data(arm: xr.Dataset) -> xr.Dataset:
    """The measures of probes, [seed, task, …]."""
    return by(arm[["validation", "auroc"]])


def reached(arm: xr.Dataset, method: str, part: str = "test", regimes: Sequence[str] = ("standard",)) -> xr.DataArray:
    """[seed, task]: AUROC of one method, the mean over regimes; on texts of other templates of the regime "standard"."""
    if part == "shifted":
        return by(arm[["shifted"]]).shifted.sel(probe=method, drop=True)
    return data(arm).auroc.sel(probe=method, drop=True).sel(regime=list(regimes)).mean("regime", skipna=False)


def picked(arm: xr.Dataset, methods: Sequence[str]) -> xr.DataArray:
    """[seed, task, regime]: AUROC of the method with the best validation AUROC; of several equal ones the mean."""
    d = data(arm).sel(probe=list(methods))
    return d.auroc.where(d.validation == d.validation.max("probe")).mean("probe")


def gain(arm: xr.Dataset, regimes: Sequence[str]) -> xr.DataArray:
    """[seed, task]: by how much the quiver's test AUROC rises when the dictionary's probes are put into it, the mean over regimes."""
    off = picked(arm, (*BASELINES, *SAE)) - picked(arm, BASELINES)
    return off.sel(regime=list(regimes)).mean("regime", skipna=False)


def gains(regimes: Sequence[str]) -> Value:
    """A value [seed, task]: that gain."""
    return lambda arm, arms: gain(arm, regimes)


def less(a: str, b: str) -> Value:
    """A value [seed, task]: AUROC of one method less that of another."""
    return lambda arm, arms: reached(arm, a) - reached(arm, b)


def good(arm: xr.Dataset, method: str = "sae-1", parts: Sequence[str] = ("test",)) -> xr.DataArray:
    """[seed, task]: 1 where the best single feature, chosen on training texts, is a good one."""
    return sum((reached(arm, method, part) >= GOOD[part]).astype(float) for part in parts) // len(parts)  # type: ignore[return-value]


def more(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed, task]: 1 where the dictionary has a good feature and a random one has none, −1 the other way round."""
    return good(arm) - good(arm, "random-1")


def on_list(value: Value) -> Value:
    """A value [seed]: the mean over the concepts of the list, about which alone the claim then speaks."""
    return lambda arm, arms: value(arm, arms).mean("task", skipna=False)  # type: ignore[union-attr]


def looked(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """Terms: the share of features for which looking finds a rule, and whether each concept named in advance has a good feature."""
    before = good(arm)
    return {"found": by(arm[["found"]]).found.broadcast_like(before), "named": before}


def over_frozen(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed, task]: AUROC of the best single feature less that of the same seed's dictionary with a frozen decoder."""
    mine = reached(arm, "sae-1")
    return mine - reached(arms["frozen"], "sae-1").sel(seed=mine.seed, task=mine.task)


def over_main(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: the share of features for which looking finds a rule, less that of the same seed's dictionary as it is usually trained."""
    mine = by(arm[["found"]]).found
    return mine - by(arms["main"][["found"]]).found.sel(seed=mine.seed)


def beyond_chance(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: the share of features for which looking finds a rule, less that of a random dictionary."""
    found = by(arm[["found", "found_random"]])
    return found.found - found.found_random


def gap(m: Means) -> np.ndarray:
    """Share of what is found by looking less the share of what was named in advance."""
    return m["found"] - m["named"]


def illusion(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed, task]: AUROC of the dictionary's probes, best by validation, less an untuned regression's, with few examples."""
    mine = picked(arm, SAE).sel(regime=list(SCARCE)).mean("regime")
    return mine - reached(arm, "untuned", regimes=SCARCE)


def in_words(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed, task]: AUROC of a tuned regression less that of the model's own answer."""
    return reached(arm, "logistic") - by(arm[["asked"]]).asked


def surface(arms: Arms) -> list[str]:
    """The concepts of which the words alone say as much as the best probe, up to `TIED`."""
    d = data(arms["main"]).auroc.sel(regime="standard", drop=True).mean("seed")
    words = d.sel(probe=["tokens", "bigrams"]).max("probe")
    best = d.sel(probe=[m for m in (*BASELINES, *SAE) if m not in ("tokens", "bigrams")]).max("probe")
    return [str(t) for t in d.task.values[(words >= best - TIED).values]]


def deeper(arms: Arms, x: xr.DataArray) -> xr.DataArray:
    """Leave the concepts of surface out of a value."""
    return x.sel(task=[t for t in x.task.values.tolist() if t not in surface(arms)])


UNITS, HALF = ("seed", "task"), {"main": "half"}
COMMON = {"units": UNITS, "half": HALF}
NOISE = "what a probe makes of answers that mean nothing"
SINGLE, SPARSE, RECON = less("sae-1", "random-1"), less("sae-16", "sae-1"), less("logistic", "recon")
DICTIONARY = "a dictionary too"
CLAIMS = (
    Claim(
        text="Not an extreme streetlight: on this list, named in advance, the best single feature's AUROC lies at least 0.05 above that of a "
        "random dictionary",
        value=on_list(SINGLE), low=0.05, unit="AUROC", must_fail=("random-again", "untrained", "frozen"),
        near={"frozen": "an encoder that learned to read directions that nobody learned",
              "untrained": "what text and architecture give without any training", "random-again": "the best of as many random directions"},
        must_hold=("planted",), half=HALF, threshold_from="plan: before any pilot; the specification asks for .1 of a share of good features",
        published=Published(0.03, KORZNIKOV, at="abstract",
                            note="sparse probing .72 against .69 of dictionaries with a frozen half, a nearer control than random directions"),
        source=SHAH,
    ),
    Claim(
        text="Naming tells what was learned: on this list the best single feature's AUROC lies at least 0.05 above that of a dictionary whose "
        "decoder was never learned",
        value=on_list(over_frozen), low=0.05, unit="AUROC", must_fail=("random-again", "untrained"),
        near={"random-again": "random directions, read by no learned encoder", "untrained": "another model's dictionary"},
        also=dict.fromkeys(("oracle", "both-oracles", "shuffled-look", "random-look"), "the same features"), half=HALF, threshold_from=PILOT,
        published=Published(0.03, KORZNIKOV, at="abstract", note="sparse probing .72 against .69, mean over their three controls"),
        source=KORZNIKOV,
    ),
    Claim(
        text="Looking first flatters: the share of features for which a rule is found lies at least 0.1 above the share of concepts named in "
        "advance that have a good feature",
        value=looked, statistic=gap, low=0.1, unit="difference of shares", must_fail=("shuffled-look",),
        near={"shuffled-look": "a library so large that some rule fits anything"},
        also={"untrained": "any dictionary of tokens has features that follow tokens; the claim is about what is done first",
              "random-look": "the same", "frozen": "the same"},
        threshold_from=PLAN, published="new", source=SHAH, **COMMON,
    ),
    Claim(
        text="What is found by looking was learned: rules are found for at least 0.02 more of the features than of a random dictionary's",
        value=beyond_chance, low=0.02, unit="difference of shares", must_fail=("frozen", "shuffled-look"),
        near={"frozen": "an encoder that learned to read directions that nobody learned"},
        also={"untrained": "it was learned from another model's activations"}, half=HALF,
        threshold_from="plan: a third of what the first look had found, before any frozen decoder was trained",
        published=Published(0.03, KORZNIKOV, at="abstract",
                            note="automatic interpretability .90 against .87 of dictionaries with a frozen half: close, so looking says little"),
        source=KORZNIKOV,
    ),
    Claim(
        text="Looking does not tell: for at most 0.01 fewer of the features a rule is found where the decoder was never learned",
        of="frozen", value=over_main, low=-0.01, unit="difference of shares", must_fail=("random-look", "shuffled-look"),
        near={"random-look": "any directions do, read by no learned encoder"},
        also={"main": "compared with itself", "half": "trained for less long", "untrained": "another model's dictionary"}, threshold_from=PILOT,
        published=Published(-0.03, KORZNIKOV, at="abstract", note="automatic interpretability .87 against .90"), source=KORZNIKOV,
    ),
    Claim(
        text="With 64 training texts the dictionary adds nothing to a tuned quiver: the mean gain in AUROC lies within ±0.01",
        value=gains(FULL), low=-0.01, high=0.01, unit="AUROC", must_fail=("planted", "oracle"),
        near={"oracle": "winners picked by the test beside baselines tuned by validation",
              "planted": "questions that are one feature: what a dictionary of the right features would bring"},
        also={"both-oracles": "the same leak on both sides"}, threshold_from=PLAN, published="new", source=USEFUL, **COMMON,
    ),
    Claim(
        text="With 8 or 32 training texts too: the mean gain in AUROC lies within ±0.02",
        value=gains(SCARCE), low=-0.02, high=0.02, unit="AUROC", must_fail=("planted", "oracle"),
        near={"oracle": "winners picked by the test beside baselines tuned by validation",
              "planted": "questions that are one feature: what a dictionary of the right features would bring"},
        also={"both-oracles": "the same leak on both sides"}, threshold_from=MARGIN, published="new", source=USEFUL, **COMMON,
    ),
    Claim(
        text="A weak baseline deceives: on this list, with 8 or 32 texts, the dictionary's probes beat an untuned regression by at least 0.01",
        value=on_list(illusion), low=0.01, unit="AUROC", must_fail=("tuned",), near={"tuned": "a lead over any regression"},
        also={"planted": "questions that are one feature"}, half=HALF, threshold_from=PLAN,
        published="new", source=FIRST,
    ),
    Claim(
        text="One feature is not enough: on this list 16 features reach at least 0.05 more than the best one",
        value=on_list(SPARSE), low=0.05, unit="AUROC", must_fail=("planted", "permuted"),
        near={"planted": "more features always help, even where one is the answer"},
        also={"untrained": DICTIONARY, "frozen": DICTIONARY, "oracle": "the same probes", "both-oracles": "the same probes"},
        half=HALF, threshold_from=PLAN, published="new",
        source=GDM,
    ),
    Claim(
        text="Reconstruction loses what matters: on this list a regression on it reaches at least 0.01 less than one on the activations",
        value=on_list(RECON), low=0.01, unit="AUROC", must_fail=("components", "permuted"),
        near={"components": "a detour through any other basis: 256 principal components"},
        also={"untrained": DICTIONARY, "frozen": DICTIONARY, "planted": DICTIONARY, "oracle": "the same probes", "both-oracles": "the same probes"},
        half=HALF, threshold_from=PLAN, published="new", source=GDM,
    ),
    Claim(
        text="What a dictionary leaves over tells as well: a regression on the error alone reaches at least 0.6",
        value=lambda arm, arms: reached(arm, "error"), low=0.6, unit="AUROC", must_fail=("permuted",), near={"permuted": NOISE},
        also={"untrained": DICTIONARY, "frozen": DICTIONARY, "planted": DICTIONARY}, threshold_from=PLAN, published="new", source=GDM, **COMMON,
    ),
    Claim(
        text="Asked in words, the model says less than a regression reads from it: AUROC at least 0.1 lower",
        value=in_words, low=0.1, unit="AUROC", units=UNITS, must_fail=("permuted",), near={"permuted": "answers worse than guessing"},
        also={"half": "no dictionary is read", "frozen": "no dictionary is read"}, threshold_from="plan: before any pilot",
        published="new", source="the issue: the model itself asked in words",
    ),
    Finding(text="Concepts named in advance that have a good single feature", value=lambda arms: good(arms["main"]), units=UNITS, unit="share"),
    Finding(text="The same in a random dictionary", value=lambda arms: good(arms["main"], "random-1"), units=UNITS, unit="share"),
    Finding(text="Concepts whose good feature is also good (AUROC at least 0.75) on texts of other templates",
            value=lambda arms: good(arms["main"], parts=tuple(GOOD)), units=UNITS, unit="share"),
    Finding(text="Rules of the library that have a feature (F1 at least 0.8)", value=lambda arms: by(arms["main"]).lot, unit="share"),
    Finding(text="The same in a random dictionary", value=lambda arms: by(arms["main"]).lot_random, unit="share"),
    Finding(text="Live features for which looking finds a rule (F1 at least 0.8)", value=lambda arms: by(arms["main"]).found, unit="share"),
    Finding(text="The same in a random dictionary", value=lambda arms: by(arms["main"]).found_random, unit="share"),
    Finding(text="Concepts named in advance that have a good feature, less those of a random dictionary",
            value=lambda arms: more(arms["main"], arms), units=UNITS, unit="share"),
    Finding(text="The same with a frozen decoder", value=lambda arms: more(arms["frozen"], arms), units=UNITS, unit="share"),
    Finding(text="What both oracles gain with 64 texts", value=lambda arms: gain(arms["both-oracles"], FULL), units=UNITS, unit="AUROC"),
    Finding(text="AUROC of 16 features on this list: learned less frozen decoder", unit="AUROC",
            value=lambda arms: (reached(arms["main"], "sae-16") - reached(arms["frozen"], "sae-16")).mean("task")),
    Finding(text="FVU", value=lambda arms: by(arms["main"]).fvu, unit="share"),
    Finding(text="FVU with a frozen decoder", value=lambda arms: by(arms["frozen"]).fvu, unit="share"),
    Finding(text="Asked in words: AUROC", value=lambda arms: by(arms["main"][["asked"]]).asked, units=UNITS, unit="AUROC"),
    *(
        Finding(text=f"On texts of other templates: AUROC of {name}", units=UNITS, unit="AUROC",
                value=lambda arms, method=method: reached(arms["main"], method, "shifted"))
        for name, method in (("a regression on the activations", "logistic"), ("16 features", "sae-16"), ("attention pooling", "attention"),
                             ("pairs of tokens", "bigrams"))
    ),
    *(
        Finding(text=f"{name}, over concepts like these", value=lambda arms, value=value: value(arms["main"], arms), units=UNITS, unit="AUROC")
        for name, value in (("Lead of the best feature over a random dictionary's", SINGLE), ("Lead over an untuned regression", illusion),
                            ("What 16 features reach more than one", SPARSE), ("What reconstruction loses", RECON))
    ),
    Finding(text="The quiver's gain over all regimes, without the concepts of surface",
            value=lambda arms: deeper(arms, gain(arms["main"], REGIMES)), units=UNITS, unit="AUROC"),
    Finding(text="The single feature's lead over a random dictionary's, without the concepts of surface",
            value=lambda arms: deeper(arms, SINGLE(arms["main"], arms)), units=UNITS, unit="AUROC"),
)  # fmt: skip
