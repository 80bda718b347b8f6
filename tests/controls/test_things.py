"""Things and what stands in for them. Truth: contracts that hold for each, brute force, and sums
that can be done by hand."""

from collections import Counter
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.controls import vectors
from assay.controls.material import Dictionary, Patch, Span, Text, Training
from assay.controls.table import TABLE, Control
from assay.controls.things import (
    Draw,
    Edges,
    Heads,
    Latents,
    Neurons,
    Place,
    Subspace,
    Thing,
    Vector,
)
from assay.errors import AssayError, ClaimError, DataError

G = np.random.default_rng(0)
ACTS, LABELS = G.normal(size=(24, 6)) + 5, np.arange(24) % 3 == 0
ROWS = [
    {"text": f"{name} lives in the old [TAG] town of {place} now", "tag": "[TAG]", "in": place}
    for name, place in zip(("Ann", "Bob", "Cy", "Di", "Ed"), "PQRST", strict=True)
]


def medians(x, y):
    return 3 * (np.median(x, axis=0) - np.median(y, axis=0))


def train(examples, labels):
    return tuple(zip(examples, labels, strict=True))


THINGS = {
    "vector": Vector([1.0, 2, 3, 4, 5, 6], around=ACTS),
    "bare vector": Vector([1.0, 2, 3]),
    "learned": Vector.learned(ACTS, LABELS, elsewhere=[ACTS**2, ACTS**3]),
    "own way": Vector.learned(ACTS, LABELS, learn=medians),
    "tensor": Vector.learned(torch.tensor(ACTS), LABELS.tolist()),
    "subspace": Subspace(np.eye(6)[:2], ACTS),
    "heads": Heads([(2, 1), (0, 3)], of=(4, 6), like={"norm": G.exponential(size=(4, 6))}),
    "neurons": Neurons(np.array([3, 5]), of=9),
    "latents": Latents([7], of=200, like={"norm": G.exponential(size=200), "rate": G.random(200)}),
    "edges": Edges([("a", "b")], of=[["a", "b"], ["a", "c"], ["b", "c"]]),
    "place": Place(5, others=[2, 5, 8]),
    "site": Place("mlp", others=["attn"], what="site"),
    "patch": Patch("in"),
    "patch of others": Patch([1, 2, 3, 4, 5], others=[5, 6, 7]),
    "span": Span("tag"),
    "text": Text("answer in plain French", others=["one two", "a b c d e"], paraphrases=["Parle"]),
    "training": Training.of(train, "abcd", [0, 0, 1, 1], other=("xy", [5, 6])),
    "dictionary": Dictionary("sae", makers={"random": lambda k: f"random {k}", "mean": ["mean"]}),
}
every = pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)


def shown(x):
    """A value that can be compared."""
    return vectors.as_numpy(x).tolist() if hasattr(x, "dtype") else x


def draws(thing, count=0, named=(), rows=ROWS):
    found = {}
    for d in thing.draws(rows, count, named):
        found.setdefault(d.control.name, []).append(d)
    return found


def values(thing, name, count=0, rows=ROWS):
    return [d.value for d in draws(thing, count, [name], rows)[name]]


def code_of(make):
    with pytest.raises(AssayError) as caught:
        make()
    return caught.value.code


# ---- every thing ---------------------------------------------------------------------------------


@every
def test_what_stands_in_is_never_the_thing_itself(thing):
    own = shown(thing.bound(ROWS).value)
    for family in draws(thing, 7, ["random-heads", "random-neurons"]).values():
        assert all(shown(d.value) != own for d in family)


@every
def test_noise_has_twenty_draws_by_default(thing):
    for count in (0, 3):
        for family in draws(thing, count).values():
            if family[0].control.noise:
                usual = 2 if isinstance(thing, Training) else 20
                assert len(family) == (count or usual)


@every
def test_each_draw_depends_on_its_number_alone(thing):
    """The same again, and the first ones of more; whether others were made before or not."""
    few, many = draws(thing, 2), draws(thing, 5)
    for name, family in few.items():
        assert [shown(d.value) for d in family] == [shown(d.value) for d in many[name]][
            : len(family)
        ]
    last = {d.control.name: shown(d.value) for d in thing.draws(ROWS, 5)}
    assert last == {name: shown(family[-1].value) for name, family in many.items()}


