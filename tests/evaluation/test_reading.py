"""A reader reads as `look` does."""

import numpy as np
import pytest
from test_evaluating import plain

from assay.evaluation import look
from assay.features.live.ablation import ablate_features
from assay.features.live.reader import Reader
from assay.subjects.pretrained import load
from assay.subjects.site import Site

TEXT = "def f3_1(x):\n    return x + 12"


@pytest.mark.parametrize(("skip", "outlier"), [(1, 6.0), (3, 1.05)])
def test_a_reader_and_look_say_the_same(skip, outlier, model, tmp_path):
    dictionary, subject = plain(), load(str(model))
    site = Site.parse(dictionary.sites[0])
    reader = Reader(subject, dictionary, site, skip_first=skip, outlier=outlier)
    found = look(
        TEXT, plain(), model=model, features=4, skip_first=skip, outlier=outlier, root=tmp_path
    )
    reading = reader.read(TEXT)
    assert list(reading.words) == list(found.tokens)
    assert tuple(reading.left_out) == tuple(found.left_out)
    np.testing.assert_allclose(reading.loss, found.losses[1:], rtol=1e-4)
    columns = reading.firings.columns([f["feature"] for f in found.features], len(reading))
    np.testing.assert_allclose(columns.T, [f["activations"] for f in found.features], rtol=1e-4)
    delta = ablate_features(reader, reading, [f["feature"] for f in found.features]).on()
    np.testing.assert_allclose(delta, [f["delta"] for f in found.features], atol=1e-5)
    assert len(reading.on) == found.on


@pytest.mark.thorough
@pytest.mark.model
def test_a_model_that_is_no_toy_says_which_feature_carries_its_answer():
    """Of features that are the stream's coordinates: what each adds to first order sums to the
    slope along the whole stream."""
    import torch

    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.nonlinearity import ReLU
    from assay.features.live.ablation import attribute, matters
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
    top = matters(reader, reading, len(reading) - 2, count=8)
    assert np.abs(top.delta).max() > 0.01
    out = change(reader, reading, [Change.out(int(k)) for k in top.feature])
    view = outlook(reader, reading, out, len(reading) - 2, 3)
    assert view.kl > 0.05
    assert view.before[0].text == " Paris"
    assert view.before[0].after < view.before[0].before
    steps = list(steer(reader, text, [], new=3))
    assert steps[-1].before == steps[-1].after and steps[-1].before.startswith(" Paris")
    assert np.mean([step.kl for step in steps]) < 1e-6
