"""Paths between heads and MLPs, against passes in which hooks of one's own hold all else."""

import msgspec
import numpy as np
import pytest
from naive_asking import Naive, intervention, make, measured, rows_of

from assay.ask.measure import controls, interventions, paths
from assay.ask.tables import Path, Read
from assay.core.errors import DataError

SENDER = 1
"""A head of the first block."""


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("paths") / "llama", "llama")
    return folder, Naive(folder)


@pytest.fixture
def shown():
    pairs = [("x y", "a b"), ("x = y", "y = x"), ("the name", "the list"), ("x sum", "sum x")]
    rows = ({"what": a, "other": b} for a, b in pairs)
    return rows_of(*rows, text="{what} = 1 so", corrupted="{other} = 1 so")


def held(naive, text, other, free=(), kept=(), inner=()):
    """What `free` has where the sender alone is that of the other text, all else that of the text:
    z of every head and the MLPs, and at `kept` what the projections of block 2 give. Of modules of
    block 2 named `inner` what they return, the last of it, under their names."""
    names = [f"blocks.{n}.{kind}" for n in range(3) for kind in ("attn.hook_z", "hook_mlp_out")]
    ours = {name: naive.acts(text, name) for name in names}
    ours[names[0]] = ours[names[0]].clone()
    ours[names[0]][:, SENDER] = naive.acts(other, names[0])[:, SENDER]
    got = {}

    def put(name):
        def change(x):
            got[name] = x[0].clone()
            return x if name in free else ours[name][None].to(x)

        return change

    handles, clean = [], {}
    block = naive.model.model.layers[2].self_attn
    for kind in kept:
        module = getattr(block, f"{kind}_proj")
        handle = module.register_forward_hook(lambda m, a, x, kind=kind: clean.update({kind: x}))
        naive.logits(naive.tokens(text))
        handle.remove()
        handles.append(module.register_forward_hook(lambda m, a, x, kind=kind: clean[kind]))
    for name in inner:
        module = naive.model.model.layers[2].get_submodule(name)

        def look(m, a, x, name=name):
            got[name] = (x[-1] if isinstance(x, tuple) else x)[0].clone()

        handles.append(module.register_forward_hook(look))
    logits = naive.logits(naive.tokens(text), {name: put(name) for name in names})
    for handle in handles:
        handle.remove()
    return got, logits


@pytest.mark.parametrize("way", ["", "q", "k", "v"])
def test_a_path_to_a_head_changes_what_this_head_gives_alone(subject, shown, way):
    folder, naive = subject
    path = Path(to=("2.3", "1.mlp") if not way else ("2.3",), input=way)
    table = intervention(patch="corrupted", heads=(f"0.{SENDER}",), path=path)
    got = measured(folder, shown, table)[0]["one"][0]
    for number, row in zip(got, shown.rows, strict=True):
        other = f"{row.columns['other']} = 1 so"
        kept = [kind for kind in "qkv" if way not in ("", kind)]
        hooks = {}
        for end in ("blocks.2.attn.hook_z", *(() if way else ("blocks.1.hook_mlp_out",))):
            seen = held(naive, row.text, other, (end,), kept)[0][end]

            def put(x, seen=seen, end=end):
                x, part = x.clone(), slice(None) if end.endswith("mlp_out") else 3
                x[0, : len(seen), part] = seen[:, part]
                return x

            hooks[end] = put
        assert number == pytest.approx(naive.reads(row.text, hooks)[0], abs=2e-4)
    assert np.ptp(got - measured(folder, shown)[0]["one"][0]) > 1e-4


@pytest.mark.parametrize("way", ["", "q", "k", "v"])
def test_what_is_read_within_a_receiver_is_what_the_path_makes_of_it(subject, shown, way):
    folder, naive = subject
    naive.model.set_attn_implementation("eager")  # which returns the pattern
    path = Path(to=("2.3",), input=way)
    table = intervention(patch="corrupted", heads=(f"0.{SENDER}",), path=path)
    reads = [
        Read(name="own", pattern="2.3", position=-1, to=1),
        Read(name="other", pattern="2.2", position=-1, to=1),
        Read(name="queries", norm=True, site="blocks.2.attn.hook_q", position=-1),
    ]
    got = measured(folder, shown, table, reads=reads)[0]
    for i, row in enumerate(shown.rows):
        kept = [kind for kind in "qkv" if way not in ("", kind)]
        inner, end = ("self_attn", "self_attn.q_proj"), ("blocks.2.attn.hook_z",)
        other = f"{row.columns['other']} = 1 so"
        plain = held(naive, row.text, row.text, end, (), inner)[0]
        seen = held(naive, row.text, other, end, kept, inner)[0]
        assert got["own"][0][i] == pytest.approx(float(seen["self_attn"][3, -1, 1]), abs=1e-5)
        assert got["other"][0][i] == pytest.approx(float(plain["self_attn"][2, -1, 1]), abs=1e-5)
        queries = plain["self_attn.q_proj"][-1].unflatten(-1, (4, -1)).clone()
        queries[3] = seen["self_attn.q_proj"][-1].unflatten(-1, (4, -1))[3]
        assert got["queries"][0][i] == pytest.approx(float(queries.norm()), abs=1e-4)
    plain = measured(folder, shown, reads=reads)[0]
    assert (np.ptp(got["own"] - plain["own"]) > 1e-6) == (way != "v")


