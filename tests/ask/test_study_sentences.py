"""Sentences over levels, of two changes, of controls and of two probes: what was planted into a
model's weights holds, and the same sentence where it is false does not."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from test_study_asks import capitals, folder, planned, study  # noqa: F401 (a fixture)

from assay.ask import comparing, text
from assay.ask.measure import damage
from assay.ask.missing import find_gaps
from assay.ask.model_study import ModelStudy
from assay.ask.text import ClaimEntry
from assay.ask.wording import condition
from assay.cli.main import main
from assay.core import judging
from assay.core.errors import ExperimentError
from assay.core.reading import Others
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

CUT = capitals('ablate = "zero"\nheads = ["1.1"]')
OTHER = capitals('ablate = "zero"\nheads = ["1.2"]')
LOOKS = """
[[read]]
name = "looks"
pattern = "1.{head}"
to = "{country}"
sweep = { head = [0, 1, 2, 3] }
"""
TRACE = """
[[intervene]]
name = "noised"
noise = 3
site = "hook_embed"
position = "{country}"
[[intervene]]
name = "restored"
after = "noised"
patch = "clean"
"""


def swept(levels, more=""):
    return capitals(
        f'ablate = "zero"\nheads = ["1.{{head}}"]\nsweep = {{ head = {levels} }}\n{more}'
    )


def traced(layer, position):
    site = f'site = "blocks.{layer}.hook_resid_pre"\nposition = {position}\n'
    return CUT + TRACE + site


MOST = "max(main.right - changed.right, over=head) > 2"
AT_MOST = "(main.right - changed.right)[head=argmax(main.known - changed.known)] > 2"
AT_LEAST = AT_MOST.replace("main.known - changed.known", "changed.known - main.known")
BACK = "restored.right - noised.right > 0.3"
LITTLE = "'changed/heads'.right - 0.7 * main.right > 0"
CASES = {
    "one of the heads": (swept([0, 1, 2, 3], 'controls = ["damage"]'), MOST, "holds"),
    "none of the heads": (swept([0, 2, 3], 'controls = ["damage"]'), MOST, "undecided"),
    "any head": (swept([0, 1, 2, 3]), MOST, "holds"),
    "heads on average": (
        swept([0, 1, 2, 3]),
        "mean(main.right - changed.right, over=head) > 0.3",
        "unspecific",
    ),
    "half of the heads on average": (
        swept([0, 1]),
        "mean(main.right - changed.right, over=head) > 0.3",
        "unspecific",
    ),
    "where accuracy falls most": (swept([0, 1, 2, 3], 'controls = ["damage"]'), AT_MOST, "holds"),
    "where it falls least": (swept([0, 1, 2, 3], 'controls = ["damage"]'), AT_LEAST, "fails"),
    "at least one head looks": (CUT + LOOKS, "count(main.looks > 0.5, over=head) > 0.7", "holds"),
    "two heads look": (CUT + LOOKS, "count(main.looks > 0.5, over=head) > 1.5", "fails"),
    "other heads do little": (CUT, LITTLE, "holds"),
    "other heads do much": (OTHER, LITTLE, "undecided"),
    "put back at the country": (traced(1, '"{country}"'), BACK, "holds"),
    "put back after it was read": (traced(3, '"{country}"'), BACK, "fails"),
}


DEAR = (
    "one of the heads",
    "none of the heads",
    "half of the heads on average",
    "where it falls least",
    "two heads look",
    "put back after it was read",
)


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.thorough] * (c in DEAR)) for c in CASES]
)
def test_what_was_planted_is_what_comes_out(case, folder, tmp_path, monkeypatch):  # noqa: F811
    # the model knows these prompts alone, and can only guess how unrelated ones end
    monkeypatch.setattr(damage, "_refuse_guesses", lambda *_: None)
    tables, holds, outcome = CASES[case]
    experiment = planned(folder, f"sentence {case}", tables, holds)
    [judged] = Lab(tmp_path, Inline()).run(experiment).judged
    assert judged.outcome == outcome, judged
    note = any("changed/heads changes other heads" in r for r in experiment.remarks)
    assert note == (case == "heads on average")
    idle = any("changed/heads makes nearly the same changes" in r for r in experiment.remarks)
    assert idle == (case == "any head")


def test_a_curve_over_heads_is_over_places_and_one_over_strengths_is_not(folder):  # noqa: F811
    curves = "".join(
        f'\n[[estimate]]\ntext = "over {dim}"\nvalue = "{arm}.right"\nover = "{dim}"\n'
        for arm, dim in (("changed", "head"), ("steered", "scale"))
    )
    steered = '\n[[intervene]]\nname = "steered"\nheads = ["1.1"]\nsweep = { scale = [1, 2, 4] }\n'
    tables = swept([0, 1, 3], 'controls = ["damage"]') + steered + curves
    experiment = planned(folder, "places", tables, MOST)
    numbered = {s.text: s.numbered for s in experiment.claims if hasattr(s, "numbered")}
    assert numbered == {"over head": True, "over scale": False}


def test_freezing_prints_the_notes_of_the_plan_first(folder, tmp_path, capsys):  # noqa: F811
    path = study(folder, "noted", swept([0, 1, 2, 3]), MOST)
    experiment = catalogue.find(str(path))
    assert experiment.remarks
    assert main(["preregister", str(path), "--root", str(tmp_path / "store")]) == 0
    said = capsys.readouterr()
    noted = " ".join(said.err.split())
    assert all(" ".join(note.split()).split(": ", 1)[-1] in noted for note in experiment.remarks)
    assert "is frozen" in said.out


def test_an_intervention_that_does_not_reach_what_is_read_is_reported(folder, tmp_path):  # noqa: F811
    """A head's attention is computed before what it writes, which alone is ablated."""
    tables = CUT + LOOKS.replace("{head}", "1").replace("sweep = { head = [0, 1, 2, 3] }", "")
    value = '\n[[estimate]]\ntext = "e"\nvalue = "changed.looks - main.looks"\n'
    for more, holds, reached in (
        ("", "changed.looks - main.looks < 0.1", False),
        ("", "main.right - changed.right > 2", True),
        (value, "main.right - changed.right > 2", False),
    ):
        path = study(folder, "reach", tables + more, holds)
        result = Lab(tmp_path, Inline()).run(catalogue.find(str(path)), "smoke")
        said = [n for n in result.data.notes if "changed changes nothing in this read" in n]
        assert bool(said) != reached, result.data.notes


