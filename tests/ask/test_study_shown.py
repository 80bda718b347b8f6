"""What the page of a study says beside its numbers: what was measured of what, in which unit, and
the study itself; and nothing of papers or trained runs where it has neither."""

import base64
import csv
import re
from html import unescape
from pathlib import Path

import pytest
from msgspec.structs import replace
from test_study_asks import folder  # noqa: F401 (a fixture)

from assay.ask.contents import spoken_scope
from assay.ask.measure.prompts import load
from assay.ask.part import at_levels
from assay.ask.shown import _example
from assay.ask.tables import Intervention, Probe, Prompts, Read
from assay.ask.text import Study
from assay.cli.main import main
from assay.core.errors import ExperimentError
from assay.lab import catalogue
from planted_folder import ASKED


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):  # noqa: F811
    """The page of a study that was run, without its tags."""
    path, place = folder / "carries.toml", tmp_path_factory.mktemp("carries")
    path.write_text(ASKED)
    at = ["--root", str(place / "s")]
    assert main(["run", str(path), *at, "--executor", "inline"]) == 0
    assert main(["report", str(path), *at, "--out", str(place)]) == 0
    return (place / "carries.html").read_text()


def visible(html):
    """The text of a page before its raw specs and JSON."""
    return unescape(re.sub("<[^>]+>", "", html[: html.index("<summary>provenance")]))


def test_the_study_is_there_as_it_was_written_with_its_first_prompts(page, folder):  # noqa: F811
    block = re.search(r'<details id="study">.*?</details>', page, re.S).group()
    assert ASKED.strip() in unescape(block) and "<b>" not in block
    assert block.count("went to") == 1 + 3
    text = visible(page)
    assert 'right: log P(" {city}") − log P(" {foil}") after the prompt, over all tokens' in text
    first = re.search(r"The first prompt: anna went to (\w+) the capital is", text)[1]
    with (folder / "capitals.csv").open() as file:
        cities = {row["country"]: row["city"] for row in csv.DictReader(file)}
    whose = (
        "right: above 0 where the row's city is more probable than its foil, and below 0 otherwise"
    )
    assert f'{whose}; in the first row: " {cities[first]}", ' in text
    assert "the row's <code>city</code>" in unescape(page), "which is the name of a column"


def test_a_page_has_the_number_of_each_prompt_whose_mean_is_the_estimate(page):
    link = re.search(r'numbers\.csv" href="[^,]*,([^"]*)">the numbers of each prompt', page)
    listed = list(csv.DictReader(base64.b64decode(link[1]).decode().splitlines()))
    own = [row for row in listed if row["role"] == "claim"]
    assert all("went to" in row["text"] for row in own) and {row["arm"] for row in own} == {"cut"}
    assert [int(row["level"]) for row in own] == list(range(1, len(own) + 1))
    mean = sum(float(row["number"]) for row in own) / len(own)
    value = re.search(r"<p><b>(\S+)</b> \[[^]]*\][^,]*, (\d+) prompts; holds if", unescape(page))
    assert float(value[1].replace("−", "-")) == pytest.approx(mean, rel=0.02)
    assert int(value[2]) == len(own)


