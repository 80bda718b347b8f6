"""Prompts that are selected by a read of the unchanged model: the same in every arm and control,
against a loop over prompts of one's own."""

import numpy as np
import pytest
from naive_asking import intervention, measured, rows_of

from assay.ask import composing
from assay.ask.measure import selecting
from assay.ask.measure.measuring import selected
from assay.ask.tables import Model, Prompts, Read
from assay.ask.text import parsed
from assay.core.errors import DataError, ExperimentError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

LEAD = Read(name="lead", logit=(" a", " b"))
WORDS = ["x", "sum of all", "def y", "the name", "return", "a list", "class", "b + c", "one", "if"]


def shown(folder, where, reads=(LEAD,), **more):
    rows = [{"what": w, "pair": str(n // 2), "kind": "ab"[n % 2]} for n, w in enumerate(WORDS)]
    prompts = rows_of(*rows, text="{what} = {what} so", **more)
    table = Prompts(where=where)
    selection = selecting.of_table(table, reads, Model(name=str(folder)))
    return prompts.__class__(prompts.table, prompts.rows, prompts.same, selection)


def leads(naive):
    a, b = (naive.tokenizer.encode(w, add_special_tokens=False)[0] for w in (" a", " b"))
    logits = [naive.logits(naive.tokens(f"{w} = {w} so"))[-1] for w in WORDS]
    return np.array([float(x[a] - x[b]) for x in logits])


def test_the_prompts_of_which_a_condition_is_true_are_measured_under_every_change(subject):
    folder, naive = subject
    own = leads(naive)
    middle = float(np.median(own))
    kept = [str(i) for i in np.flatnonzero(own > middle)]
    assert 0 < len(kept) < len(WORDS)
    prompts = shown(folder, f"lead > {middle:.6f}")
    plain, levels = measured(folder, prompts, reads=(LEAD,))
    assert levels["prompt"] == kept
    assert plain["lead"][0] == pytest.approx(own[own > middle], abs=1e-4)
    table = intervention(ablate="zero", heads=("1.0",))
    for control in ("", "heads"):  # whose own leads may be on the other side
        _, levels = measured(folder, prompts, table, control, reads=(LEAD,))
        assert levels["prompt"] == kept


def test_a_name_alone_is_what_the_model_gets_right(subject):
    folder, naive = subject
    right = Read(name="right", accuracy=(" a", " b"))
    prompts = shown(folder, "right", (right, LEAD))
    _, levels = measured(folder, prompts, reads=(right,))
    assert levels["prompt"] == [str(i) for i in np.flatnonzero(leads(naive) > 0)]
    with pytest.raises(DataError, match=r'lead is a number.*where = "lead > 0"'):
        shown(folder, "lead")


def test_with_levels_a_unit_is_taken_if_the_condition_is_true_of_all_of_its_rows(subject):
    folder, naive = subject
    own = leads(naive).reshape(-1, 2)
    middle = float(np.sort(own.min(1))[-2:].mean())
    prompts = shown(folder, f"lead > {middle:.6f}", unit="pair", levels="kind")
    _, levels = measured(folder, prompts, reads=(LEAD,))
    assert levels["pair"] == [str(i) for i in np.flatnonzero(own.min(1) > middle)]
    assert levels["kind"] == ["a", "b"]


def test_no_prompt_is_an_error_that_says_so(subject):
    folder, _ = subject
    prompts = shown(folder, "lead > 1000")
    with pytest.raises(DataError, match=r"no prompt is left.*lead > 1000 is true of none of them"):
        measured(folder, prompts, reads=(LEAD,))
    every = range(len(WORDS))
    assert selected(rows_of({"text": "x"}), [0], folder, "cpu", folder) == [0]
    assert selected(prompts, every, folder, "cpu", folder) == []


STUDY = """
question = "Does it need head 1.0 where it is right?"

[[model]]
name = "{folder}"

[[prompts]]
name = "first"
text = "{{what}} = {{what}} so"
where = "{where}"
rows = [{rows}]

[[prompts]]
name = "every"
text = "{{what}} = {{what}} so"
rows = [{rows}]

[[read]]
name = "right"
accuracy = [" a", " b"]

[[read]]
name = "lead"
logit = [" a", " b"]

[[intervene]]
name = "cut"
ablate = "zero"
heads = ["1.0"]
controls = ["heads"]
{more}

[[claim]]
text = "A head is needed"
holds = "{holds}"
threshold = "plan: a nat"
"""


def study(tmp_path, folder, holds="main.lead - cut.lead > 1", where="right", more=""):
    rows = ", ".join(f'{{ what = "{w} {k}" }}' for w in WORDS for k in range(3))
    words = STUDY.format(folder=folder, rows=rows, holds=holds, where=where, more=more)
    path = tmp_path / "study.toml"
    path.write_text(words)
    return composing.composed(parsed(path, words))


def test_a_verdict_says_how_many_prompts_were_measured(subject, tmp_path):
    folder, naive = subject
    study(tmp_path, folder)
    experiment = catalogue.find(str(tmp_path / "study.toml"))
    a, b = (naive.tokenizer.encode(w, add_special_tokens=False)[0] for w in (" a", " b"))
    right = 0
    for word in (f"{w} {k}" for w in WORDS for k in range(3)):
        logits = naive.logits(naive.tokens(f"{word} = {word} so"))[-1]
        right += bool(logits[a] > logits[b])
    assert 0 < right < 30
    plan = [r for r in experiment.remarks if r.startswith("first: of 30 prompts")]
    assert plan and "right is true in the unchanged model" in plan[0]
    result = Lab(tmp_path / "store", Inline()).run(experiment)
    assert any(f"first: {right} of 30 prompts are measured" in x for x in result.notes)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"where": "rihgt"}, "no read 'rihgt'; did you mean right"),
        ({"where": "share(lead > 0) > 0"}, "one by one"),
        ({"holds": "main.right > 0.9"}, "true or false by the selection"),
        ({"holds": "main.lead - every.lead > 0.5"}, "measured on different prompts"),
    ],
)
def test_what_cannot_be_selected_or_claimed_is_refused(subject, tmp_path, change, why):
    with pytest.raises(ExperimentError, match=why):
        study(tmp_path, subject[0], **change)


def test_nothing_is_learned_from_prompts_that_are_selected(subject, tmp_path):
    more = 'prompts = "every"\n[[intervene]]\nname = "mean"\nablate = "mean"\nsource = "first"\n'
    more += 'site = "blocks.1.hook_mlp_out"\n'
    with pytest.raises(ExperimentError, match="prompts 'first' are selected when the study runs"):
        study(tmp_path, subject[0], more=more)


def test_a_claim_about_what_selects_has_a_note(subject, tmp_path):
    experiment = study(tmp_path, subject[0], holds="main.right - cut.right > 0.1")
    assert any("regression to the mean" in r for r in experiment.remarks)
    assert not any("regression" in r for r in study(tmp_path, subject[0]).remarks)
