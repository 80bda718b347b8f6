"""All measures of an evaluation once more, in NumPy float64, from the definitions: own forward
pass, own encoder, loops over tokens."""

import json

import numpy as np

import tiny_models
from assay.train import rng


def windows(store):
    """The windows that the evaluation drew (which is not what is tested): measured, their
    documents, and the spare ones."""
    found = list((store / "artefacts/evaluation-text").glob("*/tokens.npy"))
    assert len(found) == 1
    return tuple(
        np.load(found[0].parent / f"{name}.npy") for name in ("tokens", "document", "spare")
    )


def saelens(folder):
    """(encode, decode) of a folder that SAELens wrote, by the formulas of its documentation."""
    from safetensors.numpy import load_file

    w = {k: v.astype(np.float64) for k, v in load_file(folder / "sae_weights.safetensors").items()}
    config = json.loads((folder / "cfg.json").read_text())
    assert config["apply_b_dec_to_input"] and config["normalize_activations"] == "none"

    def encode(x):
        pre = (x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
        out = np.zeros_like(pre)
        for t, row in enumerate(pre):
            for i, value in enumerate(row):
                if config["architecture"] == "standard":
                    out[t, i] = max(value, 0.0)
                elif config["architecture"] == "jumprelu":
                    out[t, i] = value if value > w["threshold"][i] and value > 0 else 0.0
        if config["architecture"] == "topk":
            for t, row in enumerate(pre):
                for i in np.argsort(-row)[: config["k"]]:
                    out[t, i] = max(row[i], 0.0)
        return out

    return encode, lambda f: f @ w["W_dec"] + w["b_dec"]


def evaluate(
    model, site, encode, decode, tokens, spare, ablated=None, skip_first=1, outlier=6.0, seed=0
):
    """Measures by name, and the kept positions."""
    _, found = tiny_models.naive(model, spare)
    spare_acts = found[site].reshape(*spare.shape, -1)
    limit = outlier * float(
        np.sort(np.linalg.norm(spare_acts[:, skip_first:], axis=-1).ravel())[
            (spare_acts[:, skip_first:, 0].size - 1) // 2
        ]
    )
    donors = np.array(
        [
            x
            for w in spare_acts
            for i, x in enumerate(w)
            if i >= skip_first and np.linalg.norm(x) <= limit
        ]
    )
    clean_logits, found = tiny_models.naive(model, tokens)
    shape = found[site].shape
    acts = found[site].reshape(*tokens.shape, -1)
    keep = np.linalg.norm(acts, axis=-1) <= limit
    keep[:, :skip_first] = False
    x = acts[keep]
    features = encode(x)
    x_hat = decode(features)
    mean = x.mean(0)
    c, h = x - mean, x_hat - mean
    out = {
        "l0": (features != 0).sum(1).mean(),
        "fvu": ((x - x_hat) ** 2).sum() / (c**2).sum(),
        "mse": ((x - x_hat) ** 2).sum(1).mean(),
        "gamma": (h**2).sum() / (h * c).sum(),
        "gamma_raw": (x_hat**2).sum() / (x_hat * x).sum(),
        "norm_ratio": np.sqrt((h**2).sum() / (c**2).sum()),
        "norm_ratio_raw": np.sqrt((x_hat**2).sum() / (x**2).sum()),
        "dead": ((features != 0).sum(0) == 0).mean(),
        "dense": ((features != 0).mean(0) > 0.1).mean(),
    }
    out["explained_variance"] = 1 - out["fvu"]
    on = np.flatnonzero((features != 0).any(0))
    rows = (decode(np.eye(features.shape[1])) - decode(np.zeros((1, features.shape[1]))))[on]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    twin = [any(a @ b > 0.9 for j, b in enumerate(rows) if i != j) for i, a in enumerate(rows)]
    out["twins"] = np.mean(twin)

    def run(new):
        put = np.where(keep[..., None], new, acts).reshape(shape)
        return tiny_models.naive(model, tokens, {site: lambda _: put})[0]

    spliced = acts.copy()
    spliced[keep] = x_hat
    drawn = [
        rng.integers(np.array([seed]), "splice.resample", w, (tokens.shape[1],), len(donors))[0]
        for w in range(len(tokens))
    ]
    logits = {
        "clean": clean_logits,
        "spliced": run(spliced),
        "zero": run(np.zeros_like(acts)),
        "mean": run(np.broadcast_to(donors.mean(0), acts.shape)),
        "resample": run(donors[np.array(drawn)]),
    }
    counted = keep[:, :-1]
    some = np.ones(len(tokens), bool) if ablated is None else ablated
    loss = {name: tiny_models.naive_loss(value, tokens) for name, value in logits.items()}
    kl = {name: divergence(clean_logits, value) for name, value in logits.items()}
    for name in loss:
        rows = counted if name in ("clean", "spliced") else counted & some[:, None]
        out[f"ce_{name}"] = loss[name][rows].mean()
        out[f"kl_{name}"] = kl[name][rows].mean()
    out["ce_increase"] = out["ce_spliced"] - out["ce_clean"]
    rows = counted & some[:, None]
    for name in ("zero", "mean", "resample"):
        a, s, clean = (loss[k][rows].mean() for k in (name, "spliced", "clean"))
        out[f"loss_recovered_{name}"] = (a - s) / (a - clean) if a > clean else np.nan
        out[f"kl_recovered_{name}"] = 1 - kl["spliced"][rows].mean() / kl[name][rows].mean()
    return {name: float(value) for name, value in out.items()}, keep


def divergence(a, b):
    """KL(a ‖ b) of the next token's distribution at every position but the last, nats."""
    out = np.zeros((a.shape[0], a.shape[1] - 1))
    for w in range(out.shape[0]):
        for t in range(out.shape[1]):
            p, q = (row[t] - row[t].max() for row in (a[w], b[w]))
            p, q = p - np.log(np.exp(p).sum()), q - np.log(np.exp(q).sum())
            out[w, t] = (np.exp(p) * (p - q)).sum()
    return out
