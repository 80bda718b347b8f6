"""The interface of a store in this process, and as a person starts it."""

import os
import subprocess
import sys
from contextlib import contextmanager

from starlette.testclient import TestClient

from assay.api import app
from assay.http.guard import Rules
from assay.jobs.bounds import Bounds

ADDRESS = "http://127.0.0.1"
SMOKE = {"experiment": "superposition", "preset": "smoke"}


def client(root, bounds=Bounds(), holders=(), patience=0.3, **headers):  # noqa: B008
    """A client of the application itself, without a server."""
    return TestClient(
        app.application(app.Served(root, bounds, patience), Rules(holders=holders)),
        base_url=ADDRESS,
        headers=headers,
    )


@contextmanager
def served(*words, door=("serve", "--api", "--port", "0")):
    """A server as `assay serve --api` starts it, or another door, and its address."""
    command = [sys.executable, "-m", "assay", *door, *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"NO_COLOR": "1"}
    ) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()
