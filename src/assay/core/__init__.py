"""Specs, runs, randomness, the training loop, measures, claims and statistics, figures, the
Experiment value.

Names are loaded when first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from assay.core.heavy import lazy

if TYPE_CHECKING:
    from assay.core.bench import Bench, Slot  # noqa: F401
    from assay.core.claims import (  # noqa: F401
        Claim,
        Estimate,
        Exact,
        Finding,
        Gate,
        OneTerm,
        Published,
        Value,
        converged,
    )
    from assay.core.descent import Adam, adam_state, descent  # noqa: F401
    from assay.core.errors import (
        AssayError,  # noqa: F401
        ClaimError,  # noqa: F401
        DataError,  # noqa: F401
        ExperimentError,  # noqa: F401
        ModelError,  # noqa: F401
        RunError,  # noqa: F401
        SpecError,  # noqa: F401
        StoreError,  # noqa: F401
    )
    from assay.core.experiment import (  # noqa: F401
        Arm,
        Arms,
        Cost,
        Derive,
        Elsewhere,
        Experiment,
        Joint,
        varied,
    )
    from assay.core.figures import Figure, by_level, columns, curve, figure, summary  # noqa: F401
    from assay.core.fit import (  # noqa: F401
        Group,
        State,
        Trained,
        constant,
        cosine,
        fit,
        probes,
        warm_up,
        warm_up_decay,
    )
    from assay.core.judging import judge  # noqa: F401
    from assay.core.measures import by, instead, measures, stack  # noqa: F401
    from assay.core.runs import Runs  # noqa: F401
    from assay.core.spec import (
        PerRun,  # noqa: F401
        Spec,  # noqa: F401
        SpecMap,  # noqa: F401
        added,  # noqa: F401
        changed,  # noqa: F401
        grid,  # noqa: F401
        key,  # noqa: F401
        removed,  # noqa: F401
        reserved,  # noqa: F401
        single,  # noqa: F401
        variant,  # noqa: F401
    )
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
