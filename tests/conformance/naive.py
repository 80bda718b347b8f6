"""Every operation that has a formula, written down a second time in plain NumPy from the
definitions; gradients by differences."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

EPS = 1e-6


def a(x):
    return np.array(x, dtype=np.float64)


def ev(x, x_hat):
    x, x_hat = a(x), a(x_hat)
    mean = [math.fsum(column) / len(x) for column in x.T]
    error = math.fsum(
        (p - q) ** 2 for u, v in zip(x, x_hat, strict=True) for p, q in zip(u, v, strict=True)
    )
    return 1 - error / math.fsum((p - m) ** 2 for row in x for p, m in zip(row, mean, strict=True))


def mse(x, x_hat):
    return math.fsum(((a(x) - a(x_hat)) ** 2).ravel()) / len(x)


def metrics(x, x_hat, dtype="float64"):
    return {"ev": ev(x, x_hat), "mse": mse(x, x_hat)}


def metrics_stream(batches, dtype="float64"):
    return metrics([r for b in batches for r in b["x"]], [r for b in batches for r in b["x_hat"]])


def sparsity(features):
    on = [[v != 0 for v in row] for row in features]
    density = [sum(column) / len(on) for column in zip(*on, strict=True)]
    return {
        "l0": sum(map(sum, on)) / len(on),
        "density": density,
        "dead": sum(d == 0 for d in density) / len(density),
    }


def activate(architecture, pre, z, w):
    """Features of one row, by loops."""
    n = len(pre)
    if architecture == "relu":
        return [max(p, 0) for p in pre]
    if architecture == "gated":
        return [
            max(math.exp(w["r_mag"][i]) * z[i] + w["b_mag"][i], 0) if pre[i] > 0 else 0.0
            for i in range(n)
        ]
    if architecture in ("jumprelu", "batchtopk"):
        thresholds = w["threshold"] if architecture == "jumprelu" else [w["threshold"]] * n
        return [p if p > t else 0.0 for p, t in zip(pre, thresholds, strict=True)]
    if architecture == "groupmax":
        size = n // w["k"]
        winner = {max(range(b * size, (b + 1) * size), key=lambda i: pre[i]) for b in range(w["k"])}
        return [max(pre[i], 0) if i in winner else 0.0 for i in range(n)]
    key = (lambda i: abs(pre[i])) if architecture == "abstopk" else (lambda i: pre[i])
    kept = set(sorted(range(n), key=key, reverse=True)[: w["k"]])
    return [
        (pre[i] if architecture == "abstopk" else max(pre[i], 0)) if i in kept else 0.0
        for i in range(n)
    ]


def coded(architecture, w, centred, x):
    """(features, reconstruction), row by row."""
    features, x_hat = [], []
    bias = w["b_gate"] if architecture == "gated" else w["b_enc"]
    norms = (
        np.linalg.norm(a(w["W_dec"]), axis=1)
        if w.get("rescale_by_decoder_norm")
        else np.ones(len(w["W_dec"]))
    )
    for row in x:
        centre = w["b_dec"] if centred else [0] * len(row)
        z = [
            sum((row[d] - centre[d]) * w["W_enc"][d][i] for d in range(len(row)))
            for i in range(len(bias))
        ]
        pre = [(z[i] + bias[i]) * norms[i] for i in range(len(bias))]
        f = activate(architecture, pre, z, w)
        out = a(w["b_dec"]) + sum(f[i] / norms[i] * a(w["W_dec"][i]) for i in range(len(f)))
        if "W_skip" in w:
            out = out + sum(row[d] * a(w["W_skip"][d]) for d in range(len(row)))
        features.append(f)
        x_hat.append(out.tolist())
    return features, x_hat


def quality(architecture, weights, centred, x):
    f, x_hat = coded(architecture, weights, centred, x)
    return {"ev": ev(x, x_hat), "l0": sparsity(f)["l0"]}


def encode(architecture, weights, centred, x):
    f, x_hat = coded(architecture, weights, centred, x)
    return {"features": f, "x_hat": x_hat}


def features_two_ways(**given):
    return dict.fromkeys(("encode", "forward"), encode(**given)["features"])


def encode_subset(latents, **given):
    return {"features": [[row[i] for i in latents] for row in encode(**given)["features"]]}


def fired(**given):
    f = encode(**given)["features"]
    return {"latents": [i for i in range(len(f[0])) if any(row[i] > 0 for row in f)]}


def fold_scale(architecture, weights, centred, scale, x):
    f, x_hat = coded(architecture, weights, centred, [[scale * v for v in row] for row in x])
    return {
        "active": [[v > 0 for v in row] for row in f],
        "x_hat": [[v / scale for v in row] for row in x_hat],
    }


def layer_norm(weights, x):
    out = []
    for row in x:
        mean = sum(row) / len(row)
        sd = math.sqrt(sum((v - mean) ** 2 for v in row) / (len(row) - 1)) + 1e-5
        seen = [(v - mean) / sd for v in row]
        out.append([v * sd + mean for v in coded("relu", weights, True, [seen])[1][0]])
    return {"x_hat": out}


def shrinkage(x, x_hat, mean=None):
    x, x_hat = (a(v) - (0 if mean is None else a(mean)) for v in (x, x_hat))
    return {"gamma": math.fsum((x_hat**2).ravel()) / math.fsum((x_hat * x).ravel())}


def ce_recovered(clean, spliced, ablated):
    return {"score": (sum(ablated) - sum(spliced)) / (sum(ablated) - sum(clean))}


def ce_splice(activations, special, factor):
    def ce(times):
        total, losses = 0.0, []
        for row, keep in zip(activations, special, strict=True):
            total += sum(row) * (1 if keep else times)
            losses.append(20 - total)
        return sum(losses) / len(losses)

    return {"score": (ce(0) - ce(factor)) / (ce(0) - ce(1))}


def pearson_stream(x, y, batch, dtype):
    x, y = ([Fraction(v) for v in s] for s in (x, y))
    mx, my = sum(x) / len(x), sum(y) / len(y)
    xy = sum((p - mx) * (q - my) for p, q in zip(x, y, strict=True))
    return {
        "r": float(xy)
        / math.sqrt(float(sum((p - mx) ** 2 for p in x)) * float(sum((q - my) ** 2 for q in y)))
    }


def example_groups(activations, groups):
    shown = [v for v in activations if v > 0]
    return {"inactive": sum(v == 0 for v in shown), "active": len(set(shown))}


def density(firings, tokens):
    return {"density": float(Fraction(firings, tokens))}


def load(format, config, tensors, x):
    w = {
        "W_enc": a(tensors["encoder.weight"]).T.tolist(),
        "b_enc": tensors["encoder.bias"],
        "W_dec": tensors["W_dec"],
    }
    w |= {"b_dec": tensors["b_dec"], "k": config["k"]}
    f, x_hat = coded("topk", w, not config["transcode"], x)
    return {
        "latents": config["num_latents"] or config["d_in"] * config["expansion_factor"],
        "features": f,
        "x_hat": x_hat,
    }


def objective(kind, w, centred, x, penalty=0.0, latent=0, p=1.0, held=None, **more):
    """A loss as a function of the weights; `held` are those that it may not move."""
    if kind == "gated":
        parts = [
            objective(part, w, centred, x, held=held) for part in ("gated-no-aux", "gated-aux")
        ]
        gate = np.maximum((a(x) - a(w["b_dec"])) @ a(w["W_enc"]) + a(w["b_gate"]), 0)
        return sum(parts) + penalty * gate.sum(1).mean()
    architecture = {
        "gated-aux": "gated",
        "gated-no-aux": "gated",
        "topk": "topk",
        "jumprelu-reconstruction": "jumprelu",
    }.get(kind, "relu")
    f, x_hat = coded(architecture, w, centred, x)
    if kind == "preactivation":
        return sum(x[0][d] * w["W_enc"][d][latent] for d in range(len(x[0]))) + w["b_enc"][latent]
    if kind == "gated-aux":
        held = held or w
        gate = [
            [
                max(sum((r[d] - w["b_dec"][d]) * w["W_enc"][d][i] for d in range(len(r))) + b, 0)
                for i, b in enumerate(w["b_gate"])
            ]
            for r in x
        ]
        return mse(x, [(a(g) @ a(held["W_dec"]) + a(held["b_dec"])).tolist() for g in gate])
    weight = (
        np.linalg.norm(a(w["W_dec"]), axis=1) if kind == "l1-weighted" else np.ones(len(w["W_dec"]))
    )
    extra = (a(f) ** p * weight).sum(1).mean() if kind in ("l1", "l1-weighted", "p-norm") else 0.0
    return mse(x, x_hat) + penalty * extra


def gradients(objective, weights, centred, x, bandwidth=1.0, **more):
    loss = globals()["objective"]
    plain = {k: v for k, v in weights.items() if k != "k"}
    out = {}
    for name, value in plain.items():
        grad = np.zeros_like(a(value))
        for at in np.ndindex(grad.shape):
            sides = []
            for step in (EPS, -EPS):
                moved = a(value)
                moved[at] += step
                sides.append(
                    loss(
                        objective,
                        {**weights, name: moved.tolist()},
                        centred,
                        x,
                        held=weights,
                        **more,
                    )
                )
            grad[at] = (sides[0] - sides[1]) / (2 * EPS)
        out[name] = grad.tolist()
    if objective.startswith(
        "jumprelu"
    ):  # straight-through: the window's own formula, for one latent and one dimension
        theta, pre = (
            weights["threshold"][0],
            [r[0] * weights["W_enc"][0][0] + weights["b_enc"][0] for r in x],
        )
        near = [abs(q - theta) < bandwidth / 2 for q in pre]
        if objective == "jumprelu-l0":
            return {"threshold": [-sum(near) / bandwidth / len(pre)]}
        w = weights["W_dec"][0][0]
        pull = [
            2 * (w * q * (q > theta) - r[0]) * w * -theta / bandwidth * n
            for q, r, n in zip(pre, x, near, strict=True)
        ]
        out["threshold"] = [sum(pull) / len(pull)]
    return {"loss": loss(objective, weights, centred, x, **more), **out}


def auxk(weights, x, k_aux, dead):
    at = dead.index(True)

    def loss(column, held):
        w = {
            **weights,
            "W_enc": [
                [c if i == at else v for i, v in enumerate(row)]
                for row, c in zip(weights["W_enc"], column, strict=True)
            ],
        }
        error = a(x) - a(coded("topk", held, True, x)[1])
        pre = (a(x) - a(w["b_dec"])) @ a(w["W_enc"]) + a(w["b_enc"])
        return (((error - np.maximum(pre[:, [at]], 0) * a(w["W_dec"][at])) ** 2).sum(1)).mean()

    column = [row[at] for row in weights["W_enc"]]
    steps = np.eye(len(column)) * EPS
    grad = a(
        [(loss(a(column) + s, weights) - loss(a(column) - s, weights)) / (2 * EPS) for s in steps]
    )
    length = np.linalg.norm(grad)
    return {"loss": loss(column, weights), "direction": (grad / (length or 1)).tolist()}


def loss_ratio(objective, weights, centred, prefixes, x, against):
    def loss(rows):
        f, _ = coded("relu", weights, centred, rows)
        return sum(
            mse(rows, a(f)[:, :m] @ a(weights["W_dec"])[:m] + a(weights["b_dec"])) for m in prefixes
        )

    return {"ratio": loss(x) / loss(against)}


def threshold_estimate(kept, updates):
    return {"threshold": min(v for row in kept for v in row if v > 0)}


def threshold_travel(start, lr, steps):
    return {"moved": lr * steps}


def resample(weights, dead, x):
    columns = a(weights["W_enc"]).T
    alive = np.mean([np.linalg.norm(c) for c, d in zip(columns, dead, strict=True) if not d])
    return {"norm": np.linalg.norm(a(x[0]) / np.linalg.norm(x[0]) * 0.2 * alive)}


def cache_keys(fields, defaults):
    whole = [
        tuple(
            sorted((n, tuple(v) if isinstance(v, list) else v) for n, v in (defaults | f).items())
        )
        for f in fields
    ]
    return {"class": [list(dict.fromkeys(whole)).index(w) for w in whole]}


def save_load(**given):
    return encode(**given)


OPERATIONS = {
    "metrics": metrics,
    "metrics_stream": metrics_stream,
    "sparsity": sparsity,
    "quality": quality,
    "encode": encode,
    "features_two_ways": features_two_ways,
    "encode_subset": encode_subset,
    "fired": fired,
    "fold_scale": fold_scale,
    "layer_norm": layer_norm,
    "shrinkage": shrinkage,
    "ce_recovered": ce_recovered,
    "ce_splice": ce_splice,
    "pearson_stream": pearson_stream,
    "example_groups": example_groups,
    "density": density,
    "load": load,
    "gradients": gradients,
    "auxk": auxk,
    "loss_ratio": loss_ratio,
    "threshold_estimate": threshold_estimate,
    "threshold_travel": threshold_travel,
    "resample": resample,
    "cache_keys": cache_keys,
    "save_load": save_load,
}
