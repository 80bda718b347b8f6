"""Gradients of reads are those that autograd gives of a plain model of transformers."""

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from naive_models import measured, task, texts

from assay.ask.measure import measuring, prompts, reads
from assay.ask.measure.tokenized import prompt
from assay.ask.tables import Intervention, Prompts, Read, Top
from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.subjects.folder import find

SHOWN = ("def add(a, b):", "class Point:\n    x")
TARGETS = (
    Read(name="lead", log_prob=(" return", " x")),
    Read(name="chance", prob=" a"),
    Read(name="size", logit=" a"),
    Read(name="doubt", entropy=True),
    Read(name="loss", loss=True),
)


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


def parts_by_hand(naive, text, layer, of, name="size"):
    """Of each head or neuron of a block its activation times a read's gradient, by token."""
    block, kept = naive.blocks[layer], []
    module = block.self_attn.o_proj if of == "heads" else block.mlp.down_proj

    def hook(module, args):
        kept.append(args[0].detach().requires_grad_())
        return (kept[-1],)

    handle = module.register_forward_pre_hook(hook)
    (slope,) = torch.autograd.grad(number(naive, name, text), kept)
    handle.remove()
    given = (kept[0].detach() * slope)[0]
    return (
        given.unflatten(-1, (naive.model.config.num_attention_heads, -1)).sum(-1)
        if of == "heads"
        else given
    )


def test_heads_and_neurons_have_their_own_share(llama):
    by = {"gradient": "size"}
    every = [
        TARGETS[2],
        Read(name="one", heads=("1.2",), position="all", **by),
        Read(name="swept", heads=("{b}.{h}",), sweep={"b": (0, 2), "h": (0, 3)}, **by),
        Read(name="some", neurons=("1.3", "2.0"), **by),
        Read(name="here", neurons=(3,), site="blocks.1.mlp.hook_post", **by),
        Read(name="whole", site="blocks.1.mlp.hook_post", **by),
    ]
    found = measured(llama, texts(*SHOWN), every)
    for p, text in enumerate(SHOWN):
        heads = [parts_by_hand(llama, text, n, "heads") for n in range(3)]
        neurons = [parts_by_hand(llama, text, n, "neurons") for n in range(3)]
        expected = {
            "one": heads[1][:, 2].sum(),
            "some": neurons[1][-1, 3] + neurons[2][-1, 0],
            "here": neurons[1][-1, 3],
            "whole": neurons[1][-1].sum(),
        }
        for name, value in expected.items():
            assert found[name][p] == pytest.approx(float(value), rel=1e-3, abs=1e-6), name
        for i, b in enumerate((0, 2)):
            for k, h in enumerate((0, 3)):
                value = pytest.approx(float(heads[b][-1, h]), rel=1e-3, abs=1e-6)
                assert found["swept"][i, k, p] == value


def test_under_a_change_the_gradient_is_that_of_the_changed_model(llama):
    every = [TARGETS[2], Read(name="it", gradient="size", site="blocks.2.hook_resid_pre")]
    table = Intervention(name="cut", scale=0.5, site="blocks.1.hook_resid_pre")
    found = measured(llama, texts(SHOWN[0]), every, table)
    kept = []

    def hook(module, args):
        kept.append(args[0].detach().requires_grad_())
        return (kept[-1], *args[1:])

    handle = llama.blocks[2].register_forward_pre_hook(hook)
    total = number(llama, "size", SHOWN[0], lambda x: x / 2)
    (slope,) = torch.autograd.grad(total, kept)
    handle.remove()
    assert found["it"][0] == pytest.approx(float((kept[0] * slope)[0, -1].sum()), rel=1e-3)


def chosen(naive, shown, top, **fields):
    """What is left of a read without the parts that are chosen."""
    table = Intervention(name="cut", ablate="zero", top=top, position=-1, **fields)
    return measured(naive, shown, [*TARGETS[2:4]], table)["size"]


