"""Planted tokens: each exactly as often as asked, never where nothing reads or predicts it, and
never where copying is learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.core.errors import SpecError
from assay_catalogue.data.planted_tokens import Planting, counted, planted_batches

PLANTING = Planting(ordinary=20, exposures=(0, 0, 1, 4, 16), repeats=0.25)
SEEDS = np.array([3, 5, 3])
HOW = {"steps": 12, "batch": 8, "context": 10}


def text(step):
    return torch.from_numpy(np.random.default_rng(step).integers(20, size=(3, 8, 10)))


def test_each_token_stands_as_often_as_asked_in_every_run():
    draw = planted_batches(PLANTING, text, SEEDS, **HOW)
    count = counted(draw, 12, 3, PLANTING.vocab)
    assert (count[:, 20:] == np.array(PLANTING.exposures)).all() and count.sum(1).tolist() == [
        12 * 8 * 10
    ] * 3
    whole = torch.stack([draw(step) for step in range(12)])  # [step, run, b, s]
    assert (whole[..., [0, -1]] < 20).all() and (
        whole[:, :, :2] < 20
    ).all()  # two of eight windows repeat
    assert torch.equal(
        whole[:, 0], whole[:, 2].where(whole[:, 0] >= 20, whole[:, 0])
    ) and not torch.equal(whole[:, 0] >= 20, whole[:, 1] >= 20)
    elsewhere = whole[:, :, 2:] < 20
    original = torch.stack([text(step) for step in range(12)])[:, :, 2:]
    assert torch.equal(whole[:, :, 2:][elsewhere], original[elsewhere])


def test_repeating_windows_repeat_and_leave_half_of_the_tokens_out():
    draw = planted_batches(PLANTING, text, SEEDS, **HOW)
    quiet = PLANTING.quiet(SEEDS)
    assert (
        quiet.sum(1).tolist() == [10] * 3
        and not quiet[:, 20:].any()
        and (quiet[0] == quiet[2]).all()
    )
    loops = torch.stack([draw(step)[:, :2] for step in range(12)]).numpy()
    for run in range(3):
        rows = loops[:, run].reshape(-1, 10)
        assert not quiet[run][rows].any()
        assert all(any((row[p:] == row[:-p]).all() for p in range(1, 6)) for row in rows)
    assert (draw(7) == draw(7)).all()


def test_too_many_occurrences_are_refused():
    with pytest.raises(SpecError, match="21 planted occurrences need as many places, got 8"):
        planted_batches(PLANTING, text, SEEDS, steps=1, batch=1, context=10)
