"""Tables in every form: the digits that an interval supports, the width of a terminal, what each
language must escape."""

import contextlib
import csv
import io
import math
import os
import re

import numpy as np
import pytest
import sample
import xarray as xr
from msgspec import structs

from assay.core import digits, reasons
from assay.core.claims import Estimate
from assay.core.estimates import curve, estimate
from assay.core.expression import parse
from assay.core.results import Estimated, ResultData
from assay.core.stats import mean
from assay.report import export, noted, pages, statements, tables
from marks import sections


@pytest.mark.parametrize(
    ("estimate", "low", "high", "said"),
    [
        (0.9972, 0.9943, 0.9998, "0.997 [0.994, 1.000]"),
        (0.0021, -0.0009, 0.0042, "0.0021 [-0.0009, 0.0042]"),
        (1.68, 1.58, 1.74, "1.68 [1.58, 1.74]"),
        (
            0.012,
            0.0107,
            0.0133,
            "0.0120 [0.0107, 0.0133]",
        ),  # a half-width that starts with 1 keeps two digits
        (-41.0, -138.2, 221.5, "-41 [-138, 222]"),
        (4.0, 4.0, 4.0, "4 [4, 4]"),
        (-0.0001, -0.04, 0.04, "0.00 [-0.04, 0.04]"),  # no minus before a zero
        (12345.678, 12000.0, 12700.0, "12346 [12000, 12700]"),
        (3e-9, 2e-9, 4e-9, "3e-09 [2e-09, 4e-09]"),
        (0.5, None, None, "0.5 no interval"),
        (None, None, None, "not estimated "),
        (float("nan"), 0.1, 0.3, "not estimated "),
    ],
)
def test_numbers_keep_the_digits_their_interval_supports(estimate, low, high, said):
    assert " ".join(digits.estimate(estimate, low, high)) == said


def test_minus_is_set_only_before_numbers():
    assert (
        tables.minus("-0.5 [-1, 2e-09] relu-again 2026-11-20 >= 3")
        == "−0.5 [−1, 2e−09] relu-again 2026-11-20 ≥ 3"
    )


@pytest.mark.parametrize("width", [100, 80])
def test_the_table_fits_its_width_says_everything_and_never_cuts_a_number(width):
    text = tables.text(sample.result(), width, verbose=True)
    assert max(map(len, text.splitlines())) <= width
    flat = re.sub(r"\s+", " ", text)
    for row in tables.rows(sample.result()):
        assert row.estimate in flat and row.interval in flat and f"{row.sign} " in flat
        for control in row.controls:
            assert control.estimate in text
    assert {"about", "40", "more", "power", "(other"} <= set(flat.split())
    assert "\x1b" not in text


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_pipe_gets_plain_text(no_color, monkeypatch):
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("FORCE_COLOR", "")
    result = sample.result()
    there, here = os.pipe()  # holds 64 kB while nobody reads
    with os.fdopen(there) as pipe:
        with os.fdopen(here, "w") as out, contextlib.redirect_stdout(out):
            tables.show(result)
        told = pipe.read()
    assert told == tables.text(result) and "\x1b" not in told


def test_every_form_says_what_is_published_and_what_is_new():
    gamma, lead, *others = tables.rows(sample.result())
    assert gamma.published == "0.99"
    assert gamma.setup == "other set-up"
    assert lead.published == "new"
    assert lead.setup == ""
    assert {(r.published, r.setup) for r in others} == {("", "")}
    flat = re.sub(r"\s+", " ", tables.text(sample.result()))
    assert "published 0.99 (other set-up)" in flat and " new " not in flat
    markdown = sections.full(sample.result())
    assert "Published: 0.99 (other set-up)." in markdown and " New." in markdown
    listed = list(csv.DictReader(io.StringIO(export.verdicts_csv(sample.result()))))
    said = {(r["published"], r["set_up"]) for r in listed if r["role"] == "claim"}
    assert said == {("0.99", "other set-up"), ("new", ""), ("", "")}


