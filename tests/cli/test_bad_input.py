"""Whatever a user gets wrong ends with exit code 2, one line on standard error saying what would be
right, and nothing changed.

Each case has its own copy of a small world: an experiment file, a store with
finished runs, a table of numbers.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

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
CLAIM = ("--claim", "gated.fvu - relu.fvu < -0.02", "--unit", "seed", "--control", "shuffled")


@dataclass(frozen=True)
class Case:
    """What is typed, what the line must say, and what is broken before."""

    words: tuple[str, ...]
    says: str
    given: Callable[[Path], None] = lambda world: None
    env: tuple[tuple[str, str], ...] = ()
    model: bool = False


def case(*words, says, **more):
    return Case(words, says, **more)  # type: ignore[arg-type]


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
    "unknown verb": case("rnu", "own.py", says='"run"'),
    "unknown option": case("run", "own.py", "--prest", "smoke", says="--preset"),
    "one word too many": case("plan", "own.py", "now", says="'now' is one word too many"),
    "one name of several unknown": case(
        "run", "own.py", "now", says="no experiment is called 'now'"
    ),
    "no experiment given": case("run", says="NAME"),
    "unknown experiment": case("run", "superpostion", says="did you mean superposition"),
    "unknown field": case(
        "run", "own.py", "--set", "stesp=3", says="no field stesp; did you mean steps"
    ),
    "impossible value": case(
        "run",
        "superposition",
        "--set",
        "density=2",
        says="Superposition.density must be above 0 and at most 1, got 2",
    ),
    "a range without bound": case(
        "run",
        "own.py",
        "--set",
        "seed=0:99999999999",
        says="a range has up to 100,000 values, got 0:99999999999",
    ),
    "a range of long numbers": case(
        "plan", "own.py", "--set", f"seed=0:{'9' * 5000}", says="a range has up to 100,000 values"
    ),
    "too many runs": case(
        "plan",
        "own.py",
        "--set",
        "seed=0:400",
        "--set",
        "seed=0:400",
        says="runs of an arm; one command takes up to",
    ),
    "not a number": case("run", "own.py", "--set", "lr=nan", says="lr must be finite"),
    "no machine's number": case(
        "run", "superposition", "--set", f"steps={10**20}", says=r"steps must be less than 2\^63"
    ),
    "plan all at once": case("plan", "catalogue", says="which only assay series and assay verify"),
    "no threads": case("run", "own.py", "--threads", "0", says="at least 1, got 0"),
    "no such device": case("run", "own.py", "--device", "cuda:99", says="this machine has cpu"),
    "nothing stored": case("show", "own.py", says="are not stored .* run: assay run"),
    "damaged run": case(
        "show",
        "own.py",
        "--preset",
        "smoke",
        says="damaged: measures.safetensors has",
        given=damaged,
    ),
    "no record": case("verify", "own.py", "--preset", "smoke", says="has no record"),
    "no such file": case("run", "nowhere.py", says="no experiment file nowhere.py"),
    "a file in a folder": case(
        "run",
        "lost.toml",
        says="no experiment file lost.toml; did you mean studies/lost.toml?",
        given=write("studies/lost.toml", ""),
    ),
    "a range with a dash": case(
        "plan", "superposition", "--set", "seed=1000-1005", says="write 1000:1006"
    ),
    "a folder": case(
        "run", "folder.py", says="this is a folder; name the file", given=write("folder.py/x", "")
    ),
    "a table": case("run", "t.csv", says="judged by: assay judge t.csv", given=write("t.csv", "")),
    "syntax error": case(
        "run", "own.py", says="own.py line", given=edit("own.py", "def train(", "def train((")
    ),
    "crash on import": case(
        "run",
        "own.py",
        says="own.py line .*ZeroDivisionError",
        given=edit("own.py", "EXAMPLES = 256", "EXAMPLES = 1 // 0"),
    ),
    "binary file": case("run", "blob.py", says="blob.py", given=write("blob.py", b"\x00\xff\xfe")),
    "name taken": case("new", "own", says="own.py is already there"),
    "remove unsaid": case("doctor", "--remove", "own.py", says="--yes"),
    "root is no store": case(
        "run",
        "own.py",
        "--root",
        "other",
        says="has no store.json but holds thesis.tex",
        given=write("other/thesis.tex", ""),
    ),
    "root cannot be written": case(
        "run", "own.py", "--preset", "smoke", "--root", "/proc/assay", says="/proc/assay"
    ),
    "disk too small": case(
        "run",
        "own.py",
        says="of disk, .* are free",
        given=greedy,
    ),
    "words for numbers": case(
        "judge",
        "numbers.csv",
        *CLAIM,
        says="must hold numbers, got 'good'",
        given=edit("numbers.csv", "gated,3,0.23", "gated,3,good"),
    ),
    "nonsense claim": case(
        "judge", "numbers.csv", "--claim", "gated is better", *CLAIM[2:], says="claim"
    ),
    "no control": case(
        "judge",
        "one.csv",
        *("--claim", "x < 1", "--unit", "seed"),
        says="--control",
        given=write(
            "one.csv", b"arm,seed,x\n" + b"".join(b"a,%d,0.%d\n" % (i, i) for i in range(8))
        ),
    ),
    "terms not accepted": case(
        "fetch",
        "gemma3-270m",
        says="terms of use: https://ai.google.dev/gemma/terms; .*--accept-terms",
        env=(("ASSAY_CACHE", "cache"),),
    ),
    "unknown model": case("fetch", "smollm3", says="give smollm2"),
    "unknown corpus": case(
        "run", "gated-sae", "--set", "corpus=stdlibb", says="no corpus 'stdlibb'", model=True
    ),
    "unreadable text": case(
        "run", "gated-sae", "--set", "corpus=texts", says="texts", given=unreadable_text, model=True
    ),
}


def tree(folder):
    """Every file and folder with the hash of what it holds; compiled Python apart, which imports
    may write."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if "__pycache__" not in path.parts:
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
    end = commands.run(asked.words, own, environment(own, asked.env))
    assert end.code == 2, f"exit code {end.code}\n{end.err}"
    assert len(end.err.splitlines()) == 1 and "Traceback" not in end.err, end.err
    assert re.search(asked.says, end.err), end.err
    assert end.out == ""
    assert tree(own) == before


LIMITED = """
import resource, sys
from assay.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
sys.exit(main({1}))
"""


def test_a_full_disk_loses_nothing(world, forks, tmp_path):
    own = tmp_path / "here"
    shutil.copytree(world, own)
    before = tree(own / STORE / "runs")
    words = ("run", "own.py", "--preset", "smoke", "--set", "steps=21", "--executor", "inline")
    # room for small files, not for checkpoints
    done = forks.execute(LIMITED.format(2000, words), own, environment(own))
    assert done.code == 2 and "Traceback" not in done.err, done.err
    assert "is full; everything stored so far is intact" in done.err.splitlines()[-1]
    assert before.items() <= tree(own / STORE / "runs").items()
    again = forks.run(words, own, environment(own))
    assert again.code == 0, again.err
