"""Edits at chosen positions and heads, against loops over single numbers."""

import itertools

import numpy as np
import pytest
import torch

import tiny_models
from assay.core.errors import ModelError
from assay.subjects import edits
from assay.subjects.pretrained import load
from assay.subjects.site import Site

TOKENS = torch.tensor([[5, 17, 200, 3, 41, 41, 99], [250, 0, 8, 77, 130, 6, 2]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("models") / "llama", "llama")


@pytest.fixture(scope="module")
def subject(folder):
    return load(str(folder))


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


def test_a_run_under_edits_is_the_naive_pass_under_them(folder, subject):
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
        folder,
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
