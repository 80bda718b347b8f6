"""The measures of all arms of an experiment, where those of the trained ones are planted."""

from collections.abc import Callable, Sequence

import xarray as xr

from assay.core.experiment import Experiment
from assay.lab.judge.result import with_derived


def planted_arms(
    experiment: Experiment,
    measures: Callable[[str, int], xr.Dataset],
    names: Sequence[str] = (),
) -> dict[str, xr.Dataset]:
    """Plant each trained arm by (its name, its place among all or among these names), which is a
    stream of noise of its own; derive the others as the experiment does."""
    names = names or list(experiment.arms)
    trained = {
        name: measures(name, i)
        for i, name in enumerate(names)
        if experiment.arms[name].train is not None
    }
    return with_derived(experiment, trained)
