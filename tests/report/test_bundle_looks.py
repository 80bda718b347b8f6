"""A study that was judged look by look, bundled: the code in the bundle judges each claim at its
own look, and says the same to the last digits."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from assay.cli.main import main
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
seeds = "1000000:1000012"

[[experiment]]
name = "./own.py"
fields = { inputs = 6, steps = 30, width = 2 }
"""


def test_each_claim_is_judged_at_its_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_experiment("own", tmp_path)
    claims = {"far": "main.angle > -1000", "near": "main.angle < 62"}
    Path("asks.toml").write_text(
        STUDY + "".join(CLAIM.format(text=text, holds=holds) for text, holds in claims.items())
    )
    assert main(["preregister", "asks.toml", "--looks", "6,12", "--root", "s"]) == 0
    assert main(["run", "asks.toml", "--root", "s", "--executor", "inline"]) == 0
    assert (
        main(["export", "asks.toml", "--format", "bundle", "--out", "asks.zip", "--root", "s"]) == 0
    )
    with zipfile.ZipFile("asks.zip") as archive:
        archive.extractall()
    folder = Path("asks")
    told = json.loads((folder / "claims.json").read_text())
    assert [c["carried"] for c in told["claims"]] == [True, True], [
        c["why_not"] for c in told["claims"]
    ]
    levels, looks = (
        [c["level"] for c in told["claims"]],
        json.loads((folder / "verdicts.json").read_text())["registration"]["looks"],
    )
    assert set(levels) == {look["level"] for look in looks} and levels[0] > 0.99 > levels[1]
    assert [len(c["seeds"]) for c in told["claims"]] == [6, 12]
    capsys.readouterr()

    def judged() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", "judge.py"], cwd=folder, capture_output=True, text=True
        )

    done = judged()
    assert done.returncode == 0 and "2 of 2 claims judged again; all as stated" in done.stdout, (
        done.stdout + done.stderr
    )
    told["claims"][0]["level"] = 0.95  # at the usual level it would be another interval
    (folder / "claims.json").write_text(json.dumps(told))
    assert "DIFFERS" in judged().stdout
