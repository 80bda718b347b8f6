"""Lab: from specs to verdicts; crashes, divergence, other arms as the method, looks, results as
plain values."""

import dataclasses
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from assay.core.errors import ExperimentError, ModelError, RunError
from assay.core.experiment import Rows
from assay.core.results import Curve, Estimated, Judged
from assay.lab import catalogue
from assay.lab.engines import Inline, Workers, workers
from assay.lab.judge.result import _by_rows
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.lab.store.journal import judgings as looks
from assay.lab.work.events import Said

WALK = str(Path(__file__).with_name("walk.py"))


@pytest.fixture(scope="module")
def walk():
    return catalogue.find(WALK)


@pytest.fixture(scope="module")
def done(tmp_path_factory, walk):
    lab = Lab(tmp_path_factory.mktemp("done") / "s", Inline())
    return lab, lab.run(walk)


def test_a_stored_result_names_its_runs_and_show_says_where_others_lie_in_their_place(
    tmp_path, walk
):
    lab = Lab(tmp_path / "s", Inline())
    result = lab.run(walk, "smoke")
    held = json.loads((tmp_path / "s/results/walk/smoke.json").read_bytes())["evidence"]
    runs = list(lab.store.list("walk"))
    content = {
        s.key[:16]: hashlib.sha256((s.folder / "status.json").read_bytes()).hexdigest()[:16]
        for s in runs
    }
    assert held == content == result.evidence
    assert not any("others than" in note for note in lab.judge(walk, "smoke").notes)
    files = {name: (runs[0].folder / name).read_bytes() for name in (*runs[0].files, "status.json")}
    status = json.loads(files["status.json"])
    # the same numbers as an older version stored them: not the same run
    del status["sha256"]
    files["status.json"] = json.dumps(status).encode()
    lab.store.take([files])
    assert any(
        f"1 of {len(runs)} runs are others than" in note for note in lab.judge(walk, "smoke").notes
    )


def test_a_curve_has_a_row_for_each_level_with_its_band(done):
    band = {"band_low": (-1.0, 0.0), "band_high": (1.0, 4.0), "wider": 2.0}
    alone = {"low": (-0.5, 1.0), "high": (0.5, 3.0)}
    levels = ("0, 7", "1, 8")
    curve = Curve(over="block, head", axis="plain", levels=levels, estimate=(0, 2), **alone, **band)
    one = Estimated(text="one", estimate=3.0, low=2.0, high=4.0, n={"seed": 6})
    both = (Estimated(text="each", curve=curve), one)
    frame = dataclasses.replace(done[1], findings=both).to_pandas().iloc[4:]
    assert frame.role.tolist() == ["estimate"] * 3
    assert frame.estimate.tolist() == [0, 2, 3]
    assert frame.low.tolist() == [-1, 0, 2] and frame.high.tolist() == [1, 4, 4]
    assert frame.block.tolist()[:2] == [0, 1] and frame["head"].tolist()[:2] == [7, 8]


def test_looks_are_noted_once(done, walk):
    lab, result = done
    path = result.path(lab.store)
    before = path.stat().st_mtime_ns
    assert [(k["outcome"], k["n"]) for k in looks(lab.store, "walk")] == [("holds", {"seed": 6})]
    lab.run(walk)
    lab.judge(walk)
    assert len(looks(lab.store, "walk")) == 1
    assert path.stat().st_mtime_ns == before, "a cached run writes nothing"
    assert json.loads(path.read_text())["verdicts"][0]["outcome"] == "holds"


def test_more_seeds_reuse_the_runs_there_are(done, walk):
    lab, _ = done
    plan = lab.plan(walk, override(walk, "default", ["seed=1000:1010"]))
    assert {r.job.spec.seed for r in plan.missing} == set(range(1006, 1010))
    assert len(plan.cached) == 18


def test_a_mistake_is_told_once_and_leaves_no_trace(tmp_path, walk):
    lab, events = Lab(tmp_path / "s", Inline()), []
    wrong = override(walk, "default", ["trouble=wrong"])
    with pytest.raises(ModelError, match=r"^no layer 99; layers: 0 to 29$"):
        lab.run(walk, wrong, events.append)
    assert [type(e).__name__ for e in events].count("Failed") == 1, "other groups are not tried"
    assert not (tmp_path / "s").exists()
    lab.run(walk, "smoke")
    runs = sorted((tmp_path / "s" / "runs").rglob("*"))
    with pytest.raises(ModelError):
        lab.run(walk, wrong)
    assert not list((tmp_path / "s" / "groups").iterdir())
    assert sorted((tmp_path / "s" / "runs").rglob("*")) == runs


