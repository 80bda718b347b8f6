"""Tiny models of both norms, for the tests of features/live."""

import pytest

import tiny_models
from assay.subjects.pretrained import load


@pytest.fixture(scope="session", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    return tiny_models.make(
        tmp_path_factory.mktemp("live") / request.param, request.param, bos_token_id=3
    )


@pytest.fixture(scope="session")
def model(folder):
    return load(str(folder))
