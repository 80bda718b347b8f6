"""Put an interpretability claim in; get a measured verdict out.

Everything public is one name away (`assay.Claim`, `assay.judge`, `assay.metrics.shrinkage`), and nothing is imported
before it is used: `import assay` costs milliseconds, torch comes with the first name that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# These imports are for editors and type checkers; at run time __getattr__ answers.
# ruff: noqa: F401
if TYPE_CHECKING:
    from xarray import Dataset as Measures

    from assay import data as data
    from assay import dictionaries as architectures
    from assay import dictionaries as dictionaries
    from assay import subjects as subjects
    from assay import worlds as worlds
    from assay.core import stats as stats
    from assay.core.bench import Bench
    from assay.core.claims import Claim, Exact, Finding, Gate, Published, Verdict, converged
    from assay.core.descent import descent
    from assay.core.experiment import Arm, Experiment, Joint
    from assay.core.figures import Figure, curve
    from assay.core.fit import Group, Trained
    from assay.core.measures import by, measures
    from assay.core.rng import integers, normal, permutation, uniform
    from assay.core.runs import Runs
    from assay.core.spec import PerRun, Spec, changed, grid
    from assay.core.table import judge
    from assay.data import planted as planted
    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.hook import spliced
    from assay.dictionaries.measuring import metrics as metrics
    from assay.dictionaries.training import losses as losses
    from assay.dictionaries.training.quick import train_dictionary
    from assay.evaluation.evaluating import evaluate
    from assay.evaluation.looking import Look, look
    from assay.evaluation.result import Evaluation
    from assay.fitting import fit
    from assay.lab.lab import Lab
    from assay.lab.result import Result
    from assay.subjects.site import Site

# public name → module it lives in, then its name there when that differs; without a second part, the module itself
_HOME = {
    **dict.fromkeys(("Claim", "Exact", "Finding", "Gate", "Published", "Verdict", "converged"), "assay.core.claims:"),
    **dict.fromkeys(("Arm", "Experiment", "Joint"), "assay.core.experiment:"),
    "Bench": "assay.core.bench:",
    **dict.fromkeys(("Figure", "curve"), "assay.core.figures:"),
    **dict.fromkeys(("Group", "Trained"), "assay.core.fit:"),
    **dict.fromkeys(("by", "measures"), "assay.core.measures:"),
    **dict.fromkeys(("integers", "normal", "permutation", "uniform"), "assay.core.rng:"),
    **dict.fromkeys(("PerRun", "Spec", "changed", "grid"), "assay.core.spec:"),
    "Dictionary": "assay.dictionaries.dictionary:",
    "Evaluation": "assay.evaluation.result:",
    "Lab": "assay.lab.lab:",
    "Look": "assay.evaluation.looking:",
    "Measures": "xarray:Dataset",
    "Result": "assay.lab.result:",
    "Runs": "assay.core.runs:",
    "Site": "assay.subjects.site:",
    "architectures": "assay.dictionaries",
    "data": "assay.data",
    "descent": "assay.core.descent:",
    "dictionaries": "assay.dictionaries",
    "evaluate": "assay.evaluation.evaluating:",
    "fit": "assay.fitting:",
    "judge": "assay.core.table:",
    "look": "assay.evaluation.looking:",
    "losses": "assay.dictionaries.training.losses",
    "metrics": "assay.dictionaries.measuring.metrics",
    "planted": "assay.data.planted",
    "spliced": "assay.dictionaries.hook:",
    "stats": "assay.core.stats",
    "subjects": "assay.subjects",
    "train_dictionary": "assay.dictionaries.training.quick:",
    "worlds": "assay.worlds",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(_elsewhere(name))
    module, inside, there = _HOME[name].partition(":")
    return getattr(import_module(module), there or name) if inside else import_module(module)


def _elsewhere(name: str) -> str:
    """The end of a search for a name that is not here: the modules where it lives, or what is called nearly the same."""
    from pathlib import Path

    from assay.core.errors import nearest
    from assay.core.lazy import homes

    here = Path(__file__).parent
    if (here / name).is_dir() or (here / f"{name}.py").is_file():  # as `from assay import name` asks before it imports the module
        return f"assay.{name} is a module: import assay.{name}"
    found = [] if name.startswith("_") else homes(name, "assay", here)
    return f"assay has no public name {name}; " + (f"it lives in {' and '.join(found[:3])}" if found else nearest(name, _HOME))


def __dir__() -> list[str]:
    return __all__
