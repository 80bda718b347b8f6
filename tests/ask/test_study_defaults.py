"""What a study is given where it says nothing: the arms that its statements name, documents as
units, one untrained twin, and a rehearsal before a long run."""

import pytest
from test_study_asks import MOOD, folder  # noqa: F401 (a fixture)

from assay.ask import contents
from assay.ask.measure import choosing, measuring
from assay.core.errors import ExperimentError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

RARE = """
question = "Do rare latents grow rarer when the rate is annealed?"
seeds = "1000000:1000006"
[[experiment]]
name = "ultra-rare-features"
fields = { annealed = true }
"""


def test_documents_are_units_where_all_that_is_read_has_them(tmp_path):
    path = tmp_path / "gated.toml"

    def units(holds, more=""):
        path.write_text(
            RARE.replace("ultra-rare-features", "gated-sae")
            .replace("annealed", "tied")
            .replace("fields = { tied = true }\n", "fields = { penalty = 0.2 }\n")
            + f"[[claim]]\ntext = 'x'\nholds = '{holds}'\ncontrol = ['relu']\n{more}"
        )
        return catalogue.find(str(path)).claims[0].units

    assert units("main.fvu < 0.2") == ("seed", "document")
    assert units("mean(main.error, over=document) < 9") == ("seed",)


FIRST = MOOD.replace('site = "blocks.2', 'position = 0\nsite = "blocks.2')
ASKS = """
question = "Is it so?"
[[model]]
name = "./planted"
{}
[[claim]]
text = "It is so"
holds = "steered.good - main.good > 1"
"""


def test_what_cannot_be_learned_is_refused_before_a_long_run_begins(folder, monkeypatch):  # noqa: F811
    path = folder / "first.toml"
    path.write_text(ASKS.format(FIRST))
    study = catalogue.find(str(path))
    monkeypatch.setattr(contents, "LONG", 0.0)
    lab = Lab(folder / "rehearsed", Inline())
    with pytest.raises(ExperimentError, match=r"first.toml line \d+ column 7: .* has length 0"):
        lab.run(study)
    assert len(lab.plan(study).missing) == len(lab.plan(study).rows)
    path.write_text(ASKS.format(MOOD))
    assert lab.run(catalogue.find(str(path))).judged[0].estimate > 1


HEADS = """
[[read]]
name = "other"
logit = [" good", " bad"]
[[intervene]]
name = "cut"
ablate = "zero"
top = {{ n = 1, of = "{}", {} }}
"""


@pytest.mark.parametrize(
    ("of", "how", "rows"),
    [
        ("heads", 'by = "other", score = "gradient"', 2),
        ("heads", 'by = "other"', 2),
        ("heads", 'by = "norm", above = 1e9', 2),
        ("neurons", 'by = "mood"', 2),
        ("neurons", 'by = ["now", "then"], label = "when"', 6),  # two of each of three
        ("neurons", 'by = "other", score = "gradient", within = "who"', 2),
    ],
)
def test_a_rehearsal_chooses_parts_on_two_prompts(folder, monkeypatch, of, how, rows):  # noqa: F811
    path = folder / "chosen.toml"
    text = ASKS.format(MOOD + HEADS.format(of, how)) + "[[claim]]\ntext = 'It falls'\n"
    path.write_text(text + "holds = 'cut.good - main.good < 0'\n")
    monkeypatch.setattr(contents, "LONG", 0.0)
    sized, chosen_from, said = choosing._sized, [], []

    def noted(*about):
        chosen_from.append(len(about[-1]))
        return sized(*about)

    monkeypatch.setattr(choosing, "_sized", noted)
    study = catalogue.find(str(path))
    study.materials.rehearse({"main", "cut"}, {1000000}, "cpu", said.append)
    assert chosen_from == [rows]
    assert said[-1].endswith("trying each arm on two prompts: 1 of 2 arms done")


def test_a_field_that_arms_vary_may_be_swept_where_main_runs_alone(tmp_path):
    path = tmp_path / "rates.toml"
    about = """question = "?"
seeds = "1000000:1000006"
[[experiment]]
name = "grokking-efficiency"
"""
    about += "fields = { lr = [0.005, 0.02] }\n"
    path.write_text(about + '[[estimate]]\ntext = "x"\nvalue = "main.grok"\nover = "lr"\n')
    study = catalogue.find(str(path))
    assert {(s.lr, s.seed) for s in study.default} == {
        (lr, seed) for lr in (0.005, 0.02) for seed in range(1000000, 1000006)
    }
    path.write_text(about + '[[estimate]]\ntext = "x"\nvalue = "main.grok - shuffled.grok"\n')
    with pytest.raises(ExperimentError, match="lr, of which arms make others, got"):
        catalogue.find(str(path))


def test_the_plan_includes_what_it_takes_to_try_the_arms(folder, monkeypatch):  # noqa: F811
    """Two of the prompts, and the first and the last head of a sweep, are measured before the
    runs."""
    path = folder / "tried.toml"
    read = '[[read]]\nname = "each"\ngradient = "good"\nheads = ["1.{h}"]\nsweep = { h = "0:4" }\n'
    path.write_text(ASKS.format(MOOD + read))
    totals = []
    for least in (float("inf"), 0.0):
        monkeypatch.setattr(contents, "LONG", least)
        study = catalogue.find(str(path))
        totals.append(sum(study.expected.values()))
    asked, runs = study.materials.asked, len(study.default)
    each = contents.model_study.seconds(asked, study.arms, runs, runs)
    tried = contents.trial_seconds(asked, study.arms, each, runs)
    assert totals[1] - totals[0] == pytest.approx(tried / runs) and tried > 0
    only = measuring.rehearsal(asked.by_label["main"].task)
    assert len(only.rows) == 2
    assert only.reads[-1].sweep == {"h": (0, 3)}
