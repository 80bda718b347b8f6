"""Objections to a claim about a change inside a model: that it only changes the text (`of_input`),
or the answer itself (`of_output`), or that it cannot reach what is read (`unreached`)."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, TypeVar

from assay.ask.measure import controls, directions, interventions, reads
from assay.ask.measure.heads import head_of
from assay.ask.measure.interventions import SWAPPED, sites_of
from assay.ask.measure.prompts import SLOT, PromptRow, PromptSet, corrupted
from assay.ask.measure.tasks import Task
from assay.ask.part import Part
from assay.ask.tables import Intervention, Read
from assay.core.columns import Column
from assay.core.errors import AssayError
from assay.subjects.site import AFTER, BEFORE, KINDS, Site

T = TypeVar("T", Intervention, Read)
UNMIXED = {"hook_embed", "hook_pos_embed", "blocks.0.hook_resid_pre"}
"""Sites that have no information of other tokens."""
SETTLED = ("resid_mid", "resid_post")
"""Kinds of sites of the last block after which no token reads from another one."""
OF_ANSWER = (
    *("log_prob", "prob", "logit", "accuracy", "rank", "entropy"),
    *("kl", "agrees", "generates", "begins"),
)
"""Kinds of reads of the prediction at one token."""
DOWNSTREAM = ("direct", "gradient", "weights", "column", "function", "loss", "written")
"""Kinds of reads that have a site and depend on what follows it, or that have none."""
COPIES = {
    "corrupted": "the other text",
    "other": "another prompt",
    "clean": "the unchanged model",
    SWAPPED: "the other token",
}
"""By kind of patch: what has the answer that it copies."""
WORD = re.compile("[\u2e80-\u9fff]|[^\\W\u2e80-\u9fff]+|\\W")
"""A word of a text, which is one character in Chinese and Japanese, or what is between words."""


def claimed(part: Part, columns: Sequence[Column]) -> list[Intervention]:
    """The change that an arm makes, at each of the levels that a claim names."""
    if not isinstance(part.task, Task) or part.task.intervention is None:
        return []
    levels = [dict(c.levels) for c in columns if c.arm in (None, part.label)]
    return _at_levels(part.task.intervention, levels)


def _at_levels(table: T, levels: Sequence[Mapping[str, Any]]) -> list[T]:
    """A table at each of the levels of its sweep that are named; at all of them if none is."""
    return [
        interventions.swept(table, point)
        for point in interventions.points(table)
        if any(str(point[d]) == str(x[d]) for x in levels for d in x if d in point)
        or not any(d in point for x in levels for d in x)
    ]


def of_input(part: Part, columns: Sequence[Column] = ()) -> Iterator[str]:
    """Note that a patch is equivalent to a change of the text, at the claimed levels."""
    if not isinstance(part.task, Task):
        return
    prompts = part.task.prompts
    patches = [t for t in claimed(part, columns) if t.patch and t.patch != "clean"]
    if patches and all(not t.heads and {*sites_of(t)} <= UNMIXED for t in patches):
        yield (
            f"{', '.join(sites_of(patches[0]))} comes before the first block that mixes tokens: "
            "the patch puts another text there, so this is a change of the input, and not a "
            "finding about the inside of the model"
        )
    elif whole := [
        t for t in patches if t.position == "all" and all(map(controls.is_stream, sites_of(t)))
    ]:
        yield (
            f"all that later blocks read is {', '.join(sites_of(whole[0]))}, which is changed: "
            "so this is a change of the input, and not a finding about the inside of the model"
        )
    elif any(t.patch == SWAPPED and all(map(controls.is_stream, sites_of(t))) for t in patches):
        yield (
            "in early blocks, the streams of two tokens have little but these tokens themselves, "
            "so swapping them may be no more than swapping the words; compare several depths"
        )
    elif there := [t for t in patches if t.patch == "corrupted" and text_differs(t, prompts)]:
        yield (
            f"the two prompts differ at {there[0].position} itself, so the patch may amount to "
            "editing the prompt; to rule this out, patch a later token or compare several depths"
        )


def of_output(part: Part, columns: Sequence[Column], layers: int) -> Iterator[str]:
    """Note that a change in a model of so many blocks is made to the stream from which the answer
    is read, after the last block that mixes tokens."""
    tables, task = claimed(part, columns), part.task
    if not tables or not isinstance(task, Task):
        return
    named = {c.name for c in columns if c.arm in (None, part.label)}
    asked = [r for r in task.reads if r.name in named]
    places = [_settled(t, task, layers) for t in tables]
    if (
        not asked
        or not all(places)
        or not all(_is_read_at(t, r, task) for t in tables for r in asked)
    ):
        return
    what = "this changes the answer itself"
    if (patch := tables[0].patch) and not tables[0].along:
        what = f"the patch copies the answer of {COPIES[patch]}"
    yield (
        f"no block mixes tokens after {places[0][0]}, so {what}, as it would in any model: this is "
        "not a finding about where the answer comes from; change an earlier block or another token"
    )


def _is_read_at(table: Intervention, read: Read, task: Task) -> bool:
    """Whether a read is of the prediction at a token that a table changes."""
    place = table.position
    if (slot := SLOT.fullmatch(str(place))) and read.position == -1:
        at_end = all(r.spans.get(slot[1]) == len(r.text) for r in task.prompts.rows)
        place = -1 if at_end else place
    is_prediction = reads.kind_of(read) in OF_ANSWER and not read.site
    return is_prediction and place in ("all", read.position)


def _settled(table: Intervention, task: Task, layers: int) -> list[Site]:
    """The sites of a change after which no token reads from another one. None where the change is
    of parts, or where it is only added to what earlier blocks pass on."""
    replaces = table.patch or table.ablate
    if (
        not (replaces or table.add or table.project_out or table.erase)
        or table.neurons
        or table.top
    ):
        return []
    try:
        direction = interventions.direction_of(table, task.directions)
        places = interventions.widened(table, interventions.where(table, direction), layers)
    except AssayError:  # reported where the change is checked
        return []
    last = [site for site, _ in places if _is_last(site, layers)]
    return last if replaces or len(last) == len(places) else []


def _is_last(site: Site, layers: int) -> bool:
    in_last = site.kind in SETTLED and site.layer == layers - 1
    return in_last or site.kind == "final_norm"


def unreached(part: Part, columns: Sequence[Column], layers: int) -> Iterator[str]:
    """Note that each read of a claim is made before the change of its arm in the pass of a model of
    so many blocks, so that the two have nothing to do with each other."""
    tables, task = claimed(part, columns), part.task
    if not tables or not isinstance(task, Task):
        return
    own = [c for c in columns if c.arm in (None, part.label)]
    try:
        changed = [site for t in tables for site in _changed_sites(t, task, layers)]
        read_at = [_read_sites(reads.by_name(task.reads, c.name), c, task) for c in own]
    except AssayError:  # reported where the change and the reads are checked
        return
    if not changed or not read_at or not all(read_at):
        return
    first, last = min(changed, key=_place), max(itertools.chain(*read_at), key=_place)
    if not _is_before(last, first):
        return
    yield (
        f"{own[0].name} is read at {last}, which the change of {tables[0].name} cannot reach, "
        f"since that is made later, at {first}: read at a later site, or change an earlier one"
    )


def _changed_sites(table: Intervention, task: Task, layers: int) -> list[Site]:
    """The sites that a change is made at, as far as they are written. Raises: AssayError."""
    if table.block:
        start = table.window[0] if table.window else 0
        return [
            Site("attn_scores", max(0, n + start)) for n in interventions.blocks_of(table) or {0}
        ]
    direction = interventions.direction_of(table, task.directions)
    places = interventions.widened(table, interventions.where(table, direction), layers)
    return [site for site, _ in places]


def _read_sites(read: Read, column: Column, task: Task) -> list[Site]:
    """The sites that a read depends on alone, at the levels of its sweep that a column names; none
    where that is not known. Raises: AssayError."""
    kind, sites = reads.kind_of(read), list[Site]()
    if kind in DOWNSTREAM or (kind in OF_ANSWER and not read.site) or read.top:
        return []
    for table in _at_levels(read, [dict(column.levels)]):
        names = filter(None, (table.site, table.other_site))
        own = [Site.parse(name) for name in names]
        own += [Site("pattern", head_of(x)[0]) for x in (*table.heads, table.pattern) if x]
        if kind == "neurons" and not own:
            own = [Site("mlp_post", head_of(str(x))[0]) for x in table.neurons]
        if not own and not isinstance(table.cosine, tuple):
            named = (directions.find(task.directions, x) for x in reads.directions_of(table))
            own = [Site.parse(d.site) for d in named if d.site]
        if not own:
            return []
        sites += own
    return sites


def _place(site: Site) -> tuple[float, int]:
    """A key by which sites are in the order of a pass."""
    number = KINDS.index(site.kind) if site.kind in KINDS else 0
    ends = {**dict.fromkeys(BEFORE, -math.inf), **dict.fromkeys(AFTER, math.inf)}
    return (ends.get(site.kind, site.layer or 0), number)


def _is_before(site: Site, other: Site) -> bool:
    """Whether a site has its activations before another one; of one block, only of sites that every
    transformer has."""
    both = site.kind in KINDS and other.kind in KINDS
    return _place(site) < _place(other) if both else _place(site)[0] < _place(other)[0]


def source_text(row: PromptRow, prompts: PromptSet, table: Intervention) -> str:
    """What a token that is patched has read of the other text of a row's pair; "" where that is not
    known. Raises: DataError for a slot without a column."""
    pair, slot = corrupted(row, prompts), SLOT.fullmatch(str(table.position))
    if table.position in ("all", -1):
        return pair
    if not slot or slot[1] not in row.spans or len(row.text.split()) != len(pair.split()):
        return ""
    rest = row.text[row.spans[slot[1]] :]
    return pair.removesuffix(rest) if pair.endswith(rest) else ""


def text_differs(table: Intervention, prompts: PromptSet) -> bool:
    """Whether the patched token differs between most texts and their pairs."""
    slot = SLOT.fullmatch(str(table.position))
    if not slot or not all(controls.is_stream(site) for site in sites_of(table)):
        return False
    differ = 0
    for row in prompts.rows:
        if slot[1] not in row.spans:
            return False
        try:
            pair = corrupted(row, prompts)
        except AssayError:  # reported where the pair is read
            return False
        end = row.spans[slot[1]]
        start = end - len(row.columns.get(slot[1], ""))
        words = [*WORD.finditer(row.text)]
        both = [word[0] for word in words], WORD.findall(pair)
        blocks = SequenceMatcher(None, *both, autojunk=False).get_matching_blocks()
        kept = {i for block in blocks for i in range(block.a, block.a + block.size)}
        differ += any(
            word.start() < end and word.end() > start and i not in kept
            for i, word in enumerate(words)
        )
    return 2 * differ > len(prompts.rows)
