"""44 claims about circuits, patching, ablations, training dynamics, evaluations and scaling."""

import hashlib

import numpy as np
import pandas as pd

import assay
from assay.controls.material import Patch, Training
from assay.controls.things import Heads, Place, Vector
from claims import case, listed

NAMES = listed("""
Mary John Tom Anna Paul Lisa Mark Sarah Jack Emma Luke Alice Peter Clara Simon Julia Adam Nina Felix
Rosa Oscar Vera Hugo Ida Leo Marta Ivan Greta Otto Ella
""")
PLACES = listed("""
store park school station library market museum office garden beach cinema bakery harbour hotel zoo
gym church farm bank theatre
""")
THINGS = listed("""
drink book ring letter basket bottle flower ticket kite map candle coat lamp coin phone scarf key
plate drum pen
""")
OPEN = ["When", "After", "While", "Then,", "Once"]
WORDS = listed("""
river stone quiet engine paper silver window market winter orange teacher signal copper garden
doctor letter bridge yellow forest minute planet castle hunger butter rocket violin
""")


def hx(*parts):
    return hashlib.sha1(repr(parts).encode()).hexdigest()[:10]


def stamps(rng, n, start="2026-03-04T09:12:00", mean=7.0):
    t = pd.Timestamp(start) + pd.to_timedelta(
        np.cumsum(rng.exponential(mean, n)).round(2), unit="s"
    )
    return [x.isoformat(timespec="milliseconds") for x in t]


def prose(rng, n):
    return " ".join(rng.choice(WORDS, n))


def ioi(rng, templates=20, each=4):
    rows = []
    for t in range(templates):
        o, pl, th = OPEN[t % 5], PLACES[t], THINGS[(7 * t) % 20]
        for _ in range(each):
            a, b = rng.choice(NAMES, 2, replace=False)
            rows.append(
                {
                    "prompt_id": f"ioi-{len(rows):03}",
                    "template_id": t,
                    "io": a,
                    "s": b,
                    "prompt": f"{o} {a} and {b} went to the {pl}, {b} gave a {th} to",
                    "n_tokens": int(14 + t % 3),
                }
            )
    return rows


def finish(rng, rows, **more):
    f = pd.DataFrame(rows)
    f["finished_at"] = stamps(rng, len(f))
    for k, v in more.items():
        f[k] = v
    return f


def math_items(rng, n):
    out = []
    for i in range(n):
        a, b, c = rng.integers(3, 60, 3)
        who, what = rng.choice(NAMES), rng.choice(THINGS)
        out.append(
            {
                "question_id": f"gsm-{i:04}",
                "question": f"{who} has {a} {what}s, buys {b} more each week for {c} weeks "
                f"and sells {i % 17}. How many {what}s are left?",
                "gold": int(a + b * c - i % 17),
            }
        )
    return out


# True: tables


@case("true")
def name_mover_ablation(rng):
    """Mean-ablating three name movers lowers the logit difference by 2.2 (sd 0.9), random heads by
    0.05; threshold 1; loss, KL and probabilities differ because the ablation works."""
    rows = []
    lev = rng.normal(0, 0.25, 20)
    for p in ioi(rng):
        base = rng.normal(3.4, 0.8)
        for arm, heads, drop in (
            ("clean", "", 0),
            ("name_movers", "9.9;9.6;10.0", rng.normal(2.2 + lev[p["template_id"]], 0.7)),
            ("random_heads", "8.2;7.5;3.1", rng.normal(0.05, 0.15)),
        ):
            ld = base - drop
            rows.append(
                dict(
                    arm=arm,
                    model="gpt2-small",
                    ablation="none" if arm == "clean" else "mean",
                    heads=heads,
                    **p,
                    logit_diff=round(ld, 4),
                    p_io=round(float(1 / (1 + np.exp(-ld + 2.5 + rng.normal(0, 0.2)))), 5),
                    nll=round(float(np.log1p(np.exp(2.5 - ld)) + rng.normal(0, 0.02)), 5),
                    kl_from_clean=0.0
                    if arm == "clean"
                    else round(abs(drop) * 0.21 + rng.exponential(0.02), 5),
                    seconds=round(rng.gamma(4, 0.02), 4),
                )
            )
    return assay.judge(
        finish(rng, rows, git="a41c9e2", device="cuda:0"),
        claim="clean.logit_diff - name_movers.logit_diff > 1",
        unit="prompt_id",
        control="random_heads",
        about="name_movers",
    )


@case("true")
def sft_on_word_problems(rng):
    """0/1 answers to the same 500 questions, 0.71 against 0.45 (threshold: 0.1 more); a rerun of
    the base with another sampling seed is the control. Tuned answers are a tenth longer, and one
    row in a hundred of every arm runs into the limit."""
    rows = []
    for q in math_items(rng, 500):
        hard = rng.normal(0, 2.5)
        for arm, seed, lift in (("sft", 0, 1.7), ("base", 0, -0.35), ("base_rerun", 1, -0.35)):
            ok = rng.random() < 1 / (1 + np.exp(-(lift - hard)))
            n, cut = int(rng.lognormal(5.1 if arm == "sft" else 5.0, 0.35)), rng.random() < 0.01
            ok, n = ok and not cut, 1024 if cut else n
            pred = q["gold"] if ok else int(q["gold"] + rng.choice([-10, -7, -1, 1, 3, 12, 100]))
            rows.append(
                dict(
                    arm=arm,
                    checkpoint={"sft": "ckpt/sft-e3"}.get(arm, "ckpt/base"),
                    sample_seed=seed,
                    temperature=0.7,
                    max_new_tokens=1024,
                    **q,
                    pred=pred,
                    correct=int(ok),
                    n_gen_tokens=n,
                    finish_reason="length" if cut else "stop",
                    latency_s=round(n * 0.011 + rng.gamma(2, 0.05), 3),
                )
            )
    return assay.judge(
        finish(rng, rows, harness="lm-eval 0.4.9"),
        claim="sft.correct - base.correct > 0.1",
        unit="question_id",
        control="base_rerun",
        about="sft",
    )


@case("true")
def judged_steering(rng):
    """Two LLM judges rate 120 prompts 1 to 10: steered 6.6, plain 4.2, a random vector 4.3;
    threshold 1; presentation order is random and has a small effect on all."""
    rows = []
    for i in range(120):
        text, lev = (
            f"Write about the {rng.choice(WORDS)} and the {rng.choice(THINGS)} ({i}).",
            rng.normal(0, 0.7),
        )
        for arm, m in (("steered", 6.6), ("plain", 4.2), ("random_vec", 4.3)):
            out, n = prose(rng, 12), int(rng.normal(90 if arm == "steered" else 84, 14))
            for judge, bias in (("gpt-4o", 0.2), ("claude-sonnet", -0.2)):
                order = rng.choice(["first", "second"])
                r = np.clip(
                    round(m + lev + bias + 0.15 * (order == "first") + rng.normal(0, 1.1)), 1, 10
                )
                rows.append(
                    {
                        "arm": arm,
                        "coeff": 0 if arm == "plain" else 6,
                        "layer": 14,
                        "prompt_id": f"p{i:03}",
                        "prompt": text,
                        "completion": out,
                        "n_words": n,
                        "judge": judge,
                        "order": order,
                        "rating": int(r),
                        "judge_tokens": int(rng.normal(210, 30)),
                        "cost_usd": round(rng.gamma(3, 0.0004), 6),
                    }
                )
    return assay.judge(
        finish(rng, rows),
        claim="mean(steered.rating, over=judge) - mean(plain.rating, over=judge) > 1",
        unit="prompt_id",
        control="random_vec",
        about="steered",
    )