def test_what_is_read_within_an_mlp_is_what_the_path_makes_of_it(subject, shown):
    folder, naive = subject
    table = intervention(patch="corrupted", heads=(f"0.{SENDER}",), path=Path(to=("2.mlp",)))
    reads = [Read(name="gate", norm=True, site="blocks.2.mlp.hook_pre", position=-1)]
    got = measured(folder, shown, table, reads=reads)[0]["gate"][0]
    for number, row in zip(got, shown.rows, strict=True):
        other, end = f"{row.columns['other']} = 1 so", ("blocks.2.hook_mlp_out",)
        seen = held(naive, row.text, other, end, (), ("mlp.gate_proj",))[0]["mlp.gate_proj"]
        assert number == pytest.approx(float(seen[-1].norm()), abs=1e-4)


@pytest.mark.parametrize("kind", ["attn.hook_k", "attn.hook_rot_k", "ln1.hook_scale"])
def test_what_a_receiver_shares_with_other_heads_is_not_read_under_a_path(subject, shown, kind):
    folder, _ = subject
    table = intervention(patch="corrupted", heads=("0.1",), path=Path(to=("2.3",), input="k"))
    reads = [Read(name="keys", norm=True, site=f"blocks.2.{kind}", position=-1)]
    with pytest.raises(DataError, match="belongs to several heads together"):
        measured(folder, shown, table, reads=reads)
    free = [Read(name="values", norm=True, site="blocks.2.attn.hook_v", position=-1)]
    assert np.isfinite(measured(folder, shown, table, reads=free)[0]["values"]).all()


def test_a_path_to_the_logits_is_the_direct_effect(subject, shown):
    folder, naive = subject
    table = intervention(patch="corrupted", heads=(f"0.{SENDER}",), path=Path(to=("logits",)))
    got = measured(folder, shown, table)[0]["one"][0]
    a, b = (naive.tokenizer.encode(t, add_special_tokens=False)[0] for t in (" a", " b"))
    for number, row in zip(got, shown.rows, strict=True):
        logits = held(naive, row.text, f"{row.columns['other']} = 1 so")[1][-1]
        assert number == pytest.approx(float(logits[a] - logits[b]), abs=2e-4)


def test_the_controls_of_a_path_are_other_senders_and_another_prompt(subject, shown):
    folder, _ = subject
    table = intervention(patch="corrupted", heads=("0.1",), path=Path(to=("2.3",)))
    assert [c.name for c in controls.of_intervention(table, ())] == ["unrelated", "heads"]
    numbers = measured(folder, shown, table, control="heads", seeds=(0, 1, 2))[0]
    assert 1 not in numbers["other_heads"] and len({*numbers["other_heads"][:, 0]}) > 1
    mlp = intervention(patch="corrupted", site="blocks.0.hook_mlp_out", path=Path(to=("2.3",)))
    assert [c.name for c in controls.of_intervention(mlp, ())] == ["unrelated"]


@pytest.mark.parametrize(
    ("to", "way", "why"),
    [(("logits", "2.1"), "", "alone"), (("1.mlp",), "k", "an MLP has one input")],
)
def test_a_path_that_leads_nowhere_is_refused(subject, to, way, why):
    from assay.subjects.folder import find
    from assay.subjects.site import Site

    table = intervention(patch="corrupted", heads=("0.1",), path=Path(to=to, input=way))
    with pytest.raises(DataError, match="comes after no other"):
        interventions.check(msgspec.structs.replace(table, patch="clean", after="noised"), ())
    with pytest.raises(DataError, match=why):
        paths.check(table, [(Site("z", 0), [1])], find(str(subject[0])))
