"""Reads that a model or a prompt cannot have are refused in a line that says where; what one should
know of the others is told; and each says in words what it is."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from naive_models import task, texts
from torch.utils._python_dispatch import TorchDispatchMode

from assay.ask.measure import measuring, passes, reads
from assay.ask.measure.prompts import load
from assay.ask.measure.tokenized import Want, prompt
from assay.ask.tables import Direction, Intervention, Prompts, Read
from assay.core.errors import AssayError, DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.subjects.folder import find

ALONG = Direction(name="along", unembedding=" a")
AT = {"site": "blocks.{layer}.hook_resid_post", "sweep": {"layer": (0, 1, 2)}}


def dictionary(name):
    zeros = torch.zeros
    sites = ("blocks.1.hook_resid_pre",)
    return Dictionary(zeros(1, 9, 4), zeros(1, 4), zeros(1, 4, 9), zeros(1, 9), ReLU(), sites=sites)


def told(llama, shown, **fields):
    """What is known of a read before anything is run."""
    read = Read(**{"name": "it"} | fields)
    reads.check(read, [ALONG])
    of = task(llama, shown, [read], directions=[ALONG])
    folder = find(str(llama.folder))
    prompts = [prompt(folder, row) for row in shown.rows]
    return [*measuring.remarks(of, read, prompts, dictionary)]


SHOWN = texts(
    {"text": "def add(a, b", "right": " return", "wrong": " retx"},
    {"text": "x", "right": "10", "wrong": "10"},
)


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"pattern": "3"}, r"a head is written LAYER\.HEAD"),
        ({"pattern": "1.0", "to": -1, "position": 0}, "token 0 does not attend to later tokens"),
        ({"pattern": "1.0", "to": "induction"}, r"row 1: no token that it is of has 'induction'"),
        ({"pattern": "1.0", "to": "next"}, r'"previous" or "self" or "induction"; got \'next\''),
        ({"logit_lens": " a"}, "it needs the site"),
        ({"logit_lens": ("{right}", "{wrong}"), "site": "hook_embed"}, r"row 1: .* same token"),
        ({"logit_lens": " a", **AT, "sweep": {"layr": (1,)}}, r"sweeps layr, and has no slot"),
        ({"logit_lens": " a", **AT, "sweep": {"layer": (1, 1)}}, "each level of layer once"),
        ({"log_prob": ("{right}", "{wrong}")}, r"row 2: it compares '10' with itself"),
        ({"log_prob": (" a", "")}, "one of them is empty"),
        ({"log_prob": "y = 10 " * 20}, r"row 1: prompt and .* tokens, .* reads 64"),
        ({"accuracy": (" a", " a")}, "the right text first"),
        ({"logit": " a", "position": "mean"}, "position is a number, a slot"),
        (
            {"entropy": True, "position": "{who}"},
            r"row 1: position '\{who\}' is neither.*from the end",
        ),
        ({"generates": ("a",), "tokens": 60}, r"row 1: its \d tokens and 60 .*write tokens = 5\d"),
        ({"loss": True}, "row 2 is one token, which nothing predicts"),
        ({"projection": "along"}, "'along', which has no site of its own; write site"),
        ({"projection": "along", "site": "blocks.1.mlp.hook_post"}, None),
        ({"feature": ("mine", 3)}, r"mine reads 9 numbers a token, blocks\.1\.hook_resid_pre of"),
        ({"logit": False}, "write a text, or true for the model's own best token"),
        (
            {"prob": " a", "token_site": "blocks.1.hook_resid_pre"},
            "is of a text; write prob = true",
        ),
        ({"logit": True, "token_site": "blocks.1.attn.hook_z"}, "goes the residual stream"),
        ({"logit": True, "token_site": "blocks.{n}.hook_resid_pre"}, "has a slot; write sweep"),
        ({"rank": " a", "name": "a b"}, "letters, digits and _"),
        ({"rank": " a", "name": "rank"}, 'such as "rank_of_answer"'),
    ],
)
def test_a_read_that_cannot_be_is_refused_before_anything_is_run(llama, fields, said):
    if said is None:
        assert told(llama, SHOWN, **fields) == []
        return
    with pytest.raises(AssayError, match=said) as refusal:
        told(llama, SHOWN, **fields)
    assert "\n" not in str(refusal.value)


def test_a_prompt_longer_than_the_context_is_refused_with_its_place(llama):
    with pytest.raises(AssayError, match=r"prompts, row 2 is \d+ tokens, .* reads 64 at once"):
        told(llama, texts("x = 1", "x = 1, " * 30), loss=True)


def test_an_answer_of_several_tokens_and_a_shared_beginning_are_told(llama):
    shown = texts(
        {"text": "def add(a, b):", "right": " return", "wrong": " retx"},
        {"text": "x = 1", "right": " return", "wrong": "y"},
    )
    notes = told(llama, shown, log_prob=("{right}", "{wrong}"))
    assert notes == [
        "it: in 2 of 2 prompts, an answer has several tokens, such as ' return' (prompts, row 1); "
        "their log probabilities are added",
        "it: in 1 of 2 prompts, answers begin with the same token, such as ' return' "
        "(prompts, row 1)",
        "it: in 1 of 2 prompts, an answer follows a letter or number without a space, such as 'y' "
        "(prompts, row 2)",
    ]
    for fields in ({"rank": "{right}"}, {"logit_lens": "{right}", **AT}):
        assert "; only the first is used" in told(llama, shown, **fields)[0]
    assert told(llama, shown, log_prob=" a") == []


def test_one_dimension_has_one_meaning(tmp_path, llama):
    lens = {"logit_lens": " a", "site": "blocks.{layer}.hook_resid_post"}
    first = Read(name="first", **lens, sweep={"layer": (0, 1)})
    other = Read(name="other", **lens, sweep={"layer": (0, 2)})
    reads.check_sweeps([first, first], {})
    with pytest.raises(AssayError, match="first and other sweep layer over different levels"):
        reads.check_sweeps([first, other], {})
    with pytest.raises(AssayError, match=r"steered has a dimension .* such as \{layer_read\}"):
        reads.check_sweeps([first], {"layer": "steered"})
    steered = Intervention(name="steered", sweep={"layer": (0, 1)})
    reads.check_sweeps([first], {}, [steered])
    with pytest.raises(AssayError, match="steered and other sweep layer over different levels"):
        reads.check_sweeps([other], {}, [steered])


KNOWN = {
    'log P(" a") − log P(" b") after the prompt, over all tokens (nats)': {
        "log_prob": (" a", " b")
    },
    'whether " a" is more probable than " b", " c" (0 to 1, higher is better)': {
        "accuracy": (" a", " b", " c")
    },
    'whether " a" is the most probable text (0 to 1, higher is better)': {"accuracy": (" a",)},
    'rank of the first token of " a" at token -2, 1 the most probable (1 or more)': {
        "rank": " a", "position": -2
    },
    "rank of the next token that the untouched model predicts, by the logit lens at blocks.{layer}."
    "hook_resid_post, 1 the first (1 or more); for layer 0, 1, 2": {"rank": True, **AT},
    "share of the neurons that are above 0.1 at blocks.1.mlp.hook_post, mean over tokens "
    "(0 to 1)": {
        "active": 0.1, "site": "blocks.1.mlp.hook_post", "position": "mean"
    },
    "entropy of the next token, mean over tokens (nats, 0 or more)": {
        "entropy": True, "position": "mean"
    },
    "mean loss over the prompt's own tokens (nats, 0 or more, lower is better)": {"loss": True},
    "share of attention that token -1 pays to token 0 in head 1.2 (0 to 1)": {"pattern": "1.2"},
    "activation of latent 3 of mine, highest over tokens (activation)": {
        "feature": ("mine", 3), "position": "all"
    },
    'log P(" a") by the logit lens at blocks.{layer}.hook_resid_post, first tokens '
    "(nats, at most 0); for layer 0, 1, 2": {"logit_lens": " a", **AT},
    'what heads {layer}.{head} write directly to logit(" a"), first tokens (logit); for layer '
    "0 to 29 and head 0, 2, 4, 6, 8": {
        "direct": " a", "heads": ("{layer}.{head}",),
        "sweep": {"layer": (*range(30),), "head": (0, 2, 4, 6, 8)}
    },
    "share of repeated runs of 3 tokens of the next 9 tokens, sampled at temperature 1 (0 to 1)": {
        "written": "repeated", "ngram": 3, "tokens": 9, "temperature": 1.0
    },
    'rank of a token in what the OV circuit writes of 1.2, of " a" onto " b" (1 or more)': {
        "weights": "ov_rank", "heads": ("1.2",), "token": " a", "onto": " b"
    },
}  # fmt: skip


@pytest.mark.parametrize("line", KNOWN)
def test_a_read_says_in_a_line_what_it_is(line):
    assert reads.describe(Read(name="it", **KNOWN[line])) == f"it: {line}"


class Largest(TorchDispatchMode):
    """The most numbers that one operation gives."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else (out,):
            if isinstance(x, torch.Tensor):
                self.most = max(self.most, x.numel())
        return out


