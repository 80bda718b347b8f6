"""Sealed: a result that was changed after it was written is never shown, and stops nothing else."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.cli.main import main
from assay.core.errors import StoreError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.store.atomic import SEAL, seal, unseal

WALK = str(Path(__file__).with_name("walk.py"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=6).filter(lambda k: k != SEAL), VALUES, max_size=4))
def test_what_was_sealed_is_read_again(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sealed.json"
        path.write_bytes(seal(data))
        assert unseal(path) == data


def result_of(tmp_path):
    """The file of a stored result."""
    Lab(tmp_path / "s", Inline()).run(catalogue.find(WALK), "smoke")
    return tmp_path / "s" / "results" / "walk" / "smoke.json"


def test_every_changed_byte_is_noticed(tmp_path):
    path = result_of(tmp_path)
    whole = path.read_bytes()
    said = unseal(path)
    for at in range(0, len(whole), max(1, len(whole) // 300)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            found = unseal(path)
        except StoreError as e:
            assert "\n" not in str(e)
        else:
            assert found == said, "white space may change, what is said may not"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"{}",
        b'{"sha256": 1}',
        b'{"sha256": "x", "a": NaN}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_such_file_is_one_line(tmp_path, text):
    path = tmp_path / "r.json"
    path.write_bytes(text)
    with pytest.raises(StoreError) as e:
        unseal(path)
    assert "\n" not in str(e.value) and str(path) in str(e.value)


def test_the_index_shows_a_claim_as_the_page_next_to_it_does(tmp_path):
    """Also where an older version, which wrote the stored result, judged otherwise."""
    path = result_of(tmp_path)
    data = unseal(path)
    data["verdicts"][0] |= {"outcome": "undecided", "reason": "the rule of that day"}
    path.write_bytes(seal(data))
    places = ["--root", str(tmp_path / "s"), "--out", str(tmp_path / "pages")]
    assert main(["report", WALK, "--preset", "smoke", *places]) == 0
    for name in ("index", "walk-smoke"):
        assert "the rule of that day" not in (tmp_path / f"pages/{name}.html").read_text()


def test_an_edited_verdict_is_shown_nowhere_and_stops_nothing(tmp_path, capsys, monkeypatch):
    path = result_of(tmp_path)
    root = ["--root", str(tmp_path / "s")]
    assert main(["report", WALK, "--preset", "smoke", *root, "--out", str(tmp_path / "pages")]) == 0
    data = json.loads(path.read_text())
    # a name that `list` knows
    other = path.parent.parent / "superposition" / "default.json"
    for outcome in ("holds", "fails"):
        data["verdicts"][0] |= {"outcome": outcome, "text": "An edited claim"}
        path.write_text(json.dumps(data))
        other.parent.mkdir(exist_ok=True)
        other.write_text(json.dumps(data))
        capsys.readouterr()
        assert main(["list", *root, "--json"]) == 0
        listed = {e["name"]: e["local"] for e in json.loads(capsys.readouterr().out)["experiments"]}
        assert listed["superposition"]["results"] == {"default": {}}
        assert main(["doctor", *root]) in (0, 1)
        assert main(["show", WALK, "--preset", "smoke", *root]) == 0
        assert "An edited claim" not in capsys.readouterr().out
        path.write_text(json.dumps(data))
        earlier = "<title>a page of an earlier day · Assay</title>"
        (tmp_path / "pages" / "superposition.html").write_text(earlier)
        assert (
            main(["report", WALK, "--preset", "smoke", *root, "--out", str(tmp_path / "pages")])
            == 0
        )
        told = capsys.readouterr()
        assert "left out of the index" in told.err
        assert "An edited claim" not in (tmp_path / "pages" / "index.html").read_text()