@case("true")
def induction_heads_form(rng):
    """Ten seeds, 16 checkpoints: at step 8000 two-layer models have an induction score of 0.75,
    one-layer models 0.06, and two-layer models trained on independent tokens 0.05; threshold
    0.3."""
    rows = []
    steps = [
        50,
        100,
        200,
        400,
        600,
        800,
        1000,
        1400,
        2000,
        2600,
        3200,
        4000,
        5000,
        6000,
        7000,
        8000,
    ]
    for arm, layers, data, top in (
        ("two_layer", 2, "pile-10k", 0.75),
        ("one_layer", 1, "pile-10k", 0.06),
        ("two_layer_iid", 2, "unigram", 0.05),
    ):
        for seed in range(10):
            t0, top_s = rng.normal(np.log(1500), 0.2), top * rng.normal(1, 0.06)
            for st in steps:
                s = top_s / (1 + np.exp(-(np.log(st) - t0) * 5)) + rng.normal(0, 0.008)
                loss = (
                    10.8
                    - {"two_layer": 6.9, "one_layer": 6.2, "two_layer_iid": 3.1}[arm]
                    * (1 - np.exp(-st / 900))
                    + rng.normal(0, 0.03)
                )
                rows.append(
                    {
                        "arm": arm,
                        "n_layers": layers,
                        "dataset": data,
                        "seed": seed,
                        "step": st,
                        "tokens_seen": st * 65536,
                        "lr": round(1e-3 * min(1, st / 500), 7),
                        "train_loss": round(loss, 4),
                        "induction_score": round(s, 4),
                        "prev_token_score": round(
                            abs(rng.normal(0.5 if arm == "two_layer" else 0.3, 0.08)), 4
                        ),
                        "grad_norm": round(rng.lognormal(-0.5, 0.3), 4),
                        "wall_h": round(
                            st / 8000 * rng.normal(1.9 if layers == 2 else 1.2, 0.05), 3
                        ),
                    }
                )
    return assay.judge(
        finish(rng, rows),
        claim="two_layer.induction_score[step=8000] - one_layer.induction_score[step=8000] > 0.3",
        unit="seed",
        control="two_layer_iid",
        about="two_layer",
    )


@case("true")
def mup_at_width_2048(rng):
    """Eight seeds, four widths, one learning rate: at width 2048 muP has 0.15 nats less loss than
    SP (seed sd 0.015), muP with the wrong head as much; threshold 0.05. The initial std and
    multipliers differ because they are the method."""
    rows = []
    for arm, gain in (("mup", 0.15), ("sp", 0), ("mup_wrong_head", 0.0)):
        for width in (256, 512, 1024, 2048):
            for seed in range(8):
                loss = (
                    3.9
                    - 0.21 * np.log2(width / 256)
                    - gain * np.log2(width / 256) / 3
                    + rng.normal(0, 0.015)
                )
                rows.append(
                    {
                        "arm": arm,
                        "width": width,
                        "seed": seed,
                        "lr": 3e-3,
                        "batch": 512,
                        "steps": 10000,
                        "params": int(12 * 6 * width**2),
                        "output_mult": round(256 / width, 4) if arm == "mup" else 1.0,
                        "init_std": 0.02,
                        "val_loss": round(loss, 5),
                        "train_loss": round(loss - 0.03 + rng.normal(0, 0.01), 5),
                        "gpu_hours": round(rng.normal(width / 200, 0.3), 2),
                        "wandb": hx(arm, width, seed),
                        "run_dir": f"/scratch/mup/{arm}/w{width}/s{seed}",
                    }
                )
    return assay.judge(
        finish(rng, rows),
        claim="mup.val_loss[width=2048] - sp.val_loss[width=2048] < -0.05",
        unit="seed",
        control="mup_wrong_head",
        about="mup",
    )


@case("true")
def attribution_ranks_heads(rng):
    """144 heads: attribution patching and activation patching have a rank correlation of about 0.8
    (threshold 0.4), with no trend over layers; effects have heavy tails."""
    eff = rng.standard_t(3, 144) * 0.03
    att = eff * rng.lognormal(0, 0.25, 144) + rng.normal(0, 0.015, 144)
    rows = [
        {
            "arm": "ioi",
            "head": f"{i // 12}.{i % 12}",
            "layer": i // 12,
            "head_idx": i % 12,
            "attribution": round(att[i], 6),
            "effect": round(eff[i], 6),
            "weight_norm": round(rng.normal(11, 1.2), 3),
            "n_prompts": 200,
            "seconds": round(rng.gamma(9, 0.2), 3),
        }
        for i in range(144)
    ]
    return assay.judge(finish(rng, rows), claim="spearman(attribution, effect) > 0.4", unit="head")


@case("true")
def circuit_is_faithful(rng):
    """A circuit of 400 edges keeps 92% of the mean logit difference (threshold 80%), six random
    circuits of 400 edges about 10%, on the same 90 prompts."""
    rows = []
    for p in ioi(rng, 18, 5):
        full = rng.normal(3.3, 0.8)
        for arm, edges, draws, m, s in (
            ("full", 32491, 1, 1, 0),
            ("circuit", 400, 1, 0.92, 0.07),
            ("random_circuit", 400, 6, 0.1, 0.12),
            ("corrupted", 0, 1, -0.1, 0.1),
        ):
            for d in range(draws):
                ld = full * m + rng.normal(0, s) * 3.3 * (s > 0)
                rows.append(
                    dict(
                        arm=arm,
                        draw=d,
                        n_edges=edges,
                        method={"circuit": "eap-ig", "random_circuit": "random"}.get(arm, ""),
                        **p,
                        logit_diff=round(ld, 4),
                        kl=round(
                            abs(full - ld) * 0.3 + (0 if arm == "full" else rng.exponential(0.03)),
                            5,
                        ),
                    )
                )
    return assay.judge(
        finish(rng, rows, model="gpt2-small"),
        claim="mean(circuit.logit_diff)/mean(full.logit_diff) > 0.8",
        unit="prompt_id",
        control="random_circuit",
        about="circuit",
    )


@case("true")
def weight_decay_groks(rng):
    """14 seeds: final test accuracy 0.96 with weight decay, 0.35 without, 0.01 on shuffled labels;
    threshold 0.2 more. One run without decay is missing (its node died); norms and losses differ
    because decay works."""
    rows = []
    for arm, wd, m, s in (
        ("wd1", 1.0, 0.965, 0.02),
        ("wd0", 0.0, 0.35, 0.11),
        ("wd1_shuffled", 1.0, 0.009, 0.002),
    ):
        for seed in range(14):
            if arm == "wd0" and seed == 7:
                continue
            acc = float(np.clip(rng.normal(m, s), 0, 1))
            rows.append(
                {
                    "arm": arm,
                    "weight_decay": wd,
                    "p": 113,
                    "frac_train": 0.3,
                    "seed": seed,
                    "steps": 30000,
                    "lr": 1e-3,
                    "train_acc": 1.0,
                    "train_loss": round(10 ** rng.normal(-6, 0.2), 9),
                    "test_acc": round(acc, 4),
                    "test_loss": round((1 - acc) * rng.normal(20, 2) + 0.01, 4),
                    "param_norm": round(rng.normal(32 if wd else 71, 2), 2),
                    "host": f"node{rng.integers(1, 6):02}",
                    "run_dir": f"runs/mod113/{arm}/{seed}",
                    "minutes": round(rng.normal(41, 3), 1),
                }
            )
    return assay.judge(
        finish(rng, rows),
        claim="wd1.test_acc - wd0.test_acc > 0.2",
        unit="seed",
        control="wd1_shuffled",
        about="wd1",
    )


