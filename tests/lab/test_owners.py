"""Owners: every experiment file has a name of its own, and no file reads, takes over or deletes the
runs of another."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.cli.main import main
from assay.core.errors import StoreError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.store import origin
from assay.lab.store.health import remove

WALK = Path(__file__).with_name("walk.py").read_text()
STEMS = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
)


def written(folder, name, text=WALK):
    """An experiment file of this name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


@given(STEMS)
def test_a_name_is_never_empty_and_one_folder(stem):
    name = catalogue._slug(stem)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) and origin.sound(name) == name


@given(STEMS, STEMS)
def test_names_differ_where_files_do(one, other):
    """But for case, - and _, which the note of the owner tells apart."""
    alike = lambda text: re.sub(r"[-_]+", "-", text.lower()).strip("-")  # noqa: E731
    if alike(one) != alike(other) and not one.isascii():
        assert catalogue._slug(one) != catalogue._slug(other)


@pytest.mark.parametrize("name", ["", "..", ".", "../runs", "a/b", "A", "-a", "a\n", "/x/y", "é"])
def test_only_one_experiments_folder_can_be_deleted(tmp_path, name):
    lab = Lab(tmp_path / "s", Inline())
    lab.run(catalogue.find(str(written(tmp_path, "walk_one.py"))), "smoke")
    before = sorted(p for p in (tmp_path / "s").rglob("*"))
    with pytest.raises(StoreError, match="stored under a name"):
        remove(lab.store, name)
    assert sorted(p for p in (tmp_path / "s").rglob("*")) == before


def test_files_without_a_latin_letter_have_runs_of_their_own(tmp_path):
    lab = Lab(tmp_path / "s", Inline())
    files = [
        written(tmp_path, name) for name in ("é.py", "实验.py", "my_claim.py", "my claim ü.py")
    ]
    for file in files:
        assert lab.run(catalogue.find(str(file)), "smoke").provenance["runs"]
    names = [catalogue.find(str(file)).name for file in files]
    assert len(set(names)) == 4
    remove(lab.store, names[0])
    assert [bool(list((tmp_path / "s" / "runs" / name).glob("*"))) for name in names] == [
        False,
        True,
        True,
        True,
    ]


def test_a_second_file_of_one_name_is_refused_while_the_first_is_there(tmp_path, capsys):
    first = written(tmp_path / "a", "walk_x.py")
    other = written(tmp_path / "b", "walk_x.py", WALK.replace("batch * 0.05", "batch * 0.06"))
    lab = Lab(tmp_path / "s", Inline())
    lab.run(catalogue.find(str(first)), "smoke")
    before = {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()}
    smoke = ["--preset", "smoke"]
    calls = [[verb, str(other), *smoke] for verb in ("run", "show", "plan")]
    for verb in (*calls, ["doctor", "--remove", str(other), "--yes"]):
        code = main([*verb, "--root", str(tmp_path / "s")])
        told = capsys.readouterr().err
        assert code == 2 and told.count("\n") == 1, (verb, told)
        assert str(first) in told
        assert str(other) in told
        assert "rename one of the two" in told
    assert {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()} == before
    first.rename(first.with_name("elsewhere.py"))
    assert lab.plan(catalogue.find(str(other)), "smoke").missing, (
        "the runs of a file that moved away are of another training"
    )
