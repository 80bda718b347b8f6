"""Absent: levels of a unit that an arm lacks although it has most of the others, such as the seed
of a run that crashed: they count as rows without a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assay.core.heavy import xr

COMMON, OF_OTHERS = 0.5, 0.75
"""The share of their levels that arms have in common, at least, if they are compared in pairs; the
share of these that any other arm has, such as a control."""


def put(
    arms: Mapping[str, xr.Dataset], compared: Sequence[str], units: Sequence[str]
) -> dict[str, xr.Dataset]:
    """The arms with the same levels of each unit, those that an arm lacks without a number; as they
    are where arms have hardly any level in common, each its own units, or where none is compared.
    """
    put = dict(arms)
    for unit in units if compared[1:] else ():
        levels = {a: set(x[unit].values.tolist()) for a, x in arms.items() if unit in x.coords}
        of_each = [levels[a] for a in compared if a in levels]
        if len(of_each) < len(compared):
            continue
        every, common = set.union(*of_each), set.intersection(*of_each)
        if len(common) < COMMON * min(map(len, of_each)):
            continue
        for arm, own in levels.items():
            is_one = arm in compared or len(own & every) >= OF_OTHERS * len(every)
            if own != every and is_one:
                put[arm] = put[arm].reindex({unit: sorted(every)})
    return put
