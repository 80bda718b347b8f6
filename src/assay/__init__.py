"""Test claims about the internals of models, with controls and confidence intervals.

Everything public is one name away (`assay.Claim`, `assay.judge`, `assay.metrics.shrinkage`), and
nothing is imported before it is used: `import assay` costs milliseconds, torch comes with the first
name that needs it."""

from types import ModuleType as _Module
from typing import TYPE_CHECKING

from assay.core.display import draw_with as _draw_with
from assay.core.heavy import lazy
from assay.core.renamed import install as _install_renamed
from assay.core.sources import register as _register

if TYPE_CHECKING:
    __version__: str

    from xarray import Dataset as Measures  # noqa: F401

    from assay import data, dictionaries, subjects  # noqa: F401
    from assay import dictionaries as architectures  # noqa: F401
    from assay.ask.measured import measured  # noqa: F401
    from assay.ask.running import run  # noqa: F401
    from assay.checks.check import check  # noqa: F401
    from assay.checks.probe import Activations, check_probe  # noqa: F401
    from assay.controls.material import Patch, Span, Text, Training  # noqa: F401
    from assay.controls.things import (  # noqa: F401
        Edges,
        Heads,
        Latents,
        Neurons,
        Place,
        Subspace,
        Vector,
    )
    from assay.core import stats  # noqa: F401
    from assay.core.bench import Bench  # noqa: F401
    from assay.core.claims import (  # noqa: F401
        Claim,
        Estimate,
        Exact,
        Finding,
        Gate,
        converged,
        rival,
        same_method,
    )
    from assay.core.descent import descent  # noqa: F401
    from assay.core.experiment import Arm, Elsewhere, Experiment, Joint  # noqa: F401
    from assay.core.figures import Figure, curve  # noqa: F401
    from assay.core.fit import Group, Trained  # noqa: F401
    from assay.core.measures import by, measures  # noqa: F401
    from assay.core.results import Published, Verdict  # noqa: F401
    from assay.core.runs import Runs  # noqa: F401
    from assay.core.spec import PerRun, Spec, changed, grid  # noqa: F401
    from assay.data import planted  # noqa: F401
    from assay.dictionaries.dictionary import Dictionary  # noqa: F401
    from assay.dictionaries.measuring import metrics  # noqa: F401
    from assay.dictionaries.training import losses  # noqa: F401
    from assay.dictionaries.training.quick import train_dictionary  # noqa: F401
    from assay.evaluation.evaluating import evaluate  # noqa: F401
    from assay.evaluation.looking import Look, look  # noqa: F401
    from assay.evaluation.result import Evaluation  # noqa: F401
    from assay.evaluation.sources import open_dictionary as load  # noqa: F401
    from assay.fitting import fit  # noqa: F401
    from assay.from_model import activations, which_site  # noqa: F401
    from assay.lab.judge.result import Result  # noqa: F401
    from assay.lab.lab import Lab  # noqa: F401
    from assay.subjects import edits  # noqa: F401
    from assay.subjects.pretrained import load as model  # noqa: F401
    from assay.subjects.site import Site  # noqa: F401
    from assay.train.rng import integers, normal, permutation, uniform  # noqa: F401
    from assay.verdicts.table import estimate  # noqa: F401
    from assay.verdicts.table import judge_table as judge  # noqa: F401
else:
    __getattr__, __dir__, __all__ = lazy(
        __name__,
        "Activations Arm Claim Dictionary Edges Estimate Evaluation Experiment Heads Lab Latents "
        "Neurons Patch Place Result Site Span Subspace Text Training Vector activations check "
        "check_probe edits estimate evaluate judge load look measured metrics model run "
        "train_dictionary which_site",
    )


def _notebook() -> _Module:
    from assay import notebook

    return notebook


def _studies() -> _Module:
    from assay.ask import composing

    return composing


# What lower floors call and must not import; every process that imports any of Assay comes by here.
_draw_with(_notebook)
_register(".toml", _studies)
_register(".md", _studies)
_install_renamed()
