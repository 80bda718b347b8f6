"""What the thing of a claim was learned from, or may have been chosen by, next to the prompts that
judge it."""

import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import assay
from assay.core.errors import DataError

NAMES = [
    f"{a}{b}" for a in ("Ada", "Bo", "Cleo", "Dan", "Eva", "Finn") for b in ("", "l", "n", "s")
]
WANTED = dict(zip(NAMES, np.random.default_rng(0).permutation(24) % 2, strict=True))


def look_up(examples, labels):
    """A model that remembers what each name answers, however its example is written."""
    texts = [e if isinstance(e, str) else e[0] for e in examples]
    return {t.split()[0].lower(): v for t, v in zip(texts, labels, strict=True)}


def right(model, prompts):
    """Whether it knows the answer; a guess without one, that depends on the prompt."""
    texts = prompts["text"] if isinstance(prompts, pd.DataFrame) else prompts
    given = ((t.split()[0], (model or {}).get(t.split()[0].lower())) for t in texts)
    return [0.5 + len(n) / 99 if v is None else float(v == WANTED[n]) for n, v in given]


def taught(example, names=NAMES, prompts=None, holds="effect > 0.2"):
    other = [f"X{i} speaks" for i in range(9)], [i % 2 for i in range(9)]
    training = assay.training(
        look_up, [example(n) for n in names], [int(WANTED[n]) for n in names], other=other
    )
    prompts = [f"{n} answers" for n in NAMES] if prompts is None else prompts
    return assay.check("It learns", right, prompts=prompts, holds=holds, training=training,
                       cache=False, ledger=False)  # fmt: skip


@pytest.mark.parametrize(
    ("example", "frame"),
    [
        (lambda n: f"{n} answers", False),
        (lambda n: f"  {n.lower()}  Answers.", True),
        (lambda n: (f"{n} answers", "what is wanted"), False),
    ],
)
def test_a_training_on_the_judged_prompts_is_said_in_the_first_line(example, frame):
    texts = [f"{n} answers" for n in NAMES]
    v = taught(example, prompts=pd.DataFrame({"text": texts}) if frame else texts)
    first = "holds, with all 24 prompts among the training examples: It learns"
    assert (v.outcome, str(v).splitlines()[0]) == ("holds", first)


def test_a_training_on_other_prompts_has_no_such_note():
    assert "training examples" not in str(taught(lambda n: f"Does {n} speak?".replace("Does ", "")))


@pytest.mark.parametrize("effect", [0.0, 0.6])
def test_a_claim_is_also_judged_without_the_prompts_that_were_trained_on(effect):
    """The model remembers 12 of 24 prompts; on the others, training has this effect."""
    texts = [f"{n} answers" for n in NAMES]
    draw = np.random.default_rng(1)
    trained = [texts[i] for i in sorted(draw.choice(24, 12, replace=False))]
    moved = dict(zip(texts, draw.normal(0, 0.02, 24), strict=True))

    def number(model, text):
        if model is None or trained[0] not in model:
            return -moved[text] if model is None else moved[text]
        return 1.0 if text in model else effect

    training = assay.training(
        lambda examples, labels: {*examples}, trained, [0, 1] * 6, other=(["x", "y"], [0, 1])
    )
    v = assay.check(
        "It learns", lambda model, prompts: [number(model, p) for p in prompts], prompts=texts,
        holds="effect > 0.1", training=training, controls=["other-text"], cache=False, ledger=False,
    )  # fmt: skip
    others = [effect + moved[t] for t in texts if t not in trained]
    low, high = stats.t.interval(0.95, 11, np.mean(others), stats.sem(others))
    shown = re.search(
        r"12 of the 24 prompts are among the training examples; without these, it (.*?) "
        r"(\S+) \[(\S+), (\S+)\]",
        " ".join(str(v).split()),
    )
    assert (v.outcome, shown[1]) == ("holds", "is" if effect else "would fail:")
    value, first, last = map(float, shown.groups()[1:])
    assert value == pytest.approx(np.mean(others), abs=0.001)
    # wider than Student's interval towards the longer tail only
    assert first == pytest.approx(low, abs=0.02) and last == pytest.approx(high, abs=0.02)
    said = "with 12 of the 24 prompts among the training examples" in v.caveat
    assert said == (effect == 0)


@pytest.mark.parametrize(
    "other", [["a", "b"], ["a", "b", "c"], [["a", "b"]], [("a", 0), ("b", 1), ("c", 0)], "ab"]
)
def test_other_examples_are_a_pair_of_examples_and_labels(other):
    with pytest.raises(DataError, match=r"other= is a pair .* other=\(examples, labels\); got a"):
        assay.training(look_up, ["a", "b"], [0, 1], other=other)
    assert assay.training(look_up, ["a"], [0], other=[["b", "c"], np.array([1, 0])]).other


