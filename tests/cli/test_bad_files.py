"""A file that is right goes through `assay export` and back."""

import json
import os

import torch


def test_what_is_right_is_imported_and_exported(commands, tmp_path):
    """The way through SAELens's form and back loses nothing."""
    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.nonlinearity import ReLU

    W = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))[0]
    both = torch.cat([W, -W], 1)[None]
    sites = ("blocks.3.hook_resid_pre",)
    Dictionary(
        both, torch.zeros(1, 16), both.mT.contiguous(), torch.zeros(1, 8), ReLU(), sites=sites
    ).save(tmp_path / "d.safetensors")
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    export = commands.run(
        ("export", "d.safetensors", "--out", "sae", "--model", "gpt2"), tmp_path, env
    )
    again = commands.run(("export", "d.safetensors", "--out", "sae"), tmp_path, env)
    missing = commands.run(("export", "gated-sea/main", "--out", "other"), tmp_path, env)
    back = ("export", "sae", "--format", "assay", "--out", "back.safetensors")
    tried = commands.run(back, tmp_path, env)
    run = commands.run(("export", "d.safetensors", "--out", "other", "--run", "2"), tmp_path, env)
    assert export.code == 0 and "wrote sae" in export.out
    assert again.code == 2 and "exists already" in again.err
    assert missing.code == 2
    assert "no file, folder or stored run" in missing.err
    assert not (tmp_path / "other").exists()
    assert run.code == 2 and "there is no run 2" in run.err
    assert tried.code == 0, tried
    assert torch.equal(Dictionary.load(tmp_path / "back.safetensors").W_enc, both)
    assert json.loads((tmp_path / "sae/cfg.json").read_text())["metadata"]["model_name"] == "gpt2"
