"""Specs: canonical values, a JSON round trip, and keys that never move."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, MultipleOf

from acceptance.test_spec import Inner, Toy
from assay.core.errors import SpecError
from assay.core.spec import (
    PerRun,
    Spec,
    added,
    changed,
    grid,
    key,
    per_run_fields,
    ranges,
    removed,
    reserved,
    static_fields,
    variant,
    with_values,
)


@dataclass(frozen=True, kw_only=True)
class Doubled(Toy):
    """Makes one of its fields itself, as a user's own may."""

    def __post_init__(self):
        object.__setattr__(self, "width", 2 * self.width)
        super().__post_init__()

    def check(self):
        if self.width > 40:
            raise SpecError("too wide")


def test_a_replaced_field_is_as_if_the_spec_had_been_made_with_it():
    toy = Toy(lr=0.2, width=6, sites=("x",), inner=Inner(depth=3))
    again = toy.replace(lr=1, sites=["a", "b"], width=np.int64(7))
    assert again == Toy(lr=1.0, width=7, sites=("a", "b"), inner=Inner(depth=3))
    assert toy.width == 6
    assert again.to_json() == Toy(
        lr=1.0, width=7, sites=("a", "b"), inner=Inner(depth=3)
    ).to_json() and hash(again) == hash(again.replace(on=True))
    with pytest.raises(SpecError, match="lr must be a number"):
        toy.replace(lr="fast")
    assert Doubled(width=5).replace(on=False).width == 20
    with pytest.raises(SpecError, match="too wide"):
        Doubled(width=15).replace(on=False)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"lr": float("nan")}, "finite"),
        ({"width": 5.5}, "must be a whole number"),
        ({"width": True}, "must be a whole number"),
        ({"kind": "c"}, "one of 'a', 'b'"),
        ({"lr": "fast"}, "must be a number"),
        ({"sites": "x"}, "must be a list"),
        ({"inner": 3}, "must be a table of seed, depth or None, got 3"),
        ({"inner": {"depth": 0.5}}, "Toy.inner.depth must be a whole number"),
        ({"inner": {"deph": 1}}, "Inner has no field deph; did you mean depth"),
    ],
)
def test_impossible_values_are_refused(change, words):
    with pytest.raises(SpecError, match=words):
        Toy(**change)


@dataclass(frozen=True, kw_only=True)
class Bounded(Spec):
    steps: Annotated[int, Ge(1)] = 5
    lr: PerRun[Annotated[float, Gt(0)]] = 0.1
    density: PerRun[Annotated[float, Gt(0), Le(1)]] = 0.5
    share: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    context: Annotated[int, Ge(3)] | None = None
    levels: tuple[Annotated[float, Gt(0)], ...] = ()
    weight: Annotated[float, Ge(0), Le(1)] = 0.0
    chains: Annotated[int, Ge(2), "as errors are taken over chains"] = 8


@pytest.mark.parametrize(
    "change, words",
    [
        ({"steps": 0}, "Bounded.steps must be at least 1, got 0"),
        ({"lr": 0.0}, "Bounded.lr must be positive, got 0"),
        ({"density": 1.0000001}, "Bounded.density must be above 0 and at most 1, got 1.0000001"),
        ({"share": 1}, "Bounded.share must be at least 0 and below 1, got 1"),
        ({"weight": 1.5}, "Bounded.weight must be from 0 to 1, got 1.5"),
        ({"context": 2}, "Bounded.context must be at least 3, got 2"),
        ({"levels": (0.5, 0)}, "each of Bounded.levels must be positive, got 0"),
        (
            {"chains": 1},
            "Bounded.chains must be at least 2, as errors are taken over chains, got 1",
        ),
        ({"steps": 0.5}, "Bounded.steps must be a whole number, got 0.5"),
    ],
)
def test_a_value_outside_the_bounds_of_its_annotation_is_refused_however_it_is_set(change, words):
    for build in (lambda: Bounded(**change), lambda: Bounded().replace(**change)):
        with pytest.raises(SpecError) as error:
            build()
        assert str(error.value) == words
    texts = {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in change.items()
    }
    if "a whole number, got" not in words:
        with pytest.raises(SpecError) as error:
            with_values(Bounded(), texts)
        assert str(error.value) == words


def test_bounds_let_their_ends_pass_and_are_no_part_of_a_key():
    inside = Bounded(steps=1, density=1, share=0, context=3, levels=[0.5], chains=2)
    assert Bounded.from_json(inside.to_json()) == inside
    assert with_values(inside, {"context": "none"}).context is None
    assert per_run_fields(Bounded) == ("seed", "lr", "density")
    text = '{"_":"Bounded","chains":8,"context":null,"density":0.5,"levels":[],"lr":0.1,"seed":0,"share":0.0,"steps":5,"weight":0.0}'  # noqa: E501
    assert Bounded().to_json() == text


def test_the_range_of_each_field_is_told_in_words():
    told = {
        "steps": "at least 1",
        "lr": "positive",
        "density": "above 0 and at most 1",
        "share": "at least 0 and below 1",
    }
    told |= {
        "context": "at least 3",
        "levels": "each positive",
        "weight": "from 0 to 1",
        "chains": "at least 2",
    }
    assert ranges(Bounded) == {"seed": "", **told}


