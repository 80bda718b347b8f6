"""docs/cookbook.md: the lines of each recipe, put where their first line says, are an experiment whose smoke preset judges every statement.

All recipes but the last go into the file that `assay new` writes; the last is a file of its own, run on a tiny model and a folder of text.
"""

import re
from pathlib import Path

import pytest

import tiny_models
from assay.core.claims import Claim, Exact
from assay.lab import catalogue
from assay.lab.executors import Inline
from assay.lab.lab import Lab
from assay.lab.preset import override
from assay.verbs.new import write_experiment

ROOT = Path(__file__).parents[2]
RECIPE = re.compile(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```py\n# ([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RECIPES = {title: BLOCK.findall(text) for title, text in RECIPE.findall((ROOT / "docs/cookbook.md").read_text())}
WHOLE = "A site of a language model"
ABOVE = {
    "at the top": "\nEXAMPLES = ",
    "in MyClaim": "\n\ndef planted(",
    "above train": "def train(",
    "above return measures(": "    return measures(",
    "in measures(": "        angle=(",
    "in arms": "    },\n    measure=",
    "in claims": "    ),\n    figures=",
}
"""Where the lines of a block go in the file that `assay new` writes: above this text."""


def with_lines(text: str, place: str, lines: str) -> str:
    """The experiment with a recipe's lines where its block says."""
    if place in ABOVE:
        assert text.count(ABOVE[place]) == 1
        return text.replace(ABOVE[place], lines.rstrip() + "\n\n\n" + ABOVE[place] if place == "above train" else lines + ABOVE[place])
    name = place.removeprefix("in place of ")
    assert name != place and name in text, f"{place}: no such place"
    if name.endswith("="):
        return re.sub(rf"^ *{name}.*\n", lambda _: lines, text, count=1, flags=re.MULTILINE)
    return text.replace(name, lines.strip())


def made(title: str, folder: Path) -> Path:
    file = write_experiment("my-claim", folder).path
    text = file.read_text()
    for place, lines in RECIPES[title]:
        text = with_lines(text, place, lines)
    file.write_text(text)
    return file


def judged(file: Path, store: Path, sets: tuple[str, ...] = ()) -> dict[str, str]:
    """What came out of each statement, by its text."""
    experiment = catalogue.find(str(file))
    result = Lab(store, Inline()).run(experiment, override(experiment, "smoke", sets)).to_json()
    told = {statement["text"]: statement["outcome"] for statement in (*result["verdicts"], *result["exact"])}
    assert {s.text for s in experiment.claims if isinstance(s, Claim | Exact)} == set(told)
    return told


def test_the_page_has_the_seven_recipes() -> None:
    assert list(RECIPES) == [
        "Planted data", "An arm like another one, drawn again", "A gate: half as long", "A ratio", "A scope, and a sweep", "Two units", WHOLE,
    ]  # fmt: skip


@pytest.mark.parametrize("title", [title for title in RECIPES if title != WHOLE])
def test_a_recipe_runs_in_the_file_that_new_writes(title: str, tmp_path: Path) -> None:
    told = judged(made(title, tmp_path), tmp_path / "store")
    texts = [text for _, lines in RECIPES[title] for text in re.findall(r'^            text="([^"]+)"', lines, re.MULTILINE)]
    assert set(texts) < set(told)
    assert set(told.values()) <= {"undecided", "exact"}, "two seeds decide nothing"


def test_an_arm_drawn_again_shares_no_random_number(tmp_path: Path) -> None:
    experiment = catalogue.find(str(made("An arm like another one, drawn again", tmp_path)))
    result = Lab(tmp_path / "store", Inline()).run(experiment, "smoke")
    flat, again = (result.arms[arm].angle.values for arm in ("flat", "flat-again"))
    assert (flat != again).all()


def test_a_site_of_a_language_model(tmp_path: Path) -> None:
    [(place, lines)] = RECIPES[WHOLE]
    file = tmp_path / place
    file.write_text(lines)
    model = tiny_models.make(tmp_path / "model", "llama", max_position_embeddings=128)
    (tmp_path / "text").mkdir()
    for i in range(24):
        (tmp_path / "text" / f"part-{i}.py").write_text(tiny_models.TEXT.replace("sum", f"sum of {i}") * 12)
    sets = (f"subject={model}", "site=blocks.1.hook_mlp_out", f"corpus={tmp_path / 'text'}")
    [outcome] = judged(file, tmp_path / "store", sets).values()
    assert outcome == "undecided"
