"""Is the capital read from the token of the country? with_transformer_lens.py MODEL BLOCK OUT"""

import sys
from functools import partial
from pathlib import Path

from transformer_lens.model_bridge import TransformerBridge

import assay

MODEL, SITE, OUT = sys.argv[1], f"blocks.{sys.argv[2]}.hook_resid_pre", sys.argv[3]
folder = assay.subjects.folder.find(MODEL).path
model = TransformerBridge.boot_transformers(str(folder), device="cpu")
encode = partial(model.to_tokens, prepend_bos=False)


def leads(source, prompts):
    """By how much the capital leads, with the source's stream at the country's token."""
    scores = []
    for i, row in enumerate(prompts):
        text = encode(f"The capital of {row['country'] if source is None else source[i]}")
        stream = model.run_with_cache(text)[1][SITE][0, -1]
        place = encode(f"The capital of {row['country']}").shape[1] - 1

        def patch(x, hook, stream=stream, place=place):
            x[0, place] = stream
            return x

        text = encode(f"The capital of {row['country']} is")
        logits = model.run_with_hooks(text, fwd_hooks=[(SITE, patch)])[0, -1].detach()
        right, foil = (encode(f" {row[c]}")[0, 0] for c in ("city", "foil"))
        scores.append(float(logits[right] - logits[foil]))
    return {"lead": scores}


claim = "Patching in another country's residual stream puts its capital ahead by two nats"
rows, scope = Path(__file__).parents[1] / "capitals.csv", f"{MODEL}, {SITE}, at the country"
verdict = assay.check(claim, leads, rows, "lead_after < -2", assay.Patch("other"), scope=scope)
print(verdict)
verdict.save(OUT)
