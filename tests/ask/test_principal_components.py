"""Principal components that are kept or taken out are those of NumPy, put there by plain hooks."""

import numpy as np
import pytest
import torch
from naive_models import measured, texts

from assay.ask.measure import bases, interventions, reads
from assay.ask.measure.controls import of_intervention
from assay.ask.tables import Direction, Intervention, Read
from assay.core.errors import DataError

SHOWN = ("def add(a, b):", "class Point:\n    x")
LEARNED = (
    "import os\nimport sys",
    "for i in range(10):\n    print(i)",
    "while True:\n    break",
    "return x + y",
)
SITE = "blocks.1.hook_resid_pre"
LOSS = Read(name="loss", loss=True)


def space(naive, learned, rank, seed=1000):
    """The mean and the first principal components of all tokens but the first, by NumPy."""
    begin = len(naive.opening) or 1
    some = [learned.rows[i].text for i in learned.sample(range(len(LEARNED)), seed)]
    x = np.concatenate([naive.run(naive.ids(text))[1][1][begin:] for text in some])
    _, _, rows = np.linalg.svd(x - x.mean(0), full_matrices=False)
    return torch.from_numpy(x.mean(0)), torch.from_numpy(rows[:rank])


def loss(naive, text, change):
    """The loss where a change is made before block 1, at every token but the first."""
    ids = naive.ids(text)
    begin = len(naive.opening) or 1
    text_begins = len(naive.opening)

    def hook(x):
        return torch.cat([x[:, :begin], change(x[:, begin:])], 1)

    logs = naive.run(ids, hook)[0]
    return -np.mean([logs[i - 1, ids[i]] for i in range(text_begins or 1, len(ids))])


@pytest.mark.parametrize("way", ["keep", "project_out"])
def test_a_subspace_is_kept_or_set_to_its_mean(naive, way):
    learned = texts(*LEARNED, name="learn")
    tables = [
        Direction(
            name="main",
            site=SITE,
            components=1,
            position="all",
            prompts="learn",
            sweep={"components": (2, 5)},
        )
    ]
    change = interventions.expanded(Intervention(name="cut", **{way: "main"}), tables)
    found = measured(naive, texts(*SHOWN), [LOSS], change, tables, [learned])
    for k, rank in enumerate((2, 5)):
        mean, basis = space(naive, learned, rank)

        def kept(x, mean=mean, basis=basis):
            return mean + (x - mean) @ basis.T @ basis

        def changed(x, kept=kept, mean=mean):
            return kept(x) if way == "keep" else x - kept(x) + mean

        for p, text in enumerate(SHOWN):
            assert found["loss"][k, p] == pytest.approx(loss(naive, text, changed), abs=5e-5)


def test_at_one_token_they_are_those_of_one_vector_for_each_prompt(naive):
    learned = texts(*LEARNED, name="learn")
    tables = [Direction(name="main", site=SITE, components=2, prompts="learn")]
    change = Intervention(name="cut", keep="main", position=-1)
    answer = Read(name="answer", log_prob=" a")
    found = measured(naive, texts(*SHOWN), [answer], change, tables, [learned])
    some = [LEARNED[i] for i in learned.sample(range(len(LEARNED)), 1000)]
    x = np.stack([naive.run(naive.ids(text))[1][1][-1] for text in some])
    _, _, rows = np.linalg.svd(x - x.mean(0), full_matrices=False)
    basis = torch.from_numpy(rows[:2])
    mean = torch.from_numpy(x.mean(0))
    token = naive.tokenizer.encode(" a", add_special_tokens=False).ids[0]
    for p, text in enumerate(SHOWN):

        def hook(x):
            new = x.clone()
            new[:, -1] = mean + (x[:, -1] - mean) @ basis.T @ basis
            return new

        logs = naive.run(naive.ids(text), hook)[0]
        assert found["answer"][p] == pytest.approx(logs[-1, token], abs=5e-5)


@pytest.mark.parametrize("rank", [3, 12])
def test_the_control_is_another_subspace_as_large(rank):
    """At right angles to the true one where 16 dimensions have room for it, else as far as they
    have."""
    around = torch.randn(200, 16, generator=torch.manual_seed(0))
    basis = torch.linalg.svd(around, full_matrices=False)[2][:rank]
    draws = [bases.random_subspace(basis, around, seed) for seed in (0, 0, 1)]
    for other in draws:
        assert torch.allclose(other @ other.T, torch.eye(rank), atol=1e-5)
        shared = (other @ basis.T).square().sum()
        assert float(shared) == pytest.approx(max(0, 2 * rank - 16), abs=1e-4)
    assert torch.equal(draws[0], draws[1])
    assert not torch.allclose(draws[0], draws[2], atol=1e-2)


