"""Boundaries of declared looks are those that are published, and what they spend is what simulated
normal studies err."""

from pathlib import Path

import numpy as np
import pytest
from interval_worlds import filled_cells
from look_worlds import DESIGNS, LAWS, simulate
from scipy.stats import multivariate_normal

from assay.core.errors import ClaimError
from assay.core.spending import EARLY, boundaries, spent

# Equally spaced looks, two-sided 5 %: gsDesign's sfLDOF at alpha = 0.025 a side, and ld98
# (Reboussin, DeMets, Kim and Lan, 2000).
PUBLISHED = {
    1: (1.959964,),
    2: (2.962588, 1.968596),
    3: (3.710303, 2.511427, 1.993047),
    4: (4.332634, 2.963131, 2.359044, 2.014090),
}


@pytest.mark.parametrize(("looks", "known"), PUBLISHED.items())
def test_boundaries_at_equal_spaces_are_those_published(
    looks: int, known: tuple[float, ...]
) -> None:
    for scale in (1, 6):
        found = boundaries([scale * k for k in range(1, looks + 1)], early=0)
        assert [b.z for b in found] == pytest.approx(known, abs=3e-6)
    assert found[-1].spent == pytest.approx(0.05, abs=1e-12)


@pytest.mark.parametrize("early", [0, EARLY])
@pytest.mark.parametrize("units", [(6, 16), (8, 12, 16), (6, 9, 10, 40)])
def test_all_looks_together_spend_alpha_by_another_integral(
    units: tuple[int, ...], early: float
) -> None:
    """SciPy's normal integral over the box in which nothing is settled, in place of the
    recursion."""
    z = np.array([b.z for b in boundaries(units, early=early)])
    n = np.array(units)
    correlation = np.sqrt(np.minimum.outer(n, n) / np.maximum.outer(n, n))
    inside = multivariate_normal.cdf(
        z, np.zeros(len(n)), correlation, maxpts=200_000, abseps=1e-6, lower_limit=-z
    )
    assert 1 - inside == pytest.approx(0.05, abs=2e-5)


def test_a_single_look_is_the_usual_one_and_little_is_spent_early() -> None:
    (only,) = boundaries([16])
    assert only.level == 0.95
    assert spent(0.5) == pytest.approx(
        0.00305, abs=1e-5
    )  # Lan and DeMets 1983: 0.00305 at half of the information
    assert spent(1.0) == pytest.approx(0.05) and spent(0.25) < 2e-5


def test_an_early_look_settles_only_what_lies_outside_of_a_999_interval() -> None:
    *early, last = boundaries([8, 12, 16])
    assert [b.level for b in early] == [0.999, 0.999]
    assert (
        0.95 < last.level < 0.9503
    )  # Haybittle 1971, Peto 1976: the last look hardly pays for such early ones
    assert boundaries([6, 12, 18, 24])[0].z == pytest.approx(
        4.332634, abs=3e-6
    )  # what is stricter by itself stays


@pytest.mark.parametrize("units", [(), (8, 8), (16, 8), (0, 8), (1, 2, 3, 4, 5)])
def test_looks_that_cannot_be_are_refused(units: tuple[int, ...]) -> None:
    with pytest.raises(ClaimError):
        boundaries(units)


def test_simulated_studies_of_normal_units_err_no_more_often_than_alpha() -> None:
    w = simulate(LAWS[0], (8, 12, 16), 300, draws=2_000)
    assert w.below + w.above <= 0.05 + 4 * 0.0126  # four standard errors of 300 studies
    assert w.covers >= 0.95 - 4 * 0.0126
    assert simulate(LAWS[0], (8, 10, 12, 14), 300, draws=2_000).peeking > 0.05


def test_the_page_has_a_row_for_every_law_and_design() -> None:
    there = filled_cells((Path(__file__).parents[2] / "records/coverage.md").read_text())
    rows = {(law.name, ", ".join(map(str, units))) for law in LAWS for units in DESIGNS}
    assert not rows - there.keys()
