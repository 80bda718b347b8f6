"""How levels are shown: by their names, and where none is found, as what that counts; with a change
in every block there is no other one."""

import pytest
import torch
from test_study_asks import capitals, folder, study  # noqa: F401 (a fixture)

from assay.ask.running import run
from assay.cli.main import main
from assay.core.results import Judged, Verdict, unit_of
from assay.dictionaries import AbsTopK, Dictionary, ReLU
from assay.lab import catalogue
from assay.report import tables


def test_where_a_condition_is_never_true_it_is_said_what_that_counts_as(folder, tmp_path):  # noqa: F811
    """The lead is at most 1000 nats: no layer of four has more."""
    swept = 'ablate = "zero"\nheads = ["{layer}.1"]\nsweep = { layer = [0, 1, 2, 3] }'
    path = study(
        folder, "never", capitals(swept), "first(mean(changed.right) > 1000, over=layer) < 3"
    )
    path.write_text(
        path.read_text()
        + '[[estimate]]\ntext = "A"\nvalue = "first(changed.right > 1000, over=layer)"\n'
        + '[[estimate]]\ntext = "B"\nvalue = "argmax(mean(main.right - changed.right), '
        + 'over=layer)"\n[[estimate]]\ntext = "C"\nvalue = "mean(changed.right, over=layer)"\n'
        + '[[estimate]]\ntext = "D"\nvalue = "last(mean(changed.right) > 1000, over=layer)"\n'
        + '[[estimate]]\ntext = "E"\nvalue = "first(mean(changed.right) < 1000, over=layer)"\n'
    )
    result = run(path, root=tmp_path)
    notes = " ".join(result.data.notes)
    never = "for any layer from 0 to 3, which counts as layer 4"
    assert f"claim 1: first(mean(changed.right) > 1000, over=layer): not true {never}" in notes
    count = result.findings[0].n["prompt"]
    assert f"not true of {count} of {count} prompts {never}" in notes
    assert tables.row(result.findings[1]).estimate == "layer 1", "the head that has the country"
    (judged,) = result.judged
    assert tables.row(judged).estimate == "4 (never)", "after the last of the layers 0 to 3"
    shown = [tables.control("near", k, v, judged) for k, v in judged.controls.items()]
    assert shown and {c.estimate for c in shown} == {"4 (never)"}
    assert tables.row(result.findings[3]).estimate == "-1 (never)", "before the first"
    at_once = tables.row(result.findings[4])
    assert (at_once.estimate, at_once.interval) == ("0", "[0, 0]"), "any number is below 1000"
    assert [unit_of(f) or "1" for f in result.findings] == ["1", "1", "nats", "1", "1"]


def test_a_change_in_every_block_has_no_control_at_another_layer(folder):  # noqa: F811
    for site, has in (("blocks.*.hook_mlp_out", False), ("blocks.1.hook_mlp_out", True)):
        path = study(
            folder, "all", capitals(f'ablate = "zero"\nsite = "{site}"'), "changed.right < 2"
        )
        experiment = catalogue.find(str(path))
        assert ("changed/layer" in experiment.arms) == has
        assert any("no block without the change" in r for r in experiment.remarks) != has


@pytest.mark.parametrize(("nonlinearity", "least"), [(ReLU(), 0.0), (AbsTopK(2), None)])
def test_features_are_never_below_0_unless_they_are_signed(nonlinearity, least):
    eye = torch.eye(3)[None]
    dictionary = Dictionary(eye, torch.zeros(1, 3), eye, torch.zeros(1, 3), nonlinearity)
    lowest = float(dictionary.encode(-torch.eye(3)).min())
    assert (lowest >= 0) == (dictionary.least == 0.0) and dictionary.least == least


def test_freezing_gives_the_advice_of_a_run(folder, tmp_path, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setenv("ASSAY_ROOT", str(tmp_path))
    cut = capitals('ablate = "zero"\nheads = ["1.1"]')
    path = study(folder, "to freeze", cut, "changed.right < 2")
    assert main(["preregister", str(path)]) == 0
    assert "seeds" not in capsys.readouterr().out, "the study names none"


def test_a_control_with_the_numbers_of_the_claim_is_said_to_have_them():
    points = {"points": (0.5, 1.5), "estimate": 1.0, "low": 0.5, "high": 1.5}
    same = Verdict(outcome="holds", **points)
    claim = Judged(outcome="unspecific", **points)
    other = Verdict(outcome="holds", **points | {"points": (0.25, 1.75)})
    assert "the claim's own in every unit" in tables.control("control", "x", same, claim).explains
    assert not tables.control("control", "x", other, claim).explains


def test_an_end_of_an_interval_that_means_at_no_level_says_so():
    some = Verdict(outcome="undecided", estimate=26.0, low=24.0, high=30.0, never=30.0)
    assert tables.estimate_of(some) == ("26", "[24, 30 (never)]")
    none = Verdict(outcome="holds", estimate=30.0, low=26.0, high=30.0, never=30.0)
    assert tables.estimate_of(none) == ("30 (never)", "[26, 30]")
    other = Verdict(outcome="holds", estimate=30.0, low=26.0, high=30.0)
    assert tables.estimate_of(other) == ("30", "[26, 30]")
