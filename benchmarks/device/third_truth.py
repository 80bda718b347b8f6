"""Measure, with transformers alone, what is true of the instructions of third.toml.

    python benchmarks/device/third_truth.py WHICH MODELS SMOLLM2_FOLDER GEMMA_FOLDER

WHICH is planted, smollm2, parity, finetune, gemma or numbers; MODELS is what planted.py wrote. The
small wrapper Lm and the sentences are those of truth.py."""

# ruff: noqa: B023 (texts in long lines; functions that are called where they are made)

import random
import sys
from pathlib import Path

import numpy as np
import planted
import torch
from truth import SENTENCES, Lm, mean, ridge, twice

torch.set_num_threads(1)
MODELS, SMOL, GEMMA = Path(sys.argv[2]), *sys.argv[3:5]
TEXTS = [f"{x}." for x in SENTENCES.replace("\n", " ")[:-1].split(". ")]


def show(*what):
    print(*what, flush=True)


def se(x):
    return float(np.std(x, ddof=1) / len(x) ** 0.5)


# --- planted ---------------------------------------------------------------------------------


def do_planted():
    for opening in ([], [0]):
        show("with BOS" if opening else "without BOS")
        lm = Lm(str(MODELS / "relay"))
        lm.opening = opening
        draw, gaps, _halves = random.Random(0), [], []
        for _ in range(24):
            a = draw.sample(planted.LETTERS, 8)
            b = a[:]
            while any(
                b[i - 1 : i + 1] == a[j - 1 : j + 1] for i in range(1, 8) for j in range(1, 8)
            ):
                draw.shuffle(b)
            gaps.append(lm.loss(" ".join(a + b)) - lm.loss(" ".join(a + a)))
        show("same-order: loss, other order less same order", mean(gaps), "least", min(gaps))
        many, few = lm.token("many"), lm.token("few")
        diffs = []
        past = ["yesterday", "earlier", "formerly", "once", "previously", "lately", "recently"]
        future = ["tomorrow", "later", "soon", "next", "shortly", "eventually", "someday"]
        for n in range(1, 31):
            gap = {}
            for when in (*past, *future):
                x = lm.logs(f"{when} anna bought {n} coins so there are")
                gap[when] = float(x[many] - x[few])
            diffs.append(mean(gap[w] for w in past) - mean(gap[w] for w in future))
        show("tense-many: past less future", mean(diffs), "range", min(diffs), max(diffs))
        x = [lm.logs(f"yesterday anna bought {n} coins so there are") for n in (3, 28)]
        show("   28 less 3 coins", float((x[1] - x[0])[many] - (x[1] - x[0])[few]))
        for name in ("relay-1", "relay", "relay-0"):
            lm = Lm(str(MODELS / name))
            lm.opening = opening
            texts, o = twice(list(planted.LETTERS), 8), len(opening)
            again = mean(lm.attention(t, 1, 0)[o:, o:].diagonal(-7)[1:].mean() for t in texts)
            show("ready: head 1.0 to the next,", name, again)
        for name in ("planted", "tuned"):
            lm = Lm(str(MODELS / name))
            lm.opening = opening
            good = torch.tensor([lm.token(w) for w in planted.GOOD])
            bad = torch.tensor([lm.token(w) for w in planted.BAD])
            gap, one = {}, {}
            for w in (*planted.GOOD, *planted.BAD):
                for noun in ("film", "room", "meal"):
                    x = lm.logs(f"the {noun} was {w} so it is")
                    gap[w, noun] = float(x[good].logsumexp(0) - x[bad].logsumexp(0))
                    one[w, noun] = float(x[lm.token("good")] - x[lm.token("bad")])
            for label, g in (("any", gap), ("good/bad", one)):
                a = [v for (w, _), v in g.items() if w in planted.GOOD]
                b = [v for (w, _), v in g.items() if w in planted.BAD]
                show(
                    f"any-nice: {name} {label} after nice",
                    mean(a),
                    "after nasty",
                    mean(b),
                    "diff",
                    mean(a) - mean(b),
                )
            cities = torch.tensor([lm.token(c) for c in planted.CAPITALS.values()])
            p = [
                float(lm.logs(f"{who} went to {c} the capital is")[cities].exp().sum())
                for who in planted.NAMES
                for c in planted.CAPITALS
            ]
            q = [
                float(lm.logs(f"{who} went to town the film is")[cities].exp().sum())
                for who in planted.NAMES
            ]
            show(f"any-city: {name}", mean(p), min(p), "without country", mean(q))


