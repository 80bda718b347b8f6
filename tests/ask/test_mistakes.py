"""A study with several mistakes is refused once, with all of them; none of these is only a
consequence of another."""

import re

import pytest
from test_study_asks import capitals, folder, planned, study  # noqa: F401 (a fixture)

from assay.cli.main import main
from assay.core.errors import ExperimentError
from assay.lab import catalogue

CUT = capitals('ablate = "zero"\nheads = ["1.1"]')
CLAIM = '\n[[claim]]\ntext = "x"\nholds = "{}"\nthreshold = "plan: x"\n'


def mistakes(path):
    """The line of each mistake, with what is said of it."""
    with pytest.raises(ExperimentError) as refusal:
        catalogue.find(str(path))
    lines = (str(refusal.value), *refusal.value.others)
    assert all(line.startswith(f"{path} line ") and "\n" not in line for line in lines)
    return {int(re.search(r"line (\d+)", line)[1]): line for line in lines}


def line_of(path, text):
    return next(k for k, x in enumerate(path.read_text().splitlines(), 1) if text in x)


def test_unknown_fields_misspelt_names_and_unknown_sites_are_in_one_refusal(folder, capsys):  # noqa: F811
    more = '[[read]] # lens\nname = "lens"\nlogit_lens = " {city}"\n'
    more += 'site = "blocks.77.hook_resid_post"\n'
    more += '[[intervene]]\nname = "steered"\nadd = "prase"\nsite = "blocks.1.hook_resid_pre"\n'
    more += CLAIM.format("changd.right - main.right < -1") + CLAIM.format("main.rigth > 1")
    more += CLAIM.format("main.right > wide")
    wrong = CUT.replace('name = "right"\n', 'name = "right"\npostion = -1\n') + more
    path = study(folder, "wrong", wrong, "steered.right > 1")
    wanted = {
        "postion": "did you mean position",
        "[[read]] # lens": "blocks.77.hook_resid_post does not exist",
        '"prase"': "no direction 'prase'",
        "changd": "no arm 'changd'; did you mean changed?",
        "rigth": "did you mean right?",
        "wide": "one side must be a number",
    }
    found = mistakes(path)
    assert {*found} == {line_of(path, text) for text in wanted}
    for text, words in wanted.items():
        assert words in found[line_of(path, text)]
    for command in ("plan", "run"):
        assert main([command, str(path)]) == 2
        printed = capsys.readouterr().err.splitlines()
        assert sorted(int(re.search(r"line (\d+)", x)[1]) for x in printed) == sorted(found)


def test_a_level_that_is_not_swept_is_reported_at_the_claim_with_those_there_are(folder):  # noqa: F811
    """In studies whose controls are measured at the levels that claims name."""
    swept = CUT.replace('ablate = "zero"', 'ablate = "zero"\nsweep = { layer = [0, 2] }')
    swept = re.sub(r"heads = .*", 'site = "blocks.{layer}.hook_attn_out"', swept)
    path = study(folder, "level", swept, "changed.right[layer=1] < 1")
    (line,) = mistakes(path).items()
    assert line[0] == line_of(path, "holds =")
    assert "changed.right has no layer 1; it has 0, 2" in line[1]


def test_what_follows_from_a_mistake_is_not_reported(folder):  # noqa: F811
    """An arm that is wrong itself takes the claims that name it, or nearly name it, with it."""
    wrong = CUT.replace('"zero"', '"zeros"') + CLAIM.format("changd.right < 1")
    path = study(folder, "follows", wrong, "changed.right < 1")
    assert {*mistakes(path)} == {line_of(path, 'name = "changed"')}


def test_one_mistake_is_one_line_and_a_good_study_is_none(folder):  # noqa: F811
    path = study(folder, "one", CUT, "changed.right - main.wright < 1")
    assert len(mistakes(path)) == 1
    assert planned(folder, "none", CUT, "changed.right - main.right < 1")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('heads = ["1.1"]', 'site = "blocks.{layer}.hook_attn_out"', 'sweep = { layer = "0:30" }'),
        (
            'heads = ["1.1"]',
            'heads = ["1.1"]\nsweep = { layer = "0-2" }',
            "a range or a list, as in",
        ),
        ("[[model]]", "seeds = 8\n[[model]]", 'for eight seeds, write "1000000:1000008"'),
        ('"It is so"', '"It is so', "has to be closed on the same line"),
        ("right < 1", "right =< 1", "<= is written for =<"),
    ],
)
def test_a_slip_is_answered_with_what_to_write(old, new, words, folder):  # noqa: F811
    path = study(folder, "slip", CUT, "changed.right < 1")
    written = path.read_text()
    assert old in written
    path.write_text(written.replace(old, new))
    with pytest.raises(ExperimentError, match=re.escape(words)):
        catalogue.find(str(path))


@pytest.mark.parametrize(
    ("holds", "words"),
    [
        (
            "main.share > 70",
            "is always from 0 to 1, so the claim is false whatever is measured; "
            "write a percentage as a share, 0.7",
        ),
        ("changed.share < 2", "is always from 0 to 1, so the claim is true"),
        ("main.share - changed.share < -1.5", "is always from -1 to 1, so the claim is false"),
        ("main.share - changed.share > 0.5", ""),
        ("changed.share < 1", ""),
    ],
)
def test_a_threshold_beyond_all_values_is_refused(holds, words, folder):  # noqa: F811
    reads = '[[read]]\nname = "share"\naccuracy = [" {city}", " {foil}"]\n'
    path = study(folder, "beyond", CUT + reads, holds)
    if not words:
        assert catalogue.find(str(path)).claims
        return
    with pytest.raises(ExperimentError, match=re.escape(words)):
        catalogue.find(str(path))


def test_the_first_prompts_are_called_main(folder):  # noqa: F811
    named = CUT.replace("[[prompts]]", '[[prompts]]\nname = "plain"')
    path = study(folder, "first", named, "plain.right - changed.right > 1")
    with pytest.raises(ExperimentError, match=r"arm 'plain'; the first .* so write main"):
        catalogue.find(str(path))