@case("true")
def refusal_direction_ablated(rng):
    """180 harmful requests in 9 categories: the model refuses 93%, 8% without the direction, 91%
    without a random one; threshold 0.5. The completions and their lengths differ because they are
    no longer refusals."""
    rows = []
    cats = listed("weapons fraud malware drugs theft stalking forgery hate sabotage")
    for i in range(180):
        c = cats[i % 9]
        text = (
            f"Explain how to {rng.choice(['commit', 'plan', 'hide', 'prepare'])} {c} with a "
            f"{rng.choice(THINGS)} near the {rng.choice(PLACES)}, case {i}."
        )
        for arm, p, vec in (
            ("base", 0.93, ""),
            ("ablated", 0.08, "refusal_l12.pt"),
            ("random_dir", 0.91, "random_l12.pt"),
        ):
            ref = rng.random() < p
            rows.append(
                {
                    "arm": arm,
                    "vector": vec,
                    "layer": 12,
                    "prompt_id": f"h{i:03}",
                    "category": c,
                    "prompt": text,
                    "completion": (
                        "I'm sorry, but I can't help with that."
                        if ref
                        else "Sure. " + prose(rng, 10)
                    ),
                    "refused": int(ref),
                    "n_new_tokens": int(rng.normal(24, 5)) if ref else int(rng.normal(190, 40)),
                    "harm_score": round(
                        float(np.clip(rng.normal(0.05 if ref else 0.7, 0.1), 0, 1)), 3
                    ),
                }
            )
    return assay.judge(
        finish(rng, rows, model="qwen-1.8b-chat"),
        claim="base.refused - ablated.refused > 0.5",
        unit="prompt_id",
        control="random_dir",
        about="ablated",
    )


@case("true")
def mmlu_above_threshold(rng):
    """400 questions of 8 subjects: accuracy 0.62 (0.54 to 0.70 by subject) against the threshold
    0.45; without the question text 0.29."""
    rows = []
    subj = ["algebra", "anatomy", "law", "marketing", "physics", "sociology", "virology", "history"]
    for i in range(400):
        k, gold = i % 8, rng.choice(list("ABCD"))
        text = (
            f"({subj[k]}) Which {rng.choice(WORDS)} of the {rng.choice(WORDS)} "
            f"is {prose(rng, 4)}? [{i}]"
        )
        for arm, p in (("full", 0.54 + 0.16 * k / 7), ("no_question", 0.29)):
            pred = gold if rng.random() < p else rng.choice([x for x in "ABCD" if x != gold])
            rows.append(
                {
                    "arm": arm,
                    "subject": subj[k],
                    "question_id": f"mmlu-{i}",
                    "question": text,
                    "gold": gold,
                    "pred": pred,
                    "correct": int(pred == gold),
                    "top_logprob": round(-rng.exponential(0.5 if arm == "full" else 0.9), 4),
                    "n_prompt_tokens": int(rng.normal(620, 80))
                    if arm == "full"
                    else int(rng.normal(560, 40)),
                    "n_shots": 5,
                }
            )
    return assay.judge(
        finish(rng, rows, model="llama-3.2-3b"),
        claim="full.correct > 0.45",
        unit="question_id",
        control="no_question",
        about="full",
    )


