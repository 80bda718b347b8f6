"""The cores and the memory of a machine, shared by commands: never more at once than there are,
the first that came goes first, and what a killed one had is free."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time

import pytest
from walk import Noise

from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.lab.work import slots
from assay.lab.work.events import Task
from assay.lab.work.slots import Slots

FORK = multiprocessing.get_context("fork")
assert Noise


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(slots, "AGAIN", 0.01)
    monkeypatch.setattr(slots, "FOLDER", "slots")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "slots"


def task(number):
    return Task("store", f"group-{number}", "walk", "walk.py")


def waiting(what, *names, process=None):
    """The line that says what a command waits for, and which studies are ahead of it."""
    ahead = ", ".join(f"{name} (process {process or os.getpid()})" for name in names or ["a study"])
    return f"waiting for {what}, after {ahead}. {slots.SHARED}"


@contextlib.contextmanager
def command(tasks=9, **how):
    """A command that has entered: what draws its next task, what it said, each line once, and its
    slots."""
    said = []

    def tell(event):
        said.extend({event.text} - {*said[-1:]})

    with Slots(**{"width": 2, **how}).entered() as mine:
        drawn = mine.shared_out(iter(map(task, range(tasks))), tell)

        def draw():
            time.sleep(0.02)
            return next(drawn)

        yield draw, said, mine


def test_tasks_of_several_commands_never_take_more_cores_than_there_are():
    with command() as (first, _, one), command() as (second, said, _):
        assert first() and first()
        assert first() is None, "its own third waits too"
        assert second() is None
        one.ended()
        assert first(), "the next of the first command goes first"
        assert second() is None
    assert said == [waiting("a core")], "said once"


def test_those_that_wait_go_in_the_order_in_which_they_came():
    with command(width=1) as (first, _, one), command(width=1, name="walk") as (second, _, two):
        assert first()
        with command(width=1) as (third, said, _):
            assert [second(), third(), second()] == [None, None, None]
            assert said == [waiting("a core", "a study", "walk")]
            one.ended()
            first()
            one.ended()
            assert third() is None or not second(), "never both"
        assert two


def test_a_brief_command_does_not_wait_for_a_core_but_for_memory(monkeypatch):
    monkeypatch.setattr(slots, "free_memory", lambda: 10e9)
    with command(width=1, own=4e9) as (first, _, _), command(width=1) as (waits, _, _):
        assert first()
        assert waits() is None
        with command(width=1, own=8e9, seconds=1) as (large, said, _):
            assert large() is None
            assert said[0].startswith("waiting for memory, 8.0 GB needed")
        with command(width=1, seconds=1) as (brief, said, one):
            assert brief() and not said, "before the one that came first"
            assert brief() is None, "its second task waits as any other"
            with command(width=1, seconds=1) as (third, _, _):
                assert third() is None, "twice as many as cores run already"
            one.ended()


def test_what_counts_is_what_is_left_of_a_command_and_not_what_it_took_before():
    with command(width=1, seconds=600) as (long, _, one):
        assert long()
        with command(width=1, seconds=100) as (other, _, _):
            assert other() is None
            one.ended(left=400)
            assert long() is None, "the other one takes less"
            assert other()
            assert long() is None
        assert long()
        with command(width=1, seconds=100) as (other, _, _):
            assert other() is None
            one.ended(left=8)
            assert long() and not other(), "eight seconds are over soon"


def test_many_that_are_ahead_are_counted():
    with contextlib.ExitStack() as stack:
        for k in range(6):
            draw, said, _ = stack.enter_context(command(width=1, name=f"s{k}"))
            draw()
        ahead = ", ".join(f"s{k} (process {os.getpid()})" for k in range(3))
        assert said == [f"waiting for a core, after {ahead} and 2 more. {slots.SHARED}"]


def test_of_two_that_wait_the_shorter_goes_first_unless_the_other_waited_longer(monkeypatch):
    clock = iter([0, 1, 60 * 10**9, 300 * 10**9])
    monkeypatch.setattr(slots.time, "time_ns", lambda: next(clock))
    with command(width=1, seconds=9000) as (runs, _, one):
        assert runs()
        with (
            command(width=1, seconds=200, name="long") as (long, _, _),
            # due at 100 s
            command(1, width=1, seconds=40, name="short") as (short, _, two),
            # due at 340 s
            command(width=1, seconds=40, name="late") as (late, said, _),
        ):
            assert [long(), short(), late()] == [None, None, None]
            assert said == [waiting("a core", "a study", "long", "short")]
            one.ended()
            assert runs() is None, "a long command lets those in that go first"
            assert [late(), long()] == [None, None]
            assert short()
            two.ended()
            with pytest.raises(StopIteration):
                short()
            assert [late(), runs()] == [None, None]
            assert long()


def test_what_is_waited_for_is_said_as_it_is_now():
    with command(width=1, name="long") as (first, _, one):
        assert first()
        with command(width=1) as (last, said, _):
            with command(width=1, name="ended") as (second, _, _):
                assert second() is None
            assert last() is None, "what has ended is not listed"
            assert said == [waiting("a core", "long")]
            one.ended()


def test_another_study_of_the_same_name_is_said_to_be_another():
    with command(width=1, name="heads") as (first, _, _):
        assert first()
        with command(width=1, name="heads") as (second, said, _):
            assert second() is None
            ahead = f"another study, heads (process {os.getpid()})"
            assert said == [f"waiting for a core, after {ahead}. {slots.SHARED}"]
        with command(width=1, name="head") as (third, said, _):
            assert third() is None
            assert said == [waiting("a core", "heads")]


def test_a_slot_that_a_command_has_no_task_for_is_for_the_others():
    with command(1) as (first, _, one), command() as (second, _, _):
        assert first() and second()
        assert second() is None
        one.ended()
        with pytest.raises(StopIteration):
            first()
        assert second()


def test_a_task_of_several_threads_takes_as_many_cores():
    with command(each=2) as (first, _, _), command() as (second, _, _):
        assert first()
        assert first() is None and second() is None
    with command(each=5) as (wide, _, _):
        assert wide(), "no more than there are"


def test_what_admitted_ones_will_take_is_counted_and_one_alone_may_always_try(monkeypatch):
    monkeypatch.setattr(slots, "free_memory", lambda: 10e9)
    with (
        command(own=4e9, width=9) as (first, _, one),
        command(own=4e9, width=9) as (other, said, _),
    ):
        assert first() and first()
        assert other() is None
        assert said == [waiting("memory, 4.0 GB needed")]
        one.ended()
        with contextlib.suppress(StopIteration):
            while first():
                pass
    with command(own=99e9) as (huge, _, _):
        assert huge()
    with command(own=1e9, shared=6e9, width=9) as (shares, _, _):
        assert shares() and shares() and shares(), "what they share counts once"
        assert shares() and shares() is None


def held(began, over):
    with command(width=1) as (draw, _, _):
        assert draw()
        began.set()
        over.wait(600)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_command_had_is_free(folder, how):
    began, over = FORK.Event(), FORK.Event()
    process = FORK.Process(target=held, args=(began, over), daemon=True)
    process.start()
    assert began.wait(60)
    with command(width=1) as (draw, said, _):
        assert draw() is None and draw() is None
        os.kill(process.pid, how)
        process.join()
        until = time.monotonic() + 10
        while not (got := draw()):
            assert time.monotonic() < until
        assert got
        assert said == [waiting("a core", process=process.pid)]
    assert not [*folder.glob("[0-9]*")], "nothing is left of either"


def walk():
    return catalogue.find(str(__file__).replace("test_slots", "walk"))


def test_a_run_that_waits_says_so_runs_later_and_is_interrupted_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("assay.lab.work.slots.cores", lambda: 1)
    lab, events = Lab(tmp_path / "s", Inline(), together=True), []
    with command(width=1) as (draw, _, _):
        assert draw()
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            lab.run(walk(), "smoke", events.append)
        timer.join()
        assert events[0].text == waiting("a core")
    result = lab.run(walk(), "smoke")
    alone = Lab(tmp_path / "alone", Inline()).run(walk(), "smoke")
    assert result.to_json()["verdicts"] == alone.to_json()["verdicts"]


def test_nothing_is_left_of_a_command_whose_tasks_are_given_up_later(folder):
    with command() as (draw, _, mine):
        assert draw() and draw()
        mine.ended()
    del draw
    mine._give_spare()
    assert [path.name for path in folder.iterdir()] == ["alone"]


def test_where_no_lock_can_be_written_everything_runs(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "file"))
    with command() as (draw, said, _):
        assert all(draw() for _ in range(5)) and not said
