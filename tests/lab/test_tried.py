"""Claims tried on a table are counted by the table's numbers: a copy, other names, another
threshold or a row less make no other table, other numbers do."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from assay.cli.main import main
from assay.lab.judge import tried
from assay.lab.judge.questions import Questions

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "arm": np.repeat(["mine", "old", "again"], 12),
        "seed": [*range(12)] * 3,
        "loss": np.repeat([0.1, 0.2, 0.2], 12) + 0.02 * RNG.normal(size=36),
        "right": RNG.integers(0, 2, 36),
    }
)
CLAIM = "mine.loss - old.loss < -0.05"


@pytest.fixture
def judged(tmp_path, monkeypatch, capsys):
    """Judge a claim about a table from the command line; gives what is noted beside the verdict."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def judge(rows, claim=CLAIM, *options, name="t.csv"):
        rows.to_csv(tmp_path / name, index=False)
        words = ["--claim", claim, "--unit", "seed", "--json", *options]
        main(["judge", str(tmp_path / name), *words])
        return "; ".join(json.load(io.StringIO(capsys.readouterr().out))["notes"])

    return judge


def test_every_claim_on_the_same_numbers_counts(judged):
    assert "tried on this table" not in judged(TABLE)
    assert "tried on this table" not in judged(TABLE)  # the same again is no other claim
    copy = judged(TABLE, "mine.loss - old.loss < -0.09", name="copy.csv")
    assert "2 claims were tried on this table; the same measure was judged before on this" in copy
    assert f"“{CLAIM}”" in copy
    names = TABLE.rename(columns={"loss": "error"}).sample(frac=1, random_state=1)
    names["arm"], names["seed"] = names["arm"].replace("mine", "ours"), names["seed"] + 100
    assert "3 claims were tried" in judged(names, "ours.error - old.error < -0.07")
    turned = judged(TABLE, "old.loss - mine.loss > 0.02")
    assert "4 claims were tried" in turned
    assert "the same measure was judged before" in turned
    fewer = TABLE[TABLE["seed"] != 3]
    assert "5 claims were tried" in judged(fewer, "mine.loss - old.loss < -0.08")
    another = judged(TABLE, "again.loss - old.loss < -0.05")
    assert "6 claims were tried" in another and "also judged:" in another


def test_another_unit_is_another_look(judged):
    rows = TABLE.assign(batch=TABLE["seed"] % 6)
    one, batches = judged(rows), ("mine.loss - old.loss < -0.05", "--unit", "batch")
    assert "tried on this table" not in one
    assert "1 claim was tried on this table (2 ways: with different units)" in judged(
        rows, *batches
    )
    third = judged(rows, "mine.loss - old.loss < -0.06")
    assert "2 claims were tried on this table (3 ways: with different units)" in third


def test_who_adds_rows_until_a_claim_holds_is_found_out(judged):
    before = "the same claim was judged before on this machine, on other rows: "
    assert before not in judged(TABLE[TABLE["seed"] < 8])
    outcomes = [x["outcome"] for x in Questions(tried.file()).looks]
    assert f"{before}{outcomes[0]}" in judged(TABLE[TABLE["seed"] < 10])
    assert before not in judged(TABLE.assign(loss=TABLE["loss"] + RNG.normal(size=36)))
    outcomes = [x["outcome"] for x in Questions(tried.file()).looks]
    assert outcomes[0] == outcomes[1] and f"{before}2 × {outcomes[0]}" in judged(TABLE)


def test_other_numbers_are_another_table(judged):
    judged(TABLE)
    moved = TABLE["loss"] + 0.001 * RNG.normal(size=36)
    other = TABLE.assign(loss=moved, right=1 - TABLE["right"])
    assert "tried on" not in judged(other, "mine.loss - old.loss < -0.06")
    alone = TABLE.drop(columns="loss").assign(right=RNG.permutation(TABLE["right"]))
    # of right and wrong answers many are equal
    assert "tried on" not in judged(alone, "mine.right - old.right > -0.9")
    shuffled = alone.assign(right=RNG.permutation(TABLE["right"]))
    assert "tried on" not in judged(shuffled, "mine.right - old.right > -0.8")
    assert "2 claims were tried" in judged(alone, "mine.right - old.right > -0.8")


def test_a_claim_on_another_column_counts_for_the_table(judged):
    """Whoever tries ten columns and reports one has tried ten claims."""
    layered = TABLE.assign(layer=TABLE["seed"] % 4)
    assert "tried on this table" not in judged(layered)
    right = judged(layered, "mine.right - old.right > -0.9", name="copy.csv")
    assert "2 claims were tried on this table, 1 of them on these columns" in right
    assert f"also judged: “{CLAIM}”" in right
    again = judged(layered, "mine.right - old.right > -0.8")
    assert "3 claims were tried on this table, 2 of them on these columns" in again
    other = layered.assign(loss=RNG.normal(size=36), right=RNG.integers(0, 2, 36))
    assert "tried on this table" not in judged(other)  # a layer is no result


def test_without_the_ledger_nothing_is_noted_and_the_output_says_so(judged):
    assert "not counted (the ledger is off): how many" in judged(TABLE, CLAIM, "--no-ledger")
    assert not tried.file().exists()
    tried.file().parent.parent.mkdir(parents=True, exist_ok=True)
    tried.file().parent.write_text("no folder")
    assert "how many claims were tried on this table is not known" in judged(TABLE)