MLPS = 'ablate = "zero"\nsite = "blocks.{layer}.hook_mlp_out"\nsweep = { layer = %s }\n'
BLOCKED = 'block = { from = -1, to = "{country}", layers = ["{layer}"] }\nsweep = { layer = %s }\n'


@pytest.mark.parametrize("what", [MLPS, BLOCKED])
def test_other_layers_are_no_control_of_the_extreme_of_a_sweep_that_has_them(what, folder):  # noqa: F811
    most, one = "max(main.right - changed.right, over=layer) > 2", "[layer=1] < -1"
    for k, (levels, holds, more, left_out) in enumerate(
        [
            ([0, 1, 2, 3], most, "", True),
            # as its author wants it
            ([0, 1, 2, 3], most, 'controls = ["layer"]', False),
            ([0, 1, 2, 3], f"changed.right{one}", "", False),  # of one level
            ([0, 3], most, "", False),  # whose control has 1 and 2
        ]
    ):
        tables = capitals(what % levels + more)
        path = study(folder, f"layers {k} {what[:3]}", tables, holds)
        experiment = catalogue.find(str(path))
        assert ("changed/layer" in experiment.claims[0].must_fail) != left_out
        said = any("changed/layer makes nearly the same changes" in r for r in experiment.remarks)
        assert said == left_out


def made(path):
    return ModelStudy(text.read(path)), catalogue.find(str(path))


def test_a_claim_that_a_control_does_much_says_what_it_needs(folder):  # noqa: F811
    path = study(folder, "control", CUT, "main.right - 'changed/heads'.right > 2")
    with pytest.raises(ExperimentError, match="is a control of changed, and a claim that it has"):
        catalogue.find(str(path))
    path = study(
        folder, "own", CUT, "main.right - 'changed/heads'.right > 2\"\ncontrol=['changed'] #"
    )
    assert catalogue.find(str(path)).claims[0].must_fail == ("changed",)


