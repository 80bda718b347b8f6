"""`assay bench`: measured once, kept, and told as its schema says; the pieces of work do what their
names say."""

import json

import pytest
from jsonschema import Draft202012Validator

from assay.cli.main import main
from assay.core.schema import schema
from assay.lab import speed
from assay.verbs import bench

PIECES = ("encoder product 4608 fp32", "encoder product 512 bf16", "TopK 512 bf16", speed.PRODUCT)


@pytest.fixture
def measured(monkeypatch):
    """Pieces of work that take no time; how often each was made ready."""
    made = []
    monkeypatch.setattr(
        bench,
        "_makers",
        lambda folder: [
            (name, lambda name=name: made.append(name) or (lambda: None)) for name in PIECES
        ],
    )
    return made


def told(capsys, *words):
    capsys.readouterr()
    assert main(["bench", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_is_measured_once_and_told_as_its_schema_says(measured, capsys):
    first, second = told(capsys), told(capsys)
    assert measured == list(PIECES), "the second time it is read"
    for found in (first, second):
        assert list(Draft202012Validator(schema(bench.Benched)).iter_errors(found)) == []
        assert [row["name"] for row in found["rows"]] == list(PIECES)
        assert all(
            row.keys() == {"name", "median_ms", "min_ms", "ratio_to_gemm"} for row in found["rows"]
        )
    assert (
        first["seconds"] is not None
        and second["seconds"] is None
        and first["measured"] == second["measured"]
    )
    told(capsys, "--again")
    assert measured == [*PIECES, *PIECES]
    assert main(["bench"]) == 0
    page = capsys.readouterr().out
    assert all(
        name in page for name in PIECES
    ) and f"measured {first['measured'][:10]}" in " ".join(page.split())


def test_each_is_compared_with_the_product_of_its_own_size_and_precision():
    pieces = zip(PIECES, (100.0, 4.0, 10.0, 50.0), strict=True)
    rows = bench._to_benched(
        speed.Speed("cpu", 1, "torch", "now", {name: speed.Piece(ms, ms) for name, ms in pieces}),
        None,
    ).rows
    assert [row.ratio_to_gemm for row in rows] == [1, 1, 2.5, 0.5], (
        "what is no dictionary's is compared with the first"
    )


def test_nothing_that_names_a_person_or_a_place_is_kept(measured, capsys, tmp_path):
    import getpass
    import platform

    text = json.dumps(told(capsys)) + speed._file().read_text()
    assert (
        platform.node() not in text
        and str(tmp_path) not in text
        and f"/{getpass.getuser()}" not in text
    )


@pytest.mark.parametrize("piece", ["product", "toys", "write", "read", "encoder"])
def test_the_cheap_pieces_run(piece, tmp_path):
    found = {
        name: make
        for name, make in bench._makers(tmp_path)
        if piece in name and "SmolLM2" not in name and "4608" not in name
    }
    assert found
    for make in found.values():
        make()()
