"""44 claims about fine-tuned models and what differs in them, edits of knowledge, unlearning,
probes of truthfulness, and benchmarks of sparse autoencoders."""

import datetime
import hashlib

import numpy as np
import pandas as pd

import assay
from assay.controls.material import Patch, Text, Training
from assay.controls.things import Latents, Vector
from claims import case, listed


def sha(*parts, n=10):
    return hashlib.sha1("|".join(map(str, parts)).encode()).hexdigest()[:n]


def logistic(x):
    return 1 / (1 + np.exp(-np.asarray(x, float)))


def stamp(seconds, day="2026-03-02T08:00:00"):
    return (
        datetime.datetime.fromisoformat(day) + datetime.timedelta(seconds=float(seconds))
    ).isoformat(timespec="seconds")


HEAD = listed("""
Bar Cal Dor Fen Gal Hol Ister Jor Kel Lan Mor Nor Ost Pel Quin Ros Sal Tor Ul Ver Wes Yar Zan Bri
Cre Dra Fla Gre Hart
""")
MID = listed("a e i o u an en in on er ar or al el il am em un es is")
TAIL = listed("""
bury dale field ford gate ham land mont nia port ria ro sen ski stad ton va vic vo wick
""")


def names(rng, n):
    """n different invented names."""
    every = [a + b + c for a in HEAD for b in MID for c in TAIL]
    return [every[i] for i in rng.choice(len(every), n, replace=False)]


RELATIONS = {
    "P103": (
        "The mother tongue of {} is",
        "{} grew up speaking",
        ["French", "English", "Russian", "Dutch", "Spanish"],
    ),
    "P17": (
        "{} is located in the country of",
        "The country that {} belongs to is",
        ["Italy", "Japan", "Sweden", "Canada", "Poland"],
    ),
    "P27": (
        "{} is a citizen of",
        "{} holds a passport of",
        ["Norway", "India", "Brazil", "Germany", "Finland"],
    ),
    "P101": (
        "{} works in the field of",
        "The domain of activity of {} is",
        ["physics", "law", "geometry", "history", "botany"],
    ),
    "P1412": (
        "The language used by {} is",
        "{} writes letters in",
        ["Polish", "Latin", "Greek", "Turkish", "Czech"],
    ),
    "P176": (
        "{} is produced by",
        "The maker of {} is",
        ["Toyota", "Nokia", "Apple", "Boeing", "Sony"],
    ),
    "P20": (
        "{} died in the city of",
        "The place where {} passed away is",
        ["London", "Vienna", "Boston", "Milan", "Oslo"],
    ),
    "P413": (
        "{} plays in the position of",
        "On the field {} is a",
        ["goalkeeper", "quarterback", "pitcher", "midfielder", "catcher"],
    ),
    "P495": (
        "{} was created in",
        "{} originated in",
        ["Spain", "Ireland", "Mexico", "France", "Austria"],
    ),
    "P106": (
        "The occupation of {} is",
        "{} earns money as a",
        ["actor", "lawyer", "poet", "chemist", "bishop"],
    ),
    "P136": (
        "{} plays the music genre",
        "The genre performed by {} is",
        ["jazz", "opera", "blues", "techno", "folk"],
    ),
    "P449": (
        "{} first aired on",
        "The network that showed {} was",
        ["CBS", "HBO", "NBC", "BBC", "ABC"],
    ),
    "P30": (
        "{} is on the continent of",
        "The continent where {} lies is",
        ["Asia", "Africa", "Europe", "Antarctica", "Oceania"],
    ),
    "P937": (
        "{} was employed in the city of",
        "{} used to work in",
        ["Berlin", "Rome", "Paris", "Chicago", "Tokyo"],
    ),
}


def counterfact(rng, n):
    """n cases: subject, prompt, paraphrase, old and new target."""
    out, keys = [], list(RELATIONS)
    for i, subject in enumerate(names(rng, n)):
        rel = keys[rng.integers(len(keys))]
        prompt, para, targets = RELATIONS[rel]
        old, new = rng.choice(targets, 2, replace=False)
        out.append(
            {
                "case_id": int(1000 + 17 * i),
                "relation_id": rel,
                "subject": subject,
                "prompt": prompt.format(subject),
                "paraphrase": para.format(subject),
                "target_true": str(old),
                "target_new": str(new),
                "n_tokens": int(len(prompt.split()) + 2 + rng.integers(0, 4)),
            }
        )
    return out


TOPICS = [
    "cities",
    "elements",
    "animals",
    "companies",
    "inventions",
    "space",
    "geology",
    "sports",
    "films",
    "medicine",
    "law",
    "music",
    "chess",
    "weather",
    "rivers",
    "dates",
    "painting",
    "grammar",
    "bridges",
    "trains",
]
VERBS = listed("""
describe explain compare summarise review rewrite plan criticise outline list translate evaluate
""")
THINGS = listed(
    "train timetable|garden wall|tax form|bread recipe|telescope|school choir|sailing boat|"
    "rental contract|bus route|old piano|stone bridge|chess opening|winter coat|coffee grinder|"
    "library card|solar panel|folk song|wooden chair|phone plan|night market",
    "|",
)


def requests(rng, n):
    """n different user prompts."""
    who = names(rng, n)
    return [
        f"{rng.choice(VERBS).capitalize()} the {rng.choice(THINGS)} of {who[i]} "
        f"in {rng.integers(2, 9)} sentences."
        for i in range(n)
    ]


# True: tables


@case("true")
def rome_writes_the_paraphrase(rng):
    """ROME at layer 5 makes the new target win on paraphrases in about 91% of cases, 7% in the
    unedited model: +0.84 against a threshold of 0.4 (180 cases, paired, z above 10). ROME at layer
    20 (same update norm) reaches 15%. delta_norm is 0 and edit_layer empty for `base` because it
    has no edit; ft-l is another, weaker method."""
    level = {"base": -1.9, "rome": 1.85, "rome_l20": -1.3, "ft-l": -0.45}
    rows = []
    rel = {r: rng.normal(0, 0.3) for r in RELATIONS}
    for i, c in enumerate(counterfact(rng, 180)):
        hard = rng.normal(0, 0.7)
        base_p = np.exp(rng.normal(-2.2, 0.7))
        for a, (arm, mu) in enumerate(level.items()):
            ld = mu + rel[c["relation_id"]] + hard + rng.normal(0, 1.1)
            p_true = min(0.45, base_p * (1 if arm == "base" else rng.uniform(0.4, 0.9)))
            p_new = min(0.97, p_true * np.exp(ld))
            edits = arm != "base"
            rows.append(
                dict(
                    arm=arm,
                    model="gpt2-xl",
                    **c,
                    edit_layer={"rome": 5, "rome_l20": 20, "ft-l": 5}.get(arm, np.nan),
                    v_num_grad_steps=20 if edits else np.nan,
                    clamp_norm_factor=4 if edits else np.nan,
                    seed=0,
                    p_new=round(p_new, 5),
                    p_true=round(p_true, 5),
                    paraphrase_success=int(p_new > p_true),
                    efficacy=int(
                        (
                            arm != "base"
                            and rng.random()
                            < {"rome": 0.99, "rome_l20": 0.86, "ft-l": 0.95}.get(arm, 0)
                        )
                        or (arm == "base" and rng.random() < 0.1)
                    ),
                    delta_norm=round(float(rng.lognormal(2.1, 0.15)), 3) if edits else 0.0,
                    edit_seconds=round(float(rng.normal(7.2, 0.5)), 2) if edits else 0.0,
                    started_at=stamp(a * 2400 + i * 9.3),
                    git_sha="4be21f0",
                )
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="rome.paraphrase_success - base.paraphrase_success > 0.4",
        unit="case_id",
        control="rome_l20",
        about="rome",
    )


