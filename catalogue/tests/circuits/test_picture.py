"""What a page shows of a small model is what naive loops give; its graph is the explanation's; and
it is bounded, whatever the model is."""

from __future__ import annotations

import json
import re
import tomllib

import numpy as np
import pytest
import torch

from assay.core.schema import to_json
from assay.subjects.decoder import Shape
from assay_catalogue.circuits import known
from assay_catalogue.circuits.find.tables import NAMES, looks
from assay_catalogue.circuits.picture import maps
from assay_catalogue.circuits.picture.contents import Picture, take
from assay_catalogue.circuits.picture.graph import depths, graph
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.scrubbing import singly
from assay_catalogue.subjects.parts import Part, run_by_parts
from assay_catalogue.worlds.algorithms.task import Task, unasked


@pytest.fixture(scope="module")
def redundant() -> Picture:
    return take(known.problem("redundant"), known.explained("redundant"))


@pytest.fixture(scope="module")
def inputs(redundant: Picture) -> np.ndarray:
    return known.problem("redundant").task.draw(0, 0, redundant.inputs, held_out=True)


def naive_pattern(problem: Problem, row: np.ndarray, head: int) -> np.ndarray:
    """Attention of a head of the first block, weight by weight; without norms."""
    p = {name: x[0].numpy() for name, x in problem.params.items()}
    x = [p["W_E"][t] + p["W_pos"][i] for i, t in enumerate(row)]
    Wq, Wk = p["W_QKV"][0, :, 0, head], p["W_QKV"][0, :, 1, head]
    out = np.zeros((len(row), len(row)))
    for q in range(len(row)):
        scores = [float((x[q] @ Wq) @ (x[k] @ Wk)) / Wq.shape[1] ** 0.5 for k in range(q + 1)]
        weights = np.exp(np.array(scores) - max(scores))
        out[q, : q + 1] = weights / weights.sum()
    return out


def test_attention_is_that_of_a_loop(redundant: Picture, inputs: np.ndarray) -> None:
    problem = known.problem("redundant")
    for head, shown in enumerate(redundant.attention):
        every = [naive_pattern(problem, row, head) for row in inputs]
        for drawn, wanted in [
            (shown.mean, np.mean(every, 0)),
            *zip(shown.examples, every, strict=False),
        ]:
            for q, row in enumerate(drawn.values):
                assert row[: q + 1] == pytest.approx(wanted[q, : q + 1].tolist(), abs=1e-9)
                assert row[q + 1 :] == (None,) * (len(row) - q - 1), (
                    "what comes later cannot be looked at"
                )
        assert shown.examples[2].rows == tuple(problem.task.tokens[t] for t in inputs[2])


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
    redundant: Picture, inputs: np.ndarray
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
    rows = {row.part: row for row in take(known.problem("induction")).parts}
    share = {part: {look.kind: look.share for look in row.looks} for part, row in rows.items()}
    assert share["a0.0"]["before"] == pytest.approx(1) and share["a1.0"][
        "after the same"
    ] == pytest.approx(1)
    assert (rows["a1.0"].asks, rows["a1.0"].finds) == ("embed", "a0.0") and rows[
        "a1.0"
    ].copying == 1
    assert rows["a0.1"].share is None, "a head that looks alike everywhere compares nothing"


def test_patching_is_what_one_part_at_one_position_does() -> None:
    problem = known.problem("modular_sum")
    found = take(problem)
    n = found.inputs
    tokens, others = (problem.task.draw(0, i, n, held_out=True) for i in range(2))
    right, rival = problem.task.answer(tokens)[:, 2], problem.task.answer(others)[:, 2]
    from assay_catalogue.circuits.picture.heads import against_others

    donor = dict(against_others(problem, 0)[0].donor)
    at = np.arange(n)

    def number(on: np.ndarray, **changed: object) -> float:
        logits = problem.logits(on, **changed)[:, 2]
        return float(np.mean(logits[at, right] - logits[at, rival]))

    everything = {part: (lambda _, x=x: x) for part, x in donor.items()}
    full, empty = number(tokens), number(tokens, written=everything)
    taken = found.patching[0]
    for i, name in enumerate(taken.rows):
        for s in range(3):

            def put(out: torch.Tensor, name: str = name, s: int = s) -> torch.Tensor:
                mixed = out.clone()
                mixed[:, :, s] = donor[Part.parse(name)][:, :, s]
                return mixed

            lost = (full - number(tokens, written={Part.parse(name): put})) / (full - empty)
            assert taken.values[i][s] == pytest.approx(lost, abs=1e-9), (name, s)


def test_a_table_over_tokens_is_the_product_of_weights() -> None:
    problem = known.problem("sorting")
    p = {name: x[0].numpy() for name, x in problem.params.items()}
    ov, qk = take(problem).tables
    V, Q, K = (p["W_QKV"][0, :, i, 0] for i in (2, 0, 1))
    assert np.allclose(ov.values, p["W_E"] @ V @ p["W_O"][0, 0] @ p["W_U"])
    assert np.allclose(qk.values, p["W_E"] @ Q @ (p["W_E"] @ K).T / Q.shape[1] ** 0.5)
    assert ov.rows == problem.task.tokens and ov.columns == problem.task.answers[: problem.classes]


