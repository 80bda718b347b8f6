"""How many workers share a GPU: one that has all cores, unless --threads says otherwise; and what a
machine without one says."""

import pytest
import torch

from assay.cli.main import main
from assay.lab.store import provenance
from assay.verbs import machine


def test_one_worker_has_a_gpu_unless_threads_share_it(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "device_here", lambda name: name)
    monkeypatch.setattr(provenance, "cores", lambda: 16)
    monkeypatch.setattr("assay.lab.engines.workers.cores", lambda: 16)

    def workers(**given):
        made = machine.Machine(**given).lab(tmp_path).executor
        return made.width, made.threads

    assert workers() == (16, 1) and workers(threads=4) == (4, 4)
    assert workers(device="cuda:1") == (1, 16)
    assert workers(device="cuda:1", threads=4) == (4, 4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_one_line(name, capsys, tmp_path):
    assert main(["run", "superposition", "--device", name, "--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err.strip() == f"no device {name} on this machine; it has cpu"
