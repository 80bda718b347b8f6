"""What tests of submitted work ask: a workspace with an experiment of two arms, and studies of
it."""

import textwrap

from assay.jobs.bounds import Bounds
from assay.jobs.submission import Asked
from assay.verbs.new import write_experiment


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