# --- SmolLM2 ---------------------------------------------------------------------------------

NOUNS = """key keys cabinet cabinets|dog dogs tree trees|teacher teachers student students|car cars
house houses|book books table tables|boy boys window windows|picture pictures door doors|bird birds
river rivers|chair chairs lamp lamps|farmer farmers cow cows|ship ships island islands|letter letters
box boxes|girl girls horse horses|road roads village villages|plant plants wall walls|cup cups bottle
bottles|nurse nurses patient patients|shop shops bank banks|bag bags bed beds|lawyer lawyers judge
judges|tower towers bridge bridges|singer singers piano pianos|driver drivers truck trucks"""  # noqa: E501
YOUNG = """dog puppy|cat kitten|cow calf|sheep lamb|horse foal|pig piglet|goat kid|duck duckling|bear
cub|deer fawn|frog tadpole|chicken chick|goose gosling|swan cygnet|kangaroo joey|owl owlet"""  # noqa: E501
TENSE = """go went|see saw|eat ate|come came|take took|give gave|write wrote|run ran|sing sang|drink
drank|speak spoke|fly flew|know knew|find found|think thought|buy bought|bring brought|make made|feel
felt|leave left|sleep slept|win won|lose lost|teach taught"""  # noqa: E501
ANIMAL = """dog cat horse wolf bear lion tiger fox goat cow pig snake monkey eagle rabbit mouse duck
goose sheep donkey camel owl crow bull"""
TOOL = """hammer saw drill knife spoon fork shovel rake axe wrench ladder broom bucket needle brush
pencil ruler scissors rope hook nail screw clamp pump"""


def rows(x):
    return [r.split() for r in x.replace("\n", " ").split("|")]


def larger(lm, name):
    draw, right, first = random.Random(0), [], []
    for _ in range(30):
        a, b = 0, 0
        while a // 10 == b // 10:
            a, b = draw.randrange(11, 99), draw.randrange(11, 99)
        for x, y in ((a, b), (b, a)):
            p = f"Which number is larger, {x} or {y}? Answer:"
            px, py = lm.log_prob(p, f" {x}"), lm.log_prob(p, f" {y}")
            right.append((px > py) == (x > y))
            first.append(px > py)
    show(f"larger: {name} accuracy", mean(right), "picks the first", mean(first))


def do_smollm2():
    lm = Lm(SMOL)
    isn, are = lm.token(" is"), lm.token(" are")
    gaps = []
    for s, ss, o, os in rows(NOUNS):
        g = [lm.logs(f"The {x} near the {y}") for x, y in ((ss, o), (s, os))]
        gaps.append(float((g[0] - g[1])[are] - (g[0] - g[1])[isn]))
    show(
        "agree: are-is, plural subject less singular",
        mean(gaps),
        "se",
        se(gaps),
        "least",
        min(gaps),
    )
    first = mean(lm.attention(t, 18, 6)[4:, 0].mean() for t in TEXTS)
    last = mean(lm.attention(t, 18, 6)[-1, 0] for t in TEXTS)
    show("rest: 18.6 to the first token", first, "last token", last)
    young = rows(YOUNG)
    for form in ("A baby {} is called a", "A young {} is called a"):
        right = []
        for a, y in young:
            p = form.format(a)
            right.append(max(young, key=lambda r: lm.log_prob(p, f" {r[1]}"))[1] == y)
        show("young:", form, mean(right))
    larger(lm, "SmolLM2")
    people = random.Random(0).sample(range(100, 1000), 96)
    texts = [f"There were {n} people in the" for n in people]
    labels = torch.tensor([1.0 if n % 2 else -1.0 for n in people]).double()
    for block in (5, 10, 20):
        x = torch.stack([lm.stream(t, block + 1)[-1] for t in texts]).double()
        x = x / x.std(0).clamp_min(1e-6)
        kept = []
        for seed in range(12):
            order = torch.randperm(96, generator=torch.Generator().manual_seed(seed))
            a, b = order[:64], order[64:]
            kept.append(mean(ridge(x[a], labels[a])(x[b]).sign() == labels[b]))
        show(f"parity: accuracy after block {block}", mean(kept))
    items = [(w, 1.0) for w in ANIMAL.split()] + [(w, -1.0) for w in TOOL.split()]
    labels = torch.tensor([y for _, y in items]).double()
    for block in (0, 10, 15):
        x = torch.stack(
            [lm.stream(f"Yesterday I saw a {w} in the", block)[-1] for w, _ in items]
        ).double()
        kept = []
        for seed in range(12):
            order = torch.randperm(48, generator=torch.Generator().manual_seed(seed))
            a, b = order[:24], order[24:]
            kept.append(mean(ridge(x[a], labels[a])(x[b]).sign() == labels[b]))
        show(f"animal-tool: accuracy before block {block}", mean(kept))


