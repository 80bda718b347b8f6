"""A causal graph as inline SVG: what is given above, the answer below, each variable under all that
it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from assay.core.plain import plain
from assay.explorer.render import share
from assay_catalogue.circuits.picture.graph import Graph, Link, Node

WIDE, HIGH, GAP, STEP, LANE = 148, 80, 22, 132, 16
"""Pixels: a box, the room beside it, from one row of boxes to the next, and from one lane of long
links to the next."""
LETTERS = 18
Place = tuple[float, float]


def causal(graph: Graph) -> Markup:
    """Draw all nodes and links; how thick a link is, is what cutting it costs."""
    rows = layers(graph)
    across = max(map(len, rows), default=0)
    links = [
        link
        for link in graph.links
        if any(link.source in row for row in rows) and any(link.target in row for row in rows)
    ]
    level = {name: y for y, row in enumerate(rows) for name in row}
    far = [link for link in links if level[link.target] - level[link.source] > 1]
    margin = GAP / 2 + LANE * ((len(far) + 1) // 2)
    wide, high = across * (WIDE + GAP) - GAP + 2 * margin, len(rows) * STEP - (STEP - HIGH) + 2
    places: dict[str, Place] = {}
    for y, row in enumerate(rows):
        start = (wide - len(row) * (WIDE + GAP) + GAP) / 2
        places |= {name: (start + i * (WIDE + GAP), 1 + y * STEP) for i, name in enumerate(row)}
    lanes = {
        (link.source, link.target): _lane(
            i,
            [x for x, y in places.values() if places[link.source][1] < y < places[link.target][1]],
        )
        for i, link in enumerate(far)
    }
    lines = Markup("").join(_link(link, places, links, lanes) for link in links)
    boxes = Markup("").join(_node(i, node, places[node.name]) for i, node in enumerate(graph.nodes))
    label = (
        f"the causal graph: {len(graph.nodes)} nodes and {len(graph.links)} links, as in the "
        "tables below"
    )
    return Markup(
        '<svg class="causal" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="group" '
        'aria-label="{l}">{}{}</svg>'
    ).format(lines, boxes, w=round(wide), h=round(high), l=label)


def layers(graph: Graph) -> list[list[str]]:
    """Divide nodes among rows by how far they are from what is given, each row in the order of what
    its nodes read."""
    levels = sorted({node.depth for node in graph.nodes})
    rows = [[node.name for node in graph.nodes if node.depth == depth] for depth in levels]
    sources: Mapping[str, list[str]] = {
        n.name: [x.source for x in graph.links if x.target == n.name] for n in graph.nodes
    }
    place = {name: (i + 0.5) / len(row) for row in rows[:1] for i, name in enumerate(row)}
    for row in rows[1:]:
        row.sort(key=lambda name: _mean([place[s] for s in sources[name] if s in place]))
        place |= {name: (i + 0.5) / len(row) for i, name in enumerate(row)}
    return rows


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.5


def _lane(i: int, between: Sequence[float]) -> float:
    """Where a link that passes other rows goes down: left of their boxes and right of them by
    turns, each in a lane of its own."""
    offset = LANE * (1 + i // 2)
    return min(between) - offset if i % 2 == 0 else max(between) + WIDE + offset


def _link(
    link: Link,
    places: Mapping[str, Place],
    links: Sequence[Link],
    lanes: Mapping[tuple[str, str], float],
) -> Markup:
    """A curve from the foot of one box to the head of another, by a lane beside what is between;
    links to one box end beside each other."""
    lane = lanes.get((link.source, link.target))
    ends = sorted(
        (x for x in links if x.target == link.target),
        key=lambda x: lanes.get((x.source, x.target), places[x.source][0] + WIDE / 2),
    )
    starts = sorted(
        (x for x in links if x.source == link.source),
        key=lambda x: lanes.get((x.source, x.target), places[x.target][0] + WIDE / 2),
    )
    x0 = places[link.source][0] + WIDE * (starts.index(link) + 1) / (len(starts) + 1)
    x1 = places[link.target][0] + WIDE * (ends.index(link) + 1) / (len(ends) + 1)
    y0, y1 = places[link.source][1] + HIGH, places[link.target][1]
    gap = STEP - HIGH
    way = f"C{x0:.1f} {y0 + gap / 2:.1f} {x1:.1f} {y1 - gap / 2:.1f} {x1:.1f} {y1 - 6:.1f}"
    if lane is not None:
        way = (
            f"C{x0:.1f} {y0 + gap / 2:.1f} {lane:.1f} {y0 + gap / 2:.1f} {lane:.1f} "
            f"{y0 + gap:.1f}V{y1 - gap:.1f}"
            f"C{lane:.1f} {y1 - gap / 2:.1f} {x1:.1f} {y1 - gap / 2:.1f} {x1:.1f} {y1 - 6:.1f}"
        )
    cost, slots = link.cost, ", ".join(link.slots)
    tooltip = f"{link.source} is read by {link.target}{f' through {slots}' if slots else ''}"
    for wire, x in link.wires:
        tooltip += f"; {wire}: " + ("not measured" if x is None else f"cutting it costs {share(x)}")
    thick = 1 + 3 * min(1.0, abs(cost or 0.0))
    kind = "reasoned" if not link.wires else "wired"
    return Markup(
        '<g class="{}" data-from="{}" data-to="{}"><title>{}</title><path d="M{:.1f} {:.1f}{}" '
        'stroke-width="{:.1f}"/><path class="head" d="M{:.1f} {:.1f}l-4 -8h8z"/>{}</g>'
    ).format(
        kind,
        plain(link.source),
        plain(link.target),
        plain(tooltip),
        x0,
        y0,
        way,
        thick,
        x1,
        y1,
        _words(x1, y1, slots, cost),
    )


def _words(x: float, y: float, slots: str, cost: float | None) -> Markup:
    """By what it is read, where it ends."""
    if not slots:
        return Markup("")
    return Markup('<text class="slot" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>').format(
        x + 12 * max(1, len(slots) / 2), y - 10, slots
    )


def _node(i: int, node: Node, place: Place) -> Markup:
    """A box with a name, where it lives, and the share of answers that come out as foretold when it
    is exchanged."""
    x, y = place
    where = ", ".join(node.places) or {"given": "given", "answer": "the logits"}.get(
        node.kind, "reasoning"
    )
    swap = node.interchanged
    lines = [node.name, where]
    if node.scrubbed is not None:
        lines.append(f"scrubbed {share(node.scrubbed)}")
    if swap and swap.pairs:
        lines.append(f"interchange {share(swap.right)}")
    lift = y + HIGH / 2 + 5 - 9 * (len(lines) - 1)
    text = Markup("").join(
        Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>').format(
            "name" if j == 0 else "scale", x + WIDE / 2, lift + 18 * j, _short(line, LETTERS)
        )
        for j, line in enumerate(lines)
    )
    tooltip = plain(f"{node.name}: {node.rule}" if node.rule else node.name)
    return Markup(
        '<a class="{}" href="#node-{}" data-node="{}"><title>{}</title><rect x="{:.1f}" '
        'y="{:.1f}" width="{}" height="{}" rx="4"/>{}</a>'
    ).format(node.kind, i, plain(node.name), tooltip, x, y, WIDE, HIGH, text)


def _short(text: str, most: int) -> str:
    text = plain(text)
    return text if len(text) <= most else text[: most - 1] + "…"
