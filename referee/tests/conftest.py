"""Lets processes that tests start import the package, whether it is installed or not."""

import os
from pathlib import Path

os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parents[1] / "src"), os.environ.get("PYTHONPATH", "")]
).rstrip(os.pathsep)
