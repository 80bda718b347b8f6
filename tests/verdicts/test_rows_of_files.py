"""Tables of any kind as rows. Truth: the frame that was written, and the contract that what is no
table is refused in one line with a code."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import DataError
from assay.verdicts import files, rows
from assay.verdicts.rows import read

FRAME = pd.DataFrame(
    {
        "arm": ["a", "a", "null", "null"],
        "seed": [0, 1, 0, 1],
        "prompt": ["why, so?", 'a "b"', "zwei\nZeilen", "é"],
        "x": [0.1, np.nan, -3.0, 1e-17],
        "right": [True, False, True, True],
    }
)


def written(path):
    """The frame in the format of a path's name."""
    if path.suffix == ".parquet":
        FRAME.to_parquet(path)
    elif path.suffix == ".json":
        FRAME.to_json(path, orient="records", double_precision=15)
    elif path.suffix == ".jsonl":
        lines = FRAME.astype(object).where(FRAME.notna(), None).to_dict("records")
        path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    else:
        FRAME.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_format_holds_the_same_rows(kind, tmp_path):
    found = read(written(tmp_path / f"t.{kind}"))
    for name in ("arm", "prompt"):
        assert found.frame[name].tolist() == FRAME[name].tolist()
    for name in ("seed", "x", "right"):
        np.testing.assert_allclose(found.frame[name].astype(float), FRAME[name].astype(float))
    ((path, digest),) = found.inputs.items()
    assert path == str(tmp_path / f"t.{kind}") and len(digest) == 64


def of_csv(tmp_path, text, **ask):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, **ask).frame


def test_heads_that_numbers_would_confuse_stay_names(tmp_path):
    """1.1 and 1.10 are the second and the eleventh head of layer 1."""
    frame = of_csv(tmp_path, "head,x\n1.1,0.10\n1.10,0.1\n1.2,0.2\n")
    assert frame["head"].tolist() == ["1.1", "1.10", "1.2"]
    long = of_csv(tmp_path, "id,x\n12345678901234567890,1\n12345678901234567891,2\n")
    assert long["id"].nunique() == 2


def test_doses_that_end_in_a_zero_are_numbers(tmp_path):
    assert of_csv(tmp_path, "dose,x\n0.10,1\n0.20,2\n0.10,3\n")["dose"].tolist() == [0.1, 0.2, 0.1]


def test_arms_are_texts_as_they_are_written(tmp_path):
    frame = of_csv(tmp_path, "arm,x\n0.50,1\nTrue,2\nNA,3\n")
    assert frame["arm"].tolist() == ["0.50", "True", "NA"]
    assert read({"arm": [1, 2], "x": [1, 2]}).frame["arm"].tolist() == ["1", "2"]


def test_words_for_nothing_are_missing_numbers(tmp_path):
    x = of_csv(tmp_path, "arm,x\na,NA\na,\na, null\na,NaN\na,2\n")["x"]
    assert x.isna().tolist() == [True] * 4 + [False]


def test_marks_and_blank_lines_are_no_rows(tmp_path):
    assert of_csv(tmp_path, "\ufeffarm , x\r\na, 1\r\n\r\nb, 2\r\n").to_dict("list") == {
        "arm": ["a", "b"],
        "x": [1, 2],
    }


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=6)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(NAMES.map(lambda x: f"p{x.strip()}"), NUMBERS), min_size=1, max_size=9))
def test_what_pandas_writes_is_read_again(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("any") / "t.csv"
    written = pd.DataFrame(cells, columns=["prompt", "x"])
    written.to_csv(path, index=False, quoting=1)
    frame = read(path).frame
    assert frame["prompt"].tolist() == [name.strip() for name in written["prompt"]]
    assert [*map(float, frame["x"])] == pytest.approx(written["x"].tolist(), rel=1e-15)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("t.csv", b"", "empty"),
        ("t.csv", b"arm,x\n", "empty"),
        ("t.csv", b"arm,x\na,1,2\n", "uneven"),
        ("t.csv", b"arm,x\na\n", "uneven"),
        ("t.csv", b'arm,x\na,"1\n', "not-a-table"),
        ("t.csv", b"arm,x,x\na,1,2\n", "same-name"),
        ("t.csv", b"arm,x\n,1\n", "no-arm"),
        ("t.csv", "arm,x\né,1\n".encode("utf-16"), "not-text"),
        ("t.csv", b"\x89PNG\r\n\x1a\n\xff", "not-text"),
        ("t.jsonl", b'{"x": 1}\n{"x": \n', "not-json"),
        ("t.jsonl", b"3\n", "not-a-table"),
        ("t.json", b'{"x": 1}', "not-a-table"),
        ("t.json", b"[" * 100_000, "not-json"),
        ("t.parquet", b"PAR1 and no more", "not-a-table"),
        ("t.xlsx", b"PK", "not-a-table"),
        ("t.pkl", b"cos\nsystem\n(S'false'\ntR.", "not-a-table"),
    ],
)
def test_files_that_are_no_tables_are_refused(tmp_path, name, content, code):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as e:
        read(tmp_path / name)
    assert e.value.code == code and str(tmp_path) in e.value.at and "\n" not in str(e.value)


