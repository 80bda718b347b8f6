"""A template: what it forks is a process like any other, and has what the template has."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from assay.lab.work.template import SUPPORTED, Forked, Template

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="no template forks on this system")


def test_a_fork_outlives_its_template_and_nobody_knows_how_it_ended(tmp_path):
    made = Template("", os.environ)
    with Path(os.devnull).open("r+") as null:
        streams = [null.fileno()] * 3
        process = Forked(made.address, "import time; time.sleep(600)", (), streams, os.environ)
        made.close()
        found = psutil.Process(process.pid)
        while not process.lost:
            assert process.poll() is None
        assert process.poll() is None and found.is_running()
        process.kill()
        assert process.wait() == -9
        with pytest.raises(OSError):
            Forked(made.address, "", (), streams, os.environ)


def test_a_template_ends_with_whoever_started_it(tmp_path):
    number = os.fork()
    if not number:  # no interpreter is started for it
        made = Template("", os.environ)
        (tmp_path / "place").write_text(made.address)
        (tmp_path / "pid").write_text(str(made._process.pid))
        time.sleep(600)
    while not (tmp_path / "pid").exists() or not (text := (tmp_path / "pid").read_text()):
        time.sleep(0.01)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    found = psutil.Process(int(text)) if psutil.pid_exists(int(text)) else None
    until = time.monotonic() + 10
    while found and found.is_running() and found.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.01)
    while Path((tmp_path / "place").read_text()).parent.exists():
        assert time.monotonic() < until, "it leaves no folder"
        time.sleep(0.01)
