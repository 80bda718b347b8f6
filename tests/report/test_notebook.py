"""In a notebook figures are pictures, results tables, long work a bar; outside of one nothing is
drawn and no bar shown."""

import re
import types
from html.parser import HTMLParser

import pytest
import sample

from assay import notebook
from assay.core import display as shown
from assay.core.figures import Figure
from assay.evaluation.evaluating import without_shares
from assay.evaluation.result import Evaluation
from assay.evaluation.summary import NOTHING_PREDICTED
from assay.report import evaluations

FIGURE = Figure("t", {"x": [1, 2], "y": [3, 4]}, "points", x="x", y="y")


TWO = {"a": "1.", "b": "2.", "c": "2.1"}


class Balanced(HTMLParser):
    """Every tag closed in order; collects tags and visible text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if self.open[-1:] != ["style"] else ""


def evaluation():
    measure = {"estimate": 0.25, "low": 0.2, "high": 0.3, "n": {"document": 9}, "why": ""}
    read = {"tokens": 90, "tokens_read": 96, "documents": 9, "windows": 12, "tokens_ablated": 0}
    entry = {
        **read,
        **{"site": "s", "site_out": "s", "part": "all", "context": 8, "bos": False},
        "measures": {
            "l0": {**measure, "estimate": 12.0, "low": 11.0, "high": 13.0},
            "fvu": measure,
        },
        "width": 4,
        "notes": ["the clean loss is that of a guess"],
    }
    histogram = {"log10": [], "features": []}
    dead = {"dead": {**measure, "estimate": 0.0}}
    entry |= {"histogram": histogram, "measures": entry["measures"] | dead}
    entries = [{**entry, "name": name} for name in ("mine", "<b>yours</b>")]
    said = {"model": "m", "text": "docs", "setting": {"skip_first": 1, "outlier": 0, "tokens": 100}}
    return Evaluation({**said, "dictionaries": entries})


def test_dictionaries_that_fire_unlike_share_the_axes_of_their_histogram():
    data = evaluation().data
    first, second = data["dictionaries"]
    first = {**first, "histogram": {"log10": [-1.0, -0.5, 0.25], "features": [3, 1, 0]}}
    second = {**second, "histogram": {"log10": [-2.0, -1.0], "features": [2, 2]}}
    *_, drawn = Evaluation({**data, "dictionaries": [first, second]}).figures
    assert drawn.mark == "bars" and drawn.facet == "dictionary"
    assert drawn.columns["share"] == [1, 10, 32] * 2  # %, and none above 100
    assert drawn.columns["features"] == [0, 3, 1, 2, 2, 0]
    *_, alone = Evaluation({**data, "dictionaries": [second]}).figures
    assert alone.facet is None and alone.columns["features"] == [2, 2]
    none = Evaluation({**data, "dictionaries": evaluation().dictionaries})
    assert all(f.mark != "bars" for f in none.figures)


def result(figures):
    speaks = ("scope: over 6 seeds",)
    return types.SimpleNamespace(data=sample.result(), figures=figures, speaks=speaks)


def dictionary():
    torch = pytest.importorskip("torch")
    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.nonlinearity import ReLU

    return Dictionary(
        torch.zeros(1, 8, 32),
        torch.zeros(1, 32),
        torch.zeros(1, 32, 8),
        torch.zeros(1, 8),
        ReLU(),
        sites=("blocks.9.hook_resid_pre",),
    )


def test_a_results_table_has_tags_that_are_obeyed_and_text_that_is_not():
    said = Balanced(str(notebook.result(result([FIGURE]))))
    text = re.sub(r"\s+", " ", said.text)
    assert sample.HOSTILE in text
    assert "script" not in said.tags
    assert said.tags.count("svg") == 1
    assert not re.search(r"<(br|b|i|em|span|p)\b", text)
    assert "1 estimate without a verdict" in text
    assert text.count("● holds") == 3
    assert "3 hold" in text
    assert "exploratory: nothing was frozen before the run" in text


def test_an_evaluation_and_a_dictionary_are_small_tables():
    said = Balanced(evaluation()._repr_html_())
    assert "<b>yours</b>" in said.text
    assert "b" not in said.tags
    assert "0.25 [0.20, 0.30]" in said.text
    assert "mine, <b>yours</b>: the clean loss is that of a guess" in said.text
    cut = (
        "90 of 96 tokens (--tokens reads at most 100) from 9 documents of the text docs, in windows"
    )
    assert f"{cut} of 8 tokens" in said.text
    whole = evaluation().data | {"setting": {"skip_first": 1, "outlier": 0, "tokens": 200}}
    assert "90 of 96 tokens from 9 documents" in evaluations.setting(whole)[0]
    few = {"low": None, "high": None, "why": "too few documents: 5, an interval needs 6"}
    entry = evaluation().dictionaries[0]
    entry = entry | {"measures": {name: m | few for name, m in entry["measures"].items()}}
    needed = "at least 6 documents are needed, and there are 5"
    assert evaluations.without_interval([entry]) == {
        few["why"]: f"No measure has an interval: {needed}"
    }
    alone = Evaluation({**evaluation().data, "dictionaries": [entry]})
    text = Balanced(str(notebook.evaluation(alone))).text
    assert text.count(needed) == 1 and "none" not in text
    kept = entry["measures"] | {"fvu": evaluation().dictionaries[0]["measures"]["fvu"]}
    (line,) = evaluations.without_interval([entry | {"measures": kept}]).values()
    assert line == f"No interval of L0, dead features: {needed}"
    none = {"estimate": None, "low": None, "high": None, "why": "the model predicts nothing here"}
    unknown = {n: m | none for n, m in entry["measures"].items() if n != "l0"}
    reasons = evaluations.without_interval([entry | {"measures": entry["measures"] | unknown}])
    assert reasons[none["why"]] == f"No estimate of FVU, dead features: {none['why']}"
    measured = entry["measures"] | {"loss_recovered_zero": entry["measures"]["l0"]}
    guessing, able = (
        evaluations.headline(without_shares(entry | {"measures": measured, "notes": notes}))
        for notes in ([NOTHING_PREDICTED], [])
    )
    assert f"FVU 0.25 on {entry['tokens']:,} tokens" in able
    assert "L0" in guessing and "loss recovered (zero)" in able
    assert "loss" not in guessing
    said = Balanced(dictionary()._repr_html_())
    assert "32 of 8 dimensions" in said.text
    assert "ReLU" in said.text
    assert "blocks.9.hook_resid_pre" in said.text


NONE = "rgba(0, 0, 0, 0)"


class Handle:
    def __init__(self):
        self.drawn = []

    def update(self, value):
        self.drawn.append(value._repr_html_())


@pytest.fixture
def kernel(monkeypatch):
    """An IPython with a kernel, which keeps what is displayed."""
    handle = Handle()

    def display(value, display_id):
        handle.update(value)
        return handle

    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(
        shown.sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell)
    )
    monkeypatch.setitem(
        shown.sys.modules, "IPython.display", types.SimpleNamespace(display=display)
    )
    return handle


def test_outside_of_a_notebook_nothing_follows(monkeypatch):
    monkeypatch.delitem(shown.sys.modules, "IPython", raising=False)
    assert shown.follower() is None
    # IPython in a terminal has no kernel
    terminal = types.SimpleNamespace(get_ipython=types.SimpleNamespace)
    monkeypatch.setitem(shown.sys.modules, "IPython", terminal)
    assert shown.follower() is None


def test_an_evaluation_is_followed_to_its_end(kernel):
    bar = shown.follower()
    for done in range(0, 101, 10):
        bar(done, 100)
    assert 2 <= len(kernel.drawn) <= 4  # not every step, but the first and the last
    assert 'value="100" max="100"' in kernel.drawn[-1]
    assert "100 of 100 tokens" in kernel.drawn[-1]


def test_a_run_is_followed_by_the_runs_that_are_stored(kernel):
    from assay.lab.work import events

    bar = shown.follower()
    plan = types.SimpleNamespace(rows=[0] * 5, missing=[0] * 3)
    for event in (
        events.Planned(plan, 1),
        events.Progress("g", ("main",), 30, 100),
        events.Said("a line"),
        events.Saved("g", ("main",), 5, 5),
    ):
        bar(event)
    assert 'value="2" max="5"' in kernel.drawn[0]
    assert "5 of 5 runs stored" in kernel.drawn[-1]


def test_a_run_that_is_stored_already_shows_no_bar(kernel):
    from assay.lab.work import events

    shown.follower()(events.Planned(types.SimpleNamespace(rows=[0], missing=[]), 0))
    assert kernel.drawn == []


def test_rows_of_an_ablation_of_part_of_the_text_say_on_how_much_of_it():
    estimate = {"estimate": 0.5, "low": 0.4, "high": 0.6, "why": ""}
    names = ("ce_clean", "ce_mean", "loss_recovered_mean")
    entry = {"name": "d", "measures": dict.fromkeys(names, estimate), "context": 128}
    entry |= {"windows": 46, "tokens_read": 5888, "tokens_ablated": 1408}
    assert [on for on, _ in evaluations.side_by_side([entry])] == [
        "loss, clean (nats)",
        "loss, mean ablated (nats) on 11 of 46 windows",
        "loss recovered (mean) on 11 of 46 windows",
    ]
    counted = evaluations.side_by_side([entry | {"compared": {"tokens": 1396}}])
    assert counted[2][0] == "loss recovered (mean) on 1,396 tokens"
    large = {"estimate": 31096.2, "low": 29989.0, "high": 32294.0, "why": ""}
    shown_row = evaluations.row("mse", large)
    assert (shown_row.estimate, shown_row.interval) == ("31,096", "[29,989, 32,294]")
    whole = evaluations.side_by_side([entry | {"tokens_ablated": 5888}])
    assert whole[2][0] == "loss recovered (mean)"


def test_percentages_have_the_digits_that_tell_them_apart():
    def percent(*numbers, **within):
        shares = {str(i): {"estimate": x, **within} for i, x in enumerate(numbers)}
        return [*evaluations.amounts(shares).values()]

    def read(*numbers):
        return [float(x.replace("\u2212", "-").rstrip("%")) / 100 for x in percent(*numbers)]

    for numbers in ((0.00077, 0.0003, 0.0011), (0.382, 0.371, 0.39)):
        shown = read(*numbers)
        assert len({*shown}) == 3
        assert shown == pytest.approx(numbers, abs=5e-4)
    assert percent(0.9997935) == ["99.98%"]  # and not all of it
    assert percent(0.9997935, low=0.93, high=1.0) == ["99.98%"]
    assert percent(1.0) == ["100.0%"]
    assert percent(0.0) == ["0.0%"]
    known = {"low": 0.9998, "high": 1.0002}  # two hundredths of a percent on either side
    assert percent(1.000005, **known) == ["100.0%"]
    assert percent(1.000005) == ["100.00%"], "without an interval no digit is known"
    assert percent(0.7536, low=0.71, high=0.80) == ["75%"]
    shares = {
        "dictionary": {"estimate": 0.9999, "low": 0.9998, "high": 1.0},
        "random": {"estimate": 0.9996, "low": 0.998, "high": 1.0002},
    }
    assert [*evaluations.amounts(shares).values()] == ["99.99%", "99.96%"], "and neither is all"
    shares["dictionary"] = {"estimate": 0.963, "low": 0.949, "high": 0.976}
    shares["random"] = {"estimate": 0.76, "low": 0.72, "high": 0.79}
    assert [*evaluations.amounts(shares).values()] == ["96%", "76%"], "with equally many digits"
    ahead = {"estimate": -0.01471, "low": -0.01516, "high": -0.0143}
    assert evaluations.difference(ahead) == "1.47% [1.43%, 1.52%]"
    assert evaluations.difference({"estimate": 0.1, "low": -0.06, "high": 0.24}) == (
        "10% [\u22126%, 24%]"
    )


def test_two_losses_without_intervals_have_as_many_digits():
    none = {"low": None, "high": None, "why": ""}
    clean, spliced = (
        evaluations.row(name, {"estimate": x} | none).estimate
        for name, x in (("ce_clean", 6.35827), ("ce_spliced", 6.36004))
    )
    assert (clean, spliced) == ("6.358", "6.360")