def test_the_line_of_a_fault_is_named(tmp_path):
    with pytest.raises(DataError) as e:
        of_csv(tmp_path, 'arm,x\n"a\nb",1\na,1,2\n')
    assert e.value.at.endswith("t.csv line 4")


def test_what_may_never_end_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    for path, code in (
        (tmp_path / "t.csv", "not-a-file"),
        (tmp_path, "not-a-file"),
        ("/dev/zero", "not-a-file"),
        (tmp_path / "no.csv", "no-file"),
        (tmp_path / "a\0b.csv", "unreadable"),
    ):
        with pytest.raises(DataError) as e:
            read(path)
        assert e.value.code == code


def test_huge_tables_are_refused(tmp_path, monkeypatch):
    path = written(tmp_path / "t.parquet")
    monkeypatch.setattr(rows, "LARGEST", 8)
    for table in (path, FRAME, written(tmp_path / "t.csv")):
        with pytest.raises(DataError) as e:
            read(table)
        assert e.value.code == "too-large"
    monkeypatch.setattr(files.contents, "__defaults__", (100,))
    with pytest.raises(DataError) as e:
        read(path)
    assert e.value.code == "too-large"


def test_the_index_is_columns_like_the_others():
    for frame in (
        FRAME.set_index(["arm", "seed"]),
        FRAME.set_index("seed", drop=False),
        FRAME.set_index("x").sort_index(),
    ):
        found = read(frame).frame
        assert {*found} == {*FRAME} and isinstance(found.index, pd.RangeIndex)
        assert sorted(found["seed"]) == sorted(FRAME["seed"])


def test_the_users_frame_is_left_as_it_was():
    frame = FRAME.assign(tags=[[1], [2], [1], {"k": 3}], kind=pd.Categorical(["u", "v", "u", "v"]))
    before = frame.copy(deep=True)
    found = read(frame).frame
    found.loc[0, "x"] = 99.0
    pd.testing.assert_frame_equal(frame, before)
    assert found["tags"].tolist() == ["[1]", "[2]", "[1]", '{"k": 3}']


@pytest.mark.parametrize(
    ("table", "arm", "code"),
    [
        (3, "", "not-a-table"),
        ({"arm": ["a"], "x": [1, 2]}, "", "not-a-table"),
        ({}, "", "empty"),
        ({"arm": [], "x": []}, "", "empty"),
        ({"arm": ["a", None], "x": [1, 2]}, "", "no-arm"),
        ({"arm": ["a"], "x": [1]}, "variant", "unknown-column"),
        ({"arm": ["a"], "variant": ["b"]}, "variant", "two-arms"),
        ({"x": [1], "x ": [2]}, "", "same-name"),
        ({f"x{k}": [1] for k in range(1001)}, "", "too-large"),
    ],
)
def test_what_cannot_be_a_table_is_refused(table, arm, code):
    with pytest.raises(DataError) as e:
        read(table, arm)
    assert e.value.code == code


def test_the_column_of_arms_is_named():
    found = read({"variant": ["a", "b"], "x": [1, 2]}, arm="variant").frame
    assert found["arm"].tolist() == ["a", "b"] and "variant" not in found
