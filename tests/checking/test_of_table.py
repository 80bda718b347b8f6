"""A claim about a table is saved with its rows: the file is judged again, and becomes a page."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from assay.checking.of_table import JudgedTable
from assay.cli.main import main

TABLE = Path(__file__).parents[2] / "examples/results.csv"
CLAIM = ["judge", str(TABLE), "--claim", "gated.fvu - relu.fvu < -0.02", "--unit", "seed"]
CLAIM += ["--unit", "document", "--control", "relu-again", "--about", "gated"]
CLAIM += ["--scope", "toy numbers", "--no-ledger"]


@pytest.fixture
def file(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_ROOT", "store")
    assert main([*CLAIM, "--save", "gated.assay"]) == 0
    return tmp_path / "gated.assay", capsys.readouterr().out


def test_what_was_said_of_a_table_is_said_of_its_file(file, capsys):
    path, said = file
    assert main(["verify", str(path)]) == 0
    again = capsys.readouterr().out
    assert again == said + "The numbers in the file give the verdict that it states.\n"
    assert "holds: gated.fvu" in said and "not counted" in said and "toy numbers" in said


def test_it_has_a_page_and_a_place_in_the_index(file):
    assert main(["report", str(file[0])]) == 0
    page, index = (Path(f"report/{name}.html").read_text() for name in ("gated-check", "index"))
    assert "<title>gated.fvu - relu.fvu &lt; -0.02 · Assay</title>" in page
    assert page.count("relu-again</text>") == 1
    assert "control, in place of gated</th>" in page
    assert '<th scope="row">relu-again</th><td data-name="estimate' in page
    assert page.index("scope only: ") < page.index("toy numbers") < page.index('id="notes"')
    assert "Not counted" in page and "gated-check.html" in index


def write(path, parts):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)


def test_a_file_whose_rows_were_changed_is_refused(file, capsys):
    path, _ = file
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    parts["numbers.csv"] = parts["numbers.csv"].replace("gated", "x").replace("relu,", "gated,")
    parts["numbers.csv"] = parts["numbers.csv"].replace("x,", "relu,")
    write(path, parts)
    assert main(["verify", str(path)]) == 1, "a difference is found, as in any other number"
    assert "states 'holds'; its numbers say 'fails'" in capsys.readouterr().err
    parts["check.json"] = parts["check.json"].replace('"claim": "gated', '"claim": 5, "x": "gated')
    write(path, parts)
    assert main(["verify", str(path)]) == 2
    assert "is not a file that a check was saved to" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["verdict", "control"])
def test_a_file_that_states_other_numbers_than_its_rows_give_is_named(file, capsys, part):
    path, _ = file
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    content = json.loads(parts["check.json"])
    judged = content["verdict"]
    stated = judged if part == "verdict" else judged["controls"]["relu-again"]
    before, stated["low"] = stated["low"], stated["low"] - 0.001
    write(path, parts | {"check.json": json.dumps(content)})
    assert main(["verify", str(path)]) == 1
    whose = {"verdict": "the claim", "control": "relu-again"}[part]
    expected = f"  low of {whose}: stated as {stated['low']}, but it is {before}\n"
    assert capsys.readouterr().out.endswith(f"all that it states.\n{expected}")


def test_several_files_are_verified_and_the_worst_is_the_exit_code(file, capsys, tmp_path):
    path, _ = file
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    forged = json.loads(parts["check.json"])
    forged["verdict"]["outcome"] = "fails"
    write(tmp_path / "forged.assay", parts | {"check.json": json.dumps(forged)})
    Path("no.assay").write_text("no archive")
    shutil.copy(path, "copy.assay")
    assert main(["verify", "gated.assay", "copy.assay"]) == 0
    said = capsys.readouterr().out
    assert said.count("holds: gated.fvu") == 2 and said.endswith("None of the 2 differs.\n")
    assert main(["verify", "forged.assay", "gated.assay"]) == 1
    said = capsys.readouterr()
    assert said.out.endswith("1 of 2 differ or cannot be read: forged.assay\n")
    assert said.err.startswith("forged.assay: forged.assay states 'fails'; its numbers say 'holds'")
    assert main(["verify", "forged.assay", "no.assay", "gated.assay", "--json"]) == 2
    of = json.loads(capsys.readouterr().out)["verified"]
    assert list(of) == ["forged.assay", "no.assay", "gated.assay"]
    assert "no.assay is not a file" in of["no.assay"] and of["gated.assay"]["outcome"] == "holds"


def test_the_advice_on_a_page_is_in_the_options_of_the_command(tmp_path, monkeypatch, capsys):
    """Prompts of four templates that have little else in common."""
    monkeypatch.chdir(tmp_path)
    of = [1.5, -1.0, 0.2, -0.7]
    means = {"new": 4.0, "old": 0.0}
    rows = [
        f"{arm},{t}-{i},t{t},{mean + of[t] * (arm == 'new') + (7 * i * (t + 2) % 11) / 40}"
        for arm, mean in means.items()
        for t in range(4)
        for i in range(12)
    ]
    Path("t.csv").write_text("\n".join(["arm,prompt,template,lead", *rows]))
    claim = ["--claim", "new.lead - old.lead > 3", "--unit", "prompt", "--no-ledger"]
    assert main(["judge", "t.csv", *claim, "--save", "t.assay"]) == 0
    said = capsys.readouterr().out
    assert "undecided" in said and "scope: over 48 prompts; not only of these 4 templates" in said
    assert main(["verify", "t.assay"]) == 0 and "or --fixed template if" in said
    assert capsys.readouterr().out.startswith(said)
    assert main(["report", "t.assay"]) == 0
    page = Path("report/t-check.html").read_text()
    assert "--fixed template" in page and "fixed=" not in page
    assert main(["judge", "t.csv", *claim, "--fixed", "template"]) == 0
    assert "of these 4 templates" in (fixed := capsys.readouterr().out) and "not only" not in fixed


def test_an_estimate_has_no_verdict_to_save(capsys):
    words = ["judge", str(TABLE), "--estimate", "gated.fvu", "--unit", "seed", "--save", "x.assay"]
    assert main(words) == 2
    assert "--save belongs to --claim" in capsys.readouterr().err


def test_units_with_one_number_have_no_interval_in_a_saved_table_either(tmp_path, capsys):
    """A control that satisfies the claim makes it unspecific, without an interval to show."""
    path, table = tmp_path / "same.assay", tmp_path / "same.csv"
    lines = [f"{arm},{seed},{x}" for arm, x in (("a", 0.7512345), ("b", 0.81)) for seed in range(8)]
    table.write_text("\n".join(["arm,seed,x", *lines]))
    asked = ["judge", str(table), "--claim", "a.x > 0.5", "--unit", "seed", "--control", "b"]
    assert main([*asked, "--no-ledger", "--save", str(path)]) == 0
    none = "(no interval: every seed has the same number)"
    assert f"0.7512 {none}, 8 seeds" in capsys.readouterr().out
    assert f"\n0.7512 {none}\n" in repr(JudgedTable.load(path))
    assert main(["report", str(path), "--out", str(tmp_path / "pages")]) == 0
    page = (tmp_path / "pages/same-check.html").read_text()
    assert f"0.7512 {none}, 8 seeds" in page and "[0.7512, " not in page
