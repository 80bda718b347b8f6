"""What a watcher sees: one line a stage, and the time left; in place on a terminal, plain lines
elsewhere."""

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from assay.cli import progress
from assay.cli.progress import Display, Stages
from assay.core.compute import Range, lasting, time_in_words
from assay.lab.work.events import Failed, Planned, Progress, Saved, Started, Waiting


def plan(rows, missing, draws=False):
    every = [SimpleNamespace(job=SimpleNamespace(arm=("main", "relu")[i % 2])) for i in range(rows)]
    took = {"seconds": 185.0, "cost_from": "the record"}
    return SimpleNamespace(rows=every, missing=every[:missing], draws=draws, **took)


EVENTS = [
    Planned(plan(rows=8, missing=6), groups=2),
    Started("a", ("main", "relu"), 4),
    Progress("a", ("main", "relu"), 250, 1000, {"loss": 0.51234}, eta=Range(61.0, 92.0)),
    Saved("a", ("main", "relu"), 6, 8, eta=Range(61.0, 92.0)),
    Failed("b", ("flat",), "ValueError: too flat"),
]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_times_are_read_aloud(seconds, text):
    assert time_in_words(seconds) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (40, 40.4, "about 40 s"),
        (40, 52.9, "about 46 s"),
        (50, 72, "about 1 min"),
        (121, 300, "about 3 min 10 s"),
        (1215, 1500, "about 22 min"),
    ],
)
def test_a_range_is_told_by_its_middle_in_the_digits_of_an_estimate(low, high, text):
    assert lasting(Range(low, high)) == text


def test_plain_lines_where_there_is_no_terminal():
    out = StringIO()
    with Display("toy", Console(file=out, width=200)) as display:
        for event in EVENTS:
            display(event)
    assert out.getvalue().splitlines() == [
        "toy: 8 runs, 2 stored, 6 to run, about 3 min 5 s if the cores are free",
        "main, relu: 4 runs started",
        "main, relu: stored, 6 of 8 runs, about 1 min 10 s left",
        "flat: crashed, ValueError: too flat",
    ]


def test_what_is_waited_for_is_a_line_a_minute_where_it_changes_or_redrawn(monkeypatch):
    clock = [0.0]
    lines = [f"waiting for a core, after {n}." for n in range(5)]
    monkeypatch.setattr("assay.cli.progress.time.monotonic", lambda: clock[0])
    log, screen = StringIO(), StringIO()
    with (
        Display("toy", Console(file=log, width=200)) as display,
        Display("toy", Console(file=screen, width=100, force_terminal=True)) as live,
    ):
        for line in lines:
            display(Waiting(line))
            live(Waiting(line))
            drawn = [text.plain for text in live.lines()]
            assert drawn[1:] == [line]
            clock[0] += 25.0
        live(EVENTS[1])
        assert not any("waiting" in text.plain for text in live.lines())
        clock[0] += 900.0
        display(Waiting(lines[3]))
    assert log.getvalue().splitlines() == [lines[0], lines[3]], "at 0 and 75 seconds"


def test_a_terminal_shows_where_each_stage_is():
    out = StringIO()
    display = Display("toy", Console(file=out, width=100, force_terminal=True, color_system=None))
    with display:
        for event in EVENTS[:3]:
            display(event)
        drawn = StringIO()
        Console(file=drawn, width=100, color_system=None).print(display.draw())
    head, stage = (line.rstrip() for line in drawn.getvalue().splitlines())
    assert head == "toy  2 of 8 runs stored, 0 s so far, about 1 min 10 s left"
    assert stage == "  ━━━━━━──────────────────  main, relu: 250 of 1,000 steps"


def test_runs_of_a_model_that_is_asked_as_it_is_are_draws_and_no_seeds():
    display = Display("country")
    whole = plan(rows=16, missing=16, draws=True)
    first = display.note(Planned(whole, groups=2))
    assert first.startswith("country: 16 runs (2 arms, 8 seeds each), 0 stored")
    started = Started("a", ("main",), 8, "seeds 1000000–1000007")
    assert display.note(started) == "main: 8 runs started"


def test_a_step_among_several_gives_the_time_of_all(capsys, monkeypatch):
    monkeypatch.setattr(progress, "QUIET", 0.0)
    with Stages("index") as show:
        show("tokens", 0, 512, ", step 1 of 11", None)
        show("tokens", 256, 512, ", step 1 of 11", Range(300.0, 590.0))
    assert capsys.readouterr().err.splitlines()[-1] == (
        "index, step 1 of 11, about 5 to 10 min left in all: 256 of 512 tokens"
    )
