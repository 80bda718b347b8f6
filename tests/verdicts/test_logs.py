"""Logs of evaluations. Truth: the means that Inspect 0.3.285 itself wrote into its logs
(fixtures/eval_logs/letters: three epochs, reduced by max, and by mean and at_least_2), and the
lines that lm-evaluation-harness is documented to write."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from assay.errors import AssayError, DataError
from assay.verdicts import logs
from assay.verdicts.rows import read
from assay.verdicts.table import estimate, judge_table

LETTERS = Path(__file__).parents[1] / "fixtures/eval_logs/letters"
HEADLINES = {
    ("good", "max"): {"grade": 0.875, "shape_length": 1, "shape_vowels": 5 / 6},
    ("plain", "max"): {"grade": 0.5, "shape_length": 1, "shape_vowels": 1 / 3},
    ("both", "mean"): {"grade": 13 / 24, "shape_length": 1, "shape_vowels": 0.5},
    ("both", "at_least_2"): {"grade": 7 / 12, "shape_length": 1, "shape_vowels": 7 / 12},
}
"""What Inspect reported of each log and reducer."""


@pytest.mark.parametrize("arm, reducer", HEADLINES)
def test_means_are_those_that_inspect_reports(arm, reducer):
    for name, mean in HEADLINES[arm, reducer].items():
        value = f"{arm}.{name}[reducer={reducer}]" if arm == "both" else f"{arm}.{name}"
        found = estimate(LETTERS, value, "sample", arm="variant")
        assert found.estimate == pytest.approx(mean) and found.n == {"sample": 12}


def test_arms_are_the_column_that_is_named(tmp_path):
    for name in ("good", "plain"):
        shutil.copy(LETTERS / f"{name}.eval", tmp_path)
    result = judge_table(tmp_path, "good.grade - plain.grade > 0.1", "sample", arm="variant")
    assert result.estimate == pytest.approx(0.375) and len(result.provenance.inputs) == 2
    with pytest.raises(AssayError) as e:
        judge_table(tmp_path, '"mockllm/model".grade > 0.1', "sample")
    assert e.value.code == "open-level"
    model = judge_table(tmp_path, '"mockllm/model".grade[variant=good] > 0.1', "sample")
    assert model.estimate == pytest.approx(0.875)


@pytest.mark.parametrize("control", [(), ("both",)])
def test_no_mean_is_over_reducers(control):
    claim = "good.grade > 0.1" if control else "both.grade > 0.1"
    with pytest.raises(AssayError) as e:
        judge_table(LETTERS, claim, "sample", arm="variant", control=control)
    assert e.value.code == "open-level"


def test_nothing_else_of_a_log_is_read():
    found = read(LETTERS, arm="variant")
    scores = {"grade", "shape_length", "shape_vowels"}
    assert {*found.frame} == scores | {"arm", "model", "task", "reducer", "sample"}
    assert found.levels == ("model", "task", "reducer")


def test_grades_are_worth_what_inspect_says():
    values = {"C": 1, "I": 0, "P": 0.5, "N": 0, "0.25": 0.25, "Yes": 1, True: 1, 3: 3, False: 0}
    for value, worth in values.items():
        assert dict(logs._numbers("s", value)) == {"s": worth}
    assert np.isnan(dict(logs._numbers("s", None))["s"])
    assert dict(logs._numbers("s", [1, {"k": "I"}])) == {"s_0": 1.0, "s_1_k": 0.0}


def harness(folder, accuracies):
    """Samples as the harness writes them: each document once for each filter."""
    rng = np.random.default_rng(0)
    for model, by_filter in accuracies.items():
        (folder / model).mkdir()
        lines = [
            {
                "doc_id": doc,
                "doc": {"question": "?"},
                "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {"temperature": 0.0}}},
                "filter": name,
                "metrics": ["exact_match", "bleu"],
                "exact_match": float(rng.random() < right),
                "bleu": [1, 2],
            }
            for name, right in by_filter.items()
            for doc in range(40)
        ]
        name = "samples_gsm8k_2026-01-02T03-04-05.678901.jsonl"
        (folder / model / name).write_text("\n".join(map(json.dumps, lines)) + "\n")
        (folder / model / "results_2026-01-02T03-04-05.678901.json").write_text('{"results": {}}')
    return folder


def test_harness_samples_are_judged_by_filter(tmp_path):
    far = {"strict-match": 0.9, "flexible-extract": 0.5}
    near = {"strict-match": 0.2, "flexible-extract": 0.5}
    folder = harness(tmp_path, {"able": far, "weak": near, "again": near})
    claim = (
        'able.exact_match[filter="strict-match"] - weak.exact_match[filter="strict-match"] > 0.3'
    )
    result = judge_table(folder, claim, "sample", control="again", about="able")
    assert result.outcome == "holds" and result.n == {"sample": 40}
    of = read(folder).frame.query("filter == 'strict-match'").groupby("arm")["exact_match"].mean()
    assert result.estimate == pytest.approx(of["able"] - of["weak"])
    with pytest.raises(AssayError) as e:
        judge_table(folder, "able.exact_match - weak.exact_match > 0.3", "sample")
    assert e.value.code == "open-level"


def test_older_samples_name_no_metrics(tmp_path):
    path = tmp_path / "samples_sums.jsonl"
    path.write_text(
        "".join(f'{{"doc_id": {k}, "acc": {k % 2}, "target": "1"}}\n' for k in range(8))
    )
    assert estimate(path, "acc", "sample").estimate == 0.5


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.eval", b"no zip", "not-a-log"),
        ("a.eval", (LETTERS / "good.eval").read_bytes()[:900], "not-a-log"),
        ("a.json", b'{"eval": 3, "reductions": [{}]}', "not-a-log"),
        ("a.json", b'{"eval": {"model": "m", "task": "t"}}', "no-scores"),
        ("a.json", b'{"eval": {"model": "m", "task": "t"}, "reductions": [3]}', "not-a-log"),
        ("samples_x.jsonl", b'{"a": 1}\n', "not-a-log"),
        ("samples_x.jsonl", b"[3]\n", "not-a-log"),
        ("samples_x.jsonl", b"{", "not-json"),
        ("samples_x.jsonl", b"\xff\xfe", "not-text"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, name, content, code):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as e:
        read(tmp_path / name)
    assert e.value.code == code and "\n" not in str(e.value)


def test_bombs_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", b" " * 10_000)
    monkeypatch.setattr(logs, "LARGEST", 9_999)
    with pytest.raises(DataError) as e:
        read(path)
    assert e.value.code == "too-large"


def test_zstd_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError) as e:
        read(LETTERS / "good.eval")
    assert e.value.code == "needs-pyarrow"
