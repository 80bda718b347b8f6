"""What tests of submitted work ask: a workspace with an experiment of two arms, studies of it, and
a runner."""

import textwrap
import threading
import time
from contextlib import contextmanager

from assay.jobs.bounds import Bounds
from assay.jobs.runner import Runner
from assay.jobs.submission import Asked
from assay.jobs.work import Limits
from assay.verbs import jobs
from assay.verbs.new import write_experiment

LONG = 1_000_000
"""Steps that nobody waits for."""


def workspace(folder):
    """A folder with `own.py`, and the bounds within which it may run."""
    folder.mkdir(parents=True, exist_ok=True)
    write_experiment("own", folder)
    return Bounds(workspace=folder, code=True)


def study(seeds="0:6", steps=30, claim=True, name="./own.py", more=""):
    """A study of that experiment as text: narrow ones find their subspace better."""
    said = """
    [[claim]]
    text = "Narrow ones find their subspace better"
    holds = 'main.angle - "width=3/main".angle < -1'
    control = ["flat"]
    also = { "width=3/flat" = "rival: nothing to find" }
    threshold = "plan: a degree"
    """
    text = f"""
    question = "Does width matter?"
    seeds = "{seeds}"
    {more}
    [[experiment]]
    name = "{name}"
    fields = {{ inputs = 6, steps = {steps}, width = [2, 3] }}
    """
    return textwrap.dedent(text) + (textwrap.dedent(said) if claim else "")


def one(seed=0, steps=30):
    """The experiment itself at one seed."""
    return Asked(
        experiment="own.py", preset="smoke", sets=(f"seed={seed}", f"steps={steps}", "inputs=6")
    )


def until(true, seconds=90.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


def kinds(root, key):
    return [event.kind for event in jobs.events(root, key).events]


@contextmanager
def served(root, site, width=1, limits=Limits()):  # noqa: B008
    """A runner in a thread of this process."""
    over = threading.Event()
    runner = Runner(root, width, limits, site)
    thread = threading.Thread(target=runner.run, kwargs={"over": over})
    thread.start()
    try:
        yield runner
    finally:
        over.set()
        thread.join()
