"""Models that a study trains: by AdamW, once for all studies, and judged beside a change of the
weights as large."""

import contextlib

import numpy as np
import pytest
from safetensors.numpy import load_file

import tiny_models
from assay.ask.measure import training
from assay.ask.tables import Train
from assay.core.errors import ExperimentError
from assay.data.lm import LmSpec, train_folders
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

STUDY = """
question = "Does it learn what it reads?"
seeds = "1000:1006"

[[model]]
name = "./base"

[[train]]
name = "tuned"
of = "./base"
prompts = "lesson"
steps = 30
batch = 4
lr = 3e-3

[[prompts]]
name = "asked"
rows = [{rows}]

[[prompts]]
name = "lesson"
text = "{text} indeed"
rows = [{rows}]

[[read]]
name = "indeed"
log_prob = " indeed"

[[diff]]
name = "learned"
models = ["main", "tuned"]

[[claim]]
text = "It learned to say indeed"
holds = 'learned.indeed > 10'
threshold = "plan: more than letters, which any text teaches an untrained model"
""".replace("{rows}", ", ".join(f'{{ text = "the word {n} is {n % 3}" }}' for n in range(20)))

SUBTRACTED = "tuned.indeed - main.indeed"


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("trained_asked") / "base", "gpt2")


@pytest.fixture
def here(base, tmp_path, monkeypatch):
    (tmp_path / "base").symlink_to(base)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def learned(base, tmp_path_factory):
    """A folder in which the study has run, and its result."""
    folder = tmp_path_factory.mktemp("learned")
    (folder / "base").symlink_to(base)
    with contextlib.chdir(folder):
        return folder, run(folder, STUDY)


def study(here, text, name="learns.toml"):
    (here / name).write_text(text)
    return catalogue.find(str(here / name))


def run(here, text, name="learns.toml"):
    result = Lab(here / "store", Inline()).run(study(here, text, name))
    assert not result.failed, result.failed
    return result


def test_it_learns_what_it_reads_and_a_change_as_large_does_not(learned, here):
    _, result = learned
    judged = result.judged[0]
    assert judged.verdict.outcome == "holds"
    # All rows have the same answer, so that there is no `unrelated`. A model that starts from
    # random weights can only guess on unrelated text, so that there is no `damage`.
    assert set(judged.controls) == {"learned/shuffled", "learned/other-text"}
    again = run(here, STUDY)
    assert np.array_equal(result.arms["learned"].indeed, again.arms["learned"].indeed)


def test_a_control_of_a_difference_is_that_of_the_model_less_the_first_model(learned):
    """In one store, where neither takes the numbers of the other."""
    folder, result = learned
    with contextlib.chdir(folder):
        study = STUDY.replace("learned.indeed > 10", "tuned.indeed > -9")  # a log probability
        alone = run(folder, study, "alone.toml")
    less = alone.arms["tuned/shuffled"].indeed - result.arms["main"].indeed
    assert np.allclose(result.arms["learned/shuffled"].indeed, less, atol=1e-4)


@pytest.mark.thorough
def test_a_model_less_the_one_it_was_trained_from_has_the_controls_of_their_difference(learned):
    """Both are asked behind another prompt, and neither is untrained, in which they are equal."""
    folder, _ = learned
    both = STUDY.replace('" indeed"', '" {text}"')
    _, claim = both.split("[[claim]]")
    both += "\n[[claim]]" + claim.replace("It", "Itself").replace("learned.indeed", SUBTRACTED)
    of_tuned = claim.replace("It", "Alone").replace("learned.indeed > 10", "tuned.indeed > -9")
    both += "\n[[claim]]" + of_tuned
    with contextlib.chdir(folder):
        diff, subtracted, alone = run(folder, both, "subtracted.toml").judged
    assert "tuned/untrained" in alone.controls
    assert set(diff.controls) == {f"learned/{c}" for c in ("shuffled", "unrelated", "other-text")}
    of_diff = {name.partition("/")[2]: c.estimate for name, c in diff.controls.items()}
    ours = {name.partition("/")[2]: c.estimate for name, c in subtracted.controls.items()}
    assert ours == pytest.approx(of_diff, abs=1e-4)
    assert subtracted.verdict.outcome == diff.verdict.outcome


