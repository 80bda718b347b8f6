"""Where the tests of tests/devices and catalogue/tests/devices compute: on a GPU where there is
one, else on a pretend accelerator, which PyTorch cannot have beside one.

PyTorch counts its devices at the first pass back of a process, so these tests have a process of
their own: they are collected only where they are named, and
tests/core/test_devices_by_themselves.py names them."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch


def left_out(folder, config):
    """Whether the tests of this folder are left out: nobody named it or a file in it."""
    named = [
        Path(config.invocation_params.dir, arg.partition("::")[0]).resolve() for arg in config.args
    ]
    return None if any(path.is_relative_to(folder) for path in named) else True


@pytest.fixture(params=["cuda" if torch.cuda.is_available() else "pretend"])
def device(request):
    """A device that is not the CPU."""
    if request.param == "cuda":
        return torch.device("cuda:0")
    import pretend  # reaches into torch, and not every version's

    found = pretend.install()
    try:
        torch.zeros(1, device=found, requires_grad=True).sum().backward()
    except RuntimeError:
        pytest.skip(
            "another test passed back before, so PyTorch knows no pretend device in this "
            "process: python -m pytest tests/devices"
        )
    return found


@pytest.fixture
def bench_on(plain_bench, tmp_path):
    """A bench on a device."""

    def made(device, slots=(), root=tmp_path):
        bench = plain_bench(root, slots)
        bench.device = torch.device(device)
        return bench

    return made


@pytest.fixture(scope="session")
def near():
    """Assert that two results are alike: every tensor, array and number in them within a share of
    the largest beside it."""

    def alike(found, wanted, rtol=1e-4):
        found, wanted = dict(numbers(found)), dict(numbers(wanted))
        assert found.keys() == wanted.keys()
        for where, b in wanted.items():
            b = np.asarray(b)
            if b.dtype.kind == "f":
                largest = np.max(np.abs(b), initial=1e-30, where=np.isfinite(b))
                np.testing.assert_allclose(
                    found[where], b, rtol=rtol, atol=rtol * largest, err_msg=where
                )
            else:
                np.testing.assert_array_equal(found[where], b, where)

    return alike


def numbers(value, where=""):
    """(place, array or number) of everything in a result, tensors as arrays wherever they lie."""
    if isinstance(value, Mapping):
        value = list(value.items())
    if dataclasses.is_dataclass(value):
        value = [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    if isinstance(value, list | tuple):
        named = all(isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], str) for x in value)
        for name, x in value if named else enumerate(value):
            yield from numbers(x, f"{where}/{name}")
    elif isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        yield where, (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    elif isinstance(value, np.ndarray | np.generic | int | float):
        yield where, value
