"""A folder of models into whose weights facts were put, with tables of prompts, and a study of one
of them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "device"))

import planted

ASKED = """question = "Which attention <b>carries</b> the country?"
seeds = "0:2"
[[model]]
name = "./planted"
[[prompts]]
unit = "prompt"
text = "{who} went to {country} the capital is"
file = "capitals.csv"
[[intervene]]
name = "cut"
ablate = "zero"
site = "blocks.{layer}.hook_attn_out"
sweep = { layer = [0, 1] }
[[read]]
name = "right"
log_prob = [" {city}", " {foil}"]
[[claim]]
text = "Block 1 carries it"
holds = "cut.right[layer=1] -  main.right < -2"
threshold = "plan: two nats"
[[estimate]]
text = "What is left"
value = "cut.right[layer=1] / main.right"
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("planted")
    planted.write_all(where)
    planted.write(where / "relay", planted.relay_words(), planted.relay_weights())
    things = ("room", "meal", "film", "town")
    moods = [
        f"{things[i % 4]},{word},{label}"
        for label, words in (("nice", planted.GOOD), ("nasty", planted.BAD))
        for i, word in enumerate(words)
    ]
    (where / "moods.csv").write_text("\n".join(["thing,adjective,label", *moods]))
    speakers = [
        f"{name},{thing},{('first', 'second')[k % 2]}"
        for k, name in enumerate(planted.NAMES)
        for thing in things
    ]
    (where / "speakers.csv").write_text("\n".join(["who,thing,label", *speakers]))
    names = list(planted.CAPITALS)
    rows = [
        (who, c, names[(i + 1 + k) % 8])
        for k, who in enumerate(planted.NAMES[:3])
        for i, c in enumerate(names)
    ]
    lines = [f"{w},{c},{o},{planted.CAPITALS[c]},{planted.CAPITALS[o]}" for w, c, o in rows]
    head = "who,country,other,city,foil"
    (where / "capitals.csv").write_text("\n".join([head, *lines]))
    pairs = [f"{a} and {b}" for a in planted.NAMES for b in planted.NAMES if a != b]
    apart = [line.replace(line.split(",")[0], pairs[i], 1) for i, line in enumerate(lines)]
    (where / "pairs.csv").write_text("\n".join([head, *apart]))
    return where
