"""The .assay file. Truth: its promises: equal bytes, a verdict that follows, nothing runs."""

import io
import json
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from assay.errors import StoreError
from assay.notes import Note
from assay.report import result_file
from assay.report.result_page import page
from assay.verdicts.result import Judged, Result
from assay.verdicts.rule import Control, Hypothesis, Sample, judge


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    prompts = {"prompt": np.arange(24).astype(str)}
    effects = {"head": -2.6, "other": -0.5} | {f"random {k}": 0.3 * rng.normal() for k in range(20)}
    samples = {a: Sample(x + 0.4 * rng.normal(size=(24, 1)), prompts) for a, x in effects.items()}
    noise = tuple(a for a in samples if a.startswith("random"))
    controls = (Control("others", ("other",)), Control("random", noise, noise=True))
    h = Hypothesis(high=-1, of="head", controls=controls)
    claim = Judged(
        text="<b>The head</b> moves names",
        holds="effect < -1",
        h=h,
        verdict=judge(h, samples),
        why={"others": "another head", "random": "any direction"},
        notes=(Note("answer-in-prompt", {"n": 3, "N": 24}),),
    )
    rows = pd.DataFrame(
        [
            {"arm": a, "prompt": p, "effect": x, "text": "<script>alert(1)</script>" + p}
            for a, s in samples.items()
            for p, x in zip(prompts["prompt"], s.cells[:, 0], strict=True)
        ]
    )
    return Result("Does it?", (claim,), rows, "a toy", samples=(samples,))


@pytest.fixture
def saved(result, tmp_path):
    return result_file.save(result, tmp_path / "head.assay")


def changed(path, name, change):
    """The file with one member changed."""
    with zipfile.ZipFile(path) as z:
        files = {n: z.read(n) for n in z.namelist()}
    files[name] = change(files.get(name, b""))
    with zipfile.ZipFile(path, "w") as z:
        for n, data in files.items():
            z.writestr(n, data)
    return path


def stated(change):
    """A change of what result.json says."""

    def of(data):
        said = json.loads(data)
        change(said["claims"][0])
        return json.dumps(said).encode()

    return of


def test_the_same_result_is_the_same_bytes(result, saved):
    assert result_file.pack(result) == saved.read_bytes()
    assert result_file.pack(result_file.load(saved)) == saved.read_bytes()


def test_a_loaded_result_shows_the_same(result, saved):
    again = result_file.load(saved)
    assert str(again) == str(result) and again.verdict == result.verdict
    pd.testing.assert_frame_equal(again.to_pandas(), result.to_pandas())


def test_its_verdict_follows_from_its_numbers(saved):
    assert result_file.judge_again(result_file.read(saved), saved) == {"effect < -1": []}


FORGERIES = {
    "another outcome": lambda c: c["verdict"].update(outcome="fails"),
    "another reason": lambda c: c["verdict"].update(outcome="undecided", reason="straddles"),
    "another estimate": lambda c: c["verdict"].update(estimate=-2.0),
    "a narrower interval": lambda c: c["verdict"].update(low=c["verdict"]["estimate"] - 1e-3),
    "another threshold": lambda c: c["hypothesis"].update(high=-2.55),
    "no controls": lambda c: c["hypothesis"].update(controls=[]),
    "a control that it did not beat": lambda c: c["verdict"]["controls"]["others"].update(
        outcome="open"
    ),
    "another control's number": lambda c: c["verdict"]["controls"]["random"].update(estimate=-0.1),
    "another arm's numbers": lambda c: c["samples"]["head"].update(at="0/1"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_differs(saved, name):
    changed(saved, "result.json", stated(FORGERIES[name]))
    found = result_file.judge_again(result_file.read(saved), saved)
    assert next(iter(found.values()))


def alone(folder):
    """Run the program that travels, without Assay."""
    program = [sys.executable, folder / "verify.py"]
    return subprocess.run(program, capture_output=True, cwd=folder).returncode


def test_it_is_judged_without_assay(saved, tmp_path):
    shutil.unpack_archive(saved, tmp_path / "x", "zip")
    assert "assay" not in {line.split()[1] for line in _imports(tmp_path / "x")}
    assert alone(tmp_path / "x") == 0
    said = tmp_path / "x/result.json"
    said.write_bytes(stated(FORGERIES["another outcome"])(said.read_bytes()))
    assert alone(tmp_path / "x") == 1
    said.write_text("{}")
    assert alone(tmp_path / "x") == 2


def _imports(folder):
    lines = (line for f in folder.glob("*.py") for line in f.read_text().splitlines())
    return [line for line in lines if line.startswith(("import ", "from "))]


def test_a_doubt_may_leave_open_what_holds(saved):
    def doubt(claim):
        claim["verdict"].update(outcome="undecided", reason="no-test")
        claim["doubts"] = ["no-test"]

    changed(saved, "result.json", stated(doubt))
    assert result_file.judge_again(result_file.read(saved), saved) == {"effect < -1": []}


def pickled(_):
    buffer = io.BytesIO()
    np.savez(buffer, **{"0/0/cells": np.array([{}], dtype=object)})
    return buffer.getvalue()


def bomb(_):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("a.npy", bytes(1 << 22))
    return buffer.getvalue()


HARM = {
    "../escaped.py": lambda _: b"",
    "extra.py": lambda _: b"",
    "result.json": lambda _: b"[1]",
    "rows.npz": pickled,
}


@pytest.mark.parametrize("name", HARM)
def test_a_hostile_file_is_refused(saved, name):
    changed(saved, name, HARM[name])
    with pytest.raises(StoreError):
        result_file.read(saved)


def test_numbers_that_unpack_to_too_much_are_refused(saved, monkeypatch):
    monkeypatch.setattr(result_file, "MOST_BYTES", 1 << 21)
    changed(saved, "rows.npz", bomb)
    with pytest.raises(StoreError) as caught:
        result_file.read(saved)
    assert caught.value.code == "too-large"


@pytest.mark.parametrize("at", range(0, 20_000, 997))
def test_flipped_bits_give_no_wrong_number(result, saved, at):
    data = bytearray(saved.read_bytes())
    data[at % len(data)] ^= 0x10
    saved.write_bytes(data)
    try:
        contents = result_file.read(saved)
        found = result_file.judge_again(contents, saved)
    except StoreError:
        return
    assert found == {"effect < -1": []}


@pytest.mark.parametrize("claim", [{}, {"hypothesis": 3}, {"samples": {"head": {"at": "no"}}}])
def test_claims_of_any_shape_are_one_line(saved, claim):
    changed(saved, "result.json", lambda _: json.dumps({"format": 1, "claims": [claim]}).encode())
    with pytest.raises(StoreError) as caught:
        result_file.judge_again(result_file.read(saved), saved)
    assert caught.value.code == "damaged" and "\n" not in str(caught.value)


def test_a_page_obeys_no_text_and_loads_nothing(result):
    shown = page(result, "head.assay")
    assert "<script>alert" not in shown and "<b>The head" not in shown
    assert "http" not in shown and "src=" not in shown
    assert shown.count("<svg") == 3 and shown.count("<tr") == 2 + 3 + 24
