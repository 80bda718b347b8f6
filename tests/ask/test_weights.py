"""Numbers of weights, against NumPy: every circuit from all tokens onto all, and what a head's OV
circuit makes of a token."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from naive_models import Naive, measured, task, texts

from assay.ask import composing
from assay.ask.measure import measuring, reads
from assay.ask.model_study import ModelStudy
from assay.ask.tables import Direction, Intervention, Read, Top
from assay.ask.text import parsed
from assay.core.errors import DataError, ExperimentError

SHOWN = ("def add(a, b):", "class Point:\n    x", "b")


def array(parameter):
    return parameter.detach().double().numpy()


class ByHand:
    """The matrices of a model, as NumPy has them from transformers' parameters."""

    def __init__(self, naive):
        self.naive, config = naive, naive.model.config
        self.centred = isinstance(naive.norm, torch.nn.LayerNorm)
        self.count = config.num_attention_heads
        self.E = array(naive.model.get_input_embeddings().weight)
        self.U = self.through(array(naive.model.get_output_embeddings().weight), naive.norm)

    def gain(self, norm):
        return array(norm.weight) + ("Gemma" in type(norm).__name__)

    def through(self, rows, norm):
        """Rows that a norm stands before: times its weight, and without their mean."""
        rows = rows * self.gain(norm)
        return rows - rows.mean(-1, keepdims=True) if self.centred else rows

    def head(self, layer, head):
        """W_V [d, e] and W_O [e, d]."""
        block = self.naive.blocks[layer]
        o = (
            array(block.attn.c_proj.weight)
            if self.centred
            else array(block.self_attn.o_proj.weight).T
        )
        behind = (
            self.gain(block.post_attention_layernorm)
            if "Gemma" in type(self.naive.norm).__name__
            else 1.0
        )
        e = len(o) // self.count
        return self.input(layer, head, "v"), o[head * e : (head + 1) * e] * behind

    def input(self, layer, head, kind):
        """W_Q, W_K or W_V, [d, e]."""
        block = self.naive.blocks[layer]
        if self.centred:
            norm = block.ln_1
            W = np.split(array(block.attn.c_attn.weight), 3, axis=1)["qkv".index(kind)]
        else:
            norm = block.input_layernorm
            W = array(getattr(block.self_attn, f"{kind}_proj").weight).T
            rows = block.self_attn.q_proj.weight.shape[0]
        e = (W.shape[1] if self.centred else rows) // self.count
        shared = head * (W.shape[1] // e) // self.count
        return self.through(W[:, shared * e : (shared + 1) * e].T, norm).T


@pytest.mark.parametrize("kind", ["q", "k", "v"])
def test_composition_is_what_of_one_circuit_another_reads(naive, kind):
    by_hand = ByHand(naive)
    read = Read(name="it", weights=f"{kind}_composition", heads=("0.1", "1.3"), to="2.2")
    v, o = by_hand.head(2, 2)
    q, k = (by_hand.input(2, 2, x) for x in "qk")
    later = {"q": q @ k.T, "k": k @ q.T, "v": v @ o}[kind]
    size = np.linalg.norm
    circuits = [np.matmul(*by_hand.head(*part)) for part in ((0, 1), (1, 3))]
    score = np.mean([size(c @ later) / size(c) / size(later) for c in circuits])
    got = measured(naive, texts(*SHOWN), [read])["it"]
    assert got == pytest.approx(np.full(3, score), rel=1e-6)


def test_copying_is_read_off_the_eigenvalues_of_the_circuit_of_all_tokens(naive):
    by_hand = ByHand(naive)
    sweep = {"layer": (0, 2), "head": (0, 3)}
    read = Read(name="copies", weights="copying", heads=("{layer}.{head}",), sweep=sweep)
    got = measured(naive, texts(*SHOWN), [read])["copies"]
    for i, layer in enumerate(sweep["layer"]):
        for j, head in enumerate(sweep["head"]):
            v, o = by_hand.head(layer, head)
            # [token, token]
            values = np.linalg.eigvals(by_hand.E @ v @ o @ by_hand.U.T)
            score = values.real.sum() / np.abs(values).sum()
            assert got[i, j] == pytest.approx(np.full(3, score), abs=1e-4)


@pytest.mark.parametrize("place", ["mlp", pytest.param("stream", marks=pytest.mark.thorough)])
def test_a_head_may_read_what_the_first_block_makes_of_a_token_alone(naive, place):
    """The output of the first MLP, or the stream behind the first block, of a pass of
    transformers over the token alone, in place of its embedding."""
    by_hand = ByHand(naive)
    site = {"mlp": "hook_mlp_out", "stream": "hook_resid_post"}[place]
    rows = [{"text": f"x{i} =", "one": one} for i, one in enumerate("abx")]
    about = {"heads": ("1.2",), "token": " {one}", "site": f"blocks.0.{site}"}
    every = [
        Read(name="near", weights="ov_cosine", **about),
        Read(name="place", weights="ov_rank", **about),
        Read(name="copies", weights="copying", heads=("1.2",), site=about["site"]),
    ]
    got = measured(naive, texts(*rows), every)

    def alone(token):
        seen, block = {}, naive.blocks[0]
        part = (
            block
            if place == "stream"
            else getattr(block, "post_feedforward_layernorm", None) or block.mlp
        )
        handle = part.register_forward_hook(lambda module, args, out: seen.update(x=out))
        naive.run([*naive.opening, token])
        handle.remove()
        x = seen["x"][0] if isinstance(seen["x"], tuple) else seen["x"]
        return x.reshape(-1, x.shape[-1])[-1].detach().numpy()

    v, o = by_hand.head(1, 2)
    for p, row in enumerate(rows):
        token = naive.tokenizer.encode(f" {row['one']}", add_special_tokens=False).ids[0]
        x, u = alone(token) @ v @ o, by_hand.U[token]
        cosine = x @ u / np.linalg.norm(x) / np.linalg.norm(u)
        assert got["near"][p] == pytest.approx(cosine, abs=1e-4)
        logits = by_hand.U @ x
        assert got["place"][p] == 1 + (logits > logits[token]).sum()
    X = np.stack([alone(token) for token in range(len(by_hand.E))])
    values = np.linalg.eigvals(X @ v @ o @ by_hand.U.T)
    score = values.real.sum() / np.abs(values).sum()
    assert got["copies"] == pytest.approx(np.full(3, score), abs=1e-3)


def test_what_an_ov_circuit_makes_of_the_token_of_each_prompt(naive):
    by_hand = ByHand(naive)
    rows = [{"text": f"x{i} =", "one": a, "two": b} for i, (a, b) in enumerate(["ab", "ba", "xa"])]
    about = {"heads": ("1.2",), "token": " {one}"}
    some = [
        Read(name="near", weights="ov_cosine", onto=" {two}", **about),
        Read(name="place", weights="ov_rank", onto=" {two}", **about),
        Read(name="own", weights="ov_rank", **about),
    ]
    got = measured(naive, texts(*rows), some)
    v, o = by_hand.head(1, 2)
    for p, row in enumerate(rows):
        one, two = (
            naive.tokenizer.encode(f" {row[c]}", add_special_tokens=False).ids[0]
            for c in ("one", "two")
        )
        x = by_hand.E[one] @ v @ o
        u = by_hand.U[two]
        cosine = x @ u / np.linalg.norm(x) / np.linalg.norm(u)
        assert got["near"][p] == pytest.approx(cosine, abs=1e-5)
        logits = by_hand.U @ x
        assert got["place"][p] == 1 + (logits > logits[two]).sum()
        assert got["own"][p] == 1 + (logits > logits[one]).sum()


def test_other_heads_stand_in_and_an_untrained_model_has_other_weights(tmp_path):
    naive = Naive(tmp_path / "llama", "llama")
    every = [Read(name=f"h{n}", weights="copying", heads=(f"1.{n}",)) for n in range(4)]
    true = measured(naive, texts(*SHOWN), every)
    plain = task(naive, texts(*SHOWN), [Read(name="it", weights="copying", heads=("1.2",))])
    stood = measuring.replace(plain, stands_in="heads")
    got, _ = measuring.measure(stood, np.arange(3), tmp_path, "cpu", False, lambda *_: None)
    for number, other in zip(got["it"][1], ("h3", "h0", "h1"), strict=True):
        assert number == pytest.approx(true[other])
    twin = measuring.replace(plain, model=plain.model.__class__(like=plain.model.name))
    got, _ = measuring.measure(twin, np.arange(2), tmp_path, "cpu", False, lambda *_: None)
    first, second = got["it"][1][:, 0]
    assert first != pytest.approx(second) and first != pytest.approx(true["h2"][0])


def test_the_value_vector_of_a_neuron_steers_is_compared_and_promotes_tokens(tmp_path):
    """A row of the output matrix, of one neuron by its number, and of the one of a block that is
    largest on the other half."""
    naive = Naive(tmp_path / "llama", "llama")
    blocks = naive.blocks
    unembedding = naive.model.get_output_embeddings().weight.detach()
    value = blocks[1].mlp.down_proj.weight.detach()[:, 3]
    value = value / value.norm()
    token = naive.tokenizer.encode(" a", add_special_tokens=False).ids[0]
    logits = unembedding @ (value * naive.gain)
    tables = (
        Direction(name="value", neurons=("1.3",)),
        Direction(name="a", unembedding=" a"),
        Direction(name="both", neurons=("1.3", "2.0")),
    )
    every = [
        Read(name="rank", weights="rank", direction="value", token=" a"),
        Read(name="logit", weights="logit", direction="value", token=" a"),
        Read(name="own", weights="rank", direction="value", token=True),
        Read(name="cosine", cosine=("value", "a")),
        Read(name="pair", cosine=("value", "both")),
        Read(name="nll", log_prob=" b"),
    ]
    shown = texts("def add(a, b):", "class Point:\n    x")
    found = measured(naive, shown, every, directions=tables)
    assert found["rank"] == pytest.approx([1 + int((logits > logits[token]).sum())] * 2)
    assert found["logit"] == pytest.approx([float(logits[token])] * 2, rel=1e-4)
    tops = [naive.run(naive.ids(row.text))[0][-1].argmax() for row in shown.rows]
    assert found["own"].tolist() == [1 + int((logits > logits[top]).sum()) for top in tops]
    assert found["cosine"] == pytest.approx([float(value @ naive.read_by(" a"))] * 2, abs=1e-5)
    both = value * blocks[1].mlp.down_proj.weight[:, 3].norm().detach()
    both = both + blocks[2].mlp.down_proj.weight[:, 0].detach()
    assert found["pair"] == pytest.approx([float(value @ both / both.norm())] * 2, abs=1e-5)

    table = Intervention(
        name="steered", add="value", strength=4, site="blocks.1.hook_resid_pre", position=-1
    )
    steered = measured(naive, shown, every[5:], table, tables)["nll"]

    def change(x):
        x[:, len(ids) - 1] += 4 * value
        return x

    for p, row in enumerate(shown.rows):
        ids = naive.ids(row.text)
        assert steered[p] == pytest.approx(naive.log_prob(row.text, " b", change), rel=1e-4)


def test_another_neuron_of_the_block_stands_in_for_a_value_vector(tmp_path):
    naive = Naive(tmp_path / "llama", "llama")
    value = Direction(name="value", neurons=("1.3",))
    table = Intervention(
        name="steered", add="value", strength=4, site="blocks.1.hook_resid_pre", position=-1
    )
    shown = texts("def add(a, b):")
    steered = task(naive, shown, [Read(name="b", log_prob=" b")], table, [value])
    numbers, _ = measuring.measure(
        replace(steered, control="neurons"),
        np.array([0, 1]),
        tmp_path,
        "cpu",
        False,
        lambda *_: None,
    )
    rows = naive.blocks[1].mlp.down_proj.weight.detach().T
    last = len(naive.ids("def add(a, b):")) - 1

    def added(row):
        def change(x):
            x[:, last] += 4 * row / row.norm()
            return x

        return naive.log_prob("def add(a, b):", " b", change)

    every = np.array([added(row) for row in rows])
    for number in numbers["b"][1].ravel():
        nearest = int(np.abs(every - number).argmin())
        assert nearest != 3 and number == pytest.approx(every[nearest], rel=1e-5)


def test_the_value_vector_is_that_of_the_neuron_that_is_largest_on_the_other_half(tmp_path):
    naive = Naive(tmp_path / "llama", "llama")
    shown = texts(*(f"{word} = {n}" for n, word in enumerate("abcdefgh")))
    top = Top(n=1, of="neurons", layers=(1,))
    most = Direction(name="most", top=top, position=-1)
    read = Read(name="rank", weights="rank", direction="most", token=" a")
    each = Direction(name="each", top=Top(n=1, skip="{k}", of="neurons", layers=(1,)), position=-1)
    of_each = {"weights": "rank", "direction": "each", "sweep": {"k": (0, 1, 2)}}
    ranks = Read(name="ranks", token=" a", **of_each)
    reads.check(ranks, [each])
    every = [read, ranks, Read(name="own", token=True, **of_each)]
    numbers = measured(naive, shown, every, directions=[most, each])
    found = numbers["rank"]
    kept, weight = [], naive.blocks[1].mlp.down_proj.weight.detach()
    handle = naive.blocks[1].mlp.down_proj.register_forward_pre_hook(
        lambda module, args: kept.append(args[0][0, -1].detach())
    )
    for i in shown.halves()[0]:
        naive.run(naive.ids(shown.rows[i].text))
    handle.remove()
    unembedding = naive.model.get_output_embeddings().weight.detach()
    order = torch.stack(kept).abs().mean(0).argsort(descending=True)[:3].tolist()
    tops = [naive.run(naive.ids(shown.rows[i].text))[0][-1].argmax() for i in shown.halves()[1]]
    for k, neuron in enumerate(order):
        logits = unembedding @ (weight[:, neuron] * naive.gain)
        token = naive.tokenizer.encode(" a", add_special_tokens=False).ids[0]
        assert numbers["ranks"][k] == pytest.approx(1 + int((logits > logits[token]).sum()))
        own = [1 + int((logits > logits[top]).sum()) for top in tops]
        assert numbers["own"][k].tolist() == own
    logits = unembedding @ (weight[:, order[0]] * naive.gain)
    token = naive.tokenizer.encode(" a", add_special_tokens=False).ids[0]
    assert len(found) == len(shown.halves()[1])
    assert found == pytest.approx(1 + int((logits > logits[token]).sum()))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"weights": "copying"}, "is of heads"),
        ({"weights": "ov_rank", "heads": ("1.2",)}, "are of a token"),
        ({"weights": "q_composition", "heads": ("1.2",)}, "are of heads and of a later head"),
    ],
)
def test_weights_that_there_cannot_be_are_refused(fields, why):
    with pytest.raises(DataError, match=why):
        reads.check(Read(name="it", **fields))


