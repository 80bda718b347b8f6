"""What heads and sites write directly onto a logit: against the weights by hand, and all parts
together against the logit itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from naive_models import KINDS, Naive, measured, task, texts

from assay.ask.measure import measuring
from assay.ask.tables import Read, Top
from assay.core.errors import DataError

SHOWN = ("def add(a, b):", "class Point:\n    x", "b")
PAIR = (" a", " x")


@pytest.fixture(scope="module", params=[*KINDS])
def naive(request, tmp_path_factory):
    changes = {"final_logit_softcapping": None} if request.param == "gemma3_text" else {}
    return Naive(tmp_path_factory.mktemp("direct") / request.param, request.param, **changes)


def tokens_of(naive, words=PAIR):
    return [naive.tokenizer.encode(w, add_special_tokens=False).ids[0] for w in words]


def test_all_parts_add_up_to_the_logit(naive):
    layers, heads = len(naive.blocks), naive.model.config.num_attention_heads
    every = [
        Read(
            name="heads",
            direct=PAIR,
            heads=("{layer}.{head}",),
            sweep={"layer": (*range(layers),), "head": (*range(heads),)},
        ),
        Read(
            name="attention",
            direct=PAIR,
            sites=tuple(f"blocks.{n}.hook_attn_out" for n in range(layers)),
        ),
        Read(
            name="mlps", direct=PAIR, sites=tuple(f"blocks.{n}.hook_mlp_out" for n in range(layers))
        ),
        Read(name="start", direct=PAIR, site="blocks.0.hook_resid_pre"),
        Read(name="logit", logit=PAIR),
        Read(name="two", direct=" a", heads=("1.0", "2.1"), position=0),
        Read(name="one", direct=" a", heads=("1.0",), position=0),
        Read(name="other", direct=" a", heads=("2.1",), position=0),
    ]
    found = measured(naive, texts(*SHOWN), every)
    first, second = tokens_of(naive)
    rows = naive.model.get_output_embeddings().weight.detach()
    shift = 0.0
    if isinstance(naive.norm, torch.nn.LayerNorm):  # its bias is written by no part
        shift = float(naive.norm.bias.detach() @ (rows[first] - rows[second]))
    biases = [b.attn.c_proj.bias if hasattr(b, "attn") else None for b in naive.blocks]
    parts = found["start"] + found["attention"] + found["mlps"] + shift
    assert parts == pytest.approx(found["logit"], rel=1e-4, abs=2e-5)
    assert found["heads"].shape == (layers, heads, len(SHOWN))
    if not any(b is not None and b.any() for b in biases):
        assert found["heads"].sum((0, 1)) == pytest.approx(found["attention"], rel=1e-4, abs=2e-5)
    assert found["two"] == pytest.approx(found["one"] + found["other"], rel=1e-5, abs=1e-7)


def test_a_head_writes_what_its_own_columns_of_the_output_matrix_make(tmp_path):
    naive = Naive(tmp_path / "llama", "llama")
    found = measured(naive, texts(*SHOWN), [Read(name="it", direct=PAIR, heads=("1.2",))])["it"]
    first, second = tokens_of(naive)
    rows = naive.model.get_output_embeddings().weight.detach()
    module, kept = naive.blocks[1].self_attn.o_proj, []
    handle = module.register_forward_pre_hook(lambda m, args: kept.append(args[0][0, -1]))
    last = naive.blocks[-1].register_forward_hook(
        lambda m, args, out: kept.append(out[0, -1] if out.ndim == 3 else out[-1])
    )
    width = module.weight.shape[1] // naive.model.config.num_attention_heads
    for p, text in enumerate(SHOWN):
        kept.clear()
        naive.run(naive.ids(text))
        z, x = kept
        written = module.weight.detach()[:, 2 * width : 3 * width] @ z[2 * width : 3 * width]
        scale = (x.square().mean() + naive.norm.variance_epsilon).sqrt()
        expected = (written * naive.gain / scale) @ (rows[first] - rows[second])
        assert found[p] == pytest.approx(float(expected), rel=1e-4, abs=1e-7)
    handle.remove()
    last.remove()


def test_a_head_that_attends_to_one_token_writes_what_its_ov_circuit_makes_of_it(naive):
    heads, position = naive.model.config.num_attention_heads, 1
    every = [
        Read(name="it", direct=PAIR, heads=("1.3",), attends=position),
        Read(name="bos", direct=PAIR, heads=("1.3",), position=0),
        Read(name="same", direct=PAIR, heads=("1.3",), position=0, attends=0),
    ]
    found = measured(naive, texts(*SHOWN[:2]), every)
    # it sees no other
    assert found["same"] == pytest.approx(found["bos"], rel=1e-4, abs=1e-7)
    assert not np.allclose(found["it"], found["same"]) and heads == 4


def test_others_stand_in_for_the_heads_and_blocks_that_are_named(tmp_path):
    naive = Naive(tmp_path / "llama", "llama")
    shown = texts(*SHOWN)
    every = [
        Read(name="head", direct=PAIR, heads=("1.2",)),
        Read(name="mlp", direct=PAIR, site="blocks.1.hook_mlp_out"),
    ]
    alone = [Read(name=f"h{n}", direct=PAIR, heads=(f"1.{n}",)) for n in range(4)] + [
        Read(name=f"m{n}", direct=PAIR, site=f"blocks.{n}.hook_mlp_out") for n in range(3)
    ]
    true = measured(naive, shown, alone)
    for stands_in, name, others in (("heads", "head", "h3 h0 h1"), ("blocks", "mlp", "m2 m0 m2")):
        of = replace(task(naive, shown, every), stands_in=stands_in)
        numbers, _ = measuring.measure(
            of, np.array([0, 1, 2]), naive.folder, "cpu", False, lambda *_: None
        )
        for seed, other in enumerate(others.split()):
            assert numbers[name][1][seed] == pytest.approx(true[other], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"heads": ("1.0",), "site": "blocks.1.hook_mlp_out"}, "direct is of heads or of a site"),
        ({"site": "blocks.1.mlp.hook_post"}, "not part of the residual stream"),
    ],
)
def test_what_writes_nothing_is_refused(fields, why, tmp_path):
    naive = Naive(tmp_path / "llama", "llama")
    with pytest.raises(DataError, match=why):
        measured(naive, texts(*SHOWN), [Read(name="it", direct=PAIR, **fields)])


def test_parts_that_write_onto_the_token_on_top_add_up_to_its_logit(naive):
    layers, between = len(naive.blocks), "blocks.2.hook_resid_pre"
    sites = tuple(f"blocks.{n}.hook_{k}_out" for n in range(layers) for k in ("attn", "mlp"))
    sites = ("blocks.0.hook_resid_pre", *sites)
    heads = {"heads": ("{layer}.{head}",), "sweep": {"layer": (0, 1, 2), "head": (0, 1, 2, 3)}}
    every = [
        Read(name="own", direct=True, sites=sites),
        Read(name="between", direct=True, sites=sites, token_site=between),
        Read(name="each", direct=True, **heads),
        Read(name="best", direct=True, top=Top(n=2, of="heads", by="each")),
    ]
    shown = texts(*(f"x{n} = {word}" for n, word in enumerate(["a", "b", "self", "def"] * 3)))
    found = measured(naive, shown, every)
    chosen, rest = shown.halves()
    whole = measured(naive, shown, every[2:3])["each"].reshape(12, -1)
    best = whole[:, chosen].mean(-1).argsort()[::-1][:2]
    assert found["chosen_parts_for_best"].tolist() == best.tolist()
    assert found["best"] == pytest.approx(whole[best][:, rest].sum(0), rel=1e-5, abs=1e-7)
    rows = naive.model.get_output_embeddings().weight.detach()
    bias = getattr(naive.norm, "bias", None)
    for p, row in enumerate(rest):
        ids = naive.ids(shown.rows[row].text)
        clean, stream, _ = naive.run(ids)
        with torch.no_grad():
            logits = naive.model(torch.tensor([ids])).logits[0, -1]
        for name, top in (
            ("own", clean[-1].argmax()),
            ("between", naive.lens(stream[2, -1]).argmax()),
        ):
            shift = 0.0 if bias is None else float(bias.detach() @ rows[top])
            expected = float(logits[top]) - shift
            assert found[name][p] == pytest.approx(expected, rel=1e-4, abs=2e-5)
