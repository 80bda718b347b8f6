"""What an agent may ask to run, what a key is, and that nothing runs or is opened that it may not
name; nothing is trained here."""

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from assay.agents.asking import Asked, Bounds, experiment_of, opened, submit
from assay.core.errors import AssayError
from assay.verbs.new import write_experiment

SMOKE = Asked(experiment="superposition", preset="smoke")


@pytest.fixture
def bounds(tmp_path):
    """A workspace with an experiment of two arms that may run."""
    space = tmp_path / "space"
    space.mkdir()
    write_experiment("own", space)
    return Bounds(workspace=space, code=True)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


def study(seeds="0:6", steps="30", claim=True, name="./own.py", more=""):
    """A study of that experiment as text: narrow ones find their subspace better."""
    claimed = """
    [[claim]]
    text = "Narrow ones find their subspace better"
    holds = 'main.angle - "width=3/main".angle < -1'
    control = ["flat"]
    also = { "width=3/flat" = "rival: nothing to find" }
    threshold = "plan: a degree"
    """
    text = f"""
    question = "Does width matter?"
    seeds = "{seeds}"
    {more}
    [[experiment]]
    name = "{name}"
    fields = {{ inputs = 6, steps = {steps}, width = [2, 3] }}
    """
    return textwrap.dedent(text) + (textwrap.dedent(claimed) if claim else "")


def one(seed=0):
    """The experiment itself at one seed."""
    sets = (f"seed={seed}", "steps=30", "inputs=6")
    return Asked(experiment="own.py", preset="smoke", sets=sets)


def key(root, asked, bounds):
    with opened(root, asked, bounds) as ready:
        return ready.key


def test_another_question_is_another_run_and_the_same_one_is_not(root, bounds):
    asked = [
        SMOKE,
        replace(SMOKE, sets=("seed=1",)),
        replace(SMOKE, preset="default"),
        Asked(study=study()),
        Asked(study=study(seeds="1:7")),
        one(),
    ]
    keys = [key(root, a, bounds) for a in asked]
    assert len(set(keys)) == len(asked)
    assert keys == [key(root, a, bounds) for a in asked]
    assert not root.exists(), "reading what is asked writes nothing"


def test_the_key_of_code_follows_its_text(root, bounds):
    before = key(root, one(), bounds)
    path = bounds.workspace / "own.py"
    path.write_text(path.read_text() + "\n# a remark\n")
    assert key(root, one(), bounds) != before


MANY = ", ".join(map(str, range(1, 300)))
WRONG = {
    study().replace("steps", "stesp"): "line 7 column 10: ",
    study(name="../own.py"): "lies outside the workspace",
    study(name="/etc/own.py"): "lies outside the workspace",
    study(name="~/own.py"): "lies outside the workspace",
    study(name="./gone.py"): "is not a Python file in the workspace",
    study(seeds="0:999999999"): "and at most 2,000 are taken",
    study(steps=f"[{MANY}]"): "and at most 2,000 are taken",
    study() + '[[estimate]]\ntext = "x"\nvalue = "main.angle"\n' * 70: "at most 64",
    "[" * 5000: "the study",
    "\0": "null characters",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_a_study_that_cannot_run_is_refused_in_one_line(root, bounds, text):
    with pytest.raises(AssayError) as refused:
        key(root, Asked(study=text), bounds)
    words = str(refused.value)
    assert WRONG[text] in words and "\n" not in words and "assay-" not in words
    assert not root.exists(), "nothing is left of what was refused"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(), "either a study's text or an experiment's name"),
        (Asked(study=study(), experiment="superposition"), "either"),
        (Asked(experiment="superpositoin"), "did you mean superposition?"),
        (Asked(experiment="mine.toml"), "give a study's text as study"),
        (Asked(experiment="superposition", sets=("seed=0:200",)), "at most 2,000"),
        (Asked(experiment="lm-importance", sets=("corpus=/etc",)), "lies outside"),
        (Asked(experiment="lm-importance", sets=("corpus=../..",)), "lies outside"),
        (Asked(experiment="../own.py"), "runs only from a workspace"),
        (Asked(experiment="x" * 1000), "no experiment is called"),
        (Asked(study="x" * 70_000), "at most 65,536"),
        (Asked(study="\ud800"), "halves of characters"),
    ],
)
def test_what_is_too_much_or_not_there_is_refused_in_one_line(root, asked, words):
    with pytest.raises(AssayError, match=words) as refused:
        key(root, asked, Bounds())
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 3_000


