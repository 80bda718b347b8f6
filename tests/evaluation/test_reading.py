"""A reader reads as `look` does."""

import numpy as np
import pytest

from assay.features.live.reader import Reader
from assay.subjects.pretrained import load
from assay.subjects.site import Site


@pytest.mark.thorough
@pytest.mark.model
def test_a_model_that_is_no_toy_says_which_feature_carries_its_answer():
    """Of features that are the stream's coordinates: what each adds to first order sums to the
    slope along the whole stream."""
    import torch

    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.nonlinearity import ReLU
    from assay.features.live.ablation import ablate_features, attribute
    from assay.features.live.edits import Change, change, likely, outlook
    from assay.features.live.steering import steer

    eye = torch.eye(576)[None]
    both = Dictionary(
        torch.cat([eye, -eye], 2),
        torch.zeros(1, 1152),
        torch.cat([eye, -eye], 1),
        torch.zeros(1, 576),
        ReLU(),
    )
    reader = Reader(load("smollm2"), both, Site.parse("blocks.9.hook_resid_pre"))
    text = "The capital of France is"
    plain_reading = reader.read(text)
    answer = likely(reader, plain_reading, len(plain_reading) - 1, 1)[0]
    assert answer.text == " Paris" and answer.before > 0.3
    reading = reader.read(text, next_id=answer.id)
    whole = attribute(reader, reading, len(reading) - 2)
    stream = torch.linalg.vecdot(reading.acts, whole.gradient).double().numpy()
    assert whole.value.sum() == pytest.approx(-stream[reading.keep].sum(), rel=1e-3)
    top = [int(k) for k in whole.by_feature()[0][:8]]
    assert np.abs(ablate_features(reader, reading, top, last=True).on()).max() > 0.01
    out = change(reader, reading, [Change.out(k) for k in top])
    view = outlook(reader, reading, out, len(reading) - 2, 3)
    assert view.kl > 0.05
    assert view.before[0].text == " Paris"
    assert view.before[0].after < view.before[0].before
    steps = list(steer(reader, text, [], new=3))
    assert steps[-1].before == steps[-1].after and steps[-1].before.startswith(" Paris")
    assert np.mean([step.kl for step in steps]) < 1e-6
