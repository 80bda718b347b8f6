"""Pictures in the docs: drawn once, with the hash of what they show, which a last digit does not
change."""

import re
import struct
import xml.etree.ElementTree as ElementTree
import zlib

import pytest
import sample

from assay.core.figures import Figure
from assay.report import draw, palette
from marks import pictures


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(pictures, "FOLDER", tmp_path / "pictures")
    return tmp_path / "pictures"


def line(top=0.3):
    return Figure(
        "Sums differ in their last digit",
        {"x": [1, 2], "y": [0.1, top]},
        "line",
        x="x",
        y="y",
        y_title="sum, metres",
    )


def test_a_picture_carries_the_hash_of_what_it_shows_and_is_drawn_once(folder):
    file = pictures.write("toy", line())
    assert pictures.drawn_from(file) == pictures.stamp(line())
    first, time = file.read_bytes(), file.stat().st_mtime_ns
    assert pictures.write("toy", line()) == file and file.stat().st_mtime_ns == time
    file.unlink()
    assert pictures.write("toy", line()).read_bytes() == first
    assert pictures.drawn_from(pictures.write("toy", line(0.4))) != pictures.stamp(line())


def test_it_stands_by_itself_on_paper_and_follows_light_and_dark(folder):
    text = pictures.write("toy", line()).read_text()
    root = ElementTree.fromstring(text)
    style = next(e for e in root.iter() if e.tag.endswith("style")).text
    dark = style[style.index("@media (prefers-color-scheme:dark)") :]
    used = {c for _, c in re.findall(r'(fill|stroke)="(#[0-9a-f]{6})"', text)}
    named = {light: name for name, (light, _) in palette.PALETTE.items()}
    assert used <= set(named)
    # every colour that occurs has a rule, and its variable a dark value
    for colour in used:
        assert f'="{colour}"]' in style
        assert f"--{named[colour]}:{palette.PALETTE[named[colour]][1]};" in dark
    assert "url(http" not in text and "@import" not in text
    first = next(e for e in root.iter() if e.tag.endswith("path") or e.tag.endswith("rect"))
    assert first.get("fill") in ("#ffffff", "white")
    assert "fill" not in ElementTree.fromstring(draw.svg(line())).attrib


def test_the_last_digits_of_a_machine_do_not_age_it():
    assert 0.1 + 0.2 != 0.3
    assert pictures.stamp(pictures._rounded(line(0.1 + 0.2))) == pictures.stamp(
        pictures._rounded(line(0.3))
    )
    assert pictures.stamp(pictures._rounded(line(0.30001))) != pictures.stamp(
        pictures._rounded(line(0.3))
    )


def test_a_large_one_becomes_a_png_that_carries_the_same_hash(folder, monkeypatch):
    pictures.write("toy", line())
    monkeypatch.setattr(pictures, "MOST", 1000)
    file = pictures.write("toy", sample.figures()[0])
    assert [p.name for p in folder.iterdir()] == ["toy.png"] == [pictures.path("toy").name]
    assert pictures.drawn_from(file) == pictures.stamp(sample.figures()[0])
    data, at, kinds = file.read_bytes(), 8, []
    while at < len(data):  # every chunk of the file is whole
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        assert zlib.crc32(data[at + 4 : at + 8 + size]) == int.from_bytes(
            data[at + 8 + size : at + 12 + size], "big"
        )
        kinds, at = [*kinds, kind], at + 12 + size
    assert kinds[:2] == [b"IHDR", b"tEXt"] and kinds[-1] == b"IEND"


def test_without_a_picture_there_is_no_hash(folder):
    assert pictures.drawn_from(pictures.path("absent")) == ""
