"""Logs of evaluations: those that inspect_ai 0.3.285 wrote (fixtures/eval_logs), and lines
in the format of lm-evaluation-harness, are judged as the table that they are."""

import hashlib
import json
import random
import zipfile
from pathlib import Path

import pandas as pd
import pytest

import assay
from assay.core import eval_logs
from assay.core.errors import ClaimError, DataError

LOGS = Path(__file__).parents[1] / "fixtures/eval_logs"
ABLE = LOGS / "able.eval"


def answered(right, seed):
    """The grades of the models of fixtures/eval_logs, drawn as their script drew them."""
    draw = random.Random(seed)
    return [float(draw.random() < right) for _ in range(24)]


def test_a_log_is_a_row_for_each_sample_and_epoch():
    frame = eval_logs.read(ABLE, "arm")
    assert list(frame["arm"].unique()) == ["mockllm/able"] and len(frame) == 24
    ids = [f"{a}+{b}" for a in range(2, 6) for b in range(3, 6)]
    assert sorted(frame["sample"].unique()) == ids
    assert frame.groupby("sample")["epoch"].apply(sorted).tolist() == [[1, 2]] * 12
    assert set(frame["task"]) == {"sums"} and set(frame["task steps"]) == {"1"}
    # as many are right as the model was drawn to be
    assert frame["match"].sum() == sum(answered(0.95, "able"))
    # a sum below ten that is right has one digit, one of ten or more has two
    total = frame["sample"].map(lambda name: sum(map(int, name.split("+"))))
    right = frame["match"] == 1
    assert (frame["shape_digits"] == (total >= 10) + 1)[right].all()
    assert (frame["shape_length"] == frame["shape_digits"]).all()


def test_what_inspect_packs_with_zstd_is_read_or_says_what_it_needs():
    try:
        import zstandard  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(DataError, match=r"packed.eval is compressed with zstd.*pip install"):
            eval_logs.read(LOGS / "as-packed.eval", "arm")
    else:
        unpacked = eval_logs.read(LOGS / "as-packed.eval", "arm")
        pd.testing.assert_frame_equal(unpacked, eval_logs.read(ABLE, "arm"))


def test_a_log_in_json_and_one_without_summaries_say_the_same(tmp_path):
    with zipfile.ZipFile(ABLE) as archive:
        header = json.loads(archive.read("header.json"))
        samples = json.loads(archive.read("summaries.json"))
    (tmp_path / "log.json").write_text(json.dumps({**header, "samples": samples}))
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as archive:
        archive.writestr("_journal/start.json", json.dumps(header))
        for sample in samples:
            name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
            archive.writestr(name, json.dumps(sample))
    whole = eval_logs.read(ABLE, "arm")
    for name in ("log.json", "log.eval"):
        assert eval_logs.is_log(tmp_path / name)
        pd.testing.assert_frame_equal(eval_logs.read(tmp_path / name, "arm"), whole)


def test_grades_are_worth_what_inspect_says():
    values = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "0.25": 0.25, "Yes": 1.0, True: 1.0, 3: 3.0}
    scores = {f"s{i}": {"value": value} for i, value in enumerate(values)}
    found = eval_logs._scores({**scores, "none": {"value": None}, "pair": {"value": [1, "I"]}})
    assert [found[f"s{i}"] for i in range(len(values))] == list(values.values())
    assert found["none"] != found["none"]
    assert (found["pair_0"], found["pair_1"]) == (1.0, 0.0)


def test_an_epoch_tells_rows_apart_and_an_answer_does_not():
    frame = pd.concat(eval_logs.read(LOGS / f"{m}.eval", "arm") for m in ("able", "weak", "again"))
    assert frame["match_answer"].nunique() > 2
    with pytest.raises(ClaimError, match="varies over epoch"):
        assay.judge(frame, claim='"mockllm/able".match > 0.3', unit="sample")


def harness(folder, model, *, shots, listed=False):
    """Samples of one model as the harness writes them, of prompts with so many examples."""
    (folder / model).mkdir()
    draw, when, lines = random.Random(model), "2026-01-02T03-04-05.678901", []
    for doc in range(60):
        asked = "".join(f"Q: {k} + 0 = {k}\n" for k in range(shots)) + f"Q: {doc} + 1 ="
        request = [asked, {"until": ["\n"], "temperature": 0.0, "do_sample": False}]
        named = {"gen_args_0": {f"arg_{i}": x for i, x in enumerate(request)}}
        lines.append({"doc_id": doc, "arguments": [request] if listed else named})
        lines[-1]["acc"] = float(draw.random() < (0.95 if model == "able" else 0.3))
        if not listed:
            lines[-1]["prompt_hash"] = hashlib.sha256(asked.encode()).hexdigest()
            lines[-1]["filtered_resps"] = [["-1.0", "True"]]
    name = folder / model / f"samples_sums_{when}.jsonl"
    name.write_text("\n".join(map(json.dumps, lines)) + "\n")
    run = {"results": {}, "n-shot": {"sums": shots}}
    (folder / model / f"results_{when}.json").write_text(json.dumps(run))


@pytest.mark.parametrize("listed", [False, True])
def test_other_prompts_and_shots_of_one_arm_are_seen(tmp_path, listed):
    harness(tmp_path, "able", shots=5, listed=listed)
    harness(tmp_path, "weak", shots=0, listed=listed)
    frame = eval_logs.read(tmp_path, "arm")
    assert dict(zip(frame["arm"], frame["num_fewshot"], strict=True)) == {"able": 5, "weak": 0}
    assert frame["prompt_hash"].nunique() == 120 and set(frame["temperature"]) == {0.0}
    judged = assay.judge(tmp_path, claim="able.acc - weak.acc > 0.2", unit="sample")
    assert judged.outcome == "holds" and judged.unless.endswith(" the cause")
    assert "num_fewshot" in str(judged) and "prompt_hash" in str(judged)


@pytest.mark.parametrize("listed", [False, True])
def test_the_same_prompts_are_no_doubt(tmp_path, listed):
    for model in ("able", "weak"):
        harness(tmp_path, model, shots=5, listed=listed)
    judged = assay.judge(tmp_path, claim="able.acc - weak.acc > 0.2", unit="sample")
    assert (judged.outcome, judged.unless) == ("holds", "")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.eval", b"no zip", "is not a log of Inspect, or is damaged"),
        ("a.eval", ABLE.read_bytes()[:2000], "is not a log of Inspect, or is damaged"),
        ("samples_x.jsonl", b'{"a": 1}\n', "line 1 is not a sample of lm-evaluation-harness"),
        ("samples_x.jsonl", b"{", "line 1 is not readable JSON"),
        ("a.json", b'{"eval": 3, "samples": []}', "does not say what was evaluated"),
        ("b.json", b'{"eval": {"model": "m", "task": "t"}}', "has no scored samples"),
    ],
)
def test_what_is_no_log_gets_one_line(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        assay.judge(tmp_path / name, claim="a.x > 0", unit="sample")
