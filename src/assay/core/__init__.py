"""Specs, runs, randomness, the training loop, measures, claims and statistics, figures, the Experiment value.

Names are loaded when first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from assay.core.lazy import lazy

# ruff: noqa: F401
if TYPE_CHECKING:
    from assay.core.bench import Bench, Slot
    from assay.core.claims import Claim, Exact, Finding, Gate, OneTerm, Published, Value, converged
    from assay.core.descent import Adam, adam_state, descent
    from assay.core.errors import (
        AssayError,
        ClaimError,
        DataError,
        ExperimentError,
        ModelError,
        RunError,
        SpecError,
        StoreError,
    )
    from assay.core.experiment import Arm, Arms, Cost, Derive, Elsewhere, Experiment, Joint
    from assay.core.figures import Figure, columns, curve, summary
    from assay.core.fit import Group, State, Trained, fit
    from assay.core.judging import judge
    from assay.core.langevin import langevin
    from assay.core.measures import by, measures, stack
    from assay.core.runs import Runs
    from assay.core.schedules import constant, cosine, probes, warm_up, warm_up_decay
    from assay.core.spec import PerRun, Spec, SpecMap, added, changed, grid, key, removed, renamed, reserved, variant
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
