"""What is planted is found: two blocks part features by their path, with precision and recall; a
wrong metric or no price does not."""

import functools

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.runs import Runs
from assay.dictionaries.dictionary import Dictionary
from assay.train.rng import normal
from assay_catalogue.experiments.path_split import blocks
from assay_catalogue.experiments.path_split.material import PLANTED, aside, planted, unit
from assay_catalogue.experiments.path_split.method import PathSplit, measure, train, train_together

D, HALF = 64, PLANTED // 2


@functools.cache
def trained(pays="other", alpha=0.3):
    runs = Runs([PathSplit(subject="planted", steps=300, pays=pays, alpha=alpha)])
    return runs, train(runs, Unkept())


def planted_rows():
    """The planted directions written again: first those that act directly."""
    own = np.array([0])
    Q, _ = torch.linalg.qr(torch.from_numpy(normal(own, "path-split.space", 0, (D, D))[0]))
    axes = Q[:, : D // 2], Q[:, D // 2 :]
    return torch.cat(
        [
            unit(torch.from_numpy(normal(own, "path-split.rows", i, (HALF, D // 2))[0]) @ a.T)
            for i, a in enumerate(axes)
        ]
    )


def parted(**fields):
    """(recall, precision): planted features that some row is, in the half of their path; of those
    that some row is, those."""
    rows = Dictionary.of(trained(**fields)[1]).W_dec[0]
    best, which = (planted_rows() @ rows.T).max(1)
    right = (which >= len(rows) // 2) == (torch.arange(PLANTED) >= HALF)
    found = best > 0.8
    return float((found & right).float().mean()), float(right[found].float().mean())


def test_planted_features_are_found_in_the_half_of_their_path():
    recall, precision = parted()
    assert recall > 0.85 and precision > 0.95


@pytest.mark.parametrize("fields", [{"pays": "turned"}, {"alpha": 0.0}])
def test_a_wrong_metric_or_no_price_parts_nothing(fields):
    _, precision = parted(**fields)
    assert precision < 0.7


def test_effects_of_planted_features_are_those_of_their_half_of_the_space():
    made = planted(0, D, 64)
    for path, M in (("direct", made.metrics.direct), ("indirect", made.metrics.indirect)):
        g = torch.cat([draw[path] for draw in made.pulls]).double()
        assert float((g.T @ g / len(g) - M).norm()) < 0.1 * float(M.norm())
    np.testing.assert_allclose(
        made.metrics.share(planted_rows()), np.repeat([1, 0], HALF), atol=1e-5
    )


def test_turned_parts_lie_in_the_plane_of_part_and_stream_at_the_share_of_their_angle():
    own = np.random.default_rng(0)
    part, stream, g = (torch.from_numpy(own.normal(size=16)) for _ in range(3))
    part, stream = unit(part[None]), unit(stream[None])
    for sign in (1.0, -1.0):
        pulled = blocks._pulled(
            g[None, None], part, part, stream[None], torch.full((1, 1, 1), 2.0 * sign)
        )
        angle = float((sign * part * stream).sum().acos())
        beside = unit(stream - (part * stream).sum() * part)
        for kind, effect in zip(blocks.KINDS[2:], pulled[2:], strict=True):
            t = angle * blocks.TURNS[kind]
            turned = np.cos(t) * sign * part + np.sin(t) * beside
            np.testing.assert_allclose(float(effect), float(turned @ g), rtol=1e-9)


def test_a_part_turned_aside_keeps_its_length_and_lies_half_way():
    own = torch.Generator().manual_seed(0)
    part, towards = torch.randn(2, 5, 16, generator=own).double()
    turned = aside(part, towards)
    np.testing.assert_allclose(turned.norm(dim=1), part.norm(dim=1))
    cosines = [(unit(turned) * unit(x)).sum(1) for x in (part, towards)]
    np.testing.assert_allclose(*cosines)
    angle = (unit(part) * unit(towards)).sum(1).acos()
    np.testing.assert_allclose(cosines[0], (angle / 2).cos())


def test_measures_have_all_ways_to_part_features():
    runs, done = trained()
    data = measure(runs, done, Unkept()).isel(run=0)
    trained_half, random = (data.sel(halves=how).sum("document") for how in ("trained", "random"))
    share = trained_half.direct / (trained_half.direct + trained_half.indirect)
    assert float(share[0]) > 0.95 and float(share[1]) < 0.05
    by_lot = random.direct / (random.direct + random.indirect)
    assert abs(float(by_lot[0] - by_lot[1])) < 0.3
    for path in ("direct", "indirect"):  # however parted, it is the same sum
        np.testing.assert_allclose(
            data[path].sum("half").sel(halves="random"),
            data[path].sum("half").sel(halves="trained"),
            rtol=1e-6,
        )


def test_arms_that_train_together_get_what_each_gets_alone():
    short = PathSplit(subject="planted", steps=12)
    arms = [
        Runs([s.replace(alpha=alpha) for alpha in (0.0, 0.3)])
        for s in (
            short,
            short.replace(steps=6),
            short.replace(pays="turned"),
            short.replace(frozen="soft-decoder"),
        )
    ]
    for runs, found in zip(arms, train_together(arms, Unkept()), strict=True):
        alone = train(runs, Unkept())
        assert found.steps[-1] == runs.shared.steps
        for name, x in alone.tensors.items():
            np.testing.assert_array_equal(found.tensors[name], x, name)
