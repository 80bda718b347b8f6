"""A preset with a design of its own claims of another model what is claimed of SmolLM2: the same
ranges and controls under other names. Gemma's 18 blocks are too few to be units."""

import re
from dataclasses import fields

import pytest

from assay.core.claims import Claim
from assay.lab import catalogue

DESIGNS = {"metric-audit": "lm-", "path-split": "smollm2-", "targets": "smollm2-"}
"""Entries whose preset gemma has a design, and what stands before the names of SmolLM2's arms."""
CODE = ("value", "statistic", "gates", "threshold_from", "units", "fixed")
COMPARED = [f.name for f in fields(Claim) if f.name not in CODE]


def statement(claim, prefix):
    """What a claim says, its model and the prefix of its arms taken away."""
    text = repr([getattr(claim, name) for name in COMPARED])
    text = re.sub(rf"SmolLM2|Gemma|(?<=['\"]){prefix}", "", text.replace("'smollm2'", "'main'"))
    return re.sub(r"\b\d\d (MLPs|blocks|inner blocks)", r"\1", text)


@pytest.mark.parametrize("name", DESIGNS)
def test_its_claims_are_those_on_smollm2_in_other_names(name):
    experiment = catalogue.find(name)
    design, prefix = experiment.elsewhere["gemma"].design, DESIGNS[name]
    assert design.name == name and design.origin == experiment.origin
    on_gemma = [statement(c, prefix) for c in design.claims if isinstance(c, Claim)]
    on_smollm2 = [
        statement(c, prefix)
        for c in experiment.claims
        if isinstance(c, Claim) and c.of.startswith(prefix.removesuffix("-"))
    ]
    assert on_gemma == on_smollm2


@pytest.mark.parametrize("name", DESIGNS)
def test_specs_find_their_design_by_their_class(name):
    experiment = catalogue.find(name)
    design = experiment.elsewhere["gemma"].design
    assert experiment.sized(experiment.preset("gemma")).arms.keys() == design.arms.keys()
    assert experiment.sized(experiment.default).arms.keys() == experiment.arms.keys()
    assert design.designed(experiment.preset("gemma")) is design
