"""Whatever a user gets wrong ends with exit code 2, one line on standard error saying what would be
right, and nothing changed.

Each case has its own copy of a small world: an experiment file, a store with
finished runs, a table of numbers.
"""

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.cli import terminal
from assay.subjects import fetch

STORE = "assay-store"
TABLE = "\n".join(
    [
        "arm,seed,fvu",
        *(
            f"{arm},{seed},{0.2 + 0.01 * seed}"
            for arm in ("gated", "relu", "shuffled")
            for seed in range(8)
        ),
    ]
)
UNIT = "--unit seed --control shuffled"


@dataclass(frozen=True)
class Case:
    """What is typed, what the line must say, and what is broken before."""

    typed: str
    says: str
    given: Callable[[Path], None] = lambda world: None
    env: tuple[tuple[str, str], ...] = ()
    model: bool = False


def write(name, text):
    """Puts a file into the world."""

    def given(world):
        path = world / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return given


def edit(name, old, new):
    """Changes a file of the world."""

    def given(world):
        text = (world / name).read_text()
        assert old in text, f"{name} has no {old!r}"
        (world / name).write_text(text.replace(old, new))

    return given


def damaged(world):
    """Cuts the end off a stored run's measures."""
    path = next((world / STORE / "runs").rglob("measures.safetensors"))
    path.write_bytes(path.read_bytes()[:-10])


def unreadable_text(world):
    """A corpus folder in which one text cannot be read, even by root: its name is a link to
    itself."""
    (world / "texts").mkdir()
    (world / "texts/a.txt").symlink_to("a.txt")


def greedy(world):
    """An experiment that needs more disk than there is."""
    edit(
        "own.py",
        "    measure=measure,",
        "    measure=measure,\n    cost=lambda runs: Cost(1, 10**18),",
    )(world)
    edit("own.py", "import numpy as np", "import numpy as np\nfrom assay.core import Cost")(world)


CASES = {
    "unknown verb": Case("rnu own.py", '"run"'),
    "function of Python": Case("check_probe", "no command, .* of Python: assay.check_probe"),
    "unknown option": Case("run own.py --prest smoke", "--preset"),
    "another verb's option": Case("judge t.csv --holds x>1", "--holds"),
    "an option that none is near": Case(
        "run own.py --output x", "--output. Type: assay run --help$"
    ),
    "an option of no store": Case("judge t.csv --store s", "^judge .* no store, .* no --store"),
    "an option as a claim": Case(
        "judge t.csv --claim --unit seed", "^--claim needs a value, got the option --unit$"
    ),
    "no number": Case("run own.py --threads x", "^--threads must be a whole number, got 'x'$"),
    "own file without its end": Case("run owns", "did you mean owns.toml", write("owns.toml", "")),
    "unknown experiment": Case("run superpostion", "did you mean superposition"),
    "unknown experiment, with a store": Case(
        "run superpostion --root s", r"assay run superposition --root s$"
    ),
    "unknown field": Case("run own.py --set stesp=3", "no field stesp; did you mean steps"),
    "impossible value": Case(
        "run superposition --set density=2",
        "Superposition.density must be above 0 and at most 1, got 2",
    ),
    "a range without bound": Case(
        "run own.py --set seed=0:99999999999", "a range has up to 100,000 values, got 0:99999999999"
    ),
    "too many runs": Case(
        "plan own.py --set seed=0:400 --set seed=0:400", "runs of an arm; one command takes up to"
    ),
    "no machine's number": Case(
        f"run superposition --set steps={10**20}", r"steps must be less than 2\^63"
    ),
    "plan all at once": Case("plan catalogue", "which only assay verify takes"),
    "no such device": Case("run own.py --device cuda:99", "on this machine; it has cpu"),
    "nothing stored": Case("show own.py", "has not been run; .* run: assay run"),
    "damaged run": Case(
        "show own.py --preset smoke", "damaged: measures.safetensors has", given=damaged
    ),
    "no record": Case("verify own.py --preset smoke", "has no committed record"),
    "a file in a folder": Case(
        "run lost.toml",
        "no file lost.toml; did you mean studies/lost.toml?",
        given=write("studies/lost.toml", ""),
    ),
    "a folder": Case(
        "run folder.py", "this is a folder; name the file", given=write("folder.py/x", "")
    ),
    "a table": Case(
        "run t.csv",
        "t.csv is a table; to judge a claim about it, type: assay judge t.csv",
        given=write("t.csv", ""),
    ),
    "a table elsewhere": Case(
        "run d/t.csv", "is a table; .* type: assay judge d/t.csv", given=write("d/t.csv", "")
    ),
    "a saved check": Case(
        "export c.assay --format bundle",
        "itself the file to send; assay verify c.assay judges it again",
        given=write("c.assay", ""),
    ),
    "a frozen file": Case(
        "export q.prereg.json --out x",
        "which assay verify q.prereg.json checks",
        given=write("q.prereg.json", ""),
    ),
    "a bundle": Case(
        f"judge b.zip --claim 'a.x < 1' {UNIT}",
        "unknown-format|no-table|b.zip",
        given=write("b.zip", ""),
    ),
    "a study as a table": Case(
        f"judge q.toml --claim 'a.x < 1' {UNIT}", "q.toml", given=write("q.toml", "")
    ),
    "a check's file as a function": Case(
        "check c.assay --prompts p.txt --holds 'effect > 1' --about \"Text('a')\"",
        "c.assay: .*no-function",
        given=write("c.assay", ""),
    ),
    "a dictionary": Case(
        "run d.safetensors",
        "if they are a dictionary, assay evaluate d.safetensors",
        given=write("d.safetensors", ""),
    ),
    "syntax error": Case(
        "run own.py", "own.py line", given=edit("own.py", "def train(", "def train((")
    ),
    "crash on import": Case(
        "run own.py",
        "own.py line .*ZeroDivisionError",
        given=edit("own.py", "EXAMPLES = 256", "EXAMPLES = 1 // 0"),
    ),
    "remove unsaid": Case("doctor --remove own.py", "--yes"),
    "root is no store": Case(
        "run own.py --root other",
        "has no store.json but holds thesis.tex",
        given=write("other/thesis.tex", ""),
    ),
    "root cannot be written": Case("run own.py --preset smoke --root /proc/assay", "/proc/assay"),
    "no store to name": Case("judge one.csv --root other", "judge reads and writes no store"),
    "disk too small": Case("run own.py", "of disk, .* are free", given=greedy),
    "nonsense claim": Case(f"judge numbers.csv --claim 'gated is better' {UNIT}", "comparison"),
    "terms not accepted": Case(
        "fetch gemma3-270m",
        "terms of use: https://ai.google.dev/gemma/terms; .*--accept-terms",
        env=(("ASSAY_CACHE", "cache"),),
    ),
    "unknown corpus": Case("run gated-sae --set corpus=stdlibb", "no corpus 'stdlibb'", model=True),
    "unreadable text": Case(
        "run gated-sae --set corpus=texts", "texts", given=unreadable_text, model=True
    ),
}


