"""Asked in words, with the question kept between texts, a model answers as in whole passes without
it."""

import numpy as np
import pytest
import torch

from assay.subjects.asking import AFTER, BEFORE, FORM, NO, YES, yes_or_no
from assay.subjects.fetch import SMOLLM2

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(SMOLLM2.present() is None, reason=SMOLLM2.absent),
]


@pytest.mark.thorough
def test_it_is_what_whole_passes_say():
    from assay.subjects.pretrained import load

    model = load("smollm2")
    question, texts = (
        "Is this about animals?",
        ["The cat sleeps.", "Two plus two is four, as everybody knows.", "Dogs bark at cats."],
    )
    wanted = []
    for text in texts:
        tokens = torch.tensor([model.encode(BEFORE + question + FORM) + model.encode(text + AFTER)])
        logits = model.run(tokens).logits[0, -1].float()
        sides = [
            logits[
                [model.encode(word)[0] for word in words if len(model.encode(word)) == 1]
            ].logsumexp(0)
            for words in (YES, NO)
        ]
        wanted.append(float(sides[0] - sides[1]))
    np.testing.assert_allclose(yes_or_no(model, question, texts, batch=2), wanted, atol=2e-3)
    assert wanted[0] > wanted[1]
