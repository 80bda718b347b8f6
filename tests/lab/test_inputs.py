"""Inputs: what a run reads is noted, so that no number of another model or text is served."""

import json
import shutil
import sys
import tempfile

import numpy as np
import pytest
import torch

from assay.core.errors import AssayError, StoreError
from assay.data import corpus
from assay.dictionaries.dictionary import Dictionary
from assay.lab import catalogue
from assay.lab.engines import Inline, Workers
from assay.lab.lab import Lab
from assay.lab.store import origin

TEXT = '''"""A number that a file holds.

Paper: none
Claim: it is above nought
Baselines: nought
Cost: nothing
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from assay.core import foreign
from assay.core.claims import Claim
from assay.core.experiment import Arm, Experiment
from assay.core.fit import Trained
from assay.core.measures import measures
from assay.core.spec import Spec, grid

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Look(Spec):
    times: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Copy(Spec):
    """An artefact that does not say of what it is made."""


READ


def train(runs, bench):
    times = torch.tensor([s.times for s in runs.specs])
    return Trained({"times": times}, {}, {}, np.zeros(0, np.int64), np.zeros(len(runs), bool))


def measure(runs, trained, bench):
    times = trained.tensors["times"].double().numpy()
    return measures(runs, seen=("run", times * number(bench), "1"))


def nothing(specs):
    return tuple(s.replace(times=0.0) for s in specs)


ARMS = {"main": Arm(train, keep=True), "nought": Arm(train, specs=nothing)}
CLAIMS = (
    Claim(
        text="It is above nought", value=lambda arm, arms: arm.seen, units=("seed",), low=0.001,
        unit="1", must_fail=("nought",), threshold_from="plan", published="new", source="nobody",
    ),
)
SEEDS = grid(Look(), seed=range(6))
experiment = Experiment(
    arms=ARMS, measure=measure, claims=CLAIMS, smoke=SEEDS, default=SEEDS, full=SEEDS,
    seeds_per_group=3MORE
)
'''


def number(*lines, before=""):
    """The text of the function that reads, after what stands before it."""
    return before + "\n".join(("def number(bench):", *(f"    {line}" for line in lines)))


READ = "int(foreign.read(HERE / 'data/number.txt', 'a number', 100))"
READERS = {
    "text": number(f"return {READ}"),
    "text read once in a process": number(
        "return held()", before=f"@functools.cache\ndef held():\n    return {READ}\n\n\n"
    ),
    "text read by an import": number("return HELD", before=f"HELD = {READ}\n\n\n"),
    "folder of texts": number(
        "from assay.data import corpus",
        "texts = corpus.load(str(HERE / 'data'))",
        "return sum(int(texts.text(i)) for i in range(len(texts.documents)))",
    ),
    "dictionary": number(
        "from assay.dictionaries.formats.opening import load",
        "return float(load(HERE / 'data/dictionary.safetensors').tensors()['b_dec'].mean())",
    ),
    "artefact": number(
        "def build(folder):",
        f"    (folder / 'copy').write_text(str({READ}))",
        "return int((bench.artefact(Copy(), build) / 'copy').read_text())",
    ),
}
PLAIN = {
    "open": number("return int(open(HERE / 'data/number.txt').read())"),
    "os.open": number(
        "import os", "return int(os.read(os.open(HERE / 'data/number.txt', os.O_RDONLY), 10))"
    ),
    "np.load": number("return int(np.load(HERE / 'data/number.npy'))"),
    "torch.load": number("return int(torch.load(HERE / 'data/number.pt'))"),
    "in a thread": number(
        "from concurrent.futures import ThreadPoolExecutor",
        "with ThreadPoolExecutor(1) as pool:",
        "    return int(pool.submit((HERE / 'data/number.txt').read_text).result())",
    ),
}
OWN = {
    "written by the run": number(
        "(HERE / 'made.txt').write_text('5')", "return int((HERE / 'made.txt').read_text())"
    ),
    "its own file": number("return 5 * bool(Path(__file__).read_text())"),
    "Python's": number("import json", "return 5 * bool(Path(json.__file__).read_text())"),
    "the store's": number("return 5 * bool((bench.root / 'store.json').read_text())"),
    "scratch": number(
        "import tempfile",
        "with tempfile.NamedTemporaryFile('w+') as file:",
        "    file.write('5')",
        "    file.flush()",
        "    return int(Path(file.name).read_text())",
    ),
}


