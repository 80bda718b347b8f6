"""Pages of small models: the same served and in one file, harmless whatever names say, and one line
where there is nothing to show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import circuit_world
import numpy as np
import pytest
from starlette.testclient import TestClient

from assay.explorer.app import application
from assay_catalogue.circuits import known
from assay_catalogue.circuits.picture.graph import Graph, Link, Node
from assay_catalogue.circuits.picture.maps import Map
from assay_catalogue.pages import circuit, circuits
from assay_catalogue.pages.graphs import causal, layers
from assay_catalogue.pages.heatmaps import heatmap
from assay_catalogue.pages.shelf import shelf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("world") / "explanations"
    made.mkdir()
    (made / "mine.toml").write_text(
        known.text("modular_sum").replace("a head adds", "mine: a head adds")
    )
    (made / "broken.toml").write_text('of = "modular_sum"\n[answer]\nis = "nobody"\n')
    (made / "code.py").write_text(f"open({str(made / 'ran')!r}, 'w')")
    (made / "a b&c.toml").write_text(known.text("modular_sum"))
    return made


@pytest.fixture(scope="module")
def library(tmp_path_factory, folder):
    with circuit_world.world(folder.with_name("store")) as made:
        yield made


@pytest.fixture(scope="module")
def client(library) -> TestClient:
    asks = TestClient(application(library), base_url="http://127.0.0.1")
    assert asks.get("/circuits").status_code == 200
    return asks


@pytest.fixture(scope="module")
def served(client) -> str:
    return client.get("/circuits/modular_sum?score=1").text


def pieces(html: str) -> list[str]:
    return re.findall(
        (
            r"<figure.*?</figure>|<table.*?</table>|<svg "
            r"class=\"causal\".*?</svg>|<dl>.*?</dl>|<h[123]>.*?</h[123]>"
        ),
        html,
        re.DOTALL,
    )


def test_the_file_has_what_the_server_shows_letter_by_letter(client, library, served):
    alone = circuit.render_standalone(
        shelf(library.root).picture("modular_sum", score=True), circuits.TRIED
    )
    assert len(pieces(served)) > 20 and pieces(served) == pieces(alone)
    assert not re.findall(r'(?:src|srcset|action|poster)="|@import|url\((?!data:)', alone)
    assert {link[:5] for link in re.findall(r'href="([^"]*)"', alone) if link[0] != "#"} == {
        "data:"
    }
    ids = re.findall(r' id="([^"]*)"', alone)
    assert len(ids) == len(set(ids))


def test_cells_hold_the_numbers_of_the_picture(library, served):
    found = shelf(library.root).picture("modular_sum")
    told = re.findall(
        r'aria-label="mean over inputs of (a[\d.]+):[^>]*data-values="([^"]*)"', served
    )
    assert [head for head, _ in told] == [p.head for p in found.attention]
    for (_, values), pattern in zip(told, found.attention, strict=True):
        cells = [[float(x) for x in row.split(" ") if x] for row in values.split(";")]
        wanted = [[x for x in row if x is not None] for row in pattern.mean.values]
        assert all(
            a == pytest.approx(b, rel=5e-3, abs=1e-6) for a, b in zip(cells, wanted, strict=True)
        )


def test_scores_stand_beside_all_four_controls(served, library):
    table = shelf(library.root).picture("modular_sum", score=True).table
    assert set(table.controls) == {"another", "shuffled", "empty", "whole"}
    row = re.search(r'<tr class="all"><th scope="row">quality</th>(.*?)</tr>', served, re.DOTALL)[1]
    numbers = re.findall(r"<td>([^<]*)</td>", row)
    assert numbers == [f"{x.quality.estimate:.3f}" for x in (table.own, *table.controls.values())]
    assert ("It is better than every control." in served) == table.ranked


def test_a_page_comes_before_its_scores_and_asks_for_them(client):
    html = client.get("/circuits/two_hops").text
    assert (
        'hx-get="/circuits/two_hops?score=1"' in html
        and "It is being scored" in html
        and 'class="causal"' in html
    )


def test_our_explanation_is_a_spoiler_until_it_is_opened(client, served):
    """It is scored when somebody opens it; explanations of one's own are seen at once, and scored
    by themselves."""
    ours, own = client.get("/circuits/two_hops").text, client.get("/circuits/file-mine").text
    section = ours[ours.index('id="explained"') : ours.index('id="attention"')]
    fold = re.search(
        r'<details class="spoiler"([^>]*)><summary>Our explanation of it \(a spoiler\)</summary>',
        section,
    )
    assert (
        'hx-trigger="toggle once"' in fold[1]
        and 'hx-get="/circuits/two_hops?score=1"' in fold[1]
        and " open" not in fold[1]
    )
    assert fold.start() < section.index("<h2>The explanation</h2>") < section.rindex("</details>")
    assert "spoiler" not in own and 'hx-trigger="load delay:50ms"' in own
    assert (
        '<details class="spoiler" open>' in served
        and "hx-get" not in served[served.index('id="explained"') :]
    )


def test_its_numbers_are_json(client, library):
    found = client.get("/circuits/modular_sum.json?score=1").json()["picture"]
    assert (
        found["table"]["own"]["quality"]["estimate"]
        == shelf(library.root).picture("modular_sum", score=True).table.own.quality.estimate
    )
    assert [n["name"] for n in found["graph"]["nodes"]] == [
        "token",
        "place",
        "added",
        "remainder",
        "answer",
    ]


def test_models_are_listed_and_none_is_computed_for_it(client):
    html = client.get("/circuits").text
    assert all(
        f'href="/circuits/{name}"' in html for name in (*known.names(), "file-mine", "hostile")
    )
    assert (
        "code" not in re.findall(r'href="/circuits/([^"]*)"', html)
        and "a b&amp;c" not in html
        and "<img" not in html
    )


def test_an_explanation_of_a_folder_has_a_page_that_follows_its_file(client, folder):
    assert "Mine: a head adds" in client.get("/circuits/file-mine").text
    path = folder / "mine.toml"
    path.write_text(path.read_text().replace("mine: a head adds", "another word"))
    assert "Another word" in client.get("/circuits/file-mine").text
    assert not (folder / "ran").exists(), "code is not run"


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/circuits/nothing", 404, "no small model"),
        ("/circuits/..%2f..%2fetc", 404, ""),
        ("/circuits/code", 404, "no small model"),
        ("/circuits/file-broken", 400, "nobody, which is no variable"),
        ("/circuits/%3Cscript%3E", 404, "&lt;script&gt;"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(client, address, status, words):
    found = client.get(address)
    assert found.status_code == status and words in found.text and "<script>a" not in found.text


def test_hostile_names_are_shown_and_not_obeyed_and_the_page_stays_small(client):
    html = client.get("/circuits/hostile").text
    assert "<script>alert" not in html and "<img" not in html and "\u202e" not in html
    assert "&lt;/script&gt;" in html and len(html.encode()) < 3_000_000
    assert "at most 40 are shown" in html and "All but the last 32 of 40 positions" in html


def test_a_map_is_drawn_as_its_numbers_are_signed_and_large():
    drawn = str(
        heatmap(
            Map(
                "m",
                "r",
                "c",
                ("a", "b"),
                ("x", "y", "z"),
                ((1.0, -0.5, 0.0), (None, 0.001, 0.25)),
                "{value}",
            )
        )
    )
    assert re.findall(r'<path class="(a\d+(?: below)?)" d="([^"]*)"/>', drawn) == [
        ("a10 below", "M1 0h1v1h-1z"),
        ("a5", "M2 1h1v1h-1z"),
        ("a20", "M0 0h1v1h-1z"),
    ]
    assert 'data-values="1 -0.5 0; 0.001 0.25"' in drawn


def test_a_graph_is_drawn_with_what_is_read_above_who_reads_it():
    names = ("token", "a", "b", "answer")
    nodes = tuple(
        Node(name, "variable", "", (), depth)
        for name, depth in zip(names, (0, 1, 1, 2), strict=True)
    )
    reasoned = (Link(a, b, (), ()) for a, b in (("b", "answer"), ("token", "b"), ("a", "answer")))
    links = (Link("token", "a", ("q",), (("embed → a0.0.q", 0.5),)), *reasoned)
    drawn = str(causal(Graph(nodes, links)))
    top = {
        name: float(re.search(rf'data-node="{name}".*?<rect x="[^"]*" y="([\d.]+)"', drawn)[1])
        for name in names
    }
    assert top["token"] < top["a"] == top["b"] < top["answer"] and layers(Graph(nodes, links))[
        1
    ] == ["a", "b"]
    assert drawn.count('class="reasoned"') == 3 and drawn.count('class="wired"') == 1
    assert sorted(re.findall(r'data-from="(\w+)" data-to="(\w+)"', drawn)) == sorted(
        (x.source, x.target) for x in links
    )
    assert np.isfinite([float(x) for x in re.findall(r' [xy]="([^"]*)"', drawn)]).all()


def test_the_files_numbers_are_the_pictures(library):
    import base64

    from assay.core.schema import to_json

    found = shelf(library.root).picture("modular_sum")
    held = re.search(
        r'download="circuit.json" href="data:application/json;base64,([^"]*)"',
        circuit.render_standalone(found),
    )[1]
    assert json.loads(base64.b64decode(held)) == to_json(found)