def tree(folder):
    """Every file and folder with the hash of what it holds; apart from compiled Python, which
    imports may write, and from locks, which are empty and stay."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not {"__pycache__", "locks"} & {*path.parts}:
            content = (
                b""
                if path.is_dir()
                else str(path.readlink()).encode()
                if path.is_symlink()
                else path.read_bytes()
            )
            found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


def environment(world, more=()):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ASSAY_")}
    kept["ASSAY_CACHE"] = str(fetch.cache_folder())
    return (
        kept
        | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        | {key: str(world / value) for key, value in more}
    )


@pytest.fixture(scope="module")
def world(commands, tmp_path_factory):
    """The world before anything is broken; never written to."""
    origin = tmp_path_factory.mktemp("world")
    (origin / "numbers.csv").write_text(TABLE)
    for words in (("new", "own"), ("run", "own.py", "--preset", "smoke", "--executor", "inline")):
        done = commands.run(words, origin, environment(origin))
        assert done.code == 0, done.err
    return origin


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.model] * case.model) for name, case in CASES.items()],
)
def test_it_says_what_would_be_right_and_changes_nothing(name, world, commands, tmp_path):
    asked = CASES[name]
    if asked.model and not fetch.SMOLLM2.present():
        pytest.skip("needs SmolLM2-135M: assay fetch smollm2")
    own = tmp_path / "here"
    shutil.copytree(world, own)
    asked.given(own)
    before = tree(own)
    end = commands.run(shlex.split(asked.typed), own, environment(own, asked.env))
    assert end.code == 2, f"exit code {end.code}\n{end.err}"
    assert len(end.err.splitlines()) == 1 and "Traceback" not in end.err, end.err
    assert re.search(asked.says, end.err), end.err
    assert end.out == ""
    assert tree(own) == before


def test_a_name_that_is_mistaken_within_a_condition_is_replaced_there_alone():
    words = ["check", "f.py:g", "--holds", "efect > 3"]
    text = "the condition 'efect > 3' names 'efect', which is no number; did you mean effect?"
    shown = terminal.meant([text], words)
    assert shown[0].endswith("Type: assay check f.py:g --holds 'effect > 3'")