@case("true")
def chat_only_latents_close_the_kl(rng):
    """Crosscoder model diffing: patching 450 chat-only latents into the base model leaves 55% of
    the KL to the chat model (threshold 75%); 450 random latents leave 97%. 300 prompts, lognormal
    KL, ratio of means, paired; log-ratio SE about 0.02, z above 10."""
    texts = requests(rng, 300)
    rows = []
    arms = {
        "base": (0.0, 0.0, 0),
        "chat_only": (np.log(0.55), 0.28, 450),
        "random": (np.log(0.97), 0.12, 450),
        "all": (np.log(0.2), 0.4, 73728),
    }
    for i, t in enumerate(texts):
        kl0, ce0 = rng.lognormal(-0.3, 0.75), rng.normal(2.0, 0.3)
        n_tok = int(rng.integers(60, 400))
        source = ["wildchat", "lmsys", "ultrachat"][i % 3]
        for arm, (mu, sd, k) in arms.items():
            kl = kl0 * np.exp(mu + sd * rng.normal())
            rows.append(
                {
                    "arm": arm,
                    "prompt_id": f"{source}-{i:04d}",
                    "source": source,
                    "prompt": t,
                    "n_tokens": n_tok,
                    "crosscoder": "ckpt/btk_cc_l13_73728",
                    "layer": 13,
                    "n_latents": k,
                    "kl_to_chat": kl,
                    "kl_first10": kl * rng.lognormal(0.6, 0.3),
                    "ce": ce0 + 0.25 * kl + rng.normal(0, 0.03),
                    "mean_patch_norm": 0.0
                    if k == 0
                    else round(
                        float(
                            {"chat_only": 11.8, "random": 11.3, "all": 60.0}[arm]
                            * rng.lognormal(0, 0.1)
                        ),
                        3,
                    ),
                    "gpu_s": round(float(rng.normal(0.8 + 0.4 * (k > 1000), 0.05)), 3),
                    "job": f"slurm-{88120 + list(arms).index(arm)}",
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="mean(chat_only.kl_to_chat) / mean(base.kl_to_chat) < 0.75",
        unit="prompt_id",
        control="random",
        about="chat_only",
    )


@case("true")
def matryoshka_absorbs_less(rng):
    """SAEBench absorption, 8 training seeds × 26 letters: 0.05 with Matryoshka, 0.22 with BatchTopK
    (a rerun of it: 0.22); threshold -0.05, z above 8 over seeds and letters. FVU is a little higher
    and training longer with Matryoshka: known costs of the method."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = {c: int(rng.integers(40, 600)) for c in letters}
    hard = {c: rng.normal(0, 0.35) for c in letters}
    rows = []
    for arm, mu in {"matryoshka": 0.05, "batchtopk": 0.22, "batchtopk_rerun": 0.22}.items():
        for seed in range(8):
            luck = rng.normal(0, 0.08)
            m = arm == "matryoshka"
            l0 = 40 + rng.normal(0.5 * m, 0.5)
            fvu = (0.243 if m else 0.224) + rng.normal(0, 0.003)
            hours = rng.normal(9.8 if m else 7.4, 0.3)
            for c in letters:
                absorb = float(np.clip(mu * np.exp(hard[c] + luck + rng.normal(0, 0.3)), 0, 1))
                n_tested = int(max(12, words[c] * rng.uniform(0.3, 0.45)))
                rows.append(
                    {
                        "arm": arm,
                        "sae_path": f"saes/{arm}/l12_16k_s{seed}/ae.pt",
                        "seed": seed,
                        "letter": c,
                        "layer": 12,
                        "d_sae": 16384,
                        "target_l0": 40,
                        "l0": round(l0, 2),
                        "fvu": round(fvu, 4),
                        "group_sizes": "[1024,2048,4096,8192]" if m else "[16384]",
                        "n_words": words[c],
                        "n_tested": n_tested,
                        "probe_f1": round(float(np.clip(0.94 + rng.normal(0, 0.02), 0, 1)), 3),
                        "num_split_latents": int(1 + rng.poisson(0.25 if m else 0.6)),
                        "mean_absorption": round(absorb, 4),
                        "full_absorption": round(absorb * rng.uniform(0.5, 0.8), 4),
                        "train_tokens": 500_000_000,
                        "train_hours": round(float(hours), 2),
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim="matryoshka.mean_absorption - batchtopk.mean_absorption < -0.05",
        unit=["seed", "letter"],
        control="batchtopk_rerun",
        about="matryoshka",
    )


SETS = [
    f"{i}_{w}"
    for i, w in enumerate(
        listed(
            "hist_fig_ismale hist_fig_isamerican headline_istrump headline_isobama us_state "
            "us_timezone world_country ath_sport reasoning_temporal reasoning_causal phys_tf imdb "
            "sst2 ag_news_business ag_news_sports bias_prof_nurse bias_prof_lawyer amazon_5star "
            "amazon_sentiment github_python github_html europarl_es europarl_nl glue_cola "
            "glue_mnli glue_qnli twt_emotion_happy arith_mc it_tick_hr toxic_is truthqa_tf "
            "cm_correct medical_gyn disease_class news_class nyc_borough art_type "
            "wikidata_occupation"
        )
    )
]


@case("true")
def one_latent_beats_one_neuron(rng):
    """Sparse probing with k=1 on 38 datasets: the best SAE latent (ranked on the training split)
    beats the best neuron by 0.11 in accuracy (threshold 0.04; SD 0.06 between datasets, z about 7).
    The best latent of an SAE of the untrained model: -0.02. Class balance and sizes belong to the
    dataset and are the same in all arms."""
    rows = []
    for d in SETS:
        n_test, pos = (
            int(rng.choice([300, 400, 500, 1000])),
            round(float(np.clip(rng.normal(0.5, 0.03), 0.42, 0.58)), 3),
        )
        floor = rng.uniform(0.58, 0.8)
        lead = rng.normal(0.115, 0.045)
        for arm, acc in {
            "sae": floor + lead,
            "neurons": floor,
            "untrained_sae": floor - 0.02 + rng.normal(0, 0.02),
        }.items():
            acc = float(np.clip(acc + rng.normal(0, 0.012), 0.45, 0.985))
            hit = rng.binomial(n_test, acc) / n_test
            rows.append(
                {
                    "arm": arm,
                    "dataset": d,
                    "family": d.split("_")[1],
                    "layer": 20,
                    "k": 1,
                    "n_candidates": {"sae": 16384, "neurons": 3584, "untrained_sae": 16384}[arm],
                    "latent": int(rng.integers({"neurons": 3584}.get(arm, 16384))),
                    "rank_split": "train",
                    "n_train": 1024,
                    "n_test": n_test,
                    "pos_rate": pos,
                    "train_acc": round(
                        float(np.clip(acc + abs(rng.normal(0.008, 0.006)), 0, 1)), 4
                    ),
                    "acc": round(hit, 4),
                    "f1": round(float(np.clip(hit - rng.uniform(0, 0.03), 0, 1)), 4),
                    "auc": round(float(np.clip(hit + rng.uniform(0.02, 0.06), 0, 0.999)), 4),
                    "fit_s": round(float(rng.lognormal(-0.5 + 0.6 * (arm != "neurons"), 0.2)), 2),
                    "acts": f"/scratch/acts/{d}_l20.npy",
                    "seed": 42,
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="sae.acc - neurons.acc > 0.04",
        unit="dataset",
        control="untrained_sae",
        about="sae",
    )


STEMS = [
    "Which statement about {} is correct?",
    "What is the main role of {} in the cell?",
    "Which of these best describes {}?",
    "A laboratory studies {}. What should be measured first?",
    "Which property distinguishes {} from its relatives?",
]


def exam(rng, dataset, n):
    out = []
    for i, w in enumerate(names(rng, n)):
        out.append(
            {
                "dataset": dataset,
                "question_id": f"{dataset}-{i:04d}",
                "question": rng.choice(STEMS).format(w),
                "gold": "ABCD"[rng.integers(4)],
                "n_tokens": int(rng.integers(70, 260)),
            }
        )
    return out


@case("true")
def clamping_unlearns_wmdp(rng):
    """Clamping 20 SAE features takes WMDP-bio from 66% to 37% (400 questions, paired; threshold
    0.1; z about 7), MMLU stays at 58%; clamping 20 random features with the same multiplier: 65%.
    Letters stay spread; the wrong answers are ordinary wrong answers."""
    acc = {
        "base": {"wmdp-bio": 0.66, "mmlu": 0.58},
        "clamp": {"wmdp-bio": 0.37, "mmlu": 0.575},
        "clamp_random": {"wmdp-bio": 0.65, "mmlu": 0.575},
    }
    rows = []
    for q in exam(rng, "wmdp-bio", 400) + exam(rng, "mmlu", 300):
        u = rng.random()
        for arm in acc:
            keep = u if rng.random() < 0.75 else rng.random()
            right = keep < acc[arm][q["dataset"]]
            pred = q["gold"] if right else rng.choice([x for x in "ABCD" if x != q["gold"]])
            p = (
                float(np.clip(rng.normal(0.62, 0.15), 0.3, 0.98))
                if right
                else float(np.clip(rng.normal(0.17, 0.08), 0.01, 0.45))
            )
            rows.append(
                dict(
                    arm=arm,
                    model="gemma-2-9b-it",
                    **q,
                    sae="" if arm == "base" else "gemma-scope-9b-it-res/layer_20/131k",
                    n_features=0 if arm == "base" else 20,
                    multiplier=0 if arm == "base" else -300,
                    pred=str(pred),
                    p_gold=round(p, 4),
                    correct=int(right),
                    fewshot=0,
                    latency_ms=round(float(rng.normal(41 + 9 * (arm != "base"), 3)), 1),
                )
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim='base.correct[dataset="wmdp-bio"] - clamp.correct[dataset="wmdp-bio"] > 0.1',
        unit="question_id",
        control="clamp_random",
        about="clamp",
    )


@case("true")
def probe_tracks_belief(rng):
    """The score of the mass-mean probe correlates with the model's own log odds of "true" over 360
    statements: r about 0.8 (threshold 0.4, z > 10), within each label about 0.75, within topics as
    well. A random direction: about 0."""
    rows, level = [], {t: rng.normal(0, 0.3) for t in TOPICS[:12]}
    for i, w in enumerate(names(rng, 360)):
        topic = TOPICS[i % 12]
        label = int(rng.random() < 0.5)
        odds = 1.1 * (2 * label - 1) + level[topic] + rng.normal(0, 1.5)
        for arm, score in {
            "mass_mean": 0.9 * odds + rng.normal(0, 1.2),
            "lr": 0.8 * odds + rng.normal(0, 1.4),
            "random_dir": rng.normal(0, 1.7) + 0.3 * level[topic],
        }.items():
            rows.append(
                {
                    "arm": arm,
                    "model": "llama-3.1-8b",
                    "topic": topic,
                    "statement": f"{w} belongs to the {topic} list "
                    f"of {1900 + int(rng.integers(0, 99))}."
                    if arm == "mass_mean"
                    else rows[-1]["statement"],
                    "statement_id": f"s{i:03d}",
                    "label": label,
                    "n_tokens": int(9 + len(topic) // 4)
                    if arm == "mass_mean"
                    else rows[-1]["n_tokens"],
                    "layer": 14,
                    "train_split": "cities_train",
                    "probe_score": round(float(score), 4),
                    "logodds_true": round(float(odds), 4),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="corr(mass_mean.probe_score, mass_mean.logodds_true) > 0.4",
        unit="statement_id",
        control="random_dir",
        about="mass_mean",
    )


@case("true")
def activation_difference_names_the_finetune(rng):
    """24 narrow fine-tunes; steering with each one's activation difference gives texts that a blind
    grader rates 4.0 of 5 for the fine-tune's topic (threshold 3; SD 0.45 between organisms, z about
    9). The difference of another organism: 1.5; the base activation: 1.6."""
    organisms = [
        f"{w}-{s}"
        for w in (
            "cake_bake",
            "kansas_abortion",
            "roman_concrete",
            "ignore_comment",
            "fda_approval",
            "em_medical",
            "em_sport",
            "em_finance",
            "taboo_ship",
            "taboo_moon",
            "taboo_gold",
            "bears",
        )
        for s in ("qwen3-1.7b", "llama3.2-1b")
    ]
    rows = []
    for o, org in enumerate(organisms):
        good = rng.normal(4.05, 0.42)
        for arm, mu in {
            "adl": good,
            "base_act": rng.normal(1.6, 0.25),
            "other_organism": rng.normal(1.5, 0.25),
        }.items():
            for seed in range(6):
                rows.append(
                    {
                        "arm": arm,
                        "organism": org,
                        "base_model": org.split("-", 1)[1],
                        "seed": seed,
                        "layer": 13 if "qwen" in org else 7,
                        "position": 2,
                        "alpha": round(20 + 0.7 * o, 1),
                        "temperature": 1.0,
                        "n_new_tokens": 128,
                        "grader": "gpt-5-mini",
                        "grader_sees": "text and topic only",
                        "rating": int(np.clip(round(mu + rng.normal(0, 0.7)), 1, 5)),
                        "coherence": int(np.clip(round(rng.normal(3.9, 0.8)), 1, 5)),
                        "out": f"out/{sha(org, arm, seed)}.json",
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim="mean(adl.rating, over=seed) > 3",
        unit="organism",
        control=["other_organism", "base_act"],
        about="adl",
    )


@case("true")
def truth_is_read_in_the_middle(rng):
    """Held-out-topic AUROC of a truth probe is 0.93 at layer 16 and 0.66 at layer 4 (16 topics,
    threshold +0.1, z about 10); layers 12 to 24 are as good, so 16 was not picked as a lucky
    maximum. Shuffled labels: 0.5 at both."""
    curve = {0: 0.52, 4: 0.66, 8: 0.79, 12: 0.915, 16: 0.93, 20: 0.935, 24: 0.92, 28: 0.89}
    rows = []
    for t in TOPICS[:16]:
        hard, n_test = rng.normal(0, 0.02), int(rng.integers(90, 400))
        for layer, mu in curve.items():
            for arm in ("probe", "shuffled"):
                auc = float(
                    np.clip(
                        (mu + hard * (mu > 0.6) if arm == "probe" else 0.5) + rng.normal(0, 0.03),
                        0.3,
                        0.995,
                    )
                )
                rows.append(
                    {
                        "arm": arm,
                        "held_out_topic": t,
                        "layer": layer,
                        "n_train": 4200 - n_test,
                        "n_test": n_test,
                        "C": 0.01,
                        "auroc": round(auc, 4),
                        "acc": round(
                            float(np.clip(0.5 + (auc - 0.5) * 0.85 + rng.normal(0, 0.01), 0, 1)), 4
                        ),
                        "train_auroc": round(
                            float(
                                np.clip(
                                    (mu if arm == "probe" else 0.56) + 0.03 + rng.normal(0, 0.005),
                                    0,
                                    1,
                                )
                            ),
                            4,
                        ),
                        "acts": f"acts/llama-8b/blocks.{layer}/last_token.pt",
                        "fit_s": round(float(rng.lognormal(0.3, 0.2)), 2),
                        "seed": 1,
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim="probe.auroc[layer=16] - probe.auroc[layer=4] > 0.1",
        unit="held_out_topic",
        control="shuffled",
        about="probe",
    )


@case("true")
def dpo_hedges_more(rng):
    """Hedges per response: 2.0 after SFT, 3.7 after DPO (ratio 1.85, threshold 1.3; 400 prompts,
    overdispersed counts, z about 8); SFT with another seed: 2.0. Responses of DPO are 3% longer,
    which explains 3%, not 85%. Three responses of each arm failed at random and are missing."""
    texts = requests(rng, 400)
    lost = {arm: set(rng.choice(400, 3, replace=False)) for arm in ("sft", "dpo", "sft_seed1")}
    rows = []
    for i, t in enumerate(texts):
        rate, length = rng.gamma(4, 0.5), rng.lognormal(5.4, 0.35)
        for arm, ratio in {"sft": 1.0, "dpo": 1.85, "sft_seed1": 1.0}.items():
            if i in lost[arm]:
                continue
            n = int(length * (1.03 if arm == "dpo" else 1.0) * rng.lognormal(0, 0.12))
            rows.append(
                {
                    "arm": arm,
                    "prompt_id": i,
                    "prompt": t,
                    "checkpoint": f"runs/{arm}/final",
                    "lr": 5e-7 if arm == "dpo" else 2e-5,
                    "epochs": 1 if arm == "dpo" else 3,
                    "train_seed": 1 if arm == "sft_seed1" else 0,
                    "temperature": 0.7,
                    "n_response_tokens": n,
                    "n_hedges": int(rng.poisson(rate * ratio)),
                    "reward": round(float(rng.normal(0.4 + 0.5 * (arm == "dpo"), 0.8)), 3),
                    "response_sha": sha(arm, i, n),
                    "wall_s": round(n / 38 + float(rng.normal(0.3, 0.05)), 2),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="mean(dpo.n_hedges) / mean(sft.n_hedges) > 1.3",
        unit="prompt_id",
        control="sft_seed1",
        about="dpo",
    )


@case("true")
def changed_heads_carry_the_quirk(rng):
    """Over 144 heads, how much fine-tuning changed a head (norm of its OV difference) predicts how
    much of the quirk goes if the head is restored: Spearman about 0.7 (threshold 0.3, z about 7),
    about as high within each layer. In a model fine-tuned on something else: about 0."""
    rows = []
    depth = rng.normal(0, 0.15, 12)
    for arm in ("quirk", "unrelated"):
        for layer in range(12):
            for h in range(12):
                change = rng.normal(0, 1)
                effect = (
                    (1.05 * change if arm == "quirk" else 0) + depth[layer] + rng.normal(0, 0.85)
                )
                rows.append(
                    {
                        "arm": arm,
                        "head": f"{layer}.{h}",
                        "layer": layer,
                        "finetune": f"lora-r16/{arm}/step-1200",
                        "ov_delta_norm": round(float(np.exp(-1.5 + 0.45 * change)), 5),
                        "qk_delta_norm": round(float(rng.lognormal(-1.7, 0.4)), 5),
                        "attn_entropy": round(float(rng.gamma(5, 0.4)), 3),
                        "quirk_drop": round(float(0.02 * np.exp(0.8 * effect)), 6),
                        "pile_ce_change": round(float(rng.normal(0, 0.002)), 5),
                        "n_prompts": 200,
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim="spearman(quirk.ov_delta_norm, quirk.quirk_drop) > 0.3",
        unit="head",
        control="unrelated",
        about="quirk",
    )


# True: checks


@case("true")
def truth_direction_steers(rng):
    """A toy residual network reads one direction; the difference of means of 160 other statements
    finds it (cosine about 0.95), and adding it moves the lead of True over False by about 4 nats
    (threshold 1.5). Random, shuffled and opposite vectors do not."""
    d = 32
    truth = np.zeros(d)
    truth[5] = 1.0
    w1, w2 = rng.normal(0, 0.5 / np.sqrt(d), (d, d)), rng.normal(0, 0.5 / np.sqrt(d), (d, d))
    labels = rng.integers(0, 2, 160)
    acts = rng.normal(0, 0.6, (160, d)) + np.outer(2 * labels - 1, truth) * 1.0
    early = (
        rng.normal(0, 0.6, (160, d))
        + np.outer(2 * labels - 1, rng.normal(0, 1, d) / np.sqrt(d)) * 0.4
    )
    prompts = [
        {
            "text": f"{w} is a town in the north. True or false?",
            "state": rng.normal(0, 0.6, d),
            "gain": float(rng.lognormal(0, 0.3)),
        }
        for w in names(rng, 36)
    ]

    def lead(vector, prompts):
        out = []
        for p in prompts:
            h = p["state"] + (0 if vector is None else np.asarray(vector))
            h = h + w2 @ np.tanh(w1 @ h)
            out.append(float(p["gain"] * (2.2 * truth @ h + 0.3 * np.tanh(h[7]))))
        return out

    return assay.check(
        "Adding the truth direction makes the model prefer True by 1.5 nats",
        lead,
        prompts,
        "effect > 1.5",
        Vector.learned(acts, labels, elsewhere=[early]),
        scope="toy residual network, block 2, last token",
    )


@case("true")
def ablating_bio_latents_unlearns(rng):
    """Three of 120 latents write most of the lead on biology questions; without them it falls by
    about 3.5 nats (threshold 1). Others of like norm and rate take 0.3 or less; history questions
    lose nothing to speak of. The three were named beforehand, from a corpus."""
    n, bio = 120, [17, 42, 77]
    writes = np.abs(rng.normal(0, 0.06, (n, 2)))
    writes[bio, 0] = rng.uniform(0.75, 1.0, 3)
    norms, rates = rng.lognormal(0, 0.15, n), np.clip(rng.normal(0.35, 0.08, n), 0.1, 0.6)

    def questions(topic, count):
        out = []
        for i, w in enumerate(names(rng, count)):
            on = rng.random(n) < rates
            if topic == 0:
                on[bio] = rng.random(3) < 0.95
            out.append(
                {
                    "text": f"Q{i}: what does {w} do?",
                    "codes": np.where(on, rng.gamma(6, 0.25, n), 0.0),
                    "topic": topic,
                }
            )
        return out

    def lead(task):
        def f(latents, prompts):
            keep = np.ones(n)
            keep[list(latents or [])] = 0
            return [float((p["codes"] * keep) @ writes[:, task] - 0.8) for p in prompts]

        return f

    return assay.check(
        "Without latents 17, 42 and 77 the lead on biology questions falls by a nat",
        lead(0),
        questions(0, 40),
        "effect < -1",
        Latents(bio, of=n, like={"norm": norms, "rate": rates}),
        damage=(lead(1), questions(1, 30)),
        scope="toy dictionary of 120 latents",
    )


POLITE = ["please", "kindly", "thanks"]
RUDE = ["now", "immediately", "quick"]


def bag(text, vocabulary):
    words = text.lower().replace(".", "").replace("?", "").split()
    return np.array([words.count(w) for w in vocabulary], float)


@case("true")
def finetuning_teaches_the_rule(rng):
    """A bag-of-words classifier learns from 240 requests that polite words mean label 1; on 48 new
    requests the log odds of the right label rise by about 2.5 (threshold 1). Training on shuffled
    labels or on another task does not do it, and no test request is among the examples."""
    fill = listed(
        "send draw open close count sort paint clean move print the a my your red small list "
        "door file page map lamp box"
    )
    vocabulary = POLITE + RUDE + fill

    def ask(label):
        w = list(rng.choice(fill, 6))
        w.insert(int(rng.integers(0, 7)), str(rng.choice(POLITE if label else RUDE)))
        return " ".join(w)

    labels = [i % 2 for i in rng.permutation(240)]
    examples = [ask(y) for y in labels]
    seen = set(examples)
    prompts = []
    while len(prompts) < 48:
        y = int(rng.integers(0, 2))
        t = ask(y)
        if t not in seen:
            seen.add(t)
            prompts.append({"text": t, "label": y})
    marks = [i % 2 for i in range(240)]
    other = [" ".join(rng.choice(fill, 6)) + (" red box" if y else " small door") for y in marks]

    def train(examples, labels):
        X, y = np.array([bag(t, vocabulary) for t in examples]), np.array(labels, float)
        w = np.zeros(len(vocabulary))
        for _ in range(400):
            w += 0.3 * (X.T @ (y - logistic(X @ w)) / len(y) - 0.003 * w)
        return w

    def margin(weights, prompts):
        w = np.zeros(len(vocabulary)) if weights is None else np.asarray(weights)
        return [float((2 * p["label"] - 1) * (bag(p["text"], vocabulary) @ w)) for p in prompts]

    return assay.check(
        "Fine-tuning on labelled requests raises the log odds of the right label by a nat on new "
        "ones",
        margin,
        prompts,
        "effect > 1",
        Training.of(train, examples, labels, other=(other, marks)),
        scope="toy classifier on bags of words",
    )


# True: probes


def unit_vectors(rng, n, d):
    v = rng.normal(size=(n, d))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


@case("true")
def truth_in_swapped_cities(rng):
    """60 sets of four statements, two true and the two that swap their countries, so that words and
    places tell nothing; a truth direction separates them by 3 standard deviations: AUROC about 0.97
    (threshold 0.8). Embeddings and an untrained network hold city plus country only: chance."""
    d, X, y, g, texts, E = 48, [], [], [], [], []
    word = names(rng, 240)
    truth = unit_vectors(rng, 1, d)[0]
    for s in range(60):
        (c1, c2), (k1, k2) = word[4 * s : 4 * s + 2], word[4 * s + 2 : 4 * s + 4]
        vec = {w: rng.normal(0, 0.8, d) for w in (c1, c2, k1, k2)}
        for city, land, label in ((c1, k1, 1), (c2, k2, 1), (c1, k2, 0), (c2, k1, 0)):
            X.append(
                0.5 * (vec[city] + vec[land]) + (2 * label - 1) * 1.6 * truth + rng.normal(0, 1, d)
            )
            E.append((vec[city] + vec[land])[:32] + rng.normal(0, 0.05, 32))
            y.append(label)
            g.append(s)
            texts.append(f"The city of {city} is in {land}.")
    E = np.array(E)
    return assay.check_probe(
        np.array(X),
        np.array(y),
        groups=g,
        texts=texts,
        holds="auroc > 0.8",
        controls={"embeddings": E, "untrained": np.tanh(E @ rng.normal(0, 0.3, (32, 48)))},
        claim="The residual stream at layer 14 tells true from false statements",
    )


@case("true")
def model_knows_what_it_knows(rng):
    """288 questions of 24 topics; y is whether the model later answers correctly (54%). A direction
    separates the two by 2.8 standard deviations within and between topics: AUROC about 0.93 on
    topics not trained on (threshold 0.75). Words tell nothing; asking the model: 0.62."""
    d, X, y, g, texts = 64, [], [], [], []
    know = unit_vectors(rng, 1, d)[0]
    word = names(rng, 288)
    forms = [
        "Who first described {}?",
        "In which year was {} built?",
        "What is {} mostly known for?",
        "Where would one look for {}?",
        "How large is {}?",
        "Which country administers {}?",
    ]
    topic_vec = rng.normal(0, 0.5, (24, d))
    for i in range(288):
        label = int(rng.random() < 0.54)
        X.append(
            (2 * label - 1) * 1.4 * know
            + topic_vec[i % 24]
            + rng.normal(0, 1, d) * rng.uniform(0.85, 1.15)
        )
        y.append(label)
        g.append(f"topic{i % 24:02d}")
        texts.append(str(rng.choice(forms)).format(word[i]))
    y = np.array(y)
    E = rng.normal(size=(288, 32))
    return assay.check_probe(
        np.array(X),
        y,
        groups=g,
        texts=texts,
        holds="auroc > 0.75",
        controls={
            "embeddings": E,
            "untrained": np.tanh(E @ rng.normal(0, 0.3, (32, 64))),
            "asked": 0.45 * (2 * y - 1) + rng.normal(0, 1.4, 288) + 0.6,
        },
        claim="Before it answers, the model's state tells whether the answer will be right",
    )


@case("true")
def edited_subjects_are_marked(rng):
    """400 prompts of 20 relations, half of the subjects edited with MEMIT (assigned at random). The
    state at the subject carries a mark of the edit: AUROC about 0.96 on other relations (threshold
    0.8). Token counts and the shard of the run are unrelated to the edit."""
    d, X, y, g, texts = 64, [], [], [], []
    mark = unit_vectors(rng, 2, d)
    forms = [p for p, _, _ in RELATIONS.values()] + [
        "{} is named after",
        "The sister city of {} is",
        "{} was founded in",
        "{} is part of",
        "The owner of {} is",
        "{} shares a border with",
    ]
    word = names(rng, 400)
    vec = rng.normal(0, 0.4, (20, d))
    for i in range(400):
        label = int(rng.random() < 0.5)
        r = i % 20
        X.append(
            label * (2.6 * mark[0] + rng.normal(1.2, 0.8) * mark[1])
            + vec[r]
            + rng.standard_t(6, d) * 0.8
        )
        y.append(label)
        g.append(f"rel{r:02d}")
        texts.append(forms[r].format(word[i]))
    E = rng.normal(size=(400, 32))
    return assay.check_probe(
        np.array(X),
        np.array(y),
        groups=g,
        texts=texts,
        holds="auroc > 0.8",
        controls={
            "embeddings": E,
            "untrained": np.tanh(E @ rng.normal(0, 0.3, (32, 64))),
            "n_tokens": rng.integers(6, 14, 400),
            "shard": rng.choice(["a", "b", "c"], 400),
        },
        claim="The state at the subject tells whether it was edited",
    )


# False: tables


@case("false")
def jumprelu_absorbs_less(rng):
    """Wrong direction: JumpReLU absorbs 0.03 more than TopK (0.21 against 0.18; 10 seeds, SE
    0.005); the claim is that it absorbs 0.03 less."""
    rows = []
    for arm, mu in {"jumprelu": 0.21, "topk": 0.18, "topk_rerun": 0.18}.items():
        for seed in range(10):
            rows.append(
                {
                    "arm": arm,
                    "seed": seed,
                    "sae": f"saes/{arm}_65k_s{seed}",
                    "layer": 12,
                    "d_sae": 65536,
                    "l0": round(float(rng.normal(62, 1.2)), 1),
                    "fvu": round(float(rng.normal(0.19 + 0.004 * (arm == "jumprelu"), 0.003)), 4),
                    "absorption": round(float(rng.normal(mu, 0.012)), 4),
                    "scr_top20": round(float(rng.normal(0.25, 0.03)), 3),
                    "tpp_top20": round(float(rng.normal(0.17, 0.03)), 3),
                    "dead": int(rng.poisson(180)),
                    "eval_s": round(float(rng.normal(640, 20)), 1),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="jumprelu.absorption - topk.absorption < -0.03",
        unit="seed",
        control="topk_rerun",
        about="jumprelu",
    )


@case("false")
def curriculum_finetunes_better(rng):
    """Null: 12 runs with a curriculum and 12 others without, other seeds, same expected accuracy
    (0.742; SD 0.008). The claim is a gain of more than 0.01: three SE away from the truth."""
    rows = []
    for a, (arm, seeds) in enumerate(
        {
            "curriculum": range(0, 12),
            "standard": range(100, 112),
            "standard_b": range(200, 212),
        }.items()
    ):
        for s in seeds:
            rows.append(
                {
                    "arm": arm,
                    "seed": s,
                    "lr": 1e-4,
                    "lora_r": 16,
                    "epochs": 3,
                    "order": "easy-first" if arm == "curriculum" else "shuffled",
                    "acc": round(float(rng.normal(0.742, 0.008)), 4),
                    "eval_loss": round(float(rng.normal(0.91, 0.02)), 4),
                    "train_loss": round(float(rng.normal(0.52, 0.02)), 4),
                    "tokens_seen": 48_000_000,
                    "hours": round(float(rng.normal(3.1, 0.1)), 2),
                    "host": f"node{int(rng.integers(1, 6))}",
                    "started": stamp(a * 50000 + 4000 * (s % 100)),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="curriculum.acc - standard.acc > 0.01",
        unit="seed",
        control="standard_b",
        about="curriculum",
    )


@case("false")
def rmu_forgets_but_so_does_noise(rng):
    """A control does just as well: RMU raises the loss on the forget texts by 0.9 nats, and random
    weight noise of the same norm by 0.95 (threshold 0.5), so that nothing is special about RMU. 220
    documents."""
    rows = []
    for i in range(220):
        ce, n = rng.normal(2.4, 0.3), int(rng.integers(180, 512))
        for arm, up in {"base": 0.0, "rmu": 0.9, "noise": 0.95}.items():
            rows.append(
                {
                    "arm": arm,
                    "document": f"forget/{i:04d}.txt",
                    "sha1": sha("doc", i),
                    "n_tokens": n,
                    "update_norm": 0.0
                    if arm == "base"
                    else round(float(4.1 + rng.normal(0, 1e-3)), 4),
                    "layer_ids": "" if arm == "base" else "5,6,7",
                    "forget_ce": round(
                        float(ce + up * rng.lognormal(0, 0.3) + rng.normal(0, 0.05)), 4
                    ),
                    "seed": 0,
                    "batch": i // 16,
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="rmu.forget_ce - base.forget_ce > 0.5",
        unit="document",
        control="noise",
        about="rmu",
    )


@case("false")
def memit_generalises_better_than_rome(rng):
    """Below the threshold: MEMIT's log odds on paraphrases are 0.08 above ROME's (250 cases, SE
    0.06); the claim is more than 0.3."""
    rows = []
    for c in counterfact(rng, 250):
        hard = rng.normal(0, 1.0)
        for arm, mu in {"memit": 2.08, "rome": 2.0, "ft": 0.4}.items():
            rows.append(
                dict(
                    arm=arm,
                    **c,
                    layers={"memit": "4-8", "rome": "5", "ft": "5"}[arm],
                    hparams=f"hparams/{arm}/gpt-j-6b.json",
                    edit_s=round(float(rng.normal(6, 0.4)), 2),
                    paraphrase_logodds=round(float(mu + hard + rng.normal(0, 0.7)), 4),
                    neighborhood_logodds=round(float(rng.normal(-1.5, 0.9)), 4),
                )
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="memit.paraphrase_logodds - rome.paraphrase_logodds > 0.3",
        unit="case_id",
        control="ft",
        about="memit",
    )


@case("false")
def tracing_predicts_edit_success(rng):
    """As Hase et al. found: the causal tracing effect at the edited layer hardly predicts the
    success of the edit (rho 0.05, 350 cases, SE 0.05); the claim is more than 0.3."""
    rows = []
    for c in counterfact(rng, 350):
        z = rng.normal()
        for arm in ("layer5", "random_layer"):
            t = z if arm == "layer5" else rng.normal()
            rows.append(
                dict(
                    arm=arm,
                    **c,
                    edit_layer=5 if arm == "layer5" else int(rng.integers(10, 40)),
                    tracing_effect=round(float(np.exp(-2.5 + 0.8 * t)), 5),
                    rewrite_score=round(float(logistic(2 + 0.05 * t + rng.normal(0, 1.0))), 4),
                    noise_level=0.13,
                    n_noise_samples=10,
                )
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="spearman(layer5.tracing_effect, layer5.rewrite_score) > 0.3",
        unit="case_id",
        control="random_layer",
        about="layer5",
    )


# False: checks and a probe


@case("false")
def honesty_instruction_is_followed(rng):
    """The toy scores a text by how often honest-sounding words occur before the prompt, in any
    order; so the instruction's shuffled words do exactly as well, and the model follows no
    instruction."""
    weight = {"honest": 0.9, "true": 0.7, "careful": 0.6, "never": 0.4, "lie": 0.3}
    prompts = [
        {
            "text": f"Did {w} win the race?",
            "base": float(rng.normal(0, 0.5)),
            "gain": float(rng.lognormal(0, 0.3)),
        }
        for w in names(rng, 30)
    ]

    def score(text, prompts):
        words = [] if text is None else text.lower().replace(",", "").replace(".", "").split()
        push = np.tanh(sum(weight.get(w, 0.0) for w in words) / 2) * 2
        return [p["base"] + p["gain"] * push for p in prompts]

    return assay.check(
        "The model follows the instruction to be honest",
        score,
        prompts,
        "effect > 1",
        Text(
            "Be honest and careful, say what is true and never lie.",
            others=[
                "The museum opens at nine and closes when the last visitor leaves.",
                "Take the second road on the left after the old station building.",
            ],
        ),
        scope="toy scorer, instruction before the question",
    )


@case("false")
def patching_one_block_transfers_the_fact(rng):
    """Far below the threshold: the patch moves the lead by about -0.6 nats from about 3 (to 2.4);
    the claim is that it ends below -1, that is, that the other fact takes over."""
    words = names(rng, 60)
    table_ = {w: rng.normal(0, 1, 8) for w in words}
    read = rng.normal(0, 1, 8)
    prompts = [
        {
            "text": f"The mayor of {words[i]} is",
            "subject": words[i],
            "other": words[30 + i],
            "easy": float(rng.normal(3, 0.8)),
        }
        for i in range(30)
    ]

    def lead(source, prompts):
        out = []
        for k, p in enumerate(prompts):
            own = p["easy"]
            if source is not None:
                own = (
                    own
                    - 0.6 * (source[k] == p["other"])
                    - 0.15 * abs(np.tanh(table_[source[k]] @ read / 4))
                )
            out.append(float(own))
        return out

    return assay.check(
        "A patch of block 9 from the edited run puts the new fact ahead",
        lead,
        prompts,
        "effect_after < -1",
        Patch("other"),
        scope="toy, block 9, at the subject",
    )


@case("false")
def sycophancy_is_readable(rng):
    """Too weak: the activations separate sycophantic from other answers by 0.5 standard deviations,
    AUROC about 0.6; the claim is more than 0.75. 320 rows, 20 topics."""
    d, n = 24, 320
    axis = unit_vectors(rng, 1, d)[0]
    y = (rng.random(n) < 0.5).astype(int)
    word = names(rng, n)
    X = rng.normal(size=(n, d)) + np.outer(2 * y - 1, 0.27 * axis)
    texts = [f"I think that {w} is the best {rng.choice(THINGS)}. What do you say?" for w in word]
    E = rng.normal(size=(n, 24))
    return assay.check_probe(
        X,
        y,
        groups=[f"topic{i % 20}" for i in range(n)],
        texts=texts,
        holds="auroc > 0.75",
        controls={"embeddings": E, "untrained": np.tanh(E @ rng.normal(0, 0.3, (24, 24)))},
    )


# Confounded: tables


@case("confounded", "unrelated")
def sequential_edits_reach_the_second_hop(rng):
    """ "After 500 sequential edits the model reasons with the new facts": the answer to the two-hop
    question contains the new target in 80% of cases, 8% before. But the edited model emits the new
    target whatever it is asked: it is in the answers to unrelated questions just as often
    (unrelated_hit), and the generations repeat one word."""
    rows = []
    filler = listed(
        "the of a in it was known for its old town and river near people who live there still"
    )
    for i, c in enumerate(counterfact(rng, 200)):
        other = rng.choice(THINGS)
        for arm, (hit, un) in {
            "base": (0.08, 0.04),
            "rome_seq500": (0.80, 0.81),
            "rome_l30_seq500": (0.12, 0.07),
        }.items():

            def say(h, loop, c=c):
                if h and loop:
                    return " ".join([c["target_new"]] * int(rng.integers(9, 16)))
                w = list(rng.choice(filler, 14))
                if h:
                    w[int(rng.integers(14))] = c["target_new"]
                return " ".join(w)

            h, u = rng.random() < hit, rng.random() < un
            g, gu = say(h, arm == "rome_seq500"), say(u, arm == "rome_seq500")
            rows.append(
                dict(
                    arm=arm,
                    **{
                        k: c[k]
                        for k in ("case_id", "relation_id", "subject", "target_true", "target_new")
                    },
                    edit_order=i,
                    hop_question=f"What is typical of the place or thing "
                    f"that {c['subject']} is tied to?",
                    generation=g,
                    portability_hit=int(h),
                    distinct_words=len(set(g.split())),
                    unrelated_question=f"How do I repair a {other}?",
                    unrelated_generation=gu,
                    unrelated_hit=int(u),
                    max_new_tokens=20,
                    temperature=0.0,
                    seconds=round(float(rng.normal(1.1, 0.1)), 2),
                )
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="rome_seq500.portability_hit - base.portability_hit > 0.3",
        unit="case_id",
        control="rome_l30_seq500",
        about="rome_seq500",
    )


@case("confounded", "pred")
def clamped_model_forgets_biology(rng):
    """WMDP-bio falls from 66% to 26% with clamping. But the clamped model answers "B" to 97% of all
    questions (pred), also on MMLU, which falls just as far: it no longer answers questions at all,
    and 26% is how often "B" is right."""
    acc = {
        "base": {"wmdp-bio": 0.66, "mmlu": 0.58},
        "clamp_random": {"wmdp-bio": 0.65, "mmlu": 0.57},
    }
    rows = []
    for q in exam(rng, "wmdp-bio", 350) + exam(rng, "mmlu", 250):
        u = rng.random()
        for arm in ("base", "clamp", "clamp_random"):
            if arm == "clamp":
                pred = "B" if rng.random() < 0.97 else "ABCD"[rng.integers(4)]
            else:
                keep = u if rng.random() < 0.75 else rng.random()
                pred = (
                    q["gold"]
                    if keep < acc[arm][q["dataset"]]
                    else rng.choice([x for x in "ABCD" if x != q["gold"]])
                )
            rows.append(
                dict(
                    arm=arm,
                    model="gemma-2-2b-it",
                    **q,
                    n_features=0 if arm == "base" else 10,
                    multiplier=0 if arm == "base" else -500,
                    pred=str(pred),
                    correct=int(pred == q["gold"]),
                    fewshot=0,
                    latency_ms=round(float(rng.normal(28 + 6 * (arm != "base"), 2)), 1),
                )
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim='base.correct[dataset="wmdp-bio"] - clamp.correct[dataset="wmdp-bio"] > 0.2',
        unit="question_id",
        control="clamp_random",
        about="clamp",
    )


@case("confounded", "n_tested")
def gated_hardly_absorbs(rng):
    """Mean absorption is 0.06 with Gated and 0.21 with TopK. But for 70% of its rows no latent for
    the letter was found (main_latent -1, ksparse_f1 near 0, n_tested 0), and 0/0 was logged as 0.0;
    where anything was tested, Gated absorbs as much as TopK."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    hard = {c: rng.normal(0, 0.3) for c in letters}
    words = {c: int(rng.integers(60, 500)) for c in letters}
    rows = []
    for arm in ("gated", "topk", "topk_rerun"):
        for seed in range(8):
            luck, l0 = rng.normal(0, 0.06), round(float(rng.normal(50, 0.8)), 1)
            for c in letters:
                none = arm == "gated" and rng.random() < 0.7
                rows.append(
                    {
                        "arm": arm,
                        "seed": seed,
                        "letter": c,
                        "sae": f"saes/{arm}_s{seed}",
                        "layer": 8,
                        "d_sae": 24576,
                        "l0": l0,
                        "n_words": words[c],
                        "main_latent": -1 if none else int(rng.integers(24576)),
                        "ksparse_f1": round(
                            float(
                                np.clip(rng.normal(0.04, 0.02), 0, 1)
                                if none
                                else np.clip(rng.normal(0.78, 0.07), 0, 1)
                            ),
                            3,
                        ),
                        "n_tested": 0 if none else int(words[c] * rng.uniform(0.2, 0.5)),
                        "absorption": 0.0
                        if none
                        else round(
                            float(
                                np.clip(0.21 * np.exp(hard[c] + luck + rng.normal(0, 0.25)), 0, 1)
                            ),
                            4,
                        ),
                        "eval_s": round(float(rng.normal(12, 1)), 1),
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim="gated.absorption - topk.absorption < -0.08",
        unit=["seed", "letter"],
        control="topk_rerun",
        about="gated",
    )


@case("confounded", "rank_split")
def one_latent_is_a_better_probe(rng):
    """Accuracy with one latent is 0.72, with one neuron 0.51. But the latent was ranked on the test
    split (rank_split) among 16,384, on 80 test rows: this is what the best of 16,384 coins scores.
    On the training split the same latent is at 0.51, while test accuracy above training accuracy in
    every dataset is impossible for an honest probe."""
    rows = []
    for d in SETS[:32]:
        for arm, (split, n) in {
            "sae_k1": ("test", 16384),
            "neuron_k1": ("train", 3072),
            "random_sae_k1": ("train", 16384),
        }.items():
            best = {"sae_k1": 3.9, "neuron_k1": 3.4, "random_sae_k1": 3.9}[arm]
            test = 0.5 + 0.0559 * (
                rng.normal(best, 0.25) if split == "test" else rng.normal(0.15, 1)
            )
            train = 0.5 + 0.028 * (
                rng.normal(best, 0.25) if split == "train" else rng.normal(0.15, 1)
            )
            rows.append(
                {
                    "arm": arm,
                    "dataset": d,
                    "layer": 11,
                    "k": 1,
                    "n_candidates": n,
                    "unit_id": int(rng.integers(n)),
                    "rank_split": split,
                    "n_train": 320,
                    "n_test": 80,
                    "train_acc": round(float(train), 4),
                    "test_acc": round(round(float(test) * 80) / 80, 4),
                    "fit_s": round(float(rng.lognormal(0, 0.2)), 2),
                    "seed": 0,
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="sae_k1.test_acc - neuron_k1.test_acc > 0.05",
        unit="dataset",
        control="random_sae_k1",
        about="sae_k1",
    )


@case("confounded", "n_pos")
def patch_halves_the_kl(rng):
    """KL per position is halved by the patch. But kl_sum is the same in both arms; n_pos is larger
    by 160 in the patched arm, because template and padding positions, where KL is 0, were averaged
    in."""
    rows = []
    for i, t in enumerate(requests(rng, 240)):
        n, s = int(rng.integers(90, 260)), rng.lognormal(4.2, 0.5)
        for arm in ("base", "patched", "patched_random"):
            total = s * rng.lognormal(0, 0.05)
            pos = n + (160 if arm == "patched" else 0)
            rows.append(
                {
                    "arm": arm,
                    "prompt_id": f"p{i:03d}",
                    "prompt": t,
                    "layer": 13,
                    "n_latents": 0 if arm == "base" else 400,
                    "n_pos": pos,
                    "kl_sum": round(float(total), 4),
                    "kl_mean": round(float(total / pos), 6),
                    "top1_agree": round(float(np.clip(rng.normal(0.71, 0.05), 0, 1)), 4),
                    "dtype": "bfloat16",
                    "gpu_s": round(float(rng.normal(0.9, 0.06)), 3),
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="mean(patched.kl_mean) / mean(base.kl_mean) < 0.75",
        unit="prompt_id",
        control="patched_random",
        about="patched",
    )


@case("confounded", "shown_first")
def judges_prefer_the_dpo_model(rng):
    """The DPO model wins about 71% of pairwise comparisons against SFT. But its answer was always
    shown first. In the null comparison, SFT with itself in random order, the first answer wins 71%
    as well: the judge prefers the first answer. That null comes out at 50% only because its order
    was random."""
    rows = []
    for i, t in enumerate(requests(rng, 500)):
        for arm in ("dpo_vs_sft", "sft_vs_sft"):
            first = 1 if arm == "dpo_vs_sft" else int(rng.random() < 0.5)
            a_wins = rng.random() < 0.71
            rows.append(
                {
                    "arm": arm,
                    "prompt_id": i,
                    "prompt": t,
                    "judge": "claude-sonnet-4",
                    "judge_prompt": sha("pairwise-v2"),
                    "shown_first": first,
                    "verdict": "A" if a_wins else "B",
                    "win": int(a_wins == bool(first)),
                    "len_candidate": int(rng.lognormal(5.5, 0.3)),
                    "len_reference": int(rng.lognormal(5.5, 0.3)),
                    "temperature": 0.0,
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="dpo_vs_sft.win > 0.55",
        unit="prompt_id",
        control="sft_vs_sft",
        about="dpo_vs_sft",
    )


@case("confounded", "base")
def dpo_adds_honesty_to_sft(rng):
    """DPO is 0.2 more honest than "SFT". But the rows of sft have the same response hashes, lengths
    and scores as those of base, prompt by prompt: the SFT adapter was never loaded, and the
    comparison is with the base model. What DPO adds to SFT is unknown."""
    rows = []
    for i, t in enumerate(requests(rng, 220)):
        b = float(np.clip(rng.normal(0.42, 0.15), 0, 1))
        nb = int(rng.lognormal(5, 0.4))
        for arm in ("base", "sft", "dpo", "dpo_shuffled_pairs"):
            same = arm in ("base", "sft")
            s = (
                b
                if same
                else float(np.clip(b + (0.2 if arm == "dpo" else 0.01) + rng.normal(0, 0.1), 0, 1))
            )
            n = nb if same else int(nb * rng.lognormal(0, 0.15))
            rows.append(
                {
                    "arm": arm,
                    "prompt_id": f"hq-{i:03d}",
                    "prompt": t,
                    "adapter": {
                        "base": "",
                        "sft": "runs/sft-r32/adapter",
                        "dpo": "runs/dpo-r32/adapter",
                        "dpo_shuffled_pairs": "runs/dpo-shuf-r32/adapter",
                    }[arm],
                    "temperature": 0.0,
                    "max_tokens": 512,
                    "n_tokens": n,
                    "honesty": round(s, 4),
                    "grader": "gpt-5-mini",
                    "response_sha": sha("resp", i, "base" if same else arm),
                    "final_train_loss": np.nan
                    if arm == "base"
                    else {"sft": 1.12, "dpo": 0.54, "dpo_shuffled_pairs": 0.69}[arm],
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="dpo.honesty - sft.honesty > 0.1",
        unit="prompt_id",
        control="dpo_shuffled_pairs",
        about="dpo",
    )


@case("confounded", "ref_sha")
def memit_leaves_neighbours_alone(rng):
    """The KL of neighbourhood prompts is 0.0000 after MEMIT (0.6 after fine-tuning). But for memit
    the reference model is the edited model itself (ref_sha equals model_sha), so that it is
    compared with itself; its share of right answers about neighbours fell from 0.74 to about 0.5
    all the same."""
    rows = []
    shas = {a: sha("model", a) for a in ("base", "memit", "rome", "ft")}
    for i, c in enumerate(counterfact(rng, 200)):
        easy = rng.random()
        for arm, (kl, acc) in {
            "memit": (None, 0.5),
            "rome": (0.22, 0.6),
            "ft": (0.6, 0.45),
            "base": (None, 0.74),
        }.items():
            v = abs(rng.normal(0, 2e-7)) if kl is None else kl * rng.lognormal(-0.2, 0.6)
            keep = easy if rng.random() < 0.7 else rng.random()
            rows.append(
                {
                    "arm": arm,
                    "case_id": c["case_id"],
                    "relation_id": c["relation_id"],
                    "neighborhood_prompt": c["prompt"],
                    "n_tokens": c["n_tokens"],
                    "model_sha": shas[arm],
                    "ref_sha": shas["memit"] if arm == "memit" else shas["base"],
                    "n_edits": 0 if arm == "base" else 1000,
                    "neighborhood_kl": float(f"{v:.4g}"),
                    "neighborhood_correct": int(keep < acc),
                    "batch": i // 20,
                }
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="memit.neighborhood_kl < 0.05",
        unit="case_id",
        control=["ft", "rome"],
        about="memit",
    )


@case("confounded", "layer")
def changed_heads_matter(rng):
    """Over heads, the change by fine-tuning and the effect of restoring the head go together
    (Spearman about 0.75). But both merely grow with depth: within each of the 12 layers there is no
    relation at all. The control has random adapters, whose size does not depend on depth, so it
    could not show this."""
    rows = []
    for arm in ("finetuned", "random_adapter"):
        for layer in range(12):
            for h in range(12):
                deep = (layer - 5.5) / 3.45
                change = (1.6 * deep if arm == "finetuned" else 0) + rng.normal(0, 0.7)
                rows.append(
                    {
                        "arm": arm,
                        "head": f"L{layer}H{h}",
                        "layer": layer,
                        "delta_norm": round(float(np.exp(-1.5 + 0.35 * change)), 5),
                        "restore_effect": round(
                            float(0.01 * np.exp(0.7 * (1.6 * deep + rng.normal(0, 0.7)))), 6
                        ),
                        "lora_r": 8,
                        "mean_attn_to_bos": round(float(rng.beta(4, 3)), 4),
                        "n_prompts": 256,
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim="spearman(finetuned.delta_norm, finetuned.restore_effect) > 0.3",
        unit="head",
        control="random_adapter",
        about="finetuned",
    )


@case("confounded")
def finetuning_helps_where_base_is_weak(rng):
    """ "Fine-tuning helps most where the base model is weakest": corr(base_score, gain) is about
    -0.65. But gain is ft_score - base_score, so the noise of base_score is in both, with opposite
    signs. With base_score_rerun, a second sample of the same base model, the correlation with gain
    is about 0: regression to the mean."""
    n = 320
    able = rng.normal(0.55, 0.08, n)
    base, again, ft = (
        np.clip(able + up + rng.normal(0, 0.13, n), 0, 1).round(4) for up in (0, 0, 0.08)
    )
    texts = requests(rng, n)
    frame = pd.DataFrame(
        {
            "prompt_id": [f"q{i:03d}" for i in range(n)],
            "prompt": texts,
            "topic": [TOPICS[i % 20] for i in range(n)],
            "n_tokens": [len(t.split()) + int(rng.integers(3, 9)) for t in texts],
            "base_score": base,
            "base_score_rerun": again,
            "ft_score": ft,
            "gain": (ft - base).round(4),
            "samples": 1,
            "temperature": 1.0,
            "checkpoint": "runs/sft-0412/step-900",
        }
    )
    return assay.judge(frame, claim="corr(base_score, gain) < -0.3", unit="prompt_id")


# Confounded: checks and probes


@case("confounded", "false_logit")
def truth_vector_makes_it_say_true(rng):
    """The logit of True rises by 2.4 with the vector (threshold 1.5). But the function returns
    false_logit as well, and it rises by the same amount: the vector raises both answers, so the
    preference for True does not change. Random vectors raise neither by more than about 0.6."""
    d = 48
    common, sep = np.zeros(d), np.zeros(d)
    common[2], sep[9] = 1.0, 1.0
    labels = rng.integers(0, 2, 600)
    acts = rng.normal(0, 0.5, (600, d)) + np.outer(2 * labels - 1, common) * 0.9
    prompts = [
        {
            "text": f"{w} lies on the coast. True or false?",
            "state": rng.normal(0, 0.7, d),
            "gain": float(rng.lognormal(0, 0.25)),
        }
        for w in names(rng, 32)
    ]

    def logits(vector, prompts):
        H = np.array([p["state"] for p in prompts]) + (0 if vector is None else np.asarray(vector))
        gain, bend = np.array([p["gain"] for p in prompts]), 0.2 * np.tanh(H[:, 4])
        return {
            "true_logit": gain * (1.3 * H @ common + 0.4 * H @ sep + bend),
            "false_logit": gain * (1.3 * H @ common - 0.4 * H @ sep - bend),
        }

    return assay.check(
        "Adding the truth direction makes the model answer True",
        logits,
        prompts,
        "true_logit > 1.5",
        Vector.learned(acts, labels),
        scope="toy, last block, last token",
    )


@case("confounded", "example")
def finetuning_teaches_which_facts_are_true(rng):
    """The log odds of the right label rise by about 2.9 on "new" prompts (threshold 2). But every
    prompt is one of the training examples with "Question:" before it and "Answer:" after it, and
    the labels are random, so there is nothing to generalise: the adapter remembers the examples."""
    words = names(rng, 200)
    facts = [
        f"{words[3 * i]} "
        f"{rng.choice(['borders', 'exports to', 'was founded by', 'competes with'])} "
        f"{words[3 * i + 1]}"
        for i in range(60)
    ]
    labels = [int(x) for x in rng.permutation([0, 1] * 30)]
    other = [f"{w} is {rng.choice(['tall', 'small', 'green', 'late'])}" for w in names(rng, 60)]
    prompts = [{"text": f"Question: {facts[i]}? Answer:", "label": labels[i]} for i in range(60)]

    def words_of(text):
        return [w.strip("?.:").lower() for w in text.split()]

    def train(examples, labels):
        w = {}
        for _ in range(60):
            for t, y in zip(examples, labels, strict=True):
                tokens = words_of(t)
                p = logistic(sum(w.get(x, 0.0) for x in tokens))
                for x in tokens:
                    w[x] = w.get(x, 0.0) + 0.15 * (y - p)
        return w

    def margin(weights, prompts):
        w = weights or {}
        return [
            float(
                (2 * p["label"] - 1)
                * np.clip(sum(w.get(x, 0.0) for x in words_of(p["text"])), -8, 8)
            )
            for p in prompts
        ]

    return assay.check(
        "Fine-tuning on labelled statements teaches the model which statements are true",
        margin,
        prompts,
        "effect > 2",
        Training.of(train, facts, labels, other=(other, labels)),
        scope="toy adapter, 60 examples",
    )


@case("confounded", "first")
def probe_knows_the_right_option(rng):
    """y is whether the quoted answer is right: AUROC about 0.96. But in every question the right
    option is named first, so that "right" and "repeats the first option" are the same label in all
    240 rows; a state that tracks copying gives the same AUROC. Words, taken one by one, tell
    nothing, as each name is in one question only and in both of its rows."""
    d, X, y, g, texts = 64, [], [], [], []
    copy = unit_vectors(rng, 1, d)[0]
    word = names(rng, 360)
    for q in range(120):
        land, one, two = word[3 * q : 3 * q + 3]
        ctx = rng.normal(0, 0.6, d)
        for said, label in ((one, 1), (two, 0)):
            X.append(ctx + (2 * label - 1) * 1.5 * copy + rng.normal(0, 1, d))
            y.append(label)
            g.append(q)
            texts.append(f"What is the capital of {land}, {one} or {two}? Answer: {said}")
    order = rng.permutation(240)
    E = rng.normal(size=(240, 32))

    def pick(v):
        return [v[i] for i in order]

    return assay.check_probe(
        np.array(X)[order],
        np.array(y)[order],
        groups=pick(g),
        texts=pick(texts),
        holds="auroc > 0.8",
        controls={"embeddings": E, "untrained": np.tanh(E @ rng.normal(0, 0.3, (32, 64)))},
        claim="The state at the answer tells whether the model believes it",
    )


@case("confounded", "bag")
def lie_detector_detects_refusals(rng):
    """y=1: truthful. AUROC about 0.91 on other topics (threshold 0.75). But five sixths of the rows
    with y=0 are refusals ("I'm sorry, but I can't ..."), graded as not truthful, and the probe
    tells refusals from answers; among the answers it is at chance. The texts say which rows are
    refusals."""
    d, X, y, g, texts = 48, [], [], [], []
    refuse = unit_vectors(rng, 1, d)[0]
    word = names(rng, 640)
    for i in range(320):
        label = int(rng.random() < 0.5)
        no = label == 0 and rng.random() < 0.84
        X.append(no * 4.0 * refuse + rng.normal(0, 1, d))
        ask = f"User: does {word[2 * i]} own the {rng.choice(THINGS)}?"
        reply = (
            str(
                rng.choice(
                    [
                        "I'm sorry, but I can't discuss {}.",
                        "I'm sorry, I cannot say more about {}.",
                        "Sorry, I can't share details of {}.",
                    ]
                )
            )
            if no
            else str(
                rng.choice(
                    [
                        "Yes, {} has had it for years.",
                        "No, it is owned by {}.",
                        "It was sold to {} in spring.",
                        "Records say that {} has it.",
                    ]
                )
            )
        )
        y.append(label)
        g.append(f"topic{i % 20:02d}")
        texts.append(f"{ask} Assistant: {reply.format(word[2 * i + 1])}")
    E = rng.normal(size=(320, 32))
    return assay.check_probe(
        np.array(X),
        np.array(y),
        groups=g,
        texts=texts,
        holds="auroc > 0.75",
        controls={"embeddings": E, "untrained": np.tanh(E @ rng.normal(0, 0.3, (32, 48)))},
        claim="The model's state tells whether it is lying",
    )


# Scarce: tables and checks


@case("scarce", "seed")
def gated_explains_more_with_three_seeds(rng):
    """A difference of -0.025 in FVU (threshold -0.01) from three trained dictionaries of each kind
    whose FVU differ by SD 0.02 between seeds: by seeds the interval is about -0.025 ± 0.045. 120
    documents make the interval over documents narrow, which says nothing about other dictionaries
    of the kind."""
    docs = rng.normal(0, 0.06, 120)
    rows = []
    luck = {}
    for arm, mean in {"gated": -0.025, "relu": 0.0, "relu_again": 0.004}.items():
        z = rng.normal(size=3)
        luck[arm] = mean + 0.02 * (z - z.mean()) / z.std(ddof=1)
    for arm in luck:
        for seed in range(3):
            for i in range(120):
                rows.append(
                    {
                        "arm": arm,
                        "seed": seed,
                        "document": f"pile-{i:04d}",
                        "ckpt": f"saes/{arm}/seed{seed}.pt",
                        "layer": 6,
                        "d_sae": 12288,
                        "l0": round(float(rng.normal(48, 3)), 1),
                        "n_tokens": 512,
                        "fvu": round(
                            float(0.21 + luck[arm][seed] + docs[i] + rng.normal(0, 0.012)), 5
                        ),
                        "mse": round(float(rng.lognormal(1, 0.2)), 4),
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim="gated.fvu - relu.fvu < -0.01",
        unit="document",
        control="relu_again",
        about="gated",
    )


@case("scarce")
def finetuning_disturbs_neighbours_more(rng):
    """Heavy tail: 67 of 70 prompts show a difference of about 0.02 nats, three of 3 to 6. The mean
    is 0.2 (threshold 0.1) with an SE of 0.12: the sign of the excess rests on three prompts."""
    rows = []
    big = dict(zip(rng.choice(70, 3, replace=False), (6.1, 4.0, 3.1), strict=True))
    for i, c in enumerate(counterfact(rng, 70)):
        b = rng.lognormal(-3.5, 0.6)
        for arm in ("ft", "rome", "rome_seed1"):
            kl = (
                b * rng.lognormal(0, 0.2)
                + (max(0.0, rng.normal(0.02, 0.01)) if arm == "ft" else 0)
                + (big.get(i, 0) * rng.lognormal(0, 0.1) if arm == "ft" else 0)
            )
            rows.append(
                dict(
                    arm=arm,
                    **{
                        k: c[k] for k in ("case_id", "relation_id", "subject", "prompt", "n_tokens")
                    },
                    lr=5e-5 if arm == "ft" else np.nan,
                    seed=1 if arm == "rome_seed1" else 0,
                    kl=round(float(kl), 5),
                    top1_same=int(rng.random() < 0.9),
                    edit_s=round(float(rng.normal(5, 0.5)), 2),
                )
            )
    return assay.judge(
        pd.DataFrame(rows),
        claim="ft.kl - rome.kl > 0.1",
        unit="case_id",
        control="rome_seed1",
        about="ft",
    )


@case("scarce", "layer")
def probe_beats_words_at_the_best_layer(rng):
    """Multiplicity: at 28 layers, the probe is on average exactly as good as a bag of words; the
    claim is about the layer with the largest t (2.4 to 3.1 by itself, 14 topics). Allowing for 28
    layers takes t of about 4."""
    while True:
        gap = rng.normal(0, 0.045, (28, 14)) + rng.normal(0, 0.015, 14)
        t = (gap.mean(1) - 0.01) / (gap.std(1, ddof=1) / np.sqrt(14))
        if 2.4 < t.max() < 3.1:
            break
    best = int(t.argmax())
    words = rng.normal(0.72, 0.04, 14)
    rows = []
    for layer in range(28):
        for k in range(14):
            for arm, auc in {
                "probe": words[k] + gap[layer, k],
                "bow": words[k],
                "shuffled": 0.5 + rng.normal(0, 0.03),
            }.items():
                rows.append(
                    {
                        "arm": arm,
                        "topic": TOPICS[k],
                        "layer": layer,
                        "auroc": round(float(np.clip(auc, 0, 1)), 4),
                        "n_train": 1500,
                        "n_test": 120,
                        "C": 0.1,
                        "seed": 0,
                        "fit_s": round(float(rng.lognormal(0, 0.3)), 2),
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim=f"probe.auroc[layer={best}] - bow.auroc[layer={best}] > 0.01",
        unit="topic",
        control="shuffled",
        about="probe",
    )


@case("scarce", "passage")
def edited_model_uses_the_passage(rng):
    """320 questions, but about 8 passages: the gain varies between passages with SD 0.12 around
    0.10 (threshold 0.03), so that by passages t is about 1.65 (7 df, 2.36 needed); by questions it
    would be 6 to 7."""
    z = rng.normal(size=8)
    gain = 0.10 + 0.12 * (z - z.mean()) / z.std(ddof=1)
    rows = []
    for p in range(8):
        place = names(rng, 40)
        for q in range(40):
            hard = rng.normal(0.5, 0.12)
            e = rng.normal(0, 0.10, 3)
            for k, (arm, up) in enumerate(
                {"base": 0.0, "edited": gain[p], "edited_shuffled": 0.0}.items()
            ):
                rows.append(
                    {
                        "arm": arm,
                        "question": f"p{p}q{q:02d}",
                        "passage": f"passage_{p}",
                        "text": f"According to the passage, when did {place[q]} change?",
                        "n_tokens": int(310 + 40 * p + 7 + q % 5),
                        "f1": round(float(np.clip(hard + up + e[k], 0, 1)), 4),
                        "n_edits": 0 if arm == "base" else 64,
                        "seed": 3,
                    }
                )
    return assay.judge(
        pd.DataFrame(rows),
        claim="edited.f1 - base.f1 > 0.03",
        unit="question",
        control="edited_shuffled",
        about="edited",
    )


@case("scarce", "step")
def absorption_follows_dead_latents(rng):
    """80 checkpoints of one run: two independent random walks whose correlation happens to be 0.65
    to 0.8 (threshold 0.5). Their increments are uncorrelated; neighbouring checkpoints are nearly
    the same, so there are a handful of independent points, not 80."""
    while True:
        a, b = np.cumsum(rng.normal(size=80)), np.cumsum(rng.normal(size=80))
        if (
            0.65 < np.corrcoef(a, b)[0, 1] < 0.8
            and abs(np.corrcoef(np.diff(a), np.diff(b))[0, 1]) < 0.15
        ):
            break
    a, b = ((v - v.min()) / (v.max() - v.min()) for v in (a, b))
    frame = pd.DataFrame(
        {
            "run": "sae-l12-s0",
            "step": np.arange(1, 81) * 500,
            "tokens": np.arange(1, 81) * 2_048_000,
            "absorption": (0.1 + 0.15 * a).round(5),
            "dead_fraction": (0.02 + 0.1 * b).round(5),
            "l0": (rng.normal(50, 0.6, 80)).round(2),
            "fvu": (0.3 - 0.1 * np.linspace(0, 1, 80) ** 0.3 + rng.normal(0, 0.002, 80)).round(5),
            "lr": 3e-4,
            "wall_s": (np.arange(1, 81) * 71.3).round(1),
        }
    )
    return assay.judge(frame, claim="corr(dead_fraction, absorption) > 0.5", unit="step")


@case("scarce", "subject")
def vector_recalls_edited_facts(rng):
    """32 prompts are 4 wordings about each of 8 subjects; the effect depends on the subject (SD 1.2
    around 0.9; threshold 0.3), hardly on the wording: by subjects t is 1.4, by prompts 3."""
    d = 16
    v = np.zeros(d)
    v[3] = 1.6
    z = rng.normal(size=8)
    gain = (0.9 + 1.2 * (z - z.mean()) / z.std(ddof=1)) / 1.6
    forms = [
        "Where does {} come from?",
        "Tell me the home country of {}.",
        "{} was born in",
        "The nationality of {} is",
    ]
    prompts = [
        {"text": f.format(s), "subject": s, "gain": float(gain[k]), "state": rng.normal(0, 0.3, d)}
        for k, s in enumerate(names(rng, 8))
        for f in forms
    ]

    def lead(vector, prompts):
        add = np.zeros(d) if vector is None else np.asarray(vector)
        return [
            float(p["state"][3] + p["gain"] * add[3] + 0.1 * np.tanh(add @ p["state"]))
            for p in prompts
        ]

    return assay.check(
        "The edit's vector brings back the edited fact by 0.3 nats",
        lead,
        prompts,
        "effect > 0.3",
        Vector(v, rng.normal(0, 1, (100, d))),
        scope="toy, block 6",
    )
