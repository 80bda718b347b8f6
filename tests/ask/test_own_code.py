"""A user's own functions that read and change: what they are given, against hooks of one's own, and
what is refused before a model is opened."""

from pathlib import Path

import numpy as np
import pytest
import torch
from naive_asking import Naive, intervention, make, measured, rows_of

from assay.ask.measure import own_code
from assay.ask.tables import Read
from assay.core.errors import AssayError, DataError, ExperimentError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

CODE = """
def size(acts, tokens, columns):
    (x,) = acts.values()
    return x[:, -1].norm(dim=-1) * len(tokens) + float(columns["k"])

def surprise(logits, tokens):
    return -logits.log_softmax(-1)[:, range(len(tokens) - 1), tokens[1:]].mean(-1)

def overlap(acts, before):
    (x,), (y,) = acts.values(), before.values()
    both, any_ = (x > 0) & (y > 0), (x > 0) | (y > 0)
    return both.sum((1, 2)) / any_.sum((1, 2))

def halved(x):
    return x / 2

def turned(x, site, tokens):
    return -x if "mlp" in site and len(tokens) else x

def bad(x):
    return x[:, :1]

def wrong(acts):
    return "one"

def other(acts, hidden):
    return [0.0]

def broken(acts):
    raise ValueError("mine")
"""
SITE = "blocks.1.hook_mlp_out"
TEXTS = ({"what": "x = 10", "k": 1}, {"what": "y = 2048, say", "k": 2}, {"what": "a", "k": 3})


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    where = tmp_path_factory.mktemp("own")
    (where / "mine.py").write_text(CODE)
    folder = make(where / "llama", "llama")
    return where, folder, Naive(folder)


def test_a_function_reads_what_passes_give(subject, monkeypatch):
    where, folder, naive = subject
    monkeypatch.chdir(where)
    reads = (
        Read(name="size", function="mine.py:size", site="blocks.2.hook_resid_pre"),
        Read(name="surprise", function="mine.py:surprise"),
        Read(name="loss", loss=True),
    )
    table = intervention(ablate="zero", site=SITE)
    shown = rows_of(*TEXTS, text="{what} and so")
    for changed in (None, table):
        got, _ = measured(folder, shown, changed, reads=reads)
        assert got["surprise"] == pytest.approx(got["loss"], rel=1e-4)
        for i, row in enumerate(shown.rows):
            ids, kept = naive.tokens(row.text), []
            block = naive.model.model.layers
            handles = [
                block[2].register_forward_pre_hook(
                    lambda m, args, kept=kept: kept.append(args[0].clone())
                )
            ]
            if changed is not None:
                handles.append(block[1].mlp.register_forward_hook(lambda m, a, out: 0 * out))
            with torch.no_grad():
                naive.model(torch.tensor([ids]))
            for handle in handles:
                handle.remove()
            expected = float(kept[0][0, -1].norm()) * len(ids) + row_k(row)
            assert got["size"][0, i] == pytest.approx(expected, rel=1e-4)


def row_k(row):
    return float(row.columns["k"])


def test_a_function_compares_with_the_untouched_model(subject, monkeypatch):
    """The Jaccard index of what is above 0 before and after a change, and of no change 1."""
    where, folder, naive = subject
    monkeypatch.chdir(where)
    site = "blocks.2.hook_resid_pre"
    reads = (Read(name="alike", function="mine.py:overlap", site=site),)
    shown = rows_of(*TEXTS, text="{what} and so")
    table = intervention(ablate="zero", site=SITE)
    got = measured(folder, shown, table, reads=reads)[0]["alike"]
    assert (measured(folder, shown, reads=reads)[0]["alike"] == 1).all()
    for i, row in enumerate(shown.rows):
        kept, block = [], naive.model.model.layers
        handle = block[2].register_forward_pre_hook(
            lambda m, args, kept=kept: kept.append(args[0][0] > 0)
        )
        ids = torch.tensor([naive.tokens(row.text)])
        with torch.no_grad():
            naive.model(ids)
            cut = block[1].mlp.register_forward_hook(lambda m, a, out: 0 * out)
            naive.model(ids)
        handle.remove()
        cut.remove()
        before, after = kept
        expected = float((before & after).sum() / (before | after).sum())
        assert 0 < expected < 1 and got[0, i] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("position", ["all", -1])
