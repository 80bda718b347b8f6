"""`assay report` without names writes a page of every result in the store.

The truth is the store's own folder of results."""

from pathlib import Path

import pytest

from assay.cli.main import main
from assay.verbs.new import write_experiment

STUDY = """
question = "Is anything found in thirty steps?"
[[experiment]]
name = "./own.py"
fields = { inputs = 6, steps = 30, width = 2 }
[[claim]]
text = "far"
holds = "main.angle > -1000"
control = ["flat"]
threshold = "plan: a test"
"""
RUNS = ["own.py", "asks.toml", "superposition"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store with results of a user's experiment and study, and of one of the catalogue."""
    folder = tmp_path_factory.mktemp("all")
    write_experiment("own", folder)
    (folder / "asks.toml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in RUNS:
            words = ["--preset", "smoke", "--executor", "inline", "--root", "s"]
            assert main(["run", name, *words]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def expected(root):
    """The page of each result of a store, by the name of its file."""
    return {f"{p.parent.name}-{p.stem}.html" for p in Path(root).glob("results/*/*.json")}


def pages(out):
    return {p.name for p in Path(out).glob("*.html")} - {"index.html"}


@pytest.mark.parametrize("more", [[], ["--preset", "smoke"]])
def test_every_result_has_its_page(tmp_path, more):
    assert main(["report", "--root", "s", "--out", str(tmp_path), *more]) == 0
    assert pages(tmp_path) == expected("s")
    assert len(pages(tmp_path)) == len(RUNS)
    index = (tmp_path / "index.html").read_text()
    assert all(page in index for page in pages(tmp_path))


def test_from_another_folder_too(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--root", str(folder / "s"), "--out", "pages"]) == 0
    assert pages("pages") == expected(folder / "s")


def test_a_preset_without_results_has_no_pages(tmp_path):
    out = tmp_path / "pages"
    assert main(["report", "--root", "s", "--preset", "docs", "--out", str(out)]) == 2
    assert not out.exists()


def test_a_store_without_results_has_no_pages(tmp_path):
    out = tmp_path / "pages"
    assert main(["report", "--root", str(tmp_path / "none"), "--out", str(out)]) == 2
    assert not out.exists()


def test_a_result_without_its_file_leaves_the_others(folder, tmp_path):
    gone = folder / "asks.toml"
    text = gone.read_text()
    gone.unlink()
    try:
        assert main(["report", "--root", "s", "--out", str(tmp_path)]) == 2
    finally:
        gone.write_text(text)
    assert pages(tmp_path) == expected("s") - {"asks-smoke.html"}
