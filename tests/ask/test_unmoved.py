"""Units that a change leaves as they are, such as prompts in which a latent that is set to 0 is off
already; the truth is in the weights."""

import string

import pytest
import torch
from test_controls import GOOD, HEAD, STREAM, folder  # noqa: F401

import assay
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

BAD = [x for x in string.ascii_uppercase if x not in GOOD]
READS = """
[[read]]
name = "q"
log_prob = [" c", " d"]
[[read]]
name = "k"
kl = true
[[intervene]]
name = "off"
{change}
[[claim]]
text = "It falls"
holds = "off.q - main.q < -1"
threshold = "plan: a nat"
control = []
[[claim]]
text = "The predictions change"
holds = "off.k > 1"
threshold = "plan: a nat"
control = []
"""
CLAMP = 'clamp = ["it.safetensors", [3]]\nvalue = {}'


def asked(folder, tmp_path, change, letters):  # noqa: F811
    """The result of a study in which a dictionary has a latent that is on at good letters alone, at
    which number 0 of the stream is 3; it is 0 or less everywhere else."""
    draw = torch.Generator().manual_seed(0)
    w_enc, w_dec = torch.zeros(1, 24, 12), torch.randn(1, 12, 24, generator=draw)
    w_enc[0, 0, 3], w_dec[:, :, :3] = 1.0, 0.0
    kind, biases = assay.dictionaries.ReLU(), (torch.zeros(1, 12), torch.zeros(1, 24))
    of = assay.Dictionary(w_enc, biases[0], w_dec, biases[1], kind, sites=(STREAM,))
    of.save(tmp_path / "it.safetensors")
    rows = ", ".join(f'{{letter = "{x}", again = "{x}"}}' for x in letters)
    path = tmp_path / "asks.toml"
    path.write_text(HEAD.format(model=folder, rows=rows) + READS.format(change=change))
    return Lab(tmp_path / "store", Inline()).run(catalogue.find(str(path)))


@pytest.mark.parametrize(
    ("letters", "value", "count"),
    [
        ([*GOOD, *BAD], 0, 13),
        ([*GOOD[:6], *BAD[:2]], 0, 2),  # a quarter
        ([*GOOD, *BAD[:2]], 0, 0),
        ([*GOOD, *BAD], 9, 0),
    ],
)
def test_prompts_in_which_a_latent_is_off_are_counted(
    folder,  # noqa: F811
    tmp_path,
    letters,
    value,
    count,
):
    result = asked(folder, tmp_path, CLAMP.format(value), letters)
    notes = [n for n in result.notes if "have the same number" in n]
    arms = {name: result.arms[name].mean("run") for name in ("off", "main")}
    on = [x in GOOD for x in letters]
    q, k = (arms["off"]["q"] - arms["main"]["q"]).values[on].mean(), arms["off"]["k"].values[on]
    of = f"{count} of {len(letters)} prompts have the same number in"
    expected = [
        (f"claim 1: {of} off.q as in main.q", f"is {q:.2g}"),
        (f"claim 2: {of} off.k as without a change", f"is {k.mean():.2g}"),
    ]
    assert len(notes) == 2 * bool(count)
    for note, (start, end) in zip(notes, expected, strict=bool(count)):
        assert note.startswith(start) and note.endswith(end)
        assert ", as where latent 3 is off; " in note


def test_another_change_is_asked_about(folder, tmp_path):  # noqa: F811
    """A user's function leaves good letters as they are."""
    (tmp_path / "mine.py").write_text("def edit(x):\n    return x + 9 * (x[..., :1] < -1)\n")
    change = f'function = "mine.py:edit"\nsite = "{STREAM}"\nposition = "{{letter}}"'
    result = asked(folder, tmp_path, change, [*GOOD, *BAD])
    notes = [n for n in result.notes if "have the same number" in n]
    assert len(notes) == 2
    assert all("13 of 26 prompts" in n and ": does the change reach them, and" in n for n in notes)