@every
def test_controls_are_those_of_the_table(thing):
    row = {c.name: c for c in TABLE[thing.aspect]}
    made = draws(thing)
    assert all(d.control is row[name] for name, family in made.items() for d in family)
    usual = {name for name, c in row.items() if c.default}
    assert usual - {*made} == {*thing.bound(ROWS).missing()}
    assert {*made} <= usual | {*thing.makers}


@every
def test_things_and_draws_are_shown_on_one_line(thing):
    for x in (thing, thing.bound(ROWS), *islice(thing.draws(ROWS), 3)):
        assert repr(x).startswith(type(x).__name__) and "\n" not in repr(x) and len(repr(x)) < 250
        assert " at 0x" not in repr(x)


def test_defaults_are_not_shown():
    assert repr(Heads([(2, 1)], of=(4, 6))) == "Heads([(2, 1)], of=(4, 6))"
    assert repr(Vector(np.ones(3))) == "Vector(float64[3])"
    assert repr(Vector(torch.ones(3), around=ACTS)) == "Vector(float32[3], around=float64[24, 6])"
    assert repr(Text("a\n\nb")) == r"Text('a\n\nb')"
    assert repr(Dictionary(1, makers={"mean": train})) == "Dictionary(1, makers={'mean': train})"


@every
def test_a_thing_is_made_when_its_turn_comes(thing):
    first = next(iter(thing.draws(ROWS, 10**9)))
    assert isinstance(first, Draw)


def test_optional_controls_wait_to_be_named():
    heads = THINGS["heads"]
    assert {*draws(heads)} == {"heads"}
    assert {*draws(heads, named=["random-heads"])} == {"heads", "random-heads"}
    own = Latents([1], of=9, makers={"latents": [[5]]})
    assert [d.value for d in draws(own)["latents"]] == [[5]]
    assert {*draws(Vector([1.0, 0], makers={"tokens": [[2.0, 1]]}))} >= {"tokens"}


def test_an_unknown_maker_is_refused():
    thing = Vector([1.0, 2.0], makers={"rndom": [1]})
    assert code_of(lambda: [*thing.draws([])]) == "unknown-control"


def test_a_rival_is_made_once_by_a_function():
    thing = Dictionary(0, makers={"frozen": lambda k: k, "untrained": lambda k: k})
    assert values(thing, "frozen", 5) == [0] and values(thing, "untrained", 3) == [0, 1, 2]


def test_a_class_of_your_own_makes_its_own():
    mine = Control("mine", "something else has the effect")

    class Own(Thing):
        def draws(self, rows, count=0, named=()):
            yield Draw(mine, self.value + 1, "one more")

    @dataclass(frozen=True, eq=False, repr=False)
    class Removed(Thing):
        size: int = 1
        kind = "removal"

        def near(self, count):
            return {"damage": [self.size]}

    assert [(d.control, d.value) for d in Own(2).draws([])] == [(mine, 3)]
    assert Own(2).name == "thing" and Own(2).missing() == {} and Own(2).of_rows(3, [0]) == 3
    assert values(Removed(0, size=4), "damage") == [4] and Removed(0).missing() == {}
    assert code_of(lambda: [*Thing(1, makers={"x": [1]}).draws([])]) == "unknown-control"


# ---- vectors -------------------------------------------------------------------------------------

LEARNED = ["learned", "own way", "tensor"]


@pytest.mark.parametrize("name", [*LEARNED, "vector", "bare vector"])
def test_random_vectors_are_independent_and_as_long(name):
    """Against a fixed direction half of 200 lie on either side, and no two are opposite."""
    thing = THINGS[name]
    found = np.array([vectors.as_numpy(x) for x in values(thing, "random", 200)])
    own = vectors.as_numpy(thing.value)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(own), rtol=1e-5)
    np.testing.assert_allclose(found @ own, 0, atol=1e-3)
    sides = found @ vectors.aside(np.arange(1.0, len(own) + 1) ** 2, own) > 0
    assert 70 < sides.sum() < 130 and 30 < (sides[0::2] == sides[1::2]).sum() < 70
    assert len(np.unique(np.abs(found).round(6), axis=0)) == 200


