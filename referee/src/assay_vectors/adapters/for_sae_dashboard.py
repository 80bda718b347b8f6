"""SAEDashboard's adapter: the statistics behind its dashboards, and what it exports."""

from types import SimpleNamespace

import torch
from protocol import NotOffered, serve
from sae_dashboard.feature_data_generator import FeatureDataGenerator
from sae_dashboard.neuronpedia.neuronpedia_converter import NeuronpediaConverter
from sae_dashboard.sequence_data_generator import SequenceDataGenerator
from sae_dashboard.utils_fns import RollingCorrCoef
from sae_lens import saes

HOOK = "blocks.0.hook_resid_post"


def pearson_stream(x, y, batch, dtype):
    """RollingCorrCoef over batches, its sums in the dtype of the input."""
    kind = getattr(torch, dtype)
    rolling = RollingCorrCoef(dtype=kind)
    a, b = (torch.tensor([series], dtype=kind) for series in (x, y))
    for i in range(0, len(x), batch):
        rolling.update(a[:, i : i + batch], b[:, i : i + batch])
    return {"r": rolling.corrcoef()[0][0, 0]}


def encode_subset(architecture, weights, centred, x, latents):
    """get_feature_data on a SAELens coder, the language model's activations given."""
    kind = {"topk": "TopK", "abstopk": "AbsTopK"}.get(architecture)
    if kind is None:
        raise NotOffered(f"this adapter builds no {architecture}")
    w = {
        name: torch.tensor(value, dtype=torch.float32)
        for name, value in weights.items()
        if name != "k"
    }
    d, n = w["W_enc"].shape
    sae = getattr(saes, f"{kind}SAE")(
        getattr(saes, f"{kind}SAEConfig")(d_in=d, d_sae=n, k=weights["k"])
    )
    for name, value in w.items():
        getattr(sae, name).data = value
    cfg = SimpleNamespace(
        minibatch_size_tokens=None,
        device="cpu",
        use_dfa=False,
        cache_dir=None,
        dtype="float32",
        ignore_high_activation_norm_multiple=None,
    )
    acts = torch.tensor([x], dtype=torch.float32)
    model = SimpleNamespace(
        activation_config=SimpleNamespace(primary_hook_point=HOOK),
        forward=lambda *a, **k: {HOOK: acts},
    )
    generator = FeatureDataGenerator(cfg, torch.zeros(1, len(x), dtype=torch.long), model, sae)
    try:
        return {"features": generator.get_feature_data(latents)[0][0]}
    except ValueError as refused:
        raise NotOffered(f"refuses {architecture}: {refused}") from refused


def example_groups(activations, groups):
    """The tokens of get_indices_dict, 20 at the top and 5 from each interval."""
    acts = torch.tensor([activations], dtype=torch.float32)
    sequence_config = SimpleNamespace(
        top_acts_group_size=min(20, sum(a > 0 for a in activations)),
        n_quantiles=groups,
        quantile_group_size=5,
    )
    _, places, _ = SequenceDataGenerator.get_indices_dict(
        SimpleNamespace(seq_cfg=sequence_config), None, acts
    )
    values = acts[places[:, 0], places[:, 1]]
    return {"inactive": int((values == 0).sum()), "active": len(set(values[values > 0].tolist()))}


def density(firings, tokens):
    """frac_nonzero as exported, parsed from a histogram's title; the title is written as
    sae_vis_runner.py writes it."""
    converted = SimpleNamespace()
    share = torch.tensor([1.0] * firings + [0.0] * (tokens - firings)).mean()
    histogram = SimpleNamespace(
        title=f"ACTIVATIONS<br>DENSITY = {share:.3%}", bar_values=[], bar_heights=[]
    )
    NeuronpediaConverter._process_feature_histograms(
        converted, SimpleNamespace(acts_histogram_data=histogram, logits_histogram_data=histogram)
    )
    return {"density": converted.frac_nonzero}


OPERATIONS = {
    "pearson_stream": pearson_stream,
    "encode_subset": encode_subset,
    "example_groups": example_groups,
    "density": density,
}

if __name__ == "__main__":
    serve("SAEDashboard", "sae-dashboard", OPERATIONS)
