"""A bundle that somebody else made is judged by our own code: what its own judge.py says counts for
nothing.
"""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from assay.cli.main import main
from assay.report.bundle import checking, judge
from assay.report.bundle.checking import is_bundle
from bundled import export


def said(*words):
    """Exit code, and all that a command prints in one line."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = main(list(words))
    return code, " ".join(out.getvalue().split())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The bundle of a committed record."""
    out = tmp_path_factory.mktemp("written") / "b.zip"
    export(out, out.parent / "none")
    return out


@pytest.fixture
def folder(written, tmp_path):
    """That bundle, unpacked."""
    shutil.unpack_archive(written, tmp_path)
    return tmp_path / "superposition"


def listed(folder):
    """Write SHA256SUMS again, as whoever changed a file would."""
    names = sorted(
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if p.is_file() and p.name != "SHA256SUMS"
    )
    (folder / "SHA256SUMS").write_text(
        "".join(f"{sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names)
    )


def edited(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_a_bundle_reports_the_challenges_to_its_record(folder):
    """The committed contest says that random directions satisfy claim 1 of superposition too."""
    code, out = said("verify", str(folder))
    readme = (folder / "README.md").read_text()
    assert code == 0
    for words in (out, readme):
        assert "claim 1 is unspecific after a challenge (2026-11): by-hand (random" in words
        assert "claim 2 still holds after a challenge" in words
    assert "● holds, later unspecific" in readme


def test_a_sound_bundle_is_judged_as_stated_and_its_judge_is_the_released_one(written, folder):
    for path in (written, folder):
        code, out = said("verify", str(path))
        assert code == 0
        assert "3 of 3 claims judged again with Assay's own judge.py; all as stated" in out
        assert "is the released version" in out
        assert sha256((folder / "judge.py").read_bytes()).hexdigest() in out
        assert "nothing was trained or measured" in out


def test_a_judge_that_looks_away_convinces_only_itself(folder):
    """The prover moves an estimate and its limit, makes judge.py blind to that, and writes every
    hash again.
    """

    def better(data):
        data["verdicts"][0]["estimate"] += 0.5
        data["verdicts"][0]["low"] += 0.46

    edited(folder / "verdicts.json", better)
    text = (folder / "judge.py").read_text()
    (folder / "judge.py").write_text(text.replace("CLOSE = 1e-6", "CLOSE = 1e6"))
    listed(folder)
    blind = subprocess.run([sys.executable, "judge.py"], cwd=folder, capture_output=True, text=True)
    assert blind.returncode == 0 and "all as stated" in blind.stdout
    code, out = said("verify", str(folder))
    first = json.loads((folder / "claims.json").read_text())["claims"][0]["text"]
    assert code == 1
    assert f"DIFFERS {first}: main: estimate is" in out
    assert "1 not as stated" in out
    assert "is not one that this version knows" in out
    assert "DIFFERS" not in out.split(first)[0].removesuffix("DIFFERS ")


def test_files_that_are_not_as_listed_or_not_listed_are_named(folder):
    (folder / "README.md").write_text("believe me")
    (folder / "more.txt").write_text("x")
    code, out = said("verify", str(folder))
    assert code == 1
    assert "CHANGED README.md" in out
    assert "CHANGED more.txt" in out
    assert "all as stated" in out


def test_nothing_in_it_runs_and_what_is_no_bundle_is_one_line(folder, tmp_path):
    mark = tmp_path / "mark"
    (folder / "judge.py").write_text(f"open({str(mark)!r}, 'w')\n")
    assert said("verify", str(folder))[0] == 1 and not mark.exists()
    for name, content in {"../out.txt": b"x", "/out.txt": b"x"}.items():
        with zipfile.ZipFile(tmp_path / "slip.zip", "w") as archive:
            archive.writestr(name, content)
        assert "leads outside" in said("verify", str(tmp_path / "slip.zip"))[1]
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/SHA256SUMS", bytes(2 * 2**20))
    for harmed, told in {"bomb.zip": "bytes, unpacked", "absent.zip": "expected a bundle"}.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checking, "BYTES", 2**20)
            code, out = said("verify", str(tmp_path / harmed))
            assert code == 2 and told in out and "\n" not in out.strip()
    (tmp_path / "text.zip").write_text("no zip")
    edited(folder / "claims.json", lambda d: d["claims"][0].update(file="../../../../etc/hostname"))
    for path in (tmp_path / "text.zip", folder):
        code, out = said("verify", str(path))
        assert code == 2 and "expected a bundle" in out
    assert said("verify", str(folder), "--record")[0] == 2 and is_bundle(str(folder))


def test_numbers_that_unpack_to_too_much_are_refused(folder, monkeypatch):
    np.savez_compressed(folder / "numbers/claim-01.npz", n0=np.zeros(2**18))
    monkeypatch.setattr(checking, "BYTES", 2**20)
    assert "bytes, unpacked" in said("verify", str(folder))[1]


def test_the_page_tells_the_hash_of_the_released_judge():
    page = Path(__file__).parents[2].joinpath("docs/bundle.md").read_text()
    assert (
        re.findall(r"`([0-9a-f]{64})`", page)
        == [checking.released()]
        == [sha256(Path(judge.__file__).read_bytes()).hexdigest()]
    )
