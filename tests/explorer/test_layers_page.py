"""The page of a prompt over layers: what it draws is what is traced; a short text is answered."""

from __future__ import annotations

import numpy as np
import pytest
from starlette.testclient import TestClient
from tiny_world import TEXT, made_up

import tiny_models
from assay.explorer import live
from assay.explorer.app import application
from assay.features.live.layers import trace_layers
from assay.features.live.reader import Reader
from assay.subjects.pretrained import load
from assay.subjects.site import Site


@pytest.fixture(scope="module")
def client(tiny):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "SHOWN", 60.0)  # so that a page waits for the model
        yield TestClient(application(tiny.library()), base_url="http://127.0.0.1")


def test_numbers_and_boxes_are_what_is_traced(tiny, client):
    page = client.get(f"{tiny.base}/layers", params={"text": TEXT})
    numbers = client.get(f"{tiny.base}/layers.json", params={"text": TEXT}).json()
    model = load(str(tiny.model))
    reader = Reader(model, made_up(), Site.parse(tiny.index.about.site))
    reading = reader.read(TEXT)
    best = int(tiny_models.naive(tiny.model, np.array([reading.ids]))[0][0, -1].argmax())
    graph = trace_layers([reader], reading.ids, best)
    told = numbers["graph"]["nodes"]
    assert [(n["feature"], n["position"]) for n in told] == [
        (n.feature, n.position) for n in graph.nodes
    ]
    assert [n["effect"] for n in told] == pytest.approx([n.effect for n in graph.nodes], abs=1e-5)
    assert page.status_code == 200 and page.text.count("data-node=") == len(graph.nodes) > 0
    assert f'href="{tiny.base}/{graph.nodes[0].feature}"' in page.text
    assert "adds a layer" in page.text, "one dictionary alone has nothing to pass on to"


@pytest.mark.parametrize("text", ["a", ""])
def test_a_short_text_is_answered_on_the_page(tiny, client, text):
    page = client.get(f"{tiny.base}/layers", params={"text": text})
    assert page.status_code < 500 and "<textarea" in page.text
    assert ("give at least 3" in page.text) == bool(text)
