"""Reads of size, and logits: what plain passes over one prompt at a time give."""

import numpy as np
import pytest
import scipy.stats
import torch
from naive_models import Naive, measured, task, texts

from assay.ask.measure import reads
from assay.ask.tables import Direction, Intervention, Read
from assay.core.errors import DataError

SHOWN = ("def add(a, b):", "class Point:\n    x", "b")
STREAM = "blocks.{layer}.hook_resid_pre"
ALONG = Direction(name="along", unembedding="a", site="blocks.1.hook_resid_pre")
ASIDE = Direction(name="aside", unembedding=("b", "x"), site="blocks.1.hook_resid_pre")


def test_lengths_and_cosines_are_those_of_the_stream(naive):
    sweep = {"sweep": {"layer": (0, 2)}, "site": STREAM}
    every = [
        Read(name="last", norm=True, **sweep),
        Read(name="mean", norm=True, position="mean", **sweep),
        Read(name="first", norm=True, position=0, **sweep),
        Read(name="angle", cosine="along", **sweep),
        Read(name="angles", cosine="along", position="mean", **sweep),
        Read(name="both", cosine=("along", "aside")),
    ]
    found = measured(naive, texts(*SHOWN), every, None, [ALONG, ASIDE])
    unit, other = naive.read_by("a").numpy(), None
    token = [naive.tokenizer.encode(t, add_special_tokens=False).ids[0] for t in "bx"]
    rows = naive.model.get_output_embeddings().weight[token].detach() * naive.gain
    if isinstance(naive.norm, torch.nn.LayerNorm):
        rows = rows - rows.mean(1, keepdim=True)
    other = (rows[0] - rows[1]).numpy()
    both = unit @ other / np.linalg.norm(other)
    for p, text in enumerate(SHOWN):
        _, stream, _ = naive.run(naive.ids(text))
        x = stream[[0, 2]]
        # without a first token, read or written
        rest = x[:, 1:] if x.shape[1] > 1 else x
        lengths = np.linalg.norm(x, axis=-1)
        cosines = (x @ unit) / lengths
        kept = slice(x.shape[1] - rest.shape[1], None)
        expected = {
            "last": lengths[:, -1],
            "mean": lengths[:, kept].mean(1),
            "first": lengths[:, 0],
            "angle": cosines[:, -1],
            "angles": cosines[:, kept].mean(1),
        }
        for name, values in expected.items():
            assert found[name][:, p] == pytest.approx(values, rel=1e-4, abs=1e-5), name
        assert found["both"][p] == pytest.approx(both, abs=1e-5)


def test_a_distance_from_the_mean_row_is_that_of_all_rows_the_embedding_gives(naive):
    """Of Gemma, whose embeddings are scaled as they enter the first block, and of the others."""
    mean_row = Direction(name="mean_row", mean_row="embedding")
    every = [
        Read(name="last", distance="mean_row", site="hook_embed"),
        Read(name="mean", distance="mean_row", site="hook_embed", position="mean"),
        Read(name="angle", cosine="mean_row", site="hook_embed"),
    ]
    found = measured(naive, texts(*SHOWN), every, None, [mean_row])
    table = naive.model.get_input_embeddings()
    rows = table(torch.arange(len(table.weight))).detach().double().numpy()
    mean = rows.mean(0)
    for p, text in enumerate(SHOWN):
        x = rows[naive.ids(text)]
        far = np.linalg.norm(x - mean, axis=1)
        angle = x[-1] @ mean / np.linalg.norm(x[-1]) / np.linalg.norm(mean)
        assert found["last"][p] == pytest.approx(far[-1], rel=1e-5)
        assert found["mean"][p] == pytest.approx(far[1:].mean() if far[1:].size else far[0])
        assert found["angle"][p] == pytest.approx(angle, abs=1e-5)


