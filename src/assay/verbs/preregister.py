"""Preregister: what is to be judged, frozen before any result exists."""

from __future__ import annotations

import shlex
from dataclasses import replace

from assay.ask.freezing import Registered, preregister
from assay.core.claims import Claim
from assay.lab.forecast import unforecast
from assay.lab.judge import anchors, registered
from assay.report.noted import notes_in_order
from assay.verbs.parts import written
from assay.verbs.verb import DEFAULT, HERE, Answer, Choice, Door, Flag, Name, Place, verb

DIGITS = 32
"""Hex digits of a hash that are enough to publish: 128 bits."""


@verb("what was frozen, its hash and its seeds")
def command(
    name: Name,
    /,
    *,
    anyway: Flag = False,
    anchor: str = "",
    choice: Choice = DEFAULT,
    place: Place = HERE,
    door: Door,
) -> Answer[Registered]:
    """Freeze claims, thresholds, controls and seeds in a file before any result exists; the run
    then follows it.

    Parameters
    ----------
    anyway
        Also freeze claims that no data could decide, such as a claim with five seeds.
    anchor
        The http(s) address of an RFC 3161 time stamp authority, which is asked to sign the hash.
        assay verify checks it.

    Examples
    --------
    assay preregister my-question.toml
    """
    if anchor:
        anchors.require(anchor)
    experiment, preset = choice.of(name)
    lab, statements = place.lab(), experiment.sized(preset.specs)
    notes = (*statements.remarks, *lab.plan(experiment, preset).notes)
    registration = preregister(lab, experiment, preset, anyway=anyway)
    for note in notes_in_order(notes, sum(isinstance(c, Claim) for c in statements.claims)):
        door.aside(f"note: {note}")  # nothing has run: the file can still be deleted
    for claim in statements.claims:
        if isinstance(claim, Claim) and (why := unforecast(claim)):
            door.aside(f"note: there is no forecast of the interval of “{claim.text}”: {why}")
    if anchor:
        stamp = anchors.stamp(registered.read(registration.files[0]), anchor)
        registration = replace(registration, anchor=str(stamp))
    typed = f"{shlex.quote(name)}{preset.options}{place.options}"
    words = written("preregister", r=registration, typed=typed, digits=DIGITS)
    return Answer(registration, words)
