"""Heads that are chosen by the effect of another change, and kept alone, against passes in which
hooks of one's own hold or change all else."""

import itertools

import numpy as np
import pytest
from naive_asking import intervention, measured, rows_of

from assay.ask import composing
from assay.ask.measure import choosing, interventions
from assay.ask.tables import Intervention, Path, Top
from assay.ask.text import parsed
from assay.core.errors import AssayError, DataError

HEADS = [*itertools.product(range(3), range(4))]
Z = [f"blocks.{n}.attn.hook_z" for n in range(3)]
SENT = Intervention(
    name="sent",
    patch="corrupted",
    heads=("{part}",),
    position=-1,
    path=Path(to=("logits",)),
    sweep={"part": ("0.0", "0.1")},
)


@pytest.fixture
def shown():
    words = ["x", "a", "the name", "sum", "self", "def y", "b", "x sum"] * 2
    rows = [
        {"what": f"{w} {n}", "other": f"{o} {n}"}
        for n, (w, o) in enumerate(zip(words, [*words[3:], *words[:3]], strict=True))
    ]
    return rows_of(*rows, text="{what} = 1 so", corrupted="{other} = 1 so")


def sent_to_the_logits(naive, row):
    """By how much each head of the other text, sent to the logits alone, lowers the number."""
    text, other = (f"{row.columns[c]} = 1 so" for c in ("what", "other"))
    names = [*Z, *(f"blocks.{n}.hook_mlp_out" for n in range(3))]
    ours, theirs = ({s: naive.acts(t, s) for s in names} for t in (text, other))

    def number(layer=None, head=None):
        held = {s: x.clone() for s, x in ours.items()}
        if layer is not None:
            held[Z[layer]][-1, head] = theirs[Z[layer]][-1, head]
        edits = {s: lambda x, v=v: v[None].to(x) for s, v in held.items()}
        return two(naive, text, edits)

    return np.array([number() - number(*head) for head in HEADS])


def two(naive, text, edits=()):
    """log P of the first answer less the second, one token each."""
    logs = naive.logits(naive.tokens(text), edits)[-1].log_softmax(-1)
    first, second = (naive.tokenizer.encode(t, add_special_tokens=False)[0] for t in (" a", " b"))
    return float(logs[first] - logs[second])


def alone(naive, text, kept):
    """The number with all heads at zero but those that are kept."""

    def cut(x, layer):
        x = x.clone()
        for head in range(4):
            if (layer, head) not in kept:
                x[..., head, :] = 0
        return x

    return two(naive, text, {s: lambda x, n=n: cut(x, n) for n, s in enumerate(Z)})


def test_heads_chosen_by_a_path_patch_are_kept_alone(subject, shown):
    folder, naive = subject
    top = choosing.with_change(
        intervention(
            ablate="zero", all_but=True, top=Top(n=3, of="heads", by="one", change="sent")
        ),
        [SENT],
    )
    got = measured(folder, shown, top, chooses=True)[0]
    learned, judged = shown.halves()
    effects = np.mean([sent_to_the_logits(naive, shown.rows[i]) for i in learned], 0)
    best = [HEADS[i] for i in effects.argsort()[::-1][:3]]
    numbers = [layer * 4 + head for layer, head in best]
    assert got["chosen_parts"][0].astype(int).tolist() == numbers
    expected = [alone(naive, shown.rows[i].text, best) for i in judged]
    np.testing.assert_allclose(got["one"][0], expected, rtol=0, atol=2e-4)


def test_all_but_the_named_heads_or_neurons_are_ablated(subject, shown):
    folder, naive = subject
    table = intervention(ablate="zero", all_but=True, heads=("0.1", "2.3"))
    got = measured(folder, shown, table)[0]["one"][0]
    kept = [(0, 1), (2, 3)]
    expected = [alone(naive, row.text, kept) for row in shown.rows]
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-4)
    other, _ = measured(folder, shown, table, "heads", seeds=(0, 1))
    for seed, heads in enumerate(other["other_heads"].astype(int)):
        some = [divmod(n, 4) for n in heads]
        assert len(some) == 2 and not {*some} & {*kept}
        expected = [alone(naive, row.text, some) for row in shown.rows]
        np.testing.assert_allclose(other["one"][seed], expected, rtol=0, atol=2e-4)
    post = {"site": "blocks.1.mlp.hook_post", "ablate": "zero"}
    width = naive.model.config.intermediate_size
    rest = tuple(n for n in range(width) if n not in (3, 5))
    one, two_ = (
        measured(folder, shown, intervention(**post, **which))[0]["one"][0]
        for which in ({"neurons": (3, 5), "all_but": True}, {"neurons": rest})
    )
    np.testing.assert_allclose(one, two_, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"all_but": True, "site": "blocks.1.hook_mlp_out"}, "all_but changes all other heads"),
        ({"all_but": True, "neurons": ("1.3",)}, "neurons with a site"),
    ],
)
def test_all_but_a_whole_site_is_refused(fields, why):
    with pytest.raises(DataError, match=why):
        interventions.check(intervention(ablate="zero", **fields), ())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "other"}, "top names the change 'sent', and there is none"),
        ({"add": "d"}, "a single ablation, scaling or patch"),
    ],
)
def test_a_change_that_cannot_be_made_to_each_part_is_refused(change, why):
    table = intervention(ablate="zero", top=Top(n=1, of="heads", by="one", change="sent"))
    with pytest.raises(DataError, match=why):
        choosing.with_change(table, [Intervention(**{"name": "sent"} | change)])


STUDY = """
question = "Are three heads enough?"

[[model]]
name = "{folder}"

[[prompts]]
text = "{{what}} so"
corrupted = "{{other}} so"
rows = [
    {rows}
]

[[read]]
name = "one"
log_prob = [" a", " b"]

[[intervene]]
name = "sent"
patch = "corrupted"
heads = ["{{head}}"]
position = -1
path = {{ to = ["{to}"] }}
sweep = {{ head = ["0.0", "0.1"] }}

[[intervene]]
name = "kept"
ablate = "zero"
all_but = true
top = {{ n = 2, of = "heads", by = "{by}", change = "sent", layers = [{layers}] }}

[[claim]]
text = "Two heads are enough"
holds = "kept.one - 0.7 * main.one > 0"
threshold = "plan: 70%"
"""


def studied(folder, place, to="logits", by="one", layers="0, 1, 2"):
    rows = ",\n    ".join(f'{{ what = "x = {n}", other = "y = {n}" }}' for n in range(48))
    words = STUDY.format(folder=folder, rows=rows, to=to, by=by, layers=layers)
    return composing.composed(parsed(place / "kept.toml", words))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"to": "1.2"}, "attn.hook_z does not come after blocks.1.attn.hook_z"),
        ({"by": "norm"}, "write the name of a read in by"),
    ],
)
def test_a_change_by_which_nothing_can_be_chosen_is_refused(subject, tmp_path, fields, why):
    with pytest.raises(AssayError, match=why):
        studied(subject[0], tmp_path, **fields)


def test_heads_before_those_of_a_path_can_be_named_by_their_layers(subject, tmp_path):
    studied(subject[0], tmp_path, to="2.1", layers="0, 1")