@pytest.mark.parametrize("name", LEARNED)
def test_shuffled_labels_give_independent_vectors(name):
    found = np.array([vectors.as_numpy(x) for x in values(THINGS[name], "shuffled", 100)])
    assert len(np.unique(np.abs(found).round(6), axis=0)) == 100
    assert 25 < (found[:, 0] > 0).sum() < 75


def test_a_learned_vector_is_the_difference_of_means():
    true = ACTS[LABELS].mean(0) - ACTS[~LABELS].mean(0)
    np.testing.assert_allclose(THINGS["learned"].value, true)
    np.testing.assert_allclose(Vector.learned(ACTS.tolist(), LABELS).value, true)
    words = np.where(LABELS, "z", "a")
    np.testing.assert_allclose(Vector.learned(ACTS, words.tolist()).value, true)
    np.testing.assert_allclose(values(THINGS["learned"], "opposite"), [-true])
    got = [vectors.shuffled_difference(ACTS[LABELS], ACTS[~LABELS], 2 * k) for k in range(3)]
    np.testing.assert_allclose(values(THINGS["learned"], "shuffled", 3), got)


def test_random_vectors_fill_what_varies_within_labels():
    acts = ACTS * (np.arange(6) < 4)
    acts[LABELS, 5] = 9.0  # separates the labels, and varies within none
    found = np.array(values(Vector.learned(acts, LABELS), "random"))
    assert np.abs(found[:, :4]).max() > 1 and np.abs(found[:, 4]).max() < 1e-9


def test_shuffled_labels_are_learned_in_the_same_way():
    """Half of each label learned as the other, at the true vector's length."""
    thing, (x, y) = THINGS["own way"], (ACTS[LABELS], ACTS[~LABELS])
    for k, got in enumerate(values(thing, "shuffled", 3)):
        (a, b), (c, d) = vectors.swaps((len(x), len(y)), 2 * k)
        mixed = np.concatenate([x[b], y[c]]), np.concatenate([x[a], y[d]])
        expected = vectors.as_long_as(medians(*mixed), thing.value)
        np.testing.assert_allclose(got, expected)


def test_what_is_learned_elsewhere_is_at_right_angles():
    true = THINGS["learned"].value
    found = values(THINGS["learned"], "layer")
    for got, acts in zip(found, (ACTS**2, ACTS**3), strict=True):
        other = acts[LABELS].mean(0) - acts[~LABELS].mean(0)
        aside = other - (other @ true) / (true @ true) * true
        aside *= np.linalg.norm(true) / np.linalg.norm(aside)
        np.testing.assert_allclose(got, aside)


def test_numpy_and_torch_learn_and_draw_the_same():
    a = draws(THINGS["learned"])
    b = draws(Vector.learned(torch.tensor(ACTS), LABELS, elsewhere=[torch.tensor(ACTS**2)]))
    for name in ("random", "shuffled", "opposite"):
        for mine, other in zip(a[name], b[name], strict=True):
            assert torch.is_tensor(other.value)
            np.testing.assert_allclose(mine.value, other.value.numpy(), rtol=1e-5, atol=1e-7)


def test_a_given_vector_says_what_is_missing():
    assert {*THINGS["vector"].missing()} == {"shuffled", "layer"}
    assert {*Vector.learned(ACTS[:3], LABELS[:3]).missing()} == {"shuffled", "layer"}
    assert {*Vector.learned(ACTS[:4], LABELS[:4]).missing()} == {"layer"}
    assert THINGS["learned"].missing() == {}
    assert THINGS["vector"].name == "vector"


@pytest.mark.parametrize("value", [[0.0, 0.0], [np.nan], [np.inf, 1], np.eye(2), 3.0])
def test_a_vector_is_one_finite_vector(value):
    assert code_of(lambda: Vector(value)) == "no-vector"


def test_labels_are_two_and_one_for_each_row():
    assert code_of(lambda: Vector.learned(ACTS, np.arange(24) % 3)) == "two-labels"
    assert code_of(lambda: Vector.learned(ACTS, [1] * 24)) == "two-labels"
    assert code_of(lambda: Vector.learned(ACTS, LABELS[:-1])) == "wrong-length"
    elsewhere = [ACTS[:-1]]
    assert code_of(lambda: Vector.learned(ACTS, LABELS, elsewhere=elsewhere)) == "wrong-length"
    assert code_of(lambda: Vector.learned(ACTS, LABELS, elsewhere=[ACTS])) == "same-direction"


