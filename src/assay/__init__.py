"""Put an interpretability claim in; get a measured verdict out.

Everything public is one name away (`assay.Claim`, `assay.judge`, `assay.metrics.shrinkage`), and nothing is imported
before it is used: `import assay` costs milliseconds, torch comes with the first name that needs it.
"""

from typing import TYPE_CHECKING

from assay.core.lazy import lazy
from assay.core.shown import draw_with as _draw_with

# ruff: noqa: F401
if TYPE_CHECKING:
    __version__: str

    from xarray import Dataset as Measures

    from assay import data, dictionaries, subjects, worlds
    from assay import dictionaries as architectures
    from assay.core import stats
    from assay.core.bench import Bench
    from assay.core.claims import Claim, Exact, Finding, Gate, Published, Verdict, converged
    from assay.core.descent import descent
    from assay.core.experiment import Arm, Elsewhere, Experiment, Joint
    from assay.core.figures import Figure, curve
    from assay.core.fit import Group, Trained
    from assay.core.measures import by, measures
    from assay.core.rng import integers, normal, permutation, uniform
    from assay.core.runs import Runs
    from assay.core.spec import PerRun, Spec, changed, grid
    from assay.core.table import judge
    from assay.data import planted
    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.hook import spliced
    from assay.dictionaries.measuring import metrics
    from assay.dictionaries.training import losses
    from assay.dictionaries.training.quick import train_dictionary
    from assay.evaluation.evaluating import evaluate
    from assay.evaluation.looking import Look, look
    from assay.evaluation.result import Evaluation
    from assay.fitting import fit
    from assay.lab.lab import Lab
    from assay.lab.result import Result
    from assay.subjects.site import Site
else:
    __getattr__, __dir__, __all__ = lazy(__name__)

_draw_with("assay.notebook")