@pytest.mark.parametrize(("by", "worse"), [("size", -1), ("doubt", 1)])
def test_each_prompt_has_the_parts_that_the_others_of_its_group_choose(llama, by, worse):
    """Those without which the read gets worst: the size falls, and the doubt rises."""
    words, facts = ("def a", "def b", "x = a", "x = b", "x = y"), "ddxxx"
    rows = [{"text": t, "fact": f} for t, f in zip(words, facts, strict=True)]
    top = Top(n=2, of="neurons", by=by, score="gradient", within="fact")
    found = chosen(llama, texts(*rows), top)
    for p, fact in enumerate(facts):
        others = [words[k] for k, f in enumerate(facts) if f == fact and k != p]
        scores = {}
        for n in range(3):
            mean = sum(parts_by_hand(llama, text, n, "neurons", by)[-1] for text in others)
            scores |= {f"{n}.{k}": -worse * float(x) for k, x in enumerate(mean)}
        best = tuple(sorted(scores, key=scores.get, reverse=True)[:2])
        named = Intervention(name="cut", ablate="zero", position=-1, neurons=best)
        alone = measured(llama, texts(words[p]), [TARGETS[2]], named)["size"]
        assert found[p] == pytest.approx(alone[0], rel=1e-4)


@pytest.mark.parametrize(
    ("why", "fields"),
    {
        "one has no gradient here": {"gradient": "one", "site": "blocks.1.hook_resid_pre"},
        "no read 'other'": {"gradient": "other", "site": "blocks.1.hook_resid_pre"},
        "is by the activations of one of heads": {"gradient": "size"},
        "only an .* chooses parts for each prompt": {
            "gradient": "size",
            "top": Top(n=1, of="heads", within="fact"),
        },
    }.items(),
)
def test_what_has_no_gradient_is_refused(llama, why, fields):
    read, shown = Read(name="it", **fields), texts(*SHOWN)
    every = [TARGETS[2], Read(name="one", rank=" a"), read]
    asked = [prompt(find(str(llama.folder)), row) for row in shown.rows]
    with pytest.raises(DataError, match=why):
        reads.check(read)
        [*measuring.remarks(task(llama, shown, every), read, asked, lambda name: None)]


def test_a_latent_has_its_activation_times_the_gradient_along_what_it_writes(llama, tmp_path):
    draw = torch.Generator().manual_seed(4)
    W, back = (torch.randn(1, *shape, generator=draw) for shape in ((24, 9), (9, 24)))
    site, half = "blocks.1.hook_resid_pre", torch.tensor([0.5])
    of = Dictionary(
        W, torch.zeros(1, 9), back, torch.zeros(1, 24), ReLU(), scale=half, sites=(site,)
    )
    of.save(tmp_path / "mine.safetensors")
    name = str(tmp_path / "mine.safetensors")
    shown = texts(*(f"def {a}({b}):" for a in "abc" for b in "xy"))
    every = [TARGETS[2], Read(name="two", gradient="size", feature=(name, (2, 5)))]
    found = measured(llama, shown, every, folder=tmp_path)
    shares = []
    for p, row in enumerate(shown.rows):
        kept = []

        def change(x, kept=kept):
            kept.append(x.detach().requires_grad_())
            return kept[-1]

        (slope,) = torch.autograd.grad(number(llama, "size", row.text, change), kept)
        code = torch.relu(kept[0].detach()[0, -1] * 0.5 @ W[0].double())
        shares.append(code * (slope[0, -1] @ back[0].double().T) / 0.5)
        two = float(shares[-1][[2, 5]].sum())
        assert found["two"][p] == pytest.approx(two, rel=1e-3, abs=1e-6)
    mean = sum(shares[i] for i in shown.halves()[0])
    best = int(mean.argmax())
    top = Top(n=1, of="latents", by="size", score="gradient")
    clamp = {"name": "off", "value": 0.0, "position": -1}
    tables = (
        Intervention(clamp=(name, ()), top=top, **clamp),
        Intervention(clamp=(name, (best,)), **clamp),
    )
    first, second = (
        measured(llama, shown, TARGETS[2:3], t, folder=tmp_path)["size"] for t in tables
    )
    assert first == pytest.approx(second)