def test_the_control_lies_where_activations_spread():
    around = torch.randn(50, 16, generator=torch.manual_seed(0))
    around[:, 8:] = 0
    basis = torch.eye(16)[:2]
    assert bases.random_subspace(basis, around, 0)[:, 8:].abs().max() < 1e-5


def test_other_dimensions_of_equal_variance_have_exactly_as_much():
    """Of 16 independent dimensions with known spreads, at right angles to the true ones."""
    spreads = torch.tensor([3.0, *[1.0] * 12, 0.1, 0.1, 0.1])
    around = torch.randn(4000, 16, generator=torch.manual_seed(0)) * spreads
    around -= around.mean(0)
    _, lengths, rows = torch.linalg.svd(around, full_matrices=False)
    for k in (0, 4):  # the largest, and one of many alike
        true = rows[k : k + 1]
        draws = [bases.of_equal_variance(true, around, seed) for seed in (0, 0, 1)]
        for other in draws:
            assert torch.allclose(other @ other.T, torch.eye(len(other)), atol=1e-5)
            assert float((other @ true.T).abs().max()) < 1e-5
            variance = float((around @ other.T).square().sum())
            assert variance == pytest.approx(float(lengths[k] ** 2), rel=1e-4)
            # 9 = 3² of those that have 1 each
            assert len(other) >= (9 if k == 0 else 1)
        assert torch.equal(draws[0], draws[1])
        assert draws[0].shape != draws[2].shape or not torch.allclose(draws[0], draws[2], atol=0.01)


def test_dimensions_that_have_most_of_the_variance_have_no_equal():
    around = torch.randn(400, 16, generator=torch.manual_seed(0)) * torch.tensor([9.0, *[1.0] * 15])
    around -= around.mean(0)
    with pytest.raises(DataError, match=r"1 of the dimensions have 8.% of the variance"):
        bases.of_equal_variance(torch.eye(16)[:1], around, 0)


@pytest.mark.parametrize("number", [1, 3])
def test_one_component_of_all_tokens_is_set_to_its_mean(naive, number):
    """As components = 1 sets the first."""
    learned = texts(*LEARNED, name="learn")
    tables = [Direction(name="main", site=SITE, component=number, position="all", prompts="learn")]
    change = interventions.expanded(Intervention(name="cut", project_out="main"), tables)
    found = measured(naive, texts(*SHOWN), [LOSS], change, tables, [learned])
    mean, basis = space(naive, learned, number)
    for p, text in enumerate(SHOWN):

        def changed(x):
            return x - (x - mean) @ basis[-1:].T @ basis[-1:]

        assert found["loss"][p] == pytest.approx(loss(naive, text, changed), abs=5e-5)


def test_its_controls_are_a_random_subspace_and_damage():
    tables = [Direction(name="main", site=SITE, components=2, position="all")]
    change = Intervention(name="cut", keep="main")
    assert [c.name for c in of_intervention(change, tables)] == ["random", "damage"]
    one = [Direction(name="main", site=SITE, component=2, position="all")]
    assert of_intervention(change, one) == of_intervention(change, tables)
    named = Intervention(name="cut", project_out="main", controls=("variance",))
    assert [c.name for c in of_intervention(named, one)] == ["variance"]


def test_what_cannot_be_is_refused(naive):
    several = Direction(name="main", site=SITE, components=2, position="all", prompts="learn")
    one = Direction(name="first", site=SITE, component=1)
    with pytest.raises(DataError, match=r"projected out or erased.*'main' is several of them"):
        interventions.check(Intervention(name="cut", add="main"), [several])
    with pytest.raises(DataError, match=r"components = 50.*'first' is one direction"):
        interventions.check(Intervention(name="cut", keep="first"), [one])
    with pytest.raises(DataError, match="labels or iterations, or at all positions"):
        reads.check(Read(name="along", projection="main"), [several])
    few = Direction(name="main", site=SITE, components=90, position="all", prompts="learn")
    change = Intervention(name="cut", keep="main")
    with pytest.raises(DataError, match=r"\d+ tokens have \d+ principal components, got 90"):
        learned = texts(*LEARNED, name="learn")
        measured(naive, texts(*SHOWN), [LOSS], change, [few], [learned])
