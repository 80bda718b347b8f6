"""Reads of prompts of their own, several positions, probabilities and measures of written text,
against passes of one's own."""

import itertools

import numpy as np
import pytest
import torch
from naive_asking import intervention, measured, rows_of

from assay.ask import checks
from assay.ask.model_study import ModelStudy
from assay.ask.tables import Read
from assay.ask.text import parsed
from assay.core.errors import ExperimentError

STREAM = "blocks.1.hook_resid_pre"


@pytest.fixture
def shown():
    words = ["x", "sum of all", "def y", "the name", "return", "a list"]
    return rows_of(*({"what": w, "n": str(n)} for n, w in enumerate(words)), text="{what} = {n} so")


def test_what_is_written_is_scored_by_the_model_without_the_change(subject, shown):
    folder, naive = subject
    kinds = ("loss", "perplexity", "words", "distinct")
    some = tuple(Read(name=f"{k}_of_text", written=k, tokens=5) for k in kinds)
    table = intervention(ablate="zero", site="blocks.0.hook_mlp_out")
    got = measured(folder, shown, table, reads=some)[0]
    hooks = {"blocks.0.hook_mlp_out": lambda x: 0 * x}
    for i, row in enumerate(shown.rows):
        ids = naive.tokens(row.text)
        new = list[int]()
        for _ in range(5):
            new.append(int(naive.logits([*ids, *new], hooks)[-1].argmax()))
        log = naive.logits([*ids, *new]).log_softmax(-1)
        loss = -np.mean([float(log[len(ids) - 1 + k, t]) for k, t in enumerate(new)])
        words = naive.tokenizer.decode(new).lower().replace("=", " ").split()
        assert got["loss_of_text"][0, i] == pytest.approx(loss, abs=2e-4)
        assert got["perplexity_of_text"][0, i] == pytest.approx(np.exp(loss), rel=1e-3)
        pairs = [*itertools.pairwise(words)]
        if all(w.isalnum() for w in words):
            assert got["words_of_text"][0, i] == len(words)
            expected = len({*pairs}) / len(pairs) if pairs else 1
            assert got["distinct_of_text"][0, i] == pytest.approx(expected)


@pytest.mark.parametrize("place", ["all of {what}", ("{what}", -1), (2, 3)])
@pytest.mark.parametrize("how", ["zero", "mean"])
def test_several_tokens_are_changed_and_read_together(subject, shown, place, how):
    folder, naive = subject

    def at(row):
        ids = naive.tokens(row.text)
        last = len(naive.tokens(row.columns["what"])) - 1
        if place == (2, 3):
            return [2, 3]
        return [last, len(ids) - 1] if isinstance(place, tuple) else [*range(last + 1)]

    length = Read(name="length", norm=True, site=STREAM, position=place)
    table = intervention(ablate=how, site=STREAM, position=place)
    got = measured(folder, shown, table, reads=(length, Read(name="one", log_prob=(" a", " b"))))[0]
    acts = [naive.acts(row.text, STREAM) for row in shown.rows]
    own = [x[at(row)] for x, row in zip(acts, shown.rows, strict=True)]
    even = isinstance(place, tuple)  # each of a list has a mean of its own
    mean = torch.stack(own).mean(0) if even else torch.cat(own).mean(0)
    for i, row in enumerate(shown.rows):

        def put(x, row=row):
            x = x.clone()
            x[0, at(row)] = 0 * x[0, at(row)] if how == "zero" else mean
            return x

        new = put(acts[i][None])[0][at(row)]
        assert got["length"][0, i] == pytest.approx(float(new.norm(dim=1).mean()), abs=2e-4)
        assert got["one"][0, i] == pytest.approx(naive.reads(row.text, {STREAM: put})[0], abs=2e-4)


