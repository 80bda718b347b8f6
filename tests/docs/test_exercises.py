"""The exercises that close some pages: each solution passes its test, and nothing that is no solution does.

An exercise is a heading `### N. Title` in the section `## Exercises`, a question, and three blocks of Python: a starter, the
solution and its test, the last two folded away. They run in this process, one namespace an exercise. Run as a script, this file
is also how a reader checks an own answer: `python tests/docs/test_exercises.py docs/capacity.md 1 mine.py`.
"""

import inspect
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^## Exercises\n(.*)\Z", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FOLDED = re.compile(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", re.DOTALL)
HEADING = re.compile(r"^### (?=\d)", re.MULTILINE)


@dataclass(frozen=True)
class Exercise:
    title: str
    starter: str
    solution: str
    test: str

    @property
    def name(self) -> str:
        """The function that is asked for."""
        return re.findall(r"^def (\w+)", self.starter, re.MULTILINE)[-1]


def exercises(page: Path) -> list[Exercise]:
    found = SECTION.search(page.read_text())
    return [parsed(part) for part in HEADING.split(found[1])[1:]] if found else []


def parsed(part: str) -> Exercise:
    hidden = {summary: BLOCK.findall(body) for summary, body in FOLDED.findall(part)}
    (starter,) = BLOCK.findall(FOLDED.sub("", part))
    (solution,), (test,) = hidden["Solution"], hidden["Test"]
    return Exercise(part.splitlines()[0], starter, solution, test)


def run(exercise: Exercise, *answers: str, **given: object) -> None:
    space: dict[str, object] = {}
    for code in answers:
        exec(compile(code, exercise.title, "exec"), space)
    space.update(given)
    exec(compile(exercise.test, f"test of {exercise.title}", "exec"), space)


ALL = [(page.stem, e) for page in sorted((ROOT / "docs").glob("*.md")) for e in exercises(page)]
each = pytest.mark.parametrize("exercise", [e for _, e in ALL], ids=[f"{page}: {e.title}" for page, e in ALL])


@each
def test_the_solution_passes(exercise: Exercise) -> None:
    run(exercise, exercise.starter, exercise.solution)


@each
def test_nothing_that_is_no_solution_passes(exercise: Exercise) -> None:
    def echo(*args: object, **kwargs: object) -> object:
        return next(iter([*args, *kwargs.values()]), None)

    with pytest.raises(NotImplementedError):
        run(exercise, exercise.starter)
    for answer in (echo, *(lambda *a, value=value, **k: value for value in (0.0, 1.0, 0.5, math.nan, True, False))):
        with pytest.raises(Exception):  # noqa: B017  whatever stops it is a refusal
            run(exercise, exercise.starter, **{exercise.name: answer})


@each
def test_the_starter_asks_for_what_the_solution_is(exercise: Exercise) -> None:
    asked: dict[str, object] = {}
    answered: dict[str, object] = {}
    exec(exercise.starter, asked)
    exec(exercise.starter + exercise.solution, answered)
    function = asked[exercise.name]
    assert function.__doc__, "a starter says what is to be returned"
    assert list(inspect.signature(function).parameters) == list(inspect.signature(answered[exercise.name]).parameters)


@pytest.mark.parametrize("page", ["capacity", "llc"])
def test_pages_that_promise_exercises_have_them(page: str) -> None:
    assert 2 <= len(exercises(ROOT / "docs" / f"{page}.md")) <= 3


if __name__ == "__main__":
    chosen = exercises(Path(sys.argv[1]))[int(sys.argv[2]) - 1]
    run(chosen, chosen.starter, Path(sys.argv[3]).read_text())
    print("right")
