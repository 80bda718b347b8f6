"""What is frozen is judged once, cannot be frozen after the fact, and cannot be edited without a
word."""

import dataclasses
import json
import os
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest

from assay.core import inputs
from assay.core.errors import ExperimentError, StoreError
from assay.core.results import Price, ResultData
from assay.lab import catalogue
from assay.lab import verifying as verify
from assay.lab.engines import Inline
from assay.lab.judge import registered
from assay.lab.judge.followed import another_study
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.lab.records import records
from assay.lab.store.atomic import seal, unseal
from assay.report.statements import frozen_lines
from marks import confirmatory

FAR = """
Claim(text="far above", value=lambda arm, arms: arm.end, low=2.5, must_fail=("still",), threshold_from="theory", source="arithmetic",
      also={"far": "rival: farther"})"""  # noqa: E501
NEAR = """
Claim(text="just above", value=lambda arm, arms: arm.end, low=5.0, must_fail=("still",), threshold_from="theory", source="arithmetic",
      also={"far": "rival: farther"})"""  # noqa: E501

EDITED = "drift.py, or a file that it imports, was edited"


def write(folder, *claims, seeds="1000, 1018", text=("", "")):
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


def found(path):
    experiment = catalogue.find(str(path))
    return experiment, override(experiment)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "store", Inline())


def test_what_was_frozen_is_judged_once(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR, NEAR))
    known = registered.freeze(lab.store, experiment, preset)
    result = lab.run(experiment, "default")
    assert [j.verdict.n for j in result.judged] == [{"seed": 18}] * 2
    assert result.judged[1].verdict.method.startswith("95%, over ")
    assert result.inference == "confirmatory"
    shown = Lab(lab.store.root, Inline()).judge(experiment).to_json()
    assert shown == {**result.to_json(), "provenance": shown["provenance"]}
    (look,) = shown["registration"]["looks"]
    assert (look["units"], look["settled"], known.level) == (18, ["far above"], 0.95)
    assert shown["registration"]["open"] == ["just above"]
    assert lab.run(experiment).to_json() == result.to_json()
    assert [line["look"] for line in registered.read_looks(lab.store, "drift", preset)] == [1]


def test_notes_that_cannot_be_made_are_reported_and_the_look_is_on_record(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    registered.freeze(lab.store, experiment, preset)
    broken = dataclasses.replace(experiment, verdict_notes=lambda judged, arms: arms["no such"])
    result = lab.run(broken, preset)
    assert [j.outcome for j in result.judged] == ["holds"]
    assert result.data.inference == "confirmatory"
    assert any("notes on these verdicts are missing" in n and "no such" in n for n in result.notes)
    (look,) = registered.looks_path(lab.store, experiment.name, preset).read_text().splitlines()
    assert json.loads(look)["verdicts"] == {"far above": "holds"}


def test_a_record_holds_what_was_frozen_of_it(tmp_path, lab):
    for seeds, freeze, inference in (
        ("1000, 1006", False, "exploratory"),
        ("2000, 2006", True, "confirmatory"),
    ):
        experiment, preset = found(write(tmp_path, FAR, seeds=seeds))
        frozen = registered.freeze(lab.store, experiment, preset) if freeze else None
        lab.run(experiment)
        verify.write(lab, experiment, preset)
        record = records.load_record(experiment)
        data = ResultData.from_json(record)
        standing = confirmatory.standing("drift", record, experiment.origin)
        assert data.inference == standing.inference == inference
        assert (frozen.hash if freeze else None) == getattr(data.registration, "hash", None)
        assert (frozen.hash[:12] if freeze else "nothing was frozen") in standing.why
        assert str(tmp_path) not in json.dumps(record["registration"])


def test_what_may_have_been_seen_cannot_be_frozen(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    some = override(experiment, "default", ("seed=1003:1009",))
    lab.run(experiment, some)
    with pytest.raises(StoreError, match=r"seeds 1003:1009 of drift were looked at on"):
        registered.freeze(lab.store, experiment, preset)
    (lab.store.root / "results/drift/frozen.jsonl").unlink()
    with pytest.raises(StoreError, match=r"already measured on these seeds: drift/.* seed 100"):
        registered.freeze(lab.store, experiment, preset)
    renamed = tmp_path / "renamed.py"
    renamed.write_text((tmp_path / "drift.py").read_text())
    other, whole = found(renamed)
    # the same runs under another name
    with pytest.raises(StoreError, match=r"already measured on these seeds: drift/"):
        registered.freeze(lab.store, other, whole)
    registered.freeze(lab.store, experiment, override(experiment, "default", ("seed=2000:2008",)))


def test_seeds_of_a_pilot_are_refused(tmp_path, lab):
    with pytest.raises(ExperimentError, match="seed 999 is a pilot's"):
        registered.freeze(lab.store, *found(write(tmp_path, FAR, seeds="999, 1017")))
    assert not lab.store.root.exists()


def test_freezing_twice_is_freezing_once_and_otherwise_is_refused(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    first = registered.freeze(lab.store, experiment, preset)
    assert registered.freeze(lab.store, experiment, preset) == first
    with pytest.raises(StoreError, match="claim added or reworded: just above"):
        registered.freeze(lab.store, *found(write(tmp_path, FAR, NEAR)))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"claims": (FAR, NEAR)}, "claim added or reworded: just above"),
        ({"claims": (FAR.replace("2.5", "2.4"),)}, "claim changed: far above"),
        (
            {"claims": (FAR.replace("2.5", "2.4"),)},
            "another threshold for the same reason, “theory”: >= 2.5 was frozen, "
            "and >= 2.4 is judged",
        ),
        # its code alone
        ({"claims": (FAR.replace("arm.end,", "2 * arm.end,"),)}, EDITED),
        ({"seeds": "1000, 1020"}, "seeds changed: 1000:1018 frozen, 1000:1020 now"),
        ({"text": ("end=-arms", "end=-2 * arms")}, EDITED),
    ],
)
def test_what_is_not_as_it_was_frozen_is_told_and_exploratory(tmp_path, lab, changed, told):
    experiment, preset = found(write(tmp_path, FAR))
    registered.freeze(lab.store, experiment, preset)
    changed = {"claims": (FAR,), **changed}
    experiment, _ = found(write(tmp_path, *changed.pop("claims"), **changed))
    data = lab.run(experiment).to_json()
    assert data["inference"] == "exploratory"
    assert told in data["registration"]["changed"]


