"""Every way in for a file that somebody else wrote: what is no file, or holds too much, is one line
that says how to raise the limit."""

import shutil
from pathlib import Path

from acceptance.test_doors import CLAIM, EVERY, TRIED, whole
from acceptance.test_hostile import TABLE, said
from forks import typed

__all__ = ["whole"]


def test_there_are_as_many_as_the_page_says():
    page = Path(__file__).parents[2] / "docs/reliability.md"
    assert f"{len(EVERY)} cases in all" in page.read_text()


def test_a_table_of_too_many_columns_is_refused(tmp_path):
    header, *rows = TABLE.splitlines()
    lines = [
        header + "".join(f",c{i}" for i in range(1_000)),
        *(row + ",0" * 1_000 for row in rows),
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    code, _, err = said(*typed(f"judge {tmp_path}/t.csv {CLAIM}"))
    assert code == 2 and len(err.splitlines()) == 1


def test_what_a_model_claims_over_a_limit_is_refused_and_then_held_against_its_weights(
    whole, tmp_path, monkeypatch
):
    here = tmp_path / "h"
    shutil.copytree(whole, here)
    monkeypatch.chdir(here)
    config = Path("model/config.json").read_text()
    Path("model/config.json").write_text(
        config.replace('"num_hidden_layers": 3', '"num_hidden_layers": 1001')
    )
    code, _, err = said(*typed(TRIED))
    assert code == 2
    assert (
        "config.json has 1,001 num_hidden_layers; at most 1,000 are read: ASSAY_LIMITS=2"
    ) in err
    monkeypatch.setenv("ASSAY_LIMITS", "2")
    code, _, err = said(*typed(TRIED))
    assert code == 2
    assert (
        "the weights in model lack layers.3.mlp.down_proj.weight, which its config.json claims"
        in err
    )
