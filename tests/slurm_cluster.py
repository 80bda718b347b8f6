"""A real SLURM of two nodes on this machine: munged, slurmctld and two slurmd, of any user, in a
folder of their own.

Each node has one CPU, and a GPU in name. Partitions: `main`, `gpu` (five hours at most) and
`graced` (three seconds after it was told) give way to `urgent`; what gives way is requeued."""

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PATH = f"{os.environ['PATH']}:/usr/sbin"
"""Where the daemons are: not every user's PATH has their folder."""
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
NODES = ("one", "two")
SETTINGS = """
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdParameters=config_overrides
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=2
ReturnToService=2
GresTypes=gpu
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} {has}
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} {has}
PartitionName=main Nodes=ALL Default=YES
PartitionName=gpu Nodes=ALL MaxTime=300
PartitionName=graced Nodes=ALL GraceTime=3
PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF
"""
HAS = "CPUs=1 RealMemory=65536 Gres=gpu:a100:1 Feature=a100"


def missing():
    """Say why there can be no SLURM here; "" where there can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    return f"no {' and no '.join(absent)}: apt-get install slurm-wlm munge" if absent else ""


@dataclass(frozen=True)
class Job:
    """What squeue says of one task of an array."""

    id: str
    state: str
    restarts: int
    node: str


class SlurmCluster:
    """The four daemons. Leave it, and nothing that it began is left."""

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def _start(self):
        # not pytest's folder: the name of a socket is short
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)  # as munged wants the folder of its socket
        self._daemons = {}
        self.conf = self.folder / "slurm.conf"
        (self.folder / "state").mkdir()
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        names = {"host": socket.gethostname().partition(".")[0], "user": getpass.getuser()}
        self.conf.write_text(SETTINGS.format(folder=self.folder, ports=_ports(3), has=HAS, **names))
        (self.folder / "gres.conf").write_text("Name=gpu Type=a100 File=/dev/null\n")
        files = {"socket": "munge", "key-file": key.name, "log-file": "munged.log"}
        files |= {"pid-file": "munged.pid", "seed-file": "munged.seed"}
        # --force: a folder that others may write to, as /tmp is, is a warning
        options = [f"--{option}={self.folder / name}" for option, name in files.items()]
        self._begin("munged", "--foreground", "--force", *options)
        until((self.folder / "munge").exists, self.logs)
        self.begin_controller()
        for name in NODES:
            self._begin(f"slurmd-{name}", "-D", "-N", name)
        until(lambda: set(self.ask("sinfo", "-h", "-o", "%t").split()) == {"idle"}, self.logs)

    def __exit__(self, *why):
        try:
            self.clear()
        finally:
            self._end()

    def _end(self):
        for process in reversed(self._daemons.values()):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self):
        """Cancel what anybody submitted, and wait until it is gone."""
        for words in (("--signal=KILL", "--full"), ()):
            self.ask("scancel", *words, f"--user={getpass.getuser()}", check=False)
        until(lambda: not self.ask("squeue", "-h"), self.logs)

    def ask(self, *words, check=True):
        """What one of SLURM's programs prints."""
        env = {**os.environ, "SLURM_CONF": str(self.conf), "PATH": PATH}
        return subprocess.run(words, env=env, check=check, text=True, stdout=subprocess.PIPE).stdout

    def jobs(self, array=""):
        """Every task of an array, or of all, also those that ended minutes ago."""
        columns = "JobArrayID:40,State:20,RestartCnt:20,Partition:20,NodeList:40"
        out = self.ask("squeue", "--array", "--noheader", "--states=all", f"--Format={columns}")
        rows = [line.split() for line in out.splitlines()]
        return [
            Job(id, state, int(restarts), "".join(node))
            for id, state, restarts, partition, *node in rows
            if partition != "urgent" and id.startswith(array)
        ]

    def running(self):
        """Those that run now."""
        return [job for job in self.jobs() if job.state == "RUNNING"]

    def preempt(self, node):
        """Have a node's job give way to an urgent one, which is over in a moment."""
        where = (f"--nodelist={node}", "--partition=urgent", "--output=/dev/null")
        self.ask("sbatch", *where, "--wrap=true")

    def fail(self, node):
        """Let a node fail, as SLURM sees it, and come back."""
        self.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=trial")
        # which it may have done by itself by then
        self.ask("scontrol", "update", f"nodename={node}", "state=resume", check=False)

    def expire(self, job):
        """Have a job's time be over in less than the minute of which SLURM warns it."""
        self.ask("scontrol", "update", f"jobid={job.id}", "timelimit=1")

    def begin_controller(self):
        """Start it, on the state that an earlier one left."""
        self._begin("slurmctld", "-D")
        until(lambda: "UP" in self.ask("scontrol", "ping", check=False), self.logs)

    def end_controller(self):
        """Stop it; what runs goes on."""
        process = self._daemons.pop("slurmctld")
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    def logs(self):
        """What the daemons printed last."""
        return "\n".join(path.read_text()[-2000:] for path in sorted(self.folder.glob("*.out")))

    def _begin(self, name, *options):
        program = shutil.which(name.partition("-")[0], path=PATH)
        assert program is not None
        with (self.folder / f"{name}.out").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                [program, *options],
                env={**os.environ, "SLURM_CONF": str(self.conf), "PATH": PATH},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def until(true, why=str, seconds=60):
    """Wait for it. Raises: AssertionError with what `why` says."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, why()
        time.sleep(0.1)


def _ports(n):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
