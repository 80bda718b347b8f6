"""A study's file is read as data; what is wrong with it is told with line and column, and what
would be right."""

import textwrap

import pytest

from assay.ask.text import position, read
from assay.core import sources
from assay.core.errors import ExperimentError
from assay.lab.store.origin import STUDIES

GOOD = """\
question = "Is it so?"
seeds = "0:6"

[[experiment]]
name = "own.py"
fields = { width = [2, 4] }

[[claim]]
text = "It is"
holds = "main.angle < 10"
control = ["flat"]

[[claim]]
text = "It is not"
holds = "main.angle > 10"
control = ["flat"]
[claim.where]
width = 4
"""
MISSPELT = GOOD.replace("holds =", "hold =", 1)


def refused(tmp_path, text, name="asks.toml"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    with pytest.raises(ExperimentError) as caught:
        read(path)
    told = str(caught.value)
    assert "\n" not in told
    return told


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        (("question",), (1, 12)),
        (("seeds",), (2, 9)),
        (("experiment", 0, "name"), (5, 8)),
        (("experiment", 0, "fields"), (6, 10)),
        (("claim", 0, "holds"), (10, 9)),
        (("claim", 1, "holds"), (15, 9)),
        (("claim", 1, "where"), (17, 1)),
        (("claim", 1, "published"), (13, 1)),  # not there: its table
        (("claim", 0), (8, 1)),
    ],
)
def test_places_are_those_that_an_editor_shows(keys, place):
    line, column = place
    assert position(GOOD, keys) == place
    assert GOOD.splitlines()[line - 1][column - 1] not in " ="


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('written = "loops"', 'written = "upper"', "read[1].written: expected one of loss, "),
        ('"cut"', '"cut"\nposition = 2.5', "expected an integer, a string or a list, got 2.5"),
        ('of = "neurons"', 'of = "neuron"', "top.of: expected one of heads, neurons, latents, got"),
    ],
)
def test_a_name_that_is_none_of_several_is_refused_with_all_of_them(tmp_path, old, new, says):
    text = """question = "?"
[[model]]
name = "gpt2"
[[prompts]]
text = "a"
[[read]]
name = "up"
written = "loops"
[[intervene]]
name = "cut"
ablate = "zero"
top = { n = 2, of = "neurons" }
"""
    assert says in refused(tmp_path, text.replace(old, new))


def test_a_string_for_a_list_is_not_answered_by_a_sweep(tmp_path):
    said = refused(tmp_path, GOOD + '[[model]]\ncheckpoints = "./step-100"\n')
    assert said.endswith("model[1].checkpoints: expected a list, got a string")


def test_in_markdown_lines_are_those_of_the_file(tmp_path):
    path = tmp_path / "asks.md"
    path.write_text(f"+++\n{GOOD}+++\n\n# Why\nBecause.\n")
    text = read(path)
    assert text.page == "# Why\nBecause."
    assert text.at("claim", 1, "holds").endswith("asks.md line 16 column 9")
    assert "begins with TOML between two lines +++" in refused(tmp_path, "# Why\n", "other.md")


@pytest.mark.parametrize(
    ("told", "wrong"),
    {
        "line 10 column 8: claim[1] has no field hold; did you mean holds?": MISSPELT,
        "line 4 column 1: experiment[1] lacks name": GOOD.replace('name = "own.py"\n', ""),
        "write [[train]] with of, prompts, only": '[[model]]\nname = "m"\nweights = { rome = 1 }\n'
        + GOOD,
        "write sweep = { strength = [ … ] }": '[[intervene]]\nname = "k"\nstrength = "{n}"\n'
        + GOOD,
        "it takes no slot of a sweep, as n": '[[intervene]]\nname = "k"\n'
        'top = { n = 1, of = "heads", steps = "{n}" }\n' + GOOD,
        "line 1: a number of 5,000 digits is too large": f"budget = {'9' * 5000}\n",
        "line 2: a key of 64 parts; a study's have two": "\n" + ".".join(["a"] * 50_000) + " = 1",
        "line 1: a key of 64 parts": "[" + '"a b" . ' * 50_000 + "c]",
    }.items(),
)
def test_each_refusal_names_the_line_and_what_would_be_right(tmp_path, wrong, told):
    assert told in refused(tmp_path, wrong)


def test_a_refusal_of_a_table_names_the_place_of_the_value_that_it_quotes(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(GOOD)
    text = read(path)
    assert str(text.error(("claim", 1), "no 'main.angle > 10'")).startswith(
        f"{text.at('claim', 1, 'holds')}: "
    )
    assert str(text.error(("claim", 1), "no 'main.angle > 11'")).startswith(text.at("claim", 1))


@pytest.mark.parametrize("heads", ['[["5.0"]]', "[5.0]", '"5.0"'])
def test_heads_that_are_no_strings_are_refused_with_the_form(tmp_path, heads):
    path = tmp_path / "heads.toml"
    table = f'[[intervene]]\nname = "cut"\nablate = "zero"\nheads = {heads}\n'
    path.write_text(f'question = "?"\n[[model]]\nname = "smollm2"\n{table}')
    with pytest.raises(ExperimentError, match=r'block and head, as in heads = \["5.0"\]'):
        read(path)


def test_no_text_is_run(tmp_path):
    """A study is data: a condition that is Python and nothing else is refused, not evaluated."""
    from assay.ask.wording import condition
    from assay.core.errors import ClaimError

    with pytest.raises(ClaimError):
        condition("__import__('os').system('true') > 0")


def test_every_ending_of_a_study_has_a_reader_and_no_other_has(tmp_path):
    """Whoever imports any of Assay has it, workers too: the package registers it."""
    for ending in STUDIES:
        path = tmp_path / f"asks{ending}"
        fence = "+++\n" if ending == ".md" else ""
        path.write_text(f'{fence}question = "Is it so?"\n{fence}')
        assert sources.reader(path).header(path).title == "Is it so?"
    with pytest.raises(ExperimentError, match="nothing reads"):
        sources.reader(tmp_path / "asks.yaml")


@pytest.mark.parametrize(
    ("position", "tokens"),
    {
        '"4:10"': tuple(range(4, 10)),
        '":3"': (0, 1, 2),
        '"-3:"': (-3, -2, -1),
        '"-5:-2"': (-5, -4, -3),
        '["1:3", "{country}", -1]': (1, 2, "{country}", -1),
        '"4:"': "4:",  # which tokens these are depends on the prompt
        '"2:-2"': "2:-2",
        '"5:5"': "5:5",
        "[3, 4, 5]": (3, 4, 5),
    }.items(),
)
def test_a_range_of_tokens_is_every_token_in_it(tmp_path, position, tokens):
    path = tmp_path / "asks.toml"
    path.write_text(
        f"""
[[read]]
name = "long"
norm = true
position = {position}
[[intervene]]
name = "cut"
ablate = "mean"
source_position = {position}
[[intervene]]
name = "blind"
block = {{ to = {position} }}
"""
    )
    found = read(path).study
    cut, blind = found.intervene
    assert found.read[0].position == cut.source_position == blind.block.to == tokens