def test_how_unequal_coordinates_are_is_what_scipy_and_numpy_give(naive):
    def hoyer(x):
        return (len(x) ** 0.5 - np.abs(x).sum() / np.linalg.norm(x)) / (len(x) ** 0.5 - 1)

    expected = {
        "kurtosis": scipy.stats.kurtosis,
        "max": lambda x: np.abs(x).max() / np.median(np.abs(x)),
        "participation": lambda x: (x**2).sum() ** 2 / (x**4).sum(),
        "hoyer": hoyer,
    }
    site = "blocks.1.hook_resid_pre"
    some = [Read(name=how, coordinates=how, site=site) for how in expected]
    some += [
        Read(name=f"{how}_mean", coordinates=how, site=site, position="mean") for how in expected
    ]
    found = measured(naive, texts(*SHOWN[:2]), some)
    for p, text in enumerate(SHOWN[:2]):
        x = naive.run(naive.ids(text))[1][1]
        for how, number in expected.items():
            assert found[how][p] == pytest.approx(number(x[-1]), rel=1e-3), how
            mean = np.mean([number(row) for row in x[1:]])
            assert found[f"{how}_mean"][p] == pytest.approx(mean, rel=1e-3), how


def test_a_coordinate_measure_of_zeros_is_refused(llama):
    zero = Intervention(name="cut", ablate="zero", site="blocks.1.hook_resid_pre")
    read = Read(name="tails", coordinates="kurtosis", site="blocks.1.hook_attn_out")
    with pytest.raises(DataError, match="kurtosis of tails divides by 0"):
        measured(llama, texts(*SHOWN), [read], zero)


def test_anisotropy_is_the_mean_cosine_of_two_tokens(naive):
    read = Read(name="it", anisotropy=True, site="blocks.1.hook_resid_pre")
    found = measured(naive, texts(*SHOWN[:2]), [read])["it"]
    for p, text in enumerate(SHOWN[:2]):
        x = naive.run(naive.ids(text))[1][1][1:]
        pairs = [(a, b) for i, a in enumerate(x) for b in x[:i]]
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]
        assert found[p] == pytest.approx(np.mean(cosines), abs=1e-6)


def test_a_number_across_prompts_is_that_of_the_activations_of_all(tmp_path):
    naive, at = Naive(tmp_path / "llama", "llama"), {"site": "blocks.1.hook_resid_pre"}
    labels = ("code", "prose", "code", "code", "prose")
    words = ("a", "b x", "x b", "def a", "b")
    rows = [{"text": t, "label": x, "pair": x} for t, x in zip(words, labels, strict=True)]
    every = [
        Read(name="gap", across="distance", labels=("code", "prose"), **at),
        Read(name="alike", across="cosine", **at),
        Read(name="whole", across="participation_ratio", position="mean", **at),
    ]
    streams = [naive.run(naive.ids(text))[1][1] for text in words]
    x, code = np.stack([s[-1] for s in streams]), np.array(labels) == "code"
    means = np.stack([s[1:].mean(0) if len(s) > 1 else s[0] for s in streams])
    p = np.linalg.eigvalsh(np.cov(means.T))
    pairs = [(a, b) for i, a in enumerate(x) for b in x[:i]]
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]
    expected = {
        "gap": np.linalg.norm(x[code].mean(0) - x[~code].mean(0)),
        "alike": np.mean(cosines),
        "whole": p.sum() ** 2 / (p**2).sum(),
    }
    for unit in ("", "pair"):  # units of one row each, and of three and two
        found = measured(naive, texts(*rows, unit=unit), every)
        for name, number in expected.items():
            assert found[name].mean() == pytest.approx(number, rel=1e-4), (unit, name)
    labelled = zip(rows[:4], "abab", strict=True)
    kinds = [r | {"pair": pair, "label": k} for r, k in labelled for pair in "12"]
    found = measured(naive, texts(*kinds, levels="label", unit="pair"), every[1:2])["alike"]
    u = x[[0, 2, 0, 2]]
    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    assert found.mean(1)[0] == pytest.approx(((u @ u.T).sum() - 4) / 12, rel=1e-4)


def test_a_unit_whose_rows_are_all_right_is_right_whatever_their_number(naive):
    every = [Read(name="one", accuracy=(" a", " x")), Read(name="two", accuracy=(" x", " a"))]
    alike = [{"text": SHOWN[0], "pair": str(n)} for n in (3, 6, 10, 49) for _ in range(n)]
    found = measured(naive, texts(*alike, unit="pair"), every)
    assert {float(x) for of in found.values() for x in of.ravel()} == {0.0, 1.0}