@pytest.mark.parametrize("name", known.names())
def test_the_graph_has_the_explanations_variables_and_edges_and_no_others(name: str) -> None:
    table = tomllib.loads(known.text(name))
    problem = known.problem(name)
    tokens = problem.task.draw(0, 0, 32, held_out=True)
    found = graph(Program(known.explained(name), problem), None, (), tokens, 0)
    variables = table["variables"]
    end = "answer" if "answer" in table else "logits"
    rules = {v: of["is"] for v, of in variables.items()} | {
        end: " ".join([table[end]["is"]] if end == "answer" else table[end]["are"])
    }
    wanted = set()
    for target, rule in rules.items():
        told = (variables | {end: table[end]})[target].get("reads") or re.findall(
            r"[a-z_]+", re.sub(r"'[^']*'", "", rule)
        )
        for read in told:
            source, _, slot = read.partition(".")
            if source in {*variables, "token", "place"}:
                wanted.add((source, target, slot))
    links = {(x.source, x.target, slot) for x in found.links for slot in x.slots or ("",)}
    assert links == wanted
    assert {n.name for n in found.nodes} == {*variables, end} | {s for s, _, _ in wanted}
    lives = {n.name: list(n.places) for n in found.nodes if n.kind == "variable"}
    assert lives == {
        v: [of["at"]] if isinstance(of.get("at"), str) else of.get("at", [])
        for v, of in variables.items()
    }
    depth = {n.name: n.depth for n in found.nodes}
    assert all(depth[x.source] < depth[x.target] for x in found.links)


def test_a_wire_costs_what_showing_one_reader_the_other_writing_costs(redundant: Picture) -> None:
    from assay_catalogue.circuits.find.attribution import by_cutting
    from assay_catalogue.circuits.picture.heads import against_others

    q, _ = against_others(known.problem("redundant"), 0)
    every = {
        f"{u} → {v}": float(x)
        for (u, v), x in zip(q.edges, (by_cutting(q).mean() / q.span()[:, None])[0], strict=True)
    }
    wires = [w for link in redundant.graph.links for w in link.wires]
    assert len(wires) == 9 and all(cost == pytest.approx(every[wire]) for wire, cost in wires)


def test_scrubbing_one_variable_alone_tells_a_right_one_from_a_wrong_one() -> None:
    problem = known.problem("modular_sum")
    tokens = problem.task.draw(5, 0, 200, held_out=True)
    right, other = singly(Program(known.explained("modular_sum"), problem), tokens, "remainder", 0)
    wrong, _ = singly(Program(known.rival("modular_sum"), problem), tokens, "remainder", 0)
    assert right == pytest.approx(1, abs=1e-6) and other > 0.5 and wrong < 0.8


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
    found = take(drawn(vocab=200, length=48, layers=2, heads=10))
    assert (
        len(found.attention) == maps.HEADS
        and len(found.attention[0].mean.rows) == maps.PLACES
        and not found.tables
    )
    assert found.attention[0].mean.rows[0] == "position 16" and found.first == 16
    said = " ".join(found.left_out)
    assert all(word in said for word in ("4 of 20 heads", "last 32 of 48 positions", "200 tokens"))
    assert len(json.dumps(to_json(found))) < 2_500_000
    assert max(
        len(t) for e in found.examples for t in e.tokens
    ) <= maps.NAME and "\u202e" not in json.dumps(to_json(found), ensure_ascii=False)


def test_a_task_that_asks_nothing_still_shows_where_heads_look() -> None:
    problem = drawn(vocab=5, length=4, layers=1, heads=1)
    silent = Task(
        "silent", problem.task.tokens, problem.task.answers, 4, problem.task.drawn, unasked
    )
    found = take(Problem(silent, problem.params))
    assert (
        not found.parts
        and not found.patching
        and "no position" in found.left_out[0]
        and len(found.attention) == 1
    )


def test_a_model_is_not_changed_and_the_same_seed_gives_the_same_picture(
    redundant: Picture,
) -> None:
    problem = known.problem("redundant")
    before = {name: x.clone() for name, x in problem.params.items()}
    again = take(problem, known.explained("redundant"))
    assert to_json(again) == to_json(redundant)
    assert all(torch.equal(before[name], x) for name, x in problem.params.items())
    assert (
        run_by_parts(problem.params, torch.zeros(1, 8, dtype=torch.long)).logits.shape[-1]
        == problem.classes
    )


def test_depth_follows_what_is_said_to_be_read_whatever_the_order():
    reads = {"sum": ("letters.q", "place"), "letters": ("token", "place"), "answer": ("sum",)}
    assert depths(reads) == {"token": 0, "place": 0, "letters": 1, "sum": 2, "answer": 3}
    assert depths({"a": ("b",), "b": ("a",)})["a"] == 2  # a circle of what is said ends
