"""Concept erasure (LEACE) against its formula by whitening, and by what it promises."""

import numpy as np
import pytest
import torch
from naive_asking import READS, Naive, direction, intervention, make, measured, rows_of

from assay.ask.measure import bases, controls, directions, interventions, subspaces
from assay.ask.tables import Direction, Read
from assay.core.errors import DataError
from assay.subjects.site import Site

SITE = "blocks.1.hook_resid_pre"
NOUNS = ["add", "return", "class", "Point", "sum", "of", "def", "name", "list", "x", "y", "text"]
ROWS = [{"noun": n, "number": k, "v": v} for n in NOUNS for k, v in (("one", "is"), ("two", "are"))]
NUMBER = direction(site=SITE, prompts="learnt", label="number", difference=("one", "two"))


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("asked") / "llama", "llama", hidden_size=8)
    return folder, Naive(folder)


@pytest.fixture(scope="module")
def learnt():
    return rows_of(*ROWS, name="learnt", text="{noun} {v} a")


def leace(x, z):
    """The eraser as the paper has it: whiten, take out the span of the whitened cross-covariance
    by an orthogonal projection, and undo the whitening; x [n, d], z [n, k]."""
    n, d = x.shape
    centred, labels = x - x.mean(0), z - z.mean(0)
    sample = centred.T @ centred / n
    # shrinkage of Bodnar et al., target the identity of the same trace
    target = np.eye(d) * np.trace(sample) / d
    both = (sample**2).sum() * (target**2).sum() - np.trace(sample @ target) ** 2
    alpha = 1 - np.trace(sample) ** 2 * (target**2).sum() / n / both
    sigma = alpha * sample + (1 - alpha) * target
    values, basis = np.linalg.eigh(sigma)
    whiten = basis @ np.diag(values**-0.5) @ basis.T
    unwhiten = basis @ np.diag(values**0.5) @ basis.T
    u, s, _ = np.linalg.svd(whiten @ centred.T @ labels, full_matrices=False)
    u = u[:, s > 1e-8 * s[0]]
    return lambda y: y - (y - x.mean(0)) @ (unwhiten @ u @ u.T @ whiten).T


def examples(naive, learnt):
    rows = learnt.sample(range(len(ROWS)), 0, labelled=True, label="number")
    some = [learnt.rows[i] for i in rows]
    x = torch.stack([naive.acts(row.text, SITE)[-1] for row in some]).double().numpy()
    return x, np.array([[r.columns["number"] == "one", r.columns["number"] == "two"] for r in some])


def test_what_is_read_after_an_erasure_is_what_the_papers_formula_gives(subject, learnt):
    folder, naive = subject
    erase = leace(*(a.astype(float) for a in examples(naive, learnt)))

    def change(x):
        x[:, -1] = torch.from_numpy(erase(x[0, -1].double().numpy())).to(x)
        return x

    shown = rows_of({"t": "a b"}, {"t": "sum of all"}, text="{t} is")
    table = intervention(erase="d", position=2)
    got = measured(folder, shown, table, tables=(NUMBER,), sources=(learnt,))[0]["one"][0]
    plain = measured(folder, shown)[0]["one"][0]
    for row, number in zip(shown.rows, got, strict=True):

        def at(x):
            x[:, 2] = torch.from_numpy(erase(x[0, 2].double().numpy())).to(x)
            return x

        assert number == pytest.approx(naive.reads(row.text, {SITE: at})[0], abs=2e-4)
    assert not np.allclose(got, plain, atol=1e-3)


def learner_of(x):
    """A learner from prompts whose activations are these numbers."""
    rows = rows_of(*ROWS, name="learnt", text="{noun} {v} a")
    shown = rows_of({"t": "a"}, text="{t}")
    return directions.Learner(None, shown, {"learnt": rows}, lambda *_: x, None), rows


@pytest.mark.parametrize("width", [5, 40])  # fewer, and more, than rows
def test_no_linear_regression_of_the_label_is_better_than_its_mean(width):
    """Of the rows from which it is learned; by a direction at right angles one still is."""
    x = torch.randn(len(ROWS), width, generator=torch.Generator().manual_seed(1))
    x[::2] += torch.linspace(0, 2, width)
    x = x @ torch.randn(width, width, generator=torch.Generator().manual_seed(2))
    of, rows = learner_of(x)
    site = Site.parse(SITE)
    vector = of.vector(NUMBER, site, 0)
    erased = subspaces.erasing(of.examples(NUMBER, site, 0).acts, vector)(x[None])[0]
    some = rows.sample(range(len(ROWS)), 0, labelled=True, label="number")
    labels = np.array([ROWS[i]["number"] == "one" for i in some], dtype=float)
    means = [erased[[i for i in some if ROWS[i]["number"] == k]].mean(0) for k in ("one", "two")]
    np.testing.assert_allclose(*means, atol=1e-4)
    left = np.cov(np.c_[erased[some].numpy(), labels], rowvar=False)[-1, :-1]
    np.testing.assert_allclose(left, 0, atol=1e-4)


