"""Pages: complete, escaped, valid, and sufficient to themselves."""

import base64
import csv
import dataclasses
import io
import json
import math
import re
from html import unescape
from html.parser import HTMLParser

import pytest
import sample
from markupsafe import escape
from msgspec import structs

import assay
from assay.core.experiment import Header
from assay.core.reasons import explain_reason
from assay.core.results import Crossing, Curve, Estimated, Judged, ResultData
from assay.report import evaluations, pages, statements, tables
from browser_fixtures import CUT_OFF

VOID = {"meta", "input", "br", "hr", "img", "link"}
HEADER = Header(
    "Gated dictionaries do not shrink",
    "Gated SAEs, section 4, 2024",
    "γ lies in [0.98, 1.02]",
    "relu: equal width",
    "5 min",
)


class Checker(HTMLParser):
    """Every tag closed in order, ids unique; collects attributes, scripts and visible text."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.ids = []
        self.attributes = []
        self.scripts = []
        self.text = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += [(tag, *a) for a in attrs]
        self.ids += [v for k, v in attrs if k == "id"]

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, *a) for a in attrs]

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] == "script" else self.text).append(data)


def read(page):
    checker = Checker()
    checker.feed(page)
    checker.close()
    return checker


GATED = {"data": sample.result(), "href": "a.html", "title": "Gated", "header": HEADER}


@pytest.fixture(scope="module")
def page():
    return pages.page(
        sample.result(),
        figures=sample.figures(),
        cards=sample.cards(20, 12),
        header=HEADER,
        text=(
            "Published: *other*, `x` and <b>this</b> ![img](http://example.org/a.png) "
            "[x](javascript:alert(1))\n\n- a\n- b"
        ),
        notes={"main": "the method", "relu": ""},
        looks=[
            {
                "time": "2026-11-20T09:00:00",
                "preset": "default",
                "text": "a claim",
                "n": {"seed": 6},
                "outcome": "holds",
            }
        ],
        specs={"main": ['{"seed":1000,"width":512}', '{"seed":1001,"width":512}']},
    )


@pytest.fixture(scope="module")
def parsed(page):
    return read(page)


def test_tags_balance_and_ids_are_unique(parsed):
    assert parsed.open == [] and len(parsed.ids) == len(set(parsed.ids))


def test_inner_links_have_targets(parsed):
    targets = {v[1:] for _, k, v in parsed.attributes if k == "href" and v.startswith("#")}
    assert targets and targets <= set(parsed.ids)


def test_nothing_is_loaded_from_elsewhere(page, parsed):
    for tag, name, value in parsed.attributes:
        if name in ("src", "href", "xlink:href", "action", "srcset", "poster"):
            # a link is followed by people, not loaded
            assert value.startswith(("#", "data:")) or tag == "a", (tag, name, value)
    style = re.search(r"<style>(.*?)</style>", page, re.S).group(1)
    assert "@import" not in style
    assert not re.search(r"url\((?!#)", style)
    assert not re.search(r"<(img|link|iframe|object|embed)\b", page)
    assert not [
        v for _, k, v in parsed.attributes if k == "href" and v.lower().startswith("javascript:")
    ]


def test_hostile_text_stays_text(page, parsed):
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    assert len(parsed.scripts) == 1
    # in claims, titles, tokens, logits, JSON
    assert "".join(parsed.text).count(sample.HOSTILE) > 20
    assert "<b>this</b>" not in page and "&lt;b&gt;this" in page
    assert not [a for a in parsed.attributes if a[1].startswith("on")]


def test_every_number_of_every_verdict_is_on_the_page(parsed):
    text = re.sub(r"\s+", " ", "".join(parsed.text))
    data = sample.result()
    for entry in [
        *data.verdicts,
        *data.findings,
        *(c for v in data.verdicts for c in [*v.controls.values(), *v.planted.values()]),
    ]:
        assert tables.minus(" ".join(tables.estimate_of(entry)).strip()) in text
    for entry in data.verdicts:
        for word in (
            entry.text,
            entry.threshold_from,
            tables.minus(tables.range_in_words(entry)),
            entry.scope,
            entry.method,
            tables.units(entry.n),
            explain_reason(entry.reason),
        ):
            assert word in text
    for word in (
        "283",
        "541",
        "other set-up: not comparable, for orientation",
        "should fail",
        "must hold",
        "not met",
        "direct path only",
        "12" * 32,
    ):
        assert word in text


def test_every_estimate_says_how_it_was_computed(parsed):
    said = [v for _, k, v in parsed.attributes if k == "data-how"]
    assert len(said) == len(tables.rows(sample.result()))
    assert all("bootstrap" in s and "Scope" in s and "pilot: seeds" in s for s in said[:7]) and all(
        "1212" in s for s in said
    )


def test_a_contents_bar_leads_to_every_part_in_order(page):
    bar = re.search(r'<nav class="contents".*?</nav>', page, re.S).group()
    parts = re.findall(r'href="#([^"]+)"', bar)
    assert parts == [
        "top",
        "intervals",
        "figures",
        "verdicts",
        "findings",
        "about",
        "features",
        "scope",
    ]
    assert page.index("<main>") < page.index("xploratory") < page.index("<section")
    places = [page.index(f'id="{part}"') for part in parts]
    assert places == sorted(places)
    assert places[1] < page.index('class="claim-plot"') < page.index("<table")
    few = pages.page(
        sample.of(sample.verdicts()[0], experiment="mine", preset="default", provenance={})
    )
    assert re.findall(r'href="#([^"]+)"', few[: few.index("</nav>")]) == [
        "top",
        "intervals",
        "verdicts",
        "scope",
    ]
    index = pages.index([GATED])
    assert all(f'id="{part}"' in index for part in re.findall(r'href="#([^"]+)"', index))


def test_data_links_hold_the_data(parsed):
    links = [v for _, k, v in parsed.attributes if k == "href" and v.startswith("data:")]
    texts = [base64.b64decode(v.split("base64,")[1]).decode() for v in links]
    figure = next(t for t in texts if t.startswith("arm,L0,mean"))
    rows = list(csv.DictReader(io.StringIO(figure)))
    assert [float(r["mean"]) for r in rows] == sample.figures()[1].columns["mean"]
    assert json.loads(texts[-1]) == sample.result().to_json()
    assert len(texts) == len(sample.figures()) + 2


def test_drawn_cards_come_first_and_all_are_there(page):
    addresses = [c.address for c in sample.cards(20, 12)]
    assert all(a in page for a in addresses[:20])
    assert page.index(addresses[19]) < page.index('id="browse"')
    assert page.count('<details class="card"') == 15 + 12
    assert page.count('class="logits promoted"') == 32 and "drawn by seed" in page


def test_scopes_stand_with_the_answers_and_nowhere_else(page):
    answers = page[page.index('id="intervals"') : page.index('id="figures"')]
    assert page.count("about this scope only") == answers.count("about this scope only") == 1


def test_a_note_has_true_minus_signs_and_a_threshold_says_where_it_comes_from(page):
    data = structs.replace(sample.result(), notes=("at token -1 the loss is >= -0.5",))
    assert "at token −1 the loss is ≥ −0.5" in pages.page(data).lower()
    marked = {kind: f'<sup title="{kind}">{mark}</sup>' for kind, (mark, _) in tables.KINDS.items()}
    for kind, (mark, meaning) in tables.KINDS.items():
        said = f"{mark} {kind.capitalize()}: {meaning}." in page
        assert said == (marked[kind] in page)
    assert any(mark in page for mark in marked.values())


def test_the_spec_of_an_arm_is_json_that_can_be_read():
    asked = {"control": "", "models": ["a"]}
    run = {"_": "AskedSpec", "asked": json.dumps(asked), "text": "{a} is"}
    specs = [json.dumps(run | {"seed": seed}) for seed in (1, 2)]
    page = pages.page(sample.result(), specs={"main": specs})
    shown = unescape(re.search(r"<h3>main</h3><pre>(.*?)</pre>", page, re.DOTALL)[1])
    assert json.loads(shown) == {"asked": asked, "runs": 2, "seed": [1, 2], "text": "{a} is"}


def test_the_table_repeats_no_answer_unless_it_is_unfolded(page):
    table = page[page.index('id="verdicts"') : page.index('id="findings"')]
    folded = table.partition("with all of its numbers</summary>")[2]
    folded = folded.partition("</details>")[0]
    texts = [str(escape(v.text)) for v in sample.result().verdicts]
    assert all(text in folded and text not in table.replace(folded, "") for text in texts)


def test_a_page_needs_nothing_but_its_verdicts():
    html = pages.page(sample.of(sample.verdicts()[0], experiment="mine", preset="default"), home="")
    assert read(html).open == []
    assert "<script>" not in html
    assert "0.997" in html
    assert "index.html" not in html


def test_why_a_claim_is_undecided_is_on_its_page_once_and_no_full_stop_is_alone():
    claim = Judged(
        text="more",
        outcome="undecided",
        arm="main",
        estimate=1.0,
        low=0.0,
        high=2.0,
        n={"prompt": 8},
        units=("prompt",),
        reason="the means lie near",
        range=(1.5, math.inf),
        detectable=(math.nan, math.nan),
    )
    page = pages.page(ResultData(verdicts=(claim, structs.replace(claim, text="again"))))
    assert page.count("the means lie near") == 2, "of two claims"
    assert not re.search(r">\s*\.\s*<", page)


def test_an_undecided_claim_gives_its_reason_first_and_a_long_remedy_folds():
    like = sample.entry("it leads", "undecided", 1.0, 0.5, 1.5, reason="interval straddles 0.9")
    for remedy, folded in (("about 12 more seeds", False), ("use fresh words. " * 20, True)):
        data = sample.of(like | {"price": {"text": remedy}})
        [rest] = re.findall(
            "<p>Undecided: the interval spans the threshold.</p>(.*?)<p>",
            page := pages.page(data),
        )
        assert (" open" not in rest) is folded and page.count(remedy.strip()) == 1
        index = pages.index([{"data": data, "href": "a.html", "title": "a"}])
        reason = "undecided: the interval spans the threshold"
        assert f'{reason}. <a href="a.html#claim-1">More</a>' in index and remedy not in index


def test_the_index_shows_the_control_that_comes_closest_and_folds_the_others():
    like = sample.entry("it leads", "holds", 2.0, 1.9, 2.1, allowed=(1.0, None), arm="cut")
    made = {"far": -5.0, "near": 0.8, "middle": 0.2}
    controls = {k: sample.control(f"cut/{k}", "fails", x, x, x, like) for k, x in made.items()}
    data = sample.of(like | {"controls": controls})
    index = pages.index([{"data": data, "href": "a.html", "title": "a"}])
    cell = index.partition('data-name="control"')[2].partition("</td>")[0]
    shown = re.sub("<[^>]+>", "", cell.partition("<details>")[0])
    assert shown == ">✓ near 0.8"
    assert "and 2 more: ✓ 2</summary>" in cell and cell.index("middle") < cell.index("far")


def test_the_index_links_every_page():
    other = {"data": sample.result(), "href": "b.html", "title": "My question?"}
    html = pages.index([GATED, other])
    checker = read(html)
    links = [v for _, k, v in checker.attributes if k == "href"]
    assert checker.open == []
    assert [v for v in links if "#" not in v] == ["a.html", "b.html"]
    of_claims = [f"a.html#claim-{i + 1}" for i in range(len(sample.verdicts()))]
    assert [*dict.fromkeys(v for v in links if v.startswith("a.html#"))] == of_claims
    # of both, before anything else
    assert "6 hold" in "".join(checker.text[: checker.text.index("Top")])
    assert "3 hold" in "".join(checker.text)
    assert '<a href="b.html">My question?</a>' in html
    assert html.count("<b>confirmatory</b>") + html.count("<b>exploratory</b>") == 2
    own = {"data": sample.result(), "href": "b.html", "title": "Mine"}
    again = own | {"href": "c.html"}
    assert "The claims of 2 studies, and what was found." in (same := pages.index([own, again]))
    assert re.findall("<h2><a [^>]*>(Mine.*)</a>", same) == ["Mine (b)", "Mine (c)"]
    known = own | {"header": HEADER}
    assert "The claims of 1 study and 1 experiment, and" in pages.index([own, known])
    assert "No result yet" in pages.index([]) and "evaluation.html" not in html


@pytest.mark.parametrize("last", ["index.html", "evaluation.html"])
def test_an_evaluation_and_the_index_of_its_folder_link_each_other(tmp_path, last):
    """Whichever of the two is written last; and once, however often they are written."""
    names = [{"name": name} for name in ("mine", "<b>")]
    (tmp_path / "evaluation.json").write_text(json.dumps({"dictionaries": names}))
    alone = {
        "index.html": pages.index([]),
        "evaluation.html": '<p>Assay · <span id="home"></span>evaluation</p>',
    }
    for name in sorted(alone, key=lambda name: name == last):
        (tmp_path / name).write_text(alone[name])
        evaluations.link_index(tmp_path)
        evaluations.link_index(tmp_path)
    index, page = ((tmp_path / name).read_text() for name in alone)
    link = '<a href="evaluation.html">an evaluation of mine, &lt;b&gt;</a>'
    assert index.count(link) == 1 and 'id="evaluated" hidden' not in index
    assert page.count('<a href="index.html">all results</a> · ') == 1


def test_the_index_gives_the_first_number_of_a_result_without_claims():
    data = structs.replace(sample.result(), verdicts=(), exact=())
    html = pages.index([{"data": data, "href": "a.html", "title": "How much?"}])
    first = data.findings[0]
    assert f"<p>{escape(first.text)}: " in html and "<thead>" not in html


def test_the_index_has_every_claim_with_interval_published_number_control_and_cost():
    html = pages.index([GATED])
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", html))
    for row in map(tables.row, sample.result().verdicts):
        assert tables.minus(row.interval) in text
        assert all(c.arm in text for c in row.controls)
    assert "0.99 other set-up" in text and " new " in text
    assert re.search(r"\d+ s, \d+ CPU-seconds", text)
    assert "of 7 claims are decided" in html


def test_the_index_names_the_controls_of_an_arm_without_the_arm():
    like = sample.entry("a claim", "unspecific", 1.0, 0.9, 1.1, arm="a", condition="a.x > 0.5")
    like["reason"] = "control a/bag, b/a/bag satisfies it too"
    controls = {n: sample.control(n, "holds", 1, 0.9, 1.1, like) for n in ("a/bag", "b/a/bag")}
    html = pages.index(
        [{"data": sample.of(like | {"controls": controls}), "href": "a.html", "title": "a"}]
    )
    assert "controls bag and b/a/bag satisfy it too" in html
    shown = re.findall(r'class="control".*?</span> (\S+) 1', html)
    assert shown == ["bag", "b/a/bag"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.3, "less than 1 CPU-second"), (0.7, "1 CPU-second"), (1200, "1,200 CPU-seconds")],
)
def test_runs_that_take_little_are_not_said_to_take_nothing(seconds, words):
    data = structs.replace(sample.result(), cpu_seconds=seconds, seconds=9.0)
    assert f"9 s, {words}" in statements.cost(data)
    assert f"The runs took {words} (9 s by the clock)" in pages.page(data)


@pytest.mark.parametrize(("text", "repeated"), [("a.x - b.x < -2", False), ("It falls", True)])
def test_a_claim_that_is_its_condition_is_listed_without_it(text, repeated):
    how = {"allowed": (None, -2), "threshold": "< -2", "condition": "a.x - b.x < -2"}
    claim = sample.entry(text, "holds", -7.0, -7.3, -6.9, **how)
    html = pages.index([{"data": sample.of(claim), "href": "a.html", "title": "a"}])
    assert ("holds if <code>a.x - b.x</code> is at most −2" in html) is repeated


def test_tokens_show_their_white_space():
    assert pages.token(" a\n") == '<i class="ws">·</i>a<i class="ws">↵</i>'
    assert "empty" in pages.token("")
    assert pages.words("a b") == "a b"
    assert "····" in pages.words("    x")
    assert pages.words("\x00") == r'<i class="ws">\x00</i>'
    assert pages.token("\r\u200b\ue000é") == (
        r'<i class="ws">\r</i><i class="ws">\u200b</i><i class="ws">\ue000</i>é'
    ), "fonts have no glyph for these"
    card = sample.card(17, True)
    shown = pages.context(card.top[0], card.maximum)
    assert shown.count('class="fires"') == 1
    assert "--a:1.00" in shown
    assert "<script" not in shown


def test_a_cards_histogram_keeps_every_firing():
    card = dataclasses.replace(
        sample.card(17, True), counts=tuple(range(84)), edges=tuple(1.0 + k for k in range(85))
    )
    drawn = str(pages.histogram(card))
    said = [int(n) for n in re.search(r"logarithmic: ([\d, ]+)", drawn).group(1).split(",")]
    assert len(said) == drawn.count("<rect") == 21
    assert sum(said) == sum(range(84))
    assert said[0] == 0 + 1 + 2 + 3


def test_the_top_of_a_page_says_what_was_found_of_each_claim():
    holds, fails, undecided = sample.result().verdicts[:3]
    data = structs.replace(sample.result(), verdicts=(holds, fails, undecided))
    top = pages.page(data, turned={holds.text: "unspecific"}).partition("</header>")[0]
    said = [re.sub("<[^>]*>", "", line) for line in re.findall('<p class="question">(.*)</p>', top)]
    assert said == [
        f"● holds → ◐ unspecific by challenge: {holds.text}",
        f"✕ fails: {fails.text}",
        f"○ undecided: {undecided.text}",
    ]
    alone = pages.page(structs.replace(data, verdicts=(fails,))).partition("</header>")[0]
    assert re.sub("<[^>]*>", "", alone).strip().endswith(said[1])


LONG_ARM = "the-residual-stream-before-the-last-block/other-training-draws-of-the-same-dictionary"
LONG_CLAIMS = [
    {"at": "at block 26, head 0 (the interval is of whichever is highest)"},
    {"arm": LONG_ARM, "threshold": "> 0.123456789012", "range": (0.123456789012, math.inf)},
    {"level_of": "hidden-layer-of-the-model-before-its-norm", "arm": LONG_ARM * 2},
    {"measured_in": "nats per token of the text that follows, over those of the model's clean run"},
    {"estimate": 9.8e8, "low": -2e8, "high": 9.9e8, "range": (-1.5e8, 9.6e8), "points": ()},
    {"estimate": 3e-5, "low": -2e-5, "high": 9e-5, "range": (-1.25e-5, 1.25e-5), "points": ()},
]


@pytest.mark.parametrize("width", [380, 700, 1440])
def test_every_label_of_a_plot_fits_at_any_width_and_lies_on_no_other(browser, width):
    claim = sample.result().verdicts[0]
    other = next(iter(claim.controls.values()))
    claims = []
    for change in LONG_CLAIMS:
        numbers = {k: change[k] for k in ("estimate", "low", "high") if k in change}
        arms = {"untrained": other, LONG_ARM: structs.replace(other, outcome="holds", **numbers)}
        claims.append(structs.replace(claim, controls=arms, **change))
        claims.append(structs.replace(claim, controls={}, **change))
    view = browser.new_page(viewport={"width": width, "height": 900})
    data = structs.replace(sample.result(), verdicts=tuple(claims))
    view.set_content(pages.page(data))
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert view.locator("svg.intervals").count() >= 2 * len(LONG_CLAIMS)
    assert view.evaluate(CUT_OFF) == []
    names = "".join(view.locator(".intervals .name").all_text_contents()).replace(" ", "")
    assert LONG_ARM in names, "a long name is whole"
    view.close()


def test_a_browser_loads_nothing_and_nothing_overflows(page, browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    view, asked, errors = browser.new_page(), [], []
    view.on("request", lambda r: asked.append(r.url))
    view.on("pageerror", lambda e: errors.append(e))
    view.goto(path.as_uri())
    for width, scheme in ((1280, "light"), (380, "dark")):
        view.set_viewport_size({"width": width, "height": 800})
        view.emulate_media(color_scheme=scheme)
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        assert view.evaluate(CUT_OFF) == []
        view.fill("#find", "no such text anywhere")
        assert view.inner_text("#count") == "0 shown"
        view.fill("#find", "")
        view.select_option("#order", "purity")
        purities = "cards => cards.map(c => c.dataset.purity)"
        order = [float(x) for x in view.eval_on_selector_all("#browse > *", purities)]
        assert order == sorted(order, reverse=True)
    assert [u for u in asked if not u.startswith(("file:", "data:"))] == []
    assert errors == []


def test_the_title_of_a_page_is_read_back():
    header = dataclasses.replace(HEADER, title='Does "a < b" & c hold?')
    assert pages.title_of(pages.page(sample.result(), header=header)) == header.title


def words_of(page):
    """The text of a page, with single blanks."""
    checker = Checker()
    checker.feed(page.read_text())
    return " ".join(" ".join(checker.text).split())


def rows_of_checks(folder):
    index = (folder / "index.html").read_text().partition("<tbody>")[2]
    found = re.findall("<tr>.*?</tr>", index, re.DOTALL)
    return [" ".join(re.sub("<[^>]*>", " ", row).split()) for row in found]


@pytest.mark.parametrize(
    ("outcome", "of", "doubted"),
    [
        ("fails", "cut", True),
        ("holds", "cut", True),
        ("fails", "b", False),
        ("undecided", "cut", False),
    ],
)
def test_a_note_that_doubts_a_number_is_below_the_verdict_and_marked_wherever_it_is_listed(
    outcome, of, doubted
):
    like = sample.entry("a claim", outcome, 1.0, 0.9, 1.1, arm=of, condition=f"{of}.x > 0")
    controls = {f"{of}/random": sample.control(f"{of}/random", "fails", 0.1, 0, 0.2, like)}
    data = sample.of(like | {"controls": controls})
    brief = "cut: the first token is changed in 10 of 20 prompts"
    notes = ("way is learned at {x}", f"{brief}. It is a sink, which alone may give the number")
    data = structs.replace(data, notes=notes)
    page, index = pages.page(data), pages.index([{"data": data, "href": "a.html", "title": "a"}])
    head = page.partition("<main>")[0]
    code, _, words = brief.partition(": ")
    assert (f"※ <code>{code}</code>: {words}" in head) is doubted
    assert ("alone may give" in head) is doubted and page.count("alone may give the number</") == 1
    printed = statements.doubted(data)
    assert (f"● holds ※: {data.verdicts[0].text}" in tables.text(data)) is (
        doubted and outcome == "holds"
    )
    assert printed == [f"※ {notes[1]}"] * doubted and len(statements.below(data)) == 2 - doubted
    assert (f"※ {brief}<" in index) is doubted
    assert "<li><code>way</code> is learned at {x}</li>" in page


def test_what_a_control_has_in_common_with_its_arm_is_printed_once():
    read = "tiny, mood by ridge, learned from 84 prompts"
    why = "a control for another explanation: the tokens predict it"
    other = "tiny, mood by ridge, learned from 8 prompts"
    notes = {"main": "tiny, a guess", "b": read, "b/bag": f"{read}; {why}", "b/few": other}
    unrelated = "the activations of an unrelated prompt"
    why = f"; a control for another explanation: {unrelated} have the effect"
    notes["cut"] = "tiny, a patch from the pair at blocks.1 and blocks.2"
    notes["cut/unrelated"] = f"tiny, a patch from the pair at blocks.2{why}"
    text = pages.page(sample.result(), notes=notes)
    assert "<p>All arms: tiny.</p>" in text
    assert f"<dt>cut/unrelated</dt><dd>a control of cut: {unrelated}</dd>" in text
    assert "<dt>b/bag</dt><dd>a control of b: a probe of the tokens</dd>" in text
    assert text.count("learned from 84 prompts") == 1
    assert "<dt>b/few</dt><dd>mood by ridge, learned from 8 prompts</dd>" in text


def test_a_figure_without_a_neighbour_has_its_row_to_itself():
    def figure(mark, facet=None):
        columns = {"x": [1, 2], "y": [1, 2], "f": ["a", "b"]}
        return assay.Figure("t", columns, mark, x="x", y="y", facet=facet)

    line, heat, wide = figure("line"), figure("heatmap"), figure("line", "f")

    def lone(*figures):
        return [drawn["lone"] for drawn in pages.render_figures(figures)]

    assert lone(line) == [True] and lone(line, line) == [False, False]
    assert lone(line, heat, line) == [True, False, False]
    assert lone(line, wide, line, line) == [True, False, False, False]


def test_where_a_curve_crosses_is_an_answer():
    curve = Curve(
        over="layer",
        axis="plain",
        levels=(2, 8),
        estimate=(-1.0, 2.0),
        low=(-2.0, 1.0),
        high=(0.0, 3.0),
        band_low=(-2.0, 1.0),
        band_high=(0.0, 3.0),
        wider=1.0,
        crossing=Crossing(
            value=0.0, estimate=4.0, low=3.0, high=5.0, points=(4.0,), words="crosses 0 at 4; on it"
        ),
    )
    data = structs.replace(sample.result(), findings=(Estimated(text="The lead", curve=curve),))
    html = pages.page(data)
    answers = html[html.rindex('class="claim-plot"') : html.index('id="verdicts"')]
    assert "The lead: <b>it crosses 0 at 4</b>. On it." in answers, "after the claims"
    number = Estimated(text="The size", estimate=2.5, low=2.0, high=3.0, unit="nats")
    data = structs.replace(data, findings=(number, *data.findings))
    answers = pages.page(data).partition('id="intervals"')[2].partition('id="verdicts"')[0]
    size = "The size: <b>2.5</b> [2.0, 3.0]&nbsp;nats."
    assert answers.index("claim-plot") < answers.index(size) < answers.index("The lead: <b>")
    scan = structs.replace(curve, levels=("a", "b"), crossing=None)
    alone = ResultData(findings=(Estimated(text="Each", curve=scan, unit="nats"),))
    highest = "Each: <b>of 2 levels, layer b is highest, 2.0 [1.0, 3.0]"
    assert f"{highest}, and layer a is lowest, −1.0 [−2.0, 0.0]\xa0nats</b>." in pages.page(alone)
    for sign, ends in ((2, "b is highest, 4.0"), (-1, "b is lowest, −2.0")):
        one = structs.replace(scan, estimate=(0.0, 2.0 * sign))
        alone = ResultData(findings=(Estimated(text="Each", curve=one, unit="nats"),))
        answer = pages.page(alone).partition("of 2 levels, layer ")[2].partition("</b>")[0]
        assert answer.startswith(ends[:2]) and answer.count("est,") == 1, "nothing is beyond 0"
    plain = structs.replace(curve, crossing=None)
    alone = ResultData(findings=(Estimated(text="Each", curve=plain, unit="nats"),))
    answer = (
        "it is above 0 from layer 8</b>. It is highest at layer 8, 2.0 [1.0, 3.0], and lowest at "
        "layer 2, −1.0 [−2.0, 0.0]\xa0nats"
    )
    assert f"Each: <b>{answer}." in pages.page(alone)
    assert answer in pages.index([{"data": alone, "href": "a.html", "title": "A"}])
    wide = structs.replace(plain, band_low=(-9.0, -9.0), band_high=(9.0, 9.0))
    page = pages.page(ResultData(findings=(Estimated(text="Each", curve=wide, unit="nats"),)))
    overlap = "the band includes a flat line"
    assert overlap in page and overlap not in pages.page(alone)
    assert "<b>it is between −1.0 and 2.0\xa0nats at all levels" in page, "neither is higher"


def test_two_claims_that_differ_in_the_threshold_alone_share_a_picture():
    claim = structs.replace(sample.result().verdicts[0], condition="main.x > 1")
    higher = structs.replace(claim, text="by more", condition="main.x > 6", range=(6.0, math.inf))
    other = structs.replace(claim, text="of another", condition="main.y > 1")
    data = structs.replace(sample.result(), verdicts=(claim, higher, other))
    first, second, third = pages.page(data).split('<article class="claim-plot"')[1:4]
    assert ["svg class=" in x for x in (first, second, third)] == [True, False, True]
    assert 'href="#claim-1">claim 1</a>, with another threshold' in second