class Tried:
    """An experiment in a folder, beside what it reads."""

    def __init__(self, folder, reader, more=""):
        folder.mkdir(parents=True)
        self.path, self.data = folder / "looking.py", folder / "data"
        self.data.mkdir()
        self.path.write_text(TEXT.replace("READ", reader, 1).replace("MORE", more))
        self.lab = Lab(folder / "store", Inline())

    def holds(self, value):
        """Make the files hold this number."""
        (self.data / "number.txt").write_text(f"{value}\n")
        np.save(self.data / "number.npy", value)
        torch.save(value, self.data / "number.pt")

    def run(self):
        return float(self.lab.run(catalogue.find(str(self.path)), "smoke").arms["main"].seen.mean())

    def plan(self):
        return self.lab.plan(catalogue.find(str(self.path)), "smoke")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Scratch files lie elsewhere than what the experiment reads."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    from assay.core import inputs

    inputs._scratch.cache_clear()
    yield
    inputs._scratch.cache_clear()


@pytest.mark.parametrize("kind", READERS)
def test_what_is_opened_through_assay_is_an_input_and_a_change_of_it_is_measured(kind, tmp_path):
    tried = Tried(tmp_path / "a", READERS[kind])

    def holds(value):
        if kind == "dictionary":
            shape = {"W_enc": (1, 4, 2), "W_dec": (1, 2, 4), "b_enc": (1, 2), "b_dec": (1, 4)}
            tensors = {name: torch.full(size, float(value)) for name, size in shape.items()}
            Dictionary.from_tensors(tensors, {"nonlinearity": {"name": "ReLU"}}).save(
                tried.data / "dictionary.safetensors"
            )
        else:
            tried.holds(value)
            for other in ("number.npy", "number.pt"):
                (tried.data / other).unlink()

    holds(5)
    assert tried.run() == 5
    assert not tried.plan().missing
    holds(7)
    plan = tried.plan()
    assert len(plan.missing) == len(plan.rows) == 12
    assert plan.missing[0].why.startswith("other inputs: ")
    # still in memory, and not served as if it were the new one
    if "import" in kind or "once" in kind or "folder" in kind:
        with pytest.raises(AssayError, match=r"no longer count|changed while it was in use"):
            tried.run()
        corpus._loaded.cache_clear()
        catalogue._loaded.clear()
        origin._watches.clear()
    assert tried.run() == 7
    assert not tried.plan().missing


def test_a_model_folder_that_measure_loads_is_an_input(tmp_path):
    import tiny_models

    reader = (
        "def number(bench):\n    from assay.subjects.pretrained import load\n\n"
        "    return float(load(str(HERE / "
        "'data/model')).model.get_input_embeddings().weight.abs().sum())"
    )
    tried = Tried(tmp_path / "a", reader)
    tiny_models.make(tried.data / "model", "llama")
    first = tried.run()
    assert not tried.plan().missing and tried.run() == first
    weights = tried.data / "model/model.safetensors"
    from safetensors.torch import load_file, save_file

    save_file(
        {name: 2 * value for name, value in load_file(weights).items()}, weights, {"format": "pt"}
    )
    plan = tried.plan()
    assert len(plan.missing) == 12 and "model.safetensors" in plan.missing[0].why
    assert tried.run() == pytest.approx(2 * first)
    (stored, *_) = tried.lab.store.list()
    assert {"data/model/config.json", "data/model/model.safetensors"} <= set(stored.read)
    assert not stored.unchecked, "what transformers opens of it was checked"
    shutil.rmtree(tried.data)
    plan = tried.plan()
    assert not plan.missing and any(
        "read and not found here: " in note and "model.safetensors" in note for note in plan.notes
    )


@pytest.mark.parametrize("kind", PLAIN)
def test_what_is_opened_past_assay_is_told_and_not_checked(kind, tmp_path):
    tried = Tried(tmp_path / "a", PLAIN[kind])
    tried.holds(5)
    result = tried.lab.run(catalogue.find(str(tried.path)), "smoke")
    name = {"np.load": "number.npy", "torch.load": "number.pt"}.get(kind, "number.txt")
    assert f"read without Assay, so not checked: data/{name}" in result.notes
    assert (
        f"read without Assay, so not checked: data/{name}"
        in tried.lab.judge(catalogue.find(str(tried.path)), "smoke").notes
    )
    (stored, *_) = tried.lab.store.list()
    assert stored.provenance["unchecked"] == [name]
    tried.holds(7)
    assert not tried.plan().missing