# attribution patching -----------------------------------------------------------------------------

PAIRS = [{"a": a, "b": b} for a, b in zip("abcxyz", "xyzabc", strict=True)]


def pairs(**fields):
    """Texts of one length, each with another."""
    return prompts.load(
        Prompts(text="def {a}(b):", corrupted="def {b}(b):", rows=tuple(PAIRS), **fields), Path()
    )


def attributed(naive, row, layer, of):
    """Of each head or neuron of a block (what the other text has less what the text has) times the
    gradient of `size` on the text, by token."""
    block = naive.blocks[layer]
    module = block.self_attn.o_proj if of == "heads" else block.mlp.down_proj
    kept = []

    def hook(module, args):
        kept.append(args[0].detach().requires_grad_())
        return (kept[-1],)

    handle = module.register_forward_pre_hook(hook)
    (slope,) = torch.autograd.grad(number(naive, "size", f"def {row['a']}(b):"), kept)
    number(naive, "size", f"def {row['b']}(b):")
    handle.remove()
    given = ((kept[1] - kept[0]).detach() * slope)[0]
    return given.unflatten(-1, (4, -1)).sum(-1) if of == "heads" else given


def test_attribution_patching_is_the_difference_times_what_autograd_gives(llama):
    by = {"gradient": "size", "patch": "corrupted"}
    every = [
        TARGETS[2],
        Read(name="one", heads=("1.2",), position="all", **by),
        Read(name="swept", heads=("{b}.{h}",), sweep={"b": (0, 2), "h": (0, 3)}, **by),
        Read(name="some", neurons=("1.3", "2.0"), position="{a}", **by),
    ]
    found = measured(llama, pairs(), every)
    for p, row in enumerate(PAIRS):
        heads = [attributed(llama, row, n, "heads") for n in range(3)]
        neurons = [attributed(llama, row, n, "neurons") for n in range(3)]
        both = zip(*(llama.ids(f"def {row[k]}(b):") for k in "ab"), strict=True)
        at = next(i for i, (x, y) in enumerate(both) if x != y)
        expected = {"one": heads[1][:, 2].sum(), "some": neurons[1][at, 3] + neurons[2][at, 0]}
        for name, value in expected.items():
            assert found[name][p] == pytest.approx(float(value), rel=1e-3, abs=1e-6), name
        for i, b in enumerate((0, 2)):
            for k, h in enumerate((0, 3)):
                value = pytest.approx(float(heads[b][-1, h]), rel=1e-3, abs=1e-6)
                assert found["swept"][i, k, p] == value


def test_no_prompt_is_replaced_by_the_other_text_of_its_pair(llama):
    """In a ring of three, the only prompt left for a row is the one that it is not paired with."""
    ring = [{"a": a, "b": b} for a, b in ("ab", "bx", "xa")]
    words = Prompts(text="def {a}(b):", corrupted="def {b}(b):", rows=tuple(ring))
    it = Read(name="it", gradient="size", patch="corrupted", heads=("1.2",))
    about = task(llama, prompts.load(words, Path()), [TARGETS[2], it])
    about = dataclasses.replace(about, stands_in="unrelated")
    seeds = np.arange(1000, 1004)
    numbers, _ = measuring.measure(about, seeds, Path(), "cpu", False, lambda *_: None)
    for p, (own, left) in enumerate(zip(ring, "xab", strict=True)):
        value = attributed(llama, {"a": left, "b": own["b"]}, 1, "heads")[-1, 2]
        assert numbers["it"][1][:, p] == pytest.approx(float(value), rel=1e-3, abs=1e-6)
    words = msgspec.structs.replace(words, rows=tuple(PAIRS[::3]))
    two = dataclasses.replace(about, prompts=prompts.load(words, Path()))
    with pytest.raises(DataError, match="row 1: no other prompt can replace it: both texts"):
        measuring.measure(two, seeds, Path(), "cpu", False, lambda *_: None)


