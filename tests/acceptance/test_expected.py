"""A claim and a quantity on the command line may begin with a minus sign."""

import pytest

from assay.cli.main import main

TABLE = "\n".join(
    [
        "arm,seed,x",
        *(
            f"{arm},{seed},{base + seed % 3 / 100}"
            for arm, base in (("mine", 1.0), ("yours", 2.0))
            for seed in range(9)
        ),
    ]
)
JUDGE = ("--claim", "mine.x < 1.5", "--unit", "seed", "--control", "yours")


@pytest.fixture
def table(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    return tmp_path / "t.csv"


def test_a_claim_and_a_quantity_may_begin_with_a_minus_sign(table, capsys):
    printed = set()
    for asked in (["--claim", "-9 < mine.x"], ["--claim=-9 < mine.x"]):
        assert main(["judge", str(table), *asked, *JUDGE[2:]]) == 0
        printed.add(capsys.readouterr().out)
    assert len(printed) == 1
    assert main(["judge", str(table), "--estimate", "-mine.x", "--unit", "seed"]) == 0
    assert "-mine.x" in capsys.readouterr().out
