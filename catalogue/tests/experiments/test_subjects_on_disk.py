"""Experiments that train models of their own say so where a model on disk is named for them."""

import pytest

from assay.core.errors import SpecError
from assay_catalogue.experiments.path_split.method import PathSplit
from assay_catalogue.experiments.targets.method import WhichTarget


def test_nothing_is_trained_on_a_tiny_model_in_the_name_of_another():
    with pytest.raises(
        SpecError, match=r"tiny models alone: WhichTarget.subject must be tiny, got"
    ):
        WhichTarget(subject="gemma3-270m")
    with pytest.raises(SpecError, match=r"PathSplit.subject must be one of tiny, planted, got 'sm"):
        PathSplit(subject="smollm2", taken_out=8)
    assert WhichTarget(subject="gemma3-270m", cells=()).subject == "gemma3-270m"
    assert PathSplit(subject="smollm2").taken_out == 0
