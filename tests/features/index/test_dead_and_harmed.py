"""An index of a dictionary that never fires, and an index of which bytes were changed: the first
has pages, the second has none."""

import os

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

import tiny_models
from assay.core import integrity
from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.evaluation import indexing
from assay.explorer.app import application
from assay.explorer.library import Library
from assay.features.index.reader import Index

SITE, WIDTH = "blocks.1.hook_resid_post", 16


def made(root, bias, ablate):
    model, texts = tiny_models.make(root / "llama", "llama"), root / "texts"
    texts.mkdir()
    for i in range(12):
        (texts / f"{i:02}.txt").write_text(
            f"def add{i}(self, other):\n    return self + other\n" * 3
        )
    W = torch.nn.functional.normalize(
        torch.randn(1, WIDTH, 24, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    one = Dictionary(
        0.6 * W.mT, torch.full((1, WIDTH), bias), W, torch.zeros(1, 24), ReLU(), sites=(SITE,)
    )
    one.save(root / "one.safetensors")
    return indexing.index(
        root / "one.safetensors",
        model=model,
        text=texts,
        root=root / "store",
        tokens=240,
        context=12,
        ablate=ablate,
        ablate_windows=2,
    )


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    root = tmp_path_factory.mktemp("harmed")
    return made(root, -0.4, 0), root / "store"


@pytest.mark.parametrize("ablate", [0, 2])
def test_a_dictionary_that_never_fires_has_pages_that_say_so(tmp_path, ablate):
    index = made(tmp_path, -1000.0, ablate)
    client = TestClient(application(Library(tmp_path / "store")), base_url="http://127.0.0.1")
    base = f"/{index.about.address}"
    pages = {
        path: client.get(base + path)
        for path in ("", "/0", "/search?q=def", "/prompt?text=def+add(self)")
    }
    assert {path: page.status_code for path, page in pages.items()} == dict.fromkeys(pages, 200)
    assert "dead" in pages[""].text and index.about.l0 == 0


def harm(path, place):
    """Flip one bit and leave size and times as they were."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_no_bit_of_an_index_changes_unnoticed(original, monkeypatch):
    index, store = original
    rng = np.random.default_rng(0)
    for path in sorted(index.folder.iterdir()):
        for place in rng.choice(path.stat().st_size, min(6, path.stat().st_size), replace=False):
            # as a process that starts now
            monkeypatch.setattr(integrity, "_verified_states", {})
            harm(path, int(place))
            with pytest.raises(DataError, match=r"is damaged|is no index"):
                Index(index.folder)
            client = TestClient(application(Library(store)), base_url="http://127.0.0.1")
            assert client.get(f"/{index.about.address}/0").status_code in (404, 503), path
            harm(path, int(place))
    monkeypatch.setattr(integrity, "_verified_states", {})
    assert Index(index.folder).about == index.about


def test_a_page_of_a_feature_reads_no_block_that_was_changed_since(original):
    index, _ = original
    again = Index(index.folder)
    feature = int(again.query("SELECT feature FROM features WHERE firings > 0")[0]["feature"])
    assert again.feature(feature).contexts
    path = index.folder / "contexts.parquet"
    harm(path, 40)
    try:
        with pytest.raises(DataError, match=r"contexts\.parquet cannot be read"):
            again.feature(feature)
    finally:
        harm(path, 40)