def test_a_terminal_has_the_closest_control_and_what_went_wrong_and_in_full_everything():
    like = sample.entry("c", "unspecific", 1.0, 0.9, 1.1, allowed=(0.5, None))
    made = {
        "far": sample.control("far", "fails", 0.0, -0.1, 0.1, like),
        "close": sample.control("close", "fails", 0.4, 0.3, 0.45, like),
        "passes": sample.control("passes", "holds", 0.9, 0.8, 1.0, like),
        "less": sample.control("less", "holds", 0.7, 0.65, 0.8, like),
    }
    other = {"estimate": 0.99, "low": 0.985, "high": 0.995, "reason": None, "lacks": False}
    sides = {"c.x": 1.234, "main.x": 0.2345}
    data = sample.of(like | {"controls": made, "also": {"noun": other}, "sides": sides})
    brief, full = tables.text(data), tables.text(data, verbose=True)
    assert "c.x 1.23, main.x 0.234" in brief  # what it is compared with
    assert "✓ control close 0.40: does not satisfy the claim" in brief
    assert "far" not in brief
    assert "! control passes 0.90: satisfies the claim" in brief
    assert "1 other control does not satisfy the claim either" in brief
    assert "1 other control satisfies it too (--verbose)" in brief
    assert "less" not in brief
    assert "noun" not in brief
    assert "control far 0.00" in full and "less 0.70" in full
    assert re.search(r"noun [\d.]+: satisfies the claim too", full)
    open_, fails = (
        {**sample.verdicts()[3], "outcome": outcome, "detectable": [0.5, None]}
        for outcome in ("undecided", "fails")
    )
    assert "80% power if the true value is 0.5 or more" in tables.text(
        sample.of(open_), verbose=True
    )
    assert "power" not in tables.text(sample.of(open_))
    assert "power" not in tables.text(sample.of(fails), verbose=True), "it is decided"


def test_a_control_with_too_few_units_for_a_verdict_is_shown_as_its_interval_shows_it():
    like = sample.entry("c", "undecided", 1.0, 0.9, 1.1, allowed=(0.5, None))
    few = {"reason": "too few units: 15 of 20 pairs"}
    made = {
        "out": sample.control("out", "undecided", 0.1, 0.0, 0.2, like) | few,
        "in": sample.control("in", "undecided", 0.9, 0.8, 1.0, like) | few,
        "both": sample.control("both", "undecided", 0.5, 0.2, 0.8, like) | few,
    }
    words = tables.text(sample.of(like | few | {"controls": made}), verbose=True)
    has = "(15 pairs; a verdict needs 20)"
    assert f"✓ control out 0.10: does not satisfy the claim {has}" in words
    assert f"! control in 0.90: satisfies the claim {has}" in words
    assert "? control both 0.50 [0.20, 0.80]: undecided\n" in words


@pytest.mark.parametrize(
    ("line", "before"),
    [
        (
            "it was judged before pairs were added (undecided): c: more",
            "undecided in an earlier look",
        ),
        ("the same sentence was judged earlier, in g15 (holds): c: more", ""),
        ("the same sentence was judged earlier, in g15 (fails): c: less", ""),
        (
            "the same sentence was judged later, in g15 (undecided): c: more",
            "undecided in the study g15, judged later",
        ),
        ("also judged on the same pairs, in g15: “c: more” (undecided; < -0.5)", ""),
    ],
)
def test_another_verdict_on_the_same_claim_is_shown_next_to_it(line, before):
    data = sample.of(sample.entry("c: more", "holds", 1.0, 0.9, 1.1))
    (row,) = tables.rows(structs.replace(data, changed=(line,)))
    assert row.again == before
    html = pages.index([{"data": data, "href": "c.html", "title": "c"}])
    assert "↺" not in html
    shown = structs.replace(data, changed=(line,))
    html = pages.index([{"data": shown, "href": "c.html", "title": "c"}])
    assert (f'<sup title="{before}">↺</sup>' in html) == bool(before)
    assert (f"({before})" in pages.page(shown)) == bool(before)


def test_options_that_were_changed_until_a_claim_held_are_shown_next_to_it():
    note = "the same claim was judged before on this machine, with other options: undecided, holds"
    assert tables.again("holds", [note]) == "undecided in an earlier look"


def test_a_number_that_only_rounding_keeps_from_the_end_of_its_interval_has_no_more_digits():
    assert digits.estimate(1 - 3e-13, 0.962, 1.0) == ("1.000", "[0.962, 1.000]")
    assert digits.estimate(0.9996, 0.962, 1.0) == ("0.9996", "[0.9620, 1.0000]")