def test_sites_stand_at_their_levels_and_no_slot_of_a_sweep_is_left(page):
    said = visible(page.replace(re.search(r'<details id="study">.*?</details>', page, re.S)[0], ""))
    assert "zero ablation at blocks.0.hook_attn_out and blocks.1.hook_attn_out" in said
    assert "changed at blocks.1.hook_attn_out" in said, "as the claim reads this level alone"
    assert "{layer}" not in said
    assert "{layer}" not in " ".join(re.findall('data-how="[^"]*"', page))
    assert at_levels("at a.{l}.b, c", {"l": range(2, 9)}) == "at a.2.b to a.8.b, c"
    assert at_levels("head {l}.{h}.", {"l": (0, 1), "h": (3,)}) == "head 0.3 and 1.3."
    both = {"l": range(30), "h": range(9)}
    assert at_levels("head {l}.{h} (z), {who}", both) == ("head 0 to 8 of block 0 to 29 (z), {who}")
    some = {"block": [20, 22, 24, 26], "head": range(9)}
    words = "head 0 to 8 of block 20, 22, 24 and 26"
    assert at_levels("head {block}.{head}", some) == words
    other = "at blocks.20.x.0 to blocks.26.x.8 (block 20, 22, 24 and 26 × head 0 to 8)"
    assert at_levels("at blocks.{block}.x.{head}", some) == other
    steps = {"l": range(0, 30, 5)}
    assert at_levels("at a.{l}", steps) == "at a.0 to a.25 (l 0, 5, 10, 15, 20 and 25)"
    every = ", ".join(f"blocks.{n}.{site}" for site in ("a.x", "b") for n in range(30))
    assert at_levels(every, {}) == "blocks.0.a.x to blocks.29.a.x, blocks.0.b to blocks.29.b"
    few = "blocks.3.b, blocks.9.b"
    assert at_levels(few, {}) == few


def test_no_paper_and_no_training_are_spoken_of(page):
    said = visible(page)
    assert "New: no paper" not in said and ">published</th>" not in page
    assert "a study of" not in page
    assert "trained runs" not in said
    assert "for this model and prompts like these" in said


def test_a_paper_that_a_study_names_is_compared(folder, tmp_path):  # noqa: F811
    path = folder / "carries.toml"
    path.write_text(ASKED.replace('nats"\n', 'nats"\nsource = "A paper, 2024"\n'))
    at = ["--root", str(tmp_path / "s"), "--executor", "inline"]
    assert main(["run", str(path), "--preset", "smoke", *at]) == 0
    assert main(["report", str(path), "--preset", "smoke", *at[:2], "--out", str(tmp_path)]) == 0
    assert "New: no paper" in visible((tmp_path / "carries-smoke.html").read_text())


def test_a_claim_without_any_control_is_refused_in_the_words_of_studies(folder):  # noqa: F811
    path = folder / "alone.toml"
    path.write_text(ASKED.replace("sweep =", "controls = []\nsweep ="))
    with pytest.raises(ExperimentError, match=r"line 18 .*: a verdict needs a control") as told:
        catalogue.find(str(path))
    assert 'write control = ["…"]' in str(told.value)
    assert "must_fail" not in str(told.value)


def test_the_scope_of_a_claim_names_the_sites_of_its_own_reads():
    reads = (
        Read(name="right", log_prob=" Paris"),
        Read(name="size", norm=True, site="blocks.5.hook_resid_post"),
    )
    study = Study(question="?", read=reads)
    words = "gpt2, 9 prompts, read at blocks.5.hook_resid_post"
    assert spoken_scope(study, words, "main.right > 1") == "gpt2, 9 prompts"
    assert spoken_scope(study, words, "main.size > 1") == words
    assert spoken_scope(study, words, "mean(main.size) - main.right > 1") == words


def test_the_scope_of_a_statement_has_the_levels_of_its_own_sweep():
    """A probe and a patch may sweep the same slot over different layers."""
    site = "blocks.{layer}.hook_resid_post"
    probe = Probe(name="east", label="part", site=site, sweep={"layer": (12, 25)})
    patch = Intervention(name="patched", patch="corrupted", site=site, sweep={"layer": (1, 5, 9)})
    study = Study(question="?", intervene=(patch,), probe=(probe,))
    words = "gpt2, changed at blocks.{layer}.hook_resid_post"
    for condition, levels in (
        ("mean(patched.right, over=layer) > 1", (1, 5, 9)),
        ("patched.right[layer=5] > 1", (5,)),
        ("mean(east.accuracy, over=layer) > 0.5", (12, 25)),
    ):
        assert spoken_scope(study, words, condition) == at_levels(words, {"layer": levels})


