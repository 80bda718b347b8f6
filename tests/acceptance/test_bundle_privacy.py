"""A bundle of one study has nothing of another one in the same store, and its registration is still
verified.

The truth is the store's own files: what the journals and the files of the other study say."""

import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from assay.cli.main import main
from assay.verbs.new import write_experiment

STUDY = """
question = "Is anything found in {steps} steps?"
seeds = "{seeds}"
[[experiment]]
name = "./own.py"
fields = {{ inputs = 6, steps = {steps}, width = 2 }}
[[claim]]
text = "{text}"
holds = "main.angle > -1000"
control = ["flat"]
threshold = "plan: {text} on a napkin"
"""
MINE, OTHER = "asks", "asks-privately"
LINKS = "after", "heads", "ledger", "sha256"
"""The fields that have hashes of lines."""


def assay(words, study, *more):
    """Run a command on a study in this folder."""
    return main([words, f"{study}.toml", "--root", "s", *more])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store in which two studies were frozen and run, one around the other, and their bundles."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_experiment("own", folder)
        mine = STUDY.format(steps=30, seeds="1000000:1000006", text="far")
        other = STUDY.format(steps=31, seeds="2000000:2000006", text="Beyond the shed")
        Path(f"{MINE}.toml").write_text(mine)
        Path(f"{OTHER}.toml").write_text(other)
        for study in (OTHER, MINE, OTHER, MINE):
            frozen = (Path("s/registered") / study).exists()
            words = ["run", "--executor", "inline"] if frozen else ["preregister"]
            assert assay(words[0], study, *words[1:]) == 0
        for study in (MINE, OTHER):
            assert assay("export", study, "--format", "bundle", "--out", f"{study}.zip") == 0
    return folder


def unzipped(path):
    """Every file of a bundle, arrays unpacked."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def digests(value):
    return {*re.findall(r"(?<![0-9a-f])[0-9a-f]{12,64}(?![0-9a-f])", json.dumps(value))}


def secrets_of(folder):
    """What only the other study has: its names, texts and digests, all but those by which lines
    name each other."""
    said = {True: set(), False: set()}
    for journal in ("ledger", "questions"):
        for text in (folder / f"s/{journal}.jsonl").read_text().splitlines():
            line = {k: v for k, v in json.loads(text).items() if k not in LINKS}
            said[line["experiment"] == OTHER] |= digests(line)
    for study in (MINE, OTHER):
        frozen = json.loads((folder / f"s/registered/{study}/default.json").read_text())
        said[study == OTHER] |= digests({k: v for k, v in frozen.items() if k not in LINKS})
    return {OTHER, "Beyond the shed", "in 31 steps", "2000000"} | said[True] - said[False]


def test_nothing_of_another_study_travels(folder):
    secrets = secrets_of(folder)
    assert len(secrets) > 8
    files = unzipped(folder / f"{MINE}.zip")
    found = [
        (name, s) for name, x in files.items() for s in secrets if s.encode() in x + name.encode()
    ]
    assert found == []
    own = b"".join(unzipped(folder / f"{OTHER}.zip").values())
    assert [s for s in secrets if s.encode() not in own] == []


@pytest.mark.parametrize("study", [MINE, OTHER])
def test_its_registration_is_verified(folder, study, capsys):
    assert main(["verify", str(folder / f"{study}.zip"), "--json"]) == 0
    standing = json.loads(capsys.readouterr().out)["standing"]
    assert standing["derived"] == standing["stated"] == "confirmatory"


@pytest.mark.parametrize("journal", ["ledger", "questions"])
def test_a_line_of_it_cannot_be_left_out(folder, tmp_path, journal):
    shutil.unpack_archive(folder / f"{MINE}.zip", tmp_path)
    path = tmp_path / MINE / f"looks/{journal}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 2
    for kept in ([], lines[:1], lines[1:], lines):
        path.write_bytes(b"".join(kept))
        sums = path.parents[1] / "SHA256SUMS"
        was = next(x for x in sums.read_text().splitlines() if x.endswith(f"looks/{journal}.jsonl"))
        now = f"{hashlib.sha256(path.read_bytes()).hexdigest()}  looks/{journal}.jsonl"
        sums.write_text(sums.read_text().replace(was, now))
        assert main(["verify", str(tmp_path / MINE)]) == (0 if kept == lines else 1)


def test_the_bundle_of_a_record_has_nothing_of_the_store(folder, tmp_path):
    out = tmp_path / "record.zip"
    words = ["export", "superposition", "--format", "bundle", "--out", str(out)]
    assert main([*words, "--root", str(folder / "s")]) == 0
    inside = {name.partition("/")[2] for name in unzipped(out)}
    assert [name for name in inside if name.startswith("looks/") and "committed" not in name] == []