def test_another_subspace_is_orthonormal():
    for got in values(THINGS["subspace"], "random", 5):
        np.testing.assert_allclose(got @ got.T, np.eye(2), atol=1e-9)
        np.testing.assert_allclose(got[:, :2], 0, atol=1e-9)
    assert {*THINGS["subspace"].missing()} == {"shuffled"}


# ---- parts and places ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["heads", "neurons", "latents", "edges"])
def test_as_many_other_parts_stand_in(name):
    thing = THINGS[name]
    for got in values(thing, name, 5):
        assert len(got) == len({*got}) == len(thing.value)
        assert {*got} <= {*thing.pool} - {*thing.value}


def test_parts_are_as_large_as_the_pool_allows():
    norms = np.arange(1.0, 101.0)
    got = values(Latents([49], of=100, like={"norm": norms.reshape(10, 10)}), "latents")
    assert [abs(k - 49) for (k,) in got] == [1, 1, 2, 2]
    of = [f"n{k}" for k in range(100)]
    listed = Latents(["n49"], of=of, like={"norm": torch.tensor(norms)})
    assert [x for (x,) in values(listed, "latents")] == [f"n{k}" for (k,) in got]


def test_heads_of_the_same_block_come_first():
    got = values(Heads([(2, 1)], of=(4, 6)), "heads", 5)
    assert {layer for ((layer, _),) in got} == {2}
    assert {layer for ((layer, _),) in values(Neurons([(2, 1)], of=(4, 60)), "neurons", 30)} > {2}


def test_heads_may_have_names_instead_of_places():
    for of in (["a", "b", "c"], [("a", 0), ("b", 1), ("c", 2)]):
        assert values(Heads(of[:1], of), "heads") in ([of[1:2], of[2:]], [of[2:], of[1:2]])


@pytest.mark.parametrize(("pool", "tried"), [(13, 12), (14, 4), (3, 2)])
def test_a_small_pool_is_tried_whole(pool, tried):
    assert len(values(Latents([0], of=pool), "latents")) == tried
    assert len(values(Latents([0], of=pool), "latents", 1)) == 1
    assert len(values(Latents([0], of=pool), "latents", 99)) == pool - 1


def test_parts_are_named_by_number():
    assert THINGS["heads"].name == "heads 2.1 + 0.3"
    assert Heads([[2, np.int64(1)]], of=(4, 6)).name == "head 2.1"
    assert Edges([("a", ("b", 1))], of=[("a", "b"), ("a", ("b", 1))]).name == "edge a.('b', 1)"
    assert Latents(range(15), of=40).name.endswith(" + 11 + 3 more")
    assert Latents(range(12), of=40).name.endswith(" + 10 + 11")
    assert [d.name for d in draws(Latents([0], of=3))["latents"]] in (
        ["latent 1", "latent 2"],
        ["latent 2", "latent 1"],
    )


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: Heads([], of=(2, 2)), "no-parts"),
        (lambda: Heads([(2, 0)], of=(2, 2)), "unknown-part"),
        (lambda: Latents([0, 1], of=3), "no-others"),
        (lambda: Latents([0], of=3, like={"norm": [1.0, 2.0]}), "no-size"),
        (lambda: Latents([0], of=3, like={"norm": [1.0, 2.0, -1.0]}), "no-size"),
        (lambda: Latents([0], of=3, like={"norm": [1.0, 2.0, np.nan]}), "no-size"),
        (lambda: Latents([0], of=3, like={"norm": [1.0, 2.0, np.inf]}), "no-size"),
        (lambda: Place(3, others=[3]), "no-others"),
        (lambda: Place(3, others=[]), "no-others"),
    ],
)
def test_parts_and_places_without_others_are_refused(make, code):
    assert code_of(make) == code


def test_parts_of_size_0_will_do():
    assert len(values(Latents([0, 1], of=4, like={"rate": [0.0, 0, 1, 0]}), "latents")) == 1


