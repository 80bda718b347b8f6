"""Every method held to circuits by construction: what it finds of the edges that are known, and
where it must be seen to fail."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.core.errors import DataError
from assay_catalogue.circuits.find.attribution import (
    Scores,
    by_chance,
    by_cutting,
    by_gradient,
    by_integrated_activations,
    by_integrated_gradients,
    by_pairs,
    interaction,
    pairs_of_parts,
    pruned,
)
from assay_catalogue.circuits.find.cutting import grid, without_edges
from assay_catalogue.circuits.find.known import Held, held, match, question_of
from assay_catalogue.circuits.find.paths import path_effects, paths
from assay_catalogue.circuits.find.tables import copying, ov_table, qk_table
from assay_catalogue.circuits.find.terms import direct, score_terms
from assay_catalogue.subjects.parts import Part, Reader
from assay_catalogue.worlds.algorithms.built.brackets import brackets
from assay_catalogue.worlds.algorithms.built.induction import induction
from assay_catalogue.worlds.algorithms.built.modular_sum import modular_sum
from assay_catalogue.worlds.algorithms.built.redundant import redundant
from assay_catalogue.worlds.algorithms.built.sorting import sorting
from assay_catalogue.worlds.algorithms.built.two_hops import two_hops

BUILT = {f.__name__: f for f in (induction, sorting, modular_sum, brackets, two_hops, redundant)}
PAGE = Path(__file__).parents[2] / "docs/finding-circuits.md"
CONSTANT = {"brackets": {"embed → logits"}, "two_hops": {"embed → logits"}}
"""Wires that carry the same on every input: what the end says, and a 1."""
ROWS = {
    "cutting each": by_cutting,
    "EAP": by_gradient,
    "EAP-IG, inputs": by_integrated_gradients,
    "EAP-IG, activations": by_integrated_activations,
    "cutting pairs": by_pairs,
}
DRAWS = 8
"""Rankings at chance that are averaged."""
N, NOISE = 16, 0.001


def names(q, marked) -> set[str]:
    return {f"{u} → {v}" for (u, v), yes in zip(q.edges, marked, strict=True) if yes}


def wires(circuit) -> set[str]:
    return {f"{u} → {v}" for u, v in circuit.wires}


@pytest.mark.parametrize("name", BUILT)
def test_cutting_each_edge_finds_every_wire_that_inputs_change_and_nothing_else(name):
    q = question_of(circuit := BUILT[name](), N)
    assert names(q, by_cutting(q).found(q)[0]) == wires(circuit) - CONSTANT.get(name, set())
    assert names(q, pruned(q)) == wires(circuit) - CONSTANT.get(name, set())


@pytest.mark.parametrize("name", BUILT)
def test_no_method_finds_an_edge_that_is_none(name):
    """Precision 1 on circuits without noise, whatever recall is."""
    q = question_of(circuit := BUILT[name](), 8)
    for method in (by_gradient, by_integrated_gradients, by_integrated_activations):
        assert names(q, method(q).found(q)[0]) <= wires(circuit)


@pytest.mark.parametrize("name", ["brackets", "two_hops"])
def test_what_is_the_same_on_every_input_is_found_where_parts_write_nothing(name):
    q = question_of(BUILT[name](), N, "nothing")
    at = [f"{u} → {v}" for u, v in q.edges].index(*CONSTANT[name])
    lost = by_cutting(q).values[0, :, at]
    np.testing.assert_allclose(
        lost.abs(), 30.0, atol=1e-9
    )  # for one answer and against the other, so that its mean says little


def test_of_two_copies_gradients_and_single_cuts_see_nothing_and_joint_cuts_both():
    circuit = redundant()
    q = question_of(circuit, N, "nothing")
    copied = {
        f"{part} → {reader}"
        for h in (0, 1)
        for part, reader in (("embed", f"a0.{h}.v"), (f"a0.{h}", "m0"))
    }
    assert copied < wires(circuit)
    assert not names(q, by_cutting(q).found(q)[0]) & copied
    assert names(q, by_gradient(q).found(q)[0]) == {"m0 → logits"}
    assert names(q, by_pairs(q).found(q)[0]) == wires(circuit)
    heads = [q.parts.index(Part("head", 0, h)) for h in (0, 1)]
    pairs = pairs_of_parts(q).mean(1)[0]
    assert float(pairs.diagonal()[heads].abs().max()) < 1e-9
    assert float(pairs[heads[0], heads[1]]) == pytest.approx(float(q.span()))  # all there is
    assert float(interaction(pairs_of_parts(q))[0, :, heads[0], heads[1]].mean()) == pytest.approx(
        float(q.span())
    )


def test_of_two_copies_pruning_keeps_one_which_is_enough_and_not_all():
    circuit = redundant()
    q = question_of(circuit, N, "nothing")
    kept = pruned(q)
    one = {w for w in wires(circuit) if "a0.1" not in w}
    assert names(q, kept) in (one, {w.replace("a0.0", "a0.1") for w in one})
    alone, taken_out = without_edges(q, torch.stack([~kept, kept])).mean(2)[0]
    assert float(alone) == pytest.approx(float(q.span()))  # it does all
    assert float(without_edges(q, q.named(circuit.wires)[None]).mean()) == pytest.approx(0)
    assert float(taken_out) == pytest.approx(0)  # but both copies share the neurons


def test_pairs_do_not_see_three_copies_and_pruning_keeps_one_of_them():
    circuit = redundant(heads=3)
    q = question_of(circuit, 8, "nothing")
    assert not {f"a0.{h} → m0" for h in range(3)} & names(q, by_pairs(q).found(q)[0])
    assert len({f"a0.{h} → m0" for h in range(3)} & names(q, pruned(q))) == 1


@pytest.mark.parametrize("name", BUILT)
def test_direct_attribution_names_the_parts_whose_wires_end_at_the_logits(name):
    q = question_of(circuit := BUILT[name](), N)
    found = {str(part) for part, x in direct(q).of.items() if float(x.abs().max()) > 1e-6}
    assert found == {str(u) for u, v in circuit.wires if v == Reader("logits")}


@pytest.mark.parametrize("name", [name for name in BUILT if name != "redundant"])
def test_paths_that_matter_are_those_made_of_wires(name):
    q = question_of(circuit := BUILT[name](), 8)
    known = wires(circuit) - CONSTANT.get(name, set())
    every = [path for part in q.parts if part.layer < 0 for path in paths(q.params, part)]
    lost = path_effects(q, every)[0].mean(1).abs() >= 0.01 * q.span().abs()
    for path, matters in zip(every, lost, strict=True):
        writers = [path.start, *(reader.of for reader in path.through[:-1])]
        assert bool(matters) == (
            {f"{u} → {v}" for u, v in zip(writers, path.through, strict=True)} <= known
        ), str(path)


def test_of_two_copies_no_path_of_values_loses_anything_by_removal():
    q = question_of(redundant(), 8, "nothing")
    lost = path_effects(q, [path for path in paths(q.params, Part("embed")) if "m0" in str(path)])
    assert float(lost.mean(2).abs().max()) < 1e-9


def test_a_grid_shows_where_each_part_of_induction_works():
    """What follows a token is asked in the second half: there the reading head works, and the head
    before it in the first."""
    q = question_of(induction(), N)
    found = grid(q)[0].mean(0)
    share = (found.abs() / float(q.span())).numpy()
    at = {str(part): share[i] for i, part in enumerate(q.parts)}
    asked = np.flatnonzero(q.weights.abs().sum((0, 2)).numpy())
    assert set(np.flatnonzero(at["a1.0"] > 0.01)) == set(asked) and asked.min() == 9
    assert set(np.flatnonzero(at["a0.0"] > 0.05)) == set(
        range(2, 9)
    )  # copies of what stood before, at what is read
    assert at["a0.1"].max() < 1e-9 and at["a1.1"].max() < 1e-9
    back = grid(q, restored=True)[0].mean(0)
    assert float(back[q.parts.index(Part("head", 1, 0)), asked].sum()) > 0.5 * float(q.span())


def test_scores_of_induction_are_made_by_what_it_says():
    q = question_of(induction(), N)
    terms = score_terms(q, 1, 0)
    i, j = terms.sources.index(Part("embed")), terms.sources.index(Part("head", 0, 0))
    assert float(terms.share[0, i, j]) == pytest.approx(1.0, abs=1e-9)
    first = score_terms(q, 0, 0)
    k = first.sources.index(Part("pos"))
    assert float(first.share[0, k, k]) == pytest.approx(1.0, abs=1e-9)


def test_tables_of_induction_and_sorting_are_the_ones_written_down():
    built = induction()
    key = ("embed", (Part("head", 0, 0),))
    torch.testing.assert_close(
        qk_table(built.params, Part("head", 1, 0), key=key)[0],
        30 * torch.eye(17, dtype=torch.float64),
    )
    torch.testing.assert_close(
        ov_table(built.params, Part("head", 1, 0))[0], 30 * torch.eye(17, 16, dtype=torch.float64)
    )
    assert (
        not ov_table(built.params, Part("head", 1, 1)).any()
        and float(copying(ov_table(built.params, Part("head", 1, 0)))) == 1
    )
    back = qk_table(built.params, Part("head", 0, 0), ("pos", ()), ("pos", ()))[0]
    torch.testing.assert_close(back, 30 * torch.diag(torch.ones(16, dtype=torch.float64), -1))
    table = qk_table(sorting().params, Part("head", 0, 0))[0]
    for d in range(21):
        for s in range(21):
            assert float(table[d, s]) == pytest.approx(-20.0 * (s - d) if s > d else -20.0 * 4 * 21)


def test_noise_on_weights_is_as_large_as_asked_and_leaves_the_answers():
    plain, noisy = question_of(sorting(), 64), question_of(sorting(), 64, noise=NOISE)
    off = torch.cat([(noisy.params[name] - x).flatten() for name, x in plain.params.items()])
    assert float(off.std()) == pytest.approx(NOISE, rel=0.05) and torch.equal(
        plain.tokens, noisy.tokens
    )
    assert float(noisy.full.mean()) == pytest.approx(float(plain.full.mean()), rel=0.1)


def test_scores_of_several_runs_are_not_held_to_one_circuit():
    q = question_of(sorting(), 4)
    two = Scores(q.edges, by_gradient(q).values.expand(2, -1, -1))
    with pytest.raises(DataError, match="one run"):
        held(q, two, q.named(sorting().wires).numpy())


def cells(title: str) -> dict[str, dict[str, str]]:
    """A table of the page: row, column → what stands there."""
    lines = PAGE.read_text().partition(f"| {title} |")[2].split("\n\n")[0].splitlines()
    columns = [c.strip() for c in lines[0].strip("| ").split("|")]
    rows = [[c.strip() for c in line.strip("| ").split("|")] for line in lines[2:]]
    return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}


def asked(column: str, noise: float):
    name, _, removed = column.partition(", ")
    circuit = induction(half=4, values=8) if name == "induction" else BUILT[name]()
    return circuit, question_of(circuit, N, "nothing" if removed else "other", noise=noise)


COLUMNS = [
    "sorting",
    "modular_sum",
    "two_hops",
    "brackets",
    "redundant",
    "redundant, removed",
    "induction",
]


def two(x: float) -> str:
    return f"{x:.2f}"


def shown(*found: Held) -> tuple[str, str]:
    ranked = np.mean([(one.auroc, one.cpr, one.cmd) for one in found], 0)
    return f"{two(found[0].match.precision)} / {two(found[0].match.recall)}", " · ".join(
        map(two, ranked)
    )


def numbers(cell: str) -> list[float]:
    return [float(x) for x in re.findall(r"-?\d+\.\d+", cell.replace("−", "-"))]


def made(column: str) -> dict[str, tuple[str, str]]:
    """Each row of both tables: precision and recall without noise; area under the ROC curve, CPR
    and CMD with it."""
    circuit, q = asked(column, 0.0)
    _, noisy = asked(column, NOISE)
    true = q.named(circuit.wires).numpy()
    out = {
        row: (shown(held(q, method(q), true))[0], shown(held(noisy, method(noisy), true))[1])
        for row, method in ROWS.items()
    }
    one = match(pruned(q).numpy(), true)
    out["pruning"] = f"{two(one.precision)} / {two(one.recall)}", ""
    out["the wires first"] = (
        "",
        shown(held(noisy, Scores(q.edges, torch.from_numpy(true).double().expand(1, N, -1)), true))[
            1
        ],
    )
    out["chance"] = (
        "",
        shown(*(held(noisy, by_chance(noisy, [seed]), true) for seed in range(DRAWS)))[1],
    )
    return out


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(column, marks=pytest.mark.thorough)
        if column in ("induction", "brackets", "redundant", "redundant, removed")
        else column
        for column in COLUMNS
    ],
)
def test_the_tables_of_the_page_are_what_comes_out(column):
    tables = cells("found"), cells("ranked")
    for row, both in made(column).items():
        for table, cell in zip(tables, both, strict=True):
            assert (row in table) == bool(cell), row
            assert numbers(table[row][column] if cell else "") == pytest.approx(
                numbers(cell), abs=0.011
            ), f"{row}: {column}"
