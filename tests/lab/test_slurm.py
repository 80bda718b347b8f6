"""The fleet of SLURM against a small SLURM that does as documented: what is written, typed and
believed, and what is survived."""

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
from assay.lab.away.fleets.slurm import Slurm
from fake_slurm import BUSY, FakeSlurm, directives

WAITS = ["/bin/sleep", "60"]
SAVES = [
    "/bin/bash",
    "-c",
    (
        'trap "echo saved; exit 0" TERM; echo began $SLURM_ARRAY_TASK_ID '
        "${SLURM_RESTART_COUNT:-0}; while true; do sleep 0.02 & wait; done"
    ),
]
"""A worker that says when it begins and, told to end, that it saved."""
IGNORES = ["/bin/bash", "-c", 'trap "" TERM; echo began; while true; do sleep 0.02; done']


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    with FakeSlurm() as slurm:
        monkeypatch.setenv("PATH", f"{slurm.bin}:{os.environ['PATH']}")
        yield slurm


def fleet(root: Path, **asked: object) -> Slurm:
    return Slurm(root, Request(**asked), pause=0.01, every=0.0)


def until(slurm: Slurm, members: Sequence[Member], *states: str) -> list[str]:
    """Every change of their states on the way to these."""
    passed: list[str] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = slurm.look(members)
        now = " ".join(found[m.id] for m in members)
        if passed[-1:] != [now]:
            passed.append(now)
        if now == " ".join(states):
            return passed
        time.sleep(0.01)
    raise AssertionError(passed)


def came(text: str, member: Member, times: int = 1) -> None:
    """Wait until a worker said this so often."""
    deadline = time.monotonic() + 60
    while Path(member.log).read_text().count(text) < times if Path(member.log).exists() else True:
        assert time.monotonic() < deadline, (text, member)
        time.sleep(0.01)


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
    found = directives(text)
    name = found.pop("job-name")
    assert re.fullmatch(r"assay-\d{8}-\d{6}", name)
    assert found == {
        "array": "0-3",
        "partition": "gpu",
        "account": "lab",
        "time": "1-12",
        "gpus-per-node": "a100:2",
        "mem": "16G",
        "nodes": "1",
        "ntasks": "1",
        "cpus-per-task": "3",
        "requeue": "",
        "signal": "B:TERM@60",
        "open-mode": "append",
        "qos": "low",
        "constraint": "a|b",
        "output": f"{root}/fleets/slurm/{name}/%A_%a.log".replace("100%", "100%%"),
    }
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


def test_workers_wait_run_end_and_leave_their_logs(cluster: FakeSlurm, tmp_path: Path) -> None:
    slurm = fleet(tmp_path, workers=3, partition="gpu")
    members = slurm.submit(
        3,
        [
            "/bin/bash",
            "-c",
            f"echo I am $SLURM_ARRAY_TASK_ID; until test -e {tmp_path}/go; do sleep 0.02; done",
        ],
    )
    assert [m.id for m in members] == ["101_0", "101_1", "101_2"]
    until(slurm, members, "running", "running", "waiting")
    (tmp_path / "go").touch()
    until(slurm, members, "ended", "ended", "ended")
    assert [Path(m.log).read_text() for m in members] == [f"I am {i}\n" for i in range(3)]
    (folder,) = (tmp_path / "fleets/slurm").iterdir()
    assert {Path(m.log).parent for m in members} == {folder} and sorted(
        p.name for p in folder.iterdir()
    )[-1] == "workers.sh"
    asked = len(cluster.asked)
    assert set(slurm.look(members).values()) == {"ended"} and len(cluster.asked) == asked, (
        "of what ended SLURM is not asked again"
    )


@pytest.mark.parametrize("grace", [0.0, 0.2])
def test_a_preempted_worker_saves_and_begins_again_under_its_number(
    cluster: FakeSlurm, tmp_path: Path, grace: float
) -> None:
    slurm = fleet(tmp_path)
    (member,) = members = slurm.submit(1, SAVES)
    came("began 0 0", member)
    cluster.preempt(cluster.running()[0], grace=grace)
    came("began 0 1", member)
    assert Path(member.log).read_text().splitlines() == ["began 0 0", "saved", "began 0 1"], (
        "and its log goes on"
    )
    assert slurm.look(members) == {member.id: "running"}


