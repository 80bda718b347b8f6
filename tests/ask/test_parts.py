"""Parts that are named or chosen: neurons, several latents, and those that have most of something
on the other half of the prompts, against hooks and passes of one's own."""

from functools import cache

import numpy as np
import pytest
import scipy.stats
import torch
import transformers
import xarray as xr
from naive_asking import intervention, measured, rows_of

from assay.ask.measure import choosing, interventions, measuring
from assay.ask.measure.tasks import Task
from assay.ask.tables import Direction, Model, Read, Top
from assay.ask.text import ClaimEntry
from assay.ask.wording import claim, condition
from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.subjects.folder import find
from assay.train import rng

POST, SITE = "blocks.1.mlp.hook_post", "blocks.1.hook_resid_pre"
ROWS = tuple(
    {"what": f"{word} = {n}", "label": label}
    for n, (word, label) in enumerate(
        [("x", "a"), ("sum of all", "b"), ("def y", "a"), ("the name", "b")] * 3
    )
)
CLOSE = {"rtol": 0, "atol": 2e-4}


@pytest.fixture
def shown():
    return rows_of(*ROWS, text="{what} and so")


def without(naive, text, neurons, answers=(" a", " b")):
    """log P of the first answer less the second, these neurons of block 1 at 0."""
    ids = torch.tensor([naive.tokens(text)])

    def cut(module, args):
        x = args[0].clone()
        x[..., [*neurons]] = 0
        return (x,)

    handle = naive.model.model.layers[1].mlp.down_proj.register_forward_pre_hook(cut)
    with torch.no_grad():
        logs = naive.model(ids).logits[0, -1].log_softmax(-1)
    handle.remove()
    first, second = (naive.tokenizer.encode(t, add_special_tokens=False)[0] for t in answers)
    return float(logs[first] - logs[second])


def kept(naive, text, layer=1):
    """What the output projection of the MLP, and that of attention by head, read of a text."""
    got = {}
    block = naive.model.model.layers[layer]
    handles = [
        block.mlp.down_proj.register_forward_pre_hook(lambda m, a: got.update(post=a[0][0])),
        block.self_attn.o_proj.register_forward_pre_hook(lambda m, a: got.update(z=a[0][0])),
        block.register_forward_pre_hook(lambda m, a: got.update(stream=a[0][0])),
    ]
    with torch.no_grad():
        naive.model(torch.tensor([naive.tokens(text)]))
    for handle in handles:
        handle.remove()
    return got


def halves(shown):
    chosen, rest = shown.halves()
    return [shown.rows[i].text for i in chosen], [shown.rows[i].text for i in rest]


def test_neurons_are_chosen_on_one_half_and_ablated_on_the_other(subject, shown):
    folder, naive = subject
    for by in ("norm", ("a", "b")):
        table = intervention(ablate="zero", site=POST, top=Top(n=5, of="neurons", by=by))
        got, _ = measured(folder, shown, table, chooses=True)
        chosen, rest = halves(shown)
        sizes = [kept(naive, text)["post"][1:] for text in chosen]
        if by == "norm":
            score = torch.stack([x.abs().mean(0) for x in sizes]).mean(0)
        else:
            labels = [shown.rows[i].columns["label"] for i in shown.halves()[0]]
            means = torch.stack([x.mean(0) for x in sizes])
            first, second = (means[[x == name for x in labels]].mean(0) for name in "ab")
            score = first - second
        top = score.argsort(descending=True)[:5].tolist()
        assert sorted(got["chosen_parts"][0].astype(int)) == sorted(top)
        expected = [without(naive, text, top) for text in rest]
        np.testing.assert_allclose(got["one"][0], expected, **CLOSE)


def test_only_neurons_beyond_a_threshold_are_chosen(subject, shown):
    folder, naive = subject
    chosen, rest = halves(shown)
    sizes = [kept(naive, text)["post"][1:].abs().mean(0) for text in chosen]
    score = torch.stack(sizes).mean(0)
    order = score.argsort(descending=True)
    cut = float(score[order[2:4]].mean())  # between the third and the fourth
    table = intervention(ablate="zero", site=POST, top=Top(n=5, of="neurons", by="norm", above=cut))
    got, _ = measured(folder, shown, table, chooses=True)
    parts = got["chosen_parts"][0]
    assert sorted(parts[np.isfinite(parts)].astype(int)) == sorted(order[:3].tolist())
    expected = [without(naive, text, order[:3].tolist()) for text in rest]
    np.testing.assert_allclose(got["one"][0], expected, **CLOSE)
    with pytest.raises(
        DataError, match=r"none of \d+ neurons is above 1e\+09 by norm; the highest"
    ):
        top = Top(n=5, of="neurons", by="norm", above=1e9)
        measured(folder, shown, intervention(ablate="zero", site=POST, top=top), chooses=True)