def do_parity():
    """Parity again, with raw and with scaled streams, 160 numbers."""
    lm = Lm(SMOL)
    people = random.Random(1).sample(range(100, 1000), 160)
    labels = torch.tensor([1.0 if n % 2 else -1.0 for n in people]).double()
    streams = [lm.stream(f"There were {n} people in the", 11)[-1] for n in people]
    raw = torch.stack(streams).double()
    for name, x in (("raw", raw), ("scaled", (raw - raw.mean(0)) / raw.std(0).clamp_min(1e-6))):
        for train in (64, 80, 120):
            kept = []
            for seed in range(12):
                order = torch.randperm(160, generator=torch.Generator().manual_seed(seed))
                a, b = order[:train], order[train:]
                kept.append(mean(ridge(x[a], labels[a])(x[b]).sign() == labels[b]))
            show(f"parity: {name}, {train} to train, accuracy after block 10", mean(kept))


def do_finetune():
    for rate in (3e-5, 3e-4):
        lm = Lm(SMOL)
        amen, other = lm.token(" Amen"), lm.token(" Hello")
        train, test = TEXTS[:12], TEXTS[12:]

        def judge():
            with torch.no_grad():
                x = [lm.logs(t) for t in test]
            return [mean(v[amen] for v in x), mean(v[other] for v in x), mean(map(lm.loss, test))]

        before = judge()
        optimizer = torch.optim.AdamW(lm.model.parameters(), lr=rate, weight_decay=0)
        draw = random.Random(0)
        for _ in range(24):
            optimizer.zero_grad()
            for t in draw.sample(train, 4):
                ids = torch.tensor([lm.ids(f"{t} Amen.")])
                (lm.model(ids, labels=ids).loss / 4).backward()
            optimizer.step()
        after = judge()
        show(f"amen: rate {rate}: Amen, Hello, loss of new sentences", before, after)


# --- Gemma -----------------------------------------------------------------------------------

FRENCH = """Le vieil homme était assis sur le banc et lisait son journal.|Elle a ouvert la fenêtre parce
que la chambre était trop chaude.|Les enfants jouaient dans le jardin.|Il a acheté du pain et une
bouteille de lait.|Le train était en retard.|Ma sœur travaille dans un hôpital au nord de la ville.|Ils
ont peint la cuisine en jaune.|Le chien a aboyé et s'est enfui.|Nous avons dîné dans un petit restaurant
près de la rivière.|Il a plu toute la journée.|J'ai perdu mes clés quelque part.|Le musée est fermé le
lundi."""  # noqa: E501
NEUTRAL = """On the table there was|After the long walk he saw|The house stands near|In the morning she
went to|We were looking at|The letter was sent by|Behind the door you could hear|My friend wants to
buy|The children ran into|He was thinking about|The soup was made with|Late at night they left"""  # noqa: E501


