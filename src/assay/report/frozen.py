"""Frozen: what was frozen before any result, which looks were taken and whether all of it was
followed, in sentences."""

from __future__ import annotations

from assay.core.results import Registration, ResultData

UNFROZEN = "exploratory: nothing was frozen before it was run"


def lines(data: ResultData) -> list[str]:
    """Say of a result whether it is confirmatory or exploratory and why, and how its looks went."""
    if (registration := data.registration) is None:
        return [UNFROZEN]
    when = f"frozen on {registration.time[:16].replace('T', ' ')} UTC"
    which = f"({registration.hash[:12]}, {registration.file})"
    more = [*looks(registration), *describe_others(registration)]
    if data.inference == "confirmatory":
        return [
            (
                f"confirmatory: {when}, before any result as far as this store knows {which}, and "
                "followed since"
            ),
            *more,
        ]
    missing, changed = registration.missing, registration.changed
    lost = "nobody can say whether it was followed: looks are missing"
    head = f"exploratory: {when} {which}, and {'not followed' if changed or not missing else lost}"
    return [
        head,
        *(f"not as frozen: {c}" for c in changed),
        *(f"missing: {m}" for m in missing),
        *more,
    ]


def looks(registration: Registration) -> list[str]:
    """Say at which look it is, how many claims are open, and what the intervals mean; nothing where
    no look was taken."""
    every, look_count = registration.looks, registration.taken
    open_count = len(registration.open)
    if not look_count or len(every) < 2:
        return []
    look = every[look_count - 1]
    text = f"look {look_count} of {len(every)}, at {look.units} of {every[-1].units} seeds"
    if open_count and look_count < len(every):
        text += f": {open_count} claim{'s go' if open_count > 1 else ' goes'} on to the next"
    elif look_count < len(every):
        text += ": every claim is settled, so it ended here"
    elif open_count:
        text += (
            f": the last, and {open_count} claim{'s are' if open_count > 1 else ' is'} undecided"
        )
    else:
        text += ": the last"
    rate = f"all {len(every)} looks together err no more often than one at {registration.alpha:.0%}"
    return [text, f"each claim has the interval of its look, so that {rate}"]


def describe_others(registration: Registration) -> list[str]:
    """Say what else was frozen of the same arms on the same seeds: whoever sees the best of several
    should know of all.
    """
    if not (registrations := registration.others):
        return []
    head = (
        f"one of {len(registrations) + 1} registrations of these arms and seeds in this store; the "
        f"other{'s are' if len(registrations) > 1 else ' is'}"
    )
    return [
        head,
        *(
            (f"{other.experiment} ({other.time[:16].replace('T', ' ')} UTC, {other.hash[:12]}): ")
            + ("; ".join(other.claims) or "its file is gone")
            for other in registrations
        ),
    ]