def test_less_is_changed_than_by_taking_the_difference_out():
    """In the metric of the covariance, in which an orthogonal projection is not the nearest."""
    draw = torch.Generator().manual_seed(3)
    mixing = torch.randn(6, 6, generator=draw)
    x = torch.randn(len(ROWS), 6, generator=draw) @ mixing
    x[::2] += 1.0
    of, rows = learner_of(x)
    site = Site.parse(SITE)
    vector = of.vector(NUMBER, site, 0)
    some = rows.sample(range(len(ROWS)), 0, labelled=True, label="number")
    sample = x[some].double()
    metric = torch.linalg.inv(bases.covariance(sample))
    unit = vector / vector.norm()
    centred = x[some] - x[some].mean(0)
    moved = {
        "erased": x[some] - subspaces.erasing(of.examples(NUMBER, site, 0).acts, vector)(x[some]),
        "projected": (centred @ unit)[:, None] * unit,
    }
    sizes = {k: float(((m.double() @ metric) * m.double()).sum()) for k, m in moved.items()}
    assert sizes["erased"] < 0.999 * sizes["projected"]


def test_the_first_token_is_left_as_it_is(subject, learnt):
    """Its activations are many times larger than those from which the eraser is learned."""
    folder, naive = subject
    size = Read(name="size", norm=True, site=SITE, position=0)
    more = {"tables": (NUMBER,), "sources": (learnt,), "reads": (size,)}
    shown = rows_of({"t": "a b"}, {"t": "sum of"}, text="{t} is")
    got = measured(folder, shown, intervention(erase="d"), **more)[0]["size"][0]
    plain = [float(naive.acts(row.text, SITE)[0].norm()) for row in shown.rows]
    np.testing.assert_allclose(got, plain, atol=1e-4)


@pytest.mark.parametrize(
    ("table", "change"),
    [(NUMBER, {"site": "blocks.2.hook_resid_pre"}), (NUMBER, {"window": (-1, 1)})],
)
def test_an_erasure_of_no_two_labels_or_elsewhere_is_refused(table, change):
    with pytest.raises(DataError, match="a concept is erased where its direction is learned"):
        interventions.check(intervention(erase="d", **change), (table,))


KINDS = ("a", "b", "c")
OF_KINDS = [
    {"noun": n, "kind": KINDS[i % 3], "v": v} for v in ("is", "are") for i, n in enumerate(NOUNS)
]


def null_projection(x, kinds, iterations):
    """INLP in the plain way: ridge regressions by their normal equations, each on what a product of
    projections leaves, and the rows of their weights from singular vectors."""
    x = x - x.mean(0)
    y = np.array([[k == name for name in {*kinds}] for k in kinds], dtype=float)
    left = np.eye(x.shape[1])
    for _ in range(iterations):
        z = x @ left
        penalty = 0.1 * np.trace(z @ z.T) / len(z)
        weights = np.linalg.solve(z.T @ z + penalty * np.eye(x.shape[1]), z.T @ (y - y.mean(0)))
        u, s, _ = np.linalg.svd(weights, full_matrices=False)
        u = u[:, s > 1e-6 * s[0]]
        left = left @ (np.eye(x.shape[1]) - u @ u.T)
    return left


@pytest.fixture(scope="module")
def of_kinds():
    return rows_of(*OF_KINDS, name="learnt", text="{noun} {v} a")


def after(naive, shown, change):
    """What is read where a plain hook changes token 2 of each text."""
    for row in shown.rows:

        def at(x):
            x[:, 2] = torch.from_numpy(change(x[0, 2].double().numpy())).to(x)
            return x

        yield naive.reads(row.text, {SITE: at})[0]


