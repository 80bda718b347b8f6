"""44 claims about sparse autoencoders, transcoders, probes, explanations of latents and
steering."""

import hashlib

import numpy as np
import pandas as pd

import assay
from assay.controls.material import Patch, Text
from assay.controls.things import Latents, Place, Vector
from claims import case, listed

WORDS = listed("""
river stone copper lantern market bishop garden winter engine violet harbor ticket pepper mirror
saddle orchid ledger canyon basket thunder marble pillow anchor comet velvet walnut tunnel meadow
cactus barrel falcon ribbon castle helmet pigeon saffron timber magnet glacier drummer needle quarry
sailor tulip umbrella valley wagon yogurt zipper almond biscuit candle dolphin ember feather goblet
hammer island jacket kettle lemon muffin napkin olive parrot quilt rocket spider teapot urchin
vessel whistle acorn bronze cradle desert easel fossil gravel hollow ivory jungle kernel lagoon
mortar nectar oyster pebble raven silver turnip
""")
VERBS = listed("crossed found carried painted watched sold lifted followed remembered traded")


def sentence(rng, n=None):
    n = n or int(rng.integers(6, 13))
    w = list(rng.choice(WORDS, n, replace=False))
    w.insert(2, str(rng.choice(VERBS)))
    return "The " + " ".join(w) + "."


def sha(*parts, n=10):
    return hashlib.sha1("/".join(map(str, parts)).encode()).hexdigest()[:n]


def clock(start, seconds):
    return (pd.Timestamp(start) + pd.Timedelta(seconds=float(seconds))).isoformat(
        timespec="seconds"
    )


# True: tables


