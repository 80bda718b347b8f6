"""Gradients of reads are those that autograd gives of a plain model of transformers."""

import numpy as np
import pytest
import torch
from naive_models import KINDS, Naive, measured, task, texts

from assay.ask.measure import measuring, reads
from assay.ask.measure.seen import prompt
from assay.ask.tables import Direction, Intervention, Read
from assay.core.errors import DataError
from assay.subjects.folder import find

SHOWN = ("def add(a, b):", "class Point:\n    x")
TARGETS = (
    Read(name="lead", log_prob=(" return", " x")),
    Read(name="chance", prob=" a"),
    Read(name="size", logit=" a"),
    Read(name="doubt", entropy=True),
    Read(name="loss", loss=True),
)


@pytest.fixture(scope="module", params=[*KINDS])
def naive(request, tmp_path_factory):
    return Naive(tmp_path_factory.mktemp("gradients") / request.param, request.param)


def number(naive, name, text, change=None, layer=1):
    """A read in the plain way, as a tensor."""

    def logs(ids):
        with naive.changed(layer, change):
            return naive.model(torch.tensor([ids]), use_cache=False).logits[0]

    def log_prob(answer):
        before, whole = naive.ids(text), naive.ids(text + answer)
        table = logs(whole).log_softmax(-1)
        return sum(table[i - 1, whole[i]] for i in range(len(before), len(whole)))

    ids = naive.ids(text)
    first = naive.tokenizer.encode(" a", add_special_tokens=False).ids[0]
    if name == "lead":
        return log_prob(" return") - log_prob(" x")
    if name == "chance":
        return log_prob(" a").exp()
    if name == "size":
        return logs(ids)[-1, first]
    table = logs(ids).log_softmax(-1)
    if name == "doubt":
        return -(table[-1].exp() * table[-1]).sum()
    targets = range(len(naive.opening) or 1, len(ids))
    return -sum(table[i - 1, ids[i]] for i in targets) / len(targets)


def by_hand(naive, name, text, at, steps=1, layer=1):
    """The activation before a block at some tokens times the gradient, one step at a time."""
    slopes, kept = [], {}
    for k in range(1, steps + 1):
        leaves = []

        def change(x, k=k, leaves=leaves):
            kept["x"] = x.detach().clone()
            size = torch.ones(x.shape[1], 1, dtype=x.dtype)
            size[list(at)] = k / steps
            leaves.append((x.detach() * size).requires_grad_())
            return leaves[-1]

        total = number(naive, name, text, change, layer)
        found = torch.autograd.grad(total, leaves, allow_unused=True)
        slopes.append(sum(g[0, list(at)] for g in found if g is not None))
    return float((kept["x"][0, list(at)] * sum(slopes) / steps).sum())


@pytest.mark.parametrize("name", [r.name for r in TARGETS])
def test_it_is_the_activation_times_what_autograd_gives(naive, name):
    at = {"gradient": name, "site": "blocks.1.hook_resid_pre"}
    every = [
        Read(name="last", **at),
        Read(name="first", position=0, **at),
        Read(name="steps", steps=5, **at),
    ]
    found = measured(naive, texts(*SHOWN), [*TARGETS, *every])
    for p, text in enumerate(SHOWN):
        last = len(naive.ids(text)) - 1
        expected = {
            "last": by_hand(naive, name, text, [last]),
            "first": by_hand(naive, name, text, [0]),
            "steps": by_hand(naive, name, text, [last], 5),
        }
        for read, value in expected.items():
            assert found[read][p] == pytest.approx(value, rel=2e-3, abs=2e-5), (read, text)
