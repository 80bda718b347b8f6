"""Templates of short texts in pairs, one with a property and one without: words and numbers drawn,
filled in, and set among other lines.

Names are made up, secrets are random letters, and instructions to a reading model are harmless.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

Pair = tuple[str, str]
"""A text with the property, and one like it without."""


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


NAMES = words("""
account address amount archive article balance basket billing bucket budget cache canvas carrier catalog channel city client column command
comment contract counter country coupon customer delivery device document driver employee engine entry event factory folder garden height
histogram hotel image index invoice item journal ledger length letter library ladder limit manager matrix member message meter minute model
month network number office option order packet page panel parcel partner patient payment pixel planet player pointer policy portal price
printer product profile project province purchase quantity query queue rating record region report request result river room route salary
sample scanner score screen section sensor service session shelf signal size slot source station student summary supplier surface table
target tax temperature ticket timer title total traffic transfer tree username value vector vehicle version volume wallet weather week
weight width window worker year
""")  # noqa: E501
CALLS = words("""
apply build check clean close compare convert count create delete export fetch filter find handle load measure merge move notify open parse
plot print process publish read remove render repair resize save scale scan search send sort split start stop store submit sync test track
train update upload validate verify write
""")  # noqa: E501
ERRORS = words(
    """ValueError KeyError IndexError TypeError OSError RuntimeError AttributeError LookupError TimeoutError EOFError"""  # noqa: E501
)
FIRST = words(
    """Maria Peter Anna Jonas Laura Felix Nina Oscar Clara Simon Julia Victor Helen Martin Sofia Daniel Emma Robert Alice Thomas"""  # noqa: E501
)
LAST = words(
    """Keller Brown Novak Rossi Meyer Silva Larsen Moreau Weber Costa Fischer Lopez Jensen Martin Dubois Schmidt Young Carter"""  # noqa: E501
)
BROKEN = words(
    """broke failed leaked cracked vanished stalled melted jammed tore collapsed rusted crashed"""
)
WORKED = words(
    """arrived worked improved helped lasted matched impressed shone paid settled cooled returned"""
)
GROUPS = words(
    """women men foreigners immigrants pensioners mothers teenagers widows fathers refugees natives bachelors"""  # noqa: E501
)
ROLES = words(
    """members staff visitors subscribers owners guests drivers tenants winners students volunteers sponsors"""  # noqa: E501
)
CODE_ASIDES = (
    "# {a} {b}",
    "pass",
    '"""About the {a}."""',
    "# see {a} {n}",
    "assert True",
    "# done",
)
PROSE_ASIDES = (
    "See the {a}.",
    "This is about the {a}.",
    "There are {n} notes.",
    "Thank you.",
    "More on sheet {n}.",
    "Well.",
)


@dataclass(frozen=True)
class Draw:
    """Words and numbers drawn for one template; each part of the split has its own quarter of every
    long list of words."""

    of: np.random.Generator
    part: str = "shifted"

    def one(self, words: Sequence[str]) -> str:
        """One of the words."""
        part_words = _restrict_words(words, self.part)
        return part_words[int(self.of.integers(len(part_words)))]

    def names(self, count: int) -> list[str]:
        """Different names of things."""
        chosen: list[str] = []
        while len(chosen) < count:
            chosen += [name for name in [self.one(NAMES)] if name not in chosen]
        return chosen

    def call(self) -> str:
        """The name of a function."""
        return self.one(CALLS)

    def number(self, low: int, high: int) -> int:
        """A whole number from low to high."""
        return int(self.of.integers(low, high + 1))

    def secret(self, length: int = 10) -> str:
        """Random letters and digits."""
        return "".join(
            self.one("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789")
            for _ in range(length)
        )


@cache
def _restrict_words(words: Sequence[str], part: str) -> Sequence[str]:
    """The quarters of a long list that are a part's own."""
    quarter = {"train": (0, 1), "validation": (2,), "test": (3,)}.get(part)
    return (
        tuple(w for i, w in enumerate(words) if i % 4 in quarter)
        if quarter and len(words) >= 12
        else tuple(words)
    )


Family = Callable[[Draw], Pair | None]
"""Makes one pair, or None where the words that were drawn do not give one."""


