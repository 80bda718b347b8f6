"""What a dictionary is compared with is what plain NumPy gives on the same rows, and the sentence
says who is ahead."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.dictionaries.baselines.directions import random_directions
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.evaluation import baselines, evaluate, measure
from assay.report.evaluations import baselines as sentences

D = TRUE = 12
ROWS, DOCUMENTS = 1200, 40


@pytest.fixture(scope="module")
def truth():
    """Orthogonal directions, of which few are on in each row."""
    draw = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(TRUE, D, generator=draw))[0]


@pytest.fixture(scope="module")
def rows(truth):
    draw = torch.Generator().manual_seed(1)
    on = torch.rand(ROWS, TRUE, generator=draw) < 0.2
    return (on * (1 + torch.rand(ROWS, TRUE, generator=draw))) @ truth + 3


def planted(truth):
    """A dictionary of the true directions."""
    zero = torch.zeros(1, TRUE)
    return Dictionary(truth.T[None], zero - 0.01, truth[None], torch.full((1, D), 3.0), ReLU())


@pytest.fixture(scope="module")
def found(rows):
    """Compare a dictionary on the first half of the rows with baselines fitted on the second."""
    test, fitted = rows.split(ROWS // 2)
    on = torch.arange(DOCUMENTS // 2).repeat_interleave(ROWS // DOCUMENTS), DOCUMENTS // 2
    on = *on, fitted.mean(0)

    def compared(dictionary):
        others = baselines.fit(dictionary, fitted, fitted, 0)
        shared = measure.of_activations(test, *on)
        parts = {
            name: measure.arrays(shared | measure.of_dictionary(d, test, test, *on)[0])
            for name, d in {"": dictionary, **others}.items()
        }
        return baselines.compare(parts, others)

    return compared


def fvu(x, x_hat):
    return ((x - x_hat) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()


def test_each_baseline_has_the_numbers_of_a_plain_computation(truth, rows, found):
    compared, d = found(planted(truth)), planted(truth)
    test, fitted = (part.double().numpy() for part in rows.split(ROWS // 2))
    active = (d.encode(torch.from_numpy(fitted).float()) > 0).sum(1).float().mean()
    assert compared["tokens"] == ROWS // 2 and compared["rank"] == round(float(active))
    mean = fitted.mean(0)
    axes = np.linalg.svd(fitted - mean, full_matrices=False)[2][: compared["rank"]]
    random = random_directions(d, torch.from_numpy(fitted).float(), 0)
    expected = {
        "dictionary": d.reconstruct(torch.from_numpy(test).float()).double().numpy(),
        "random": random.reconstruct(torch.from_numpy(test).float()).double().numpy(),
        "pca": mean + (test - mean) @ axes.T @ axes,
        "mean": np.broadcast_to(mean, test.shape),
    }
    for name, x_hat in expected.items():
        assert compared[name]["fvu"]["estimate"] == pytest.approx(fvu(test, x_hat), rel=1e-4), name
    assert compared["ahead"]["estimate"] == pytest.approx(
        fvu(test, expected["random"]) - fvu(test, expected["dictionary"]), rel=1e-4
    )
    assert compared["pca"]["l0"]["estimate"] == compared["rank"], "all of its signed codes are on"
    l0 = compared["random"]["l0"]["estimate"]
    assert l0 == pytest.approx(compared["dictionary"]["l0"]["estimate"], rel=0.15)


def test_the_sentence_says_who_is_ahead(truth, found):
    good = found(planted(truth))
    good["mean"]["explained_variance"]["estimate"] = -0.01  # it was fitted on other text
    assert sentences(good, "mine").startswith("mine explains "), (
        "the mean is not among what is said"
    )
    both = f", more than random directions that are on about as often (.*) and {good['rank']} prin"
    assert re.search(both, sentences(good))
    for name, explained in (("dictionary", 0.996), ("pca", 0.9996)):
        good[name]["explained_variance"] = {"estimate": explained}
    behind = f"), but less than {good['rank']} principal components (99.96%)"
    assert behind in sentences(good)
    for name, ends in (("dictionary", (0.99, 0.9997)), ("pca", (0.9995, 0.9997))):
        good[name]["explained_variance"] |= dict(zip(("low", "high"), ends, strict=True))
    alike = f"), and about as much as {good['rank']} principal components (99.96%)"
    assert alike in sentences(good), "their intervals overlap"
    good = planted(truth)
    draw = torch.Generator().manual_seed(3)
    wrong = replace(good, W_dec=good.W_dec[:, torch.randperm(TRUE, generator=draw)])
    compared = found(wrong)
    left, random = (compared[k]["fvu"]["estimate"] for k in ("dictionary", "random"))
    assert left > 1
    said = re.fullmatch(
        r"It leaves ([\d.]+) times the variance unexplained on 600 tokens, more than random "
        r"directions that are on about as often \((\d+)%; the difference is (\d+)% "
        r"\[\d+%, \d+%\]\) and .*",
        sentences(compared),
    )
    numbers = [float(x) for x in said.groups()]
    assert numbers == pytest.approx([left, 100 * random, 100 * (left - random)], rel=0.02)


@pytest.mark.parametrize(
    ("own", "random", "components", "little"),
    [(1.0, 0.999, 0.9999, True), (0.99, 0.5, 0.96, True), (0.97, 0.75, 0.76, False),
     (0.5, 0.99, 0.99, False)],
)  # fmt: skip
def test_loss_recovered_says_little_where_baselines_recover_it_too(own, random, components, little):
    ahead = {"estimate": 0.1, "low": 0.09, "high": 0.11}
    compared = {"tokens": 900, "rank": 7, "ahead": ahead}
    for name, share in (("dictionary", own), ("random", random), ("pca", components)):
        names = ("explained_variance", "loss_recovered_mean")
        compared[name] = {measure: {"estimate": share} for measure in names}
    said = sentences(compared)
    assert ("The loss recovered says little here: it recovers" in said) == little
    assert "random directions recover" in said and "and 7 principal components" in said


@pytest.mark.usefixtures("believed")
def test_on_a_model_the_same_tokens_give_the_same_share_of_the_loss(model, texts, tmp_path):
    draw = torch.Generator().manual_seed(0)
    W = torch.nn.functional.normalize(torch.randn(1, 48, 24, generator=draw), dim=-1)
    sites = ("blocks.1.hook_resid_post",)
    d = Dictionary(
        0.6 * W.mT, torch.full((1, 48), -0.2), W, torch.zeros(1, 24), ReLU(), sites=sites
    )
    found = evaluate(d, model=model, text=texts, root=tmp_path, tokens=400, ablation_tokens=400)
    compared, name = found.dictionaries[0]["compared"], "loss_recovered_mean"
    measures = found["dictionary 1"]
    for shown in (name, "fvu", "l0", "ce_increase"):
        assert compared["dictionary"][shown] == measures[shown], "all text was ablated"
    ablated, clean = (measures[f"ce_{kind}"]["estimate"] for kind in ("mean", "clean"))
    assert compared["mean"]["ce_increase"]["estimate"] == pytest.approx(ablated - clean, abs=1e-6)
    none = evaluate(d, model=model, text=texts, root=tmp_path, tokens=400, ablation_tokens=0)
    assert none.dictionaries[0]["compared"] is None


def test_where_all_dimensions_are_used_principal_components_are_no_baseline(truth, found):
    good = planted(truth)
    compared = found(replace(good, b_enc=good.b_enc + 9))
    assert compared["dictionary"]["l0"]["estimate"] == TRUE, "every feature is on in every row"
    assert compared["rank"] is None and "pca" not in compared
    assert "principal component" not in sentences(compared)
