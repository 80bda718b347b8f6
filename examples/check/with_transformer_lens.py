"""Does a language model read the capital from the token of the country? In TransformerLens 3."""

import sys
from pathlib import Path

from transformer_lens.model_bridge import TransformerBridge

import assay

FOLDER, BLOCK, OUT = sys.argv[1], int(sys.argv[2]), sys.argv[3]
model = TransformerBridge.boot_transformers(FOLDER, device="cpu")
SITE = f"blocks.{BLOCK}.hook_resid_pre"


def encode(text):
    return model.to_tokens(text, prepend_bos=False)


def leads(source, prompts):
    """By how much the capital leads, with the source's stream at the country's token."""
    scores = []
    for i, row in enumerate(prompts):
        text = f"The capital of {row['country'] if source is None else source[i]}"
        stream = model.run_with_cache(encode(text))[1][SITE][0, -1]
        place = encode(f"The capital of {row['country']}").shape[1] - 1

        def patch(x, hook, stream=stream, place=place):
            x[0, place] = stream
            return x

        prompt = encode(f"The capital of {row['country']} is")
        logits = model.run_with_hooks(prompt, fwd_hooks=[(SITE, patch)])[0, -1]
        right, foil = (encode(f" {row[c]}")[0, 0] for c in ("city", "foil"))
        scores.append(float(logits[right] - logits[foil]))
    return {"lead": scores}


claim = "With another country's stream at its token, that one's capital leads by two nats"
prompts = Path(__file__).parents[1] / "capitals.csv"
verdict = assay.check(claim, leads, prompts=prompts, holds="lead_after < -2", source="other")
print(verdict, verdict.save(OUT), sep="\n")
