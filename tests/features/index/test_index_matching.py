"""Two dictionaries row against row: what a loop over all pairs finds."""

from pathlib import Path

import numpy as np
import pytest
import simulated

from assay.core.errors import DataError
from assay.features.index import matching, relations


def unit(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return relations.unit(rng.normal(size=(n, d)).astype(np.float32))


@pytest.mark.parametrize("rows", [1, 7, 2048])
def test_nearest_and_mutual_are_those_of_a_loop(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(matching, "ROWS", rows)
    rng = np.random.default_rng(0)
    first, second = unit(rng, 30, 8), unit(rng, 50, 8)
    second[:10] = first[5:15]
    second[10] = -first[20]
    found = matching.match(first, second)
    cosine = [
        [float(np.dot(a.astype(np.float64), b.astype(np.float64))) for b in second] for a in first
    ]
    for i in range(30):
        best = max(range(50), key=lambda j, i=i: cosine[i][j])
        assert found.there[i] == best and found.cosine[i] == pytest.approx(
            cosine[i][best], abs=1e-6
        )
        back = max(range(30), key=lambda k, j=best: cosine[k][j])
        assert found.mutual[i] == (back == i)
    for j in range(50):
        best = max(range(30), key=lambda i, j=j: cosine[i][j])
        assert found.back[j] == best and found.back_cosine[j] == pytest.approx(
            cosine[best][j], abs=1e-6
        )
    assert found.there[5:15].tolist() == list(range(10)) and found.mutual[5:15].all()
    assert found.cosine[20] < 0.99  # the opposite direction is no counterpart


def test_chance_is_the_median_that_random_rows_reach() -> None:
    rng = np.random.default_rng(1)
    found = matching.match(unit(rng, 400, 64), unit(rng, 2000, 64))
    assert found.chance == pytest.approx(float(np.median(found.cosine)), abs=0.01)


def test_what_cannot_be_compared_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    with pytest.raises(DataError, match="not of one site"):
        matching.match(unit(rng, 3, 8), unit(rng, 3, 9))
    with pytest.raises(DataError, match="no feature"):
        matching.match(unit(rng, 3, 8), unit(rng, 0, 8))
    monkeypatch.setattr(matching, "MOST", 100)
    with pytest.raises(DataError, match="too many"):
        matching.match(unit(rng, 30, 8), unit(rng, 30, 8))


def test_an_index_keeps_its_decoder_rows_of_length_one(tmp_path: Path) -> None:
    made = simulated.made(tmp_path)
    rows = matching.rows(made.folder)
    assert rows.dtype == np.float16 and np.allclose(
        rows, relations.unit(made.directions.decoder), atol=1e-3
    )
    (made.folder / matching.FILE).write_bytes(b"no array")
    with pytest.raises(DataError, match="damaged"):
        matching.rows(made.folder)
    (made.folder / matching.FILE).unlink()
    with pytest.raises(DataError, match="make it again"):
        matching.rows(made.folder)
