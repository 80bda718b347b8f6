"""What is told of followed latents, on densities and dictionaries whose answers are known."""

import numpy as np
import pytest
import torch

from assay_catalogue.features.training_measures import (
    BINS,
    KINDS,
    SHOWN,
    directions,
    encoders,
    gradients,
    histograms,
    savings,
    trajectories,
)

STEPS = np.array([100, 200, 400, 800, 1600, 2400, 3200])


class Planted:
    """Stands for snapshots: latent i has density start[i] · (step/100)^slope[i]."""

    def __init__(self, start, slope):
        self.steps = list(STEPS)
        self.start, self.slope = np.asarray(start), np.asarray(slope)

    def density(self, world, latents, at):
        t = STEPS[list(at)] / 100
        return self.start[latents][:, None] * t[None] ** self.slope[latents][:, None]


def kind(named, name, which):
    return named[name][1][KINDS.index(which)]


def test_trajectories_tell_planted_slopes_and_fates():
    snaps = Planted([1e-4] * 3 + [0.1] * 2, [-2.0, -1.0, 1.0, 0.0, 0.0])
    kinds = {
        "rare": np.array([0, 1, 2]),
        "ordinary": np.array([3, 4]),
        "useful": np.array([], dtype=int),
    }
    named = trajectories(snaps, None, kinds, 1e-3)
    assert kind(named, "slope", "rare") == pytest.approx(-1)
    assert kind(named, "late_slope", "rare") == pytest.approx(-1)
    assert kind(named, "fallen", "rare") == pytest.approx(2 / 3)
    assert kind(named, "risen", "rare") == pytest.approx(1 / 3)
    assert [
        kind(named, name, "ordinary") for name in ("slope", "fallen", "risen")
    ] == pytest.approx([0, 0, 1])
    assert kind(named, "followed", "useful") == 0
    assert np.isnan(kind(named, "slope", "useful"))
    assert np.isnan(kind(named, "slope", "pair"))
    assert kind(named, "quantiles", "rare")[0] == pytest.approx([-4, -4, -4])
    assert kind(named, "ends", "ordinary")[:2] == pytest.approx([-1, -1])
    assert len(kind(named, "ends", "ordinary")) == SHOWN


def test_the_median_density_falls_though_most_latents_stand_still_late():
    class Jumping(Planted):
        def density(
            self, world, latents, at
        ):  # each falls tenfold once: two early, one late, two never
            falls = np.array([2, 3, 4, 9, 9])[latents][:, None]
            return np.where(np.array(at)[None] > falls, 1e-5, 1e-4)

    named = trajectories(Jumping([], []), None, {"rare": np.arange(5)}, 1e-3)
    assert kind(named, "late_slope", "rare") < -2
    assert kind(named, "late_slope", "rare") > -5


def test_histograms_count_everyone_once():
    counts = histograms([np.array([0.0, 1e-20, 1e-3, 0.5, 1.0])])["histogram"][1][0]
    assert counts.sum() == 5
    assert counts[0] == 2
    assert counts[np.searchsorted(BINS, np.log10(0.5)) - 1] >= 1


def test_a_dictionary_in_which_every_answer_is_known():
    """Two ordinary latents read what they write; two rare ones read across what they write, along
    one direction."""
    eye = torch.eye(4)
    encoder = torch.stack([eye[0], eye[1], eye[2], eye[2]], 1)
    params = {
        "W_enc": encoder,
        "b_enc": torch.tensor([0.0, 0.0, -2.0, -2.0]),
        "W_dec": eye[[0, 1, 3, 3]],
        "b_dec": torch.zeros(4),
    }
    x = torch.rand(4000, 4, generator=torch.Generator().manual_seed(0))
    x[:, 3] = 0
    x[:20, 2] = 3
    kinds = {
        "rare": np.array([2, 3]),
        "ordinary": np.array([0]),
        "ordinary-2": np.array([1]),
        "useful": np.array([], dtype=int),
    }
    assert directions(params).tolist() == [1, 1, 0, 0]
    found = encoders(params, torch.randn(4, 4, generator=torch.Generator().manual_seed(1)), kinds)
    assert found["cosine"][0] == pytest.approx(
        {"rare": 0, "ordinary": 1, "ordinary-2": 1, "useful": float("nan")}, nan_ok=True
    )
    found = savings(params, x, kinds, np.random.default_rng(0))
    # Each rare latent writes 1 where 0 is: both together err by 4, each alone leaves 1. Joint −4,
    # single −3 − 3 a row
    assert found["synergy"][0]["rare"] == pytest.approx(20 * (-4 + 6), rel=1e-4)
    assert found["events"][0]["rare"] == 40
    found = gradients(params, x, kinds, 0.1)
    # Ordinary latents reconstruct exactly: the penalty is the whole gradient. Rare ones pull down
    # by 2·2 beside it
    assert found["share"][0]["ordinary"] == pytest.approx(1, abs=1e-4)
    assert found["share"][0]["rare"] == pytest.approx(0.1 / 4.1, rel=1e-3)
    assert found["drift"][0]["rare"] == pytest.approx(1, abs=1e-4)
