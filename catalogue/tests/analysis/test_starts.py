"""Of several starts of a run the best is kept."""

import numpy as np
import torch

from assay.core.fit import Trained
from assay_catalogue.analysis.starts import best_starts


def test_of_starts_the_lowest_score_is_kept_and_a_lost_start_marks_its_run():
    loss = np.arange(6.0)[:, None]
    lost = np.array([False, False, False, False, True, False])
    trained = Trained({"W": torch.arange(6.0)}, {}, {"loss": loss}, np.ones(1), lost)
    kept = best_starts(trained, torch.tensor([3.0, 1.0, 2.0, torch.nan, torch.inf, 7.0]), 3)
    assert kept.tensors["W"].tolist() == [1, 5]
    assert kept.history["loss"].tolist() == [[1], [5]]
    assert kept.diverged.tolist() == [False, True]
