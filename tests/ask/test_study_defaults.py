"""What a study is given where it says nothing: the arms that its statements name, documents as
units, one untrained twin, and a rehearsal before a long run."""

import numpy as np
import pytest
from test_study_asks import MOOD, folder  # noqa: F401 (a fixture)

from assay.ask import rehearsal
from assay.ask.measure import probes, prompts
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.tables import Model, Probe, Prompts
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


def test_a_probe_has_one_untrained_twin_for_all_seeds_unless_it_was_frozen(folder, monkeypatch):  # noqa: F811
    drawn = []
    real = probes.redrawn
    monkeypatch.setattr(probes, "redrawn", lambda m, seed: drawn.append(seed) or real(m, seed))
    some = prompts.load(
        Prompts(text="the {thing} was {adjective} and it is", file="moods.csv"), folder
    )
    table = Probe(name="mood", site="blocks.2.hook_resid_pre")
    model = Model(name=str(folder / "planted"))
    for single, expected in ((True, [0]), (False, [0, 1])):
        drawn.clear()
        task = ProbeTask(model, table, some, control="untrained", one_twin=single)
        numbers, _ = probes.measure(task, np.array([0, 2]), folder, "cpu", False, lambda d, t: None)
        assert drawn == expected and numbers["accuracy"][1].shape[0] == 2
        assert (task.words.get("twin") == "one") == single


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
    monkeypatch.setattr(rehearsal, "LONG", 0.0)
    lab = Lab(folder / "rehearsed", Inline())
    with pytest.raises(ExperimentError, match=r"first.toml line \d+ column 1: .* has length 0"):
        lab.run(study)
    assert len(lab.plan(study).missing) == len(lab.plan(study).rows)
    path.write_text(ASKS.format(MOOD))
    assert lab.run(catalogue.find(str(path))).judged[0].estimate > 1


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
