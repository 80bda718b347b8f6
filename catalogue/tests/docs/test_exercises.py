"""The exercises that close some pages: each solution passes its test, and nothing that is no
solution does.

An exercise is a heading `### N. Title` in the section `## Exercises`, a question, and three blocks
of Python: a starter, the solution and its test, the last two folded away; every assertion of a test
says in words what it asks. On pages of exercises alone the test is below the starter and calls
docs/exercises. They run in this process, one namespace an exercise. Run as a script, this file
is also how a reader checks an own answer: `.venv/bin/python tests/docs/test_exercises.py
docs/capacity.md 1 mine.py`."""

import ast
import inspect
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))  # where the checks of the pages of exercises lie
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
    starter, *shown = BLOCK.findall(FOLDED.sub("", part))
    (solution,), (test,) = hidden["Solution"], shown or hidden["Test"]
    return Exercise(part.splitlines()[0], starter, solution, test)


def run(exercise: Exercise, *answers: str, **given: object) -> None:
    space: dict[str, object] = {}
    for code in answers:
        exec(compile(code, exercise.title, "exec"), space)
    space.update(given)
    exec(compile(exercise.test, f"test of {exercise.title}", "exec"), space)


ALL = [(page.stem, e) for page in sorted((ROOT / "docs").glob("*.md")) for e in exercises(page)]
each = pytest.mark.parametrize(
    "exercise", [e for _, e in ALL], ids=[f"{page}: {e.title}" for page, e in ALL]
)


@each
def test_the_solution_passes(exercise: Exercise) -> None:
    run(exercise, exercise.starter, exercise.solution)


@each
def test_nothing_that_is_no_solution_passes(exercise: Exercise) -> None:
    def echo(*args: object, **kwargs: object) -> object:
        return next(iter([*args, *kwargs.values()]), None)

    with pytest.raises(NotImplementedError):
        run(exercise, exercise.starter)
    for answer in (
        echo,
        *(lambda *a, value=value, **k: value for value in (0.0, 1.0, 0.5, math.nan, True, False)),
    ):
        with pytest.raises(Exception):  # noqa: B017
            run(exercise, exercise.starter, **{exercise.name: answer})


@each
def test_the_starter_asks_for_what_the_solution_is(exercise: Exercise) -> None:
    asked: dict[str, object] = {}
    answered: dict[str, object] = {}
    exec(exercise.starter, asked)
    exec(exercise.starter + exercise.solution, answered)
    function = asked[exercise.name]
    assert function.__doc__, "a starter says what is to be returned"
    assert list(inspect.signature(function).parameters) == list(
        inspect.signature(answered[exercise.name]).parameters
    )


@each
def test_every_assertion_says_what_it_asks(exercise: Exercise) -> None:
    bare = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(exercise.test))
        if isinstance(node, ast.Assert) and node.msg is None
    ]
    assert not bare, bare


@pytest.mark.parametrize("page", ["capacity", "llc", "superposition-llc"])
def test_pages_that_promise_exercises_have_them(page: str) -> None:
    assert 2 <= len(exercises(ROOT / "docs" / f"{page}.md")) <= 3


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs").glob("exercises-*.md")), ids=lambda page: page.stem
)
def test_a_page_of_exercises_lists_each_with_its_difficulty_and_time(page: Path) -> None:
    text = page.read_text()
    listed = re.findall(
        r"^\| (\d) \| \[(.+)\]\(#(.+)\) \| ([●○]{5}) \| (\d+) \|$", text, re.MULTILINE
    )
    asked = re.findall(r"^### (\d)\. (.+)\n\n([●○]{5}), (\d+) minutes$", text, re.MULTILINE)
    assert [(n, title, hard, time) for n, title, _, hard, time in listed] == asked
    assert [anchor for *_, anchor, _, _ in listed] == [
        re.sub(r"[^\w-]", "", f"{n}-{title}".lower().replace(" ", "-")) for n, title, *_ in asked
    ]
    assert len(asked) == len(exercises(page)) == text.count("**What you saw.**")


def check(arguments: list[str]) -> int:
    """The exit code of a reader's answer: 0 it is right, 1 not yet, 2 there is nothing to check."""
    try:
        page, number, answer = arguments
        chosen = exercises(Path(page))
        if number not in [str(n + 1) for n in range(len(chosen))]:
            raise ValueError(
                f"{page} has exercises 1 to {len(chosen)}, not {number}"
                if chosen
                else f"{page} has no exercises"
            )
        given = Path(answer).read_text()
    except (ValueError, OSError) as error:
        usage = (
            "give a page, the number of an exercise and a file: test_exercises.py "
            "docs/capacity.md 1 mine.py"
        )
        print(error if len(arguments) == 3 else usage, file=sys.stderr)
        return 2
    exercise = chosen[int(number) - 1]
    try:
        run(exercise, exercise.starter, given)
    except NotImplementedError:
        print(f"not yet: {exercise.name} is still as the page has it")
        return 1
    except AssertionError as error:
        print(f"not yet: {error}")
        return 1
    print("right")
    return 0


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "give a page, the number of an exercise and a file"),
        (["docs/capacity.md", "1"], 2, "give a page, the number of an exercise and a file"),
        (["docs/capacity.md", "4", "mine.py"], 2, "has exercises 1 to 3, not 4"),
        (["docs/capacity.md", "0", "mine.py"], 2, "has exercises 1 to 3, not 0"),
        (["docs/capacity.md", "one", "mine.py"], 2, "has exercises 1 to 3, not one"),
        (["docs/mamba.md", "1", "mine.py"], 2, "has no exercises"),
        (["docs/no.md", "1", "mine.py"], 2, "No such file"),
        (["docs/capacity.md", "1", "no.py"], 2, "No such file"),
        (["docs/capacity.md", "1", "mine.py"], 1, "not yet: capacity is still as the page has it"),
        (["docs/capacity.md", "2", "mine.py"], 1, "not yet: one owner at density 0.3"),
        (["docs/capacity.md", "3", "mine.py"], 0, "right"),
    ],
)
def test_a_reader_is_told_in_one_line(
    arguments: list[str],
    code: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    third = exercises(ROOT / "docs" / "capacity.md")[2].solution
    (tmp_path / "mine.py").write_text(f"def losses(p):\n    return p**2 / 3, p / 3\n\n\n{third}")
    monkeypatch.chdir(tmp_path)
    assert check(arguments) == code
    out = "".join(capsys.readouterr())
    assert told in out and len(out.splitlines()) == 1


if __name__ == "__main__":
    sys.exit(check(sys.argv[1:]))
