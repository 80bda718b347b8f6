"""A chat model asked in words: its log-odds of yes against no as the first word of its answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.batches import shared_cache
from assay.subjects.pretrained import Pretrained

BEFORE, AFTER = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
"""What stands before a user's words and after them, in the format of ChatML."""
FORM = "\nAnswer only yes or no.\n\n"
YES, NO = ("Yes", "yes", " Yes", " yes"), ("No", "no", " No", " no")


def yes_or_no(
    model: Pretrained, question: str, texts: Sequence[str], batch: int = 64
) -> Float[np.ndarray, "text"]:
    """The log-odds of yes for the same question about each text; the question is read once and
    kept.

    Texts of a batch are filled up on the right, which no earlier position sees.

    Formula: log Σ p(first word of the answer is a form of yes) − log Σ p(… of no)
    Raises: ModelError where the model's tokenizer has no such words as single tokens.
    """
    forms = [[ids[0] for ids in map(model.encode, words) if len(ids) == 1] for words in (YES, NO)]
    if not all(forms):
        raise ModelError(
            f"{model.name} has no single token for yes or for no, so its answer cannot be "
            "read off the first word"
        )
    start = shared_cache()
    model.run(torch.tensor([model.encode(BEFORE + question + FORM)]), cache=start)
    log_odds = []
    for i in range(0, len(texts), batch):
        tails = [model.encode(text + AFTER) for text in texts[i : i + batch]]
        longest = max(map(len, tails))
        tokens = torch.tensor([tail + [0] * (longest - len(tail)) for tail in tails])
        last = torch.tensor([len(tail) - 1 for tail in tails])
        trace = model.run(tokens, cache=start)
        assert trace.final is not None and trace.head is not None
        with torch.no_grad():
            logits = trace.head(trace.final[torch.arange(len(tails)), last]).float()
        log_odds.append(logits[:, forms[0]].logsumexp(-1) - logits[:, forms[1]].logsumexp(-1))
    return torch.cat(log_odds).cpu().numpy()