PROBES = """
[[prompts]]
text = "{who} says the {thing} is"
file = "speakers.csv"
unit = "prompt"
[[probe]]
name = "early"
site = "blocks.0.hook_resid_post"
[[probe]]
name = "late"
site = "blocks.3.hook_resid_post"
"""


def test_a_control_takes_the_place_of_both_probes_of_other_labels(folder):  # noqa: F811
    """Selectivity, as of Hewitt and Liang: on embeddings it is that of two probes of embeddings."""
    head, *lines = (folder / "speakers.csv").read_text().splitlines()
    dealt = [f"{line},{'ab'[i % 3 == 0]}" for i, line in enumerate(lines)]
    (folder / "dealt.csv").write_text("\n".join([f"{head},dealt", *dealt]))
    task = '[[probe]]\nname = "task"\nlabel = "dealt"\nsite = "blocks.0.hook_resid_post"\n'
    tables = PROBES.replace("speakers.csv", "dealt.csv") + task
    holds = "early.accuracy - task.accuracy > 0.2"
    experiment = planned(folder, "selective", tables, holds)
    claim, arms = experiment.claims[0], experiment.arms
    for name in ("bag", "embedding", "places", "untrained", "permuted"):
        assert {f"early/{name}", f"task/{name}"} <= {*arms}
    dims = ("run", *claim.units[-1:])
    number = {"early": 0.9, "task": 0.5, "early/embedding": 0.8, "task/embedding": 0.7}
    numbers = {a: number.get(a, 0.5) for a in arms}
    made = {
        a: xr.Dataset({"accuracy": (dims, [[x] * 24])}, {"seed": ("run", [0])})
        for a, x in numbers.items()
    }
    value = claim.value(made["early/embedding"], Others(made, "early/embedding"))
    assert float(value["value"].mean()) == pytest.approx(0.8 - 0.7)


def test_rows_of_two_files_are_paired_by_a_column_or_it_is_said(folder):  # noqa: F811
    head, *lines = (folder / "capitals.csv").read_text().splitlines()
    numbered = [f"{line},{i}" for i, line in enumerate(lines)]
    (folder / "first.csv").write_text("\n".join([f"{head},id", *numbered]))
    tables = (
        CUT.replace("capitals.csv", "first.csv")
        + """[[prompts]]
name = "more"
text = "{who} is in {country} the capital is"
file = "second.csv"
unit = "prompt"
"""
    )

    def remarks(second, holds="main.right - more.right > 2"):
        (folder / "second.csv").write_text("\n".join(second))
        return " ".join(planned(folder, "two files", tables, holds).remarks)

    said = "row 1 of prompts is compared with row 1 of more, and so on"
    others = [line.replace("anna", "zoe") for line in numbered]
    assert said not in remarks([f"{head},id", *others]), "they have the same id in the same rows"
    assert said in remarks([head, *lines[::-1]])
    with pytest.raises(ExperimentError, match='the same id in another order; write unit = "id"'):
        remarks([f"{head},id", *numbered[::-1]])
    with pytest.raises(ExperimentError, match="no column says which rows of prompts and more"):
        remarks([head, *lines[::-1]], "share(main.right - more.right > 0) > 0.5")
    assert said in remarks(
        [head, *lines[::-1]], "share(main.right > 0) - share(more.right > 0) > 0.5"
    )


def test_what_a_run_could_not_judge_is_refused_by_the_plan(folder):  # noqa: F811
    with pytest.raises(ExperimentError, match="has a number for each prompt, which is a unit"):
        planned(folder, "no unit", CUT, "mean(main.right, over=prompt) > 1")
    label = '[[read]]\nname = "anna"\ncolumn = ["who", "anna"]\n'
    tables = CUT.replace('unit = "prompt"', 'unit = "country"') + label
    for levels, way in (
        ("", 'write unit = "prompt"'),
        ('levels = "who"\n', r"a second \[\[prompts"),
    ):
        text = tables.replace('unit = "country"\n', f'unit = "country"\n{levels}')
        for of in ("auroc(main.right, main.anna) > 0.6", "f1(main.right > 0, main.anna) > 0.6"):
            path = study(folder, "mixed", text, of)
            with pytest.raises(ExperimentError, match=rf"takes one label of each country.*{way}"):
                catalogue.find(str(path))