def test_markdown_has_one_line_a_statement_and_escapes_its_separator():
    data = sample.of(sample.entry("a | b", "holds", 1.0, 0.9, 1.1))
    lines = sections.brief(data).splitlines()
    assert len(lines) == 3
    assert r"a \| b" in lines[2]
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == 7
    assert len(sections.brief(sample.result()).splitlines()) == 2 + 7
    _, *folds = sections.full(sample.result()).split("<details>")
    full, exact, findings = (fold.split("</summary>")[1].strip().splitlines() for fold in folds)
    assert sum(line[0].isdigit() for line in full if line) == 7
    assert [sum(line.startswith("| ") for line in rows) - 1 for rows in (exact, findings)] == [2, 1]


def test_a_claim_that_a_contest_turned_says_so_beside_its_verdict():
    kept, fails = (sample.entry(name, name, 1.0, 0.9, 1.1) for name in ("holds", "fails"))
    data = sample.of(kept, fails)
    turned = {"holds": "unspecific", "fails": "unspecific"}
    holds = "● holds → ◐ by challenge"
    rows = tables.rows(data, turned)
    # what fails was not contested
    assert [r.came_out for r in rows] == [holds, "✕ fails"]
    for page in (sections.brief(data, turned), sections.full(data, turned)):
        assert holds in page.replace(sections.SPACE, " ")
    page = re.sub(r"<.*?>", "", pages.page(data, turned=turned))
    assert page.count("→ ◐ by challenge") == 1


def test_what_makes_a_claim_unspecific_stands_beside_controls_that_all_fail():
    first, *_ = sample.verdicts()
    count = len(first["controls"])
    for names, said in (
        ("frozen satisfies it", "an arm that did not learn it passes"),
        ("frozen, random satisfy it", "2 arms that did not learn it pass"),
    ):
        claim = {**first, "outcome": "unspecific", "reason": f"{names} too, unlearned"}
        line = sections.brief(sample.of(claim)).splitlines()[2]
        assert line.endswith(f"| {count} of {count}; {said} |")


def test_the_summary_has_each_claim_from_its_beginning_whatever_it_holds():
    colon = sample.entry("FALSE: " + "word " * 30, "fails", 1.0, 0.9, 1.1)
    short = sample.entry("Short", "holds", 1.0, 0.9, 1.1)
    # right above
    assert statements.summary(sample.of(colon, short)) == ["", "1 holds, 1 fails"]
    data = sample.of(colon, *[short] * 5)
    lines = [line for line in statements.summary(data) if line[:1] in tables.SIGNS.values()]
    assert len(lines) == len(data.verdicts)
    for line, v in zip(lines, data.verdicts, strict=True):
        assert " ".join(v.text.split()).startswith(line.split(maxsplit=2)[2].removesuffix(" …"))


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ({"a.x": 11.4982, "b.x": 11.5121}, "a.x 11.498, b.x 11.512"),
        ({"a.x": -8.0234, "b.x": 7.87}, "a.x -8.02, b.x 7.87"),
        ({"a.x": 2.0, "b.x": 2.0}, "a.x 2.00, b.x 2.00"),
        ({"a.x": math.nan, "b.x": 2.0}, "a.x not estimated, b.x 2.00"),
    ],
)
def test_arms_that_differ_are_printed_with_the_digits_that_show_it(sides, said):
    data = sample.of(sample.entry("c", "holds", 1.0, 0.9, 1.1) | {"sides": sides})
    assert tables.rows(data)[0].sides == said


def test_exact_statements_without_any_claim_are_told_apart():
    exact = [{"text": "t", "outcome": outcome} for outcome in ("exact", "violated", "exact")]
    assert tables.board(sample.of(exact=exact)) == "exact statements only ≡ 2 ≢ 1"
    assert (
        tables.board(sample.of(exact=exact, findings=[{"text": "t"}]))
        == "exact ≡ 2 ≢ 1, estimates 1"
    )
    assert tables.only_exact(sample.of(exact=exact))
    assert not tables.only_exact(sample.of())
    assert not tables.only_exact(sample.of(sample.entry("c", "holds", 1.0, 0.9, 1.1), exact=exact))


