"""A prompt's number does not depend on its neighbours: alone is as in any batch, to rounding, in
every family, with windows that texts outgrow and ropes that turn long texts otherwise. Truth:
transformers, one text at a time."""

import numpy as np
import pytest
import torch

import tiny_models
from assay.subjects.pretrained import load
from folders import FAMILIES, logits, model_of

BOUNDARY = 24
LONG = {
    "rope_type": "longrope",
    "rope_theta": 500.0,
    "short_factor": [1.0, 1.1, 1.3],
    "long_factor": [2.0, 7.0, 19.0],
    "original_max_position_embeddings": BOUNDARY,
}
CASES = {
    **FAMILIES,
    "phi3, long": {"rope_parameters": LONG, "original_max_position_embeddings": BOUNDARY},
    "llama, long": {"rope_parameters": LONG},
    "llama, dynamic": {
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 500.0, "factor": 2.0}
    },
    "mistral, no window": {"sliding_window": None},
}
LENGTHS = (3, 9, 14, 40, BOUNDARY, BOUNDARY + 1)


def texts(shared):
    """Token ids of these lengths that begin alike."""
    draw = np.random.default_rng(5)
    begin = draw.integers(10, 250, shared).tolist()
    return [[*begin[:n], *draw.integers(10, 250, n - min(n, shared)).tolist()] for n in LENGTHS]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root, known = tmp_path_factory.mktemp("neighbours"), {}

    def of(case):
        if case not in known:
            folder = root / case.replace(", ", "-").replace(" ", "-")
            kind = case.partition(",")[0]
            known[case] = load(str(tiny_models.make(folder, kind, **CASES[case])))
        return known[case]

    return of


@pytest.mark.parametrize("case", ["phi3, long", "llama, long"])
def test_where_a_text_grows_beyond_the_length_it_is_read_anew(models, case):
    """Each written token is that of a pass over all tokens before it, as without a cache."""
    model = models(case)
    plain = model_of(model.folder.path)
    prompt = texts(0)[4][: BOUNDARY - 3]
    ids = [*prompt]
    for _ in range(7):
        ids.append(int(logits(plain, ids)[-1].argmax()))
    assert model.generate(torch.tensor([prompt]), new=7) == [ids[len(prompt) :]]
    if case.startswith("phi3"):  # which transformers reads anew as well
        whole = plain.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=7)
        assert whole[0].tolist() == ids
