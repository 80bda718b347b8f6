"""Edits at chosen positions and heads, against loops over single numbers."""

import pytest
import torch

import tiny_models
from acceptance.test_model_edits import MORE, SITE, TOKENS, VECTOR, subject
from assay.core.errors import ModelError
from assay.subjects import batches, edits
from assay.subjects.pretrained import load
from assay.subjects.site import Site

__all__ = ["subject"]


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda: edits.zero("blocks.0.hook_mlp_out", heads=1), "has no heads, got heads=1"),
        (lambda: edits.patch("blocks.0.hook_mlp_out", {}), "did not capture blocks.0.hook_mlp_out"),
        (
            lambda: edits.project_out("blocks.0.hook_mlp_out", torch.zeros(24)),
            "must have a length, got 0",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(subject, edit, why):
    with pytest.raises(ModelError, match=why) as told:
        subject.run(TOKENS, edits=edit())
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox", "gemma3_text", "mamba"])
@pytest.mark.parametrize("rows", [4, 96])
def test_many_prompts_under_many_edits_are_each_as_if_run_alone(kind, rows, tmp_path):
    """Lengths and edits of all sorts, early and late, by position from the front and the end."""
    more = {
        "gpt_neox": {"num_key_value_heads": 4},
        "gemma3_text": {"head_dim": 8, "sliding_window": 3, "query_pre_attn_scalar": 8},
        "mamba": {"state_size": 4},
    }.get(kind, {})
    subject = load(str(tiny_models.make(tmp_path / "model", kind, **more)))
    vector = torch.randn(24, generator=torch.Generator().manual_seed(0))
    some = [
        {},
        edits.add("blocks.1.hook_resid_pre", vector, positions=-1),
        edits.scale("blocks.2.hook_resid_post", 0.5, positions=0),
        edits.zero("blocks.1.hook_resid_pre") | edits.add("ln_final.hook_normalized", vector),
    ]
    if kind != "mamba":
        some += [
            edits.zero("blocks.1.attn.hook_pattern", heads=1, positions=-1),
            edits.zero("blocks.2.attn.hook_z", heads=[0, 3]),
        ]
    if kind == "llama":
        some.append(edits.scale("hook_embed", 2.0))
    prompts = [[5, 17, 200], [41], [250, 0, 8, 77, 130, 6, 2], [3, 3, 3]]
    sites = [s for s in subject.sites if s.kind not in ("rot_q", "rot_k", "attn_scores")]
    many = batches.run_many(subject, prompts, some, capture=sites, rows=rows)
    for p, prompt in enumerate(prompts):
        for e, mapping in enumerate(some):
            alone = subject.run(torch.tensor([prompt]), edits=mapping, capture=sites)
            got = many[p][e]
            assert torch.equal(got.tokens, alone.tokens)
            assert got.acts.keys() == alone.acts.keys()
            torch.testing.assert_close(got.logits, alone.logits, rtol=1e-4, atol=1e-4)
            for site, x in alone.acts.items():
                torch.testing.assert_close(got.acts[site], x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox", "gptj", "gemma3_text", "phi3"])
def test_a_prefix_that_no_edit_touches_is_run_once_and_changes_nothing(kind, tmp_path):
    """Under edits late in the prompts, at keys and patterns too, with tails of several lengths."""
    subject = load(str(tiny_models.make(tmp_path / "model", kind, **MORE.get(kind, {}))))
    header = [5, 17, 200, 3, 41, 41, 99, 8, 8, 1]
    prompts = [[*header, *tail] for tail in ([250, 0, 8], [7], [77, 130], [250, 1, 2, 3])]
    some = [
        {},
        edits.add(SITE, VECTOR, positions=-1),
        edits.scale("blocks.0.attn.hook_rot_k", -1.0, positions=[10, -1], heads=1),
        edits.zero("blocks.1.attn.hook_pattern", positions=slice(-1, None), heads=0),
        edits.scale("hook_embed", 2.0, positions=slice(10, None)),
    ]
    entered = []
    with subject.blocks[1].register_forward_pre_hook(lambda m, a: entered.append(a[0].shape[:2])):
        many = batches.run_many(subject, prompts, some)
    assert entered == [(1, 10), (20, 4)]
    for p, prompt in enumerate(prompts):
        for e, mapping in enumerate(some):
            alone = subject.run(torch.tensor([prompt]), edits=mapping)
            assert torch.equal(many[p][e].tokens, alone.tokens)
            torch.testing.assert_close(many[p][e].logits, alone.logits, rtol=1e-4, atol=1e-4)


def test_what_touches_a_prefix_forbids_to_share_it(subject):
    """And what is captured in it, and what starts later anyway."""
    prompts = [[5, 17, 200, 3, 41, n] for n in range(3)]
    entered = []
    with subject.blocks[0].register_forward_pre_hook(lambda m, a: entered.append(a[0].shape[:2])):
        for options in (
            {"edits": [edits.add(SITE, VECTOR, positions=0)]},
            {"edits": [edits.add(SITE, VECTOR)]},
            {"edits": [edits.add(SITE, VECTOR, positions=slice(-9, None))]},
            {"edits": [{Site("resid_pre", 1): torch.clone}]},
            {"capture": [Site("resid_pre", 1)]},
            {"edits": [edits.add("ln_final.hook_normalized", VECTOR, positions=-1)], "rows": 1},
        ):
            batches.run_many(subject, prompts, **options)
    assert {length for _, length in entered[:-4]} == {6}
    assert entered[-4:] == [(1, 5), (1, 1), (1, 1), (1, 1)]


def test_prompts_longer_than_the_context_are_refused_before_anything_is_run(subject):
    def never(*_):
        raise AssertionError("it ran")

    with subject.blocks[0].register_forward_pre_hook(never):
        for edit in ({}, edits.zero(SITE, positions=-1)):
            with pytest.raises(ModelError, match="reads at most 64 positions, got 65"):
                batches.run_many(subject, [[1, 2], [1] * 65], [edit])
        with pytest.raises(ModelError, match="has 3 blocks"):
            batches.run_many(
                subject,
                [[1, 2]],
                [edits.zero(SITE), edits.zero("hook_embed") | {Site("z", 3): torch.clone}],
            )
    cache = batches.shared_cache()
    subject.run(torch.ones(1, 60), cache=cache)
    with pytest.raises(ModelError, match="at most 64 positions, got 5 and 60 in the cache"):
        subject.run(torch.ones(1, 5), cache=cache)


@pytest.mark.parametrize("prompts", [[], [[1, 2], []]])
def test_a_prompt_without_tokens_is_refused(subject, prompts):
    with pytest.raises(ModelError, match="every prompt must have a token"):
        batches.run_many(subject, prompts)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"new": 0}, "new must be at least 1, got 0"),
        ({"edits": [{}]}, "as many edits, or one for all; got 1"),
        ({"edits": edits.zero(SITE, positions=7)}, "the edit of blocks.1.hook_resid_pre, "),
    ],
)
def test_what_cannot_be_written_is_one_line(subject, options, why):
    with pytest.raises(ModelError, match=why) as told:
        subject.generate(TOKENS, **options)
    assert "\n" not in str(told.value)


def test_no_edits_at_all_are_refused(subject):
    with pytest.raises(ModelError, match="there must be an edit"):
        batches.run_many(subject, [[1, 2]], [])
