"""`assay new` writes an experiment that runs as it is, claims something true, and has a control
that fails and could pass."""

import os

import pytest

from acceptance.test_new import assay
from assay.ask import missing, text
from assay.core.errors import ExperimentError
from assay.core.experiment import read_header
from assay.verbs.new import write_experiment

__all__ = ["assay"]


def test_its_control_can_pass(tmp_path, assay):
    path = write_experiment("claim", tmp_path).path
    path.write_text(path.read_text().replace("changed(spread=1.0)", "changed(spread=2.0)"))
    (verdict,) = assay("run", "claim.py", "--executor", "inline")["verdicts"]
    assert verdict["outcome"] == "unspecific"
    assert verdict["reason"] == "control flat satisfies it too"


def test_a_study_that_asks_a_model_has_rows_enough_for_a_verdict(tmp_path, assay):
    study = text.read(tmp_path / assay("new", "my-question", "--ask")["path"]).study
    assert [m.name for m in study.model] == ["smollm2"]
    assert len({row["country"] for row in study.prompts[0].rows}) == 24 >= missing.ALONE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["my-Question", "--ask"], "my-Question.toml is written. Next"),
        (
            ["my claim", "--ask"],
            "my_claim.toml is written in place of my claim, since a name has no sp",
        ),
        (["my-claim"], "my_claim.py is written in place of my-claim, which Python cannot import"),
        (["claim_2.py"], "claim_2.py is written. Next"),
    ],
)
def test_the_file_has_the_name_as_it_was_typed_or_it_is_said_why_not(
    words, said, tmp_path, commands
):
    assert said in " ".join(commands.run(["new", *words], tmp_path, os.environ).out.split())
    path = tmp_path / said.partition(" ")[0]
    assert f"assay run {path.name}`" in path.read_text()


def test_the_name_becomes_file_and_class(tmp_path):
    path = write_experiment("Which way Up", tmp_path).path
    assert path.name == "which_way_up.py"
    assert "class WhichWayUp(Spec)" in path.read_text()
    assert read_header(path).title.startswith("A linear autoencoder")
    claim = write_experiment("claim", tmp_path).path.read_text()
    assert "class ClaimSpec(Spec)" in claim, "not one that the file imports"


@pytest.mark.parametrize("name", ["2nd", "", "a.b", "../up"])
def test_other_names_are_refused(tmp_path, name):
    with pytest.raises(ExperimentError, match="try my_claim"):
        write_experiment(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_it_overwrites_nothing(tmp_path):
    (tmp_path / "mine.py").write_text("precious")
    with pytest.raises(
        ExperimentError, match="gated-sae is an experiment already; choose another name"
    ):
        write_experiment("gated_sae", tmp_path)
    with pytest.raises(ExperimentError, match="already there"):
        write_experiment("mine", tmp_path)
    assert (tmp_path / "mine.py").read_text() == "precious"