def test_a_neuron_is_chosen_for_a_read_by_how_well_it_separates(subject, shown):
    folder, naive = subject
    chosen, rest = halves(shown)
    labels = [shown.rows[i].columns["label"] for i in shown.halves()[0]]

    def means(text):
        return torch.cat([kept(naive, text, n)["post"][1:].mean(0) for n in range(3)])

    x = torch.stack([means(text) for text in chosen]).numpy()
    y = np.array([name == "b" for name in labels])
    ranks = scipy.stats.rankdata(x, axis=0)[y].sum(0)
    areas = (ranks - y.sum() * (y.sum() + 1) / 2) / (y.sum() * (~y).sum())
    by = {"by": ("b", "a"), "score": "auroc"}
    beyond = float(np.unique(areas)[-2:].mean())
    every = [
        Read(name="best", position="mean", top=Top(n=1, of="neurons", **by)),
        Read(name="here", position="mean", site=POST, top=Top(n=3, of="neurons", by=("b", "a"))),
        Read(name="next", position="mean", top=Top(n=1, skip=1, of="neurons", **by)),
        Read(name="few", position="mean", top=Top(n=4, above=beyond, of="neurons", **by)),
    ]
    got = measured(folder, shown, reads=every)[0]
    (number,) = got["chosen_parts_for_best"][0].astype(int)
    assert areas[number] == areas.max()
    (second,) = got["chosen_parts_for_next"][0].astype(int)
    assert second != number and areas[second] == sorted(areas)[-2]
    few = got["chosen_parts_for_few"][0]
    few = few[np.isfinite(few)].astype(int)
    assert len(few) == min(4, (areas == areas.max()).sum())
    np.testing.assert_allclose(got["few"][0], [means(t)[few].mean() for t in rest], **CLOSE)
    np.testing.assert_allclose(got["best"][0], [means(t)[number] for t in rest], **CLOSE)
    three = [means(t)[got["chosen_parts_for_here"][0].astype(int) + len(x[0]) // 3] for t in rest]
    np.testing.assert_allclose(got["here"][0], [t.mean() for t in three], **CLOSE)


def test_the_control_labels_chooses_by_labels_that_are_dealt_out(subject, shown):
    folder, naive = subject
    top = Top(n=2, of="neurons", by=("b", "a"))
    read = Read(name="best", position="mean", site=POST, top=top)
    task = Task(Model(name=str(folder)), shown, (read,), stands_in="labels")
    numbers, _ = measuring.measure(
        task, np.array([0, 1]), folder, "cpu", False, lambda done, of: None
    )
    chosen, _ = halves(shown)
    x = torch.stack([kept(naive, text)["post"][1:].mean(0) for text in chosen])
    order = rng.permutation(np.array([0]), "ask.labels", 0, len(chosen))[0]
    labels = [shown.rows[shown.halves()[0][i]].columns["label"] for i in order]
    first, second = (x[[label == name for label in labels]].mean(0) for name in "ba")
    best = (first - second).argsort(descending=True)[:2]
    picked = numbers["chosen_parts_for_best"][1]
    assert picked[0].tolist() == picked[1].tolist() == best.tolist()


def test_the_control_of_neurons_takes_as_many_others(subject, shown):
    folder, naive = subject
    table = intervention(ablate="zero", site=POST, neurons=(3, 17))
    seeds = (0, 1, 2)
    got = measured(folder, shown, table, control="neurons", seeds=seeds)[0]["one"]
    assert len({tuple(row.round(5)) for row in got}) == len(seeds)
    true = measured(folder, shown, table)[0]["one"]
    assert not any(np.allclose(row, true[0], atol=1e-4) for row in got)
    width = len(kept(naive, shown.rows[0].text)["post"][0])
    base = [without(naive, row.text, ()) for row in shown.rows]
    alone = np.array([[without(naive, r.text, (n,)) for r in shown.rows] for n in range(width)])
    effect = got[0] - base  # of two small parts nearly the sum of both
    pairs = [
        np.abs(alone[a] + alone[b] - 2 * np.array(base) - effect).max()
        for a in range(width)
        for b in range(a)
        if not {a, b} & {3, 17}
    ]
    assert min(pairs) < 0.1 * np.abs(effect).max() + 1e-3


@pytest.mark.parametrize(
    "how", [{}, {"score": "weights"}, {"score": "weights", "lowest": True}, {"position": -1}]
)
def test_neurons_are_chosen_by_what_they_write_onto_a_token(subject, shown, how):
    """In all blocks: the row of the output matrix along the unembedding, times the activation or
    not."""
    folder, naive = subject
    along = Direction(name="along", unembedding=" a")
    top = Top(n=3, of="neurons", by="along", **how)
    by_weights = top.score == "weights"  # which leaves all prompts to be measured
    got, _ = measured(
        folder, shown, intervention(ablate="zero", top=top), tables=(along,), chooses=not by_weights
    )
    unit = naive.model.lm_head.weight[naive.tokenizer.encode(" a", add_special_tokens=False)[0]]
    unit = (unit * naive.model.model.norm.weight).detach()
    blocks = naive.model.model.layers
    rows = torch.cat([b.mlp.down_proj.weight.T.detach() @ unit / unit.norm() for b in blocks])
    if not by_weights:
        tokens = slice(1, None) if top.position == "" else [-1]
        posts = [
            torch.cat([kept(naive, text, n)["post"][tokens].mean(0) for n in range(3)])
            for text in halves(shown)[0]
        ]
        rows = rows * torch.stack(posts).mean(0)
    best = rows.argsort(descending=not top.lowest)[:3].tolist()
    assert sorted(got["chosen_parts"][0].astype(int)) == sorted(best)
    width = len(rows) // 3
    named = intervention(ablate="zero", neurons=tuple(f"{n // width}.{n % width}" for n in best))
    same = measured(folder, shown, named)[0]["one"][0]
    same = same if by_weights else same[shown.halves()[1]]
    np.testing.assert_allclose(got["one"][0], same, **CLOSE)


@pytest.mark.parametrize("by", ["norm", "sink", "along"])
def test_heads_are_chosen_by_what_they_write_or_look_at(subject, shown, by):
    folder, naive = subject
    reads = (Read(name="one", log_prob=(" a", " b")), Read(name="sink", pattern="0.0", to=0))
    along = Direction(name="along", unembedding=" a", site=SITE)
    table = intervention(ablate="zero", top=Top(n=3, of="heads", by=by))
    got, _ = measured(folder, shown, table, chooses=True, reads=reads, tables=(along,))
    scores = np.zeros((3, naive.heads))
    chosen, _ = halves(shown)
    for layer in range(3):
        for text in chosen:
            acts = kept(naive, text, layer)
            weight = naive.model.model.layers[layer].self_attn.o_proj.weight
            z = acts["z"].unflatten(-1, (naive.heads, -1))[1:]
            written = torch.einsum("she,dhe->shd", z, weight.unflatten(1, (naive.heads, -1)))
            if by == "norm":
                scores[layer] += written.norm(dim=-1).mean(0).detach().numpy()
            elif by == "sink":
                scores[layer] += kept_pattern(naive, text, layer)
            else:
                token = naive.tokenizer.encode(" a", add_special_tokens=False)[0]
                unit = naive.model.lm_head.weight[token] * naive.model.model.norm.weight
                scores[layer] += (written @ (unit / unit.norm())).mean(0).detach().numpy()
    top = np.argsort(-scores.ravel(), kind="stable")[:3]
    assert sorted(got["chosen_parts"][0].astype(int)) == sorted(top.tolist())
    heads = tuple(f"{n // naive.heads}.{n % naive.heads}" for n in sorted(top))
    named = measured(folder, shown, intervention(ablate="zero", heads=heads), reads=reads)[0]
    measured_rows = shown.halves()[1]
    np.testing.assert_allclose(got["one"][0], named["one"][0][measured_rows], atol=1e-5)


@cache
def eager(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")


def kept_pattern(naive, text, layer):
    model = eager(naive.model.config._name_or_path)
    with torch.no_grad():
        out = model(torch.tensor([naive.tokens(text)]), output_attentions=True)
    return out.attentions[layer][0, :, -1, 0].numpy()


def coder(width, latents=6):
    draw = torch.Generator().manual_seed(1)
    return Dictionary(
        torch.randn(1, width, latents, generator=draw),
        torch.zeros(1, latents),
        torch.randn(1, latents, width, generator=draw),
        torch.zeros(1, width),
        ReLU(),
        sites=(SITE,),
    )


def test_several_latents_are_set_at_once(subject, shown, tmp_path, monkeypatch):
    folder, naive = subject
    monkeypatch.chdir(tmp_path)
    width = naive.model.config.hidden_size
    sae = coder(width)
    sae.save(tmp_path / "sae.safetensors")
    table = intervention(clamp=("sae.safetensors", (1, 4)), value=2.0)
    got = measured(folder, shown, table)[0]["one"]
    top = intervention(
        clamp=("sae.safetensors", ()), value=2.0, top=Top(n=2, of="latents", by="norm")
    )
    chosen, _ = measured(folder, shown, top, chooses=True)
    codes = []
    for text in halves(shown)[0]:
        x = kept(naive, text)["stream"][1:]
        codes.append((x @ sae.W_enc[0]).relu().mean(0))
    most = torch.stack(codes).mean(0).argsort(descending=True)[:2].tolist()
    assert sorted(chosen["chosen_parts"][0].astype(int)) == sorted(most)

    def change(latents):
        def put(x):
            code = (x[:, 1:] @ sae.W_enc[0]).relu()[..., latents]
            x[:, 1:] += (2.0 - code) @ sae.W_dec[0, latents]
            return x

        return put

    for i, row in enumerate(shown.rows):
        wanted = naive.reads(row.text, {SITE: change([1, 4])})
        np.testing.assert_allclose(got[0, i], wanted[0], **CLOSE)
    for i, k in enumerate(shown.halves()[1]):
        wanted = naive.reads(shown.rows[k].text, {SITE: change(most)})
        np.testing.assert_allclose(chosen["one"][0, i], wanted[0], **CLOSE)
    seeds = (0, 1)
    others = measured(folder, shown, table, control="latents", seeds=seeds)[0]["one"]
    assert not np.allclose(others[0], got[0], atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"add": "x", "neurons": (1,)}, "neurons are ablated or patched at one site"),
        ({"clamp": ("s", (1,)), "top": Top(n=2, of="latents")}, r'clamp = \["DICTIONARY", \[\]\]'),
        ({"ablate": "zero", "top": Top(n=0, of="heads")}, "at least 1, got 0"),
        ({"clamp": ("s", ())}, "name latents to be set, or top"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(fields, why):
    with pytest.raises(DataError, match=why):
        interventions.check(intervention(**fields), [Direction(name="x", unembedding="a")])


@pytest.mark.parametrize(
    ("fields", "site", "why"),
    [
        ({"of": "heads", "by": "along", "score": "weights"}, "", "chooses neurons or latents"),
        ({"of": "neurons", "among": 9, "score": "weights"}, "", "of which alone is among"),
        ({"of": "neurons", "by": "along"}, "blocks.1.mlp.hook_pre", "from mlp.hook_post"),
        ({"of": "heads", "by": "sink", "position": 0}, "", "each head at its own position"),
        ({"of": "neurons", "position": 99}, "", "has no position 99: its length is 8"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(subject, shown, fields, site, why):
    table = intervention(ablate="zero", site=site, top=Top(n=1, **fields))
    along = Direction(name="along", unembedding=" a")
    sink = Read(name="sink", pattern="0.0", to=0)
    rows = (shown, [0, 1])
    with pytest.raises(DataError, match=why):
        choosing.check(table, table.top, rows, [along], [sink], find(str(subject[0])))


def test_neurons_of_all_blocks_are_chosen_cut_and_swept(subject, shown):
    """Those that are on most for label a less for b over all blocks; each is read by itself."""
    folder, naive = subject
    table = intervention(ablate="zero", top=Top(n=3, of="neurons", by=("a", "b")))
    width = naive.model.config.intermediate_size
    one = Read(name="one", log_prob=(" a", " b"))
    numbers = measured(folder, shown, table, reads=(one,), chooses=True)[0]
    chosen, measured_rows = shown.halves()
    acts = {"a": [], "b": []}
    for i in chosen:
        row = shown.rows[i]
        posts = [kept(naive, row.text, n)["post"][1:].mean(0) for n in range(3)]
        acts[row.columns["label"]].append(torch.cat(posts))
    gap = torch.stack(acts["a"]).mean(0) - torch.stack(acts["b"]).mean(0)
    best = gap.argsort(descending=True)[:3].tolist()
    assert {*numbers["chosen_parts"][0]} == {*best}

    named = tuple(f"{n // width}.{n % width}" for n in best)
    same = measured(folder, shown, intervention(ablate="zero", neurons=named), reads=(one,))[0]
    np.testing.assert_allclose(numbers["one"][0], same["one"][0][measured_rows], **CLOSE)
    sweep = {"neuron": tuple(range(4))}
    read = Read(name="act", neurons=("{neuron}",), site=POST, position="mean", sweep=sweep)
    each = measured(folder, shown, reads=(read,))[0]["act"][0]
    for i, row in enumerate(shown.rows):
        expected = kept(naive, row.text)["post"][1:, :4].mean(0)
        np.testing.assert_allclose(each[:, i], expected, **CLOSE)
    with pytest.raises(DataError, match=r"without a site, each .BLOCK\.NEURON"):
        measured(folder, shown, intervention(ablate="zero", neurons=(1,)), reads=(one,))


def test_the_auroc_of_each_neuron_is_that_of_its_ranks():
    draw = np.random.default_rng(0)
    label = np.repeat([0.0, 1.0], 12)
    acts = draw.normal(size=(24, 5)) + np.outer(label, [0, 0.5, 1, 2, 4])
    named = {
        "act": (("run", "prompt", "neuron"), acts[None]),
        "code": (("run", "prompt"), label[None]),
    }
    arm = xr.Dataset(named, coords={"seed": ("run", [0])})
    text = "count(mean(auroc(main.act, main.code)) > 0.9, over=neuron) > 1"
    said = ClaimEntry(text="they do", holds=text, units=("prompt",), control=("main/x",))
    (terms,) = claim(said, "main", condition(text)).value(arm, {"main": arm}).values()
    got = terms.mean([d for d in terms.dims if d != "neuron"]).values
    ranks = scipy.stats.rankdata(acts, axis=0)[label == 1].sum(0)
    np.testing.assert_allclose(got, (ranks - 12 * 13 / 2) / 144, atol=1e-12)


def test_each_of_the_chosen_neurons_is_ablated_by_itself(subject, shown):
    folder, naive = subject
    top = Top(n=1, skip="{k}", of="neurons")
    table = intervention(ablate="zero", site=POST, top=top, sweep={"k": (0, 1, 2)})
    got, levels = measured(folder, shown, table, chooses=True)
    chosen, rest = halves(shown)
    sizes = [kept(naive, text)["post"][1:].abs().mean(0) for text in chosen]
    order = torch.stack(sizes).mean(0).argsort(descending=True)[:3].tolist()
    assert levels["k"] == [0, 1, 2]
    assert got["chosen_parts"][0, :, 0].astype(int).tolist() == order
    for k, neuron in enumerate(order):
        expected = [without(naive, text, [neuron]) for text in rest]
        np.testing.assert_allclose(got["one"][0, k], expected, **CLOSE)
    words = interventions.in_words(intervention(ablate="zero", top=Top(n=1, skip=2, of="heads")))
    assert "with the highest norm but for the first 2" in words
    with pytest.raises(DataError, match="skip of top is how many, or a slot; got 'k'"):
        interventions.check(intervention(ablate="zero", top=Top(n=1, skip="k", of="heads")), ())


def test_neurons_are_chosen_by_how_much_and_how_differently_they_write(subject, shown):
    folder, naive = subject
    model = naive.model
    gain = model.model.norm.weight.detach().double().numpy()
    rows = model.get_output_embeddings().weight.detach().double().numpy() * gain
    written = [x.mlp.down_proj.weight.detach().double().numpy().T for x in model.model.layers]
    written = np.concatenate(written[1:])
    norms = np.linalg.norm(written, axis=1)
    cosines = written @ rows.T / norms[:, None] / np.linalg.norm(rows, axis=1)
    width = model.config.intermediate_size
    largest = norms.argsort()[::-1]
    among = min(largest[:20], key=lambda n: cosines[n].var())
    expected = {
        ("norm", False, 0): largest[0],
        ("variance", True, 0): cosines.var(1).argmin(),
        ("variance", False, 0): cosines.var(1).argmax(),
        ("variance", True, 20): among,
    }
    for (by, lowest, few), neuron in expected.items():
        top = Top(
            n=1, of="neurons", by=by, score="weights", lowest=lowest, among=few, layers=(1, 2)
        )
        got = measured(folder, shown, intervention(ablate="zero", top=top))[0]
        assert int(got["chosen_parts"][0, 0]) == width + neuron
        assert got["one"].shape[1] == len(shown.rows)  # nothing is chosen on them
    assert ", among the 20 with the largest norm, by their output weights alone" in (
        interventions.top_in_words(top, "", -1)
    )
