"""Tasks of a language model as pairs of prompts that differ in one word, and with it in which of
two continuations is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from assay.subjects.pretrained import Pretrained
from assay.train import rng

CAPITALS = (
    "France Paris,Italy Rome,Spain Madrid,Germany Berlin,Poland Warsaw,Greece Athens,"
    "Portugal Lisbon,Austria Vienna,Sweden Stockholm,Norway Oslo,Finland Helsinki,Ireland Dublin,"
    "Belgium Brussels,Russia Moscow,Japan Tokyo,China Beijing,Egypt Cairo,Kenya Nairobi,Peru Lima,"
    "Cuba Havana,Iran Tehran,Iraq Baghdad,Turkey Ankara,Canada Ottawa,Hungary Budapest,"
    "Denmark Copenhagen,Ukraine Kiev,Syria Damascus,Lebanon Beirut,Thailand Bangkok"
)
PAST = (
    "go went,see saw,take took,give gave,come came,eat ate,drink drank,write wrote,run ran,"
    "sing sang,fly flew,grow grew,know knew,throw threw,break broke,speak spoke,choose chose,"
    "drive drove,find found,stand stood,tell told,sell sold,bring brought,think thought,buy bought,"
    "catch caught,teach taught,fight fought,feel felt,leave left,sleep slept,win won"
)
OPPOSITES = (
    "hot cold,big small,up down,good bad,left right,old new,rich poor,fast slow,high low,"
    "open closed,day night,black white,early late,hard soft,full empty,light dark,long short,"
    "love hate,strong weak,wet dry,true false,inside outside,before after,first last,happy sad,"
    "male female,north south,east west,war peace,life death"
)
NOUNS = (
    "key author boy farmer teacher dog doctor painter car student singer driver king cat friend "
    "lawyer tree book bird nurse girl writer judge pilot guard sailor soldier tiger lion cook"
)
PLACES = "cabinet letter table river door fence window wall bridge house garden truck"
HE = "John Michael David James Robert William Thomas Peter Paul George Henry Jack Frank Adam"
SHE = "Mary Sarah Anna Emma Alice Laura Linda Susan Karen Lisa Helen Nancy Jane Julia"
VERBS = "said thought believed knew hoped wrote felt argued"
WORDS = (
    "carpet silver saddle basket hammer candle window mirror forest horse farmer winter table "
    "rocket desert bridge planet spider tower lemon temple river garden market button orange "
    "summer engine island castle"
)
ORDERS = tuple(
    text.split()
    for text in (
        "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
        "January February March April May June July August September October November December",
        "one two three four five six seven eight nine ten eleven twelve",
        "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z",
    )
)
NAMES = "a b c x y z i j k n m data value item key"


class Pair(NamedTuple):
    """Two prompts, and what goes on behind each; of the other it is wrong."""

    prompts: tuple[str, str]
    answers: tuple[str, str]


Draw = Callable[[np.random.Generator], Pair]


def _two(items: str, g: np.random.Generator) -> tuple[list[str], list[str]]:
    pairs = [item.split() for item in items.split(",")]
    i, j = g.permutation(len(pairs))[:2]
    return pairs[i], pairs[j]


def _of(items: str, text: str) -> Draw:
    """Draw two of these pairs of words: the first is asked in a text, the second its answer."""

    def draw(g: np.random.Generator) -> Pair:
        (a, x), (b, y) = _two(items, g)
        return Pair((text.format(a), text.format(b)), (f" {x}", f" {y}"))

    return draw


def agreement(g: np.random.Generator) -> Pair:
    """The verb agrees with a noun before another one."""
    noun, place = g.choice(NOUNS.split()), g.choice(PLACES.split())
    ending = g.choice(["", "s"])
    texts = (f"The {n} near the {place}{ending}" for n in (noun, f"{noun}s"))
    return Pair(tuple(texts), (" is", " are"))  # type: ignore[arg-type]


def pronouns(g: np.random.Generator) -> Pair:
    """A name says which pronoun follows."""
    verb = g.choice(VERBS.split())
    he, she = g.choice(HE.split()), g.choice(SHE.split())
    return Pair((f"{he} {verb} that", f"{she} {verb} that"), (" he", " she"))


def induction(g: np.random.Generator) -> Pair:
    """A list of words begins again."""
    words = [str(w) for w in g.permutation(WORDS.split())[:9]]
    other = words.pop()
    at = int(g.integers(3, 7))
    lists = (words, [*words[:at], other, *words[at + 1 :]])
    texts = tuple(" ".join([*some, *words[:at]]) for some in lists)
    return Pair(texts, (f" {words[at]}", f" {other}"))  # type: ignore[arg-type]


def sequence(g: np.random.Generator) -> Pair:
    """Days, months, numbers or letters go on in their order."""
    order = ORDERS[int(g.integers(len(ORDERS)))]
    i, j = g.permutation(len(order) - 3)[:2]
    texts = tuple(f"{', '.join(order[n : n + 3])}," for n in (i, j))
    return Pair(texts, (f" {order[i + 3]}", f" {order[j + 3]}"))  # type: ignore[arg-type]


def brackets(g: np.random.Generator) -> Pair:
    """The bracket that was opened is closed."""
    a, b, c = (str(n) for n in g.permutation(NAMES.split())[:3])
    return Pair((f"{a} = ({b}, {c}", f"{a} = [{b}, {c}"), (")", "]"))


TASKS: Mapping[str, Draw] = {
    "capitals": _of(CAPITALS, "The capital of {} is the city of"),
    "past tense": _of(PAST, "Today they {}, and yesterday they"),
    "opposites": _of(OPPOSITES, "The opposite of {} is"),
    "agreement": agreement,
    "pronouns": pronouns,
    "induction": induction,
    "sequence": sequence,
    "brackets": brackets,
}


class Prompts(NamedTuple):
    """Pairs of one task as tokens: row i of the first half pairs with row i of the second."""

    tokens: np.ndarray
    """[2 pairs, s], filled up behind with 0: nothing reads what comes later."""
    last: np.ndarray
    """[2 pairs]: where each prompt ends."""
    right: np.ndarray
    """[2 pairs]: the first token of the right continuation."""
    wrong: np.ndarray
    """[2 pairs]: that of the other."""


def prompts(model: Pretrained, task: str, seed: int, count: int) -> Prompts:
    """Draw so many pairs of a task, no two alike, of prompts of equal length whose continuations
    begin with different tokens."""
    rows: dict[tuple[tuple[int, ...], tuple[int, ...]], tuple[int, int]] = {}
    for pair in _drawn(task, seed):
        a, b = (tuple(model.prompt(text)[0].tolist()) for text in pair.prompts)
        x, y = (model.encode(answer)[0] for answer in pair.answers)
        if len(a) == len(b) and x != y and (b, a) not in rows:
            rows[a, b] = x, y
        if len(rows) == count:
            break
    ordered = [row for half in zip(*rows, strict=True) for row in half]
    tokens = np.zeros((2 * count, max(map(len, ordered))), np.int64)
    for i, row in enumerate(ordered):
        tokens[i, : len(row)] = row
    right = np.array([*rows.values()]).T.ravel()
    last = np.array([len(row) - 1 for row in ordered])
    return Prompts(tokens, last, right, np.roll(right, count))


def _drawn(task: str, seed: int) -> Iterator[Pair]:
    g = rng.generator(seed, f"interpretable-capability.{task}")
    for _ in range(20_000):
        yield TASKS[task](g)
