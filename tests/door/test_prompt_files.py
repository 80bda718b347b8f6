"""Files of prompts: what a row is depends on line ends and quotes alone; what is no text is refused
with its line and column. Truth: what stands beside each file here, and json's and csv's writers."""

import csv
import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.ask.measure import prompts
from assay.ask.tables import Prompts
from assay.ask.text import read as read_study
from assay.core.errors import DataError, ExperimentError
from assay.data import corpus

LONG = "x" * 300_000
E_ACUTE = "caf\u00e9"

READ = {
    # line ends
    "csv, \\n": ("csv", "a,b\n1,2\n3,4\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
    "csv, \\r\\n": ("csv", "a,b\r\n1,2\r\n3,4\r\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
    "csv, \\r": ("csv", "a,b\r1,2\r3,4\r", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
    "csv, mixed": ("csv", "a\n1\r\n2\r3", [{"a": "1"}, {"a": "2"}, {"a": "3"}]),
    "csv, no last end": ("csv", "a\n1\n2", [{"a": "1"}, {"a": "2"}]),
    "csv, blank lines": ("csv", "\n\na\n\n1\n\n2\n\n", [{"a": "1"}, {"a": "2"}]),
    "jsonl, \\r\\n": ("jsonl", '{"a": "1"}\r\n{"a": "2"}\r\n', [{"a": "1"}, {"a": "2"}]),
    "jsonl, \\r": ("jsonl", '{"a": "1"}\r{"a": "2"}', [{"a": "1"}, {"a": "2"}]),
    "jsonl, blank lines": ("jsonl", '\n{"a": "1"}\n \t\n{"a": "2"}\n\n', [{"a": "1"}, {"a": "2"}]),
    "txt, \\n": ("txt", "one\ntwo\n", [{"text": "one"}, {"text": "two"}]),
    "txt, \\r\\n": ("txt", "one\r\ntwo\r\n", [{"text": "one"}, {"text": "two"}]),
    "txt, \\r": ("txt", "one\rtwo", [{"text": "one"}, {"text": "two"}]),
    "txt, blank lines": ("txt", "\none\n \t\ntwo\n\n", [{"text": "one"}, {"text": "two"}]),
    "txt, spaces at the ends": ("txt", " one \n\ttwo\n", [{"text": " one "}, {"text": "\ttwo"}]),
    # characters that Python's splitlines, and no file format, takes for line ends
    **{
        f"{kind}, U+{ord(c):04X} within": (
            kind,
            {"txt": f"a{c}b\nc", "csv": f"text\na{c}b\nc"}.get(
                kind, f'{{"text": "a{c}b"}}\n{{"text": "c"}}'
            ),
            [{"text": f"a{c}b"}, {"text": "c"}],
        )
        for kind in ("txt", "csv", "jsonl")
        for c in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
        # within a JSON text they are written as escapes
        if kind != "jsonl" or c > "\x1f"
    },
    "jsonl, escaped controls": (
        "jsonl",
        r'{"text": "a\n\r\t\u0001\u001e\u2028b"}',
        [{"text": "a\n\r\t\x01\x1e\u2028b"}],
    ),
    "txt, other controls": ("txt", "a\x01\x08\x1a\x7fb", [{"text": "a\x01\x08\x1a\x7fb"}]),
    # marks, and what cannot be seen
    "csv, mark": ("csv", b"\xef\xbb\xbfa,b\n1,2\n", [{"a": "1", "b": "2"}]),
    "csv, mark and quotes": ("csv", b'\xef\xbb\xbf"a","b"\r\n"1","2"\r\n', [{"a": "1", "b": "2"}]),
    "jsonl, mark": ("jsonl", b'\xef\xbb\xbf{"a": "1"}', [{"a": "1"}]),
    "txt, mark": ("txt", b"\xef\xbb\xbfone\ntwo", [{"text": "one"}, {"text": "two"}]),
    "txt, mark within": ("txt", "one\n\ufefftwo", [{"text": "one"}, {"text": "\ufefftwo"}]),
    "txt, zero width": ("txt", "o\u200bne\u00a0x", [{"text": "o\u200bne\u00a0x"}]),
    "txt, right to left": ("txt", "\u202eabc", [{"text": "\u202eabc"}]),
    # quotes and empty cells
    "csv, comma in quotes": ("csv", 'a,b\n"1, 2",3\n', [{"a": "1, 2", "b": "3"}]),
    "csv, quote in quotes": ("csv", 'a\n"say ""no"""\n', [{"a": 'say "no"'}]),
    "csv, line ends in quotes": ("csv", 'a\n"1\r\n2\n3\r4"\n', [{"a": "1\r\n2\n3\r4"}]),
    "csv, a quote inside": ("csv", "a\n5' 3\" tall\n", [{"a": "5' 3\" tall"}]),
    "csv, empty cell": ("csv", "a,b\n,2\n", [{"a": "", "b": "2"}]),
    "csv, empty in quotes": ("csv", 'a,b\n"",2\n', [{"a": "", "b": "2"}]),
    "csv, spaces stay": ("csv", "a,b\n 1 , 2\n", [{"a": " 1 ", "b": " 2"}]),
    "csv, words for nothing are words": ("csv", "a,b\nNone,nan\n", [{"a": "None", "b": "nan"}]),
    "csv, very long": ("csv", f"a\n{LONG}\n", [{"a": LONG}]),
    "jsonl, very long": ("jsonl", json.dumps({"a": LONG}), [{"a": LONG}]),
    "txt, very long": ("txt", LONG, [{"text": LONG}]),
    "jsonl, empty text": ("jsonl", '{"a": "", "b": "2"}', [{"a": "", "b": "2"}]),
    "jsonl, spaces": ("jsonl", ' { "a" : "1" , "b" : 2 } ', [{"a": "1", "b": "2"}]),
    "jsonl, numbers as written": (
        "jsonl",
        '{"a": 1.50, "b": 1e22, "c": -0, "d": 123456789012345678901234567890}',
        [{"a": "1.50", "b": "1e22", "c": "-0", "d": "123456789012345678901234567890"}],
    ),
    "jsonl, true and false": ("jsonl", '{"a": true, "b": false}', [{"a": "true", "b": "false"}]),
    "jsonl, a slot in a text": ("jsonl", '{"a": "{b}", "b": "{a}"}', [{"a": "{b}", "b": "{a}"}]),
    "jsonl, pairs of surrogates": ("jsonl", r'{"a": "\ud83d\ude00"}', [{"a": "\U0001f600"}]),
    "csv, other letters": ("csv", f"a\n{E_ACUTE} \u4e2d\n", [{"a": f"{E_ACUTE} \u4e2d"}]),
    "csv, ending in capitals": ("CSV", "a\n1\n", [{"a": "1"}]),
}

REFUSED = {
    "null": ("jsonl", '{"a": "1"}\n{"b": 1, "a": null}', r"line 2 column 15: 'a' is null"),
    "NaN": ("jsonl", '{"a": NaN}', r"line 1 column 7: 'a' is NaN"),
    "Infinity": ("jsonl", '{"a": -Infinity}', r"line 1 column 7: 'a' is -Infinity"),
    "a list": ("jsonl", '{"a": ["x"]}', r"column 7: 'a' must be a text or a number, got list"),
    "an object": ("jsonl", '{"a": {}}', r"column 7: 'a' must be a text or a number, got dict"),
    "one name twice": ("jsonl", '{"a": 1, "a": 2}', r"column 15: the second value called 'a'"),
    "half a character": ("jsonl", r'{"a": "\ud83d"}', r"column 7: 'a' has half of a character"),
    "a control in a text": ("jsonl", '{"a": "\x01"}', r"column 8 is not JSON: Invalid control"),
    "no comma": ("jsonl", '{"a": 1 "b": 2}', r"column 9 is not JSON: no comma"),
    "a comma too many": ("jsonl", '{"a": 1, }', r"column 10 is not JSON: a value is expected"),
    "no colon": ("jsonl", '{"a" 1}', r"column 6 is not JSON: no colon"),
    "no end": ("jsonl", '{"a": 1', r"is not JSON: no comma"),
    "two objects": ("jsonl", '{"a": 1} {"a": 2}', r"column 10 is not JSON: more text follows"),
    "single quotes": ("jsonl", "{'a': 1}", r"column 2 is not JSON"),
    "no object": ("jsonl", '["a"]', r"must be an object of texts and numbers"),
    "a name without quotes": ("jsonl", "{1: 2}", r"column 2 is not JSON: a name in quotes"),
    "deep": ("jsonl", '{"a":' + "[" * 100_000, r"must be an object of texts and numbers"),
    "a mark in a later line": ("jsonl", '{"a": 1}\n\ufeff{"a": 2}', r"line 2 column 1 is not JSON"),
    "one column twice": ("csv", "a,b,a\n1,2,3\n", r"line 1: columns 1 and 3 are both called 'a'"),
    "a space after commas": ("csv", "a, b\n1, 2\n", r"line 1: the column ' b' has a space"),
    "a column without a name": ("csv", "a,,b\n1,2,3\n", r"line 1: column 2 of 3 has no name"),
    "a comma behind the header": ("csv", "a,b,\n1,2,\n", r"column 3 of 3 has no name"),
    "too few cells": ("csv", "a,b\n1,2\n3\n", r"line 3: cells here: 1, in the header: 2"),
    "too many cells": ("csv", "a,b\n1,2,3\n", r"line 2: cells here: 3, in the header: 2"),
    "an open quote": ("csv", 'a\n1\n"2\n3\n', r"line 3 is not CSV: a quote that opens in it"),
    "a letter behind a quote": ("csv", 'a\n"1"2\n', r"line 2 is not CSV"),
    "a header alone": ("csv", "a,b\n", r"has no prompts"),
    "nothing": ("csv", "", r"has no prompts"),
    "blanks alone": ("txt", " \n\t\n", r"has no prompts"),
    "a space alone, not a blank": ("txt", "a\n\u00a0\n", r"line 2 is empty"),
    "latin-1": ("csv", E_ACUTE.encode("latin-1"), r"not UTF-8 text \(byte 3\); save it as UTF-8"),
    "half UTF-8": ("txt", b"ok\n\xe4\xb8", r"not UTF-8 text \(byte 3\)"),
    "mixed encodings": ("txt", b"caf\xc3\xa9\ncaf\xe9\n", r"not UTF-8 text \(byte 9\)"),
    "UTF-16": ("csv", "a\n1\n".encode("utf-16"), r"it is UTF-16; save it as UTF-8"),
    "UTF-16 without a mark": ("csv", "a\n1\n".encode("utf-16-le"), r"line 1 column 2 has a NUL"),
    "a NUL": ("txt", "one\ntw\0o", r"line 2 column 3 has a NUL"),
    "another ending": ("tsv", "a\tb\n", r"prompts are read from \.jsonl, \.csv, \.txt"),
}


def loaded(tmp_path, kind, content, **table):
    path = tmp_path / f"prompts.{kind}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return prompts.load(Prompts(file=path.name, **table), tmp_path)


def texts_of(columns):
    """A text that makes any record a prompt."""
    return "" if "text" in columns else "p " + " ".join(f"{{{name}}}" for name in columns)


@pytest.mark.parametrize("case", READ)
def test_a_row_is_what_the_file_says(tmp_path, case):
    kind, content, expected = READ[case]
    text = texts_of(expected[0])
    got = loaded(tmp_path, kind, content, **({"text": text} if text else {}))
    assert [dict(row.columns) for row in got.rows] == expected
    for row, columns in zip(got.rows, expected, strict=True):
        filled = columns["text"] if "text" in columns else "p " + " ".join(columns.values())
        assert row.text == filled


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_text_is_refused_with_its_place(tmp_path, case):
    kind, content, why = REFUSED[case]
    with pytest.raises(DataError, match=why):
        loaded(tmp_path, kind, content)


def test_there_are_sixty_files_and_more():
    assert len(READ) + len(REFUSED) >= 60


ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(max_examples=60)
@given(rows=st.lists(st.tuples(ANY, ANY), min_size=1, max_size=5))
def test_what_was_written_is_what_is_read(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerows([("a", "b"), *rows])
    objects = [dict(zip("ab", row, strict=True)) for row in rows]
    line_by_line = [json.dumps(row, ensure_ascii=False) for row in objects]
    for kind, content in (("csv", out.getvalue()), ("jsonl", "\n".join(line_by_line))):
        got = loaded(folder, kind, content, text="x {a} {b}", unit="a")
        assert [(row.columns["a"], row.columns["b"]) for row in got.rows] == rows, kind


def test_a_line_is_that_on_which_a_record_begins(tmp_path):
    content = 'a\r"1\r\n1"\n\n2\n"3\n\n3"\n4'
    got = loaded(tmp_path, "csv", content, text="{a}")
    assert [row.place for row in got.rows] == [f"prompts.csv line {n}" for n in (2, 5, 6, 9)]


def test_numbers_of_a_study_that_are_none_are_refused():
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(DataError, match=r"prompts, row 1: 'n' is -?(nan|inf)"):
            prompts.load(Prompts(text="x {n}", rows=({"n": bad},)), Path())


def test_a_slot_with_nothing_in_it_is_told_and_has_no_token(tmp_path):
    got = loaded(tmp_path, "csv", "a,b\n,2\n1,2\n", text="x {a} {b}")
    assert prompts.remarks(got) == [
        "prompts: 1 of 2 prompts has nothing in {a} (prompts.csv line 2)"
    ]


def test_what_cannot_be_seen_is_told(tmp_path):
    got = loaded(tmp_path, "txt", "one\n\ufefftwo\nthr\u200bee\n")
    told = "prompts: 1 of 3 prompts has invisible characters, such as <U+{}> (prompts.txt line {})"
    assert prompts.remarks(got) == [told.format("FEFF", 2), told.format("200B", 3)]


def test_refusals_show_what_cannot_be_seen(tmp_path):
    with pytest.raises(DataError, match=r"did you mean country<U\+200B>\?"):
        loaded(tmp_path, "csv", "country\u200b\nPeru\n", text="in {country}")


def test_a_column_that_hides_which_text_is_meant_is_refused(tmp_path):
    with pytest.raises(DataError, match="its column template would hide"):
        loaded(tmp_path, "csv", "template,a\nx,1\n", text=("one {a}", "two {a}"))


def test_studies_and_texts_may_begin_with_a_mark(tmp_path):
    (tmp_path / "study.toml").write_bytes(b'\xef\xbb\xbfquestion = "Is it?"\n')
    assert read_study(tmp_path / "study.toml").study.question == "Is it?"
    (tmp_path / "bad.toml").write_bytes(b'question = "\xff"\n')
    with pytest.raises(ExperimentError, match="not UTF-8"):
        read_study(tmp_path / "bad.toml")
    for name, mark in (("with", b"\xef\xbb\xbf"), ("without", b"")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_bytes(mark + b"some text")
    first, second = (corpus.load(str(tmp_path / name)) for name in ("with", "without"))
    assert first.text(0) == second.text(0) == "some text"
    assert first.fingerprint == second.fingerprint