def test_a_mark_that_is_not_checked_is_refused_and_not_passed_over():
    @dataclass(frozen=True, kw_only=True)
    class Even(Spec):
        width: Annotated[int, MultipleOf(2)] = 3

    with pytest.raises(SpecError, match=r"not by MultipleOf\(multiple_of=2\)"):
        Even()


def test_an_unknown_field_offers_the_nearest():
    with pytest.raises(SpecError, match="did you mean width"):
        Toy().replace(widht=3)
    with pytest.raises(SpecError, match="did you mean width"):
        grid(Toy(), widht=(3,))


def test_every_field_moves_the_key():
    base = key("e", 1, "main", Toy())
    for change in (
        {"lr": 0.2},
        {"width": 6},
        {"kind": "b"},
        {"sites": ("s",)},
        {"inner": Inner()},
        {"on": False},
        {"seed": 1},
    ):
        assert key("e", 1, "main", Toy(**change)) != base
    assert (
        len({base, key("f", 1, "main", Toy()), key("e", 2, "main", Toy()), key("e", 1, "x", Toy())})
        == 4
    )


def test_added_and_removed_fields_keep_old_keys():
    @dataclass(frozen=True, kw_only=True)
    class Old(Spec):
        lr: float = 0.1
        gone: float = 1.0

    @dataclass(frozen=True, kw_only=True)
    class New(Spec):
        lr: float = 0.1
        tau: float = added(0.5, before=0.0)
        gone: ClassVar[Any] = removed("gone", was=1.0)

    New.__name__ = "Old"
    assert key("e", 1, "m", New(tau=0.0)) == key("e", 1, "m", Old())
    assert key("e", 1, "m", New(tau=0.1)) != key("e", 1, "m", Old())
    assert New.from_json(Old(lr=0.3).to_json()) == New(lr=0.3, tau=0.0)
    with pytest.raises(SpecError, match="removed"):
        New.from_json(Old(gone=2.0).to_json())


def test_a_stored_spec_without_a_field_of_today_is_refused_in_one_line():
    @dataclass(frozen=True, kw_only=True)
    class Old(Spec):
        lr: float = 0.1

    @dataclass(frozen=True, kw_only=True)
    class New(Spec):
        lr: float = 0.1
        whole: bool

    New.__name__ = "Old"
    with pytest.raises(SpecError, match=r"^a stored Old of an older version lacks whole$"):
        New.from_json(Old().to_json())


def test_fields_that_arms_set_are_refused_at_once():
    specs = grid(Toy(lr=0.3), seed=range(2))
    assert reserved("kind", "width")(specs) == specs
    with pytest.raises(SpecError, match=r"Toy\.kind is for arms to set: leave it at 'a', got 'b'"):
        reserved("kind", "width")((*specs, Toy(kind="b")))


def test_fields_by_kind():
    assert per_run_fields(Toy) == ("seed", "lr")
    assert static_fields(Toy) == ("width", "kind", "sites", "inner", "on")


def test_command_line_texts_of_the_wrong_type_are_refused():
    assert with_values(Toy(), {"sites": "a,b", "on": "false", "kind": "b", "lr": "1e-3"}) == Toy(
        sites=("a", "b"), on=False, kind="b", lr=1e-3
    )
    with pytest.raises(SpecError, match=r"^width must be a whole number"):
        with_values(Toy(), {"width": "wide"})
    with pytest.raises(SpecError, match="one of"):
        with_values(Toy(), {"kind": "c"})


def test_golden_keys_never_move():
    """Keys printed when this format was fixed (store format 1); another value here orphans every
    stored run."""
    assert (
        key("golden", 1, "main", Toy())
        == hashlib.sha256(
            b'["golden",1,"main",{"_":"Toy","inner":null,"kind":"a","lr":0.1,"on":true,"seed":0,"sites":[],"width":5}]'
        ).hexdigest()
    )


def test_a_variant_is_the_methods_specs_with_what_is_said_of_it():
    main = grid(Toy(lr=0.3, width=5), lr=(0.3, 0.1), seed=range(4, 1, -1))
    assert variant()(main) == main and variant(width=7)(main) == changed(width=7)(main)
    assert {s.seed for s in variant(seeds=2)(main)} == {2, 3}, (
        "the first seeds, in whatever order they stand"
    )
    assert variant(where={"lr": 0.1})(main) == main[3:]
    assert variant(where={"lr": (0.1, 0.3)})(main) == main
    assert [s.width for s in variant(times={"width": 0.5})(main)] == [2] * 6
    assert variant(times={"width": 0.01})(main)[0].width == 1
    assert variant(times={"lr": 2.0})(main)[0].lr == 0.6
    assert variant(seeds=2, over={"width": (1, 2)}, kind="b")(main) == grid(
        Toy(lr=0.3, kind="b"), width=(1, 2), seed=(2, 3)
    )
    with pytest.raises(SpecError, match="widht"):
        variant(widht=3)(main)