def edited(path, **what):
    """The bytes of a file with some of what was frozen changed, and sealed again."""
    data = {k: v for k, v in {**unseal(path), **what}.items() if v is not None}
    content = {
        k: v
        for k, v in data.items()
        if k not in ("schema", "hash", "time", "commit", "software", "ledger")
    }
    return seal({**data, "hash": registered._hash(content)})


def test_a_file_of_an_older_version_is_not_followed(tmp_path, lab):
    """It has hashes of functions, or several looks, which this version makes no more."""
    experiment, preset = found(write(tmp_path, FAR))
    content = registered.freeze(lab.store, experiment, preset).content
    claims = [{**content["claims"][0], "code": {"value": "0123abcd"}}]
    paths = (
        registered.adjacent_path(experiment, preset),
        registered.place(lab.store, experiment, preset),
    )
    whole = paths[0].read_bytes()
    for path in paths:
        path.write_bytes(edited(path, text=None, claims=claims))
    data = lab.run(experiment).to_json()
    assert data["inference"] == "exploratory"
    assert "an earlier version of Assay froze its code" in data["registration"]["changed"][0]
    for path in paths:
        path.write_bytes(whole)
        path.write_bytes(edited(path, looks=2 * content["looks"]))
    with pytest.raises(StoreError, match="plans several looks, as files of older versions could"):
        lab.judge(experiment)


def test_an_edited_or_forged_file_is_refused(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR, NEAR))
    registered.freeze(lab.store, experiment, preset)
    mine = registered.adjacent_path(experiment, preset)
    theirs = registered.place(lab.store, experiment, preset)
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
    registered.freeze(lab.store, experiment, preset)
    result = Lab(tmp_path / "fresh", Inline()).run(experiment)
    assert result.inference == "confirmatory"
    assert result.judged[0].verdict.n == {"seed": 18}


