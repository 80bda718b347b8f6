"""Where names are found: modules when they are typed, and a word of advice for a name that is
none."""

import subprocess
import sys
from importlib import metadata

import pytest

import assay

TYPED = (
    "losses.l1",
    "architectures.TopK",
    "dictionaries.Dictionary",
    "subjects.Site",
    "data.Harvest",
    "metrics.fvu",
    "train_dictionary",
)


@pytest.mark.thorough
def test_what_is_typed_after_import_assay_is_there():
    """In an interpreter of its own, where no test before has imported anything."""
    code = "\n".join(["import assay", *(f"assay.{dotted}" for dotted in TYPED)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_name_from_nowhere_gets_the_nearest():
    with pytest.raises(AttributeError, match=r"no public name Clam; did you mean Claim\?"):
        assay.Clam  # noqa: B018
    with pytest.raises(
        AttributeError, match=r"assay\.subjects has no public name Sight; did you mean Site\?"
    ):
        assay.subjects.Sight  # noqa: B018


@pytest.mark.thorough
def test_a_function_is_not_hidden_by_the_file_that_it_lies_in():
    """In whatever order they are asked for: `fit` lies in fit.py, `harvest` in harvest.py."""
    code = (
        "import assay.core.fit, assay.data.harvest; print(callable(assay.core.fit), "
        "callable(assay.data.harvest))"
    )
    for first in ("import assay; assay.core.fit, assay.data.harvest", ""):
        done = subprocess.run(
            [sys.executable, "-c", f"{first}\n{code}"], capture_output=True, text=True, check=True
        )
        assert done.stdout == "True True\n"


def test_what_a_room_holds_is_known_before_it_is_loaded():
    """That nothing is imported for it: tests/house/test_imports.py."""
    assert "BatchTopK" in dir(assay.dictionaries) and dir(assay.data)[-1] == "inputs"


def test_the_version_is_the_one_that_is_installed():
    assert assay.__version__ == metadata.version("interp-assay")