def test_csv_keeps_numbers_in_full_and_lists_every_control():
    rows = list(csv.DictReader(io.StringIO(export.verdicts_csv(sample.result()))))
    assert [r["role"] for r in rows].count("control") == sum(
        len(v["controls"]) for v in sample.verdicts()
    )
    assert [float(rows[0][k]) for k in ("estimate", "low", "high")] == [0.9972, 0.9943, 0.9998]
    assert any(sample.HOSTILE in r["text"] for r in rows)


@pytest.mark.parametrize(
    ("untrained", "shown"),
    [
        ((10.687952, 10.687946, 10.687958), ("10.688", "[10.688, 10.688]")),
        ((4.6000123, 4.6000101, 4.6000149), ("4.600012", "[4.600010, 4.600015]")),
        ((9.9, 9.2, 10.6), ("9.9", "[9.2, 10.6]")),
    ],
    ids=["far from the threshold", "next to it", "wide"],
)
def test_a_control_has_at_most_two_decimals_more_than_its_claim(untrained, shown):
    """Except where they would make it the threshold itself."""
    claim = sample.entry("Surer than chance", "holds", 4.1, 3.8, 4.3, allowed=(None, 4.6))
    claim["controls"] = {"untrained": sample.control("untrained", "fails", *untrained, claim)}
    [row] = tables.rows(sample.of(claim))
    assert (row.controls[0].estimate, row.controls[0].interval) == shown


def test_a_limit_is_not_printed_as_the_threshold_it_is_not():
    numbers = 0.0233, 0.0202, 0.0246
    assert digits.estimate(*numbers, [0.025, math.inf]) == ("0.0233", "[0.0202, 0.0246]")
    assert digits.estimate(*numbers, [0.1, math.inf]) == ("0.023", "[0.020, 0.025]")


@pytest.mark.parametrize(
    ("role", "outcome", "sign", "told"),
    [
        ("control", "fails", "✓", ""),
        ("near", "fails", "✓", ""),
        ("control", "holds", "!", ""),
        ("near", "undecided", "?", ""),
        ("planted", "holds", "✓", "must hold, and does"),
        ("planted", "fails", "!", "must hold, and does not"),
        ("also", "holds", "", "may hold too"),
        ("unnamed", "holds", "!", "satisfies the claim too"),
    ],
)
def test_a_control_that_fails_as_it_must_does_not_look_like_a_claim_that_fails(
    role, outcome, sign, told
):
    control = tables.Control("other", outcome, "1.0", "[0.9, 1.1]", role)
    assert control.sign == sign
    assert control.remark == told
    assert control.sign not in tables.SIGNS.values()


def test_what_decides_a_claim_stands_beside_why_it_is_undecided():
    price = {
        "text": "about 40 more seeds, about 3 CPU-minutes: assay run mine --set seed=0:46",
        "factor": "seed",
        "more": 40,
    }
    entry = {
        **sample.verdicts()[0],
        "outcome": "undecided",
        "reason": "interval straddles",
        "price": price,
    }
    [row] = tables.rows(sample.of(entry))
    assert row.why.startswith(
        "undecided: the interval spans the threshold; to decide it: about 40 more seeds, "
        "about 3 CPU-minutes"
    )
    assert row.advice.endswith("; next: assay run mine --set seed=0:46")
    assert row.command == "run mine --set seed=0:46"
    assert "assay run" not in tables.text(sample.of(entry)), (
        "a cell would break it; the terminal has it on a line of its own"
    )


def test_a_smoke_run_says_in_a_line_why_a_claim_is_undecided():
    price = {"text": "about 4 more seeds", "factor": "seed", "more": 4}
    entry = sample.verdicts()[0] | {"outcome": "undecided", "price": price}
    data = sample.of(entry | {"reason": "too few units: 2 of 6 seeds"}, preset="smoke")
    text = " ".join(tables.text(data).split())
    assert "undecided: too few units: 2 of 6 seeds" in text
    assert "holds if" not in text and "to decide it" not in text and "would be" not in text
    long = structs.replace(data, preset="default")
    assert "to decide it: about 4 more seeds" in " ".join(tables.text(long).split())


