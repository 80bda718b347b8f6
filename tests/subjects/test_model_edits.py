"""Edits at chosen positions and heads, against loops over single numbers."""

import itertools
import json

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


MORE = {
    "mistral": {"sliding_window": 3},
    "gemma2": {"sliding_window": 3, "head_dim": 8},
    "gemma3_text": {"sliding_window": 3, "head_dim": 8, "query_pre_attn_scalar": 8},
    "gpt_neox": {"num_key_value_heads": 4},
    "gptj": {"rotary_dim": 4},
    "mamba": {"state_size": 4},
    "bloom": {"n_layer": 3, "n_head": 4},
}


SITE, VECTOR = "blocks.1.hook_resid_pre", torch.linspace(-2, 2, 24)
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
    assert torch.equal(last[:, :-1], plain[:, :-1])
    assert not torch.equal(last[:, -1], plain[:, -1])


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


LATER = {  # positions → which of the tokens of a text with a prompt of seven are edited
    "all": (None, lambda n: True),
    "the prompt's last": (-1, lambda n: n == 6),
    "two of the prompt": ([0, -2], lambda n: n in (0, 5)),
    "a stretch of the prompt": (slice(1, 3), lambda n: n in (1, 2)),
    "the prompt's last and all that is new": (slice(-1, None), lambda n: n >= 6),
    "what is new": (slice(7, None), lambda n: n >= 7),
    "every third": (slice(1, None, 3), lambda n: n % 3 == 1),
}


@pytest.mark.parametrize("where", LATER)
def test_what_is_written_under_an_edit_is_what_whole_passes_in_float64_write(subject, where):
    """Anew for each token, in NumPy, with the edit at the same tokens of the text."""
    positions, acts_there = LATER[where]

    def steered(x):
        x = x.copy()
        x[:, [n for n in range(x.shape[1]) if acts_there(n)]] += VECTOR.numpy()
        return x

    def ablated(z):
        z = z.copy()
        z[:, [n for n in range(z.shape[1]) if acts_there(n)], 2] = 0
        return z

    text, naive = TOKENS.numpy(), []
    for _ in range(6):
        edited = {SITE: steered, "blocks.2.attn.hook_z": ablated}
        naive.append(tiny_models.naive(subject.folder.path, text, edited)[0][:, -1])
        text = np.concatenate([text, naive[-1].argmax(-1)[:, None]], 1)
    met = []
    final = {Site("final_norm"): lambda x: met.append(subject.head(x[:, -1])) or x}
    under = edits.add(SITE, VECTOR, positions=positions) | final
    under |= edits.zero("blocks.2.attn.hook_z", heads=2, positions=positions)
    assert subject.generate(TOKENS, edits=under, new=6) == text[:, 7:].tolist()
    for mine, theirs in zip(met, naive, strict=True):
        assert np.abs(mine.double().numpy() - theirs).max() < 2e-5 * np.abs(theirs).max()


@pytest.mark.parametrize("kind", [*MORE, "gpt2", "olmo2", "phi3", "qwen3", "stablelm"])
def test_every_family_writes_what_its_whole_passes_write(kind, tmp_path):
    """Within windows too, and where keys, which a cache holds, and patterns are edited."""
    model = load(str(tiny_models.make(tmp_path / "model", kind, **MORE.get(kind, {}))))

    def stream(x):
        x[:, 5:] += VECTOR
        return x

    def keys(x):
        x[:, [0, 6], 1] *= 0.5
        return x

    def pattern(x):
        x[:, 0] *= 0.5
        return x

    under = edits.add(SITE, VECTOR, positions=slice(-2, None))
    by_hand = {Site("resid_pre", 1): stream}
    if "pattern" in model.folder.architecture.sites:
        under |= edits.scale("blocks.1.attn.hook_rot_k", 0.5, heads=1, positions=[0, -1])
        under |= edits.scale("blocks.2.attn.hook_pattern", 0.5, heads=0)
        by_hand |= {Site("rot_k", 1): keys, Site("pattern", 2): pattern}
    text = TOKENS
    for _ in range(5):
        best = model.run(text, edits=by_hand).logits[:, -1:].argmax(-1)
        text = torch.cat([text, best], 1)
    assert model.generate(TOKENS, edits=under, new=5) == text[:, 7:].tolist()


def test_each_prompt_can_have_its_own_edit(subject):
    """And then writes what it writes alone."""
    some = [edits.add(SITE, 5 * n * VECTOR, positions=-1) for n in range(4)]
    prompts = TOKENS.repeat_interleave(4, 0)
    together = subject.generate(prompts, edits=some * 2, new=8)
    for n in range(8):
        prompt = prompts[n : n + 1]
        assert subject.generate(prompt, edits=some[n % 4], new=8) == together[n : n + 1]
    assert len(set(map(tuple, together))) > 2


def test_a_text_ends_where_the_model_ends_it(subject, tmp_path):
    (free,) = subject.generate(TOKENS[:1], new=8)
    folder = tiny_models.make(tmp_path / "model", "llama")
    # which wins over config.json, as in transformers
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [free[3], 299]}))
    both = load(str(folder)).generate(TOKENS, new=8)
    assert both[0] == free[: free.index(free[3]) + 1]
    assert both[1] == subject.generate(TOKENS[1:], new=8)[0]


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
