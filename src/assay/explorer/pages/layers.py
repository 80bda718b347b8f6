"""Layers: the graph of a prompt, over the dictionaries of one model that the store has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from starlette.datastructures import QueryParams

from assay.core.plain import plain
from assay.explorer import commands, query_args
from assay.explorer.library import Entry, Library
from assay.explorer.pages import prompt
from assay.explorer.pages.lists import in_words
from assay.explorer.problems import ASKED, Problem
from assay.explorer.render import Moved, Shown, number, signed
from assay.features.index.names import Name
from assay.features.live.edits import likely
from assay.features.live.layers import Layers, trace_layers

WIDE, HIGH, GAP, STEP = 164, 62, 16, 130
LETTERS = 17


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown | Moved:
    """Show which firings of each layer carried a prediction, and through which later ones. Raises:
    Problem."""
    current = library.entry(path_params["model"], path_params["dictionary"])
    text = prompt.checked(query.get("text", ""))
    path = query_args.link(f"/{current.address}/layers", [("text", text)])
    if "sent" in query:
        return Moved(path)
    entries = _layers(library, current)
    indexes = [library.index(*entry.address.split("/")) for entry in entries]
    values: dict[str, Any] = {"dictionary": current.address, "about": current.about, "text": text}
    values |= {"state": "empty", "layers": [entry.address for entry in entries]}
    drawings: dict[str, Any] = {"here": path, "examples": prompt.EXAMPLES, "entries": entries}
    drawings["command"] = commands.writer(indexes[0])
    if not text:
        return Shown("layers.html", values, drawings)
    loaded = [library.live.loaded(index) for index in indexes]
    readers = [one.reader for one in loaded if one is not None]
    if len(readers) < len(indexes) or loaded[0] is None:
        return Shown("layers.html", values | {"state": "loading"}, drawings)
    with prompt.kept("layers.html", values, drawings):
        ids = loaded[0].ask(("encode", text), lambda reader: reader.encode(text))
        if len(ids) < 3:
            raise Problem(ASKED, f"the text has {len(ids)} tokens; give at least 3")
        reading = loaded[0].ask(("read", text), lambda reader: reader.read(text))
        key = ("likely", text, len(ids))
        best = loaded[0].ask(key, lambda r: likely(r, reading, len(ids) - 1, prompt.COUNT))[0]
        key = ("layers", text, *values["layers"])
        graph = loaded[0].ask(key, lambda _: trace_layers(readers, ids, best.id))
    name_of = [
        index.names([n.feature for n in graph.nodes if n.layer == i])
        for i, index in enumerate(indexes)
    ]
    names = [name_of[n.layer][n.feature] for n in graph.nodes]
    words = [*reading.words[: len(ids)]]
    values |= {"state": "read", "then": {"text": best.text, "probability": best.before}}
    values |= {"graph": graph, "names": names}
    return Shown("layers.html", values, drawings | {"svg": draw(graph, entries, names, words)})


def _layers(library: Library, current: Entry) -> list[Entry]:
    """This dictionary, and of each other site in the residual stream of its model the largest."""
    chosen = {current.about.site: current}
    for entries in library.shelf().values():
        for entry in sorted(entries, key=lambda e: -e.about.d_sae):
            a = entry.about
            in_stream = a.site == a.site_out and "resid" in a.site
            if in_stream and a.model_sha256 == current.about.model_sha256:
                chosen.setdefault(a.site, entry)
    shelf = [entry.address for entries in library.shelf().values() for entry in entries]
    return sorted(chosen.values(), key=lambda entry: shelf.index(entry.address))


def draw(
    graph: Layers, entries: Sequence[Entry], names: Sequence[Name], words: Sequence[str]
) -> Markup:
    """Draw each layer as a row, early ones below; a node leads to its feature's page."""
    rows = [[i for i, n in enumerate(graph.nodes) if n.layer == k] for k in range(len(entries))]
    across = max(1, *map(len, rows))
    wide, high = across * (WIDE + GAP), len(rows) * STEP
    places: dict[int, tuple[float, float]] = {}
    for k, row in enumerate(rows):
        row.sort(key=lambda i: (graph.nodes[i].position, -abs(graph.nodes[i].effect)))
        start = (wide - len(row) * (WIDE + GAP)) / 2
        places |= {
            i: (start + j * (WIDE + GAP), high - (k + 1) * STEP + 24) for j, i in enumerate(row)
        }
    out = Markup("")
    for link in graph.links:
        (x0, y0), (x1, y1) = places[link.source], places[link.target]
        out += Markup(
            '<g class="wired {}" data-from="{}" data-to="{}"><title>without the lower one the '
            'upper one {} by {:.0%}</title><path d="M{:.0f} {:.0f}C{:.0f} {:.0f} {:.0f} {:.0f} '
            '{:.0f} {:.0f}" stroke-width="{:.1f}"/></g>'
        ).format(
            "helps" if link.share > 0 else "hurts",
            link.source,
            link.target,
            "falls" if link.share > 0 else "rises",
            abs(link.share),
            *(x0 + WIDE / 2, y0, x0 + WIDE / 2, y0 - 40, x1 + WIDE / 2, y1 + HIGH + 40),
            *(x1 + WIDE / 2, y1 + HIGH, 1 + 3 * min(1.0, abs(link.share))),
        )
    for i, node in enumerate(graph.nodes):
        x, y = places[i]
        title = plain(in_words(names[i]))
        where = f"at {plain(words[node.position]).strip() or '␣'}"
        short = title.replace("mixed, often", "mixed")
        lines = (f"{node.feature} {short}", where, f"{signed(node.effect, 2)} nat")
        text = Markup("").join(
            Markup('<text class="{}" x="{:.0f}" y="{:.0f}">{}</text>').format(
                "name" if j == 0 else "scale", x + 8, y + 18 + 17 * j, _short(line)
            )
            for j, line in enumerate(lines)
        )
        out += Markup(
            '<a class="{}" href="/{}/{}" data-node="{}"><title>{}</title><rect x="{:.0f}" '
            'y="{:.0f}" width="{}" height="{}" rx="4"/>{}</a>'
        ).format(
            "variable" if node.beyond else "given",
            entries[node.layer].address,
            node.feature,
            i,
            f"{title}: activation {number(node.activation)} {where}",
            x,
            y,
            WIDE,
            HIGH,
            text,
        )
    for k, entry in enumerate(entries):
        out += Markup('<text class="scale" x="0" y="{}">{}</text>').format(
            high - (k + 1) * STEP + 14, plain(entry.about.site)
        )
    return Markup(
        '<svg class="causal" viewBox="-1 0 {w} {h}" width="{w}" height="{h}" role="group" '
        'aria-label="features by layer, {n} of them, with {m} links">{}</svg>'
    ).format(out, w=wide, h=high, n=len(graph.nodes), m=len(graph.links))


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
