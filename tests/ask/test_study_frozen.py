"""A study that is frozen: its conditions count, its comments do not, and whoever saw the seeds of
what it borrows from froze nothing."""

import json
from pathlib import Path

import pytest

from assay.cli.main import main
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.plan.preset import override

STUDY = """
question = "Is anything found in thirty steps?"
seeds = "1000000:1000012"

[[experiment]]
name = "./own.py"
fields = { inputs = 6, steps = 30, width = 2 }

[[claim]]
text = "The subspace is missed by more than a degree, even where there is one"
holds = 'main.angle > 1'
control = ["flat"]
threshold = "plan: a degree"
"""
FREEZE = ("preregister", "asks.toml", "--root", "s")


@pytest.fixture(autouse=True)
def own(own):
    """And a study of it."""
    (own / "asks.toml").write_text(STUDY)
    return own


def refused(capsys, *words):
    """The one line in which a command is refused."""
    capsys.readouterr()
    assert main(words) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    return err


def test_from_freezing_to_the_page(own, capsys):
    assert main(["verify", "asks.prereg.json"]) == 2
    err = capsys.readouterr().err
    assert err.strip().endswith("for one that is not frozen, type: assay verify asks.toml")
    assert main([*FREEZE, "--json"]) == 0
    frozen = json.loads(capsys.readouterr().out)
    assert frozen["seeds"] == "1000000:1000012" and not frozen["already"]
    assert {Path(path).resolve() for path in frozen["files"]} == {
        own / "s/registered/asks/default.json",
        own / "asks.prereg.json",
    }
    assert main(FREEZE) == 0
    assert "was already frozen" in capsys.readouterr().out
    assert main(["verify", "asks.toml", "--root", "s"]) == 2
    assert "assay verify asks.prereg.json" in capsys.readouterr().err
    assert main([*FREEZE, "--set", "seed=1000020:1000032"]) == 0
    assert (
        "Next: assay run asks.toml --set seed=1000020:1000032 --root s" in capsys.readouterr().out
    )
    assert main(["run", "asks.toml", "--root", "s", "--executor", "inline"]) == 0
    out, err = capsys.readouterr()
    assert "after 6 seeds" not in err, "no verdict before the look"
    assert "confirmatory: frozen on 20" in out and frozen["hash"][:12] in out
    assert main(["show", "asks.toml", "--root", "s", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["inference"] == "confirmatory"
    assert shown["registration"]["hash"] == frozen["hash"]
    assert [v["n"] for v in shown["verdicts"]] == [{"seed": 12}] * len(shown["verdicts"])
    assert main(["report", "asks.toml", "--root", "s", "--out", "pages"]) == 0
    page = (own / "pages/asks.html").read_text()
    assert "Confirmatory: frozen on" in page
    assert frozen["hash"] in page
    assert "judged once" in page


def test_a_comment_changes_nothing_and_a_condition_under_the_same_words_does(own, capsys):
    assert main(FREEZE) == 0
    (own / "asks.toml").write_text("# a comment\n" + STUDY)
    assert main(FREEZE) == 0
    (own / "asks.toml").write_text(STUDY.replace("'main.angle > 1'", "'0.5 * main.angle > 1'"))
    assert "claim changed: The subspace is missed" in refused(capsys, *FREEZE)
    assert main(["run", "asks.toml", "--root", "s", "--executor", "inline"]) == 0
    out, err = capsys.readouterr()
    assert "not as it was frozen, so these verdicts are exploratory: claim changed" in err
    assert err.index("exploratory") < err.index("started"), "before anything is trained"
    assert "exploratory: frozen on" in out and "not as frozen: claim changed" in out


def test_a_look_at_the_same_seeds_of_what_it_borrows_from_is_a_look(own, capsys):
    experiment = catalogue.find("own.py")
    Lab("s", Inline()).run(
        experiment, override(experiment, "default", ("seed=1000003:1000005", "steps=20"))
    )
    assert "seeds 1000003:1000005 of own were looked at on 20" in refused(capsys, *FREEZE)


def test_a_look_of_another_study_of_the_same_experiment_is_a_look(own, capsys):
    """One step fewer are other runs under another name: whoever judged them knows what these seeds
    show."""
    (own / "before.toml").write_text(
        STUDY.replace("steps = 30", "steps = 29").replace("1000000:1000012", "1000000:1000006")
    )
    assert main(["run", "before.toml", "--root", "s", "--executor", "inline"]) == 0
    assert "seeds 1000000:1000006 of before were looked at on 20" in refused(capsys, *FREEZE)
    (own / "asks.toml").write_text(STUDY.replace("1000000:1000012", "1000006:1000018"))
    assert main([*FREEZE]) == 0, "other seeds nobody saw"


def test_what_no_data_could_decide_is_frozen_only_if_it_is_asked_for(own, capsys):
    (own / "asks.toml").write_text(STUDY.replace("1000000:1000012", "1000000:1000005"))
    line = refused(capsys, *FREEZE)
    assert "no data could decide" in line and "which has 5 seeds" in line
    assert "--anyway" in line and not Path("asks.prereg.json").exists()
    assert main([*FREEZE, "--anyway"]) == 0
