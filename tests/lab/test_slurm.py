"""The fleet of SLURM: what is written and typed, what its programs' answers are taken for, and what
is survived. What real jobs do is in test_slurm_runs.py."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from assay.core.errors import FleetError
from assay.lab.away.fleets import Member
from assay.lab.away.fleets.sbatch import Request
from assay.lab.away.fleets.slurm import STATES, Slurm
from fake_slurm import BUSY, FakeSlurm, directives

WAITS = ["/bin/sleep", "60"]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    with FakeSlurm() as slurm:
        monkeypatch.setenv("PATH", f"{slurm.bin}:{os.environ['PATH']}")
        yield slurm


def fleet(root: Path, **asked: object) -> Slurm:
    return Slurm(root, Request(**asked), pause=0.01, every=0.0)


def states(slurm: Slurm, members: Sequence[Member]) -> list[str]:
    found = slurm.look(members)
    return [found[m.id] for m in members]


def test_a_script_asks_for_what_was_typed_and_bash_reads_it(tmp_path: Path) -> None:
    root = tmp_path / "a store, 100% #1's"
    given = {
        "partition": "gpu",
        "time": "1-12",
        "gpus": "a100:2",
        "memory": "16G",
        "account": "lab",
    }
    asked = Request(
        workers=4, cpus=3, setup="module load cuda\n", extra="--qos=low -C 'a|b'", **given
    )
    command = [sys.executable, "-m", "assay", "worker", "--root", str(root), "--idle", "60"]
    text = Slurm(root, asked).script(command)
    name, *found = directives(text)
    assert re.fullmatch(r"--job-name=assay-\d{8}-\d{6}", name)
    logs = f"{root}/fleets/slurm/{name.partition('=')[2]}/%A_%a.log".replace("100%", "100%%")
    assert found == [
        "--array=0-3",
        "--partition=gpu",
        "--account=lab",
        "--time=1-12",
        "--gpus-per-node=a100:2",
        "--mem=16G",
        "--nodes=1",
        "--ntasks=1",
        "--cpus-per-task=3",
        "--requeue",
        "--signal=B:TERM@60",
        "--open-mode=append",
        f"--output={logs}",
        "--qos=low",
        "-C",
        "a|b",
    ]
    assert text.splitlines()[-2] == "module load cuda" and not root.exists()
    said = subprocess.run(
        ["bash", "-c", text.replace("exec ", "printf '%s\\n' ").replace("module", "true")],
        capture_output=True,
        text=True,
    )
    assert said.stdout.splitlines() == command and not said.stderr


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"workers": 0}, "--workers is a number from 1 up, got 0"),
        ({"partition": "gpu --wrap"}, "--partition is one word, got 'gpu --wrap'"),
        ({"account": "\x1b[2J"}, "--account is one word, got '\ufffd[2J'"),
        ({"time": "1h"}, "--time is 90, 1:30:00 or 2-12 as sbatch takes it, got '1h'"),
        (
            {"time": "2"},
            (
                "--time 2 leaves no time to work: a worker saves and ends up to two minutes "
                "before its limit"
            ),
        ),
        ({"gpus": "one"}, "--gpus is 2 or a100:2, got 'one'"),
        ({"memory": "16 GB"}, "--memory is 16G or 900M, got '16 GB'"),
        (
            {"extra": "--outp=x"},
            "--sbatch cannot have --outp: Assay sets the array, its logs and its signals itself",
        ),
        (
            {"extra": "--qos=low -a0-9"},
            "--sbatch cannot have -a0-9: Assay sets the array, its logs and its signals itself",
        ),
        (
            {"extra": "low"},
            "--sbatch is one line of options of sbatch, such as --qos=low, got 'low'",
        ),
        (
            {"extra": "--comment='a\nb'"},
            (
                "--sbatch is one line of options of sbatch, such as --qos=low, got "
                "\"--comment='a\\nb'\""
            ),
        ),
        (
            {"extra": "--comment='"},
            '--sbatch cannot be read: no closing quotation in "--comment=\'"',
        ),
    ],
)
def test_what_sbatch_could_not_mean_is_one_line(asked: dict[str, object], told: str) -> None:
    with pytest.raises(FleetError) as found:
        Request(**asked)
    assert str(found.value) == told


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("", 0),
        ("0", 0),
        ("90", 5400),
        ("5:30", 330),
        ("1:30:00", 5400),
        ("2-12", 216000),
        ("1-0:30", 88200),
        ("1-1:1:1", 90061),
    ],
)
def test_times_are_read_as_sbatch_documents_them(time: str, seconds: int) -> None:
    assert Request(time=time).seconds == seconds


def test_each_state_is_told_and_of_what_ended_slurm_is_not_asked_again(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    slurm = fleet(tmp_path)
    members = slurm.submit(len(STATES), WAITS)
    assert [m.id for m in members[:2]] == ["101_0", "101_1"]
    assert Path(members[1].log).name == "101_1.log"
    cluster.become(*STATES)
    assert states(slurm, members) == list(STATES.values())
    cluster.become(*["COMPLETED"] * len(STATES))
    over = {"preempted", "lost", "ended"}
    assert states(slurm, members) == [s if s in over else "ended" for s in STATES.values()]
    asked = len(cluster.asked)
    slurm.look(members)
    assert len(cluster.asked) == asked


def test_of_jobs_that_squeue_forgot_sacct_tells_and_without_it_they_are_lost(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    slurm = fleet(tmp_path)
    one, four, never = (slurm.submit(n, WAITS) for n in (1, 4, 4))
    cluster.jobs.clear()
    # those that were cancelled before they began are told in one row
    cluster.accounts = "101_0|FAILED\n102_[0-1,3]|PREEMPTED\n102_2|RUNNING\n"
    cluster.accounts += "103_[0-3%2]|CANCELLED by 1000\n"
    members = [*one, *four, *never]
    told = ["ended", "preempted", "preempted", "waiting", "preempted", *["ended"] * 4]
    assert states(slurm, members) == told, "accounts come late: what runs, squeue lists"

    cluster.accounts, slurm.gone = "", 600.0
    lost = slurm.submit(1, WAITS)
    cluster.jobs.clear()
    assert states(slurm, lost) == ["waiting"], "squeue may show a new job late"
    slurm.gone = 0.0
    assert states(slurm, lost) == ["lost"]


def test_squeue_may_fail_for_a_while(cluster: FakeSlurm, tmp_path: Path) -> None:
    slurm = fleet(tmp_path)
    members = slurm.submit(2, WAITS)
    cluster.fail("squeue")
    assert states(slurm, members) == ["waiting"] * 2, "nothing is known of them yet"
    assert states(slurm, members) == ["running"] * 2
    cluster.fail("squeue", times=3)
    assert [states(slurm, members) for _ in range(4)] == [["running"] * 2] * 4
    cluster.fail("squeue", times=2)
    slurm.patience = 0.0
    slurm.look(members)
    with pytest.raises(
        FleetError,
        match=rf"^SLURM has not answered for \d+ s: squeue: slurm_load_jobs error: {BUSY}$",
    ):
        slurm.look(members)


def test_a_controller_is_not_asked_more_often_than_need_be(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    slurm = fleet(tmp_path)
    members = slurm.submit(2, WAITS)
    slurm.look(members)
    slurm.every, asked = 600.0, len(cluster.asked)
    assert [states(slurm, members) for _ in range(20)] == [["running"] * 2] * 20
    assert len(cluster.asked) == asked


def test_workers_that_slurm_will_never_begin_are_told(cluster: FakeSlurm, tmp_path: Path) -> None:
    cluster.begins, cluster.reason = "PENDING", "PartitionTimeLimit"
    slurm = fleet(tmp_path)
    members = slurm.submit(2, WAITS)
    with pytest.raises(FleetError) as found:
        slurm.look(members)
    assert str(found.value) == (
        "SLURM will not begin what was submitted: PartitionTimeLimit (squeue --jobs=101); ask for "
        "something else, and run the same command again"
    )


def test_what_sbatch_refuses_is_told_in_its_words(cluster: FakeSlurm, tmp_path: Path) -> None:
    cluster.fail("sbatch", "Invalid partition name specified")
    with pytest.raises(FleetError) as found:
        fleet(tmp_path).submit(1, WAITS)
    assert str(found.value) == (
        "sbatch: Batch job submission failed: Invalid partition name specified"
    )


def test_without_slurm_one_line_says_where_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        FleetError,
        match=(
            r"^no sbatch on this machine: --on slurm is typed where jobs are submitted, such as a "
            r"login node$"
        ),
    ):
        fleet(tmp_path).submit(1, WAITS)


@pytest.mark.parametrize("after", [False, True])
def test_a_busy_controller_gets_the_array_once(
    cluster: FakeSlurm, tmp_path: Path, after: bool
) -> None:
    cluster.fail("sbatch", times=2 if not after else 1, after=after)
    members = fleet(tmp_path).submit(2, WAITS)
    assert [job.id for job in cluster.jobs] == [m.id for m in members]
    assert sum(words[0] == "sbatch" for words in cluster.asked) == (1 if after else 3)


def test_a_controller_that_stays_busy_is_told_and_nothing_is_left_in_the_queue(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    cluster.fail("sbatch", times=20, after=True)
    cluster.fail("squeue", times=20)
    with pytest.raises(FleetError, match=f"^sbatch: Batch job submission failed: {BUSY}$"):
        fleet(tmp_path).submit(1, WAITS)
    assert {job.state for job in cluster.jobs} == {"CANCELLED"}


def test_an_interrupted_submission_is_cancelled(cluster: FakeSlurm, tmp_path: Path) -> None:
    cluster.fail("sbatch", times=20, after=True)
    cluster.fail("squeue", times=20)
    slurm = Slurm(tmp_path, pause=600.0)
    handler, ended = signal.signal(signal.SIGINT, signal.default_int_handler), threading.Event()
    try:
        threading.Thread(target=_interrupt_when, args=(lambda: cluster.jobs, ended)).start()
        with pytest.raises(KeyboardInterrupt):
            slurm.submit(1, WAITS)
    finally:
        ended.set()
        signal.signal(signal.SIGINT, handler)
    assert [job.state for job in cluster.jobs] == ["CANCELLED"]


def _interrupt_when(begun: Callable[[], object], ended: threading.Event) -> None:
    while not begun():
        time.sleep(0.01)
    # Once is not always enough: Python drops what is raised while it collects garbage, and then
    # the submission would sleep on for ten minutes.
    while not ended.is_set():
        os.kill(os.getpid(), signal.SIGINT)
        ended.wait(20)


def test_cancel_is_typed_until_it_is_heard_and_of_what_ended_nothing_is(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    slurm = fleet(tmp_path)
    ended, rest = slurm.submit(1, WAITS), slurm.submit(3, WAITS)
    cluster.become("COMPLETED", "RUNNING", "RUNNING", "PENDING")
    slurm.look([*ended, *rest])
    cluster.fail("scancel")
    slurm.cancel([*ended, *rest])
    assert [job.state for job in cluster.jobs] == ["COMPLETED", *["CANCELLED"] * 3]
    slurm.look(rest)
    slurm.cancel(rest)
    assert sum(words[0] == "scancel" for words in cluster.asked) == 2, (
        "the one that failed, and the one that did it"
    )
    more = slurm.submit(1, WAITS)
    cluster.fail("scancel", times=20)
    with pytest.raises(
        FleetError,
        match=rf"^scancel: {BUSY}; what still runs is stopped by: scancel --quiet {more[0].id}$",
    ):
        slurm.cancel(more)


def test_of_several_clusters_the_one_that_took_the_job_is_asked(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    cluster.cluster = "east"
    slurm = fleet(tmp_path)
    members = slurm.submit(2, WAITS)
    assert states(slurm, members) == ["running"] * 2
    slurm.cancel(members)
    assert [m.id for m in members] == ["101_0;east", "101_1;east"] and Path(
        members[0].log
    ).name == "101_0.log"
    asked = [words for words in cluster.asked if words[0] != "sbatch"]
    assert all("--clusters=east" in words for words in asked) and asked[-1][-2:] == [
        "101_0",
        "101_1",
    ]