def test_logits_are_what_the_softmax_is_taken_of(naive):
    every = [
        Read(name="one", logit=" a"),
        Read(name="pair", logit=(" a", " x")),
        Read(name="early", logit=" a", site="blocks.1.hook_resid_pre"),
    ]
    found = measured(naive, texts(*SHOWN), every)
    a, x = (naive.tokenizer.encode(t, add_special_tokens=False).ids[0] for t in (" a", " x"))
    for p, text in enumerate(SHOWN):
        with torch.no_grad():
            logits = naive.model(torch.tensor([naive.ids(text)])).logits[0, -1].numpy()
        assert found["one"][p] == pytest.approx(logits[a], rel=1e-4, abs=1e-5)
        assert found["pair"][p] == pytest.approx(logits[a] - logits[x], rel=1e-3, abs=1e-5)
        lens = naive.lens(naive.run(naive.ids(text))[1][1, -1])
        # the logarithm of what the softmax divides by
        shift = found["early"][p] - lens[a]
        assert np.isfinite(shift)
        assert found["early"][p] != pytest.approx(lens[a], abs=1e-3)


def test_neurons_are_what_the_output_projection_reads(tmp_path):
    naive = Naive(tmp_path / "llama", "llama")
    site, some = "blocks.1.mlp.hook_post", (3, 0, 5)
    every = [
        Read(name="last", neurons=some, site=site),
        Read(name="mean", neurons=some, site=site, position="mean"),
        Read(name="most", neurons=some, site=site, position="all"),
        Read(name="each", neurons=(3,), site=site, sweep={"neurons": some}),
        Read(name="named", neurons=("1.3", "1.0", "1.5")),
        Read(name="on", active=0, site=site),
        Read(name="much", site=site, position="mean", sweep={"active": (0, 0.001)}),
    ]
    found, kept = measured(naive, texts(*SHOWN), every), []
    handle = naive.blocks[1].mlp.down_proj.register_forward_pre_hook(
        lambda module, args: kept.append(args[0][0].detach())
    )
    for p, text in enumerate(SHOWN):
        naive.run(naive.ids(text))
        x = kept[-1][:, [*some]].numpy()
        rest = x[1:] if len(x) > 1 else x
        assert found["last"][p] == pytest.approx(x[-1].mean(), rel=1e-4, abs=1e-7)
        assert found["mean"][p] == pytest.approx(rest.mean(), rel=1e-4, abs=1e-7)
        assert found["named"][p] == pytest.approx(x[-1].mean(), rel=1e-4, abs=1e-7)
        assert found["most"][p] == pytest.approx(x.mean(1).max(), rel=1e-4, abs=1e-7)
        assert found["each"][:, p] == pytest.approx(x[-1], rel=1e-4, abs=1e-7)
        every = kept[-1][1:] if len(x) > 1 else kept[-1]
        assert found["on"][p] == pytest.approx(float((every[-1] > 0).double().mean()), abs=1e-6)
        shares = [np.mean([float((row > b).sum()) / len(row) for row in every]) for b in (0, 1e-3)]
        assert 0 < shares[1] <= shares[0] < 1
        assert found["much"][:, p] == pytest.approx(shares, abs=1e-6)
    assert (found["much"][1] < found["much"][0]).any()
    handle.remove()


@pytest.mark.parametrize(
    ("why", "fields"),
    {
        "needs the site that it reads": {"norm": True},
        "has neurons 0 to .* got 9,999": {"neurons": (9999,), "site": "blocks.1.mlp.hook_post"},
        "the cosine of 'along' and itself is 1": {"cosine": ("along", "along")},
        "keeps its length, such as a mean": {"distance": "along", "site": "hook_embed"},
        "each pair of positions": {"norm": True, "site": "blocks.0.attn.hook_pattern"},
        "'a' minus itself is 0": {"logit": ("a", "a")},
        "distance is of two groups of rows": {"across": "distance"},
        "has no column 'label'": {
            "across": "distance",
            "labels": ("code", "prose"),
            "site": "blocks.1.hook_resid_pre",
        },
    }.items(),
)
def test_what_has_no_size_is_refused(fields, why, tmp_path_factory):
    naive = Naive(tmp_path_factory.mktemp("refused") / "llama", "llama")
    read = Read(name="it", **fields)
    with pytest.raises((DataError, Exception), match=why):
        reads.check(read, [ALONG])
        of = task(naive, texts(*SHOWN), [read], directions=[ALONG])
        from assay.ask.measure import measuring, own_code
        from assay.ask.measure.tokenized import prompt
        from assay.subjects.folder import find

        folder = find(str(naive.folder))
        prompts = [prompt(folder, row) for row in texts(*SHOWN).rows]
        [*measuring.remarks(of, read, prompts, lambda name: None, own_code.load)]
