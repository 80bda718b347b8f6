"""Tables whose columns hold names that look like numbers: a number for 5.1 is none for 5.10."""

import numpy as np
import pandas as pd
import pytest

from assay.core.errors import DataError
from assay.core.table import judge

CORRELATED = {"claim": "corr(attribution, effect) > 0.5", "unit": "head"}


def heads(count, layers=6):
    """Effects of the heads of some layers, whose names are layer.head."""
    rng = np.random.default_rng(count)
    names = [f"{layer}.{head}" for layer in range(layers) for head in range(count)]
    attribution = rng.normal(size=len(names))
    effect = attribution + rng.normal(0, 0.5, len(names))
    return pd.DataFrame({"head": names, "attribution": attribution, "effect": effect})


@pytest.mark.parametrize("count", [8, 11, 12, 21, 25])
def test_heads_of_a_file_are_as_many_as_their_names(count, tmp_path):
    rows, path = heads(count), tmp_path / "heads.csv"
    rows.to_csv(path, index=False)
    v = judge(path, **CORRELATED)
    assert v.n == {"head": len(rows)}
    assert v.estimate == pytest.approx(np.corrcoef(rows["attribution"], rows["effect"])[0, 1])
    if count > 10:  # of which pandas makes numbers that are the same
        with pytest.raises(
            DataError, match=r"column 'head' has 0\.1 twice .* '?dtype={'head': str"
        ):
            judge(pd.read_csv(path), **CORRELATED)
