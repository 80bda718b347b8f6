"""An error is data until a door writes it: one text for whoever types, one for programs."""

import pickle

import pytest

from assay import errors
from assay.core import errors as old
from assay.core.errors import (
    Argument,
    AssayError,
    Command,
    DamageError,
    Operator,
    StoreError,
    renamed,
    request_of,
)

RUN = Command("gated-sae", "smoke", ("steps=10", "note=a b"))
PIECES = {
    Argument("control", ("NAME",)): ("--control NAME", 'control: ["NAME"]'),
    Argument("arm_column", "NAME"): ("--arm-column NAME", 'arm_column: "NAME"'),
    Argument("sets", option="--set"): ("--set", "sets"),
    RUN: (
        "assay run gated-sae --preset smoke --set steps=10 --set 'note=a b'",
        'run(experiment="gated-sae", preset="smoke", sets=["steps=10", "note=a b"])',
    ),
    Command("superposition"): ("assay run superposition", 'run(experiment="superposition")'),
    Operator("; name another --root"): (
        "; name another --root",
        "; for the operator of the server: name another --root",
    ),
}


@pytest.mark.parametrize("piece", PIECES, ids=str)
def test_what_mends_an_error_is_written_for_its_reader(piece):
    typed, sent = PIECES[piece]
    error = StoreError("it is missing: ", piece, ".")
    assert str(error) == f"it is missing: {typed}."
    assert error.request() == f"it is missing: {sent}."
    again = pickle.loads(pickle.dumps(error))  # as it comes from a process that trains
    assert (type(again), again.args) == (StoreError, error.args)


def test_places_are_renamed_in_every_piece_the_longest_first(tmp_path):
    names = {str(tmp_path): "the store", str(tmp_path / "text"): "the study"}
    pieces = f"{tmp_path}/text line 3; run: ", Command(f"{tmp_path}/x"), Operator(f" {tmp_path}")
    with pytest.raises(AssayError) as raised, renamed(names):
        raise AssayError(*pieces)
    assert str(raised.value) == "the study line 3; run: assay run the store/x the store"
    assert raised.value.args[1] == Command("the store/x")


def test_a_damaged_folder_is_mended_by_whoever_runs_the_program(tmp_path):
    error = DamageError(tmp_path, "its bytes changed")
    assert str(error).startswith("its bytes changed; `assay doctor --clean` removes")
    assert "for the operator of the server: `assay doctor --clean`" in error.request()


@pytest.mark.parametrize("name", ["SpecError", "ClaimError", "DataError", "StoreError", "RunError"])
def test_a_door_that_catches_either_catches_both(name):
    kind = getattr(errors, name)
    assert issubclass(getattr(old, name), kind) and old.RunError.exit_code == 3
    error = getattr(old, name)("no ", Argument("sets", option="--set"))
    assert request_of(error) == "no sets" and request_of(kind("some-code", "a")) == "a [some-code]"
