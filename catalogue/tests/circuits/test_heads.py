"""What is said of the parts of a small model is what naive loops give; it is bounded, whatever the
model is."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from assay.core.schema import to_json
from assay.subjects.decoder import Shape
from assay_catalogue.circuits import heads, known
from assay_catalogue.circuits.find.looks import NAMES, looks
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.subjects.parts import Part, run_by_parts
from assay_catalogue.verbs.small_model import Model, taken_apart
from assay_catalogue.worlds.algorithms.task import Task, unasked


@pytest.fixture(scope="module")
def redundant() -> Model:
    return taken_apart(known.problem("redundant"), "redundant")


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    problem = known.problem("redundant")
    return problem.task.draw(0, 0, heads.inputs(problem), held_out=True)


def good(problem: Problem, tokens: np.ndarray, **changed: object) -> float:
    """The right answer's logit less the mean of the others, over positions that are asked and
    inputs, by loops."""
    logits, answers, found = problem.logits(tokens, **changed), problem.task.answer(tokens), []
    for row, right in zip(logits, answers, strict=True):
        per = [
            own[a] - np.delete(own, a).mean() for own, a in zip(row, right, strict=True) if a >= 0
        ]
        found.append(np.mean(per))
    return float(np.mean(found))


def test_what_parts_add_and_cost_is_what_running_without_them_says(
    redundant: Model, inputs: np.ndarray
) -> None:
    problem = known.problem("redundant")
    full = good(problem, inputs)
    assert sum(row.direct for row in redundant.parts) == pytest.approx(full)
    wrote = problem.run(inputs).wrote
    mean = {
        part: (lambda _, x=x: x.mean(1, keepdim=True).expand_as(x)) for part, x in wrote.items()
    }
    span = full - good(problem, inputs, written=mean)

    def without(*names: str) -> float:
        return (
            full - good(problem, inputs, written={p: mean[p] for p in map(Part.parse, names)})
        ) / span

    names = [row.part for row in redundant.parts]
    for row in redundant.parts:
        assert row.alone == pytest.approx(without(row.part), abs=1e-9)
        beside = {
            other: without(row.part, other) - without(other) for other in names if other != row.part
        }
        assert row.joint == pytest.approx(max(row.alone, *beside.values()), abs=1e-9)
    rows = {row.part: row for row in redundant.parts}
    assert rows["a0.0"].partner == "a0.1" and rows["a0.1"].partner == "a0.0", (
        "each stands in for the other"
    )
    assert rows["a0.0"].joint > 2 * rows["a0.0"].alone and not rows["m0"].partner


def test_where_a_head_looks_is_counted_by_a_loop() -> None:
    g = torch.Generator().manual_seed(3)
    tokens = torch.randint(0, 3, (4, 7), generator=g)
    pattern = torch.rand(4, 7, 7, generator=g, dtype=torch.float64).tril()
    pattern /= pattern.sum(-1, keepdim=True)
    meant = {
        "itself": lambda t, q, k: k == q,
        "first": lambda t, q, k: k == 0 < q,
        "before": lambda t, q, k: k == q - 1,
        "same token": lambda t, q, k: k < q and t[k] == t[q],
        "after the same": lambda t, q, k: k > 0 and t[k - 1] == t[q],
    }
    found = {look.kind: look for look in looks(pattern, tokens)}
    assert tuple(found) == NAMES
    for kind, is_meant in meant.items():
        shares, alike = [], []
        for t, own in zip(tokens.tolist(), pattern.tolist(), strict=True):
            for q in range(7):
                keys = [k for k in range(q + 1) if is_meant(t, q, k)]
                if keys:
                    shares.append(sum(own[q][k] for k in keys))
                    alike.append(len(keys) / (q + 1))
        assert found[kind].share == pytest.approx(np.mean(shares)) and found[
            kind
        ].alike == pytest.approx(np.mean(alike))


@pytest.mark.thorough
def test_heads_of_induction_are_told_by_where_they_look_and_what_they_compare() -> None:
    rows = {row.part: row for row in taken_apart(known.problem("induction"), "induction").parts}
    share = {part: row.looks for part, row in rows.items()}
    assert share["a0.0"]["before"] == pytest.approx(1) and share["a1.0"][
        "after the same"
    ] == pytest.approx(1)
    assert (rows["a1.0"].asks, rows["a1.0"].finds) == ("embed", "a0.0")
    assert rows["a0.1"].share is None, "a head that looks alike everywhere compares nothing"


def drawn(vocab: int, length: int, layers: int, heads: int) -> Problem:
    """A model of random weights with names that a page might obey."""
    shape = Shape(
        layers=layers,
        d=8,
        heads=heads,
        m=4,
        context=length,
        vocab=vocab,
        norm="none",
        d_head=2,
        answers=vocab,
    )
    g = torch.Generator().manual_seed(0)
    params = {
        name: 0.5 * torch.randn(1, *size, generator=g) for name, size in shape.parameters().items()
    }
    names = tuple(f"</script><script>alert({i})</script>\u202e" + "x" * 5000 for i in range(vocab))

    def answer(tokens: np.ndarray) -> np.ndarray:
        out = unasked(tokens)
        out[:, -1] = tokens[:, 0]
        return out

    return Problem(
        Task(
            "x" * 9000,
            names,
            names,
            length,
            lambda of, n: of.integers(vocab, size=(n, length)),
            answer,
        ),
        params,
    )


@pytest.mark.thorough
def test_what_is_shown_is_bounded_and_says_what_is_not() -> None:
    found = taken_apart(drawn(vocab=200, length=48, layers=6, heads=12), "large")
    assert len(found.parts) == heads.PARTS and len(found.called) == 40
    assert "16 of 80 parts" in " ".join(found.left_out)
    shown = json.dumps(to_json(found), ensure_ascii=False)
    assert len(shown) < 50_000 and len(found.task) == 300 and "\u202e" not in shown


def test_a_task_that_asks_nothing_says_that_no_part_is_worth_anything() -> None:
    problem = drawn(vocab=5, length=4, layers=1, heads=1)
    silent = Task(
        "silent", problem.task.tokens, problem.task.answers, 4, problem.task.drawn, unasked
    )
    found = taken_apart(Problem(silent, problem.params), "silent")
    assert not found.parts and "no position" in found.left_out[0]


def test_a_model_is_not_changed_and_the_same_seed_gives_the_same_numbers(redundant: Model) -> None:
    problem = known.problem("redundant")
    before = {name: x.clone() for name, x in problem.params.items()}
    assert to_json(taken_apart(problem, "redundant")) == to_json(redundant)
    assert all(torch.equal(before[name], x) for name, x in problem.params.items())
    assert (
        run_by_parts(problem.params, torch.zeros(1, 8, dtype=torch.long)).logits.shape[-1]
        == problem.classes
    )
