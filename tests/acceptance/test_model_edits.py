"""Edits at chosen positions and heads, against loops over single numbers."""

import itertools
import json

import numpy as np
import pytest
import torch

import tiny_models
from assay.subjects import edits
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