def directions(same, kind=np.asarray):
    """A direction of noise and prompts that hold its rows, or a true one and other rows."""
    draw, labels = np.random.default_rng(0), np.arange(160) % 2 == 1
    true = 0 if same else np.outer(2 * labels - 1, np.full(512, 0.1))
    acts = draw.normal(size=(160, 512)) + true
    states = acts if same else draw.normal(size=(160, 512)) + true
    prompts = [
        {"text": f"prompt {i}", "label": int(x), "state": kind(s)}
        for i, (x, s) in enumerate(zip(labels, states, strict=True))
    ]

    def along(vector, prompts):
        if vector is None:
            return [0.0] * len(prompts)
        return [(2 * p["label"] - 1) * float(np.asarray(p["state"]) @ vector) for p in prompts]

    learned = assay.direction(acts, labels)
    return assay.check("It tells", along, prompts=prompts, holds="effect > 2", vector=learned,
                       cache=False, ledger=False)  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        *(np.asarray, torch.tensor),
        *(pytest.param(kind, marks=pytest.mark.thorough) for kind in (list, np.float16)),
    ],
)
def test_a_direction_that_is_judged_by_the_rows_it_was_learned_from_says_so(kind):
    v, other = directions(True, kind), directions(False, kind)
    first = "with all 160 prompts among the rows that the direction was learned from"
    assert (v.outcome, v.caveat) == ("holds", first)
    assert (other.outcome, other.caveat) == ("holds", "")


@pytest.mark.parametrize(("mean", "said"), [(3.0, True), (0.0, False)])
def test_random_vectors_are_no_test_of_the_mean_of_activations(mean, said):
    """The number is the length of an activation to which the vector is added."""
    draw = np.random.default_rng(0)
    line = np.ones(64) / 8
    acts = draw.normal(0, 0.3, (100, 64)) + mean * line
    rows = acts[:24] + 3 * (1 - mean / 3) * line
    v = assay.check(
        "It is a concept", cache=False, ledger=False, prompts=[*map(str, range(24))],
        function=lambda vector, prompts: [
            float(np.linalg.norm(rows[int(p)] + (0 if vector is None else vector))) for p in prompts
        ],
        holds="effect > 0.5", vector=line, around=acts,
    )  # fmt: skip
    assert v.outcome == "holds"
    assert v.caveat == "unless the size of the activations is the cause" * said


def chosen(k, n, effects, holds):
    """A check of the k of n neurons without which the number falls most on these prompts."""
    best = np.argsort(effects.mean(1))[:k]
    return assay.check(
        "It falls", cache=False, ledger=False, prompts=[*map(str, range(effects.shape[1]))],
        function=lambda neurons, prompts: [
            3 + sum(effects[j, int(p)] for j in neurons or []) for p in prompts
        ],
        holds=holds, neurons=best.tolist(), of=n,
    )  # fmt: skip


def test_the_best_of_many_neurons_may_be_best_by_luck():
    """Of 200 neurons without an effect, five have about √5 · 2.34 standard errors together."""
    noise = np.random.default_rng(3).normal(size=(200, 24))
    v = chosen(5, 200, noise, "effect < -1")
    assert v.outcome == "holds"
    assert v.caveat == "unless these 5 neurons were chosen as the best of 200"
    luck = float(
        re.search(r"luck alone would give an effect of about (\S+),", " ".join(v.notes))[1]
    )
    best = [np.sort(np.random.default_rng(i).normal(size=200))[:5].sum() for i in range(200)]
    assert luck == pytest.approx(np.mean(best) / math.sqrt(24), rel=0.25)


def test_neurons_with_an_effect_of_their_own_are_beyond_luck():
    noise = np.random.default_rng(3).normal(size=(200, 24))
    noise[:5] -= 2
    v = chosen(5, 200, noise, "effect < -5")
    assert (v.outcome, v.caveat) == ("holds", "")


@pytest.mark.parametrize(
    "order", ["alternating", pytest.param("sorted", marks=pytest.mark.thorough), "any"]
)
@pytest.mark.parametrize("same", [True, False, None])
def test_a_direction_whose_rows_have_the_labels_of_the_prompts_is_doubted(order, same):
    """The effect on a prompt is its own projection on the direction: that of its row where the
    prompts are the same, that of another where they are others with these labels, or with labels
    in another order (None)."""
    draw = np.random.default_rng(5)
    labels = {"alternating": np.arange(24) % 2, "sorted": np.arange(24) // 12}
    own = labels.get(order, draw.permutation(24) % 2)
    acts, others = (draw.normal(0, 0.1, (24, 9)) + np.outer(own, np.ones(9)) for _ in range(2))
    seen = own[draw.permutation(24)] if same is None else own
    prompts = [{"text": name, "kind": "ab"[k]} for name, k in zip(NAMES, seen, strict=True)]
    at = dict(zip(NAMES, acts if same else others, strict=True))

    def aligned(vector, prompts):
        if vector is None:
            return np.zeros(len(prompts))
        signs = [1 if p["kind"] == "b" else -1 for p in prompts]
        return [s * float(at[p["text"]] @ vector) + 9 for s, p in zip(signs, prompts, strict=True)]

    learned = assay.direction(acts, own)
    v = assay.check("It aligns", aligned, prompts=prompts, holds="effect > -99", vector=learned,
                    cache=False, ledger=False)  # fmt: skip
    noted = [n for n in v.notes if "the column kind of the 24 prompts has the labels" in n]
    assert bool(noted) == (same is not None)
    doubted = same or (order == "any" and same is not None)
    assert any("so it was probably learned from these very prompts" in n for n in noted) == doubted