def test_units_that_agree_between_bounds_say_where_their_interval_comes_from():
    entry = {
        **sample.verdicts()[0],
        "points": [4.0, 4.0],
        "bounds": [0.0, 4.0],
        "units": ["seed"],
        "low": 3.2,
        "high": 4.0,
    }
    says = "every seed gives 4, the maximum; the interval follows from the bounds, 0 and 4"
    assert says in re.sub(r"\s+", " ", tables.text(sample.of(entry), 200))
    assert tables.rows(sample.of(entry))[0].agreed == says
    for other in ({"bounds": None}, {"points": [4.0, 3.9]}, {"points": [4.0]}):
        assert not tables.rows(sample.of({**entry, **other}))[0].agreed


@pytest.mark.parametrize("width", [100, 80])
def test_a_terminal_shows_each_claim_its_threshold(width):
    flat = re.sub(r"\s+", " ", tables.text(sample.result(), width))
    assert "holds if ≥ 1.5 features" in flat and "holds if in [0.98, 1.02]" in flat
    low, high = math.nextafter(-0.1, 0), math.nextafter(0.1, 0)
    ends = sample.entry(
        "c", "holds", 0.0, -0.01, 0.01, threshold="in [-0.1, 0.1]", allowed=(low, high)
    )
    assert "holds if > -0.1 and < 0.1" in tables.text(sample.of(ends), width)
    half = sample.entry(
        "c", "holds", 20, 20, 22, threshold="in [19, 29]", allowed=(19, math.nextafter(29, 0))
    )
    assert "holds if ≥ 19 and < 29" in tables.text(sample.of(half), width)
    one = sample.entry("c", "holds", 0.5, 0.4, 0.6, threshold="<= 1 degrees")
    assert "holds if ≤ 1 degree\n" in tables.text(sample.of(one), width).replace(" \n", "\n")
    entry = {**sample.verdicts()[3], "threshold_from": "given with the claim"}
    assert "holds if" not in tables.text(sample.of(entry)), "the claim's text is its threshold"


def test_words_are_in_the_order_of_their_file_and_numbers_by_size():
    x = 0.01 * np.random.default_rng(0).standard_normal((6, 3))
    for over, levels, order in (
        ("place", ["first", "middle", "last"], ["first", "middle", "last"]),
        ("at", [10, 9, 11], [9, 10, 11]),
        ("at, place", ["10, b", "10, a", "9, b"], ["9, b", "10, b", "10, a"]),
    ):
        arm = xr.Dataset({"x": (("run", over), x)}, {over: levels, "seed": ("run", range(6))})
        statement = Estimate("It", value=lambda arms: arms["a"].x, units=("seed",), over=over)
        drawn = estimate(statement, {"a": arm}).curve
        assert [drawn.levels[k] for k in drawn.in_order] == order
        by_level = dict(zip(levels, x.mean(0), strict=True))
        np.testing.assert_allclose(drawn.estimate, [by_level[n] for n in drawn.levels])


@pytest.mark.parametrize("width", [100, 80])
def test_the_unit_of_a_curve_stands_before_its_levels_in_one_line(width):
    x = np.linspace(-0.1, 0.1, 6)[:, None] + np.array([3.0, 2.0, 0.0])
    swept = curve({"x": x}, [0.1, 0.2, 0.3], mean, over="density")
    found = Estimated(
        text="How many", unit="features per dimension", n={"seed": 6}, units=("seed",), curve=swept
    )
    lines = tables.text(ResultData(findings=(found,)), width).splitlines()
    [at] = [i for i, line in enumerate(lines) if "in features per dimension" in line]
    assert "density 0.1:" in lines[at + 1] and "density 0.3" in lines[at + 3]
    assert sum("dimension" in line for line in lines) == 2, "and once after what is found"
    words = " ".join(" ".join(lines).split())
    assert (
        "it is highest at density 0.1, 3.00 [" in words and "lowest at density 0.3, 0.00 [" in words
    )


