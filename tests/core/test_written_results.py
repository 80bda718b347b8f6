"""What judging makes is written as JSON and read back the same, numbers that JSON lacks among it;
what a file of an earlier version lacks is as it is by default."""

import json
import math

import pytest

from assay.core.errors import DataError
from assay.core.results import Contrast, Judged, Other, ResultData
from assay.lab.records import records

NAMES = ("interpretable-capability", "lock-step", "gated-sae.gemma")


def judged(**fields):
    return Judged(outcome="fails", **fields)


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_record_reads_and_writes_to_the_same(name):
    record = records.read(name)
    data = ResultData.from_json(record).to_json()
    for kind in ("verdicts", "exact", "findings"):
        assert [list(x) for x in data[kind]] == [list(x) for x in record[kind]]
        assert data[kind] == record[kind]


def test_numbers_that_json_lacks_are_null_and_come_back():
    nan, inf = math.nan, math.inf
    verdict = judged(
        estimate=nan,
        low=-inf,
        range=(0.5, inf),
        natural=(-inf, 1.0),
        detectable=(nan, nan),
        detectable_alone=(-inf, 0.25),
        points=(1.0, nan),
        contrast=Contrast(nan, 0.0, 1.0, shared=8),
    )
    told = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert (told["low"], told["range"], told["detectable"]) == (None, [0.5, None], None)
    again = Judged.from_json(told)
    assert again.range == (0.5, inf)
    assert again.natural == (-inf, 1.0)
    assert again.bounds is None
    assert math.isnan(again.estimate) and math.isnan(again.points[1])
    assert all(map(math.isnan, again.detectable))
    assert again.detectable_alone == (-inf, 0.25)
    assert again.contrast is not None and math.isnan(again.contrast.estimate)
    assert again.to_json() == told


def test_an_arm_that_satisfies_a_claim_is_named_by_the_edition_that_judged_it():
    """The first edition asked for names, the second for credited parts."""
    also = {
        "excused": Other(reason="rival: as good"),
        "old": Other(),
        "other": Other(lacks=False),
        "idle": Other(lacks=True),
    }
    holds = Judged(outcome="holds", also=also)
    assert [holds.role(arm) for arm in also] == ["also", "unnamed", "true", "true"]
    assert Judged(outcome="unspecific", also=also).role("idle") == "unnamed"
    assert "edition" not in holds.to_json()
    assert "lacks" not in holds.to_json()["also"]["old"]


def test_what_a_file_lacks_is_as_by_default_and_what_is_wrong_is_refused():
    data = ResultData.from_json({"verdicts": [{"outcome": "holds"}], "unknown": 1})
    assert data.verdicts[0].edition == 1 and data.verdicts[0].detectable == ()
    with pytest.raises(DataError, match=r"verdicts\[0\]\.outcome"):
        ResultData.from_json({"verdicts": [{"outcome": "perhaps"}]})
