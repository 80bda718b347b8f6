"""A study that was frozen before it ran, bundled: the code in the bundle judges each claim from the
stored measures and says the same to the last digits, and steps that are not its condition's are
noticed."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

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


def test_each_claim_is_judged_from_the_measures(tmp_path, monkeypatch, capsys):
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
    assert not (folder / "numbers").exists()
    assert list((folder / "looks").glob("*.prereg.*"))
    capsys.readouterr()

    def judged():
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


def test_claims_along_a_sweep_have_the_level_at_which_they_hold_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_experiment("own", tmp_path)
    first = CLAIM.format(text="far at 2", holds="main.angle > -1000")
    second = CLAIM.format(text="far at 3", holds='"width=3/main".angle > -1000')
    claims = first, second.replace('["flat"]', '["width=3/flat"]')
    Path("asks.toml").write_text(STUDY.replace("width = 2", "width = [2, 3]") + "".join(claims))
    for words in (["preregister"], ["run", "--executor", "inline"]):
        assert main([words[0], "asks.toml", *words[1:], "--root", "s"]) == 0
    words = ["export", "asks.toml", "--format", "bundle", "--out", "asks.zip", "--root", "s"]
    assert main(words) == 0
    with zipfile.ZipFile("asks.zip") as archive:
        archive.extractall()
    folder = Path("asks")
    told = json.loads((folder / "claims.json").read_text())
    assert [c["level"] for c in told["claims"]] == [0.95**0.5] * 2
    found = checking.check(folder, folder)
    assert found.same and found.standing.derived == "confirmatory", found

    told["claims"][0]["level"] = 0.95  # the laxer level of one claim alone
    (folder / "claims.json").write_text(json.dumps(told))
    assert any("level was frozen" in why for why in checking.check(folder, folder).standing.against)
