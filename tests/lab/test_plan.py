"""Plan: why each run is missing, what it will cost, and that planning writes nothing."""

import dataclasses
import shutil

import pytest

from assay.core import spec
from assay.core.claims import Claim
from assay.core.errors import ClaimError, ModelError, StoreError
from assay.core.experiment import Arm, Experiment
from assay.core.fit import Group, fit
from assay.core.measures import measures
from assay.core.spec import PerRun, Spec, changed, grid
from assay.lab.engines import Inline
from assay.lab.judge.recording import write_record
from assay.lab.lab import Lab
from assay.lab.plan.plan import spanned
from assay.lab.plan.preset import override
from assay.lab.store import groups
from assay.lab.store.health import removable, remove
from assay.lab.work.worker import Workbench


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dot(Spec):
    rate: PerRun[float] = 0.5
    width: int = 4
    steps: int = 2


def train(runs, bench):
    import torch

    def step(state, batch, at):
        state["x"] += 1
        return state["x"].square()

    return fit(
        [Group(runs, {"x": torch.zeros(len(runs))}, step)],
        lambda at: None,
        steps=runs.shared.steps,
        bench=bench,
    )[0]


def measure(runs, trained, bench):
    return measures(runs, x=("run", trained.tensors["x"], "1"))


def measure_double(runs, trained, bench):
    return measures(runs, x=("run", trained.tensors["x"] * 2, "1"))


def more(runs, bench, before):
    return dataclasses.replace(before, tensors={"x": before.tensors["x"] * 100})


claim = Claim(
    text="x is 2",
    value=lambda arm, arms: arm.x,
    low=1.5,
    must_fail=("none",),
    threshold_from="theory",
    source="none",
)
small = grid(Dot(), seed=range(1000, 1006))
experiment = Experiment(
    arms={"main": Arm(train, keep=True), "none": Arm(train, specs=changed(steps=0))},
    measure=measure,
    claims=(claim,),
    smoke=small[:1],
    default=small,
    full=small,
    name="dot",
)


def alone(spec, **axes):
    """The same with one arm, and no claim that would need another."""
    return dataclasses.replace(
        experiment, arms={"main": Arm(train)}, claims=(), default=grid(spec, **axes)
    )


def reasons(lab, e, preset="default"):
    return {r.why for r in lab.plan(e, preset).rows}


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "s", Inline())


def test_never_run_then_cached(lab):
    assert reasons(lab, experiment) == {"never run"}
    assert not lab.store.root.exists(), "planning writes nothing"
    lab.run(experiment)
    plan = lab.plan(experiment)
    assert (len(plan.cached), plan.missing, plan.cpu_seconds) == (12, (), 0.0)
    assert reasons(lab, experiment) == {""}


def test_a_plan_finds_what_is_lost_or_damaged_whatever_else_lies_there(lab, monkeypatch):
    monkeypatch.setattr(Workbench, "about", lambda self: {"cpu_seconds": 3.0})
    mixed = dataclasses.replace(
        experiment,
        arms={
            **experiment.arms,
            "same": Arm(train, specs=changed(steps=2)),  # as main, but of another arm
            "few": Arm(train, specs=lambda specs: (*specs[:2], *specs[:3])),
        },
        default=grid(Dot(), seed=range(1000, 1008), rate=(0.5, 1.0)),
    )
    lab.run(mixed)
    # which this preset does not have
    lab.run(alone(Dot(width=8, steps=20), seed=range(3)))
    runs = lab.store.root / "runs" / "dot"
    lost, hurt, edited = (row.stored.folder for row in lab.plan(mixed).by_arm()["main"][:3])
    shutil.rmtree(lost)
    (hurt / "measures.safetensors").write_bytes(b"")
    (edited / "provenance.json").write_text("{}")
    (runs / "notes.txt").write_text("of somebody else")
    shutil.copytree(runs, lab.store.root / "runs" / "other")

    plain = lab.plan(mixed)
    assert plain.per_run == dict.fromkeys(mixed.arms, 3.0)
    assert len(plain.missing) == 3
    assert len({row.job.key for row in plain.rows}) == len(plain.rows) == 3 * 16 + 3
    for row in plain.rows:
        job = row.job
        assert job.key == spec.key(job.experiment, job.version, job.arm, job.spec)
        assert row.stored == lab.store.get(job.key, "dot")
        assert (row.state == "cached") == (row.stored is not None) == (row.why == "")


def test_stored_results_are_shown_without_the_model(lab):
    lab.run(dataclasses.replace(experiment, inputs=lambda s: {"model": "aaa"}))

    def gone(spec):
        raise ModelError("no model here")

    away = dataclasses.replace(experiment, inputs=gone, cost=gone)
    assert lab.judge(away).provenance["inputs"] == {"model": "aaa"}
    with pytest.raises(ModelError):
        lab.plan(away)


def test_runs_that_read_different_things_are_not_judged_together(lab):
    with pytest.raises(
        StoreError, match=r"arm main read different things \(model aaa and model bbb\)"
    ):
        lab.run(
            dataclasses.replace(
                experiment, inputs=lambda s: {"model": "aaa" if s.seed < 1004 else "bbb"}
            )
        )