class Wide:
    """No more than an unembedding of 262,144 tokens."""

    def __init__(self):
        draw = torch.Generator().manual_seed(0)
        self.head = torch.nn.Linear(3, 262_144, bias=False).requires_grad_(False)
        self.head.weight.copy_(torch.randn(262_144, 3, generator=draw))
        self.model = self

    def get_output_embeddings(self):
        return self.head


def test_a_large_vocabulary_is_unembedded_a_few_rows_at_a_time():
    """All rows at once would be 150 × 262,144 numbers; each is what all at once would give."""
    model, draw = Wide(), torch.Generator().manual_seed(1)
    final = torch.randn(3, 50, 3, generator=draw)
    wants = (Want("log_prob", 0, 7), Want("rank", 0, 7), Want("entropy", 0), Want("kl", 0))
    rows = [passes.Rows(x, x[:1], x, wants) for x in final]
    with Largest() as seen:
        got = passes.numbers(model, rows)
    assert seen.most <= max(passes.HELD, model.head.weight.numel())
    for x, table in zip(final, got, strict=True):
        z = x[[0, 7, 49]].double().numpy() @ model.head.weight.double().numpy().T
        logs = z - np.log(np.exp(z).sum(1, keepdims=True))
        expected = [
            logs[:, 7],
            1 + (logs > logs[:, 7, None]).sum(1),
            -(np.exp(logs) * logs).sum(1),
            (np.exp(logs[0]) * (logs[0] - logs)).sum(1),
        ]
        np.testing.assert_allclose(table[[0, 7, 49]].T, expected, rtol=2e-3, atol=2e-5)


def test_the_place_of_a_slot_that_stands_twice_is_none(llama):
    shown = load(Prompts(text="{a} + {a} = {b}", rows=({"a": "x", "b": "y"},)), Path())
    first = prompt(find(str(llama.folder)), shown.rows[0])
    assert first.at("{b}") == len(first.tokens) - 1
    with pytest.raises(DataError, match=r"^the text of the prompts has \{a\} more .* \{a2\}"):
        first.at("{a}")


def test_no_unit_is_both_learned_from_and_measured():
    rows = tuple({"item": str(i // 2), "n": str(i)} for i in range(12))
    table = Prompts(text="{item} {n}", rows=rows, unit="item")
    with pytest.raises(DataError, match='write split = "item" under prompts'):
        load(table, Path()).halves()
    halves = load(msgspec.structs.replace(table, split="item"), Path()).halves()
    assert not {i // 2 for i in halves[0]} & {i // 2 for i in halves[1]}