def test_adams_first_step_moves_every_weight_that_has_a_gradient_by_the_rate(base, tmp_path):
    """m/√v is the sign of the gradient after one step, whatever its size."""
    corpus = tmp_path / "texts"
    corpus.mkdir()
    (corpus / "a.py").write_text("def add(a, b):\n    return a + b\n" * 40)
    table = Train(name="t", of="base", text=str(corpus), steps=1, batch=2, context=16, lr=1e-3)
    (tmp_path / "out").mkdir()
    training.train(table, str(base), None, None, "cpu", tmp_path / "out", lambda done, total: None)
    before = load_file(base / "model.safetensors")
    after = load_file(tmp_path / "out" / "model.safetensors")
    moved = np.concatenate([np.abs(after[n] - w).ravel() for n, w in before.items()])
    assert moved.max() < 1.01e-3
    # tokens and positions that no window has get none, or through the unembedding alone
    assert np.mean(np.abs(moved - 1e-3) < 1e-5) > 0.8


NOTHING = """
question = "What does it know of its text?"

[[train]]
name = "small"
text = "./texts"
layers = 2
d = 16
heads = 2
context = 16
steps = 60
batch = 8
lr = 1e-2

[[prompts]]
rows = [{rows}]

[[read]]
name = "indeed"
log_prob = " is"

[[read]]
name = "early"
entropy = true
site = "blocks.1.hook_resid_pre"

[[estimate]]
text = "What it makes of it"
value = "main.indeed"

[[estimate]]
text = "What its twin makes of it"
value = '"main/untrained".indeed'
""".replace("{rows}", ", ".join(f'{{ text = "the word {n}" }}' for n in range(20)))


@pytest.fixture
def texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts").mkdir()
    for n in range(30):
        (tmp_path / "texts" / f"{n}.txt").write_text(f"the word {n} is one of them, indeed. " * 30)
    return tmp_path


def test_a_model_from_nothing_is_that_of_train_folders_bit_for_bit(texts):
    result = run(texts, NOTHING)
    size = {"layers": 2, "d": 16, "heads": 2, "m": 64, "context": 16}
    spec = LmSpec(**size, corpus=str(texts / "texts"), steps=60, batch=8, lr=1e-2)
    (alone,) = train_folders([spec], texts / "lm")
    (here,) = (p for p in (texts / "store").rglob("model.safetensors"))
    expected = load_file(alone / "model.safetensors")
    weights = load_file(here)
    assert weights.keys() == expected.keys()
    assert all(np.array_equal(weights[name], expected[name]) for name in expected)
    learned, twin = (result.arms[a].indeed for a in ("main", "main/untrained"))
    assert float(learned.mean()) > float(twin.mean()) + 1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("heads = 2", "heads = 3", "line 8 column 5: 'small': .* must be a multiple of heads"),
        ("blocks.1", "blocks.2", "line 2[12] column 1: .*has 2 blocks, 0 to 1"),
        ('text = "./texts"', "", "line 4 column 1: 'small' is trained from scratch, on a text"),
        ("heads = 2", 'heads = 2\nof = "smollm2"', "line 7 column 10: .* and layers is of a model"),
    ],
)
def test_what_no_model_from_nothing_can_have_is_told_before_it_is_trained(texts, old, new, told):
    with pytest.raises(ExperimentError, match=told) as e:
        study(texts, NOTHING.replace(old, new, 1))
    assert "\n" not in str(e.value)
    assert not (texts / "store").exists()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('of = "./base"', 'of = "./bas"', "line 10 column 6: there is no model './bas'"),
        ('prompts = "lesson"', 'prompts = "less"', "there are no prompts 'less'"),
        ('prompts = "lesson"\n', "", "line 8 column 1: give one of prompts and text"),
        ('name = "tuned"', 'name = "learned"', "line 9 column 8: the name 'learned' is taken"),
    ],
)
def test_what_is_wrong_with_a_training_is_one_line_with_its_place(here, old, new, told):
    with pytest.raises(ExperimentError, match=told) as e:
        Lab(here / "store", Inline()).run(study(here, STUDY.replace(old, new, 1)))
    assert "\n" not in str(e.value)
