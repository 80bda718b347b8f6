"""Captures, edits, logits, early stops and late starts of local models, against a forward pass in
NumPy float64."""

import re

import numpy as np
import pytest
import torch

import tiny_models
from acceptance.test_pretrained import (
    ARCHITECTURES,
    TOKENS,
    calls,
    close,
    folders,
    halve,
    subjects,
)
from assay.core.errors import ModelError
from assay.subjects.pretrained import fast_dtype
from assay.subjects.site import AFTER, BEFORE, KINDS, Site
from assay.subjects.subject import Trace

__all__ = ["folders", "subjects"]


@pytest.mark.parametrize(
    ("kind", "site"),
    [
        (kind, Site(k, None if k in BEFORE + AFTER else 1))
        for kind in ARCHITECTURES
        for k in KINDS
        if k != {"llama": "pos_embed", "gpt2": "mlp_pre_linear"}[kind]
    ],
    ids=str,
)
def test_an_edit_changes_what_follows_and_is_what_a_capture_sees(subjects, folders, kind, site):
    logits, acts = tiny_models.naive(folders[kind], TOKENS, {str(site): halve})
    trace = subjects[kind].run(
        torch.tensor(TOKENS), capture=subjects[kind].sites, edits={site: halve}
    )
    close(trace.logits, logits)
    for s, got in trace.acts.items():
        close(got, acts[str(s)])


def test_the_loss_holds_the_logits_of_one_sequence_at_a_time():
    shapes = []

    def head(x):
        shapes.append(tuple(x.shape))
        return torch.zeros(*x.shape[:-1], 10)

    loss = Trace(torch.zeros(5, 7, dtype=torch.long), {}, torch.zeros(5, 7, 4), head).loss()
    assert shapes == [(6, 4)] * 5
    assert torch.allclose(loss, torch.full((5, 6), float(np.log(10))))


def test_a_site_is_captured_and_found_by_its_name(subjects):
    kind = next(iter(subjects))
    site, tokens = Site("resid_post", 1), torch.tensor(TOKENS)
    acts = subjects[kind].run(tokens, capture=[str(site)], logits=False).acts
    assert list(acts) == [site] and acts[str(site)] is acts[site]
    with pytest.raises(KeyError, match="resid_pre"):
        acts["blocks.1.hook_resid_pre"]
    with pytest.raises(ModelError, match="no site"):
        subjects[kind].run(tokens, capture=["blocks.1.hook_resid"])


def test_a_model_is_printed_with_its_sizes_in_words(subjects):
    assert re.search(r"d_head \d+, .*layers \d+, d_model \d+, d_mlp \d+", repr(subjects["llama"]))


def test_a_run_that_stopped_has_no_logits_and_says_so(subjects):
    trace = subjects["llama"].run(
        torch.tensor(TOKENS), capture=[Site("resid_pre", 1)], logits=False
    )
    assert trace.logits is None
    with pytest.raises(ModelError, match=r"logits=True"):
        trace.loss()


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_nothing_of_the_model_is_changed_even_by_an_edit_that_fails(subjects, kind):
    subject, tokens = subjects[kind], torch.tensor(TOKENS)
    before = {k: v.clone() for k, v in subject.model.state_dict().items()}

    def broken(x):
        raise RuntimeError("mine")

    def in_place(x):
        return x.zero_()

    given = torch.ones(2, 7, 24)
    with pytest.raises(RuntimeError, match=r"mine"):
        subject.run(tokens, start=(1, given), edits={Site("attn_out", 2): broken})
    trace = subject.run(
        tokens,
        start=(1, given),
        edits={Site("resid_pre", 1): in_place},
        capture=[Site("resid_post", 1)],
    )
    assert torch.equal(given, torch.ones(2, 7, 24))
    assert len(trace.acts) == 1
    after = subject.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert calls(subject) == [0, 1, 2]


def test_tokens_and_text(subjects):
    text = "def add(a, b):\n    return 10 + é"
    ids = subjects["llama"].encode(text)
    assert subjects["llama"].decode(ids) == text
    ascii_ids = subjects["llama"].encode("return a + b")
    assert "".join(subjects["llama"].token_text(ascii_ids)) == "return a + b"


BAD_RUNS = {
    "layer out of range": (
        {"capture": [Site("resid_pre", 3)]},
        "blocks.3.hook_resid_pre does not exist: .* 3 blocks, 0 to 2",
    ),
    "edit out of range": (
        {"edits": {Site("z", 40): halve}},
        "blocks.40.attn.hook_z does not exist",
    ),
    "edit of another shape": (
        {"edits": {Site("mlp_out", 0): lambda x: x[..., :5]}},
        r"must return \[2, 7, 24\], returned \[2, 7, 5\]",
    ),
    "start too late": ({"start": (3, torch.zeros(2, 7, 24))}, "before blocks 0 to 2, got 3"),
    "start of another shape": (
        {"start": (1, torch.zeros(2, 6, 24))},
        r"must be \[2, 7, 24\], got \[2, 6, 24\]",
    ),
    "capture before the start": (
        {"start": (2, torch.zeros(2, 7, 24)), "capture": [Site("z", 1)]},
        "before the start at block 2",
    ),
}


@pytest.mark.parametrize("case", BAD_RUNS)
def test_a_run_that_cannot_be_says_why(subjects, case):
    options, message = BAD_RUNS[case]
    with pytest.raises(ModelError, match=message):
        subjects["llama"].run(torch.tensor(TOKENS), **options)


@pytest.mark.parametrize(
    "tokens, message",
    [
        ([1, 2, 3], r"got \[3\]"),
        ([[1, 9999]], "0 to 299, got 1 to 9999"),
        ([[1] * 65], "at most 64 positions, got 65"),
        ([[]], "not empty"),
    ],
)
def test_tokens_that_cannot_be_read_are_named(subjects, tokens, message):
    with pytest.raises(ModelError, match=message):
        subjects["gpt2"].run(torch.tensor(tokens, dtype=torch.long))


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ("flags\t: fpu avx512f avx512_bf16 sse\n", "bfloat16"),
        ("flags\t: fpu amx_bf16\n", "bfloat16"),
        ("flags\t: fpu avx512f avx512_vnni\n", "float32"),
        (None, "float32"),
    ],
)
def test_the_fast_dtype_is_what_the_cpu_has_instructions_for(flags, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr("assay.subjects.pretrained._CPU", tmp_path / "cpuinfo")
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(flags)
    assert fast_dtype() == dtype
