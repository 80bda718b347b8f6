"""A study whose claim was reworded keeps what is stored."""

import json
import textwrap

from assay.cli.main import main

HEAD = """
question = "Does width matter?"
seeds = "0:6"
"""
PART = """
[[experiment]]
name = "./own.py"
fields = { inputs = 6, steps = 30, width = [2, 3] }
"""
CLAIM = """
[[claim]]
text = "Narrow ones find their subspace better"
holds = 'main.angle - "width=3/main".angle < -1'
control = ["flat"]
also = { "width=3/flat" = "rival: nothing to find" }
threshold = "plan: a degree"
"""


def write(folder, text, name="asks.toml"):
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def test_a_reworded_claim_does_not_call_what_is_stored_in_question(own, capsys):
    path = write(own, HEAD + PART + CLAIM)
    assert main(["run", path.name, "--executor", "inline"]) == 0
    path.write_text(path.read_text().replace("Narrow ones", "The narrow ones"))
    capsys.readouterr()
    assert main(["plan", path.name, "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["missing"], planned["notes"]) == (0, [])