def test_a_gradient_times_an_activation_has_the_unit_of_what_it_is_of(folder, tmp_path, capsys):  # noqa: F811
    path = folder / "gradients.toml"
    given = ASKED[: ASKED.index("[[intervene]]")] + ASKED[ASKED.index("[[read]]") :]
    each = (
        '[[read]]\nname = "each"\ngradient = "right"\nheads = ["{block}.{head}"]\n'
        "sweep = { block = [0, 1], head = [0, 1] }\n"
    )
    asked = '[[estimate]]\ntext = "Each"\nvalue = "main.each"\nover = ["block", "head"]\n'
    path.write_text(given[: given.index("[[claim]]")] + each + asked)
    at = ["--root", str(tmp_path / "s")]
    assert main(["plan", str(path), *at]) == 0
    told = capsys.readouterr().out
    assert "Scope of the estimates: " in told and "erdicts" not in told, "it has no claim"
    assert main(["run", str(path), *at, "--executor", "inline"]) == 0
    assert main(["report", str(path), *at, "--out", str(tmp_path)]) == 0
    html = (tmp_path / "gradients.html").read_text()
    text = visible(html)
    assert "each: gradient of right times the activation of head 0.0, 0.1, 1.0 and 1.1" in text
    assert "; for block" not in text, "the levels are named once"
    legends = re.findall(r">(nats|main\.each)</text>", html)
    assert legends and {*legends} == {"nats"}


def test_the_first_prompt_has_the_text_that_it_is_patched_from_and_what_its_numbers_compare():
    table = Prompts(
        text="In {place} is",
        rows=({"place": "Rome", "far": "Oslo"}, {"place": "Bern", "far": "Bonn"}),
    )
    paired = [load(replace(table, corrupted="In {far} is"), Path())]
    named = [load(replace(table, rows=({"place": "Rome", "corrupted": "In Bonn is"},)), Path())]
    patch = Intervention(name="patched", patch="corrupted", site="blocks.0.hook_resid_pre")
    reads = (
        Read(name="lead", logit=(" {place}", " {far}")),
        Read(name="right", accuracy=(" {place}", (" {far}", " Bonn"))),
        Read(name="likely", log_prob=" {place}"),
        Read(name="unsure", entropy=True),
    )
    shown = [*_example(Study(intervene=(patch,), read=reads), paired, ())]
    assert shown == [
        ("The text that it is patched from:", "In Oslo is"),
        (
            "lead: above 0 where the first token of the row's `place` is more probable than the "
            'first token of its `far`, and below 0 otherwise; in the first row: " Rome", " Oslo"',
            "",
        ),
        (
            'right: 1 where the row\'s `place` is more probable than its `far` or " Bonn", and '
            'else 0; in the first row: " Rome", " Oslo" or " Bonn"',
            "",
        ),
        ('likely: of the row\'s `place`; in the first row: " Rome"', ""),
    ]
    fixed = replace(reads[0], logit=(" {place}", " Oslo"))
    *_, (words, _) = _example(Study(read=(fixed,)), paired, ())
    assert 'the row\'s `place` is more probable than the first token of " Oslo", and' in words
    alone = [load(replace(table, rows=table.rows[:1]), Path())]
    assert "row" not in next(_example(Study(read=reads[2:]), alone, ()))[0]
    *_, (unsure, _) = _example(Study(read=reads), paired, ["mean(patched.unsure) > 1"])
    assert unsure.startswith("unsure: ")  # which has no answers, but is what the claim is about
    assert next(_example(Study(intervene=(patch,)), named, ()))[1] == "In Bonn is"
    other = Intervention(name="swapped", patch="other", source="far", site=patch.site)
    far = load(Prompts(name="far", rows=({"text": "In Kyiv is"},)), Path())
    (line,) = _example(Study(intervene=(other,)), [load(table, Path()), far], ())
    assert line == ("swapped: activations of another prompt, such as", "In Kyiv is")
