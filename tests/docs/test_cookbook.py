"""docs/cookbook.md: the lines of each recipe, put where their first line says, are an experiment
whose smoke preset judges every statement.

All recipes but the last two go into the file that `assay new` writes; one is a file of its own, run
on a tiny model and a folder of text, and the last goes into that.
"""

import re
from pathlib import Path

import pytest

import tiny_models
from assay.core.claims import Claim, Exact
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.verbs.new import write_experiment

ROOT = Path(__file__).parents[2]
RECIPE = re.compile(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```py\n# ([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RECIPES = {
    title: BLOCK.findall(text)
    for title, text in RECIPE.findall((ROOT / "docs/cookbook.md").read_text())
}
WHOLE, INTO_IT = "A site of a language model", "Near controls for a dictionary"
ABOVE = {
    "at the top": "\nEXAMPLES = ",
    "in MyClaim": "\n\ndef planted(",
    "above train": "def train(",
    "in measures(": "        angle=(",
    "in arms": "    },\n    measure=",
    "in claims": "    ),\n    figures=",
    "in the first claim": "            # also={",
}
"""Where the lines of a block go in the file that `assay new` writes: above this text."""
ABOVE_THERE = {
    "at the top": "\n\n@dataclass",
    "in MySite": "\n    def text(",
    "in arms": "    },\n    measure=",
}
"""As above, for blocks that go into the file of the recipe `WHOLE`."""


def with_lines(text, place, lines, above=ABOVE):
    """The experiment with a recipe's lines where its block says."""
    if place in above:
        assert text.count(above[place]) == 1
        return text.replace(
            above[place],
            lines.rstrip() + "\n\n\n" + above[place]
            if place == "above train"
            else lines + above[place],
        )
    name = place.removeprefix("in place of ")
    assert name != place and name in text, f"{place}: no such place"
    if name.endswith("="):
        return re.sub(rf"^ *{name}.*\n", lambda _: lines, text, count=1, flags=re.MULTILINE)
    return text.replace(name, lines.strip())


def made(title, folder):
    file = write_experiment("my-claim", folder).path
    text = file.read_text()
    for place, lines in RECIPES[title]:
        text = with_lines(text, place, lines)
    file.write_text(text)
    return file


def judged(file, store, sets=()):
    """What came out of each statement, by its text."""
    experiment = catalogue.find(str(file))
    result = Lab(store, Inline()).run(experiment, override(experiment, "smoke", sets)).to_json()
    told = {
        statement["text"]: statement["outcome"]
        for statement in (*result["verdicts"], *result["exact"])
    }
    assert {s.text for s in experiment.claims if isinstance(s, Claim | Exact)} == set(told)
    return told


@pytest.mark.parametrize("title", [title for title in RECIPES if title not in (WHOLE, INTO_IT)])
def test_a_recipe_runs_in_the_file_that_new_writes(title, tmp_path):
    told = judged(made(title, tmp_path), tmp_path / "store")
    texts = [
        text
        for _, lines in RECIPES[title]
        for text in re.findall(r'^            text="([^"]+)"', lines, re.MULTILINE)
    ]
    assert set(texts) < set(told)
    assert set(told.values()) <= {"undecided", "exact"}, "two seeds decide nothing"


def test_an_arm_drawn_again_shares_no_random_number(tmp_path):
    experiment = catalogue.find(str(made("A null comparison: the same arm, drawn again", tmp_path)))
    result = Lab(tmp_path / "store", Inline()).run(experiment, "smoke")
    flat, again = (result.arms[arm].angle.values for arm in ("flat", "flat-again"))
    assert (flat != again).all()


def site(folder):
    """The text of the recipe `WHOLE`, its file, and settings for a tiny model and a folder of
    text."""
    [(place, lines)] = RECIPES[WHOLE]
    model = tiny_models.make(folder / "model", "llama", max_position_embeddings=128)
    (folder / "text").mkdir()
    for i in range(24):
        (folder / "text" / f"part-{i}.py").write_text(
            tiny_models.TEXT.replace("sum", f"sum of {i}") * 12
        )
    return (
        lines,
        folder / place,
        (f"subject={model}", "site=blocks.1.hook_mlp_out", f"corpus={folder / 'text'}"),
    )


def test_a_site_of_a_language_model(tmp_path):
    lines, file, sets = site(tmp_path)
    file.write_text(lines)
    [outcome] = judged(file, tmp_path / "store", sets).values()
    assert outcome == "undecided"


def test_near_controls_go_into_that_file_and_what_they_freeze_is_frozen(tmp_path):
    lines, file, sets = site(tmp_path)
    for place, more in RECIPES[INTO_IT]:
        lines = with_lines(lines, place, more, ABOVE_THERE)
    file.write_text(lines)
    [outcome] = judged(file, tmp_path / "store", sets).values()
    assert outcome == "undecided", "two seeds decide nothing"
    experiment = catalogue.find(str(file))
    result = Lab(tmp_path / "store", Inline()).run(experiment, override(experiment, "smoke", sets))
    left = {
        name: float(arm.error.sum() / arm.variance.sum())
        for name, arm in result.arms.items()
        if "error" in arm
    }
    assert {"main", "pca", "frozen-decoder", "soft-frozen", "frozen-encoder", "drawn"} <= set(left)
    assert left.pop("soft-frozen") == left["main"], "thirty steps take no row out of its cone"
    assert len(set(left.values())) == len(left), "every other arm is a dictionary of its own"
