"""The smallest difference that is not luck is in an evaluation, on its page and in its lines."""

import torch
from safetensors.torch import save_file

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU, Rescaled
from assay.evaluation import evaluate
from assay.evaluation.result import luck
from assay.report import evaluations


def test_an_evaluation_carries_it_and_says_where_it_is_from(
    tmp_path,
):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(600, 6, generator=g)
    W = torch.nn.functional.normalize(torch.randn(1, 9, 6, generator=g), dim=-1)
    save_file(
        {"acts": x, "document": torch.arange(30).repeat_interleave(20)},
        tmp_path / "acts.safetensors",
    )
    one = Dictionary(W.mT.contiguous(), torch.full((1, 9), -0.2), W, torch.zeros(1, 6), ReLU())
    found = evaluate(
        one, acts=tmp_path / "acts.safetensors", root=tmp_path / "store", outlier=0, skip_first=0
    )
    (entry,) = found.to_json()["dictionaries"]
    assert entry["luck"] == luck("ReLU")
    told = found.to_json()
    assert not evaluations.luck(told), "nine features of no model are not what the record trained"
    s = entry["luck"]["setup"]
    entry = {**entry, "width": s["width"], "site": f"blocks.{s['layer']}.hook_resid_pre"}
    told |= {"model": "SmolLM2-135M", "dictionaries": [entry]}
    (line,) = evaluations.luck(told)
    assert "two ReLU dictionaries" in line
    assert "L0 0.81 features" in line
    assert "FVU 0.0046" in line
    assert "512 features, 250 steps" in line
    assert "were not measured" in line
    assert "Seed noise: of two" in evaluations.page(told, found.figures)

    other = Dictionary(
        W.mT.contiguous(),
        torch.full((1, 9), -0.2),
        W,
        torch.zeros(1, 6),
        Rescaled(ReLU()),
        own={"factor": torch.ones(1, 9), "shift": torch.zeros(1, 9)},
    )
    silent = evaluate(
        other, acts=tmp_path / "acts.safetensors", root=tmp_path / "store", outlier=0, skip_first=0
    ).to_json()
    assert silent["dictionaries"][0]["luck"] is None and not evaluations.luck(silent)
