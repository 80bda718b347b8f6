"""The page of an experiment of which nothing is stored: that of its committed record, until it is
run; of a file of one's own there is none."""

import shutil
from pathlib import Path

import pytest

from assay.cli.main import main
from assay.lab import catalogue
from assay.report import stored as pages
from assay.verbs.new import write_experiment


def list_only(folder, patch):
    """Let the catalogue be one experiment, in a folder where commands then run."""
    entry = catalogue.Entry("early", str(folder / "early.py"), folder / "early.py")
    patch.setattr(catalogue, "entries", lambda: [entry])
    patch.chdir(folder)
    patch.delenv("ASSAY_ROOT", raising=False)


@pytest.fixture(scope="module")
def with_record(tmp_path_factory):
    """A folder with an experiment and the record of its one run."""
    folder = tmp_path_factory.mktemp("recorded")
    write_experiment("early", folder)
    with pytest.MonkeyPatch.context() as patch:
        list_only(folder, patch)
        for words in (("run", "early", "--executor", "inline"), ("verify", "early", "--record")):
            assert main([*words, "--root", "first"]) == 0
    return folder


@pytest.fixture
def known(tmp_path, with_record, monkeypatch):
    """A folder in which the catalogue is one experiment, with a record and nothing stored."""
    shutil.copytree(with_record, tmp_path, dirs_exist_ok=True)
    list_only(tmp_path, monkeypatch)
    return tmp_path


def reported(capsys, *words):
    capsys.readouterr()
    code = main(["report", "early", *words])
    pages = [Path("report") / f"{name}.html" for name in ("early", "index")]
    texts = [page.read_text() for page in pages if page.exists()]
    return code, capsys.readouterr().err, "\n".join(texts)


def test_a_record_is_a_page_until_its_experiment_is_run(known, capsys):
    code, err, page = reported(capsys)
    assert code == 0 and pages.NOTE in " ".join(err.split())
    assert err.strip().endswith("assay run early")
    assert f"{pages.NOTE[1:]}; run it with: assay run early" in page
    assert page.count('href="early.html"') == 1, "the index lists it"

    Path("first").rename("assay-store")
    code, err, page = reported(capsys)
    assert code == 0 and pages.NOTE not in page + err
    assert "Figures</h2>" in page and page.count('href="early.html"') == 1


def test_a_record_stands_for_no_other_preset_and_for_nothing_that_is_stored(known, capsys):
    code, err, _ = reported(capsys, "--preset", "smoke")
    assert code == 2 and "has not been run" in err
    assert main(["run", "early", "--preset", "smoke", "--executor", "inline"]) == 0
    code, err, page = reported(capsys)
    assert code == 2 and "has not been run" in err and not page
