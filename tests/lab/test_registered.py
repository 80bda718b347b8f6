"""What is frozen is followed look by look, cannot be frozen after the fact, and cannot be edited
without being told."""

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from assay.core.errors import ExperimentError, StoreError
from assay.core.judging import judge
from assay.core.results import Price, ResultData
from assay.core.spending import boundaries
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import looks, registered
from assay.lab.judge.sequential import another_study
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.lab.records import records
from assay.lab.store.sealed import seal, unseal
from assay.lab.work.events import Looked, Partial
from assay.verbs import record as recorded_by

FAR = """
Claim(text="far above", value=lambda arm, arms: arm.end, low=2.5, must_fail=("still",), threshold_from="theory", source="arithmetic",
      also={"far": "rival: farther"})"""  # noqa: E501
NEAR = """
Claim(text="just above", value=lambda arm, arms: arm.end, low=5.0, must_fail=("still",), threshold_from="theory", source="arithmetic",
      also={"far": "rival: farther"})"""  # noqa: E501
LOOKS = (6, 12, 18)


def write(
    folder: Path, *claims: str, seeds: str = "1000, 1018", text: tuple[str, str] = ("", "")
) -> Path:
    """A walk with these claims, in a file of its own."""
    path = folder / "drift.py"
    walk = Path(__file__).with_name("walk.py").read_text()
    default = f"grid(Walk(steps=4, drift=5.0), seed=range({seeds}))"
    more = (
        "import dataclasses\nexperiment = dataclasses.replace(experiment, "
        f"claims=({', '.join(claims)},), default={default})"
    )
    path.write_text(f"{walk.replace(*text) if text[0] else walk}\n{more}\n")
    return path


def found(path: Path):
    experiment = catalogue.find(str(path))
    return experiment, override(experiment)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "store", Inline())


def test_what_a_look_settles_stays_and_the_rest_goes_on_to_the_last(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR, NEAR))
    registered.freeze(lab.store, experiment, preset, LOOKS)
    heard = []
    result = lab.run(experiment, "default", heard.append)
    looks = [e for e in heard if isinstance(e, Looked)]
    assert [(e.look, e.seeds, e.settled, e.open) for e in looks] == [
        (1, 6, ("far above",), ("just above",)),
        (2, 12, ("far above",), ("just above",)),
        (3, 18, ("far above",), ("just above",)),
    ]
    assert not any(isinstance(e, Partial) for e in heard)
    assert [j.verdict.n["seed"] for j in result.judged] == [6, 18]
    # the verdict of the first n seeds alone, at the level of that look
    for j, n, k in zip(result.judged, (6, 18), (0, 2), strict=True):
        arms = {
            name: data.isel(run=data.seed.values < 1000 + n) for name, data in result.arms.items()
        }
        alone = judge(j.claim, arms, boundaries(LOOKS)[k].level)
        assert (j.verdict.outcome, j.verdict.low, j.verdict.high) == (
            alone.verdict.outcome,
            alone.verdict.low,
            alone.verdict.high,
        )
    assert result.inference == "confirmatory"
    shown = Lab(lab.store.root, Inline()).judge(experiment).to_json()
    assert shown == {**result.to_json(), "provenance": shown["provenance"]}
    assert [look["settled"] for look in shown["registration"]["looks"]] == [["far above"], [], []]


