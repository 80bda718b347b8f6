"""The picture of an experiment in the docs: its first figure, drawn from its committed record,
light or dark as the reader's pages are.

A drawing's last digits depend on the fonts of the machine. So the file carries the hash of what was
drawn, and is up to date when that hash is, whatever the machine.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from assay.core.experiment import Experiment
from assay.core.figures import Figure
from assay.core.plain import plain_all
from assay.lab import catalogue
from assay.lab.judge import recording
from assay.lab.judge.result import with_derived
from assay.lab.records import records
from assay.report import draw, palette
from assay.report.vega import vega

FOLDER = Path(__file__).resolve().parents[2] / "catalogue/docs/pictures"
MOST = 300_000
"""Bytes above which an SVG gives way to a PNG."""
DIGITS = 6
"""Significant digits of what is drawn: more cannot be seen, and the last ones differ between
machines."""


def figures(experiment: Experiment, record: Mapping[str, Any]) -> list[Figure]:
    """The figures of an experiment, made from the measures in its record."""
    return list(experiment.figures(with_derived(experiment, recording.arms(experiment, record))))


def figure(name: str) -> Figure | None:
    """The first figure of an experiment, or of NAME.PRESET, its numbers at six digits; None without
    a record or a figure."""
    of, _, preset = name.partition(".")
    experiment = catalogue.find(of)
    experiment = experiment.designed(experiment.preset(preset or "default")[:1])
    record = records.read(name, experiment.origin)
    all_figures = figures(experiment, record) if record is not None else []
    return _rounded(all_figures[0]) if all_figures else None


def stamp(figure: Figure) -> str:
    """The hash that a drawing of this figure carries: 64 hex digits, the same on every machine."""
    content = json.dumps(_on_paper(figure), sort_keys=True) + palette.variables(dark=True)
    return sha256(content.encode()).hexdigest()


def _on_paper(figure: Figure) -> dict[str, Any]:
    """The specification of a figure in a file, which no page frames: on white paper."""
    spec = vega(figure)
    return {**spec, "config": {**spec["config"], "background": palette.LIGHT["paper"]}}


def svg(figure: Figure) -> str:
    """The figure as a file, which follows the reader's light or dark."""
    drawing = draw.render(_on_paper(figure), figure.title)
    dark = f"@media (prefers-color-scheme:dark){{svg{{{palette.variables(dark=True)}}}}}"
    rules = f"svg{{{palette.variables()}}}{dark}{palette.repaint('svg', drawing)}"
    return re.sub("(<svg [^>]*>)", lambda tag: f"{tag[1]}<style>{rules}</style>", drawing, count=1)


def png(figure: Figure) -> bytes:
    """The figure as a PNG image at twice its size, on white."""
    import vl_convert

    return vl_convert.vegalite_to_png(plain_all(_on_paper(figure)), scale=2)


def path(name: str) -> Path:
    """Where the picture of an experiment lies, or would be written as SVG."""
    other = FOLDER / f"{name}.png"
    return other if other.exists() else FOLDER / f"{name}.svg"


def drawn_from(file: Path) -> str:
    """The hash that a picture carries; empty where there is no picture, or one without a hash."""
    match = (
        re.search(rb"drawn-from[=\x00]\"?([0-9a-f]{64})", file.read_bytes())
        if file.exists()
        else None
    )
    return match[1].decode() if match else ""


def write(name: str, figure: Figure) -> Path:
    """The file that now holds the picture; it is drawn only if what it shows has changed."""
    file = path(name)
    if drawn_from(file) == stamp(figure):
        return file
    FOLDER.mkdir(parents=True, exist_ok=True)
    stamped = f'<svg data-drawn-from="{stamp(figure)}" '
    kind, content = "svg", svg(figure).replace("<svg ", stamped, 1).encode()
    if len(content) > MOST:
        kind, content = "png", _noted(png(figure), stamp(figure))
    for old in ("svg", "png"):
        (FOLDER / f"{name}.{old}").unlink(missing_ok=True)
    (FOLDER / f"{name}.{kind}").write_bytes(content)
    return FOLDER / f"{name}.{kind}"


def _rounded(figure: Figure) -> Figure:
    def short(value: Any) -> Any:
        value = value.item() if hasattr(value, "item") else value
        return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value

    return replace(
        figure,
        columns={name: [short(v) for v in column] for name, column in figure.columns.items()},
    )


def _noted(image: bytes, text: str) -> bytes:
    """Put a text chunk after the image's header."""
    chunk = b"tEXt" + b"drawn-from\0" + text.encode()
    return (
        image[:33]
        + (len(chunk) - 4).to_bytes(4, "big")
        + chunk
        + zlib.crc32(chunk).to_bytes(4, "big")
        + image[33:]
    )