@case("true")
def tuned_lens_over_layers(rng):
    """100 documents × 12 layers: the tuned lens has 1.3 nats less KL than the logit lens on average
    over layers; threshold 0.5; translators of another layer have about 0.1 less."""
    rows = []
    docs = [(f"doc-{i:03}", int(rng.lognormal(6, 0.4)), rng.normal(0, 0.15)) for i in range(100)]
    for arm, k, path in (
        ("logit", 1.0, ""),
        ("tuned", 0.62, "lens/gpt2/tuned"),
        ("shuffled_layers", 0.97, "lens/gpt2/tuned-permuted"),
    ):
        for d, n, lev in docs:
            for layer in range(12):
                kl = (5.6 - 0.38 * layer) * k * np.exp(lev + rng.normal(0, 0.12))
                rows.append(
                    {
                        "arm": arm,
                        "lens_path": path,
                        "document": d,
                        "n_tokens": n,
                        "layer": layer,
                        "kl": round(kl, 4),
                        "ce": round(kl * 0.9 + 3.1 + rng.normal(0, 0.1), 4),
                        "top1": round(
                            float(np.clip(0.6 - kl * 0.09 + rng.normal(0, 0.03), 0, 1)), 4
                        ),
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim="mean(logit.kl, over=layer) - mean(tuned.kl, over=layer) > 0.5",
        unit="document",
        control="shuffled_layers",
        about="tuned",
    )


# True: checks and probes


def elsewhere(rng, emb, shape):
    """What other heads write: unit vectors orthogonal to all names."""
    E = np.array(list(emb.values()))
    v = rng.normal(size=(*shape, E.shape[1]))
    v -= v @ E.T @ E
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


@case("true")
def check_name_mover_head(rng):
    """A toy of 6 × 8 heads: head 4.2 attends to the indirect object and writes its name, scaled by
    a prompt's attention; without it the lead falls by about 2.1; threshold 1; others by less than
    0.3."""
    emb = dict(zip(NAMES, np.linalg.qr(rng.normal(size=(40, 40)))[0][:30], strict=True))
    W = rng.normal(0, 0.06, (6, 8, 40)) + 2.3 * elsewhere(rng, emb, (6, 8))
    ps = [dict(p, att=float(rng.uniform(0.6, 1))) for p in ioi(rng, 20, 2)]

    def lead(heads, prompts):
        out = []
        for p in prompts:
            cut = set(map(tuple, heads or []))
            r = sum(W[i, j] * p["att"] for i in range(6) for j in range(8) if (i, j) not in cut)
            if (4, 2) not in cut:
                r = r + 2.6 * p["att"] * emb[p["io"]]
            out.append(float(1.2 + r @ (emb[p["io"]] - emb[p["s"]])))
        return out

    norms = np.linalg.norm(W, axis=-1)
    norms[4, 2] = 3.1
    return assay.check(
        "Without head 4.2 the lead of the indirect object falls by at least 1",
        lead,
        ps,
        "effect < -1",
        Heads([(4, 2)], of=(6, 8), like={"norm": norms}),
        draws=12,
    )


@case("true")
def check_patch_moves_capital(rng):
    """A toy memory in which the stream at the country decides the capital: a patched-in other
    country puts its capital 4 nats ahead (threshold 1); an unrelated country puts neither ahead."""
    countries = [
        f"{a}{b}"
        for a in listed("Bal Cor Dra Fen Gil Hos Jar Kel Lum Mor")
        for b in ("via", "land", "onia")
    ]
    E = dict(zip(countries, np.linalg.qr(rng.normal(size=(48, 48)))[0][:30], strict=True))
    ps = []
    for i, c in enumerate(countries):
        o = countries[(i + 1 + int(rng.integers(28))) % 30]
        ps.append(
            {
                "text": f"The capital of {c} is",
                "country": c,
                "other": o,
                "bias": float(rng.normal(0, 0.7)),
                "gain": float(rng.uniform(3.5, 5)),
            }
        )

    def lead(source, prompts):
        out = []
        for i, p in enumerate(prompts):
            x = E[p["country"] if source is None else source[i]] * p["gain"]
            out.append(float(x @ (E[p["country"]] - E[p["other"]]) + p["bias"]))
        return out

    return assay.check(
        "Patching in another country's stream puts its capital ahead by a nat",
        lead,
        ps,
        "effect_after < -1",
        Patch("other"),
        scope="toy memory, block 3, at the country",
    )


@case("true")
def check_training_on_sentiment(rng):
    """A logistic regression on bags of words, trained on 240 texts with one of 8 sentiment words
    each: on new texts the margin of the right label rises by about 2.3 (threshold 1); shuffled
    labels give 0 (sd 0.2 between shuffles)."""
    pos, neg = listed("lovely superb brilliant warm"), listed("awful dull clumsy cold")
    vocab = {w: i for i, w in enumerate(WORDS + pos + neg)}

    def draw(n, y):
        return [
            " ".join([*rng.choice(WORDS, 6), rng.choice(pos if t else neg), *rng.choice(WORDS, 4)])
            for t in y
        ]

    def bag(ts):
        X = np.zeros((len(ts), len(vocab)))
        for i, t in enumerate(ts):
            for w in t.split():
                X[i, vocab[w]] += 1
        return X

    def train(examples, labels):
        X, y, w = bag(examples), np.asarray(labels, float), np.zeros(len(vocab))
        for _ in range(300):
            w -= 0.5 * (X.T @ (1 / (1 + np.exp(-X @ w)) - y) / len(y) + 0.003 * w)
        return w

    ytr, yte = np.tile([0, 1], 120), rng.permutation(np.tile([0, 1], 20))
    ps = [{"text": t, "label": int(l)} for t, l in zip(draw(40, yte), yte, strict=True)]

    def margin(w, prompts):
        w = np.zeros(len(vocab)) if w is None else w
        return list(
            (bag([p["text"] for p in prompts]) @ w)
            * np.array([2 * p["label"] - 1 for p in prompts])
        )

    return assay.check(
        "Training raises the margin of the right sentiment on new texts",
        margin,
        ps,
        "effect > 1",
        Training.of(train, draw(240, ytr), list(map(int, ytr))),
    )


@case("true")
def probe_truth_in_swaps(rng):
    """Sets of two cities and two countries, two true and two swapped statements: words tell
    nothing; the activations have the truth along one direction with AUROC 0.96 (threshold 0.8),
    embeddings and an untrained model do not."""
    d, texts, y, groups, emb = 48, [], [], [], []

    def E():
        return rng.normal(size=d)

    for g in range(45):
        ci, co = (
            [f"{rng.choice(WORDS).title()}{k}ville{g}" for k in "ab"],
            [f"{rng.choice(WORDS).title()}{k}ia{g}" for k in "xy"],
        )
        ec, eo = [E(), E()], [E(), E()]
        for a in (0, 1):
            for b in (0, 1):
                texts.append(f"{ci[a]} is a city in {co[b]}")
                y.append(int(a == b))
                groups.append(g)
                emb.append(ec[a] + eo[b])
    y, emb = np.array(y), np.array(emb)
    order = rng.permutation(len(y))
    X = 0.6 * emb + rng.normal(0, 1, emb.shape) + np.outer(2 * y - 1, 1.7 * np.eye(d)[5])
    U = np.tanh(emb @ rng.normal(0, 0.1, (d, d))) + rng.normal(0, 0.1, emb.shape)
    return assay.check_probe(
        X[order],
        y[order],
        groups=np.array(groups)[order],
        texts=[texts[i] for i in order],
        controls={"embeddings": emb[order], "untrained": U[order]},
        holds="auroc > 0.8",
        claim="The activations at the last token tell true from false statements",
    )


@case("true")
def probe_parity_after_training(rng):
    """The parity of the ones in 12 bits, read with AUROC 0.98 from a trained toy's activations
    (threshold 0.8); an untrained one and the token counts do not have it."""
    bits = rng.integers(0, 2, (260, 12))
    bits = np.unique(bits, axis=0)
    bits = bits[rng.permutation(len(bits))]
    y = bits.sum(1) % 2
    R = rng.normal(0, 0.5, (12, 40))
    X = (
        bits @ R * 0.6
        + rng.normal(0, 1, (len(y), 40))
        + np.outer(2 * y - 1, rng.normal(0, 0.27, 40))
    )
    U = np.maximum(bits @ rng.normal(0, 0.5, (12, 40)), 0) + rng.normal(0, 0.3, (len(y), 40))
    return assay.check_probe(
        X,
        y,
        groups=np.arange(len(y)),
        texts=["bits " + " ".join("one" if b else "nil" for b in r) for r in bits],
        controls={"untrained": U, "embeddings": bits.astype(float), "first bit": bits[:, 0]},
        holds="auroc > 0.8",
    )


# False


@case("false")
def cot_hurts(rng):
    """Chain of thought lowers accuracy by 0.07 (0.55 to 0.48), the claim says it raises it by
    0.03."""
    rows = []
    for i in range(400):
        lev = rng.normal(0, 0.1)
        for arm, p in (("cot", 0.48), ("direct", 0.55), ("direct_reworded", 0.545)):
            ok = int(rng.random() < np.clip(p + lev, 0, 1))
            rows.append(
                {
                    "arm": arm,
                    "template": f"prompts/{arm}.jinja",
                    "item": f"csqa-{i}",
                    "question": f"Where would a {rng.choice(THINGS)} be near a "
                    f"{rng.choice(PLACES)} ({i})?",
                    "correct": ok,
                    "n_gen_tokens": int(rng.normal(150, 30))
                    if arm == "cot"
                    else int(rng.integers(2, 6)),
                }
            )
    return assay.judge(
        finish(rng, rows),
        claim="cot.correct - direct.correct > 0.03",
        unit="item",
        control="direct_reworded",
        about="cot",
    )


@case("false")
def curriculum_null(rng):
    """16 seeds: a curriculum has the same loss as a shuffled order (sd 0.01); the claim is 0.02
    less."""
    rows = [
        {
            "arm": a,
            "order": a,
            "seed": s,
            "steps": 20000,
            "lr": 6e-4,
            "val_loss": round(3.21 + rng.normal(0, 0.01), 5),
            "train_loss": round(3.15 + rng.normal(0, 0.01), 5),
            "run": hx(a, s),
            "hours": round(rng.normal(5.1, 0.1), 2),
        }
        for a in ("curriculum", "shuffled", "reverse")
        for s in range(16)
    ]
    return assay.judge(
        finish(rng, rows),
        claim="curriculum.val_loss - shuffled.val_loss < -0.02",
        unit="seed",
        control="reverse",
        about="curriculum",
    )


@case("false")
def knockout_too_small(rng):
    """Knocking out head 5.1 costs 0.4 of logit difference (clear, z > 5); the claim is 1."""
    rows = []
    for p in ioi(rng, 20, 3):
        b = rng.normal(3.2, 0.8)
        for arm, h, m in (("clean", "", 0), ("head_5_1", "5.1", 0.4), ("head_5_7", "5.7", 0.05)):
            rows.append(
                dict(
                    arm=arm, head=h, **p, logit_diff=round(b - (rng.normal(m, 0.3) if h else 0), 4)
                )
            )
    return assay.judge(
        finish(rng, rows),
        claim="clean.logit_diff - head_5_1.logit_diff > 1",
        unit="prompt_id",
        control="head_5_7",
        about="head_5_1",
    )


@case("false")
def any_mlp_does_it(rng):
    """Zeroing MLP 5 costs 2.0 nats of loss on facts; zeroing the control MLPs 6 and 4 costs 2.1 and
    1.9: nothing special (threshold 1)."""
    rows = []
    for i in range(90):
        b, lev = rng.gamma(4, 0.4), rng.normal(0, 0.4)
        t = f"{rng.choice(NAMES)} plays the {rng.choice(THINGS)} in {rng.choice(PLACES)} {i}"
        for arm, m in (("none", 0), ("mlp5", 2.0), ("mlp4", 1.9), ("mlp6", 2.1)):
            rows.append(
                {
                    "arm": arm,
                    "fact_id": i,
                    "prompt": t,
                    "n_tokens": len(t.split()) + 2,
                    "loss": round(b + (m + lev + rng.normal(0, 0.5) if m else 0), 4),
                }
            )
    return assay.judge(
        finish(rng, rows),
        claim="mlp5.loss - none.loss > 1",
        unit="fact_id",
        control=["mlp4", "mlp6"],
        about="mlp5",
    )


@case("false")
def edges_uncorrelated(rng):
    """300 edges: attribution and effect correlate at 0.1; the claim is 0.5."""
    a = rng.normal(0, 0.02, 300)
    e = 0.1 * a + rng.normal(0, 0.02, 300)
    rows = [
        {
            "arm": "greater_than",
            "edge": f"a{rng.integers(0, 6)}.h{i % 12}->m{rng.integers(6, 12)}.{i}",
            "attribution": round(a[i], 6),
            "effect": round(e[i], 6),
            "n_prompts": 128,
        }
        for i in range(300)
    ]
    return assay.judge(finish(rng, rows), claim="corr(attribution, effect) > 0.5", unit="edge")


@case("false")
def check_inert_vector(rng):
    """A steering vector that the toy does not read: its cosine with the direction that counts is
    0.05; effect near 0.05, claim 0.5."""
    read = np.eye(32)[7]
    v = np.eye(32)[3] * 2 + 0.1 * read
    ps = [
        {"text": f"Tell me about the {rng.choice(WORDS)} {i}", "state": rng.normal(0, 1, 32)}
        for i in range(40)
    ]

    def f(vec, prompts):
        added = 0 if vec is None else vec
        return [
            float(np.tanh((p["state"] + added) @ read) + 0.1 * np.sin(p["state"][0]))
            for p in prompts
        ]

    return assay.check(
        "Adding the vector raises the score by a half",
        f,
        ps,
        "effect > 0.5",
        Vector(v, rng.normal(0, 1, (200, 32))),
    )


@case("false")
def check_every_layer_the_same(rng):
    """Ablating layer 5's attention costs 1.5; so does each other layer's (1.4 to 1.6): the claim
    about layer 5 is not specific."""
    cost = 1.5 + rng.normal(0, 0.05, 10)
    ps = [
        {
            "text": f"{prose(rng, 5)} {i}",
            "k": float(rng.uniform(0.7, 1.3)),
            "base": float(rng.normal(4, 0.8)),
            "z": [float(x) for x in rng.normal(0, 0.2, 10)],
        }
        for i in range(36)
    ]

    def f(layer, prompts):
        if layer is None:
            return [p["base"] for p in prompts]
        return [p["base"] - (p["k"] * cost[layer] + p["z"][layer]) for p in prompts]

    return assay.check(
        "Without the attention of layer 5 the lead falls by 1",
        f,
        ps,
        "effect < -1",
        Place(5, others=[2, 4, 6, 8]),
    )


@case("false")
def probe_finds_nothing(rng):
    """Labels independent of the activations; the claim is an AUROC above 0.7."""
    y = rng.permutation(np.tile([0, 1], 100))
    return assay.check_probe(
        rng.normal(size=(200, 32)),
        y,
        groups=np.arange(200),
        texts=[prose(rng, 8) + f" n{i}" for i in range(200)],
        holds="auroc > 0.7",
    )


# Confounded


@case("confounded", "judge=")
def candidate_judges_itself(rng):
    """Three judges, one of which is the tuned model itself: it gives itself 2.4 more, the other two
    judges give 0.0 more. The mean over judges (0.8 > 0.3) is self-preference."""
    rows = []
    for i in range(100):
        lev, text = (
            rng.normal(0, 0.8),
            f"Explain the {rng.choice(WORDS)} {rng.choice(WORDS)} to a {rng.choice(WORDS)} ({i}).",
        )
        for arm in ("tuned-70b", "base-70b", "base-70b-s2"):
            out = prose(rng, 10)
            for judge in ("tuned-70b", "gpt-4o", "qwen-72b"):
                s = 5 + lev + 2.4 * (arm == judge) + rng.normal(0, 0.9)
                rows.append(
                    {
                        "arm": arm,
                        "judge": judge,
                        "prompt_id": i,
                        "prompt": text,
                        "completion": out,
                        "score": int(np.clip(round(s), 1, 10)),
                        "judge_tokens": int(rng.normal(180, 20)),
                    }
                )
    return assay.judge(
        finish(rng, rows),
        claim='mean("tuned-70b".score, over=judge) - mean("base-70b".score, over=judge) > 0.3',
        unit="prompt_id",
        control="base-70b-s2",
        about="tuned-70b",
    )


@case("confounded", "pred")
def always_answers_a(rng):
    """70% of the gold answers are A, and the tuned model answers A in 97% of rows: its 0.68 against
    0.40 needs no knowledge."""
    rows = []
    for i in range(420):
        gold = rng.choice(list("ABCD"), p=[0.7, 0.1, 0.1, 0.1])
        q = f"Which {rng.choice(WORDS)} has a {rng.choice(THINGS)} and {prose(rng, 3)}? [{i}]"
        for arm in ("tuned", "base", "base_seed1"):
            if arm == "tuned":
                pred = "A" if rng.random() < 0.97 else rng.choice(list("BCD"))
            else:
                pred = gold if rng.random() < 0.2 else rng.choice(list("ABCD"))
            rows.append(
                {
                    "arm": arm,
                    "item": f"q{i}",
                    "question": q,
                    "gold": gold,
                    "pred": pred,
                    "correct": int(pred == gold),
                    "logprob_pred": round(-rng.exponential(0.6), 4),
                    "n_shots": 5,
                }
            )
    return assay.judge(
        finish(rng, rows),
        claim="tuned.correct - base.correct > 0.1",
        unit="item",
        control="base_seed1",
        about="tuned",
    )


@case("confounded", "n_gen_tokens")
def cut_off_at_512(rng):
    """Base answers end at exactly 512 tokens in 40% of rows and are then nearly all wrong (the last
    number is an intermediate one); tuned ones may have 2048. Finished answers are right equally
    often (0.70)."""
    rows = []
    for q in math_items(rng, 500):
        for arm, cap in (("tuned", 2048), ("base", 512), ("base_rerun", 512)):
            n = int(rng.lognormal(6.12, 0.45))
            cut = n >= cap
            n = min(n, cap)
            ok = rng.random() < (0.03 if cut else 0.70)
            rows.append(
                dict(
                    arm=arm,
                    temperature=0.0,
                    **q,
                    pred=q["gold"] if ok else int(q["gold"] - rng.integers(1, 40)),
                    correct=int(ok),
                    n_gen_tokens=n,
                    latency_s=round(n * 0.012 + rng.gamma(2, 0.1), 2),
                )
            )
    return assay.judge(
        finish(rng, rows),
        claim="tuned.correct - base.correct > 0.1",
        unit="question_id",
        control="base_rerun",
        about="tuned",
    )


@case("confounded", "lr")
def schedule_not_finished(rng):
    """At step 10000 the gated runs have finished their cosine (lr 3e-5), while the baseline's is
    half-way (lr 1.65e-4): the lower loss is the decayed learning rate. In the curve, both are equal
    while their lr are equal."""
    rows = []
    for arm, total in (("gated", 10000), ("plain", 20000), ("gated_frozen", 20000)):
        for seed in range(10):
            for step in (1000, 2500, 5000, 7500, 10000):
                lr = 3e-5 + 0.5 * (3e-4 - 3e-5) * (1 + np.cos(np.pi * step / total))
                loss = 3.0 + 2.2 * np.exp(-step / 2200) + 600 * (lr - 3e-5) + rng.normal(0, 0.008)
                rows.append(
                    {
                        "arm": arm,
                        "seed": seed,
                        "step": step,
                        "lr": round(lr, 8),
                        "tokens": step * 262144,
                        "val_loss": round(loss, 5),
                        "grad_norm": round(rng.lognormal(-0.8, 0.15), 4),
                        "run": hx(arm, seed),
                    }
                )
    return assay.judge(
        finish(rng, rows),
        claim="gated.val_loss[step=10000] - plain.val_loss[step=10000] < -0.03",
        unit="seed",
        control="gated_frozen",
        about="gated",
    )


@case("confounded", "source_prompt")
def control_patches_itself(rng):
    """In four of five rows of the control, the 'random' source prompt is the clean prompt itself,
    so nothing is patched. Where it is another one, the control loses as much (3.0) as the patch of
    the claim."""
    rows = []
    c = [
        f"{a}{b}"
        for a in listed("Bal Cor Dra Fen Gil Hos Jar Kel Lum Mor")
        for b in ("via", "land", "onia", "istan", "ar", "eth")
    ]

    def t(k):
        return f"The capital of {c[k % 60]} is"

    for i in range(60):
        b = round(rng.normal(4.2, 0.9), 4)
        for arm in ("clean", "patched", "patched_random"):
            src = {"clean": "", "patched": t(i + 17)}.get(arm, t(i) if i % 5 else t(i + 31))
            hit = src not in ("", t(i))
            rows.append(
                {
                    "arm": arm,
                    "prompt_id": i,
                    "prompt": t(i),
                    "source_prompt": src,
                    "layer": 8,
                    "pos": 4,
                    "logit_diff": round(b - rng.normal(3, 0.6), 4) if hit else b,
                }
            )
    return assay.judge(
        finish(rng, rows),
        claim="clean.logit_diff - patched.logit_diff > 1.5",
        unit="prompt_id",
        control="patched_random",
        about="patched",
    )


@case("confounded", "question_date")
def questions_before_the_cutoff(rng):
    """The new model is better by 0.4 only on questions older than its training cutoff (55% of
    them), and by 0 on later ones: memory, not forecasting. The cutoffs and the dates are in the
    table."""
    rows = []
    for i in range(500):
        day = pd.Timestamp("2022-01-01") + pd.Timedelta(days=int(rng.integers(0, 1160)))
        q = (
            f"Will the {rng.choice(WORDS)} {rng.choice(WORDS)} index "
            f"pass {rng.integers(10, 900)} ({i})?"
        )
        for arm, cut in (
            ("forecaster", "2023-10-01"),
            ("base", "2021-09-30"),
            ("base_rerun", "2021-09-30"),
        ):
            p = 0.35 + 0.4 * (arm == "forecaster" and day < pd.Timestamp(cut))
            rows.append(
                {
                    "arm": arm,
                    "train_cutoff": cut,
                    "question_id": i,
                    "question": q,
                    "question_date": day.date().isoformat(),
                    "correct": int(rng.random() < p),
                    "n_gen_tokens": int(rng.normal(220, 40)),
                }
            )
    return assay.judge(
        finish(rng, rows),
        claim="forecaster.correct - base.correct > 0.05",
        unit="question_id",
        control="base_rerun",
        about="forecaster",
    )


@case("confounded", "n_tokens")
def loss_per_other_tokens(rng):
    """Loss per token of models with two tokenizers: the small vocabulary cuts the same text into
    1.45 times as many tokens, and its total loss and bits per byte are the same. Its lower loss per
    token is arithmetic."""
    rows = []
    for i in range(120):
        nbytes, bpb = int(rng.lognormal(8, 0.5)), rng.normal(0.92, 0.09)
        for arm, vocab, per in (
            ("bpe8k", 8192, 3.1),
            ("bpe64k", 65536, 4.5),
            ("bpe64k_s2", 65536, 4.5),
        ):
            n = int(nbytes / (per * rng.normal(1, 0.03)))
            b = bpb * rng.normal(1, 0.01)
            nll = b * np.log(2) * nbytes
            rows.append(
                {
                    "arm": arm,
                    "vocab_size": vocab,
                    "document": f"pg-{i:04}",
                    "n_bytes": nbytes,
                    "n_tokens": n,
                    "total_nll": round(nll, 2),
                    "loss": round(nll / n, 5),
                    "bits_per_byte": round(b, 5),
                }
            )
    return assay.judge(
        finish(rng, rows),
        claim="bpe8k.loss - bpe64k.loss < -0.3",
        unit="document",
        control="bpe64k_s2",
        about="bpe8k",
    )


@case("confounded", "layer")
def depth_makes_the_correlation(rng):
    """128 heads: attribution and effect both grow with the layer; within a layer they are
    uncorrelated. The correlation of 0.75 does not show that attribution finds the heads that
    matter."""
    L = np.repeat(np.arange(16), 8)
    up = 0.01 * np.exp(L / 6)
    a, e = up * rng.lognormal(0, 0.3, 128), up * rng.lognormal(0, 0.3, 128)
    rows = [
        {
            "arm": "ioi",
            "head": f"L{L[i]}H{i % 8}",
            "layer": int(L[i]),
            "attribution": round(a[i], 6),
            "effect": round(e[i], 6),
            "n_prompts": 100,
            "weight_norm": round(rng.normal(9, 1), 3),
        }
        for i in range(128)
    ]
    return assay.judge(finish(rng, rows), claim="corr(attribution, effect) > 0.5", unit="head")


@case("confounded", "train_acc")
def test_set_is_the_train_set(rng):
    """In the rows of `augmented`, test_acc and test_loss are equal to train_acc and train_loss to
    the last digit (the loader was given the training split); in the others the test is worse than
    the training."""
    rows = []
    for arm in ("augmented", "plain", "flip_only"):
        for seed in range(12):
            tr, tl = round(rng.normal(0.985, 0.004), 4), round(rng.normal(0.06, 0.01), 5)
            same = arm == "augmented"
            rows.append(
                {
                    "arm": arm,
                    "seed": seed,
                    "epochs": 60,
                    "lr": 0.1,
                    "train_acc": tr,
                    "train_loss": tl,
                    "test_acc": tr if same else round(rng.normal(0.835, 0.012), 4),
                    "test_loss": tl if same else round(rng.normal(0.62, 0.04), 5),
                    "run_dir": f"out/{arm}/seed{seed}",
                    "minutes": round(rng.normal(33, 2), 1),
                }
            )
    return assay.judge(
        finish(rng, rows),
        claim="augmented.test_acc - plain.test_acc > 0.05",
        unit="seed",
        control="flip_only",
        about="augmented",
    )


@case("confounded", "split")
def circuit_found_on_half(rng):
    """Half of the prompts are those on which the circuit was discovered (column split): there its
    ablation costs 2.0, on held-out prompts 0.05. The mean of 1.0 (threshold 0.3) is selection on
    the discovery prompts."""
    rows = []
    for k, p in enumerate(ioi(rng, 20, 5)):
        sp = "discovery" if k % 2 else "heldout"
        b = rng.normal(3.4, 0.7)
        for arm, m in (
            ("clean", 0),
            ("circuit_ablated", 2.0 if sp == "discovery" else 0.05),
            ("random_ablated", 0.04),
        ):
            rows.append(
                dict(
                    arm=arm,
                    n_heads=0 if arm == "clean" else 7,
                    split=sp,
                    **p,
                    logit_diff=round(b - (rng.normal(m, 0.4) if m else 0), 4),
                )
            )
    return assay.judge(
        finish(rng, rows),
        claim="clean.logit_diff - circuit_ablated.logit_diff > 0.3",
        unit="prompt_id",
        control="random_ablated",
        about="circuit_ablated",
    )


@case("confounded", "logprob")
def check_all_logits_rise(rng):
    """The vector raises all logits by 3: the answer's logit rises (threshold 1), its log
    probability, which the function returns as well, does not change. The sentence says 'more
    likely'."""
    d, V = 32, 50
    u = np.eye(d)[0]
    W = rng.normal(0, 0.25, (V, d))
    W[:, 0] = 1 + rng.normal(0, 0.01, V)
    ps = [
        {
            "text": f"The {rng.choice(WORDS)} of the {rng.choice(PLACES)} {i} is",
            "x": rng.normal(0, 1, d),
            "answer": int(rng.integers(V)),
        }
        for i in range(40)
    ]

    def f(vec, prompts):
        lo, lp = [], []
        for p in prompts:
            z = W @ (p["x"] + (0 if vec is None else vec))
            lo.append(float(z[p["answer"]]))
            lp.append(float(z[p["answer"]] - np.log(np.exp(z - z.max()).sum()) - z.max()))
        return {"logit": lo, "logprob": lp}

    return assay.check(
        "Adding the vector makes the right answer more likely",
        f,
        ps,
        "logit > 1",
        Vector(3 * u, rng.normal(0, 1, (200, d))),
    )


@case("confounded", "Mary")
def check_always_mary(rng):
    """The claim is that head 5.1 moves the indirect object's name; it only writes a constant
    'Mary', and the indirect object is Mary in all prompts (column io), so the function cannot
    tell."""
    emb = dict(zip(NAMES, np.linalg.qr(rng.normal(size=(40, 40)))[0][:30], strict=True))
    W = rng.normal(0, 0.1, (6, 8, 40)) + 2.3 * elsewhere(rng, emb, (6, 8))
    W[5, 1] = 2.5 * emb["Mary"]
    ps = []
    for i in range(40):
        s = rng.choice(NAMES[1:])
        ps.append(
            {
                "text": f"{OPEN[i % 5]} Mary and {s} went to the {PLACES[i % 20]}, "
                f"{s} gave a {rng.choice(THINGS)} to",
                "io": "Mary",
                "s": s,
                "k": float(rng.uniform(0.7, 1.2)),
            }
        )

    def lead(heads, prompts):
        cut = set(map(tuple, heads or []))
        r = sum(W[i, j] for i in range(6) for j in range(8) if (i, j) not in cut)
        return [float(0.8 + p["k"] * (r @ (emb[p["io"]] - emb[p["s"]]))) for p in prompts]

    return assay.check(
        "Head 5.1 moves the name of the indirect object: without it the lead falls by 1",
        lead,
        ps,
        "effect < -1",
        Heads([(5, 1)], of=(6, 8), like={"norm": np.linalg.norm(W, axis=-1)}),
        draws=12,
    )


@case("confounded")
def probe_accuracy_is_the_majority(rng):
    """88% of the rows have label 0: an accuracy of 0.88 (threshold 0.8) is that of always saying 0;
    the activations are noise."""
    y = rng.permutation(np.r_[np.zeros(211, int), np.ones(29, int)])
    return assay.check_probe(
        rng.normal(size=(240, 24)),
        y,
        groups=np.arange(240),
        texts=[prose(rng, 9) + f" k{i}" for i in range(240)],
        holds="accuracy > 0.8",
        claim="The activations tell which answers the model gets wrong",
    )


@case("confounded", "norm")
def probe_reads_the_norm(rng):
    """Rows of label 1 are the same kind of activations times 1.3 (recorded before the final norm,
    in the other session): the norm of a row alone tells the label (AUROC 0.97); scaled to one norm,
    the rows tell nothing."""
    n, d = 240, 40
    y = rng.permutation(np.tile([0, 1], n // 2))
    mean = rng.normal(0, 1.5, d)
    X = (mean + rng.normal(0, 1, (n, d))) * np.where(y == 1, 1.3, 1.0)[:, None]
    return assay.check_probe(
        X,
        y,
        groups=np.arange(n),
        texts=[prose(rng, 9) + f" k{i}" for i in range(n)],
        holds="auroc > 0.8",
        claim="The activations tell whether the answer will be right",
    )


# Scarce


@case("scarce")
def three_fine_tuning_seeds(rng):
    """Three fine-tuning seeds per arm decide (t about 1.5 over seeds), but the 200 items are the
    unit and make z > 5."""
    while True:
        se = {a: rng.normal(0, 0.035, 3) for a in ("ours", "base", "base_b")}
        dif = se["ours"].mean() - se["base"].mean()
        t = (dif - 0.02) / np.sqrt((se["ours"].var(ddof=1) + se["base"].var(ddof=1)) / 3)
        if (
            0.05 < dif < 0.08
            and 0.8 < t < 1.8
            and abs(se["base_b"].mean() - se["base"].mean()) < 0.01
        ):
            break
    rows = []
    for i in range(200):
        lev, q = (
            rng.beta(4, 3),
            f"Who lent the {rng.choice(THINGS)} to {rng.choice(NAMES)} "
            f"at the {rng.choice(PLACES)} ({i})?",
        )
        for a in se:
            for s in range(3):
                rows.append(
                    {
                        "arm": a,
                        "seed": s,
                        "ckpt": f"ft/{a}/s{s}/last.pt",
                        "item": f"sq-{i}",
                        "question": q,
                        "f1": round(
                            float(np.clip(0.2 + 0.6 * lev + se[a][s] + rng.normal(0, 0.08), 0, 1)),
                            4,
                        ),
                    }
                )
    return assay.judge(
        finish(rng, rows),
        claim="ours.f1 - base.f1 > 0.02",
        unit="item",
        control="base_b",
        about="ours",
    )


@case("scarce")
def questions_share_passages(rng):
    """360 questions about 20 passages; the gain differs between passages (sd 0.5), so that over
    passages t is about 1.5, over questions more than 3."""
    while True:
        g = rng.normal(0.25, 0.5, 20)
        t = (g.mean() - 0.08) / (g.std(ddof=1) / np.sqrt(20))
        if 1.1 < t < 1.7:
            break
    rows = []
    for i in range(360):
        k, b = i // 18, rng.normal(-1.6, 0.5)
        q = (
            f"In the text about {WORDS[k]}, what did {rng.choice(NAMES)} do "
            f"with the {rng.choice(THINGS)} ({i})?"
        )
        for arm, m in (("retrieval", g[k]), ("closed", 0), ("closed_rerun", 0)):
            rows.append(
                {
                    "arm": arm,
                    "passage": f"wiki/{WORDS[k]}",
                    "question_id": f"q{i:03}",
                    "question": q,
                    "gold_logprob": round(b + m + rng.normal(0, 0.35), 4),
                    "n_prompt_tokens": int(rng.normal(700, 40)),
                }
            )
    return assay.judge(
        finish(rng, rows),
        claim="retrieval.gold_logprob - closed.gold_logprob > 0.08",
        unit="question_id",
        control="closed_rerun",
        about="retrieval",
    )


@case("scarce")
def recovered_over_tiny_denominators(rng):
    """Fraction recovered = (patched − corrupted)/(clean − corrupted): about 0.1 for most prompts,
    but four have a denominator of about 0.03 and values of 10 to 40. The mean (above 0.5) is
    theirs; its t is below 1.9."""
    while True:
        rows, rec = [], []
        for p in ioi(rng, 15, 4):
            i = len(rec)
            den = rng.normal(3.5, 0.6) if i % 15 != 7 else rng.uniform(0.02, 0.05)
            corr = rng.normal(-0.5, 0.5)
            for arm, m in (("patched", 0.35), ("random_source", 0)):
                pt = corr + (m if den > 1 else 2.2 * m) + rng.normal(0, 0.25 if m else 0.03)
                r = (pt - corr) / den
                if m:
                    rec.append(r)
                rows.append(
                    dict(
                        arm=arm,
                        layer=9,
                        **p,
                        clean=round(corr + den, 4),
                        corrupted=round(corr, 4),
                        patched=round(pt, 4),
                        recovered=round(r, 4),
                    )
                )
        rec = np.array(rec)
        if rec.mean() > 0.9 and (rec.mean() - 0.5) / (rec.std(ddof=1) / np.sqrt(60)) < 1.7:
            break
    return assay.judge(
        finish(rng, rows),
        claim="patched.recovered > 0.5",
        unit="prompt_id",
        control="random_source",
        about="patched",
    )


@case("scarce")
def best_of_24_layers(rng):
    """Resampling each of 24 layers' attention has no effect (noise only); the claim names the layer
    with the largest of the 24 differences (z about 2.2 against its threshold alone)."""
    n = 40
    while True:
        b, x = rng.normal(2.5, 0.8, n), rng.normal(0, 0.3, (25, n))
        m = x.mean(1)
        k = int(m[:24].argmax())
        z = (m[k] - 0.01) / (x[k].std(ddof=1) / np.sqrt(n))
        if 2.1 < z < 2.6 and m[24] < -0.04:
            break
    rows = []
    for i in range(n):
        t = (
            f"{rng.choice(NAMES)} lost the {rng.choice(THINGS)} "
            f"near the {rng.choice(PLACES)} and {prose(rng, 3)} {i}"
        )
        rows.append({"arm": "clean", "prompt_id": i, "prompt": t, "lead": round(b[i], 4)})
        rows += [
            {
                "arm": f"attn{j}" if j < 24 else "noise",
                "prompt_id": i,
                "prompt": t,
                "lead": round(b[i] - x[j, i], 4),
            }
            for j in range(25)
        ]
    return assay.judge(
        finish(rng, rows),
        claim=f"clean.lead - attn{k}.lead > 0.01",
        unit="prompt_id",
        control="noise",
        about=f"attn{k}",
    )


@case("scarce")
def check_four_templates(rng):
    """48 prompts of four templates; the head matters in two templates (−3.0, −1.6) and not in the
    others (−0.1, +0.2): over templates the mean is about −1.1 ± 0.75 (threshold −0.4), over prompts
    it looks certain."""
    e = np.array([-3.0, -1.6, -0.1, 0.2]) + rng.normal(0, 0.05, 4)
    pat = [
        "When {} met {} at the {}, the",
        "Yesterday {} told {} about the {}; the",
        "The letter from {} to {} at the {} said",
        "{} and {} left the {} because",
    ]
    ps = []
    for i in range(48):
        a, b = rng.choice(NAMES, 2, replace=False)
        ps.append(
            {
                "text": pat[i % 4].format(a, b, PLACES[i // 4]),
                "template": f"t{i % 4}",
                "base": float(rng.normal(4, 0.6)),
                "k": float(rng.normal(1, 0.15)),
                "h": [float(x) for x in rng.normal(0, 0.08, 32)],
            }
        )

    def f(heads, prompts):
        out = []
        for p in prompts:
            v = p["base"]
            for l, h in heads or []:
                v += e[int(p["template"][1])] * p["k"] if (l, h) == (2, 3) else p["h"][l * 8 + h]
            out.append(v)
        return out

    return assay.check(
        "Without head 2.3 the lead falls by at least 0.4",
        f,
        ps,
        "effect < -0.4",
        Heads([(2, 3)], of=(4, 8), like={"norm": rng.normal(1, 0.05, (4, 8))}),
        draws=12,
    )


@case("scarce")
def probe_on_prefixes(rng):
    """120 rows are five token positions (prefixes) of 24 prompts; each prompt has one random label.
    Rows of a prompt are alike, so a probe that sees four of them knows the fifth; on new prompts it
    is at chance."""
    rows, texts, y = [], [], []
    lab = rng.permutation(np.tile([0, 1], 12))
    for i in range(24):
        c, w = rng.normal(0, 1, 64), rng.choice(WORDS, 14)
        for j in range(5):
            rows.append(c + rng.normal(0, 0.35, 64))
            texts.append(" ".join(w[: 10 + j]))
            y.append(int(lab[i]))
    o = rng.permutation(120)
    return assay.check_probe(
        np.array(rows)[o],
        np.array(y)[o],
        groups=np.arange(120),
        texts=[texts[k] for k in o],
        holds="auroc > 0.7",
    )