def test_nothing_more_is_trained_once_every_claim_is_settled(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    registered.freeze(lab.store, experiment, preset, LOOKS)
    result = lab.run(experiment)
    assert (result.inference, result.judged[0].verdict.outcome, result.judged[0].verdict.n) == (
        "confirmatory",
        "holds",
        {"seed": 6},
    )
    assert {json.loads(run.spec_json)["seed"] for run in lab.store.list()} == set(range(1000, 1006))
    heard = []
    again = lab.run(experiment, "default", heard.append)
    assert [type(e).__name__ for e in heard] == ["Looked", "Finished"]
    assert again.to_json() == result.to_json() == lab.judge(experiment).to_json()
    assert [line["look"] for line in registered.read_looks(lab.store, "drift", preset)] == [1]


def test_a_record_holds_what_was_frozen_of_it(tmp_path, lab):
    for seeds, freeze, inference in (
        ("1000, 1006", False, "exploratory"),
        ("2000, 2006", True, "confirmatory"),
    ):
        experiment, preset = found(write(tmp_path, FAR, seeds=seeds))
        frozen = registered.freeze(lab.store, experiment, preset) if freeze else None
        lab.run(experiment)
        recorded_by.record(lab, experiment, preset)
        record = records.load_record(experiment)
        data = ResultData.from_json(record)
        standing = looks.standing("drift", record, experiment.origin)
        assert data.inference == standing.inference == inference
        assert (frozen.hash if freeze else None) == getattr(data.registration, "hash", None)
        assert (frozen.hash[:12] if freeze else "nothing was frozen") in standing.why
        assert str(tmp_path) not in json.dumps(record["registration"])


def test_seeds_that_are_stored_beyond_the_stop_change_nothing(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    registered.freeze(lab.store, experiment, preset, LOOKS)
    first = lab.run(experiment).judged[0].verdict
    # the others, under another name
    lab.run(experiment, override(experiment, "default", ("seed=1006:1018",)))
    assert lab.judge(experiment).judged[0].verdict == first


def interrupted(path, root):
    """Runs, and is killed as soon as the first look is told."""
    os.setsid()
    experiment = catalogue.find(str(path))

    def tell(event):
        if isinstance(event, Looked):
            os.kill(os.getpid(), signal.SIGKILL)

    Lab(root, Inline()).run(experiment, "default", tell)


def test_a_kill_between_looks_goes_on(tmp_path, lab):
    path = write(tmp_path, FAR, NEAR)
    experiment, preset = found(path)
    registered.freeze(lab.store, experiment, preset, LOOKS)
    shutil.copytree(lab.store.root, tmp_path / "other")
    whole = Lab(tmp_path / "other", Inline()).run(experiment)
    process = multiprocessing.get_context("fork").Process(
        target=interrupted, args=(path, lab.store.root)
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert [line["look"] for line in registered.read_looks(lab.store, "drift", preset)] == [1]
    result = lab.run(experiment)
    assert [line["look"] for line in registered.read_looks(lab.store, "drift", preset)] == [1, 2, 3]
    assert [j.verdict for j in result.judged] == [j.verdict for j in whole.judged]
    assert result.inference == "confirmatory"


def test_without_looks_there_is_one_at_the_usual_level(tmp_path, lab):
    experiment, preset = found(write(tmp_path, NEAR))
    known = registered.freeze(lab.store, experiment, preset)
    assert (known.units, known.levels) == ((18,), (0.95,))
    result = lab.run(experiment)
    assert result.judged[0].verdict.method.startswith("95% hull")
    assert result.inference == "confirmatory"


def test_what_was_not_frozen_is_exploratory(tmp_path, lab):
    experiment, _ = found(write(tmp_path, NEAR))
    data = lab.run(experiment).to_json()
    assert (data["inference"], data["registration"]) == ("exploratory", None)


def test_what_may_have_been_seen_cannot_be_frozen(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    some = override(experiment, "default", ("seed=1003:1009",))
    lab.run(experiment, some)
    with pytest.raises(StoreError, match=r"seeds 1003:1009 of drift were looked at on"):
        registered.freeze(lab.store, experiment, preset)
    (lab.store.root / "results/drift/frozen.jsonl").unlink()
    with pytest.raises(
        StoreError,
        match=r"18 runs of these seeds are stored with their measures: drift/.* seed 100",
    ):
        registered.freeze(lab.store, experiment, preset)
    renamed = tmp_path / "renamed.py"
    renamed.write_text((tmp_path / "drift.py").read_text())
    other, whole = found(renamed)
    # the same runs under another name
    with pytest.raises(StoreError, match=r"stored with their measures: drift/"):
        registered.freeze(lab.store, other, whole)
    registered.freeze(lab.store, experiment, override(experiment, "default", ("seed=2000:2008",)))


@pytest.mark.parametrize(
    ("units", "seeds", "told"),
    [
        ((4, 8, 18), "1000, 1018", "a look at 4 seeds decides nothing: a verdict needs 6"),
        ((6, 12), "1000, 1018", "the last look is at all 18 seeds, got looks at 6, 12"),
        ((), "999, 1017", "seed 999 is a pilot's"),
    ],
)
def test_looks_and_seeds_that_cannot_be_are_refused(tmp_path, lab, units, seeds, told):
    with pytest.raises(ExperimentError) as caught:
        registered.freeze(lab.store, *found(write(tmp_path, FAR, seeds=seeds)), units)
    assert told in str(caught.value)
    assert not lab.store.root.exists()


def test_freezing_twice_is_freezing_once_and_otherwise_is_refused(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    first = registered.freeze(lab.store, experiment, preset, LOOKS)
    assert registered.freeze(lab.store, experiment, preset, LOOKS) == first
    with pytest.raises(StoreError, match="was frozen otherwise on"):
        registered.freeze(lab.store, experiment, preset, (6, 18))
    with pytest.raises(StoreError, match="claim added or reworded: just above"):
        registered.freeze(lab.store, *found(write(tmp_path, FAR, NEAR)), LOOKS)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"claims": (FAR, NEAR)}, "claim added or reworded: just above"),
        ({"claims": (FAR.replace("2.5", "2.4"),)}, "claim changed: far above"),
        (
            {"claims": (FAR.replace("arm.end,", "2 * arm.end,"),)},
            "claim changed: far above",
        ),  # its code alone
        ({"seeds": "1000, 1020"}, "seeds changed: 1000:1018 frozen, 1000:1020 now"),
        ({"text": ("batch * 0.05", "batch * 0.04")}, "arm changed: main"),
        ({"text": ("end=-arms", "end=-2 * arms")}, "arm changed: mirror"),
    ],
)
def test_what_is_not_as_it_was_frozen_is_told_and_exploratory(tmp_path, lab, changed, told):
    experiment, preset = found(write(tmp_path, FAR))
    registered.freeze(lab.store, experiment, preset, LOOKS)
    changed = {"claims": (FAR,), **changed}
    experiment, _ = found(write(tmp_path, *changed.pop("claims"), **changed))
    data = lab.run(experiment).to_json()
    assert data["inference"] == "exploratory"
    assert told in data["registration"]["changed"]
    assert data["verdicts"][0]["n"]["seed"] >= 18, "there are no looks where they are not followed"


def test_a_comment_is_no_change(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    registered.freeze(lab.store, experiment, preset, LOOKS)
    path = tmp_path / "drift.py"
    path.write_text(path.read_text() + "\n# a comment\n")
    assert registered.departures(registered.find(lab.store, *found(path)), *found(path)) == []


def edited(path, **what):
    """The bytes of a file with some of what was frozen changed, and sealed again."""
    data = {**unseal(path), **what}
    content = {
        k: v
        for k, v in data.items()
        if k not in ("schema", "hash", "time", "commit", "software", "ledger")
    }
    return seal({**data, "hash": registered._hash(content)})


def test_an_edited_or_forged_file_is_refused(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR, NEAR))
    registered.freeze(lab.store, experiment, preset, LOOKS)
    mine, theirs = (
        registered.adjacent_path(experiment, preset),
        registered.place(lab.store, experiment, preset),
    )
    whole = mine.read_bytes()
    assert mine == tmp_path / "drift.prereg.json" and whole == theirs.read_bytes()
    mine.write_bytes(whole.replace(b">= 2.5", b">= 2.4"))
    with pytest.raises(StoreError, match="is not as it was frozen"):
        lab.run(experiment)
    forged = edited(theirs, alpha=0.1)
    mine.write_bytes(forged)  # sealed again, but the store has another
    with pytest.raises(StoreError, match="is not what was frozen by"):
        lab.run(experiment)
    mine.write_bytes(whole)
    lab.run(experiment)
    for path in (mine, theirs):  # both, but a look was taken under the first
        path.write_bytes(forged)
    with pytest.raises(StoreError, match=r"a look was taken on .* under another freezing"):
        lab.judge(experiment)


def test_a_store_that_is_gone_does_not_thaw_what_lies_beside_the_study(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    registered.freeze(lab.store, experiment, preset, LOOKS)
    result = Lab(tmp_path / "fresh", Inline()).run(experiment)
    assert (result.inference, result.judged[0].verdict.n) == ("confirmatory", {"seed": 6})


def test_runs_that_were_there_before_are_told(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    Lab(tmp_path / "early", Inline()).run(experiment)
    known = registered.freeze(lab.store, experiment, preset, LOOKS)
    # as if frozen after those runs
    later = {
        **unseal(known.path),
        "time": "2999-01-01T00:00:00+00:00",
    }
    for path in (known.path, registered.place(lab.store, experiment, preset)):
        path.write_bytes(seal(later))
    data = Lab(tmp_path / "early", Inline()).run(experiment).to_json()
    assert data["inference"] == "exploratory"
    # six seeds of three arms that train
    assert data["registration"]["changed"] == ["18 runs were stored before it was frozen"]


def test_another_arm_is_asked_of_what_the_last_look_has_and_confirms_nothing(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    registered.freeze(lab.store, experiment, preset, LOOKS)
    with pytest.raises(
        StoreError,
        match="the first look of drift is at 6 seeds, and 18 of its 18 runs are not stored",
    ):
        lab.judge(experiment)
    lab.run(experiment)
    other = lab.judge(experiment, arm="still")
    assert (other.inference, other.judged[0].verdict.n) == ("exploratory", {"seed": 6})


def test_a_signature_is_kept_by_its_hash(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    known = registered.freeze(lab.store, experiment, preset, LOOKS)
    signature = tmp_path / "mine.sig"
    signature.write_bytes(b"-----BEGIN SSH SIGNATURE-----\n")
    digest = registered.sign(lab.store, experiment, preset, known, signature)
    assert registered.sign(lab.store, experiment, preset, known, signature) == digest
    assert (
        lab.store.root / "registered/drift/signatures" / digest
    ).read_bytes() == signature.read_bytes()
    assert [s["sha256"] for s in lab.run(experiment).registration["signatures"]] == [digest]


def test_the_levels_in_the_file_are_those_of_its_looks(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    known = registered.freeze(lab.store, experiment, preset, LOOKS)
    # 1 − 2 (1 − Φ(z)) of 3.7103, 3.2905, 1.9611
    assert np.allclose(known.levels, [0.999793, 0.999, 0.95013], atol=1e-6)
    assert (
        known.content["claims"][0]["threshold"] == ">= 2.5"
        and known.content["arms"]["still"]["fields"][0]["drift"] == 0.0
    )


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (Price("about 3 more seeds", "seed", 3), "another study, on about 11 seeds of its own"),
        (
            Price("about 3 more seeds, about 20 CPU-minutes: assay run x", "seed", 3),
            "another study, on about 11 seeds of its own",
        ),
        (
            Price("shuffled: about 1 more seed", "seed", 1),
            "shuffled: another study, on about 9 seeds of its own",
        ),
        (Price("more units do not help: plant it"), "more units do not help: plant it"),
        (None, "another study, on seeds of its own"),
    ],
)
def test_after_the_last_look_the_price_is_that_of_another_study(price, text):
    assert another_study(price, {"seed": 8}) == Price(text)
