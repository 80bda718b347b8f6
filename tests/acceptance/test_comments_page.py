"""What docs/comments.md says of five comments is what the catalogue's records show."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/comments.md").read_text()
NUMBER = r"[−\d.]+(?:e−\d+)?"
LEAD = "Gated's lead over 1.5 × ReLU with rescale & shift, "
TWO = "Share of seeds with two drops or more at rank "


def entry(number):
    """The entry of a comment."""
    return re.search(rf"^- \*\*{number}\.\*\* .*\n(?:  .*\n)+", PAGE, re.M)[0]


def shown(number):
    """The estimates of an entry with their intervals, in its order."""
    found = re.findall(
        rf"({NUMBER}) \[({NUMBER}), ({NUMBER})\]", entry(number).replace("\xa0", " ")
    )
    return [tuple(float(x.replace("−", "-")) for x in three) for three in found]


def recorded(name, words):
    """The estimate of a record whose text begins with these words, with its interval."""
    record = json.loads((ROOT / f"catalogue/records/{name}.json").read_text())
    lines = [*record["verdicts"], *record["findings"]]
    (line,) = [line for line in lines if line["text"].startswith(words)]
    return line["estimate"], line["low"], line["high"]


@pytest.mark.parametrize(
    ("number", "answer"),
    [(7, "In part"), (26, "Yes"), (27, "No"), (35, "In part"), (36, "Not tested")],
)
def test_answer_is_to_what_was_asked(number, answer):
    """Truth: the comments themselves, read against the records of the next test."""
    assert re.search(r"^  - \*\*([A-Za-z ]+)", entry(number), re.M)[1] == answer


@pytest.mark.parametrize(
    ("number", "name", "words"),
    [
        (7, "gated-sae", f"{LEAD}3 × as wide"),
        (7, "gated-sae", f"{LEAD}in full"),
        (7, "gated-sae.gemma", f"{LEAD}3 × as wide"),
        (7, "gated-ablations", "Gated leads repaired ReLU"),
        (7, "gated-sae.long", "At equal cost and L0"),
        (26, "s-curves", f"{TWO}2, a drop at least 0.02 of the fastest: cross"),
        (26, "s-curves", f"{TWO}2, a drop at least 0.02 of the fastest: squared"),
        (26, "s-curves", f"{TWO}1, a drop at least 0.02 of the fastest: cross"),
        (27, "myopia", "(c) A limited horizon is not myopia"),
        (35, "dictionary-weights", "Read by neuron"),
        (35, "dictionary-weights", "Features are denser than random rows"),
        (36, "autointerp-io", "On that token: how much better that tells firing"),
    ],
)
def test_entry_shows_the_recorded_number(number, name, words):
    """Truth: the record, to the digits that the page shows."""
    truth = recorded(name, words)
    assert any(three == pytest.approx(truth, rel=0.05, abs=5e-4) for three in shown(number))
