"""Does one latent of a SAELens dictionary carry the lead? with_sae_lens.py FOLDER SAE LATENT OUT"""

import sys

import pandas as pd
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import assay

torch.set_grad_enabled(False)
folder, sae, latent, out = sys.argv[1:5] if sys.argv[4:] else sys.exit(f"usage: {__doc__[56:]}")
model = AutoModelForCausalLM.from_pretrained(folder).float()  # in 16 bits a CPU is slow
encode = AutoTokenizer.from_pretrained(folder)
layer = int(sae.cfg.metadata.hook_name.split(".")[1])  # blocks.N.hook_resid_pre


def run(country, latent=None):
    def cut(block, args):
        if latent is not None:  # its share of the stream is taken out
            args[0].sub_(sae.encode(args[0])[..., latent, None] * sae.W_dec[latent])

    with model.model.layers[layer].register_forward_pre_hook(cut):
        ids = encode(f"The capital of {country} is", return_tensors="pt").input_ids
        return model(ids, output_hidden_states=True)


def leads(latent, prompts):
    logits = [run(country, latent).logits[0, -1] for country in prompts["country"]]
    first = [[encode(f" {x}").input_ids[0] for x in prompts[c]] for c in ("city", "foil")]
    return [float(x[a] - x[b]) for x, a, b in zip(logits, *first, strict=True)]


rows = pd.read_csv("examples/capitals.csv")
streams = torch.cat([run(country).hidden_states[layer][0, 1:] for country in rows["country"]])
on = (sae.encode(streams) > 0).float().mean(0)
pool = {"of": len(on), "norms": sae.W_dec.norm(dim=1), "rates": on}
claim, holds = f"Without latent {latent} the capital leads by less", "effect < -0.1"
verdict = assay.check(claim, leads, prompts=rows, holds=holds, feature=latent, **pool)
print(verdict, verdict.save(out), sep="\n")
