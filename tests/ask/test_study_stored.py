"""A stored result is shown as it was written only as long as judging would say the same, and what
one study has measured no other measures again."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import assay
from acceptance.test_study_stored import command, copy, ran, run_of
from assay.cli.main import main
from assay.core import inputs
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import kept
from planted_folder import ASKED, folder  # noqa: F401 (a fixture)

__all__ = ["copy", "ran"]


def read(place):
    return kept.read(place / "s", "carries", str((place / "carries.toml").resolve()), "default")


def test_it_is_shown_as_the_run_told_it_and_the_study_is_not_made(copy, capsys, monkeypatch):
    assert command("run", copy) == 0
    told = capsys.readouterr().out
    monkeypatch.setattr(catalogue, "load", None)
    assert command("show", copy) == 0
    stored = "\nall 8 runs were stored; they took "
    assert stored in told, "which does not read as if it had run again"
    shown = capsys.readouterr().out
    assert shown == told.replace(stored, "\n8 runs took ") and "\nscope: " in told


def line_of(place, **values):
    with (place / "s/questions.jsonl").open("a") as file:
        file.write(json.dumps(values) + "\n")


CHANGES = {
    "a threshold": lambda f: (f / "carries.toml").write_text(ASKED.replace("< -2", "< -3")),
    "a comment": lambda f: (f / "carries.toml").write_text(f"# mine\n{ASKED}"),
    "a prompt": lambda f: (f / "capitals.csv").write_text(
        (f / "capitals.csv").read_text().replace("France", "Spain", 1) + "\n"
    ),
    "prompts that are gone": lambda f: (f / "capitals.csv").unlink(),
    "a run that is gone": lambda f: shutil.rmtree(run_of(f)),
    "another run in its place": lambda f: (run_of(f) / "status.json").write_text("{}"),
    "a run cut short": lambda f: (run_of(f) / "measures.safetensors").write_bytes(b""),
    "a look that is gone": lambda f: (f / "s/results/carries/looks.jsonl").write_text(""),
    "a line that nobody wrote": lambda f: line_of(f, text="Something else", question="0"),
    "a ledger cut short": lambda f: (f / "s/ledger.jsonl").write_text(""),
    "a study that was frozen": lambda f: (f / "carries.prereg.json").write_text("{}"),
    "another result": lambda f: (f / "s/results/carries/default.json").write_text("{}"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_judged_again_after(change, copy):
    assert read(copy) is not None
    CHANGES[change](copy)
    assert read(copy) is None


def test_that_each_prompt_is_a_unit_is_judged_and_measures_nothing_again(copy, capsys):
    before = {run: run.stat().st_mtime_ns for run in (copy / "s/runs/carries").iterdir()}
    (copy / "carries.toml").write_text(ASKED.replace('unit = "prompt"\n', ""))
    assert command("run", copy) == 0
    assert "all 8 runs were stored" in capsys.readouterr().out
    assert {run: run.stat().st_mtime_ns for run in before} == before
    (copy / "again.toml").write_text(ASKED.replace('unit = "prompt"\n', ""))
    assert command("run", copy, "again") == 0
    assert "runs taken from carries, which measured the same: 8" in capsys.readouterr().err
    (copy / "carries.toml").write_text(ASKED.replace('unit = "prompt"', 'unit = "country"'))
    assert command("show", copy) == 2
    assert "another row, column, text, unit or split" in capsys.readouterr().err


def test_that_each_prompt_is_a_unit_is_not_as_it_was_frozen(copy, capsys):
    shutil.rmtree(copy / "s")
    unsaid = ASKED.replace('"0:2"', '"1000000:1000002"').replace('unit = "prompt"\n', "")
    (copy / "carries.toml").write_text(unsaid)
    assert command("preregister", copy) == command("run", copy) == 0
    assert "not as frozen" not in capsys.readouterr().out
    (copy / "carries.toml").write_text(
        unsaid.replace("[[prompts]]", '[[prompts]]\nunit = "prompt"')
    )
    for verb in ("show", "run"):
        assert command(verb, copy) == 0
        out = capsys.readouterr().out
        assert "not as frozen: prompts" in out and "divided into units otherwise" in out
    assert "all 8 runs were stored" in out


SPLICED = """question = "What does a dictionary leave?"
seeds = "0:2"
[[model]]
name = "./planted"
[[prompts]]
text = "{{who}} went to {{country}} the capital is"
file = "capitals.csv"
[[intervene]]
name = "spliced"
reconstruct = "{dictionary}"
site = "blocks.1.hook_resid_pre"
[[read]]
name = "right"
log_prob = " {{city}}"
[[estimate]]
text = "What is left"
value = "spliced.right"
"""


def constant(width):
    """A dictionary that reconstructs the same vector from everything."""
    one = torch.arange(1.0, width + 1)[None] / width
    zeros = torch.zeros(1, width, 2), torch.zeros(1, 2), torch.zeros(1, 2, width)
    return assay.Dictionary(*zeros, one, assay.dictionaries.ReLU())


def keep(dictionary, root):
    """Store a dictionary as the run kept/main."""
    one = assay.grid(assay.Spec(), seed=[1000])
    arms = {"main": assay.Arm(lambda runs, bench: dictionary.to_trained(), keep=True)}

    def measure(runs, trained, bench):
        return assay.measures(runs, x=("run", [1.0], "1"))

    experiment = assay.Experiment(arms, measure, (), one, one, one, name="kept")
    assay.Lab(root, Inline()).run(experiment)


@pytest.mark.thorough
@pytest.mark.parametrize("executor", ["inline", "workers"])
def test_a_stored_dictionary_is_that_of_the_store_in_use(
    executor,
    folder,  # noqa: F811
    tmp_path,
    monkeypatch,
    capsys,
):
    """The usual store, which the study does not use, has a dictionary of the same name that fits no
    model. What is left with the stored dictionary is what is left with the same one in a file."""
    place = Path(shutil.copytree(folder, tmp_path / "study"))
    width = json.loads((place / "planted/config.json").read_text())["hidden_size"]
    keep(constant(width), place / "s")
    keep(constant(width + 1), place / "assay-store")
    constant(width).save(place / "same.safetensors")
    monkeypatch.chdir(place)
    monkeypatch.setattr(
        inputs, "_scratch", lambda: {*inputs.SYSTEM}
    )  # what lies in /tmp is data here
    left = []
    for name in ("kept/main", "same.safetensors"):
        Path("study.toml").write_text(SPLICED.format(dictionary=name))
        words = ["run", "study.toml", "--root", "s", "--executor", executor, "--json"]
        assert main(words) == 0
        data = json.loads(capsys.readouterr().out)
        left.append(data["findings"][0]["estimate"])
        assert not [note for note in data["notes"] if "not checked" in note]
    assert left[0] == left[1] < 0