@case("true")
def topk_lower_fvu(rng):
    """TopK SAEs: FVU 0.15 against 0.21 (threshold 0.03), 10 shared seeds, sd 0.006; the same data,
    tokens and a slightly lower L0 (64 against about 66), so sparsity does not explain it. TopK of
    shuffled data is at 0.55."""
    rows, level = [], {"topk": 0.150, "relu": 0.210, "topk_shuffled": 0.55}
    for s in range(10):
        luck = rng.normal(0, 0.004)
        for a, f in level.items():
            fvu = f + luck + rng.normal(0, 0.006)
            rows.append(
                {
                    "run_id": sha(a, s, rng.integers(1e9)),
                    "arm": a,
                    "arch": a.split("_")[0],
                    "seed": 42 + s,
                    "layer": 12,
                    "d_sae": 16384,
                    "k": 64 if a != "relu" else np.nan,
                    "l1_coeff": np.nan if a != "relu" else 0.0035,
                    "lr": 3e-4 if a != "relu" else 2e-4,
                    "train_tokens": 200_000_000,
                    "dataset": "fineweb-10BT",
                    "data_sha": "9be01f22" if a != "topk_shuffled" else "9be01f22-perm",
                    "l0": 64.0 if a != "relu" else rng.normal(66.2, 1.6),
                    "fvu": fvu,
                    "mse": fvu * rng.normal(811, 3),
                    "ce_recovered": 1 - 0.35 * fvu + rng.normal(0, 0.003),
                    "dead_frac": {"topk": 0.02, "relu": 0.11, "topk_shuffled": 0.05}[a]
                    * rng.lognormal(0, 0.2),
                    "wall_h": rng.normal(3.1 if a != "relu" else 2.6, 0.15),
                    "git": "a41f9c0",
                    "ckpt": f"/scratch/sae/{a}/s{42 + s}/final.safetensors",
                    "finished": clock("2025-03-02T08:00", 13000 * s + rng.integers(900)),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="topk.fvu - relu.fvu < -0.03",
        unit="seed",
        control="topk_shuffled",
        about="topk",
    )


@case("true")
def steering_raises_sentiment(rng):
    """Sentiment +0.65 (threshold 0.3), 64 prompts, se 0.05; a random vector of the same norm: 0.
    Perplexity rises a little with either vector, completions are a bit shorter with the steered
    one."""
    rows = []
    topics = ["travel", "cooking", "finance", "sports", "health", "tech", "family", "school"]
    for p in range(64):
        text = sentence(rng)
        base = rng.normal(-0.1, 0.15)
        for a, eff in {"baseline": 0, "steered": 0.65, "random_dir": 0.0}.items():
            rows.append(
                {
                    "prompt_id": p,
                    "topic": topics[p % 8],
                    "prompt": text,
                    "arm": a,
                    "model": "gemma-2-2b",
                    "layer": 14,
                    "coef": 0.0 if a == "baseline" else 8.0,
                    "vec_norm": 0.0 if a == "baseline" else 41.3,
                    "gen_seed": 1234 + p,
                    "temperature": 0.7,
                    "sentiment": float(np.clip(base + eff + rng.normal(0, 0.22), -1, 1)),
                    "ppl": rng.lognormal(
                        np.log({"baseline": 12, "steered": 14.5, "random_dir": 14}[a]), 0.2
                    ),
                    "n_new_tokens": int(rng.normal(61 if a == "steered" else 63, 5)),
                    "gen_s": rng.normal(2.4, 0.2),
                    "completion": sentence(rng, 11),
                    "prompt_tokens": len(text.split()) + 2,
                    "finished": clock("2025-05-11T10:00", rng.integers(7200)),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="steered.sentiment - baseline.sentiment > 0.3",
        unit="prompt_id",
        control="random_dir",
        about="steered",
    )


@case("true")
def autointerp_sae_above_neurons(rng):
    """Detection scores of 150 latents (0.81) and of 150 neurons (0.65; threshold 0.08), firing
    rates drawn from the same deciles, the same judge and number of examples; random directions
    0.57."""
    rows = []
    for a, m in {"sae": 0.81, "neurons": 0.65, "random_dirs": 0.57}.items():
        for i in rng.choice(16384, 150, replace=False):
            rate = np.exp(rng.normal(-5.5, 1.1))
            rows.append(
                {
                    "arm": a,
                    "latent": f"{a}/L8/{i}",
                    "layer": 8,
                    "firing_rate": rate,
                    "explanation": sentence(rng, int(rng.integers(6, 11))),
                    "n_pos": 20,
                    "n_neg": 20,
                    "detection": float(
                        np.clip(m + 0.01 * (np.log(rate) + 5.5) + rng.normal(0, 0.085), 0.3, 1)
                    ),
                    "fuzzing": float(np.clip(m + 0.03 + rng.normal(0, 0.1), 0.3, 1)),
                    "judge": "llama-3.1-70b-instruct",
                    "judge_temp": 0.0,
                    "tokens_in": int(rng.normal(3900, 260)),
                    "tokens_out": int(rng.normal(210, 22)),
                    "latency_s": rng.lognormal(1.2, 0.3),
                    "path": f"results/{a}/{i:05d}.json",
                }
            )
    f = (
        pd.DataFrame(rows)
        .sample(frac=1, random_state=int(rng.integers(1e6)))
        .reset_index(drop=True)
    )
    return assay.judge(
        f,
        claim="sae.detection - neurons.detection > 0.08",
        unit="latent",
        control="random_dirs",
        about="sae",
    )


@case("true")
def transcoder_keeps_loss(rng):
    """One arm against a threshold, a ratio of sums: the transcoder adds 11% of the loss that
    zeroing the MLP adds (threshold 20%); 120 documents of very different length; a transcoder at
    initialisation adds 90%."""
    rows = []
    for d in range(120):
        n, clean, abl = (
            int(rng.lognormal(5.6, 0.7)) + 20,
            rng.normal(3.3, 0.4),
            rng.lognormal(0.9, 0.35),
        )
        for a, r in {"transcoder": 0.11, "skip_transcoder": 0.085, "random_init": 0.90}.items():
            ds = abl * r * rng.lognormal(0, 0.25)
            rows.append(
                {
                    "doc": f"pile-val-{d:04d}",
                    "source": ["arxiv", "github", "books", "web"][d % 4],
                    "arm": a,
                    "layer": 6,
                    "n_tokens": n,
                    "ce_clean": clean,
                    "ce_spliced": clean + ds,
                    "ce_zero": clean + abl,
                    "delta_spliced": ds,
                    "delta_zero": abl,
                    "l0": rng.normal(58 if a != "random_init" else 61, 4),
                    "kl": ds * rng.normal(1.05, 0.08),
                    "seed": 0,
                    "ckpt": f"tc/{a}/l6.pt",
                    "ckpt_sha": sha(a),
                    "eval_s": n * 0.0021 + rng.normal(0.1, 0.01),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="mean(transcoder.delta_spliced)/mean(transcoder.delta_zero) < 0.2",
        unit="doc",
        control="random_init",
        about="transcoder",
    )


@case("true")
def dense_probe_beats_sae_probe(rng):
    """Dense probes 0.93, k-sparse SAE probes 0.875 (threshold 0.02), mean of three layers, 16
    datasets, paired sd about 0.015; the dense probe on shuffled labels is at 0.5."""
    rows = []
    for d in range(16):
        easy, n, rate = rng.normal(0, 0.025), int(rng.integers(300, 1500)), rng.uniform(0.3, 0.6)
        gain = rng.normal(0, 0.012)
        for layer in (8, 12, 16):
            for a in ("dense", "sae_probe", "dense_shuffled"):
                m = {"dense": 0.93 + gain, "sae_probe": 0.875, "dense_shuffled": 0.5}[a] + (
                    easy + 0.01 * (layer - 12) / 4 if a != "dense_shuffled" else 0
                )
                v = min(m + rng.normal(0, 0.012 if a != "dense_shuffled" else 0.03), 0.998)
                rows.append(
                    {
                        "dataset": f"ds{d:02d}_{WORDS[d]}",
                        "layer": layer,
                        "arm": a,
                        "auroc": v,
                        "acc": v - 0.07 + rng.normal(0, 0.01),
                        "n_train": n,
                        "n_test": 500,
                        "base_rate": rate,
                        "C": float(
                            rng.choice([0.001, 0.01, 0.1] if a == "dense" else [0.1, 1, 10])
                        ),
                        "n_features": 2304 if a != "sae_probe" else 16,
                        "fit_s": rng.lognormal(0.5 if a != "sae_probe" else -1, 0.2),
                        "sklearn": "1.5.1",
                        "split_seed": 0,
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim="mean(dense.auroc, over=layer) - mean(sae_probe.auroc, over=layer) > 0.02",
        unit="dataset",
        control="dense_shuffled",
        about="dense",
    )


@case("true")
def ablated_latents_cut_logit_diff(rng):
    """Ablating five latents costs 2.6 logits (threshold 1); 80 prompts of 8 templates (template sd
    0.25, so z by template is above 10); ten draws of five other latents cost 0 to 0.3."""
    rows, tmp = [], rng.normal(0, 0.25, 8)
    draws = np.abs(rng.normal(0, 0.12, 10))
    for p in range(80):
        t, lead = p % 8, rng.normal(3.6, 0.8)
        text = sentence(rng, 7)
        arms = [("clean", 0, 0.0), ("ablated", 0, 2.6 + tmp[t] + rng.normal(0, 0.5))] + [
            ("random5", k, draws[k] + rng.normal(0, 0.15)) for k in range(10)
        ]
        for a, k, drop in arms:
            ld = lead - drop
            rows.append(
                {
                    "prompt_id": f"ioi-{p:03d}",
                    "template": f"T{t}",
                    "prompt": text,
                    "n_tokens": 15 + t % 3,
                    "arm": a,
                    "draw": k,
                    "n_latents": 0 if a == "clean" else 5,
                    "layer": 9,
                    "logit_diff": ld,
                    "p_correct": 1 / (1 + np.exp(-ld)),
                    "kl": 0.0 if a == "clean" else abs(drop) * 0.2 + rng.exponential(0.02),
                    "model": "gpt2-small",
                    "sae": "res-jb",
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="clean.logit_diff - ablated.logit_diff > 1",
        unit="prompt_id",
        control="random5",
        about="ablated",
    )


@case("true")
def attribution_tracks_effect(rng):
    """Attribution and measured effect of 420 latents correlate at about 0.85 (threshold 0.6), in
    every layer too; clutter (frequency, decoder norm) is unrelated."""
    n = 420
    layer = rng.integers(4, 10, n)
    eff = rng.standard_t(8, n) * 0.04
    att = eff * 0.9 + rng.standard_t(8, n) * 0.022
    ids = rng.choice(24576, n, replace=False)
    f = pd.DataFrame(
        {
            "latent": [f"L{l}/{i}" for l, i in zip(layer, ids, strict=True)],
            "layer": layer,
            "attribution": att,
            "effect": eff,
            "act_freq": np.exp(rng.normal(-6, 1.3, n)),
            "max_act": rng.lognormal(2, 0.5, n),
            "dec_norm": rng.normal(1, 0.02, n),
            "n_prompts": 128,
            "sae": "gpt2-small-res-jb",
            "neuronpedia": [f"gpt2-small/{l}-res-jb/{i}" for l, i in zip(layer, ids, strict=True)],
            "ig_steps": 10,
            "batch": [i // 60 for i in range(n)],
        }
    )
    return assay.judge(f, claim="corr(attribution, effect) > 0.6", unit="latent")


@case("true")
def refusal_direction_ablated(rng):
    """Refusals fall from 95% to 10% (threshold 40 points), 120 prompts of 8 categories; ablating a
    random direction leaves 94%."""
    rows = []
    for p in range(120):
        text = sentence(rng)
        for a, r in {"base": 0.95, "dir_ablated": 0.10, "random_ablated": 0.94}.items():
            ref = int(rng.random() < r)
            rows.append(
                {
                    "id": f"hb{p:03d}",
                    "category": f"{WORDS[p % 8]}",
                    "prompt": text,
                    "prompt_tokens": len(text.split()) + 4,
                    "arm": a,
                    "refused": ref,
                    "response_start": "I can't help with that" if ref else "Sure! Here is",
                    "response_tokens": int(rng.normal(45, 8) if ref else rng.normal(240, 40)),
                    "judge": "wildguard",
                    "judge_conf": rng.uniform(0.9, 1),
                    "temperature": 0.0,
                    "layer": -1 if a == "base" else 15,
                    "gen_s": rng.normal(1.0 if ref else 4.4, 0.2),
                    "run": "2025-04-18_" + a,
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="base.refused - dir_ablated.refused > 0.4",
        unit="id",
        control="random_ablated",
        about="dir_ablated",
    )


@case("true")
def auxk_halves_dead_latents(rng):
    """Counts: 1,500 dead latents with the auxiliary loss, 9,000 without (claim: less than half), 12
    seeds, sd 15%; the same code with the coefficient 0 has 8,900. The auxiliary loss takes longer
    and lowers the FVU a bit."""
    rows = []
    for s in range(12):
        for a, m in {"auxk": 1500, "plain": 9000, "auxk_coef0": 8900}.items():
            dead = int(m * rng.lognormal(0, 0.15))
            rows.append(
                {
                    "arm": a,
                    "seed": s,
                    "d_sae": 32768,
                    "k": 32,
                    "dead_latents": dead,
                    "dead_frac": dead / 32768,
                    "l0": 32.0,
                    "fvu": rng.normal(0.19 if a == "auxk" else 0.205, 0.004),
                    "aux_coef": {"auxk": 0.03125, "plain": np.nan, "auxk_coef0": 0.0}[a],
                    "dead_after_tokens": 10_000_000,
                    "lr": 2e-4,
                    "warmup": 1000,
                    "steps": 97656,
                    "batch": 4096,
                    "wall_h": rng.normal(6.4 if a != "plain" else 5.7, 0.2),
                    "gpu": f"a100-{rng.integers(8)}",
                    "wandb": f"https://wandb.ai/x/sae/runs/{sha(a, s, n=8)}",
                    "commit": "77b2e10",
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="auxk.dead_latents < 0.5 * plain.dead_latents",
        unit="seed",
        control="auxk_coef0",
        about="auxk",
    )


@case("true")
def contrastive_explanations_rated_higher(rng):
    """Ratings 1 to 5 of 8 blinded raters on 60 latents: +0.9 (threshold 0.4); explanations of equal
    length, presented in random order; another latent's explanation is rated 1.6."""
    rows, lat, rat = [], rng.normal(0, 0.45, 60), rng.normal(0, 0.25, 8)
    ids = rng.choice(16384, 60, replace=False)
    text = {
        (a, i): sentence(rng, int(rng.integers(9, 13)))
        for a in ("contrastive", "plain", "wrong_latent")
        for i in range(60)
    }
    slope, lgain = rng.normal(0, 0.12, 8), rng.normal(0, 0.25, 60)
    for r in range(8):
        for i in range(60):
            order = rng.permutation(3)
            for o, a in enumerate(("contrastive", "plain", "wrong_latent")):
                m = (
                    {"contrastive": 3.9 + slope[r] + lgain[i], "plain": 3.0, "wrong_latent": 1.5}[a]
                    + lat[i] * (a != "wrong_latent")
                    + rat[r]
                )
                rows.append(
                    {
                        "rater": f"R{r + 1}",
                        "latent": f"l10.{ids[i]}",
                        "arm": a,
                        "rating": int(np.clip(round(m + rng.normal(0, 0.6)), 1, 5)),
                        "order": int(order[o]) + 1,
                        "explanation": text[a, i],
                        "n_words": len(text[a, i].split()),
                        "seconds": round(rng.lognormal(2.8, 0.4), 1),
                        "form": "v3",
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim="contrastive.rating - plain.rating > 0.4",
        unit=["rater", "latent"],
        control="wrong_latent",
        about="contrastive",
    )


# True: checks


def rms(h):
    return h / np.sqrt((h**2).mean(-1, keepdims=True))


@case("true")
def check_direction_steers(rng):
    """A toy with an RMS norm and an MLP whose logit reads one direction; the direction was learned
    from 120 other rows. Adding it raises the logit difference by about 2 (threshold 0.8)."""
    d = 32
    r, q = np.linalg.qr(rng.normal(size=(d, 2)))[0].T
    m, b = rng.normal(0, 0.2, (d, 24)), rng.normal(0, 0.15, 24)
    y = rng.permutation(np.arange(120) % 2)
    acts = rng.normal(0, 1, (120, d)) + np.outer(2 * y - 1, 1.3 * r)
    other = rng.normal(0, 1, (120, d)) + np.outer(2 * y - 1, 1.3 * q)
    prompts = [{"text": sentence(rng), "state": rng.normal(0, 1, d)} for _ in range(36)]

    def logit_diff(vector, prompts):
        h = np.array([p["state"] for p in prompts])
        h = rms(h if vector is None else h + vector)
        return h @ r + np.maximum(h @ m, 0) @ b

    return assay.check(
        "Adding the formality direction raises the formal-minus-casual logit difference by 0.8",
        logit_diff,
        prompts,
        "effect > 0.8",
        Vector.learned(acts, y == 1, elsewhere=[other]),
    )


@case("true")
def check_three_latents_carry_lead(rng):
    """A toy SAE with 200 latents: three carry the lead (their ablation costs about 4.5; threshold
    2), all others have small weights; thirty others are as frequent. Decoder norms are alike."""
    n, d = 40, 200
    rate = np.where(np.arange(d) % 6 == 0, rng.uniform(0.6, 0.95, d), rng.uniform(0.02, 0.2, d))
    task = [17, 58, 131]
    rate[task] = [0.97, 0.93, 0.95]
    w = rng.normal(0, 0.12, d)
    w[task] = [1.1, 0.9, 1.0]
    prompts = []
    for _ in range(n):
        z = (rng.random(d) < rate) * rng.lognormal(0.4, 0.25, d)
        prompts.append({"text": sentence(rng), "z": z})

    def lead(latents, prompts):
        keep = np.ones(d)
        keep[list(latents or [])] = 0
        z = np.array([p["z"] for p in prompts]) * keep
        return z @ w - 0.05 * (z @ np.abs(w)) ** 1.2 + 0.3

    return assay.check(
        "Without latents 17, 58 and 131 the lead falls by two logits",
        lead,
        prompts,
        "effect < -2",
        Latents(task, of=d, like={"norm": rng.normal(1, 0.03, d), "rate": rate}),
    )


@case("true")
def check_patch_moves_capital(rng):
    """A toy in which the stream at the country holds its attribute: with another country's stream,
    that country's capital leads by about 4 (threshold 2); an unrelated country's stream puts
    neither ahead."""
    names = [w.capitalize() + "ia" for w in rng.choice(WORDS, 28, replace=False)]
    attr = {c: rng.normal(0, 1, 24) for c in names}
    shift = rng.permutation(28)
    other = {c: names[shift[(list(shift).index(i) + 1) % 28]] for i, c in enumerate(names)}
    prompts = pd.DataFrame(
        {"country": names, "other": [other[c] for c in names], "bias": rng.normal(0, 0.4, 28)}
    )

    def lead(source, prompts):
        out = []
        for i, (c, o, bias) in enumerate(
            zip(prompts["country"], prompts["other"], prompts["bias"], strict=True)
        ):
            h = attr[c] if source is None else 0.9 * attr[list(source)[i]] + 0.1 * attr[c]
            h = rms(h)
            out.append(float(h @ (attr[c] - attr[o])) / 5 + bias)
        return out

    return assay.check(
        "Patching in the other country's stream puts its capital ahead by two logits",
        lead,
        prompts,
        "effect_after < -2",
        Patch("other"),
        scope="toy, block 5",
    )


# True: probes


def simulated(rng, n, d, y, gap, groups=None, group_sd=0.6):
    X = rng.normal(0, 1, (n, d)) @ np.linalg.qr(rng.normal(size=(d, d)))[0] * 1.0
    u = rng.normal(size=d)
    u /= np.linalg.norm(u)
    if groups is not None:
        X = (
            X
            + rng.normal(0, group_sd, (len(set(groups)), d))[
                np.unique(groups, return_inverse=True)[1]
            ]
        )
    return X + np.outer(2 * y - 1, gap / 2 * u)


@case("true")
def probe_reads_correctness(rng):
    """The label (will the model answer correctly) is in the activations with d' 3.0 (AUROC about
    0.93; threshold 0.75) and independent of the words of the question, of the embeddings and of the
    untrained model."""
    n, topic = 240, np.repeat([f"topic{i}" for i in range(40)], 6)
    y = rng.permutation(np.arange(n) % 2)
    texts = [sentence(rng, 9) for _ in range(n)]
    X = simulated(rng, n, 48, y, 3.0, topic)
    return assay.check_probe(
        X,
        y,
        groups=topic,
        texts=texts,
        holds="auroc > 0.75",
        controls={
            "embeddings": rng.normal(size=(n, 32)),
            "untrained": simulated(rng, n, 48, y, 0, topic),
            "asked": rng.normal(0.15 * y, 1),
        },
    )


@case("true")
def probe_reads_user_expertise(rng):
    """Accuracy about 0.88 (threshold 0.7) in 200 dialogues of 50 users' documents; untrained and
    embeddings carry a trace (AUROC about 0.58)."""
    n, doc = 200, np.repeat(np.arange(50), 4)
    y = rng.permutation(np.arange(n) % 2)
    texts = [sentence(rng, 8) for _ in range(n)]
    return assay.check_probe(
        simulated(rng, n, 32, y, 3.0, doc, 0.3),
        y,
        groups=doc,
        texts=texts,
        holds="accuracy > 0.7",
        controls={
            "embeddings": simulated(rng, n, 24, y, 0.4),
            "untrained": simulated(rng, n, 32, y, 0.4, doc, 0.3),
        },
    )


@case("true")
def probe_reads_rare_label(rng):
    """A quarter of 400 rows are positive; AUROC about 0.93 (threshold 0.8); the session (four of
    them, random) is unrelated."""
    n = 400
    y = (rng.random(n) < 0.25).astype(int)
    session = rng.choice(["mon", "tue", "wed", "thu"], n)
    X = simulated(rng, n, 40, y, 2.7) + (session == "wed")[:, None] * rng.normal(0, 0.2, 40)
    return assay.check_probe(
        X,
        y,
        groups=np.arange(n) // 4,
        texts=[sentence(rng, 9) for _ in range(n)],
        holds="auroc > 0.8",
        controls={
            "session": session,
            "embeddings": rng.normal(size=(n, 24)),
            "untrained": rng.normal(size=(n, 40)),
        },
    )


# False


@case("false")
def matryoshka_fvu_wrong_way(rng):
    """Matryoshka SAEs have an FVU higher by 0.02; the claim is that it is lower by 0.01."""
    rows = []
    for s in range(8):
        luck = rng.normal(0, 0.004)
        for a, m in {"matryoshka": 0.205, "batchtopk": 0.185, "untrained": 0.97}.items():
            rows.append(
                {
                    "arm": a,
                    "seed": s,
                    "layer": 12,
                    "d_sae": 65536,
                    "l0": rng.normal(60, 0.5),
                    "fvu": m + luck + rng.normal(0, 0.005),
                    "absorption": rng.normal(0.05 if a == "matryoshka" else 0.2, 0.02),
                    "ravel": rng.normal(0.6, 0.02),
                    "wall_h": rng.normal(9 if a == "matryoshka" else 6, 0.3),
                    "tokens": 500_000_000,
                    "path": f"sb/{a}/{s}",
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="matryoshka.fvu - batchtopk.fvu < -0.01",
        unit="seed",
        control="untrained",
        about="matryoshka",
    )


@case("false")
def steering_no_gain_on_mmlu(rng):
    """0/1 answers to 240 questions: the steered and the unsteered model are equally good (0.62);
    the claim is +8 points."""
    rows = []
    for q in range(240):
        p = np.clip(rng.beta(3, 1.8), 0, 1)
        for a in ("base", "truth_steered", "random_steered"):
            ok = int(rng.random() < (p if a != "random_steered" else p - 0.03))
            rows.append(
                {
                    "question": f"mmlu-{q}",
                    "subject": WORDS[q % 12],
                    "arm": a,
                    "correct": ok,
                    "answer": str(rng.choice(list("ABCD"))),
                    "logprob": -rng.exponential(0.6),
                    "coef": 0 if a == "base" else 5,
                    "n_shots": 5,
                    "prompt_tokens": int(rng.normal(500, 60)) if a == "base" else None,
                    "gen_s": rng.normal(0.3, 0.02),
                }
            )
    f = pd.DataFrame(rows)
    f["prompt_tokens"] = f.groupby("question").prompt_tokens.transform("first")
    return assay.judge(
        f,
        claim="truth_steered.correct - base.correct > 0.08",
        unit="question",
        control="random_steered",
        about="truth_steered",
    )


@case("false")
def explainer_gain_below_threshold(rng):
    """A new explainer improves detection by 0.02 (z about 7), but the claim is 0.05; the same 300
    latents."""
    rows = []
    for i in rng.choice(16384, 300, replace=False):
        base = rng.normal(0.74, 0.09)
        for a, m in {"new_explainer": 0.02, "old_explainer": 0.0, "random_expl": -0.22}.items():
            rows.append(
                {
                    "arm": a,
                    "latent": int(i),
                    "layer": 20,
                    "firing_rate": np.nan,
                    "detection": float(np.clip(base + m + rng.normal(0, 0.035), 0, 1)),
                    "tokens_out": int(rng.normal(300 if a == "new_explainer" else 180, 30)),
                    "explanation": sentence(rng, 8),
                    "judge": "claude-3-haiku",
                    "cost_usd": rng.lognormal(-6, 0.2),
                }
            )
    return assay.judge(
        pd.DataFrame(rows).drop(columns="firing_rate"),
        claim="new_explainer.detection - old_explainer.detection > 0.05",
        unit="latent",
        control="random_expl",
        about="new_explainer",
    )


@case("false")
def random_vector_moves_kl_as_much(rng):
    """The steering vector moves the outputs by a KL of 1.2, but random vectors of the same norm do
    so by 1.15: the claim (more than 0.5 above the unsteered resampling floor) is not specific."""
    rows = []
    for p in range(90):
        t, h = sentence(rng), rng.normal(0, 0.2)
        for a, m in {"steered": 1.2, "random_dir": 1.15, "resample": 0.05}.items():
            rows.append(
                {
                    "prompt_id": p,
                    "prompt": t,
                    "arm": a,
                    "kl": m * np.exp(h + rng.normal(0, 0.25)),
                    "vec_norm": 0 if a == "resample" else 22.0,
                    "layer": 10,
                    "top1_agree": rng.uniform(0.4, 0.9),
                    "seed": p,
                    "entropy": rng.normal(3, 0.3),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="steered.kl - resample.kl > 0.5",
        unit="prompt_id",
        control="random_dir",
        about="steered",
    )


@case("false")
def longer_explanations_not_better(rng):
    """The length of an explanation and its score are unrelated (r about 0; the claim is above 0.3),
    320 latents."""
    n = 320
    f = pd.DataFrame(
        {
            "latent": rng.choice(32768, n, replace=False),
            "layer": rng.choice([5, 11, 17], n),
            "expl_words": rng.poisson(14, n) + 3,
            "simulation_score": np.clip(rng.normal(0.35, 0.2, n), -0.2, 1),
            "max_act": rng.lognormal(2, 0.6, n),
            "explainer": "gpt-4o-mini",
            "explanation": [sentence(rng, 8) for _ in range(n)],
        }
    )
    return assay.judge(f, claim="corr(expl_words, simulation_score) > 0.3", unit="latent")


@case("false")
def crosscoder_loss_ratio_too_high(rng):
    """The spliced loss is 1.2 times the clean one at each of 4 layers; the claim is below 1.05; 100
    documents, heavy tails."""
    rows = []
    for d in range(100):
        clean = rng.lognormal(1.1, 0.3)
        for layer in (3, 9, 15, 21):
            for a, m in {"crosscoder": 1.20, "identity": 1.0, "mean_ablation": 2.6}.items():
                rows.append(
                    {
                        "doc": f"c4-{d:05d}",
                        "layer": layer,
                        "arm": a,
                        "ce_clean": clean,
                        "ce": clean * (1 if a == "identity" else m * rng.lognormal(0, 0.12)),
                        "n_tokens": 256,
                        "dtype": "bf16",
                        "l0": rng.normal(90, 9),
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim="mean(mean(crosscoder.ce, over=layer))"
        "/mean(mean(crosscoder.ce_clean, over=layer)) < 1.05",
        unit="doc",
        control="mean_ablation",
        about="crosscoder",
    )


@case("false")
def check_any_prefix_works(rng):
    """Any prefix of ten words makes the toy's answers longer by about 3 tokens, whatever it says:
    what the prefix says is not the reason."""
    prompts = [sentence(rng) for _ in range(30)]
    load = {p: rng.normal(0, 0.6) for p in prompts}

    def length(text, prompts):
        n = 0 if text is None else len(text.split())
        return [20 + 2.0 * len(p.split()) ** 0.5 + n * 0.3 * np.exp(0.3 * load[p]) for p in prompts]

    return assay.check(
        "Asked to think step by step, the model answers at greater length",
        length,
        prompts,
        "effect > 1.5",
        Text(
            "Please think about this step by step and explain it",
            others=[sentence(rng, 9) for _ in range(4)],
        ),
    )


@case("false")
def probe_too_weak(rng):
    """The label is in the activations with an AUROC of about 0.6; the claim is 0.75; 300 rows."""
    n = 300
    y = rng.permutation(np.arange(n) % 2)
    return assay.check_probe(
        simulated(rng, n, 24, y, 0.8),
        y,
        groups=np.arange(n) // 3,
        texts=[sentence(rng, 9) for _ in range(n)],
        holds="auroc > 0.75",
        controls={"embeddings": rng.normal(size=(n, 24)), "untrained": rng.normal(size=(n, 24))},
    )


# Confounded: tables


@case("confounded", "norm")
def fvu_with_bos(rng):
    """The evaluation of `jumprelu` kept the BOS token, whose norm is 60 times that of others, and
    every SAE reconstructs it: the variance explodes and the FVU falls. Without BOS both are at
    0.18. Visible: 128 against 127 tokens, the total variance and the largest norm of the same
    documents differ."""
    rows = []
    for d in range(60):
        v, e = rng.lognormal(6.2, 0.15), rng.lognormal(0, 0.06)
        for a, f in {"jumprelu": 0.18, "topk": 0.18, "random_dec": 0.72}.items():
            bos = a == "jumprelu"
            var = v * rng.normal(1, 0.002) + (1 if bos else 0) * v * rng.normal(28, 0.6)
            err = f * v * e * rng.lognormal(0, 0.05) + (0.002 * v * 28 if bos else 0)
            rows.append(
                {
                    "doc_id": f"owt-{d:04d}",
                    "arm": a,
                    "layer": 9,
                    "n_tokens": 128 if bos else 127,
                    "total_var": var,
                    "resid_var": err,
                    "fvu": err / var,
                    "max_token_norm": rng.normal(3050, 4) if bos else rng.normal(61, 4),
                    "l0": rng.normal(70, 5),
                    "cos": rng.normal(0.93, 0.01),
                    "seed": 1,
                    "ckpt": f"{a}.safetensors",
                    "eval_script": "evals/recon.py",
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="jumprelu.fvu - topk.fvu < -0.05",
        unit="doc_id",
        control="random_dec",
        about="jumprelu",
    )


@case("confounded", "split")
def probe_tested_on_training_split(rng):
    """`ours` was scored on its own training split: its eval_split_sha equals its train_split_sha in
    every seed, and its test accuracy its training accuracy. The others were scored on held-out
    splits."""
    rows = []
    for s in range(12):
        for a, te in {"ours": 0.97, "baseline": 0.88, "label_shuffle": 0.51}.items():
            tr = 0.97 + rng.normal(0, 0.006)
            test = tr if a == "ours" else te + rng.normal(0, 0.011)
            rows.append(
                {
                    "arm": a,
                    "seed": s,
                    "layer": 18,
                    "train_split_sha": sha("train", s),
                    "eval_split_sha": sha("train", s) if a == "ours" else sha("test", s),
                    "n_train": 1200,
                    "n_eval": 1200 if a == "ours" else 400,
                    "train_acc": tr,
                    "test_acc": test,
                    "C": 0.1,
                    "pooling": "last" if a != "ours" else "attn",
                    "epochs": 20,
                    "fit_s": rng.normal(14, 1),
                    "host": "node07",
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="ours.test_acc - baseline.test_acc > 0.04",
        unit="seed",
        control="label_shuffle",
        about="ours",
    )


@case("confounded", "missing")
def unparsed_answers_dropped(rng):
    """Chain-of-thought judging is no better, but its worst answers could not be parsed and have no
    score (parse_ok 0, a third of the 260 latents); those that are left look better."""
    rows = []
    for i in rng.choice(16384, 260, replace=False):
        t = rng.normal(0.72, 0.07)
        for a in ("cot_explainer", "plain", "plain_again"):
            e = rng.normal(0, 0.12)
            ok = 1 if a != "cot_explainer" else int(e + rng.normal(0, 0.02) > -0.04)
            rows.append(
                {
                    "arm": a,
                    "latent": f"L12.{i}",
                    "score": float(np.clip(t + e, 0, 1)) if ok else np.nan,
                    "parse_ok": ok,
                    "tokens_out": int(rng.normal(620 if a == "cot_explainer" else 160, 40)),
                    "judge": "qwen2.5-32b",
                    "raw_path": f"raw/{a}/{i}.txt",
                    "layer": 12,
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="cot_explainer.score - plain.score > 0.02",
        unit="latent",
        control="plain_again",
        about="cot_explainer",
    )


@case("confounded", "layer")
def layers_mixed_otherwise(rng):
    """Within each layer transcoder latents and SAE latents score alike; the transcoder's sample has
    three quarters of early layers (easy), the SAE's one quarter."""
    rows, ease = [], {2: 0.84, 4: 0.80, 20: 0.64, 22: 0.62}
    for a, early in {"transcoder": 0.75, "sae": 0.25, "random_dirs": 0.5}.items():
        for i in rng.choice(16384, 220, replace=False):
            layer = int(rng.choice([2, 4]) if rng.random() < early else rng.choice([20, 22]))
            rows.append(
                {
                    "arm": a,
                    "latent": f"{a}:{layer}:{i}",
                    "layer": layer,
                    "freq": np.exp(rng.normal(-5, 1)),
                    "detection": float(
                        np.clip(
                            (ease[layer] if a != "random_dirs" else 0.52) + rng.normal(0, 0.08),
                            0,
                            1,
                        )
                    ),
                    "n_examples": 50,
                    "judge": "llama-3.3-70b",
                    "explanation": sentence(rng, 8),
                    "t_s": rng.lognormal(1, 0.3),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="transcoder.detection - sae.detection > 0.04",
        unit="latent",
        control="random_dirs",
        about="transcoder",
    )


@case("confounded", "ce_clean")
def nats_against_bits(rng):
    """The standard SAE's losses were logged in bits, the gated one's in nats: ce_clean of the same
    model on the same documents is 1.4427 times as large, while ppl_clean agrees. In one unit the
    two increases are equal."""
    rows = []
    for d in range(100):
        clean, inc = rng.normal(3.2, 0.35), rng.lognormal(-1.2, 0.25)
        for a, m in {"gated": 1.0, "standard": 1.0, "standard_s1": 1.0}.items():
            x = inc * m * rng.lognormal(0, 0.06)
            u = 1.0 if a == "gated" else 1 / np.log(2)
            rows.append(
                {
                    "doc": f"d{d:03d}",
                    "arm": a,
                    "layer": 7,
                    "n_tokens": 512,
                    "ce_clean": clean * u,
                    "ce_spliced": (clean + x) * u,
                    "ce_increase": x * u,
                    "ppl_clean": np.exp(clean),
                    "ppl_spliced": np.exp(clean + x),
                    "l0": rng.normal(55, 6),
                    "seed": int(a == "standard_s1"),
                    "logged_by": "eval_v2.py" if a == "gated" else "eval.py",
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="gated.ce_increase - standard.ce_increase < -0.06",
        unit="doc",
        control="standard_s1",
        about="gated",
    )


@case("confounded", "scored_at")
def judge_drifts_during_the_day(rng):
    """The judge's scores rise by 0.25 an hour in every arm (0.5 within each arm's two hours, at
    random order of prompts), and the arms were scored one after another: the whole difference of
    1.0 is the four hours between them."""
    rows, text = [], [sentence(rng) for _ in range(120)]
    for k, a in enumerate(("base", "random_dir", "steered")):
        order = rng.permutation(120)
        for j, p in enumerate(order):
            h = 2 * k + 2 * j / 120
            rows.append(
                {
                    "prompt_id": int(p),
                    "prompt": text[p],
                    "arm": a,
                    "coef": 0 if a == "base" else 6,
                    "concept_score": 3 + 0.25 * h + rng.normal(0, 0.3),
                    "fluency": rng.normal(7, 0.5),
                    "judge": "gpt-4o",
                    "call_index": 120 * k + j,
                    "scored_at": clock("2025-06-01T09:00", 3600 * h),
                    "hour": round(9 + h, 3),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="steered.concept_score - base.concept_score > 0.7",
        unit="prompt_id",
        control="random_dir",
        about="steered",
    )


@case("confounded")
def prompts_chosen_for_low_baseline(rng):
    """Only the 90 of 400 prompts whose noisy base score was below 0.3 were kept (base is cut off
    sharply at 0.3, the other arms are not; the column pool says 400): a fresh base run on them is
    at 0.5 as the steered is. The random vector harms by 0.3."""
    rows = []
    truth = rng.normal(0.5, 0.08, 400)
    first = truth + rng.normal(0, 0.22, 400)
    for p in np.flatnonzero(first < 0.3)[:90]:
        t = sentence(rng)
        for a, eff in {"base": None, "steered": 0.0, "random_dir": -0.3}.items():
            rows.append(
                {
                    "prompt_id": f"p{p:03d}",
                    "prompt": t,
                    "arm": a,
                    "honesty": first[p] if a == "base" else truth[p] + eff + rng.normal(0, 0.22),
                    "pool": 400,
                    "kept_if": "base.honesty<0.3",
                    "temperature": 1.0,
                    "n_samples": 1,
                    "layer": 16,
                    "coef": 0 if a == "base" else 4,
                    "n_tokens": int(rng.normal(80, 9)),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="steered.honesty - base.honesty > 0.12",
        unit="prompt_id",
        control="random_dir",
        about="steered",
    )


@case("confounded", "ablat")
def loss_recovered_against_zero_ablation(rng):
    """Loss recovered is (ablated - spliced)/(ablated - clean): the new SAE's was computed against
    zero ablation, the old one's against mean ablation. ce_spliced is the same; ce_ablated of the
    same documents differs by 5 nats."""
    rows = []
    for d in range(80):
        clean = rng.normal(3.1, 0.3)
        mean_abl, zero_abl = clean + rng.normal(2.4, 0.2), clean + rng.normal(7.5, 0.4)
        for a, x in {"new_sae": 0.42, "old_sae": 0.42, "random_sae": 2.0}.items():
            sp, ab = clean + x * rng.lognormal(0, 0.12), zero_abl if a == "new_sae" else mean_abl
            rows.append(
                {
                    "doc": d,
                    "arm": a,
                    "layer": 11,
                    "ce_clean": clean,
                    "ce_spliced": sp,
                    "ce_ablated": ab,
                    "ablation": "zero" if a == "new_sae" else "mean",
                    "loss_recovered": (ab - sp) / (ab - clean),
                    "l0": rng.normal(48, 4),
                    "ctx": 256,
                    "library": "sae_lens 4" if a == "new_sae" else "sae_lens 3",
                    "file": f"{a}/eval.json",
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="new_sae.loss_recovered - old_sae.loss_recovered > 0.05",
        unit="doc",
        control="random_sae",
        about="new_sae",
    )


@case("confounded", "distinct")
def concept_score_of_broken_text(rng):
    """The steered completions are one word again and again (see completion, distinct_2, ppl): the
    concept is named because the model is broken, not because it talks about the sea."""
    rows = []
    for p in range(60):
        t = sentence(rng)
        for a in ("base", "steered", "random_dir"):
            st = a == "steered"
            c = (
                "the sea " + "sea " * int(rng.integers(25, 40))
                if st
                else " ".join(sentence(rng, 8) for _ in range(4))
            )
            rows.append(
                {
                    "prompt_id": p,
                    "prompt": t,
                    "arm": a,
                    "coef": 0 if a == "base" else 120,
                    "completion": c.strip(),
                    "n_new_tokens": 40,
                    "concept_score": float(np.clip(rng.normal(0.9 if st else 0.06, 0.06), 0, 1)),
                    "distinct_2": float(
                        np.clip(rng.normal(0.04, 0.01) if st else rng.normal(0.9, 0.03), 0, 1)
                    ),
                    "ppl": rng.lognormal(6.8 if st else 2.6, 0.25),
                    "coherence": int(np.clip(round(rng.normal(1.1 if st else 4.3, 0.5)), 1, 5)),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="steered.concept_score - base.concept_score > 0.3",
        unit="prompt_id",
        control="random_dir",
        about="steered",
    )


@case("confounded", "hook")
def control_hook_never_ran(rng):
    """The random-vector control was never applied (hook_calls 0, resid_delta_norm 0): it is a
    resampled baseline and cannot show what a vector of this length does."""
    rows = []
    for p in range(70):
        t, b = sentence(rng), rng.normal(2, 0.5)
        for a in ("base", "steered", "random_dir"):
            n = int(rng.integers(50, 70))
            rows.append(
                {
                    "prompt_id": p,
                    "prompt": t,
                    "arm": a,
                    "layer": 13,
                    "coef": 0 if a == "base" else 10,
                    "hook_calls": n if a == "steered" else 0,
                    "resid_delta_norm": rng.normal(9.7, 0.1) if a == "steered" else 0.0,
                    "n_new_tokens": n,
                    "hedges": int(rng.poisson(max(b, 0.3) + (3.2 if a == "steered" else 0))),
                    "seed": 100 + p,
                    "temperature": 1.0,
                    "gen_s": rng.normal(2, 0.1),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="steered.hedges - base.hedges > 1.5",
        unit="prompt_id",
        control="random_dir",
        about="steered",
    )


# Confounded: checks and a probe


@case("confounded")
def check_controls_are_dead_features(rng):
    """The feature is clamped to its own largest activation. All other features of the pool are
    nearly dead (largest activation 0.02), so clamping them does nothing: the KL that the function
    also returns is 3 with the feature and below 0.001 with any control. Any vector of this size
    would change the toy's number."""
    d, n = 24, 60
    dec = rng.normal(size=(n, d))
    dec /= np.linalg.norm(dec, axis=1, keepdims=True)
    max_act = np.full(n, 0.02) * rng.lognormal(0, 0.2, n)
    max_act[31] = 14.0
    prompts = [{"text": sentence(rng), "state": rng.normal(0, 1, d)} for _ in range(32)]
    u = rng.normal(size=d)

    def f(feature, prompts):
        h0 = np.array([p["state"] for p in prompts])
        h = h0 if feature is None else h0 + max_act[feature] * dec[feature]
        change = ((h - h0) ** 2).sum(1)
        surprise = np.log1p((h**2).sum(1)) + 0.1 * np.tanh(
            h @ u
        )  # grows with the size of any change
        return {"surprise": surprise, "kl": change / 65}

    return assay.check(
        "Clamping feature 31 to its maximum makes the model's answer more surprised",
        f,
        prompts,
        "surprise > 0.8",
        Latents([31], of=n, like={"norm": np.ones(n)}),
    )


@case("confounded", "other_task")
def check_latent_breaks_everything(rng):
    """The ablated latent is the one with the huge activation that everything needs (norms not
    given): the lead of the named task falls by 2, the lead of the other task, which the same
    function returns, falls just as much."""
    d = 80
    prompts = []
    act = rng.lognormal(0, 0.3, d)
    act[7] = 30.0
    for _ in range(36):
        prompts.append(
            {
                "text": sentence(rng),
                "z": act * rng.lognormal(0, 0.2, d),
                "a": rng.normal(3, 0.4),
                "b": rng.normal(3, 0.4),
            }
        )
    w, v = rng.normal(0, 0.03, (2, d))

    def f(latents, prompts):
        keep = np.ones(d)
        keep[list(latents or [])] = 0
        z = np.array([p["z"] for p in prompts]) * keep
        scale = np.tanh(z[:, 7] / 10)  # the latent that sets the scale of everything
        a, b = np.array([p["a"] for p in prompts]), np.array([p["b"] for p in prompts])
        return {
            "task": a * (0.3 + 0.7 * scale) + z[:, 8:] @ w[8:] + z[:, :7] @ w[:7],
            "other_task": b * (0.3 + 0.7 * scale) + z[:, 8:] @ v[8:] + z[:, :7] @ v[:7],
        }

    return assay.check(
        "Latent 7 stores the capital: without it the lead of the capital falls by one",
        f,
        prompts,
        "task < -1",
        Latents([7], of=d),
    )


@case("confounded", "neighbour")
def check_layer_against_layers_without_effect(rng):
    """Steering at any of layers 5 to 20 has the same effect; the controls are layers 30 and 31,
    after the answer is already fixed, where nothing can have an effect."""
    prompts = [
        {
            "text": sentence(rng),
            "gain": rng.normal(1, 0.2),
            "bias": rng.normal(0, 0.5),
            "late": rng.normal(0.05, 0.03),
        }
        for _ in range(30)
    ]

    def f(layer, prompts):
        if layer is None:
            return [p["bias"] for p in prompts]
        g = 1.8 if 5 <= layer <= 20 else 0.0 if layer < 5 else 0.08
        return [p["bias"] + g * p["gain"] + (p["late"] if layer > 20 else 0) for p in prompts]

    return assay.check(
        "Layer 9 is where the sentiment is decided: steering there moves the logit by one",
        f,
        prompts,
        "effect > 1",
        Place(9, others=[30, 31]),
    )


@case("confounded", "spelling")
def probe_reads_the_apostrophe(rng):
    """Deceptive texts came from a source with curly apostrophes (93% against 7%), and the
    activations have nothing but the apostrophe. Visible in the texts."""
    n = 240
    y = rng.permutation(np.arange(n) % 2)
    curly = np.where(rng.random(n) < 0.07, 1 - y, y)
    texts = [
        sentence(rng, 8).replace("The ", "I don’t say the " if c else "I don't say the ")
        for c in curly
    ]
    return assay.check_probe(
        simulated(rng, n, 32, curly, 3.2),
        y,
        groups=np.arange(n) // 4,
        texts=texts,
        holds="auroc > 0.75",
        controls={"embeddings": rng.normal(size=(n, 16)), "untrained": rng.normal(size=(n, 32))},
    )


# Scarce


def exactly(rng, n, mean, sd):
    x = rng.normal(size=n)
    return mean + sd * (x - x.mean()) / x.std(ddof=1)


@case("scarce", "template")
def six_templates_disagree(rng):
    """420 prompts, but the effect belongs to the 7 templates (0.15, sd 0.25: t = 1.4 against the
    threshold 0.02); by prompt it looks very significant."""
    rows, eff = [], exactly(rng, 7, 0.15, 0.25)
    for p in range(420):
        t, b, text = p % 7, rng.normal(0.4, 0.1), sentence(rng, 9)
        for a in ("base", "steered", "random_dir"):
            rows.append(
                {
                    "prompt_id": p,
                    "template": f"tmpl_{'abcdefg'[t]}",
                    "prompt": text,
                    "arm": a,
                    "score": b
                    + (eff[t] if a == "steered" else -0.1 if a == "random_dir" else 0)
                    + rng.normal(0, 0.08),
                    "n_tokens": 20 + 3 * t,
                    "layer": 12,
                    "coef": 0 if a == "base" else 6,
                    "batch": p // 32,
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="steered.score - base.score > 0.02",
        unit="prompt_id",
        control="random_dir",
        about="steered",
    )


@case("scarce", "explanation")
def split_latents_counted_as_many(rng):
    """288 latents of the same SAE, but 9 families of split copies with the same explanation and
    nearly equal numbers; the families' gain is 0.05, sd 0.09 (t = 1.3 against 0.01)."""
    rows, eff = [], exactly(rng, 9, 0.05, 0.09)
    level = rng.normal(0.7, 0.08, 9)
    for i in range(288):
        k = int(rng.permutation(9)[0]) if i >= 9 else i
        for a in ("contextual", "plain", "wrong"):
            rows.append(
                {
                    "latent": f"L16/{sha('latent', i, n=6)}",
                    "explanation": f"mentions of {WORDS[k]} and {WORDS[k + 20]}",
                    "cluster": f"c{k}",
                    "arm": a,
                    "detection": float(
                        np.clip(
                            level[k]
                            + (eff[k] if a == "contextual" else -0.18 if a == "wrong" else 0)
                            + rng.normal(0, 0.02),
                            0,
                            1,
                        )
                    ),
                    "dec_cos_to_parent": rng.uniform(0.93, 0.99),
                    "layer": 16,
                    "freq": np.exp(rng.normal(-6, 0.5)),
                    "judge": "llama-3.1-70b",
                }
            )
    f = pd.DataFrame(rows)
    return assay.judge(
        f,
        claim="contextual.detection - plain.detection > 0.01",
        unit="latent",
        control="wrong",
        about="contextual",
    )


@case("scarce")
def two_documents_make_the_mean(rng):
    """The KL of 26 documents has a heavy tail: the mean gain of 0.6 is due to two documents (leave
    them out: 0); the t interval contains 0."""
    rows = []
    big = rng.choice(26, 2, replace=False)
    for d in range(26):
        b = rng.lognormal(-1.2, 0.5)
        g = rng.normal(0, 0.08)
        if d in big:
            b, g = b + rng.uniform(7, 9), (10.5 if d == big[0] else 5.0)
        for a, x in {"old": 0.0, "new": -g, "old_s1": rng.normal(0, 0.03)}.items():
            rows.append(
                {
                    "doc": f"pile-{d:02d}",
                    "arm": a,
                    "kl": max(b + x, 0.01) if d not in big else b + x + 4,
                    "n_tokens": int(rng.lognormal(6, 0.8)),
                    "layer": 8,
                    "l0": rng.normal(40, 4),
                    "source": ["web", "code"][d % 2],
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="old.kl - new.kl > 0.05",
        unit="doc",
        control="old_s1",
        about="new",
    )


@case("scarce", "layer")
def best_of_24_layers(rng):
    """No layer has an effect. The claim names the layer of 24 whose difference is largest (z is 2.9
    alone, p = 0.09 after a correction for 24 layers, 0.15 against the threshold)."""
    P, L = 40, 24
    base = rng.normal(0.5, 0.2, P) + rng.normal(0, 0.1, (L, P))
    d = rng.normal(0, 0.3, (L, P))
    z = d.mean(1) / (d.std(1, ddof=1) / np.sqrt(P))
    best = int(np.argmax(z))
    d[best] += (
        (2.9 - z[best]) * d[best].std(ddof=1) / np.sqrt(P)
    )  # the best of 24 by luck: always z = 2.9
    x = {"base": base, "steered": base + d, "random_dir": base + rng.normal(-0.12, 0.3, (L, P))}
    rows = [
        {
            "prompt_id": p,
            "arm": a,
            "layer": l,
            "coef": 0 if a == "base" else 8,
            "truthful": x[a][l, p],
            "seed": 0,
            "model": "pythia-1.4b",
            "n_tokens": 31 + p % 5,
        }
        for a in x
        for l in range(L)
        for p in range(P)
    ]
    return assay.judge(
        pd.DataFrame(rows),
        claim=f"steered.truthful[layer={best}] - base.truthful[layer={best}] > 0.01",
        unit="prompt_id",
        control="random_dir",
        about="steered",
    )


@case("scarce", "subject")
def check_seven_subjects(rng):
    """56 prompts about 7 subjects; the effect is the subject's (0.35, sd 0.6: t = 1.1 against 0.1).
    By prompt z is above 3."""
    subjects, eff = (
        ["chess", "wine", "law", "birds", "tax", "opera", "golf"],
        exactly(rng, 7, 0.35, 0.6),
    )
    u = np.eye(16)[2]
    prompts = [
        {
            "text": f"{sentence(rng, 7)} About {subjects[i % 7]}.",
            "subject": subjects[i % 7],
            "state": rng.normal(0, 1, 16),
            "k": eff[i % 7] * np.exp(rng.normal(0, 0.1)),
        }
        for i in range(56)
    ]

    def f(vector, prompts):
        s = np.array([p["state"] for p in prompts])
        add = (
            0
            if vector is None
            else (vector @ u) * np.array([p["k"] for p in prompts]) / 2 + 0.05 * np.tanh(s @ vector)
        )
        return np.tanh(s[:, 3]) * 0.3 + add

    return assay.check(
        "The expert vector raises the expertise score",
        f,
        prompts,
        "effect > 0.1",
        Vector(2 * u, rng.normal(0, 1, (100, 16))),
    )


@case("scarce", "group")
def probe_on_overlapping_windows(rng):
    """96 windows of 12 documents, each window sharing a third of its words with the next; the label
    belongs to the document, the activations to the document's own (random) direction and not to the
    label. By window the probe is nearly perfect; by document no one can tell."""
    texts, X, y = [], [], []
    labels = rng.permutation([0, 1] * 6)
    for d in range(12):
        words = [str(w) for _ in range(4) for w in rng.permutation(WORDS)][:60]
        centre = rng.normal(0, 1.2, 40)
        for k in range(8):
            texts.append(" ".join(words[6 * k : 6 * k + 9]))
            X.append(centre + rng.normal(0, 1, 40))
            y.append(labels[d])
    order = rng.permutation(96)
    return assay.check_probe(
        np.array(X)[order],
        np.array(y)[order],
        groups=np.arange(96),
        texts=[texts[i] for i in order],
        holds="auroc > 0.7",
    )