def test_workers_that_take_long_to_begin_are_told_of(tmp_path, walk, monkeypatch):
    monkeypatch.setattr(workers, "_SLOW", -1.0)
    monkeypatch.setattr(workers, "_AGAIN", 0.001)
    told = []
    Lab(tmp_path / "s", Workers(1)).run(walk, "smoke", told.append)
    (said,) = [e.text for e in told if isinstance(e, Said)]
    assert said.startswith("starting 1 process, which loads the models")


def test_a_worker_that_dies_takes_only_its_group(tmp_path, walk):
    lab = Lab(tmp_path / "s", Workers(1))
    with pytest.raises(RunError, match="a worker ended with exit code 7"):
        lab.run(walk, override(walk, "smoke", ["trouble=exit"]))
    assert lab.run(walk, "smoke").provenance["runs"] == 6


EDITED = '''"""Count: a file whose author changes his mind half way.

Paper: none
Claim: none
Baselines: none
Cost: none
"""

import torch

from assay.core import Arm, Experiment, Group, Spec, fit, grid, measures


def train(runs, bench):
    def step(state, batch, at):
        if at == STOP:
            raise KeyboardInterrupt
        state["x"] += RATE
        return state["x"]

    return fit([Group(runs, {"x": torch.zeros(len(runs))}, step)], lambda at: None, steps=6, bench=bench)[0]


def measure(runs, trained, bench):
    return measures(runs, x=("run", trained.tensors["x"], "1"))


one = grid(Spec(), seed=[1000])
experiment = Experiment(arms={"main": Arm(train)}, measure=measure, claims=(), smoke=one, default=one, full=one)
'''  # noqa: E501


@pytest.mark.parametrize(
    ("later", "ends"), [("RATE, STOP = 1.0, -1", 6.0), ("RATE, STOP = 10.0, -1", 60.0)]
)
def test_a_checkpoint_of_another_text_is_not_continued(tmp_path, monkeypatch, later, ends):
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "0")
    path, lab = tmp_path / "count.py", Lab(tmp_path / "s", Inline())
    path.write_text(f"{EDITED}RATE, STOP = 1.0, 3\n")
    with pytest.raises(KeyboardInterrupt):
        lab.run(catalogue.find(str(path)))
    (row,) = lab.plan(catalogue.find(str(path))).rows
    assert row.why.startswith("unfinished group at step")
    path.write_text(f"{EDITED}{later}\n")
    assert lab.run(catalogue.find(str(path))).arms["main"].x.values.tolist() == [ends]


def test_seeds_without_a_number_are_told(tmp_path, walk):
    def measure(runs, trained, bench):
        found = walk.measure(runs, trained, bench)
        return found.assign(end=found.end.where(found.seed > 1001))

    result = Lab(tmp_path / "s", Inline()).run(dataclasses.replace(walk, measure=measure))
    assert result.judged[0].verdict.n == {"seed": 4}
    assert result.to_json()["notes"] == [
        "2 of 6 seeds have no number, and are left out: The walk ends above 0.5"
    ]
    assert not Lab(tmp_path / "t", Inline()).run(walk).notes


def test_an_arm_may_be_measured_in_its_own_way(tmp_path):
    found = catalogue.find(str(Path(__file__).with_name("walk.py")))
    twice = lambda runs, trained, bench: found.measure(runs, trained, bench).assign(  # noqa: E731
        end=lambda d: 2 * d.end
    )
    arms = {**found.arms, "far": dataclasses.replace(found.arms["far"], measure=twice)}
    plain = Lab(tmp_path / "a", Inline()).run(found, "smoke")
    own = Lab(tmp_path / "b", Inline()).run(
        dataclasses.replace(found, arms=arms, claims=()), "smoke"
    )
    assert np.allclose(own.arms["far"].end, 2 * plain.arms["far"].end)
    assert np.allclose(own.arms["main"].end, plain.arms["main"].end)
    with pytest.raises(ExperimentError, match="nothing to measure"):
        dataclasses.replace(found.arms["mirror"], measure=twice)


def test_a_warning_about_one_prompt_names_its_row_and_what_it_says():
    rows = Rows("prompt", ("The sky is", "Grass is", "Snow is"), ("a", "b", "c"))
    judged = Judged(
        text="x", arm="main", outcome="undecided", reason="", estimate=0.0, low=-1.0, high=1.0,
        n={"prompt": 3}, units=("prompt",), levels=("a", "b", "c"), points=(1.0, 2.0, 3.0),
        warning="without prompt b it would fail",
    )  # fmt: skip
    shown = _by_rows(judged, SimpleNamespace(rows=lambda arm: rows))
    assert shown.warning == "without prompt 2 (Grass is) it would fail"