@pytest.mark.parametrize("kind", OWN)
def test_what_belongs_to_the_run_to_python_or_to_the_store_is_no_input(kind, tmp_path):
    tried = Tried(tmp_path / "a", OWN[kind])
    assert tried.run() == 5
    assert [(dict(s.read), s.unchecked) for s in tried.lab.store.list()] == [({}, ())] * 12
    assert not list((tmp_path / "a/store/runs").rglob("read.json"))
    assert not tried.plan().missing and not tried.plan().notes


def test_workers_note_the_same(tmp_path):
    tried = Tried(
        tmp_path / "a",
        READERS["text"].replace(
            "100))", "100)) + 0 * len(open(HERE / 'data/number.npy', 'rb').read())"
        ),
    )
    tried.holds(5)
    tried.lab = Lab(tmp_path / "a/store", Workers(1))
    assert tried.run() == 5
    assert {s.unchecked for s in tried.lab.store.list()} == {("data/number.npy",)}
    tried.holds(7)
    assert tried.run() == 7


def test_a_shown_result_says_what_changed_since_and_a_mixture_of_inputs_is_not_shown(tmp_path):
    tried = Tried(tmp_path / "a", READERS["text"])
    tried.holds(5)
    tried.run()
    tried.holds(7)
    experiment = catalogue.find(str(tried.path))
    shown = tried.lab.judge(experiment, "smoke")
    assert float(shown.arms["main"].seen.mean()) == 5
    assert any("changed since it was read: data/number.txt" in note for note in shown.notes)
    other = Lab(tmp_path / "other", Inline())
    other.run(experiment, "smoke")
    half = [s for s in other.store.list() if json.loads(s.spec_json)["seed"] < 3]
    tried.lab.store.take(
        [{name: (s.folder / name).read_bytes() for name in (*s.files, "status.json")} for s in half]
    )
    with pytest.raises(StoreError, match="no longer count") as refused:
        tried.lab.judge(experiment, "smoke")
    assert "number.txt" in str(refused.value)


def test_an_arm_that_builds_on_another_has_read_what_that_one_read(tmp_path):
    tried = Tried(tmp_path / "a", "def number(bench):\n    return 1")
    text = tried.path.read_text()
    reads = (
        "    if before is None:\n        foreign.read(HERE / 'data/number.txt', 'a number', 100)\n"
    )
    text = text.replace(
        "def train(runs, bench):\n", f"def train(runs, bench, before=None):\n{reads}"
    )
    text = text.replace('"nought": Arm(train, specs=nothing)', '"nought": Arm(after, after="main")')
    text = text.replace(
        "ARMS = ",
        (
            "def after(runs, bench, before):\n    return train(runs, bench, 0 * "
            "before.tensors['times'])\n\n\nARMS = "
        ),
        1,
    )
    text = text.replace("[s.times for s in runs.specs]", "[float(before is None)] * len(runs)")
    tried.path.write_text(text)
    tried.holds(5)
    assert tried.run() == 1
    assert {frozenset(s.read) for s in tried.lab.store.list()} == {frozenset({"data/number.txt"})}
    for name in list(sys.modules):
        if name.endswith("looking") and not name.startswith("assay."):
            del sys.modules[name]
    tried.holds(7)
    assert {row.job.arm for row in tried.plan().missing} == {"main", "nought"}


def test_places_are_relative_so_that_no_user_is_named_and_a_moved_experiment_finds_its_files(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/number.txt").write_text("2")
    reader = READERS["text"].replace(
        "100))", '100)) + int(foreign.read(Path("~/number.txt").expanduser(), "a number", 100))'
    )
    tried = Tried(tmp_path / "a", reader)
    tried.holds(5)
    assert tried.run() == 7
    for stored in tried.lab.store.list():
        assert set(stored.read) == {"data/number.txt", "~/number.txt"}
        assert all(
            str(tmp_path) not in path.read_text(errors="replace")
            for path in stored.folder.iterdir()
        )
    (tmp_path / "a").rename(tmp_path / "b")
    tried.path = tmp_path / "b/looking.py"
    tried.lab = Lab(tmp_path / "b/store", Inline())
    (tmp_path / "b/store/owners/looking.json").unlink()
    tried.data = tmp_path / "b/data"
    assert not tried.plan().missing
    tried.holds(6)
    assert len(tried.plan().missing) == 12