def test_a_function_changes_what_goes_on(subject, monkeypatch, position):
    where, folder, naive = subject
    monkeypatch.chdir(where)
    shown = rows_of(*TEXTS, text="{what} and so")
    for name, factor in (("halved", 0.5), ("turned", -1.0)):
        table = intervention(function=f"mine.py:{name}", site=SITE, position=position)
        got, _ = measured(folder, shown, table)
        for i, row in enumerate(shown.rows):
            n = len(naive.tokens(row.text))

            def change(x, n=n, factor=factor):
                some = slice(None) if position == "all" else slice(n - 1, n)
                x[:, some] *= factor
                return x

            wanted = naive.reads(row.text, {SITE: change})
            np.testing.assert_allclose(got["one"][0, i], wanted[0], atol=2e-4)


STUDY = """
question = "Is it so?"
[[model]]
name = "./llama"
[[prompts]]
text = "{{what}} and so"
rows = [{rows}]
[[intervene]]
name = "own"
function = "mine.py:{edit}"
site = "{site}"
[[read]]
name = "it"
function = "mine.py:{read}"
site = "blocks.2.hook_resid_pre"
[[claim]]
text = "It is so"
holds = "main.it - own.it > 0.01"
threshold = "plan: by construction"
"""
ROWS = ", ".join(f'{{what = "x = {n}", k = {n}}}' for n in range(24))


def study(where, edit, read):
    path = where / f"{edit}-{read}.toml"
    path.write_text(STUDY.format(edit=edit, read=read, site=SITE, rows=ROWS))
    return str(path)


@pytest.mark.parametrize(
    ("edit", "read", "why"),
    [
        ("bad", "size", r"mine.py:bad returns a tensor of \[1, \d+, \d+\] for"),
        ("halved", "broken", "mine.py:broken raised ValueError: mine"),
        ("halves", "size", "mine.py has no function 'halves'; did you mean halved"),
    ],
)
def test_what_cannot_be_run_is_refused_by_the_plan(subject, edit, read, why):
    with pytest.raises(ExperimentError, match=why):
        catalogue.find(study(subject[0], edit, read))


def test_a_study_of_own_code_is_judged_by_its_controls_and_known_by_its_file(subject, tmp_path):
    where, _, _ = subject
    path = study(where, "halved", "size")
    experiment = catalogue.find(path)
    result = Lab(tmp_path, Inline()).run(experiment)
    [judged] = result.judged
    # no `damage`, since the model is random and can only guess on unrelated text
    assert set(judged.controls) == {"own/layer"}
    spec = experiment.default[0]
    before = experiment.inputs(spec)["code mine.py:size"]
    assert before == own_code.digest("mine.py:size", where)
    (where / "mine.py").write_text(CODE + "\n# changed\n")
    assert catalogue.find(path).inputs(spec)["code mine.py:size"] != before
    (where / "mine.py").write_text(CODE)


@pytest.mark.parametrize(
    "parts", ['heads = ["1.0"]', "neurons = [1]", 'top = { n = 1, of = "heads", by = "norm" }']
)
def test_a_function_with_parts_is_refused_with_what_works_in_their_place(subject, parts):
    path = Path(study(subject[0], "halved", "size"))
    text = path.read_text()
    path.write_text(text.replace("halved", f'halved"\n{parts}#', 1))
    with pytest.raises(AssayError, match=r"such as site =.* there x\[\.\.\., 2, :\] is head 2"):
        catalogue.find(str(path))


def test_a_name_that_is_no_function_of_a_file_is_refused():
    with pytest.raises(DataError, match=r"written FILE\.py:NAME, got 'mine'"):
        own_code.load("mine")
    with pytest.raises(DataError, match="write a table for each function"):
        own_code.load("mine.py:{how}")
