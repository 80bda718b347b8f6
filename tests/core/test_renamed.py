"""Old names of modules are the modules of today."""

import importlib
from pathlib import Path

import pytest

import assay
from assay.core.renamed import RENAMED


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_is_the_module_itself(old):
    module = importlib.import_module(RENAMED[old])
    assert importlib.import_module(old) is module
    assert module.__name__ == module.__spec__.name == RENAMED[old]


@pytest.mark.parametrize("old", RENAMED)
def test_no_file_lies_under_an_old_name(old):
    folder = Path(assay.__file__).parents[1]
    assert not folder.joinpath(*old.split(".")).with_suffix(".py").exists()


def test_a_name_that_never_was_is_still_refused():
    with pytest.raises(ModuleNotFoundError, match="never_was"):
        importlib.import_module("assay.core.never_was")
