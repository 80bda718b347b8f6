"""Edits at chosen positions and heads, against loops over single numbers."""

import itertools

import numpy as np
import pytest
import torch

import tiny_models
from assay.core.errors import ModelError
from assay.subjects import batches, edits
from assay.subjects.pretrained import load
from assay.subjects.site import Site

TOKENS = torch.tensor([[5, 17, 200, 3, 41, 41, 99], [250, 0, 8, 77, 130, 6, 2]])


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    return load(str(tiny_models.make(tmp_path_factory.mktemp("models") / "llama", "llama")))


WHERES = [None, 2, -1, [0, 3], slice(1, 4)]


def numbers(where, size):
    return list(np.atleast_1d(np.arange(size)[slice(None) if where is None else where]))


@pytest.mark.parametrize("positions", WHERES, ids=str)
@pytest.mark.parametrize("heads", [None, 1, [0, 2]], ids=str)
def test_every_pair_of_a_position_and_a_head_is_edited_and_no_other(positions, heads):
    x = torch.arange(2 * 5 * 4 * 3.0).view(2, 5, 4, 3)
    wanted = x.clone()
    for b, s, h in itertools.product(range(2), numbers(positions, 5), numbers(heads, 4)):
        wanted[b, s, h] = 2 * x[b, s, h]
    (edit,) = edits.scale("blocks.0.attn.hook_z", 2.0, positions=positions, heads=heads).values()
    assert torch.equal(edit(x.clone()), wanted)


def test_of_a_pattern_positions_are_those_that_attend():
    x = torch.ones(1, 2, 4, 4)
    (edit,) = edits.zero("blocks.0.attn.hook_pattern", positions=[1, 3], heads=1).values()
    assert edit(x)[0, 1].sum(-1).tolist() == [4, 0, 4, 0] and edit(x)[0, 0].sum() == 16


def test_a_run_under_edits_is_the_naive_pass_under_them(subject):
    """Ablating a head, steering and taking a direction out, all in one pass."""
    rng = np.random.default_rng(0)
    vector, direction = rng.normal(size=24), rng.normal(size=24)
    unit = direction / np.linalg.norm(direction)

    def ablated(z):
        z = z.copy()
        z[:, :, 2] = 0
        return z

    def steered(x):
        x = x.copy()
        x[:, -2:] += vector
        return x

    naive, _ = tiny_models.naive(
        subject.folder.path,
        TOKENS.numpy(),
        {
            "blocks.0.attn.hook_z": ablated,
            "blocks.1.hook_resid_pre": steered,
            "blocks.2.hook_mlp_out": lambda x: x - (x @ unit)[..., None] * unit,
        },
    )
    logits = subject.run(
        TOKENS,
        edits={
            **edits.zero("blocks.0.attn.hook_z", heads=2),
            **edits.add("blocks.1.hook_in", torch.tensor(vector), positions=slice(-2, None)),
            **edits.project_out("blocks.2.hook_mlp_out", torch.tensor(direction)),
        },
    ).logits
    assert np.abs(logits.double().numpy() - naive).max() < 2e-5 * np.abs(naive).max()


def test_a_patch_of_the_whole_stream_gives_the_other_runs_logits(subject):
    site = Site("resid_mid", 1)
    other = subject.run(TOKENS[1:], capture=[site])
    patched = subject.run(TOKENS[:1], edits=edits.patch(site, other.acts))
    assert torch.equal(patched.logits, other.logits)
    last = subject.run(TOKENS[:1], edits=edits.patch(site, other.acts, positions=-1)).logits
    plain = subject.run(TOKENS[:1]).logits
    assert torch.equal(last[:, :-1], plain[:, :-1]) and not torch.equal(last[:, -1], plain[:, -1])


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda: edits.zero("blocks.0.hook_mlp_out", heads=1), "has no heads, got heads=1"),
        (lambda: edits.patch("blocks.0.hook_mlp_out", {}), "did not capture blocks.0.hook_mlp_out"),
        (
            lambda: edits.project_out("blocks.0.hook_mlp_out", torch.zeros(24)),
            "must have a length, got 0",
        ),
        (lambda: edits.zero("blocks.0.hook_mlp", heads=1), "no site 'blocks.0.hook_mlp'"),
        (
            lambda: edits.add("blocks.0.hook_mlp_out", torch.zeros(23)),
            r"the edit of blocks.0.hook_mlp_out, \[2, 7, 24\]: ",
        ),
        (
            lambda: edits.zero("blocks.0.hook_mlp_out", positions=7),
            r"the edit of blocks.0.hook_mlp_out, \[2, 7, 24\]: ",
        ),
        (lambda: edits.zero("blocks.9.hook_mlp_out"), "has 3 blocks"),
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
            assert torch.equal(got.tokens, alone.tokens) and got.acts.keys() == alone.acts.keys()
            torch.testing.assert_close(got.logits, alone.logits, rtol=1e-4, atol=1e-4)
            for site, x in alone.acts.items():
                torch.testing.assert_close(got.acts[site], x, rtol=1e-4, atol=1e-4)


def test_blocks_before_the_first_edit_are_run_once_for_each_prompt(subject):
    entered = []
    hooks = [
        b.register_forward_pre_hook(lambda m, a, i=i: entered.append((i, len(a[0]))))
        for i, b in enumerate(subject.blocks)
    ]
    try:
        some = [edits.scale("blocks.2.hook_mlp_out", f) for f in (0.0, 0.5, 2.0)]
        batches.run_many(subject, [[1, 2], [3, 4, 5]], some)
    finally:
        for hook in hooks:
            hook.remove()
    assert entered == [(0, 2), (1, 2), (2, 2), (2, 6)]


@pytest.mark.parametrize("prompts", [[], [[1, 2], []]])
def test_a_prompt_without_tokens_is_refused(subject, prompts):
    with pytest.raises(ModelError, match="every prompt must have a token"):
        batches.run_many(subject, prompts)


def test_no_edits_at_all_are_refused(subject):
    with pytest.raises(ModelError, match="there must be an edit"):
        batches.run_many(subject, [[1, 2]], [])