def test_a_place_is_tried_at_each_other():
    assert [d.name for d in draws(THINGS["place"])["layer"]] == ["layer 2", "layer 8"]
    assert values(THINGS["site"], "site") == ["attn"] and THINGS["site"].name == "site mlp"
    assert values(Place("last", ["first"], "token"), "token") == ["first"]


# ---- patches and spans ---------------------------------------------------------------------------


def test_a_patch_is_a_column_or_a_list():
    assert Patch("in").bound(ROWS).value == [*"PQRST"] == Patch([*"PQRST"]).bound(ROWS).value
    assert Patch("in").bound(ROWS).bound(ROWS).value == [*"PQRST"]
    assert Patch("in").bound(ROWS).of_rows([*"PQRST"], [3, 1]) == ["S", "Q"]


@pytest.mark.parametrize("own", [[*"PQRST"], [*"PPPQR"], [np.eye(2) * k for k in (1, 1, 2, 3, 1)]])
def test_a_prompt_gets_what_another_prompt_has(own):
    """Each other one is as likely: 150 draws of each prompt."""
    found = [[shown(x) for x in v] for v in values(Patch(own), "unrelated", 150)]
    own = [shown(x) for x in own]
    for i, x in enumerate(own):
        times = Counter(str(v[i]) for v in found)
        expected = Counter(str(y) for y in own if y != x)
        total = sum(expected.values())
        assert {*times} == {*expected}
        for y, n in expected.items():
            assert abs(times[y] - 150 * n / total) < 4 * 6.2


def test_unrelated_parts_may_be_given():
    thing = Patch([1, 2, 3, 4, 5], others=[5, 6, 7])
    found = values(thing, "unrelated", 100)
    assert {x for v in found for x in v[:4]} == {5, 6, 7} and {v[4] for v in found} == {6, 7}
    assert len({tuple(v) for v in found}) > 50


def test_tensors_are_told_apart_by_their_numbers():
    same, other = torch.zeros(500), torch.zeros(500)
    other[250] = 1e-9
    found = values(Patch([same, same.clone(), other]), "unrelated", 9, ROWS[:3])
    assert all(v[0] is other and v[1] is other and v[2] is not other for v in found)
    assert Patch([np.zeros(4), np.zeros((2, 2))]).missing() == {}


def test_one_and_the_same_patch_needs_others():
    assert {*Patch(["x"] * 5).missing()} == {"unrelated"} == {*Patch([1, 1], others=[1]).missing()}
    assert draws(Patch(["x"] * 5)) == {}


@pytest.mark.parametrize("thing", [Patch("out"), Span("out"), Span("tag", of="out")])
def test_a_column_that_is_not_there_is_refused(thing):
    assert code_of(lambda: thing.bound(ROWS)) == "unknown-column"
    assert code_of(lambda: Patch("t").bound(["text"])) == "unknown-column"
    with pytest.raises(DataError) as caught:
        Patch("in").bound([*ROWS[:2], {}])
    assert caught.value.at == "prompt 3"


def test_lists_have_a_part_for_each_prompt():
    assert code_of(lambda: Patch([1]).bound(ROWS)) == "wrong-length"
    assert code_of(lambda: Span(["[TAG]"]).bound(ROWS)) == "wrong-length"


BLANKS = st.lists(st.sampled_from([" ", "  ", "\n"]), min_size=1, max_size=5)


@settings(max_examples=40)
@given(BLANKS, st.integers(1, 3), st.data())
def test_as_many_words_elsewhere_are_deleted(blanks, n, data):
    """What is left is the text without these words, and the blanks after those that are left, but
    for the last."""
    at = data.draw(st.integers(0, len(blanks)))
    words = [f"{k}{blank}" for k, blank in enumerate(blanks)]
    words[at:at] = tags = [f"T{k} " for k in range(n)]
    ways = ["".join(words[:s] + words[s + n :]) for s in range(len(words) - n + 1)]
    ways[-1] = ways[-1].rstrip()
    text, span = "".join(words), "".join(tags)
    thing = Span([span]).bound([text])
    assert thing.value == [ways[at]]
    others = {x for s, x in enumerate(ways) if abs(s - at) >= n}
    if others:
        assert {x for (x,) in values(thing, "span", 60, [text])} == others
    else:
        assert code_of(lambda: values(thing, "span", 1, [text])) == "no-room"