@pytest.mark.parametrize("kind", ["q", "k", "v"])
def test_the_later_head_of_a_composition_can_be_named_in_a_study(kind):
    read = Read(name="it", weights=f"{kind}_composition", heads=("0.1",), to="2.2")
    reads.check(read)
    reads.check(msgspec.structs.replace(read, to="2.{head}", sweep={"head": (0, 1, 2)}))
    with pytest.raises(DataError, match=r"a head is written LAYER\.HEAD.*got 'previous'"):
        reads.check(msgspec.structs.replace(read, to="previous"))


def test_parts_that_the_model_does_not_have_are_refused(tmp_path):
    naive = Naive(tmp_path / "llama", "llama")
    read = Read(name="it", weights="copying", heads=("1.9",))
    with pytest.raises(DataError, match="heads 0 to 3"):
        measured(naive, texts(*SHOWN), [read])
    late = Read(name="it", weights="v_composition", heads=("2.1",), to="1.2")
    with pytest.raises(DataError, match=r"heads of earlier blocks write, and 2.1 is not in one"):
        measured(naive, texts(*SHOWN), [late])
    wide = Read(name="it", weights="copying", heads=("1.2",), site="blocks.0.mlp.hook_post")
    with pytest.raises(DataError, match=r"heads read \d+ numbers, as the output of an MLP"):
        measured(naive, texts(*SHOWN), [wide])


