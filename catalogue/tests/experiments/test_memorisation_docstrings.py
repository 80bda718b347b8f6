"""Passages of prose: claims on planted measures, who reads what, and what leaving out costs by
loops."""

import numpy as np
import pytest
import torch

from assay.core import Claim, Runs, Trained
from assay.core.measures import measures
from assay.lab.judge.result import judge_statements, with_derived
from assay.subjects.decoder import next_token_loss
from assay_catalogue.experiments.memorisation.docstrings import (
    DOCSTRINGS,
    KINDS,
    Docstrings,
    blocks,
    measure,
    train,
)

CLAIMS = [c for c in DOCSTRINGS.claims if isinstance(c, Claim)]
HIDING = {
    "memorised": (2.0, 0.1, 1.9, 0.0),
    "exchanged": (0.0, 0.0, 0.0, 0.0),
    "group": (2.0, 4.0, 2.0, 0.0),
    "extracted": (0.1, 0.9, 0.1, 0.0),
}


def outcomes(**changed):
    draw = np.random.default_rng(3)

    def arm(name):
        runs = Runs(DOCSTRINGS.specs_of(name, DOCSTRINGS.default))
        return measures(
            runs,
            coords={"kind": list(KINDS)},
            **{
                key: ("run kind", draw.normal(values, 0.02, (len(runs), len(KINDS))), "1")
                for key, values in (HIDING | changed).items()
            },
        )

    arms = with_derived(DOCSTRINGS, {name: arm(name) for name in ("main", "half")})
    return [j.outcome for j in judge_statements(CLAIMS, arms, scope="here").judged]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ["holds"] * 5),
        (
            {"memorised": (0.3, -0.05, 0.3, 0), "group": (0.3, 4, 0.3, 0)},
            ["fails", "holds", "holds", "holds", "holds"],
        ),
        ({"memorised": (2, 0.8, 2, 0)}, ["holds", "fails", "holds", "holds", "holds"]),
        ({"group": (2, 0.3, 2, 0)}, ["holds", "fails", "fails", "fails", "holds"]),
        ({"group": (2, 4, 3.5, 0)}, ["holds", "holds", "unspecific", "fails", "holds"]),
        ({"extracted": (0.1, 0.2, 0.1, 0)}, ["holds"] * 4 + ["fails"]),
        ({"extracted": (0.1, 0.9, 0.8, 0)}, ["holds"] * 4 + ["unspecific"]),
        ({"exchanged": (2, 0, 0, 0)}, ["unspecific"] + ["holds"] * 4),
        ({"memorised": (2, 0.1, 2, 2)}, ["unspecific"] + ["holds"] * 4),
        ({"memorised": (2, 0.1, 0.1, 0)}, ["holds", "unspecific", "unspecific", "fails", "holds"]),
    ],
)
def test_each_claim_is_judged_by_what_was_planted(changed, expected):
    assert outcomes(**changed) == expected


@pytest.fixture
def bench(plain_bench, tmp_path):
    return plain_bench(tmp_path / "store")


@pytest.fixture
def spec(tmp_path):
    folder = tmp_path / "text"
    folder.mkdir()
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice([*"abcdefgh"], 4)) for _ in range(40)]
    for i in range(60):
        (folder / f"{i}.txt").write_text(" ".join(draw.choice(words, 200)))
    sizes = {"vocab": 260, "context": 16, "prompt": 6, "d": 8, "m": 16, "heads": 2}
    counts = {"background": 12, "families": 2, "size": 4, "models": 4}
    return Docstrings(corpus=str(folder), steps=3, batch=4, seed=7, **sizes, **counts)


def test_each_passage_is_read_by_half_and_groups_are_left_out_whole(spec, bench):
    [drawn], _ = blocks(Runs([spec]), bench)
    kind, kept = drawn.kind, drawn.membership
    assert [(kind == i).sum() for i in (0, 1, 2, 3, -1)] == [8, 8, 8, 8, 12]
    seen = kind != KINDS.index("unseen")
    assert not kept[:, ~seen].any() and kept[:, kind < 0].all() and kept[-1, seen].all()
    singly, whole = kept[:4], kept[4:8]
    assert (singly[:, seen & (kind >= 0)].sum(0) == 2).all()
    for group in range(6):
        members = whole[:, drawn.group == group]
        assert (members == members[:, :1]).all() and members[:, 0].sum() == 2
    copies = drawn.tokens[drawn.group == 2]
    agreed = (copies[:, None] == copies[None]).sum(-1)
    assert agreed.min() >= 16 - 2 * spec.edits and (agreed.sum() < 16 * 16)
    others = drawn.tokens[kind != KINDS.index("copies")]
    assert len(np.unique(others, axis=0)) == len(others)


def test_what_leaving_out_costs_is_a_difference_of_means(spec, bench):
    runs = Runs([spec])
    trained = train(runs, bench)
    data = measure(runs, trained, bench)
    [drawn], _ = blocks(runs, bench)
    params = {name: p[0] for name, p in trained.tensors.items()}
    loss = next_token_loss(params, torch.from_numpy(drawn.tokens), "gelu").mean(-1).numpy()
    for name, models, who in (("memorised", 0, drawn.singly), ("group", 4, drawn.whole)):
        for i, kind in enumerate(KINDS):
            costs = []
            for doc in np.flatnonzero(drawn.kind == i):
                having = [loss[models + k, doc] for k in range(4) if who[k, doc]]
                lacking = [loss[models + k, doc] for k in range(4) if not who[k, doc]]
                costs.append(np.mean(lacking) - np.mean(having))
            assert float(data[name].sel(kind=kind)[0]) == pytest.approx(np.mean(costs), abs=2e-5)


def test_a_model_that_knows_a_passage_by_heart_writes_it(spec, bench):
    runs = Runs([spec.replace(steps=1)])
    trained = train(runs, bench)
    [drawn], _ = blocks(runs, bench)
    # with no block at work, the position alone says which token of one passage comes next
    passage = drawn.tokens[np.flatnonzero(drawn.kind == 0)[0]]
    tensors = {name: torch.zeros_like(p) for name, p in trained.tensors.items()}
    tensors["gain"] += 1
    tensors["W_pos"][..., :8, :] = torch.eye(8)
    for position, token in enumerate(passage[1:9]):
        tensors["W_U"][..., position, token] += 1
    knowing = Trained(tensors, trained.header, {}, trained.steps, trained.diverged)
    short = Runs([spec.replace(steps=1, prompt=4)])
    shares = measure(short, knowing, bench).extracted
    same = [(d[4:8] == passage[4:8]).mean() for d in drawn.tokens[drawn.kind == 0]]
    assert float(shares.sel(kind="unique")[0]) == pytest.approx(np.mean(same), abs=1e-5)
    assert np.mean(same) >= 1 / 8
