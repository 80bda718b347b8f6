"""What autointerp-io claims: the statements, and how each value is computed from measures."""

from __future__ import annotations

import numpy as np
import xarray as xr

from assay.core import Arms, Claim, Finding, Gate
from assay.core.claims import OneTerm
from assay.core.measures import by

SEED = "nostalgebraist, remarks on Towards Monosemanticity: a feature may be described by what it does"
PLAN = "plan: set before any pilot"
BILLS = "Bills et al. 2023, Language models can explain neurons in language models"
GUR = "Gur-Arieh et al. 2025, Enhancing Automated Interpretability with Output-Centric Feature Descriptions"
PAULO = "Paulo et al. 2024, Automatically Interpreting Millions of Features"


def less(name: str, other: str) -> OneTerm:
    """[seed]: mean over features, or over pairs, of one measure less another."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        difference = by(arm)[name] - by(arm)[other]
        return difference.mean([d for d in difference.dims if d != "seed"])

    return value


def average(name: str) -> OneTerm:
    """[seed]: mean of a measure over features, or over pairs."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        measure = by(arm)[name]
        return measure.mean([d for d in measure.dims if d != "seed"])

    return value


def of_main(value: OneTerm) -> object:
    """A finding's value: the same of the arm main."""
    return lambda arms: value(arms["main"], arms)


def interaction(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: how much better inputs are than outputs at detection, less how much better they are in the lineup."""
    return less("detection", "detection_out")(arm, arms) - less("lineup_in", "lineup_out")(arm, arms)


def sane(arm: xr.Dataset) -> bool:
    """Whether explanations of other features tell next to nothing, on average."""
    return "shuffled" not in arm or abs(float(np.nanmean(arm.shuffled.values)) - 0.5) <= 0.05


def enough(arm: xr.Dataset) -> bool:
    """Whether there are 20 token-in-context features in all."""
    return "found" not in arm or float(arm.found.sum()) >= 20


SANE = Gate("explanations of other features tell little: detection within .5 ± .05", sane)
FOUND = Gate("20 token-in-context features", enough)
UNTRAINED = "what text and dictionary give where the model has learned nothing"
START = "what the largest of random directions give in the same model"
CLAIMS = (
    Claim(
        text="On a token-in-context feature's own token, whether one of the 10 tokens that it promotes comes next tells its firing better than "
        "a rule of 10 tokens on what came before: AUROC higher by at least 0.02",
        value=less("given_out", "given_in"), low=0.02, fail_low=-0.02, unit="AUROC", gates=(FOUND,), half={"main": "half"},
        must_fail=("other-promoted", "common-next", "planted-input"), must_hold=("planted-output",),
        near={"common-next": "the 10 commonest tokens after it, whatever the feature", "other-promoted": "the tokens of another such feature"},
        also={"hindsight": "it picks the 10 following tokens by the firings themselves: the most that following tokens could tell"},
        threshold_from=PLAN, published="new", source=SEED,
    ),
    Claim(
        text="What a feature promotes adds to a rule about inputs: AUROC over all tokens higher by at least 0.01",
        value=less("both", "auroc"), low=0.01, fail_low=0.002, unit="AUROC", half={"main": "half"}, gates=(SANE,),
        must_fail=("permuted-next",), near={"permuted-next": "one more input to a regression"}, threshold_from=PLAN, published="new", source=SEED,
    ),
    Claim(
        text="Explanations of inputs win where inputs are told, those of outputs where steered tokens are told: the lead at detection and "
        "the lead in the lineup differ by at least 0.1",
        value=interaction, low=0.1, unit="share", half={"main": "half"}, gates=(SANE,), must_fail=("shuffled",),
        near={"shuffled": "any explanation of either kind, of another feature"},
        threshold_from="plan: set before any pilot; fails at the same bound, as the control has to fail too", published="new",
        source=f"{GUR}: descriptions of inputs do better on inputs, those of outputs on outputs",
    ),
    Claim(
        text="A dictionary's features are told by their rules at least 0.05 better than neurons that fire as often",
        value=less("detection", "neuron"), low=0.05, unit="balanced accuracy", half={"main": "half"}, gates=(SANE,),
        must_fail=("directions",), near={"directions": "random directions instead of features"},
        threshold_from="plan: set before any pilot; fails at the same bound, as the control has to fail too", published="new",
        source=f"{PAULO}: features of sparse autoencoders are more interpretable than neurons",
    ),
    Claim(
        text="A dictionary's features are told by their rules at least 0.05 better than random directions that fire as often",
        value=less("detection", "direction"), low=0.05, unit="balanced accuracy", half={"main": "half"}, gates=(SANE,),
        must_fail=("directions-again",), near={"directions-again": "two draws of random directions"},
        threshold_from="plan: set before any pilot; fails at the same bound, as the control has to fail too", published="new", source=PAULO,
    ),
    Claim(
        text="Scores are not empty: the rule of another feature detects no better than chance, within 0.5 ± 0.03",
        value=average("shuffled"), low=0.47, high=0.53, unit="balanced accuracy", half={"main": "half"}, must_fail=("own-rules",),
        near={"own-rules": "that the score sees no difference between rules"},
        also={"untrained": "rules of other features say as little there", "start": "rules of other features say as little there"},
        threshold_from=PLAN, published="new", source=SEED,
    ),
    *(
        Finding(text=text, value=of_main(average(name)), unit=unit)
        for text, name, unit in (
            ("Detection by rules on inputs", "detection", "balanced accuracy"),
            ("Detection by promoted tokens", "detection_out", "balanced accuracy"),
            ("Detection by rules that may name kinds of tokens", "worded", "balanced accuracy"),
            ("The same rules with quoted tokens taken out", "bare", "balanced accuracy"),
            ("Fuzzing by rules", "fuzzing", "balanced accuracy"),
            ("Simulation by rules", "simulation", "correlation"),
            ("F1 of rules, token by token", "f1", "F1"),
            ("AUROC of rules, token by token", "auroc", "AUROC"),
            ("Average precision of rules, token by token", "precision", "average precision"),
            ("AUROC of logit weights for the tokens that rules name (chance .5)", "predicted", "AUROC"),
            ("Lineup by rules on inputs (chance 1/3)", "lineup_in", "share"),
            ("Lineup by promoted tokens (chance 1/3; nearly the definition of them in the last block)", "lineup_out", "share"),
            ("Token-in-context features found of 256", "found", "features"),
            ("On their own token: a rule on what came before", "given_in", "AUROC"),
            ("On their own token: whether a promoted token comes next", "given_out", "AUROC"),
            ("On their own token: how likely another model finds the promoted tokens", "given_likely", "AUROC"),
            ("On their own token: the 10 following tokens that told firings best on the text that was explained", "given_hindsight", "AUROC"),
        )
    ),
)  # fmt: skip
