"""Does one feature of a SAELens dictionary carry the lead? with_sae_lens.py FOLDER SAE LATENT OUT"""

import sys
from pathlib import Path

import torch
from sae_lens import SAE
from transformers import AutoModelForCausalLM, AutoTokenizer

import assay

FOLDER, SAE_FOLDER, LATENT, OUT = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
torch.set_grad_enabled(False)
model, encode = AutoModelForCausalLM.from_pretrained(FOLDER), AutoTokenizer.from_pretrained(FOLDER)
sae = SAE.load_from_disk(SAE_FOLDER)
block = model.model.layers[int(sae.cfg.metadata.hook_name.split(".")[1])]
rows = assay.checking.prompts.Given.read(Path(__file__).parents[1] / "capitals.csv").value
