"""Catalogue and presets: what is found, what is refused in one line, and what --set makes of a
preset."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from assay.cli.main import main
from assay.core.errors import ExperimentError, SpecError
from assay.lab import catalogue
from assay.lab.plan.preset import override
from assay.lab.store import origin

WALK = Path(__file__).with_name("walk.py")


def test_a_file_that_is_edited_within_a_second_is_read_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # as on most machines
    path = tmp_path / "mine.py"
    for moment, scope in enumerate(("cats", "dogs")):
        path.write_text(
            WALK.read_text()
            + (
                "\nimport dataclasses\nexperiment = dataclasses.replace(experiment, "
                f"scope={scope!r})\n"
            )
        )
        os.utime(path, ns=(10**18 + moment, 10**18 + moment))
        assert catalogue.find(str(path)).scope == scope
    assert not (tmp_path / "__pycache__").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    {
        "def f(:\n": "mine.py line 1: SyntaxError",
        "import os\nos.nothing\n": (
            "mine.py line 2: AttributeError: module 'os' has no attribute 'nothing'"
        ),
        "x = 1\n": r"mine.py must define `experiment = Experiment\(…\)`; it has no such name",
        "experiment = 3\n": "mine.py must define .*; got int",
        "\n\nimport no_such_module\n": "mine.py line 3: ModuleNotFoundError",
        "from assay.core.errors import SpecError\nraise SpecError('width must be 8')\n": (
            "mine.py line 2: width must be 8"
        ),
    }.items(),
)
def test_files_that_are_no_experiment(tmp_path, text, says):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(ExperimentError, match=says) as e:
        catalogue.find(str(path))
    assert "\n" not in str(e.value)


def test_names_that_do_not_exist(tmp_path, monkeypatch):
    with pytest.raises(
        ExperimentError, match="no experiment is called 'superpositoin'; did you mean superposition"
    ):
        catalogue.find("superpositoin")
    (tmp_path / "my_claim.py").write_text(WALK.read_text())
    monkeypatch.chdir(tmp_path)
    for name in ("my_claim", "my-claim"):
        with pytest.raises(
            ExperimentError, match=f"no experiment is called '{name}'; did you mean my_claim.py"
        ):
            catalogue.find(name)
    with pytest.raises(ExperimentError, match="no file"):
        catalogue.find(str(tmp_path / "absent.py"))
    clash = tmp_path / "superposition.py"
    clash.write_text(WALK.read_text())
    with pytest.raises(ExperimentError, match="another experiment; rename the file"):
        catalogue.find(str(clash))


def test_the_text_of_a_module_elsewhere_is_its_own(tmp_path, monkeypatch):
    """A package's experiment may be called as a built-in one is."""
    (tmp_path / "theirs").mkdir()
    path = tmp_path / "theirs" / "superposition.py"
    path.write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert (
        origin.code("theirs.superposition")
        == origin.code(str(path))
        != origin.code("assay_catalogue.experiments.superposition")
    )
    assert origin.code("theirs.gone") == ""


def test_set_replaces_static_and_per_run_fields():
    walk = catalogue.find(str(WALK))
    chosen = override(walk, "default", ["steps=7"])
    assert {s.steps for s in chosen.specs} == {7}
    assert len(chosen.specs) == 6
    swept = override(walk, "default", ["drift=0.5,1.5", "seed=2:4"])
    assert [(s.drift, s.seed) for s in swept.specs] == [(0.5, 2), (0.5, 3), (1.5, 2), (1.5, 3)]
    assert override(walk, "default").title == "default"
    titles = {override(walk, "default", sets).title for sets in (["steps=7"], ["steps=8"], [])}
    assert len(titles) == 3
    assert (
        override(walk, "smoke", ["seed=3", "steps=5"]).title
        == override(walk, "smoke", ["steps=5", "seed=3"]).title
    )
    assert override(walk, "smoke", ["steps = 5"]).options == " --preset smoke --set steps=5"


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["stps=3"], "the runs have no field stps; did you mean steps"),
        (["steps"], "--set needs field=value, got 'steps'"),
        (["steps=many"], "steps must be a whole number, got 'many'"),
        (["drift=inf"], "finite"),
        (["seed=5:5"], "a range needs first:end"),
    ],
)
def test_impossible_settings(sets, says):
    with pytest.raises(SpecError, match=says) as e:
        override(catalogue.find(str(WALK)), "default", sets)
    assert "\n" not in str(e.value)


def test_what_a_study_says_is_changed_in_its_file():
    study = catalogue.find(str(Path(__file__).parents[2] / "examples/induction.toml"))
    with pytest.raises(SpecError, match="--set cannot change steps in a study"):
        override(study, "default", ["steps=3"])


@pytest.fixture
def folder(tmp_path):
    """A user's own experiment as a folder: its training in one file, the rest where the folder
    opens."""
    text = WALK.read_text()
    cut = text.index("pair = Joint(together)")
    (tmp_path / "my_walk").mkdir()
    (tmp_path / "my_walk/method.py").write_text(text[:cut])
    names = "Walk, farther, measure, together"
    head = (
        f'"""{text.split(chr(34) * 3)[1]}"""\nfrom assay.core import *\nfrom .method import '
        f"{names}\nfrom assay.core.experiment import Joint\n"
    )
    (tmp_path / "my_walk/__init__.py").write_text(head + text[cut : text.index("def slow(path)")])
    return tmp_path / "my_walk"


def test_a_folder_is_found_run_and_told_by_its_name(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder.parent)
    for typed in ("my_walk", "my_walk/", "my_walk/__init__.py", str(folder)):
        found = catalogue.find(typed)
        assert found.name == "my-walk"
        assert found.origin == str(folder / "__init__.py")
        assert found.typed == "my_walk/"
    where = ("--preset", "smoke", "--root", "s")
    assert main(["run", "my_walk/", *where, "--executor", "inline"]) == 0
    capsys.readouterr()
    assert main(["run", "my_walk", *where, "--executor", "inline", "--json"]) == 0
    assert '"runs": 6' in capsys.readouterr().out
    assert main(["verify", "my_walk", "--record", *where]) == 0
    assert (folder.parent / "records/my-walk.json").is_file(), (
        "beside the folder, as a file's lies beside the file"
    )


def test_an_edit_of_any_file_of_a_folder_is_read_again(folder):
    assert catalogue.find(str(folder)).measure.__wrapped__.__doc__ is None
    text = (folder / "method.py").read_text()
    (folder / "method.py").write_text(
        text.replace(
            "def measure(runs, trained, bench):",
            'def measure(runs, trained, bench):\n    """Edited."""',
        )
    )
    assert catalogue.find(str(folder)).measure.__wrapped__.__doc__ == "Edited."


def test_folders_and_files_are_hashed_apart(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    assert origin.code(str(tmp_path / "a.py")) == hashlib.sha256(b"x = 1\n").hexdigest()[:16], (
        "as every run stored so far has it"
    )


def test_what_is_not_installed_is_told_with_a_way_to_install_it(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text('"""A."""\nimport gguf\n')
    monkeypatch.setitem(sys.modules, "gguf", None)  # as if it were not there
    with pytest.raises(
        ExperimentError, match=r"a needs gguf: pip install 'interp-assay\[models\]'"
    ):
        catalogue.load("a", str(tmp_path / "a.py"))
