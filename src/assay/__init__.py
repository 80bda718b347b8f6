"""Put an interpretability claim in; get a measured verdict out.

Everything public is one name away (`assay.Claim`, `assay.judge`, `assay.metrics.shrinkage`), and nothing is imported before it is used:
`import assay` costs milliseconds, torch comes with the first name that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.core import stats as stats
    from assay.core.claims import Claim, Exact, Finding, Gate, Published, Verdict, converged
    from assay.core.descent import descent
    from assay.core.experiment import Arm, Bench, Experiment, Joint
    from assay.core.figures import Figure, curve
    from assay.core.fit import Group, Trained, fit
    from assay.core.measures import Measures, by, measures
    from assay.core.rng import integers, normal, permutation, uniform
    from assay.core.runs import Runs
    from assay.core.spec import PerRun, Spec, changed, grid
    from assay.core.table import judge
    from assay.data import planted as planted
    from assay.dictionaries import losses as losses, metrics as metrics
    from assay.dictionaries.dictionary import Dictionary
    from assay.lab.lab import Lab
    from assay.lab.result import Result
    from assay.subjects.site import Site

_HOME = {
    "assay.core.claims": ("Claim", "Exact", "Finding", "Gate", "Published", "Verdict", "converged"),
    "assay.core.descent": ("descent",),
    "assay.core.experiment": ("Arm", "Bench", "Experiment", "Joint"),
    "assay.core.figures": ("Figure", "curve"),
    "assay.core.fit": ("Group", "Trained", "fit"),
    "assay.core.measures": ("Measures", "by", "measures"),
    "assay.core.rng": ("integers", "normal", "permutation", "uniform"),
    "assay.core.runs": ("Runs",),
    "assay.core.spec": ("PerRun", "Spec", "changed", "grid"),
    "assay.core.table": ("judge",),
    "assay.dictionaries.dictionary": ("Dictionary",),
    "assay.lab.lab": ("Lab",),
    "assay.lab.result": ("Result",),
    "assay.subjects.site": ("Site",),
}
_MODULES = {
    "losses": "assay.dictionaries.losses",
    "metrics": "assay.dictionaries.metrics",
    "planted": "assay.data.planted",
    "stats": "assay.core.stats",
}

__all__ = [  # the names of _HOME and _MODULES; written out so that editors and linters see them
    "Arm",
    "Bench",
    "Claim",
    "Dictionary",
    "Exact",
    "Experiment",
    "Figure",
    "Finding",
    "Gate",
    "Group",
    "Joint",
    "Lab",
    "Measures",
    "PerRun",
    "Published",
    "Result",
    "Runs",
    "Site",
    "Spec",
    "Trained",
    "Verdict",
    "by",
    "changed",
    "converged",
    "curve",
    "descent",
    "fit",
    "grid",
    "integers",
    "judge",
    "losses",
    "measures",
    "metrics",
    "normal",
    "permutation",
    "planted",
    "stats",
    "uniform",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(module), name)
    from assay.core.errors import nearest

    raise AttributeError(f"assay has no public name {name}; {nearest(name, __all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