STUDY = """
question = "Do its heads copy?"

[[model]]
name = "{folder}"

[[prompts]]
text = "x = {{n}}"
slots = {{ n = ["a", "b", "c"] }}

[[read]]
name = "copies"
weights = "copying"
heads = ["{{block}}.{{head}}"]
sweep = {{ block = "0:3", head = "0:4" }}

[[claim]]
text = "They do"
holds = "{holds}"
threshold = "plan: a fifth"
"""


def test_a_claim_about_one_number_of_the_weights_is_refused(tmp_path):
    naive = Naive(tmp_path / "llama", "llama")

    def study(holds):
        words = STUDY.format(folder=naive.folder, holds=holds)
        return composing.composed(parsed(tmp_path / "s.toml", words))

    every = study("share(mean(main.copies) > 0.5, over=(block, head)) > 0.2")
    assert any("weights alone" in r for r in every.remarks)
    assert isinstance(every.materials.asked, ModelStudy)
    for one in ("main.copies[block=1, head=2] > 0.5", "max(main.copies, over=(block, head)) > 0.5"):
        with pytest.raises(ExperimentError, match="no interval and no verdict"):
            study(one)


def test_a_study_claims_that_most_heads_compose_with_a_later_one(tmp_path):
    naive = Naive(tmp_path / "llama", "llama")
    holds = "share(mean(main.copies) > 0.02, over=(block, head)) > 0.2"
    words = STUDY.format(folder=naive.folder, holds=holds).replace('"copying"', '"k_composition"')
    words = words.replace('block = "0:3"', 'block = "0:2"').replace(
        "sweep =", 'to = "2.3"\nsweep ='
    )
    assert 'to = "2.3"' in words
    assert composing.composed(parsed(tmp_path / "s.toml", words)).claims
    with pytest.raises(ExperimentError, match=r"a head is written LAYER\.HEAD.*got 'last'"):
        composing.composed(parsed(tmp_path / "s.toml", words.replace('"2.3"', '"last"')))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma3_text"])
