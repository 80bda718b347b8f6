"""Claims of a study along a sweep: their intervals hold at once, --each undoes that, and what was
frozen or recorded before there was such a rule is judged as it was."""

import json

import pytest
from scipy import stats

from assay.cli.main import main
from assay.core import judging
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import families, recording, registered
from assay.lab.lab import Lab
from assay.lab.plan.preset import override

CLAIM = """
[[claim]]
text = "At {0} it is missed"
holds = '{1}.angle > 1'
control = ["flat"]
threshold = "plan: a degree"
"""
STUDY = """
question = "At which width is anything found?"
seeds = "1000:1012"

[[experiment]]
name = "./own.py"
fields = { inputs = 6, steps = 30, width = [2, 3, 4] }
""" + "".join(CLAIM.format(w, "main" if w == 2 else f'"width={w}/main"') for w in (2, 3, 4))
LEVEL = 0.95 ** (1 / 3)


@pytest.fixture
def own(own):
    (own / "asks.toml").write_text(STUDY)
    return own


def half_widths(verdicts):
    """Half the width of Student's interval over the standard deviation of the units, times √n."""
    of = [(v["t_high"] - v["t_low"], v["points"]) for v in verdicts]
    return [w / 2 / stats.tstd(x) * len(x) ** 0.5 for w, x in of]


def test_at_once_each_and_frozen(own, capsys):
    run = ["run", "asks.toml", "--root", "s", "--executor", "inline", "--json"]
    assert main(run) == 0
    at_once = json.loads(capsys.readouterr().out)
    assert half_widths(at_once["verdicts"]) == pytest.approx([stats.t.ppf((1 + LEVEL) / 2, 11)] * 3)
    assert all(v["together"] == 3 for v in at_once["verdicts"])
    assert all("simultaneous for 3 claims" in v["method"] for v in at_once["verdicts"])
    assert any("their intervals hold for all 3 at once" in n for n in at_once["notes"])
    assert main([*run, "--each"]) == 0
    each = json.loads(capsys.readouterr().out)
    assert half_widths(each["verdicts"]) == pytest.approx([stats.t.ppf(0.975, 11)] * 3)
    assert not any("together" in v for v in each["verdicts"])
    assert any("each judged by itself: by chance, one of 3 holds" in n for n in each["notes"])
    assert main(["show", "asks.toml", "--root", "s", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["verdicts"]
    assert [v["together"] for v in shown] == [3, 3, 3]  # and not what was stored last

    study = catalogue.find("asks.toml")
    frozen = registered.freeze(Lab(own / "t", Inline()).store, study, override(study))
    assert set(frozen.content["together"].values()) == {3}
    singly = registered.described(families.each(study), override(study))
    assert "together" not in singly
    assert {k: v for k, v in frozen.content.items() if k in singly} == singly


def test_what_was_judged_singly_is_judged_again_singly(own):
    study = catalogue.find("asks.toml")
    lab = Lab(own / "s", Inline())
    result = lab.run(study)
    record = recording.make(study, result, lab.plan(study))
    again, _, _ = recording.rejudge(study, record)
    assert [j.together for j in again] == [3, 3, 3]
    assert [j.low for j in again] == pytest.approx([j.low for j in result.judged], rel=1e-6)
    older = [{k: v for k, v in j.items() if k != "together"} for j in record["verdicts"]]
    singly, _, _ = recording.rejudge(study, {**record, "verdicts": older})
    own_rule = [judging.judge(c, result.arms) for c in families.each(study).claims]
    assert [j.together for j in singly] == [1, 1, 1]
    assert [j.low for j in singly] == pytest.approx([j.low for j in own_rule], rel=1e-6)
    assert all(b.low > a.low for a, b in zip(again, singly, strict=True))