def test_notes_that_cast_doubt_come_first_and_of_many_the_routine_ones_are_not_printed():
    doubt = "there is no lead to lose: main.right is 0.1 [-0.2, 0.4] in the unchanged model"
    other = [f"right: in {n} of 24 prompts, an answer has several tokens" for n in (1, 2)]
    routine = [
        "cut: the mean is taken over these prompts, at the last token",
        "the control cut/layer makes the change in block 9",
        "cut/damage: the loss on unrelated text changes by 0.1 nats/token, from 3.2",
    ]
    near = f"{routine[1]}: a third away, next to its own, which may do nearly the same"
    data = ResultData(notes=(*routine, *other, doubt))
    every = [f"note: {x}" for x in (doubt, *other, *routine)]
    assert statements.below(data, all_of_them=True) == every
    leak = (
        "within: {day} alone determines mood in every judged row: a probe can read the day instead"
    )
    seeds = "claim 1: single seeds of a control would satisfy the claim: 8 of 8 for within/bag"
    assert noted.notes_in_order([*other, seeds, leak], 2) == [leak, seeds, *other]
    rest = "3 more notes on how it was measured: on the report's page, or with --verbose"
    assert statements.below(data) == [*every[:3], rest]
    few = structs.replace(data, notes=(*routine, doubt))
    assert statements.below(few) == [every[0], *every[3:]], "four are seen at a glance"
    few = structs.replace(data, notes=(routine[0], near))
    assert statements.below(few)[0] == f"note: {near}", "which bears on what the control shows"


def test_a_control_is_listed_with_the_blocks_in_which_it_makes_the_change():
    data = sample.result()
    arm = tables.rows(data)[0].checked[0].arm
    made = f"claim 1: the control {arm} makes the change in blocks 13, 29"
    why = ": 9 blocks away, on the side where it is larger"
    for note, place in (
        (made, f"{arm} (blocks 13, 29)"),
        (
            f"{made}{why}, next to its own, which may do nearly the same",
            f"{arm} (blocks 13, 29)",
        ),
        (f"{made} to 33{why}", f"{arm} (blocks 13, 29 to 33)"),
        (f"{made} (for layer 0); block 2 (for layer 3){why}", arm),
    ):
        placed = structs.replace(data, notes=(note,))
        assert tables.rows(placed)[0].checked[0].named == place
        assert f" {place} " in re.sub(r"\s+", " ", tables.text(placed, verbose=True))
        assert f'<th scope="row">{place}</th>' in pages.page(placed)


def test_a_scope_of_more_than_three_lines_leaves_out_what_some_claims_add():
    short = "scope: this model, 20 prompts; claim 1: changed at x"
    long = short + "".join(f"; claim {k}: changed at {'y' * 90}" for k in (2, 3, 4))
    assert statements.shared_scope(short) == short
    assert statements.shared_scope(long).startswith("scope: this model, 20 prompts; that of each")


@pytest.mark.parametrize(
    ("centres", "words"),
    [
        (
            (-7, -7.05, -4, 3),  # 0 and 1 overlap, so that which of them is lowest is not known
            "it is below 0 up to layer 2, and above 0 from layer 3; it is highest at layer 3, 3",
        ),
        ((5, 4.95, 1, 0.95), "it is higher at layer 0, 5.0 [4.7, 5.3], than at layer 3, 0.9"),
        ((0.01, 0, 0.02, 0.01), "it is between 0.0 and 0.02 at all levels, and the band"),
        ((5, -4, 3, -2), "it is highest at layer 0, 5"),  # more than one change of sign
        ((0, 0.01, 5, 5), "it is above 0 from layer 2; it is higher at layer"),
        ((-0.01, -4, 4, 3.9), "it is lowest at layer 1, -4"),  # undecided before that
        (
            (-6, -5.95, -2, -5.9),
            "it is below 0 at all 4 levels; it is closest to 0 at layer 2, -2.0",
        ),
    ],
)
def test_a_curve_names_its_signs_and_only_the_levels_that_can_be_told_from_others(centres, words):
    x = np.linspace(-0.5, 0.5, 8)[:, None] + np.array(centres)
    swept = curve({"x": x}, [0, 1, 2, 3], mean, over="layer")
    data = ResultData(findings=(Estimated(text="It", n={"seed": 8}, units=("seed",), curve=swept),))
    headline = re.sub(r"\s+", " ", tables.text(data, 200)).partition(" a curve over")[0]
    assert words in headline
    assert "lowest at layer" not in headline or centres[0] != -7, "two are equally low"
    found = structs.replace(data.findings[0], curve=structs.replace(swept, over="at"))
    by_slot = " ".join(tables.text(ResultData(findings=(found,)), 200).split())
    assert headline.replace("at layer", "for at =").replace("layer", "at =") in by_slot