def test_runs_that_were_there_before_are_told(tmp_path, lab):
    experiment, preset = found(write(tmp_path, FAR))
    Lab(tmp_path / "early", Inline()).run(experiment)
    known = registered.freeze(lab.store, experiment, preset)
    # as if frozen after those runs
    later = {**unseal(known.path), "time": "2999-01-01T00:00:00+00:00"}
    for path in (known.path, registered.place(lab.store, experiment, preset)):
        path.write_bytes(seal(later))
    data = Lab(tmp_path / "early", Inline()).run(experiment).to_json()
    assert data["inference"] == "exploratory"
    # eighteen seeds of three arms that train
    assert data["registration"]["changed"] == ["54 runs were begun before it was frozen"]


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (Price("about 3 more seeds", "seed", 3), "a new study on about 11 fresh seeds"),
        (
            Price("about 3 more seeds, about 20 CPU-minutes: assay run x", "seed", 3),
            "a new study on about 11 fresh seeds",
        ),
        (
            Price(
                "about 3 more seeds, 11 in all, 22 with the half that is not measured", "seed", 3
            ),
            "a new study on about 11 fresh seeds, 22 with the half that is not measured",
        ),
        (
            Price("shuffled: about 1 more seed", "seed", 1),
            "shuffled: a new study on about 9 fresh seeds",
        ),
        (
            # ten times eight are not too many
            Price("about 81 more seeds", "seed", 81),
            "more seeds do not help in practice, as it would take about 89 fresh seeds; "
            "a new study needs units that vary less",
        ),
        (Price("more units do not help: plant it"), "more units do not help: plant it"),
        (None, "a new study on fresh seeds"),
    ],
)
def test_after_the_look_the_price_is_that_of_another_study(price, text):
    assert another_study(price, {"seed": 8}) == Price(text)


def reading(folder, more=""):
    """The walk, whose measuring reads a file in its own code."""
    path, data = write(folder, FAR), folder / "scale.txt"
    text = path.read_text().replace(
        'end=("run", x, "1")', 'end=("run", x * float(DATA.read_text()), "1")'
    )
    path.write_text(f"{text}\nDATA = Path({str(data)!r})\n{more}")
    data.write_text("1.0")
    os.utime(data, (1, 1))
    return path


DECLARED = """
import hashlib
experiment = dataclasses.replace(
    experiment, inputs=lambda s: {"scale": hashlib.sha256(DATA.read_bytes()).hexdigest()}
)
"""


@pytest.fixture
def own_scratch(tmp_path, monkeypatch):
    """Files of tests lie among scratch files, which are no data."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    inputs._scratch.cache_clear()
    yield
    monkeypatch.undo()
    inputs._scratch.cache_clear()


def test_a_file_that_own_code_reads_is_frozen_where_it_is_declared_and_named_where_not(
    tmp_path, lab, own_scratch
):
    experiment, preset = found(reading(tmp_path))
    registered.freeze(lab.store, experiment, preset)
    result = lab.run(experiment)
    assert result.inference == "frozen without inputs"
    (name,) = result.registration["lacking"]
    assert name.endswith("scale.txt")
    assert frozen_lines(result.data)[1].startswith("not frozen: ")

    (other := tmp_path / "declared").mkdir()
    experiment, preset = found(reading(other, DECLARED))
    lab = Lab(tmp_path / "another", Inline())
    frozen = registered.freeze(lab.store, experiment, preset)
    assert lab.run(experiment).inference == "confirmatory"
    held = frozen.content["arms"]["main"]["inputs"]["scale"]
    (other / "scale.txt").write_text("2.0")
    data = lab.run(experiment).to_json()
    assert data["inference"] == "exploratory"
    now = sha256(b"2.0").hexdigest()
    assert f"scale: {held[:12]} frozen, {now[:12]} run" in data["registration"]["changed"]


@pytest.mark.parametrize(
    ("read", "lacking", "inference", "held"),
    [
        ({}, None, "confirmatory", "its runs read nothing from outside"),
        ({"model": "a"}, None, "frozen without inputs", "not the model"),
        ({"model": "a"}, ["model"], "frozen without inputs", "not the model"),
        ({"model": "a"}, [], "confirmatory", "it held the model"),
    ],
)
def test_the_standing_of_a_record_is_by_what_its_freeze_held(read, lacking, inference, held):
    """Files of older versions say nothing of inputs, and held none."""
    known = {"hash": "ab" * 32, "time": "2026-11-25T00:00:00+00:00"}
    known |= {} if lacking is None else {"lacking": lacking}
    record = {"inference": "confirmatory", "registration": known, "provenance": {"inputs": read}}
    standing = confirmatory.standing("x", record)
    assert standing.inference == inference and held in standing.why
    assert ResultData.from_json(record).standing == inference
    exploratory = {**record, "inference": "exploratory"}
    assert confirmatory.standing("x", exploratory).inference == "exploratory"