def test_a_precision_of_a_read_is_that_of_its_rows_and_lies_between_0_and_1(folder, tmp_path):  # noqa: F811
    label = '[[read]]\nname = "anna"\ncolumn = ["who", "anna"]\n'
    value = '\n[[estimate]]\ntext = "e"\nvalue = "precision(main.right > {}, main.anna)"\n'
    tables = CUT + label + value.format(6) + value.format(4).replace('"e"', '"d"')
    path = study(folder, "precision", tables, "main.right - changed.right > 2")
    experiment = catalogue.find(str(path))
    assert [e.natural for e in experiment.claims[1:]] == [(0, 1)] * 2
    result = Lab(tmp_path, Inline()).run(experiment)
    [main] = [x for name, x in result.arms.items() if name == "main"]
    right, anna = (main[name].values.ravel() for name in ("right", "anna"))
    findings = result.to_json()["findings"]
    for edge, found in zip((6, 4), findings, strict=True):
        guessed = [a for r, a in zip(right, anna, strict=True) if r > edge]
        assert found["estimate"] == pytest.approx(sum(guessed) / len(guessed))


def test_prompts_that_an_arm_reads_are_not_left_out(folder):  # noqa: F811
    more = '[[prompts]]\nname = "more"\ntext = "{who} is in {country} the capital is"\n'
    tables = CUT + more + 'file = "capitals.csv"\nunit = "prompt"\n'
    path = study(folder, "more", tables, "main.right - more.right > 2")
    lacks = find_gaps(path, catalogue.find(str(path))).gaps
    assert not [x for x in lacks if x.where == "prompts"]
    path = study(folder, "unused", tables, "main.right > 2")
    lacks = find_gaps(path, catalogue.find(str(path))).gaps
    (left,) = [x.default for x in lacks if x.where == "prompts"]
    assert left.startswith("left out: the prompts more,")


def test_arms_that_share_some_units_are_refused_before_they_run(folder):  # noqa: F811
    more = '[[prompts]]\nname = "more"\ntext = "{who} is there"\nunit = "prompt"\n'
    tables = CUT + more + 'rows = [{ who = "anna", country = "x", city = "y", foil = "z" }]\n'
    path = study(folder, "some units", tables, "main.right - more.right > 2")
    with pytest.raises(ExperimentError, match=r"of which 1 are the same.* write a claim of each"):
        catalogue.find(str(path))


def test_arms_of_other_units_are_compared_as_welchs_test_compares_groups():
    draw = np.random.default_rng(3)
    values = {"near": draw.normal(0.9, 0.1, 14), "far": draw.normal(0.5, 0.2, 24)}

    def arm(name):
        x = values[name] + draw.normal(0, 0.01, (8, len(values[name])))
        places = {"group": [f"{name}{i}" for i in range(x.shape[1])], "seed": ("run", range(8))}
        return xr.Dataset({"right": (("run", "group"), x)}, coords=places)

    arms = {name: arm(name) for name in values}
    arms["third"] = arms["far"] + 0.5
    holds = "near.right - far.right > 0.1"
    said = ClaimEntry(text="near is better", holds=holds, threshold="plan: .1", control=("third",))
    claim = comparing.of_groups(said, ("seed", "group"), "group", "near", condition(holds))
    verdict = judging.judge(claim, arms, 0.95).verdict
    welch = stats.ttest_ind(*values.values(), equal_var=False).confidence_interval()
    assert verdict.estimate == pytest.approx(arms["near"].right.mean() - arms["far"].right.mean())
    assert verdict.low <= welch.low + 0.01 and verdict.high >= welch.high - 0.01
    assert verdict.high - verdict.low < 1.3 * (welch.high - welch.low)