def test_arms_of_another_model_are_not_compared(lab):
    """As an interrupted command leaves them, after the model or corpus changed."""

    def reads(model, which=("main", "none")):
        arms = {n: a for n, a in experiment.arms.items() if n in which}
        return dataclasses.replace(
            experiment, arms=arms, claims=(), inputs=lambda s: {"model": model}
        )

    lab.run(reads("aaa"))
    lab.run(reads("bbb", which=["main"]))
    with pytest.raises(
        StoreError,
        match=r"6 of 12 runs of dot .* \(other inputs: model aaa, now bbb\); run: assay run dot",
    ):
        lab.judge(reads("bbb"))
    of_each = dataclasses.replace(
        reads(""), inputs=lambda s: {"model": "bbb" if s.steps else "aaa"}
    )
    assert lab.judge(of_each).provenance["runs"] == 12, (
        "where arms are meant to read different things"
    )


def test_what_a_changed_preset_cannot_be_asked_is_told_beside_the_rest(lab):
    def at_half(arm, arms):
        return arm.x.swap_dims(run="rate").sel(rate=0.5)

    asked = dataclasses.replace(
        claim, text="x is 2 at a rate of a half", value=at_half, units=("seed",)
    )
    fussy = dataclasses.replace(
        experiment, claims=(claim, asked), figures=lambda arms: [at_half(arms["main"], arms)]
    )
    result = lab.run(fussy, override(fussy, "default", ["rate=0.25"]))
    assert [j.claim.text for j in result.judged] == [claim.text]
    assert [text for text, _ in result.skipped] == [asked.text, "figures"]
    assert "KeyError" in result.skipped[0][1] and "measured" not in result.skipped[0][1]
    wrong = dataclasses.replace(
        claim, text="x at a rate of nine", value=lambda arm, arms: arm.x.sel(rate=9)
    )
    broken = dataclasses.replace(fussy, claims=(wrong, claim), figures=lambda arms: [])
    # nothing was changed: a mistake of the author's, which costs the other claim nothing
    result = lab.run(broken)
    assert [j.claim.text for j in result.judged] == [claim.text] and not result.skipped
    ((text, why),) = result.failed
    assert text == wrong.text and "cannot be computed" in why and "arm main" in why
    assert lab.judge(broken).failed == result.failed
    assert "1 could not be computed" in repr(result)
    with pytest.raises(ClaimError, match="a record needs every statement"):
        write_record(broken, result, lab.plan(broken))


def test_a_new_version_keeps_the_old_runs(lab):
    lab.run(experiment)
    newer = dataclasses.replace(experiment, version=2)
    assert reasons(lab, newer) == {"version 1 → 2"}
    lab.run(newer)
    assert reasons(lab, experiment) == {""}


def test_other_measuring_needs_no_training_where_parameters_are_stored(lab):
    lab.run(experiment)

    def never(runs, bench):
        raise AssertionError("trained again")

    arms = {"main": Arm(never, keep=True), "none": experiment.arms["none"]}
    other = dataclasses.replace(experiment, measured=2, measure=measure_double, arms=arms)
    assert reasons(lab, other) == {
        "measuring changed 1 → 2; measured again from stored parameters",
        "measuring changed 1 → 2; trained again, since no parameters are stored",
    }
    assert lab.run(other).arms["main"].x.values.tolist() == [4.0] * 6


def test_a_new_arm_that_builds_on_another_asks_for_its_parameters(lab):
    lean = dataclasses.replace(experiment, arms={**experiment.arms, "main": Arm(train)})
    lab.run(lean)
    arms = {"main": Arm(train), "none": experiment.arms["none"], "more": Arm(more, after="main")}
    grown = dataclasses.replace(lean, arms=arms)
    assert reasons(lab, grown) == {
        "",
        "never run",
        "its parameters are not stored, and another arm builds on them",
    }
    assert lab.run(grown).arms["more"].x.values.tolist() == [200.0] * 6


def test_an_unfinished_group_is_named_with_its_step_and_taken_up(lab, monkeypatch):
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "0")

    def dies(runs, trained, bench):
        raise RuntimeError("killed while measuring")

    with pytest.raises(Exception, match="killed while measuring"):
        lab.run(dataclasses.replace(experiment, measure=dies))
    assert reasons(lab, experiment) == {"crashed: RuntimeError: killed while measuring"}
    for group in groups.unfinished(lab.store):
        (group.folder / "failed.json").unlink()
    assert "unfinished group at step 2" in reasons(lab, experiment)
    begun = {g.name for g in groups.unfinished(lab.store)}
    assert len(begun) == 4  # 2 arms × (4 + 2 seeds)

    seen = []
    lab.run(experiment, on_event=lambda e: seen.append(getattr(e, "group", None)))
    assert {g for g in seen if g} == begun
    assert not list(groups.unfinished(lab.store))


def test_removing_and_running_again(lab):
    lab.run(experiment)
    what = removable(lab.store, "dot")
    assert [p.name for p, _ in what] == ["default.json", "dot"]
    assert remove(lab.store, "dot") == sum(n for _, n in what) > 0
    assert reasons(lab, experiment) == {"never run"}
    assert (lab.store.root / "results" / "dot" / "looks.jsonl").exists()
    shutil.rmtree(lab.store.root)
    assert removable(lab.store, "dot") == []


def test_spans_count_no_second_twice():
    assert spanned([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.5, 1.6)]) == 4.0