def parses(text: str) -> bool:
    """Whether Python's parser takes the text."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def filled(d: Draw) -> dict[str, str | int]:
    """Words by the letter that stands for them: a b c d names, f g calls, n a small number, m a
    larger one, E an exception, s a secret, F L a person's name, who a group of people, role those
    who have a role."""
    a, b, c, e = d.names(4)
    return {
        "a": a,
        "b": b,
        "c": c,
        "d": e,
        "f": d.call(),
        "g": d.call(),
        "n": d.number(2, 40),
        "m": d.number(100, 999),
        "E": d.one(ERRORS),
        "s": d.secret(),
        "F": d.one(FIRST),
        "L": d.one(LAST),
        "bad": d.one(BROKEN),
        "good": d.one(WORKED),
        "who": d.one(GROUPS),
        "role": d.one(ROLES),
    }


def among(both: Pair, d: Draw, prose: bool) -> Pair:
    """Two texts as they are, or both behind or before the same line or sentence that has nothing to
    do with them, each in a third of cases."""
    place, asides, gap = (
        d.number(0, 2),
        PROSE_ASIDES if prose else CODE_ASIDES,
        " " if prose else "\n",
    )
    a, b = d.names(2)
    aside = asides[d.number(0, len(asides) - 1)].format(a=a, b=b, n=d.number(2, 40))
    yes, no = ((text, aside + gap + text, text + gap + aside)[place] for text in both)
    return yes, no


def pair(yes: str, no: str) -> Callable[[Draw], Pair]:
    """Two templates over the same words, whose letters `filled` knows."""

    def make(d: Draw) -> Pair:
        known = filled(d)
        return yes.format(**known), no.format(**known)

    return make


def pairs(*both: Pair) -> tuple[Family, ...]:
    """A family for every two templates."""
    return tuple(pair(yes, no) for yes, no in both)


def either(yes: Sequence[str], no: Sequence[str]) -> tuple[Family, ...]:
    """A family for every combination of a template with the property and one without."""
    return tuple(pair(y, n) for y in yes for n in no)


STATEMENTS = (
    "{a} = {f}({b}[{n}], {c})",
    "if {f}({b}) > {n}: {c} = [{d}]",
    "return {f}({b}, [{c}, {d}])",
    "for {a} in {f}({b}): {c}.append(({a}, {n}))",
)


def removed(template: str) -> Family:
    """A bracket or colon is lost, or a letter of a name."""

    def make(d: Draw) -> Pair | None:
        texts = [pair(template, template)(d)[0] for _ in range(2)]
        marks = [i for i, c in enumerate(texts[0]) if c in "()[]:"]
        letters = [i for i, c in enumerate(texts[1]) if c.isalpha()]
        cut = [
            t[:i] + t[i + 1 :]
            for t, positions in zip(texts, (marks, letters), strict=True)
            for i in [positions[d.number(0, len(positions) - 1)]]
        ]
        return (cut[0], cut[1]) if not parses(cut[0]) and parses(cut[1]) else None

    return make


def misspelt(template: str, word: str) -> Family:
    """Two letters change places, in a keyword or in a name."""

    def swapped(text: str, position: int) -> str:
        return text[:position] + text[position + 1] + text[position] + text[position + 2 :]

    def make(d: Draw) -> Pair | None:
        (yes, _), (no, _) = pair(template, template)(d), pair(template, template)(d)
        starts = [i for i in range(len(no) - 1) if no[i : i + 2].isalpha() and no[i] != no[i + 1]]
        yes, no = swapped(yes, yes.index(word)), swapped(no, starts[d.number(0, len(starts) - 1)])
        return (yes, no) if not parses(yes) and parses(no) else None

    return make


CALLERS, SINKS = (
    ("eval", "exec", "os.system", "subprocess.getoutput"),
    ("yaml.load", "marshal.loads", "os.popen"),
)
INPUTS = ('input("{a}")', 'request.args["{a}"]', 'request.form["{a}"]', "sys.argv[{n}]")
SAFE = ("int", "len", "str.strip", "html.escape")


def called(callers: Sequence[str], twins: Sequence[str]) -> tuple[Family, ...]:
    """A call that runs what a user typed; the same call on a literal, or a harmless call on what
    the user typed."""
    families = []
    for i, caller in enumerate(callers):
        source = INPUTS[i % len(INPUTS)]
        families.append(pair(f"{{b}} = {caller}({source})", f'{{b}} = {caller}("{{a}} + {{n}}")'))
        families.append(
            pair(f"{{b}} = {caller}({source})", f"{{b}} = {twins[i % len(twins)]}({source})")
        )
    return tuple(families)


def summed(low: int, high: int, form: str, sign: int = 1) -> Family:
    """A sum or a difference that is off by 1 to 9, and one that is right."""

    def make(d: Draw) -> Pair:
        def write_sum(off: int) -> str:
            b, a = sorted((d.number(low, high), d.number(low, high)))
            return form.format(a=a, b=b, c=a + sign * b + off)

        return write_sum(d.number(1, 9) * (1 if d.number(0, 1) else -1)), write_sum(0)

    return make


def ordered(form: str, low: int = 2, high: int = 30) -> Family:
    """Two numbers x and y of which the second is smaller, and two of which it is larger."""

    def make(d: Draw) -> Pair:
        def write_order(turned: bool) -> str:
            x, y = sorted(
                d.of.choice(np.arange(low, high), 2, replace=False).tolist(), reverse=turned
            )
            return form.format(**filled(d), x=x, y=y)

        return write_order(True), write_order(False)

    return make


def documented(words: Mapping[str, str]) -> tuple[Family, ...]:
    """A function whose docstring says what another one does, or what it does itself."""
    head = 'def {f}({a}, {b}):\n    """Return the '
    items = list(words.items())
    return tuple(
        pair(
            head + phrase + '."""\n    return ' + items[(i + 1 + j) % len(items)][1],
            head + phrase + '."""\n    return ' + expression,
        )
        for i, (phrase, expression) in enumerate(items)
        for j in range(len(items) - 1)
    )
