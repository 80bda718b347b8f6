"""A study that was frozen before it ran, bundled: the code in the bundle judges each claim from the
stored measures and says the same to the last digits, and steps that are not its condition's are
noticed."""

import json
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
    assert "verdicts of the study asks." in (folder / "README.md").read_text()
    told = json.loads((folder / "claims.json").read_text())
    assert [c["level"] for c in told["claims"]] == [0.95**0.5] * 2
    found = checking.check(folder, folder)
    assert found.same and found.standing.derived == "confirmatory", found

    first, second = told["claims"]
    other = {**first, "text": second["text"], "condition": second["condition"]}
    (folder / "claims.json").write_text(json.dumps({**told, "claims": [first, other]}))
    (as_asked, forged) = checking.check(folder, folder).claims
    assert as_asked.differs == () and "not those of its condition" in forged.differs[-1]

    told["claims"][0]["level"] = 0.95  # the laxer level of one claim alone
    (folder / "claims.json").write_text(json.dumps(told))
    assert any("level was frozen" in why for why in checking.check(folder, folder).standing.against)
