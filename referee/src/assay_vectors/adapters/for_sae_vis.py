"""sae_vis's adapter: the statistics behind its dashboards."""

import torch
from protocol import serve
from sae_vis.utils_fns import FeatureStatistics, RollingCorrCoef


def pearson_stream(x, y, batch, dtype):
    """RollingCorrCoef over batches."""
    rolling = RollingCorrCoef()
    a, b = (torch.tensor(series, dtype=getattr(torch, dtype))[:, None] for series in (x, y))
    for i in range(0, len(a), batch):
        rolling.update(a[i : i + batch], b[i : i + batch])
    return {"r": rolling.corrcoef()[0][0, 0]}


def density(firings, tokens):
    """frac_nonzero of FeatureStatistics."""
    values = torch.zeros(1, tokens)
    values[0, :firings] = 1.0
    return {"density": FeatureStatistics.create(values).frac_nonzero[0]}


OPERATIONS = {"pearson_stream": pearson_stream, "density": density}

if __name__ == "__main__":
    serve("sae_vis", "sae-vis", OPERATIONS)
