"""Every claim of utility can hold, can fail, and becomes unspecific where a control passes; numbers
are planted, not trained.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

import tomllib
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from named_claims import Planted

import tiny_models
from assay.core import Runs, SpecError
from assay.core.measures import measures
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay_catalogue.experiments.utility import experiment
from assay_catalogue.experiments.utility.method import Utility, planted
from assay_catalogue.experiments.utility.probes import (
    BASELINES,
    METHODS,
    PARTS,
    Passages,
    features,
    grams,
    numbers,
    picked,
    plain,
    pooled,
    questions,
    sparse,
)
from assay_catalogue.experiments.utility.reading import Streams, answer, fine_tuned
from assay_catalogue.experiments.utility.texts import (
    TASKS,
    Concept,
    Function,
    answers,
    insecure,
    parts_of,
    shown,
    wordings,
    wrong_docstrings,
)
from assay_catalogue.features import kernel_probe as probe
from assay_catalogue.features.probing import auroc

SHIFT = {
    "docstring": {"features": 0.75, "random": 0.52, "coordinates": 0.58, "baseline": 0.6},
    "planted": {"features": 0.9, "random": 0.7, "coordinates": 0.7, "baseline": 0.82},
}
"""Test AUROC under shift in a world where every claim holds, by kind of concept and of method."""
OTHER = {"coordinates-all": 0.7, "fine-tuned": 0.6, "words": 0.8, "asked": 0.45}
LOSS = {"features": 0.02, "fine-tuned": 0.35}
"""How much more each has without it; those that are not named .2."""


@dataclass(frozen=True)
class World(Planted, of=experiment):
    """Planted truth: AUROC by arm, kind of concept and method."""

    shift: dict = field(default_factory=lambda: SHIFT)
    other: dict = field(default_factory=lambda: OTHER)
    loss: dict = field(default_factory=lambda: LOSS)
    arm: dict = field(
        default_factory=lambda: {
            "planted": {"features": 0.98},
            "untrained": {"features": 0.55},
            "frozen": {"features": 0.6},
            "shuffled": {},
        }
    )
    """What differs in an arm; of shuffled labels all that is not guessing."""

    def but(self, **changed) -> "World":
        """Return the world with some of its numbers replaced."""
        return replace(self, **{n: {**getattr(self, n), **v} for n, v in changed.items()})

    def levels(self, arm: str, kind: str, method: str) -> tuple[float, float]:
        """AUROC in both tests."""
        group = method.rpartition("-")[0]
        if arm == "shuffled":
            here = {"asked": self.other["asked"], **self.arm["shuffled"]}
            return 0.5, here.get(method, here.get(group, 0.5))
        here = {**self.shift[kind], **self.other, **self.arm.get(arm, {})}
        name = method if method in here else group
        return here.get(name, 0.6) + self.loss.get(name, 0.2), here.get(name, 0.6)

    def measures(self, arm: str):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        draw = np.random.default_rng(list(experiment.arms).index(arm))
        kinds = ["docstring"] * 8 + ["planted"] * 16
        level = np.array([[self.levels(arm, kind, m) for m in METHODS] for kind in kinds])
        auc = level + draw.normal(0, 0.02, (len(runs), *level.shape))
        tasks = [f"{kind}: {i}" for i, kind in enumerate(kinds)]
        coords = {"task": tasks, "probe": list(METHODS), "part": list(PARTS)}
        named = {"auroc": ("run task probe part", auc, "AUROC")}
        named["fvu"] = ("run", 0.2 + draw.normal(0, 0.01, len(runs)), "share")
        return measures(runs, coords=coords, **named)


WORLD = World()


def arm(name, **level):
    """The world where an arm has these levels."""
    return WORLD.but(arm={name: {**WORLD.arm.get(name, {}), **level}})


def kind(name, **level):
    """The world where methods have these levels at a kind of concept."""
    return WORLD.but(shift={name: {**SHIFT[name], **level}})


# claim → (a world without the effect, {control: a world in which it passes too})
CASES = {
    "Features tell": (
        kind("docstring", features=0.6),
        {
            "coordinates": kind("docstring", coordinates=0.75),
            "random": kind("docstring", random=0.75),
            "untrained": arm("untrained", features=0.75),
        },
    ),
    "Where something is planted, features": (
        kind("planted", features=0.8),
        {
            "coordinates": kind("planted", coordinates=0.92),
            "random": kind("planted", random=0.92),
            "untrained": arm("untrained", features=0.92),
        },
    ),
    "Sixteen features outlive": (
        WORLD.but(loss={"features": 0.25}),
        {
            "coordinates": WORLD.but(loss={"coordinates": 0.02, "coordinates-all": 0.2}),
            "random": WORLD.but(loss={"random": 0.02}),
            "shuffled": arm("shuffled", features=0.6),
        },
    ),
    "Fine-tuning does not": (
        WORLD.but(loss={"fine-tuned": 0.1}),
        {"coordinates": WORLD.but(loss={"coordinates": 0.35, "coordinates-all": 0.2})},
    ),
    "Where something is planted, words": (
        WORLD.but(other={"words": 0.65}),
        {
            "coordinates": kind("planted", coordinates=0.8),
            "shuffled": arm("shuffled", words=0.6),
        },
    ),
    "Labels beat": (
        WORLD.but(other={"asked": 0.8}),
        {"shuffled": WORLD.but(other={"asked": 0.2})},
    ),
    "That the decoder": (
        arm("frozen", features=0.8),
        {
            "coordinates": kind("docstring", coordinates=0.75),
            "random": kind("docstring", random=0.75),
            "untrained": arm("untrained", features=0.75),
        },
    ),
}

SOURCE = b'''
def add(a, b=1):
    """Add two numbers that are given."""
    total = a + b
    return total


class A:
    def take(self):
        """Take one number from another.

        Much more is said here.
        """
        return 1

    def bare(self):
        """This one does nothing at all."""
'''
ONE = Function("add", "def add(a, b=1):", "Add two.", "    return a + b\n")


def test_functions_are_shown_with_first_statements_and_once_for_each_docstring():
    known = set()
    add, take = shown(SOURCE, known)
    assert add.head == "def add(a, b=1):" and add.doc == "Add two numbers that are given."
    assert add.body == "    total = a + b\n    return total\n"
    assert (take.name, take.doc) == ("take", "Take one number from another.")
    assert not list(shown(SOURCE, known)) and not list(shown(b"def (", set()))


def test_pairs_of_functions_swap_docstrings_and_every_docstring_is_there_once():
    libraries = {
        n: [ONE._replace(name=f"{n}{i}", doc=f"{n} {i}.") for i in range(12)] for n in "ab"
    }
    first, second = wrong_docstrings(libraries, (4, 4, 4))
    for concept, inside, outside in ((first, "a", "b"), (second, "b", "a")):
        for i, (text, wrong) in enumerate(zip(concept.text, concept.yes, strict=True)):
            library = inside if i < 8 else outside
            doc = f"{library} {i ^ 1 if wrong else i}."
            assert text.endswith(f'{library}{i}.__doc__ = """{doc}"""\n')
        assert sum(concept.yes) == 6 and concept.part == (0,) * 4 + (1,) * 4 + (2,) * 4


def test_what_is_planted_is_of_another_list_and_another_library_under_shift():
    content = tomllib.loads(TASKS.read_text())
    libraries = {
        n: [ONE._replace(name=f"{n}{i}", head=f"def {n}{i}():") for i in range(40)] for n in "ab"
    }
    sizes = (8, 4, 8)
    made = [
        *insecure(content, libraries, "judged", sizes),
        *wordings(content, libraries, "judged", sizes),
    ]
    assert len(made) == 16
    for concept in made:
        task, name = concept.name.split(": ")
        known = content[task][name]
        for text, yes, part in zip(concept.text, concept.yes, concept.part, strict=True):
            assert ("def a" in text) == (part < 2)
            lines = known["shift" if part == 2 else "train"]
            if task == "insecure":
                mine = {pair[0 if yes else 1].partition("{v}")[0] for pair in lines}
                assert any(line in text for line in mine)
            else:
                assert any(line in text for line in lines) == yes
    assert answers(sizes)[:8] == (True, True, False, False) * 2 and parts_of(sizes)[-1] == 2


def test_no_planted_line_stands_in_both_lists():
    content = tomllib.loads(TASKS.read_text())
    kinds = [k for task in content.values() for k in task.values() if isinstance(k, dict)]
    assert len(kinds) == 23
    assert not [k for k in kinds if {*map(str, k["train"])} & {*map(str, k["shift"])}]


def passages(q=3, sizes=(48, 16, 24), d=6, seed=0):
    """Passages with streams [q, row, 4, d] whose last token says yes, and whose words do not."""
    label = np.tile(answers(sizes), (q, 1))
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(*label.shape, 4, d, generator=draw)
    x[:, :, -1, 0] += 3 * torch.from_numpy(label)
    tokens = np.random.default_rng(seed).integers(0, 50, (*label.shape, 9))
    names = tuple(f"concept {i}" for i in range(q))
    return Passages(names, tokens, label, np.tile(parts_of(sizes), (q, 1))), x


def test_a_seed_draws_what_is_trained_on_and_shuffles_no_test():
    some, _ = passages(sizes=(64, 16, 24))
    q, again, other = (questions(some, 32, seed) for seed in (3, 3, 4))
    assert q.train.shape == (3, 32) and q.validation.shape == (3, 32)
    assert [t.shape[1] for t in q.tests] == [16, 24] and (q.train == again.train).all()
    assert (q.train != other.train).any() and (q.told == q.label).all()
    shuffled = questions(some, 32, 3, True)
    assert (shuffled.label == q.label).all() and (shuffled.told[:, 64:] == q.label[:, 64:]).all()
    assert 0.3 < (shuffled.told == q.label)[:, :64].float().mean() < 0.7
    assert (shuffled.told.sum(1) == q.label.sum(1)).all()


def test_one_column_is_read_as_it_is_at_the_token_that_validation_prefers():
    some, x = passages()
    q = questions(some, 32, 0)
    reached = numbers(sparse(pooled(x), q, "coordinates"))
    last = x[:, :, -1, 0].numpy()
    for i in range(3):
        for j, rows in enumerate((q.validation, *q.tests)):
            at = rows[i].numpy()
            expected = auroc(last[i, at], some.label[i, at])
            assert reached["coordinates-1"][j, i] == pytest.approx(expected)
    assert (reached["coordinates-best"][0] >= reached["coordinates-all"][0]).all()
    words = numbers(plain(some, pooled(x), q))["words"]
    assert words[2].mean() < 0.75 < reached["coordinates-16"][2].mean()


def test_features_are_pooled_at_the_length_of_their_decoder_rows():
    _, x = passages(q=2, sizes=(4, 4, 4), d=5)
    own = torch.Generator().manual_seed(0)
    w, bias = torch.randn(1, 5, 9, generator=own), torch.randn(1, 5, generator=own)
    one = Dictionary(w, torch.zeros(1, 9), 2 * w.mT, bias, ReLU())
    read = features(x, one)
    f = torch.stack([one.encode(x[..., t, :].flatten(0, 1)) for t in range(4)])
    f = (f * one.W_dec[0].norm(dim=1)).unflatten(1, x.shape[:2])
    torch.testing.assert_close(read["last"], f[-1])
    torch.testing.assert_close(read["mean"], f.mean(0))


def test_bags_count_what_two_passages_share_and_nothing_behind_them():
    single, double = grams(np.array([[[1, 2, 3, -1], [2, 3, 3, -1], [4, 4, 4, 4]]]))
    assert single[0].tolist() == [[3, 2, 0], [2, 2, 0], [0, 0, 1]]
    # 1, 2, 3, (1, 2), (2, 3); 2, 3, (2, 3), (3, 3); 4, (4, 4)
    assert double[0].tolist() == [[5, 3, 0], [3, 4, 0], [0, 0, 2]]


def test_validation_chooses_and_of_equals_the_mean_counts():
    def reached(**methods):
        return {n: np.array(v)[:, None] for n, v in methods.items()}

    told = reached(means=(0.8, 0.7, 0.6), words=(0.8, 0.9, 0.8), other=(0.7, 1.0, 1.0))
    assert picked(told, BASELINES)[:, 0] == pytest.approx([0.8, 0.8, 0.7])
    assert picked(told, (*BASELINES, "other"), by=2)[2, 0] == 1.0


def test_a_planted_question_is_the_feature_that_is_on_in_half_of_each_part():
    part = np.tile(parts_of((4, 4, 4)), (2, 1))
    on = torch.zeros(2, 12, 3, dtype=torch.bool)
    on[:, :, 0] = True
    on[0, ::2, 1] = True
    on[1, ::2, 2] = True
    assert (planted(on, part) == (np.arange(12) % 2 == 0)).all()


def test_a_block_is_fine_tuned_on_what_the_next_head_can_read(tmp_path):
    model = load(str(tiny_models.make(tmp_path / "model", "llama")))
    some, _ = passages(q=2)
    d = model.width(Site("resid_pre", 1))
    x = torch.randn(2, some.label.shape[1], 4, d, generator=torch.Generator().manual_seed(0))
    x[..., -1, :2] += 2.0 * torch.from_numpy(some.label)[..., None]
    q = questions(some, 32, 0)

    class Data:
        def restore(self, x):
            return x

    shape = model.run(torch.zeros(1, 2, dtype=torch.long), capture=[Site("z", 1)], logits=False)
    heads = shape.acts[Site("z", 1)][0, 0].numel()
    read = Streams(x, torch.zeros(*x.shape[:2], heads), some.tokens)
    scores = fine_tuned(model, 1, read, Data(), q, 0)
    reached = probe.best(scores, q).tests
    assert reached.mean() > 0.8 and scores.shape[1:] == some.label.shape


def test_the_answer_is_that_of_the_whole_prompt(tmp_path):
    model = load(str(tiny_models.make(tmp_path / "model", "llama")))
    concept = Concept("a", "Is it?", ("x", "y"), (True, False), (2, 2))
    (scores,) = answer(model, [concept], [concept.text])
    assert scores.shape == (2,) and scores[0] != scores[1]


def test_sizes_are_four_multiples_of_four():
    with pytest.raises(SpecError, match="four multiples of 4"):
        Utility(sizes=(64, 32, 64))