def test_several_tokens_of_a_pair_are_patched_one_by_one(subject):
    folder, naive = subject
    pairs = [("x y", "a b"), ("x = y", "y = x"), ("the name", "the list")]
    rows = rows_of(
        *({"what": a, "other": b} for a, b in pairs),
        text="{what} = 1 so",
        corrupted="{other} = 1 so",
    )
    table = intervention(patch="corrupted", site=STREAM, position="all of {what}")
    got = measured(folder, rows, table)[0]["one"][0]
    for number, row in zip(got, rows.rows, strict=True):
        source = naive.acts(f"{row.columns['other']} = 1 so", STREAM)
        n = len(naive.tokens(row.columns["what"]))
        assert n == len(naive.tokens(row.columns["other"]))

        def put(x, source=source, n=n):
            x[0, :n] = source[:n]
            return x

        assert number == pytest.approx(naive.reads(row.text, {STREAM: put})[0], abs=2e-4)


STUDY = """
question = "Is it so?"
seeds = "1000000:1000006"
[[model]]
name = "{model}"
[[prompts]]
rows = [{{text = "x = 1"}}, {{text = "a = 2"}}, {{text = "sum of all"}}]
[[prompts]]
name = "random"
rows = [{{text = "x y z x y z"}}, {{text = "a b c a b c"}}]
[[read]]
name = "copies"
{read}
[[read]]
name = "good"
log_prob = [" a", " b"]
[[intervene]]
name = "cut"
ablate = "zero"
top = {{ n = 1, of = "heads", by = "copies" }}
[[claim]]
text = "It falls"
holds = "{holds}"
control = ["cut/heads"]
threshold = "plan: one"
"""
COPIES = 'pattern = "1.1"\nposition = "mean"\nto = "induction"\n'


def test_a_read_of_other_prompts_is_measured_on_these_in_every_arm_that_has_it(subject):
    holds = "main.copies - cut.copies > 0.1"
    whole = STUDY.format(model=subject[0], read=COPIES + 'prompts = "random"', holds=holds)
    text = parsed(subject[0] / "study.toml", whole)
    claim = text.study.claim[0]
    assert claim.holds == '"random".copies - "cut on random".copies > 0.1'
    assert claim.control == ("cut on random/heads",)
    parts = ModelStudy(text).by_label
    task = parts["cut on random"].task
    assert [r.name for r in task.reads] == ["copies"]
    assert len(task.rows) == len(parts["random"].task.rows) == 2
    assert [r.name for r in parts["cut"].task.reads] == ["good"]
    assert len(parts["cut"].task.rows) == 3
    assert {"cut on random/heads", "cut on random/damage"} <= {*parts}
    # what is chosen by the read is chosen on its prompts, in the arm of the others as well
    assert [p.table.name for p in parts["cut"].task.sets] == ["prompts", "random"]


def test_a_read_that_no_prompt_of_an_arm_can_have_is_left_out_where_it_is_not_needed(subject):
    whole = STUDY.format(model=subject[0], read=COPIES, holds="main.good - random.copies > 1")
    asked = ModelStudy(parsed(subject[0] / "study.toml", whole.replace('"copies" }', '"good" }')))
    assert [r.name for r in asked.by_label["main"].task.reads] == ["good"]
    assert [r.name for r in asked.by_label["random"].task.reads] == ["copies", "good"]
    note, *_ = (r for r in asked.remarks if "needs it" in r)
    assert note.startswith("copies is left out of main, where no claim needs it: prompts, row 1")


def test_first_prompts_of_which_nothing_is_read_are_refused_with_both_ways_to_say_it(subject):
    read = COPIES + 'prompts = "random"'
    whole = STUDY.format(model=subject[0], read=read, holds="main.copies > 1")
    whole = whole.replace('name = "good"', 'name = "good"\nprompts = "random"')
    why = "every read names other prompts than prompts.* as its arm, as in random.copies"
    with pytest.raises(ExperimentError, match=why):
        _ = ModelStudy(parsed(subject[0] / "study.toml", whole)).parts


def test_a_choice_that_other_prompts_cannot_make_is_refused(subject):
    read = 'rank = " {b}"\nprompts = "random"'
    whole = STUDY.format(model=subject[0], read=read, holds="cut.good - main.good > 1")
    asked = ModelStudy(parsed(subject[0] / "study.toml", whole))
    with pytest.raises(ExperimentError, match="random, row 1 has no column 'b'"):
        checks.check(asked, asked.by_label["cut"])