def test_code_runs_only_where_it_was_allowed(root, bounds, monkeypatch):
    """A folder with a Python package is an experiment to `assay run`; what an agent names is none
    unless code is allowed."""
    ran, space = bounds.workspace / "ran", bounds.workspace
    (space / "sly").mkdir()
    for path in (space / "sly/__init__.py", space / "bad.py"):
        path.write_text(f"open({str(ran)!r}, 'w')\n")
    monkeypatch.chdir(space)
    names = ("sly", "./sly", "sly/__init__.py", "bad.py", "./bad.py", str(space / "bad.py"))
    for name in names:
        texts = (study(name=name), study(name=name, claim=False))
        for asked in (Asked(experiment=name), *(Asked(study=text) for text in texts)):
            for allowed in (replace(bounds, code=False), Bounds()):
                with pytest.raises(AssayError):
                    key(root, asked, allowed)
    assert not ran.exists()


FUNCTIONS = """
question = "What does a function of its own read?"

[[model]]
name = "smollm2"

[[prompts]]
text = "The capital of {country} is"
rows = [{ country = "France" }, { country = "Spain" }]

[[read]]
name = "own"
%s

[[intervene]]
name = "cut"
site = "blocks.0.mlp.hook_post"
%s

[[estimate]]
text = "what is read"
value = "cut.own"
"""


@pytest.mark.parametrize(
    "parts",
    [
        ('function = "bad.py:f"', 'ablate = "zero"'),
        ("loss = true", 'function = "bad.py:f"'),
    ],
    ids=["read", "change"],
)
def test_a_function_of_a_study_runs_only_where_code_was_allowed(root, bounds, parts):
    ran = bounds.workspace / "ran"
    (bounds.workspace / "bad.py").write_text(f"open({str(ran)!r}, 'w')\n")
    asked = Asked(study=FUNCTIONS % parts)
    for allowed in (replace(bounds, code=False), Bounds()):
        with pytest.raises(AssayError, match=r"line \d+.*'bad\.py' is a file of code"):
            key(root, asked, allowed)
    assert not ran.exists()


def test_a_link_out_of_the_workspace_leads_nowhere(root, bounds, tmp_path):
    (tmp_path / "other.py").write_text("raise SystemExit")
    (bounds.workspace / "link.py").symlink_to(tmp_path / "other.py")
    with pytest.raises(AssayError, match="lies outside the workspace"):
        key(root, Asked(experiment="link.py"), bounds)


def test_a_study_that_is_asked_for_is_in_the_folder_of_runs(root, bounds):
    text = study()
    with opened(root, Asked(study=text), bounds) as ready:
        job = submit(root, ready, bounds, 0, None)
        again = submit(root, ready, bounds, 0, None)
    assert again.path == job.path == root / "jobs" / ready.key
    file = job.path / "text" / f"study-{ready.key[:8]}.toml"
    assert file.read_text() == text and Path(job.typed) == file
    assert job.asked["workspace"] == str(bounds.workspace)
    assert sorted(p.name for p in root.parent.iterdir()) == ["space", "store"]
    experiment, preset = experiment_of(job, bounds)
    assert experiment.name == file.stem and len(preset.specs) == 6
    assert experiment_of(job, replace(bounds, code=False)) is None