def test_a_span_elsewhere_is_anywhere():
    """Nine words are no tag: each is deleted in a ninth of 300 draws."""
    found = values(Span("tag"), "span", 300)
    times = Counter(v[0] for v in found)
    assert len(times) == 9 and min(times.values()) > 15
    assert all("[TAG]" in x for v in found for x in v)
    assert len({v[0] == v[1].replace("Bob", "Ann") for v in found}) == 2  # prompts differ


def test_texts_may_be_the_prompts_or_a_list():
    texts = [row["text"] for row in ROWS]
    for thing, rows in ((Span("tag"), ROWS), (Span(["[TAG]"] * 5), texts)):
        assert thing.bound(rows).value == [t.replace("[TAG] ", "") for t in texts]
    bound = Span(["[TAG]"] * 5, of=texts).bound(ROWS)
    assert bound.value == [t.replace("[TAG] ", "") for t in texts] and bound.bound(ROWS) is bound
    assert "cuts" not in repr(bound)
    assert bound.of_rows(bound.value, [4]) == [bound.value[4]]


@pytest.mark.parametrize("span", ["", "TAG", "o o", "now now", "old town"])
def test_a_span_is_in_its_text_once(span):
    with pytest.raises(DataError) as caught:
        Span(["now", span]).bound(["x now", "o o o now [TAG] old"])
    assert (caught.value.code, caught.value.at) == ("no-span", "prompt 2")


# ---- texts and trainings -------------------------------------------------------------------------


def test_a_text_has_its_words_in_another_order():
    found = values(THINGS["text"], "words")
    assert len(found) == 4 and len(values(THINGS["text"], "words", 9)) == 9
    assert all(sorted(x.split()) == ["French", "answer", "in", "plain"] for x in found)


def test_other_texts_are_as_long():
    assert values(THINGS["text"], "length") == ["one two one two", "a b c d"]
    assert values(THINGS["text"], "paraphrase") == ["Parle"]
    assert {*Text("one").missing()} == {"words", "length", "paraphrase"}
    assert {*Text("one two", paraphrases=["x"]).missing()} == {"length"}


def test_shuffled_labels_are_the_same_ones_elsewhere():
    thing = THINGS["training"]
    assert thing.value == train("abcd", [0, 0, 1, 1])
    for got in values(thing, "shuffled", 30):
        assert [x for x, _ in got] == [*"abcd"] and sorted(y for _, y in got) == [0, 0, 1, 1]
    assert len({*values(thing, "shuffled", 30)}) > 3
    assert len(values(thing, "shuffled")) == 2


def test_something_else_is_trained_on_as_much():
    assert values(THINGS["training"], "other-text") == [train("xyxy", [5, 6, 5, 6])]
    assert values(THINGS["training"], "other-text") == values(THINGS["training"], "other-text", 7)


def test_nothing_is_trained_before_its_turn():
    trained = []
    thing = Training.of(lambda x, y: trained.append([*y]), "ab", [0, 1], other=("xy", [5, 6]))
    made = thing.draws([])
    assert trained == [[0, 1]]
    next(made)
    assert trained == [[0, 1], [1, 0]]


def test_a_training_that_cannot_be_repeated_says_so():
    assert {*Training("adapter").missing()} == {"shuffled", "other-text"}
    assert {*Training.of(train, "ab", [1, 1]).missing()} == {"shuffled", "other-text"}
    assert {*Training.of(train, "ab", [1, 0]).missing()} == {"other-text"}


@pytest.mark.parametrize(("x", "y"), [("ab", [1]), ("", [])])
def test_examples_have_labels(x, y):
    assert code_of(lambda: Training.of(train, x, y)) == "wrong-length"
    assert code_of(lambda: Training.of(train, "ab", [0, 1], other=(x, y))) == "wrong-length"


def test_a_dictionary_has_what_its_maker_gives():
    found = draws(THINGS["dictionary"])
    assert [d.value for d in found["random"]] == [f"random {k}" for k in range(20)]
    assert [d.value for d in found["mean"]] == ["mean"]
    assert {*THINGS["dictionary"].missing()} == {"frozen", "untrained"}
    with pytest.raises(ClaimError):
        [*Dictionary(0, makers={"heads": [1]}).draws([])]