def test_numbers_of_the_weights_of_neurons(kind, tmp_path):
    naive = Naive(tmp_path / kind, kind)
    kinds = ("norm", "kurtosis", "in_out_cosine")
    asked = [Read(name=f"{k}_{n}", weights=k, neurons=(f"1.{n}",)) for k in kinds for n in (0, 7)]
    asked += [Read(name="both", weights="norm", neurons=("1.0", "1.7"))]
    for read in asked:
        reads.check(read, ())
    numbers = measured(naive, texts(*SHOWN), asked)
    mlp = naive.blocks[1].mlp
    ins = array(mlp.c_fc.weight).T if kind == "gpt2" else array(mlp.gate_proj.weight)
    outs = array(mlp.c_proj.weight) if kind == "gpt2" else array(mlp.down_proj.weight).T
    for n in (0, 7):
        z = (outs[n] - outs[n].mean()) / outs[n].std()
        cosine = ins[n] @ outs[n] / np.linalg.norm(ins[n]) / np.linalg.norm(outs[n])
        assert numbers[f"norm_{n}"] == pytest.approx(np.linalg.norm(outs[n]), rel=1e-5)
        assert numbers[f"kurtosis_{n}"] == pytest.approx(np.mean(z**4), rel=1e-5)
        assert numbers[f"in_out_cosine_{n}"] == pytest.approx(cosine, abs=1e-5)
    mean = np.linalg.norm(outs[[0, 7]], axis=1).mean()
    assert numbers["both"] == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"weights": "copying", "neurons": ("1.0",)}, "are of neurons"),
        ({"weights": "norm", "neurons": ("1.9999",)}, "has neurons 0 to"),
    ],
)
def test_weights_of_neurons_that_there_are_not_are_refused(fields, told, tmp_path):
    read = Read(name="r", **fields)
    with pytest.raises(DataError, match=told):
        reads.check(read, ())
        measured(Naive(tmp_path / "m", "llama"), texts(*SHOWN), [read])
