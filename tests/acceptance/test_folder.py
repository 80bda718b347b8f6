"""Model folders: what older weight files hold besides weights is passed over."""

import numpy as np
import torch

import tiny_models
from assay.subjects.pretrained import load


def change_tensors(folder, rename, **more):
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    renamed = {rename(name): weight for name, weight in tensors.items()} | more
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})


def test_what_older_files_hold_besides_weights_is_passed_over(tmp_path):
    masks = {
        "attn.bias": np.ones((1, 1, 8, 8), np.float32),
        "attn.masked_bias": np.array(-1e9, np.float32),
        "attn.rotary_emb.inv_freq": np.ones(3, np.float32),
    }
    folder = tiny_models.make(tmp_path / "gpt2", "gpt2")
    plain = load(str(folder)).run(torch.tensor([[1, 2, 3]])).logits
    old = {f"transformer.h.0.{name}": mask for name, mask in masks.items()}
    change_tensors(folder, str, **old)
    assert torch.equal(load(str(folder)).run(torch.tensor([[1, 2, 3]])).logits, plain)