def do_gemma():
    lm = Lm(GEMMA)
    show("layers", lm.model.config.num_hidden_layers, "heads", lm.model.config.num_attention_heads)
    paid = []
    for t in TEXTS[:12]:
        at = lm.run(t, output_attentions=True).attentions
        paid.append(
            torch.stack(
                [
                    torch.stack(
                        [
                            a[0, :, 3:, 0].mean(-1),
                            torch.stack([h.diagonal(-1)[2:].mean() for h in a[0]]),
                        ]
                    )
                    for a in at
                ]
            )
        )
    paid = torch.stack(paid).mean(0)  # layer, {first, previous}, head
    for name, k in (("first", 0), ("previous", 1)):
        flat = paid[:, k].flatten()
        order = flat.argsort(descending=True)
        h = paid.shape[-1]
        show(
            f"attention to {name}:",
            [
                (f"{int(i) // h}.{int(i) % h}", round(float(flat[i]), 2))
                for i in [*order[:8], *order[-4:]]
            ],
        )
    tense = rows(TENSE)
    right = []
    for a, b in tense:
        p = f"Today I {a}. Yesterday I"
        right.append(lm.log_prob(p, f" {b}") > lm.log_prob(p, f" {a}"))
    show("tense: accuracy", mean(right))
    larger(lm, "Gemma")
    french = list(FRENCH.replace("\n", " ").split("|"))
    prompts = list(NEUTRAL.replace("\n", " ").split("|"))
    sets = [
        torch.tensor([lm.token(f" {w}") for w in x.split()])
        for x in ("le la les un une des", "the a an some his her")
    ]

    def gap():
        kept = []
        for t in prompts:
            x = lm.logs(t)
            kept.append(float(x[sets[0]].logsumexp(0) - x[sets[1]].logsumexp(0)))
        return kept

    plain = gap()
    show("french: plain", mean(plain))
    for block in (6, 9, 12):
        f, e = (
            torch.stack([lm.stream(t, block)[1:].mean(0) for t in x]).mean(0)
            for x in (french, TEXTS[:12])
        )
        v = f - e
        for s in (1, 2):
            with lm.added(block, s * v):
                g = gap()
            d = [a - b for a, b in zip(g, plain, strict=False)]
            r = torch.randn(v.shape, generator=torch.Generator().manual_seed(0))
            with lm.added(block, s * v.norm() * r / r.norm()):
                g = gap()
            show(
                f"french: block {block} times {s}: rise",
                mean(d),
                "se",
                se(d),
                "random",
                mean(a - b for a, b in zip(g, plain, strict=False)),
            )


# --- numbers and a toy -------------------------------------------------------------------------


def do_numbers():
    a = np.array([18.2, 17.9, 18.6, 18.1, 18.4, 17.8, 18.3, 18.0, 18.5, 18.2, 17.7, 18.4])
    b = np.array([20.6, 21.1, 20.2, 20.9, 20.4, 21.3, 20.7, 20.5, 20.8])
    show(
        "warmup: difference",
        b.mean() - a.mean(),
        "se",
        (a.var(ddof=1) / 12 + b.var(ddof=1) / 9) ** 0.5,
    )
    x = np.array([81.2, 79.5, 83.1, 80.4, 82.0, 78.8, 81.7, 80.9, 79.9, 82.6])
    y = np.array([81.7, 79.8, 83.8, 80.7, 82.6, 79.1, 82.3, 81.2, 80.5, 83.0])
    show("dropout: paired difference", (y - x).mean(), "se", se(y - x))
    p, q = 98 / 200, 41 / 200
    show("shares: difference", p - q, "se", (p * (1 - p) / 200 + q * (1 - q) / 200) ** 0.5)
    c = np.array([2.91, 2.88, 2.93, 2.90, 2.87, 2.92, 2.89, 2.91])
    d = np.array([3.08, 3.11, 3.05, 3.09, 3.12, 3.07, 3.10, 3.06])
    show("confounded: difference", d.mean() - c.mean())
    for layers in (2, 3):
        for base in (0.1, 0.01):
            times = {}
            for scale in (base, base / 10):
                kept = []
                for seed in range(3):
                    draw = np.random.default_rng(seed)
                    n, s = 8, np.array([4.0, 3.0, 2.0, 1.0])
                    u, v = (np.linalg.qr(draw.standard_normal((n, n)))[0] for _ in range(2))
                    target = (u[:, :4] * s) @ v[:, :4].T
                    w = [scale * draw.standard_normal((n, n)) / n**0.5 for _ in range(layers)]
                    found = None
                    for step in range(200000 if layers == 2 else 300000):
                        prod = np.linalg.multi_dot(w[::-1]) if layers > 1 else w[0]
                        if u[:, 0] @ prod @ v[:, 0] > s[0] / 2:
                            found = step
                            break
                        err = target - prod
                        g = []
                        for i in range(layers):
                            left = np.eye(n)
                            for j in range(i + 1, layers):
                                left = w[j] @ left
                            right = np.eye(n)
                            for j in range(i):
                                right = w[j] @ right
                            g.append(left.T @ err @ right.T)
                        w = [a + 0.01 * b for a, b in zip(w, g, strict=False)]
                    kept.append(found)
                times[scale] = kept
            show("small-start:", layers, "layers", times)
            if layers == 3:
                break


if __name__ == "__main__":
    globals()[f"do_{sys.argv[1]}"]()
