"""Leases: one owner at a time, told by files or objects alone; what clocks say, a sleeping owner,
and two that are first at once."""

import json
import multiprocessing
import threading
import time

import pytest
from unruly_storage import settle

from assay.core import inputs
from assay.core.errors import AssayError
from assay.lab.away import leases
from assay.lab.away.depot import bucket
from assay.lab.away.leases import Leases


class Clock:
    """A clock that shows what it is told."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path, monkeypatch):
    """What processes or machines share."""
    if request.param == "folder":
        return tmp_path
    settle(tmp_path / "storage")
    return bucket.Bucket("adversary://bucket/shared")


@pytest.fixture
def elsewhere(monkeypatch):
    """Two machines, which see no locks of each other: what each sees of a store, by a clock of its
    own, far apart."""
    monkeypatch.setattr(leases, "_locked", lambda path: leases.Lock())
    here, there = Clock(), Clock()
    there.now = 1e6
    return here, there


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """No lease beats longer than its test."""
    beats, start = [], leases.Pulse.start

    def noted(pulse, beat, every):
        beats.append((pulse, beat))
        start(pulse, beat, every)

    monkeypatch.setattr(leases.Pulse, "start", noted)
    yield
    for pulse, beat in beats:
        pulse.stop(beat)


def silent(lease):
    """A process that sleeps, or died on another machine: no beat comes any more, and the file of
    the last one stays."""
    lease._pulse.stop(lease.beat)


def test_one_has_it_until_it_is_given_back(place):
    one, two = Leases(place), Leases(place)
    lease = one.take("group")
    assert lease is not None and two.take("group") is None and one.take("group") is None
    assert one.held("group") and two.held("group") and not one.held("other")
    lease.give_back()
    assert not two.held("group")
    again = two.take("group")
    assert again is not None and again.held() and not lease.held()
    again.done()
    assert not two.storage.names("leases/group")


def test_it_is_taken_over_when_the_beat_stood_still_by_the_clock_of_whoever_looks(place, elsewhere):
    here, there = elsewhere
    lease = Leases(place, here).take("group")
    other = Leases(place, there)
    assert other.take("group") is None
    here.now = 1e9  # the owner's clock says nothing
    there.now += other.lapse() - 1
    assert other.take("group") is None
    lease.beat()
    there.now += other.lapse() - 1  # that long again, by less than a lapse after the beat was seen
    assert other.take("group") is None
    silent(lease)
    there.now += other.lapse() - 0.1
    assert other.take("group") is None and other.held("group")
    there.now += 0.2
    assert not other.held("group")
    taken = other.take("group")
    assert taken is not None and taken.held()
    assert not lease.held() and lease.lost
    lease.give_back()
    assert taken.held(), "who lost it takes nothing along"
    taken.done()
    assert not other.storage.names("leases/group")


def test_an_owner_that_sleeps_until_its_successor_has_finished_has_lost_it(place, elsewhere):
    here, there = elsewhere
    sleeper = Leases(place, here).take("group")
    silent(sleeper)
    other = Leases(place, there)
    assert other.take("group") is None
    there.now += other.lapse() + 1
    other.take("group").done()  # its work is stored; nobody has the lease now
    assert not sleeper.beat()  # it wakes: its next beat is due at once
    assert sleeper.lost and not sleeper.held()
    assert not other.storage.names("leases/group"), "a beat of a lost lease would make it again"


def test_a_beat_keeps_it(place, elsewhere, monkeypatch):
    monkeypatch.setenv("ASSAY_LEASE_SECONDS", "0.05")
    _, there = elsewhere
    alive, other = Leases(place).take("group"), Leases(place, there)
    for _ in range(3):
        assert other.take("group") is None
        there.now += 1000.0
        before, deadline = alive._count, time.monotonic() + 30
        while alive._count < before + 2:  # the one before the last is written by then
            assert time.monotonic() < deadline, "it beats meanwhile"
            threading.Event().wait(0.02)
    alive.give_back()


def test_what_a_beat_opens_is_no_input_of_a_run(place, monkeypatch):
    monkeypatch.setattr(inputs, "_scratch", frozenset)  # a store may lie anywhere
    monkeypatch.setenv("ASSAY_LEASE_SECONDS", "0.05")
    lease = Leases(place).take("group")
    with inputs.Watch() as watch:
        threading.Event().wait(0.3)
    assert lease.held() and not watch.files and not watch.unchecked
    lease.done()


def test_a_first_look_is_never_enough_whatever_the_files_times_say(tmp_path, elsewhere):
    here, there = elsewhere
    silent(Leases(tmp_path, here).take("group"))
    for path in (tmp_path / "leases" / "group").iterdir():
        leases.os.utime(path, (0, 0))  # written in 1970, by a clock that was wrong or jumped
    fresh = Leases(tmp_path, there)
    assert fresh.take("group") is None
    there.now -= 500  # no clock that is asked goes back, and if it did, it would only take longer
    assert fresh.take("group") is None
    there.now += 530
    assert fresh.take("group") is not None


def test_a_sleeper_that_wakes_beats_for_nobody_and_finds_out(tmp_path, elsewhere, monkeypatch):
    monkeypatch.setenv("ASSAY_LEASE_SECONDS", "0.3")
    here, there = elsewhere
    lease = Leases(tmp_path, here).take("group")
    monkeypatch.setattr(lease, "_write", lambda beat: None)  # asleep: its next beat comes too late
    other = Leases(tmp_path, there)
    other.take("group")
    there.now += 1
    taken = other.take("group")
    monkeypatch.undo()  # awake
    assert lease._lost.wait(10), "at its next beat, without being asked"
    assert taken.held()
    assert [p.name for p in (tmp_path / "leases" / "group").iterdir()] == ["2.json"]


def test_numbers_grow_and_a_slow_taker_of_an_old_one_has_nothing(tmp_path, elsewhere):
    here, _ = elsewhere
    first = Leases(tmp_path, here).take("group")
    folder = tmp_path / "leases" / "group"
    # it read that 1 had lapsed, and fell asleep
    second = leases.Lease(
        Leases(tmp_path, here), "group", 2, leases.Claim("slow", 30.0, "1"), leases.Lock()
    )
    for number in (2, 3):
        first.give_back()
        first = Leases(tmp_path, here).take("group")
        assert [p.name for p in folder.iterdir()] == [f"{number}.json"]
    assert not second.claim()
    assert first.held()


def test_of_many_that_are_first_at_once_one_has_it(place, elsewhere):
    for round_ in range(3):
        start, found = threading.Barrier(12), []

        def take(round_=round_, start=start, found=found):
            start.wait()
            found.append(Leases(place).take(f"group-{round_}"))

        threads = [threading.Thread(target=take) for _ in range(12)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        taken = [lease for lease in found if lease is not None]
        assert sum(lease.held() for lease in taken) == 1
        [lease.give_back() for lease in taken]


def test_on_one_machine_a_kill_is_known_at_once_and_deaths_without_progress_count(tmp_path):
    def die(mark):
        Leases(tmp_path).take("group", mark)
        leases.os._exit(9)

    known = Leases(tmp_path)
    for mark in ("", "", "100"):
        child = multiprocessing.get_context("fork").Process(target=die, args=(mark,))
        child.start()
        child.join()
        assert not known.held("group")
    lease = known.take("group", "100")
    assert lease.deaths == 1, "two died at the start, one at step 100"
    lease.give_back()
    assert known.take("group", "100").deaths == 0, "who gives it back did not die"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"owner": "../../x"}',
        json.dumps({"owner": "../x", "kernel": "", "locked": True, "lapse": 1.0}),
    ],
)
def test_a_claim_that_nobody_can_read_is_nobodys(tmp_path, text):
    folder = tmp_path / "leases" / "group"
    folder.mkdir(parents=True)
    (folder / "7.json").write_text(text)
    lease = Leases(tmp_path).take("group")
    assert lease is not None and lease.held()
    assert [p.name for p in folder.iterdir()] == ["8.json"]
    lease.done()


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "1e9"])
def test_a_lapse_that_is_none_is_one_line(tmp_path, monkeypatch, text):
    monkeypatch.setenv("ASSAY_LEASE_SECONDS", text)
    with pytest.raises(
        AssayError, match="ASSAY_LEASE_SECONDS is a number of seconds above 0 and up to 3600, got"
    ):
        Leases(tmp_path).take("group")


def test_a_folder_without_links_has_leases_too(tmp_path, monkeypatch):
    def refuse(*names):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(leases.os, "link", refuse)
    one = Leases(tmp_path).take("group")
    assert one is not None and Leases(tmp_path).take("group") is None
    one.done()
