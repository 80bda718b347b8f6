"""A study that was frozen before it ran, bundled: the code in the bundle judges each claim from the
stored measures and says the same to the last digits, and steps that are not its condition's are
noticed."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from assay.cli.main import main
from assay.report.bundle import checking
from assay.verbs.new import write_experiment

CLAIM = """
[[claim]]
text = "{text}"
holds = '{holds}'
control = ["flat"]
threshold = "plan: a test"
"""
STUDY = """
question = "Is anything found in thirty steps?"
seeds = "1000000:1000006"

[[experiment]]
name = "./own.py"
fields = { inputs = 6, steps = 30, width = 2 }
"""


def test_each_claim_is_judged_from_the_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_experiment("own", tmp_path)
    claims = {"far": "main.angle > -1000", "near": "main.angle < 62"}
    Path("asks.toml").write_text(
        STUDY + "".join(CLAIM.format(text=text, holds=holds) for text, holds in claims.items())
    )
    assert main(["preregister", "asks.toml", "--root", "s"]) == 0
    assert main(["run", "asks.toml", "--root", "s", "--executor", "inline"]) == 0
    assert (
        main(["export", "asks.toml", "--format", "bundle", "--out", "asks.zip", "--root", "s"]) == 0
    )
    with zipfile.ZipFile("asks.zip") as archive:
        archive.extractall()
    folder = Path("asks")
    told = json.loads((folder / "claims.json").read_text())
    assert [c["why_not"] for c in told["claims"]] == ["", ""]
    assert [c["condition"] for c in told["claims"]] == list(claims.values())
    assert not (folder / "numbers").exists() and list((folder / "looks").glob("*.prereg.*"))
    capsys.readouterr()

    def judged() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", "judge.py"], cwd=folder, capture_output=True, text=True
        )

    done = judged()
    assert done.returncode == 0 and "2 of 2 claims judged again; all as stated" in done.stdout, (
        done.stdout + done.stderr
    )
    assert checking.check(folder, folder).same
    told["claims"][1]["reads"]["main.angle"]["measure"] = "loss"
    (folder / "claims.json").write_text(json.dumps(told))
    assert "DIFFERS" in judged().stdout
    told["claims"][1] = {**told["claims"][0], "condition": "main.angle > -999", "text": "near"}
    (folder / "claims.json").write_text(json.dumps(told))
    (far, near) = checking.check(folder, folder).claims
    assert far.differs == () and "not those of its condition" in near.differs[-1]
