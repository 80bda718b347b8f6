"""Refusals: a code, a place and one line. Truth: the contract of every door."""

import copy
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import errors
from assay.errors import AssayError, DataError, RunError, nearest

KINDS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, AssayError)]


def refuse():
    raise DataError("unknown-column", "no column `lend`; did you mean lead?", at="rows.csv:7")


@given(st.sampled_from(KINDS), st.text(), st.text())
def test_any_message_is_one_printable_line(kind, message, at):
    shown = str(kind("some-code", message, at))
    assert shown.isprintable() and shown.endswith("[some-code]")


def test_code_and_place_cross_processes():
    """Workers send what they refuse to the process that asked."""
    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as pool, pytest.raises(DataError) as caught:
        pool.submit(refuse).result()
    assert (caught.value.code, caught.value.at) == ("unknown-column", "rows.csv:7")


def test_a_copy_says_the_same():
    e = RunError("diverged", "loss is NaN at step 7", "seed 3")
    assert str(copy.deepcopy(e)) == str(e)


def test_only_a_run_that_broke_exits_with_3():
    assert {kind.__name__: kind.exit_code for kind in KINDS if kind.exit_code != 2} == {
        "RunError": 3
    }


@given(st.lists(st.text(min_size=1), max_size=40))
def test_what_is_near_is_one_of_the_names(names):
    meant = nearest("resid_pst", [*names, "resid_post"])
    assert "resid_post" in meant and nearest("resid_pst", reversed([*names, "resid_post"])) == meant


def test_a_long_list_of_names_is_cut():
    assert nearest("x", (f"column {n}" for n in range(100))).count("column") == 12
