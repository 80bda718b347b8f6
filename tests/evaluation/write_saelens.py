"""Writes the folders in tests/evaluation/saelens by SAELens' own classes, for the tiny model of
tests/tiny_models.py (24 wide).

Run in an environment with sae-lens 6.54.12 and nothing of ours: python write_saelens.py FOLDER
"""

import sys
from pathlib import Path

import sae_lens
import torch
from sae_lens.saes.sae import SAEMetadata

D, N = 24, 64
KINDS = {
    "standard": ("blocks.1.hook_resid_post", {"prepend_bos": True, "context_size": 16}),
    "jumprelu": ("blocks.0.hook_mlp_out", {"prepend_bos": False, "context_size": 12}),
    "topk": ("blocks.2.hook_resid_pre", {"prepend_bos": True, "context_size": 16}),
}


def write(folder):
    draw = torch.Generator().manual_seed(11)
    for name, (hook, more) in KINDS.items():
        classes = {"standard": "Standard", "jumprelu": "JumpReLU", "topk": "TopK"}
        kind = classes[name]
        metadata = SAEMetadata(
            model_name="tiny", hook_name=hook, dataset_path="nobody/knows", **more
        )
        extra = {"k": 6} if name == "topk" else {}
        config = getattr(sae_lens, f"{kind}SAEConfig")(
            d_in=D, d_sae=N, dtype="float32", device="cpu", metadata=metadata, **extra
        )
        sae = getattr(sae_lens, f"{kind}SAE")(config)
        with torch.no_grad():
            W_dec = torch.nn.functional.normalize(torch.randn(N, D, generator=draw), dim=-1)
            sae.W_dec.copy_(W_dec)
            sae.W_enc.copy_(0.6 * W_dec.T)
            sae.b_enc.copy_(0.1 * torch.randn(N, generator=draw) - 0.3)
            sae.b_dec.copy_(0.2 * torch.randn(D, generator=draw))
            if name == "jumprelu":
                sae.threshold.copy_(0.5 + torch.rand(N, generator=draw))
        sae.save_model(str(folder / name))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