@pytest.mark.parametrize("way", ["leace", "inlp", "inlp of two", "means"])
def test_a_label_of_several_values_is_erased_as_naive_code_does(subject, of_kinds, way):
    folder, naive = subject
    labels = KINDS[:2] if way == "inlp of two" else KINDS
    asked = {"probe": labels, "iterations": 2} if "inlp" in way else {"difference": labels}
    table = direction(site=SITE, prompts="learnt", label="kind", **asked)
    rows = [i for i, row in enumerate(OF_KINDS) if row["kind"] in labels]
    rows = of_kinds.sample(rows, 0, labelled=True, label="kind")
    x = [naive.acts(of_kinds.rows[i].text, SITE)[-1] for i in rows]
    x, kinds = torch.stack(x).double().numpy(), [OF_KINDS[i]["kind"] for i in rows]
    if "inlp" in way:
        left = null_projection(x, kinds, 2)
        assert np.linalg.matrix_rank(left, tol=1e-6) == 8 - 2 * (len(labels) - 1)
        change = lambda y: y @ left  # noqa: E731
    elif way == "means":
        means = np.stack([x[[k == name for k in kinds]].mean(0) for name in KINDS])
        apart = np.linalg.qr((means[1:] - means[0]).T)[0]
        change = lambda y: y - apart @ (apart.T @ y)  # noqa: E731
    else:
        change = leace(x, np.array([[k == name for name in KINDS] for k in kinds], dtype=float))
    shown = rows_of({"t": "a b"}, {"t": "sum of all"}, text="{t} is")
    done = intervention(**{"erase" if way == "leace" else "project_out": "d"}, position=2)
    more = {"tables": (table,), "sources": (of_kinds,)}
    interventions.check(done, (table,))
    got = measured(folder, shown, done, **more)[0]["one"][0]
    np.testing.assert_allclose(got, [*after(naive, shown, change)], atol=2e-4)
    assert not np.allclose(got, measured(folder, shown)[0]["one"][0], atol=1e-3)
    names = [c.name for c in controls.of_intervention(done, (table,))]
    assert names == ["random", "shuffled", "layer", "damage"]
    for name in names[:3]:
        other = measured(folder, shown, done, control=name, **more)[0]["one"][0]
        assert np.isfinite(other).all() and not np.allclose(other, got, atol=1e-3), name


def test_shuffled_labels_of_several_values_tell_nothing():
    """Each has as many rows of every true label, so that the means of true labels cancel."""
    label = np.repeat([0, 1, 2], 6)
    first, second = (bases.dealt(label, seed) for seed in (0, 1))
    for dealt in (first, second):
        counts = [[int(((label == k) & (dealt == n)).sum()) for n in range(3)] for k in range(3)]
        assert counts == [[2] * 3] * 3
    assert (first != second).any()
    with pytest.raises(DataError, match="one label has 2 of the rows"):
        bases.dealt(np.array([0, 0, 1, 1, 2, 2]), 0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"difference": ("a", "b", "a")}, "different labels, got 'a' twice"),
        ({"difference": ("a", "b"), "iterations": 3}, "iterations are of a probe"),
    ],
)
def test_labels_that_say_nothing_are_refused(fields, words):
    with pytest.raises(DataError, match=words):
        directions.check(direction(site=SITE, label="kind", **fields))


def test_a_subspace_is_not_added(of_kinds):
    table = direction(site=SITE, prompts="learnt", label="kind", probe=KINDS)
    with pytest.raises(DataError, match="with keep, project_out or erase; 'd' is several"):
        interventions.check(intervention(add="d"), (table,))
    with pytest.raises(DataError, match="a difference of two or more labels"):
        interventions.check(intervention(erase="d"), (table,))


def test_taking_a_direction_out_of_every_write_is_orthogonalising_the_weights(tmp_path):
    """W − v vᵀ W of the embedding and of each matrix that writes to the residual stream, in
    transformers (Arditi et al. 2024)."""
    folder = make(tmp_path / "llama", "llama")
    shown = rows_of({"t": "a b"}, {"t": "sum of all"}, text="{t} is")
    writes = [f"blocks.{n}.hook_{kind}_out" for n in range(3) for kind in ("attn", "mlp")]
    table = intervention(project_out="d", site=("hook_embed", *writes), position="all")
    given = Direction(name="d", embedding=(" a", "def"))
    numbers, _ = measured(folder, shown, table, tables=(given,))
    before, _ = measured(folder, shown)
    naive = Naive(folder)
    weights = naive.model.get_input_embeddings().weight.data
    v = weights[naive.tokens(" a")[0]] - weights[naive.tokens("def")[0]]
    v = v / v.norm()
    weights -= (weights @ v)[:, None] * v
    for block in naive.model.model.layers:
        for matrix in (block.self_attn.o_proj.weight, block.mlp.down_proj.weight):
            matrix.data -= v[:, None] * (v @ matrix.data)
    for i, row in enumerate(shown.rows):
        for read, number in zip(READS, naive.reads(row.text), strict=True):
            assert numbers[read.name].flatten()[i] == pytest.approx(number, abs=2e-4)
            assert abs(before[read.name].flatten()[i] - number) > 1e-2
