"""SAEDashboard's adapter: the statistics behind its dashboards, and what it exports."""

from types import SimpleNamespace

import torch
from protocol import serve
from sae_dashboard.neuronpedia.neuronpedia_converter import NeuronpediaConverter
from sae_dashboard.sequence_data_generator import SequenceDataGenerator
from sae_dashboard.utils_fns import RollingCorrCoef


def pearson_stream(x, y, batch, dtype):
    """RollingCorrCoef over batches, its sums in the dtype of the input."""
    kind = getattr(torch, dtype)
    rolling = RollingCorrCoef(dtype=kind)
    a, b = (torch.tensor([series], dtype=kind) for series in (x, y))
    for i in range(0, len(x), batch):
        rolling.update(a[:, i : i + batch], b[:, i : i + batch])
    return {"r": rolling.corrcoef()[0][0, 0]}


def example_groups(activations, groups):
    """The tokens of get_indices_dict, 20 at the top and 5 from each interval."""
    acts = torch.tensor([activations], dtype=torch.float32)
    wanted = SimpleNamespace(
        top_acts_group_size=min(20, sum(a > 0 for a in activations)), n_quantiles=groups, quantile_group_size=5
    )
    _, places, _ = SequenceDataGenerator.get_indices_dict(SimpleNamespace(seq_cfg=wanted), None, acts)
    shown = acts[places[:, 0], places[:, 1]]
    return {"inactive": int((shown == 0).sum()), "active": len(set(shown[shown > 0].tolist()))}


def density(firings, tokens):
    """frac_nonzero as exported, parsed from a histogram's title; the title is written as sae_vis_runner.py writes it."""
    made = SimpleNamespace()
    share = torch.tensor([1.0] * firings + [0.0] * (tokens - firings)).mean()
    histogram = SimpleNamespace(title=f"ACTIVATIONS<br>DENSITY = {share:.3%}", bar_values=[], bar_heights=[])
    NeuronpediaConverter._process_feature_histograms(
        made, SimpleNamespace(acts_histogram_data=histogram, logits_histogram_data=histogram)
    )
    return {"density": made.frac_nonzero}


OPERATIONS = {"pearson_stream": pearson_stream, "example_groups": example_groups, "density": density}

if __name__ == "__main__":
    serve("SAEDashboard", "sae-dashboard", OPERATIONS)