def test_a_worker_that_does_not_end_is_killed_and_begins_again(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    cluster.kill_wait = 0.1
    slurm = fleet(tmp_path)
    (member,) = members = slurm.submit(1, IGNORES)
    came("began", member)
    cluster.preempt(cluster.running()[0])
    came("began", member, times=2)
    until(slurm, members, "running")


def test_what_slurm_does_not_begin_again_is_told(cluster: FakeSlurm, tmp_path: Path) -> None:
    cluster.slots, slurm = 4, fleet(tmp_path)
    members = slurm.submit(4, IGNORES)
    until(slurm, members, *["running"] * 4)
    cluster.kill_wait = 0.1
    preempted, lost, requeued, exhausted = cluster.running()
    cluster.preempt(preempted, mode="CANCEL")
    cluster.lose(lost, requeue=False)
    cluster.lose(requeued)
    cluster.exhaust(exhausted)
    until(slurm, members, "preempted", "lost", "running", "ended")
    assert requeued.starts == 2


def test_a_worker_saves_before_its_time_limit_or_is_stopped_by_it(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    cluster.minute, cluster.kill_wait = 0.1, 0.1
    slurm = fleet(tmp_path, time="5")
    saves, ignores = slurm.submit(1, SAVES), slurm.submit(1, IGNORES)
    until(slurm, [*saves, *ignores], "ended", "preempted")
    assert Path(saves[0].log).read_text().splitlines()[-1] == "saved"
    assert [job.state for job in cluster.jobs] == ["COMPLETED", "TIMEOUT"]


def test_a_failed_worker_and_one_that_somebody_cancelled_have_ended(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    cluster.slots, slurm = 1, fleet(tmp_path)
    failed, cancelled = slurm.submit(1, ["/bin/false"]), slurm.submit(3, WAITS)
    until(slurm, [*failed, *cancelled], "ended", "running", "waiting", "waiting")
    subprocess.run(["scancel", cancelled[0].id.partition("_")[0]], check=True)
    until(slurm, cancelled, "ended", "ended", "ended")


def test_of_jobs_that_squeue_forgot_sacct_tells_and_without_it_they_are_lost(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    cluster.min_job_age = 0.0
    slurm = fleet(tmp_path)
    one, three = slurm.submit(1, ["/bin/false"]), slurm.submit(3, ["/bin/true"])
    until(slurm, [*one, *three], *["ended"] * 4)

    cluster.slots = 0  # cancelled before they began, which the accounts tell in one row
    never = slurm.submit(4, WAITS)
    subprocess.run(["scancel", never[0].id.partition("_")[0]], check=True)
    until(slurm, never, *["ended"] * 4)

    cluster.slots, cluster.accounting = 2, False
    slurm.gone = 0.05
    until(slurm, slurm.submit(1, ["/bin/true"]), "lost")
    slurm.gone = 600.0  # squeue may show a new job late: that is no loss yet
    assert set(slurm.look(slurm.submit(1, ["/bin/true"])).values()) <= {"waiting", "running"}


def test_squeue_may_fail_for_a_while(cluster: FakeSlurm, tmp_path: Path) -> None:
    slurm = fleet(tmp_path)
    members = slurm.submit(2, WAITS)
    cluster.fail("squeue")
    assert set(slurm.look(members).values()) == {"waiting"}, "nothing is known of them yet"
    until(slurm, members, "running", "running")
    cluster.fail("squeue", times=3)
    assert [set(slurm.look(members).values()) for _ in range(4)] == [{"running"}] * 4
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
    until(slurm, members, "running", "running")
    slurm.every, asked = 600.0, len(cluster.asked)
    assert [set(slurm.look(members).values()) for _ in range(20)] == [{"running"}] * 20 and len(
        cluster.asked
    ) == asked


def test_workers_that_slurm_will_never_begin_are_told(cluster: FakeSlurm, tmp_path: Path) -> None:
    cluster.longest = 60.0
    slurm = fleet(tmp_path, time="2:00:00")
    members = slurm.submit(2, WAITS)
    told = (
        "SLURM will not begin what was submitted: PartitionTimeLimit (squeue --jobs=101); ask for "
        "something else, and run the same command again"
    )
    with pytest.raises(FleetError) as found:
        until(slurm, members, "never", "never")
    assert str(found.value) == told


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            {"partition": "gpus"},
            (
                "sbatch: invalid partition specified: gpus; Batch job submission failed: Invalid "
                "partition name specified"
            ),
        ),
        ({"extra": "--quality=high"}, "sbatch: unrecognized option '--quality'"),
    ],
)
def test_what_sbatch_refuses_is_told_in_its_words(
    cluster: FakeSlurm, tmp_path: Path, asked: dict[str, str], told: str
) -> None:
    with pytest.raises(FleetError) as found:
        fleet(tmp_path, **asked).submit(1, WAITS)
    assert str(found.value) == told and cluster.jobs == []


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
    slurm = fleet(tmp_path)
    members = slurm.submit(2, WAITS)
    until(slurm, members, "running", "running")
    assert len(cluster.jobs) == 2
    assert sum(words[0] == "sbatch" for words in cluster.asked) == (1 if after else 3)


def test_a_controller_that_stays_busy_is_told_and_nothing_is_left_in_the_queue(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    cluster.fail("sbatch", times=20, after=True)
    cluster.fail("squeue", times=20)
    with pytest.raises(FleetError, match=f"^sbatch: Batch job submission failed: {BUSY}$"):
        fleet(tmp_path).submit(1, WAITS)
    assert cluster.jobs and {job.state for job in cluster.jobs} <= {"CANCELLED", "COMPLETING"}


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
    assert [job.state in ("CANCELLED", "COMPLETING") for job in cluster.jobs] == [True]


def _interrupt_when(begun: Callable[[], object], ended: threading.Event) -> None:
    while not begun():
        time.sleep(0.01)
    # Once is not always enough: Python drops what is raised while it collects garbage, and then
    # the submission would sleep on for ten minutes.
    while not ended.is_set():
        os.kill(os.getpid(), signal.SIGINT)
        ended.wait(20)


def test_what_is_typed_wins_over_the_environment(
    cluster: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SBATCH_PARTITION": "nowhere",
        "SBATCH_OUTPUT": "/dev/null",
        "SBATCH_ARRAY_INX": "0-9",
        "SQUEUE_STATES": "PD",
    }.items():
        monkeypatch.setenv(name, value)
    slurm = fleet(tmp_path, partition="main", workers=5)
    members = slurm.submit(2, ["/bin/echo", "here"])
    until(slurm, members, "ended", "ended")
    assert [Path(m.log).read_text() for m in members] == ["here\n"] * 2 and len(cluster.jobs) == 2


def test_cancel_stops_what_runs_and_waits_and_minds_nothing_that_ended(
    cluster: FakeSlurm, tmp_path: Path
) -> None:
    slurm = fleet(tmp_path)
    ended, rest = slurm.submit(1, ["/bin/true"]), slurm.submit(3, SAVES)
    until(slurm, [*ended, *rest], "ended", "running", "running", "waiting")
    came("began", rest[0])
    cluster.fail("scancel")
    slurm.cancel([*ended, *rest])
    until(slurm, rest, "ended", "ended", "ended")
    assert Path(rest[0].log).read_text().splitlines()[-1] == "saved" and not cluster.running()
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
    until(slurm, members, "running", "running")
    slurm.cancel(members)
    assert [m.id for m in members] == ["101_0;east", "101_1;east"] and Path(
        members[0].log
    ).name == "101_0.log"
    asked = [words for words in cluster.asked if words[0] != "sbatch"]
    assert all("--clusters=east" in words for words in asked) and asked[-1][-2:] == [
        "101_0",
        "101_1",
    ]
