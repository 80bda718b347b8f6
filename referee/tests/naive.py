"""Operations that have a formula and no lines of NumPy with their vectors, written from the
definitions; gradients by differences."""

from __future__ import annotations

import math

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


def encode(architecture, weights, centred, x):
    f, x_hat = coded(architecture, weights, centred, x)
    return {"features": f, "x_hat": x_hat}


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


def cache_keys(fields, defaults):
    whole = [
        tuple(
            sorted((n, tuple(v) if isinstance(v, list) else v) for n, v in (defaults | f).items())
        )
        for f in fields
    ]
    return {"class": [list(dict.fromkeys(whole)).index(w) for w in whole]}


OPERATIONS = {
    "load": load,
    "gradients": gradients,
    "auxk": auxk,
    "cache_keys": cache_keys,
}