def test_levels_that_are_printed_as_zero_have_the_digits_of_those_next_to_them():
    def lines(*centres):
        x = 3 * np.array([-1, -0.6, -0.3, 0.3, 0.6, 1])[:, None] + np.array(centres)
        swept = curve({"x": x}, range(len(centres)), mean, over="layer")
        told = tables.curve_lines(Estimated(text="How far", n={"seed": 6}, curve=swept))
        return [line.partition(": ")[2] for line in told[: len(centres)]]

    zero, small = lines(0.001, 0.1)
    assert re.fullmatch(r"0\.0 \[-\d\.\d, \d\.\d\]", zero) and small.startswith("0.1 ["), zero
    assert all(re.fullmatch(r"-?\d+ \[-?\d+, \d+\]", line) for line in lines(0.001, 40)), (
        "0 is enough"
    )


@pytest.mark.parametrize(("step", "is_flat"), [(0.01, True), (9, False)])
def test_a_curve_whose_band_has_room_for_a_flat_line_may_be_the_same_at_all_levels(step, is_flat):
    x = 3 * np.array([-1, -0.6, -0.3, 0.3, 0.6, 1])[:, None] + step * np.arange(4)
    swept = curve({"x": x}, range(4), mean, over="layer")
    assert is_flat == any(
        all(low <= level <= high for low, high in swept.band) for level in np.linspace(-9, 40, 9999)
    )
    found = Estimated(text="How far", n={"seed": 6}, unit="nats", curve=swept)
    shown = " ".join(tables.text(ResultData(findings=(found,)), 100).split())
    assert ("nats at all levels, and the band includes a flat line" in shown) == is_flat, shown


def test_an_estimate_is_not_printed_as_zero_or_as_an_end_that_it_is_not():
    assert digits.estimate(-0.31, -2.4, 2.6) == ("-0.3", "[-2.4, 2.6]")
    assert digits.estimate(-0.468, -2.9, 1.9) == ("-0.5", "[-2.9, 1.9]")
    assert digits.estimate(-0.001, -2.4, 2.6) == ("0", "[-2, 3]"), "two decimals more show nothing"
    assert digits.estimate(0.9996, 0.9943, 0.9998) == ("0.9996", "[0.9943, 0.9998]")
    assert digits.estimate(1.0, 0.9943, 1.0) == ("1.000", "[0.994, 1.000]"), "it is that end"


def test_a_long_curve_says_how_many_levels_it_lists():
    x = np.array([-1, -0.5, 0, 0.5, 1, 2])[:, None] + np.arange(20)
    swept = curve({"x": x}, range(20), mean, over="layer")
    first, *levels = tables.curve_lines(Estimated(text="It", n={"seed": 6}, curve=swept))
    assert first == "16 of the 20 levels" and len(levels) == 17
    assert levels[0].startswith("layer 0: ") and levels[15].startswith("layer 19: ")


@pytest.mark.parametrize(
    ("condition", "unit", "quantity", "words"),
    [
        ("main.right > 3", "nats", "main.right", "above 3 nats"),
        ("0.98 <= main.gamma < 1.02", "1", "main.gamma", "at least 0.98 and below 1.02"),
        ("2 < argmax(main.x, over=layer)", "1", "argmax(main.x, over=layer)", "above 2"),
        ("abs(a.x - b.x) < 1", "nats", "abs(a.x - b.x)", "below 1 nat"),
        ("a.fvu - b.fvu < -0.01 at equal l0", "1", "a.fvu - b.fvu at equal l0", "below -0.01"),
        ("share(main.x > 3) > 0.5", "1", "share(main.x > 3)", "above 0.5"),
    ],
)
def test_a_condition_is_said_in_words_with_or_without_a_source_of_its_threshold(
    condition, unit, quantity, words
):
    read = parse(condition.partition(" at equal ")[0])
    claim = structs.replace(sample.result().verdicts[0], condition=condition, unit=unit)
    claim = structs.replace(claim, range=(read.low, read.high), threshold="> 0")
    for source in ("plan: theory", reasons.GIVEN):
        row = tables.row(structs.replace(claim, threshold_from=source))
        assert (row.quantity, row.range) == (quantity, words)
        assert row.threshold.startswith("holds if ")
    of_table = structs.replace(claim, text=condition, condition="", threshold_from=reasons.GIVEN)
    assert tables.row(of_table).quantity == quantity and not tables.row(of_table).threshold
    sentence = structs.replace(of_table, text="It is larger")
    assert tables.quantity(sentence) == "", "as of a file of an older version"
