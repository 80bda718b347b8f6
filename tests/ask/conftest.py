"""Tiny models that many tests ask; none of them is changed."""

import naive_asking
import naive_models
import pytest


@pytest.fixture(scope="session")
def subject(tmp_path_factory):
    """A Llama with MLPs and heads to edit: its folder, and its naive twin."""
    folder = naive_asking.make(tmp_path_factory.mktemp("subject") / "llama", "llama")
    return folder, naive_asking.Naive(folder)


@pytest.fixture(scope="session", params=[*naive_models.KINDS])
def naive(request, tmp_path_factory):
    """A model of each kind, as transformers runs it."""
    return naive_models.Naive(tmp_path_factory.mktemp("naive") / request.param, request.param)


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    """One without an opening, as transformers runs it."""
    return naive_models.Naive(tmp_path_factory.mktemp("naive") / "llama", "llama")
