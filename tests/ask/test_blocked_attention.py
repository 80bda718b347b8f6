"""Blocked attention against transformers' own attention with a mask of one's own; its controls
against what the model's attention says of every token."""

import numpy as np
import pytest
import torch
import transformers
from naive_asking import READS, Naive, intervention, make, measured, rows_of

from assay.ask.tables import Block
from assay.core.errors import DataError

TEXTS = [
    {"who": "Qz", "what": "x = 10"},
    {"who": "Add", "what": "y = 2048, say"},
    {"who": "Summary", "what": "a = b"},
]
TEMPLATE = "class {who}:\n    {what}\n   "
CLOSE = {"rtol": 0, "atol": 2e-4}


class Masked(Naive):
    """A model whose attention adds a mask of one's own, layer by layer."""

    def __init__(self, folder):
        super().__init__(folder)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, attn_implementation="eager"
        ).eval()

    def _hook(self, layer, mask):
        attention = self.model.model.layers[layer].self_attn

        def change(module, args, kwargs):
            n = kwargs["attention_mask"].shape[-1]
            return args, kwargs | {"attention_mask": kwargs["attention_mask"] + mask(n)}

        return attention.register_forward_pre_hook(change, with_kwargs=True)


def mask_of(queries, keys, heads=None, *, count=4):
    """An additive mask over [1, head, q, k]."""

    def mask(n):
        m = torch.zeros(1, count, n, n)
        for h in range(count) if heads is None else heads:
            for q in queries:
                for k in keys:
                    if q < n:
                        m[0, h, q, k] = float("-inf")
        return m

    return mask


@pytest.fixture(scope="module", params=["llama", "gemma3_text"])
def subject(request, tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("edges") / request.param, request.param)
    return folder, Masked(folder)


@pytest.fixture(scope="module")
def three():
    return rows_of(*TEXTS, text=TEMPLATE)


def tokens_of(naive, text, part):
    """The tokens that have a character of a part of the text."""
    begin = text.index(part)
    encoded = naive.tokenizer(text, return_offsets_mapping=True)
    return [
        i
        for i, (a, b) in enumerate(encoded["offset_mapping"])
        if a < begin + len(part) and b > begin
    ]


def hold(subject, three, block, edits):
    folder, naive = subject
    got, _ = measured(folder, three, intervention(block=block))
    plain = measured(folder, three)[0]
    for i, row in enumerate(three.rows):
        wanted = naive.reads(row.text, edits(naive, row))
        for read, number in zip(READS, wanted, strict=True):
            np.testing.assert_allclose(got[read.name][0, i], number, **CLOSE)
    # else nothing was tested
    assert not np.allclose(got["one"], plain["one"], atol=1e-4)


def test_the_last_token_no_longer_sees_a_slot(subject, three):
    """And what is read behind it does not either, as the answer's own tokens are written there."""

    def edits(naive, row):
        keys = tokens_of(naive, row.text, row.columns["who"])
        first = len(naive.tokens(row.text)) - 1
        return {layer: mask_of(range(first, 99), keys) for layer in range(3)}

    hold(subject, three, Block(to="{who}"), edits)


@pytest.mark.parametrize("every", ["", "all of "])
def test_one_slot_no_longer_sees_another_in_named_heads(every, subject, three):
    def edits(naive, row):
        keys = tokens_of(naive, row.text, row.columns["who"])
        queries = tokens_of(naive, row.text, row.columns["what"])
        return {1: mask_of(queries, keys, heads=[0, 2])}

    ends = {"from_": f"{every}{{what}}", "to": f"{every}{{who}}"}
    hold(subject, three, Block(**ends, heads=("1.0", "1.2")), edits)


def test_a_sweep_over_layers_is_each_layer_by_itself(subject, three):
    folder, _ = subject
    table = intervention(block=Block(to="{who}", layers=("{layer}",)), sweep={"layer": (0, 1)})
    got = measured(folder, three, table)[0]["one"]
    for layer in (0, 1):
        alone = intervention(block=Block(to="{who}", layers=(layer,)))
        np.testing.assert_allclose(got[:, layer], measured(folder, three, alone)[0]["one"])


def test_a_sweep_over_tokens_is_each_token_by_itself(subject, three):
    folder, _ = subject
    table = intervention(block=Block(to="{at}"), sweep={"at": (1, -2)})
    got = measured(folder, three, table)[0]["one"]
    for k, token in enumerate((1, -2)):
        alone = intervention(block=Block(to=token))
        np.testing.assert_allclose(got[:, k], measured(folder, three, alone)[0]["one"])


def test_the_control_of_another_token_blocks_those_most_looked_at(subject, three):
    folder, naive = subject
    block = Block(to="{who}", layers=(1,))
    arm = measured(folder, three, intervention(block=block), control="token")[0]
    got, moved = arm["one"], arm["moved_by"]
    for i, row in enumerate(three.rows):
        ids = naive.tokens(row.text)
        with torch.no_grad():
            pattern = naive.model(torch.tensor([ids]), output_attentions=True).attentions[1][0]
        keys, last = tokens_of(naive, row.text, row.columns["who"]), len(ids) - 1
        free = [k for k in range(max(1, len(naive.opening)), last) if k not in keys]
        free.sort(key=lambda k: -float(pattern[:, last, k].mean()))
        edits = {1: mask_of(range(last, 99), free[: len(keys)])}
        np.testing.assert_allclose(got[0, i], naive.reads(row.text, edits)[0], **CLOSE)
        assert i or moved == free[0] - keys[0], "which token it is, of the first prompt"


def test_the_control_of_another_layer_blocks_where_more_attention_is_paid(subject, three):
    folder, naive = subject
    paid = np.zeros(3)
    for row in three.rows:
        ids = naive.tokens(row.text)
        keys = tokens_of(naive, row.text, row.columns["who"])
        with torch.no_grad():
            patterns = naive.model(torch.tensor([ids]), output_attentions=True).attentions
        paid += [float(p[0, :, -1, keys].sum(-1).mean()) for p in patterns]
    far = 0 if paid[0] > paid[2] else 2
    there = measured(folder, three, intervention(block=Block(to="{who}", layers=(1,))), "layer")
    here = measured(folder, three, intervention(block=Block(to="{who}", layers=(far,))))
    np.testing.assert_allclose(there[0]["one"], here[0]["one"])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"block": Block(from_="{who}", to="{what}")}, "no token of {what} comes before {who}"),
        ({"block": Block(from_=0, to=0)}, "would see nothing at all"),
        ({"block": Block(to=0, layers=(7,))}, "has blocks 0 to 2, got 7"),
        ({"block": Block(to=0, layers=("0:6",))}, "got '0:6'; for a range, write layers = \"0:6\""),
        ({"block": Block(to=0, heads=("1.9",))}, "has heads 0 to 3, got 1.9"),
        ({"block": Block(to=0, layers=(1,), heads=("1.0",))}, "layers or heads"),
        ({"block": Block(to=0), "position": 2}, "in from and to"),
        (
            {"ablate": "zero", "site": "blocks.1.attn.hook_pattern", "position": 0},
            "write block = { from = …, to = 0",
        ),
    ],
)
def test_a_block_that_cannot_be_is_refused(subject, three, table, words):
    with pytest.raises(DataError) as refusal:
        measured(subject[0], three, intervention(**table))
    assert words in str(refusal.value)