def patched(naive, read=TARGETS[2], **fields):
    """What a patch from the other text really changes."""
    table = Intervention(name="patched", patch="corrupted", **fields)
    without, after = (measured(naive, pairs(), [read], t)[read.name] for t in (None, table))
    return after - without


def test_steps_from_the_other_text_add_up_to_what_the_patch_does(llama):
    site = {"site": "blocks.1.hook_mlp_out", "position": "all"}
    many = Read(name="many", gradient="size", steps=100, patch="corrupted", **site)
    found = measured(llama, pairs(), [TARGETS[2], many])["many"]
    assert found == pytest.approx(patched(llama, **site), rel=0.02, abs=1e-4)


@pytest.mark.parametrize("by", ["size", "it"])
def test_parts_are_chosen_by_attribution_patching(llama, by):
    """Those by whose patch a read would fall most."""
    shown = pairs()
    learned, judged = shown.halves()
    scores = {}
    for n in range(3):
        mean = sum(attributed(llama, PAIRS[i], n, "heads")[-1] for i in learned)
        scores |= {f"{n}.{k}": float(x) for k, x in enumerate(mean)}
    best = tuple(sorted(scores, key=scores.get)[:3])
    score = "attribution" if by == "size" else "difference"
    it = Read(name="it", gradient="size", patch="corrupted", site="blocks.1.hook_mlp_out")
    table = Intervention(name="cut", patch="corrupted", position=-1)
    replace = msgspec.structs.replace
    tables = (
        replace(table, top=Top(n=3, of="heads", by=by, score=score)),
        replace(table, heads=best),
    )
    chosen, named = (measured(llama, shown, [TARGETS[2], it], t)["size"] for t in tables)
    assert chosen == pytest.approx(named[judged] if len(chosen) < len(PAIRS) else named)


def test_a_prompt_without_another_text_has_no_patch(llama):
    it = Read(name="it", gradient="size", patch="corrupted", heads=("1.2",))
    with pytest.raises(DataError, match="has no other text to patch from"):
        measured(llama, texts(*SHOWN), [TARGETS[2], it])
    with pytest.raises(DataError, match="reads no `patch`"):
        reads.check(Read(name="it", norm=True, site="blocks.1.hook_mlp_out", patch="corrupted"))


SWEPT = (
    {"heads": ("{block}.{head}",), "sweep": {"block": [0, 1], "head": [0, 1]}},
    {"heads": ("0.0", "1.1")},
    {"site": "hook_embed", "position": "{at}", "sweep": {"at": [0, 1, -1]}},
    {"site": "blocks.{n}.hook_resid_pre", "steps": 2, "sweep": {"n": [0, 1]}},
)


@pytest.mark.parametrize("where", SWEPT)
def test_a_plan_counts_the_gradients_that_are_taken(naive, monkeypatch, where):
    taken = []
    grad = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: (taken.append(1), grad(*a, **k))[1])
    read = Read(name="by", gradient="size", **where)
    measured(naive, texts(*SHOWN), [*TARGETS, read])
    assert len(taken) == len(SHOWN) * len(measuring.backward_places(read))


def test_a_plan_counts_only_the_blocks_from_the_first_that_is_edited():
    """Of four blocks, an edit of block 3 needs one, one of block 0 all, and both on average 2.5."""
    late = measuring._late
    assert late(None, 4) == 1
    assert late(Intervention(name="i", ablate="zero", heads=("3.0",)), 4) == 0.25
    swept = Intervention(
        name="i", ablate="zero", site="blocks.{n}.hook_mlp_out", sweep={"n": [0, 3]}
    )
    assert late(swept, 4) == 0.625
    assert late(Intervention(name="i", add="d"), 4) == 1  # known when it is learned
