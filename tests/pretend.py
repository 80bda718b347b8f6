"""A pretend accelerator: real numbers on the CPU, held to the rules of a device that is not the
CPU.

`install()` gives torch a device "pretend". A tensor there wraps one on the CPU, so values can be
read, branches depend on them, and whole experiments run. What CUDA refuses is refused: an operation
whose tensors are on different devices, a factory that forgot its device and meets a tensor that did
not, `.numpy()` without `.cpu()`, products of whole numbers. What CUDA allows is allowed: copies,
CPU indices into a tensor on the device, and a CPU number without dimensions in a pointwise
operation."""

import functools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"

aten = torch.ops.aten

COPIES = {
    aten.copy_.default,
    aten._to_copy.default,
    aten._copy_from.default,
    aten._copy_from_and_resize.default,
}
"""Operations that carry numbers from one device to another, and are how it is done."""

INDEXING = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._unsafe_index.Tensor,
    aten._index_put_impl_.default,
}
"""Operations whose indices may lie on the CPU while what they index does not."""

SCALARS = {
    aten.masked_fill.Tensor,
    aten.masked_fill_.Tensor,
    aten.fill.Tensor,
    aten.fill_.Tensor,
    *INDEXING,
}
"""Operations beside the pointwise ones that take a number without dimensions from the CPU."""


SIZED = (
    aten.arange.default,
    aten.arange.start,
    aten.arange.start_step,
    aten.linspace.default,
    aten.eye.default,
    aten.eye.m,
    aten.randperm.default,
    aten.randperm.generator,
    aten.tril_indices.default,
    aten.triu_indices.default,
)
"""Factories that torch makes of an empty tensor and a resize, and a wrapper cannot be resized."""


PRODUCTS = {
    aten.mm.default,
    aten.bmm.default,
    aten.addmm.default,
    aten.baddbmm.default,
    aten.mv.default,
    aten.addmv.default,
    aten.dot.default,
}
"""Operations that CUDA has for floating-point numbers alone."""

ELSEWHERE = {aten.histogram.bin_ct, aten.histogram.bins_tensor, aten._histogramdd_bin_edges.default}
"""Operations that CUDA has not."""


class Mixed(RuntimeError):
    """Say that an operation was given tensors on different devices; CUDA's own message begins
    alike."""


class Pretend(Tensor):
    """A tensor on the pretend device: `inner`, on the CPU, is what it holds."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner):
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=f"{NAME}:0",
        )
        made.inner = inner
        return made

    def __repr__(self, **_):
        return f"Pretend({self.inner!r})"

    def tolist(self):
        return self.inner.tolist()

    def numpy(self, **_):
        raise TypeError(
            f"can't convert {NAME}:0 device type tensor to numpy. Use Tensor.cpu() to copy "
            "the tensor to host memory first."
        )

    def __array__(self, *_, **__):
        return self.numpy()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _inner(value):
    if isinstance(value, Pretend):
        return value.inner
    return [_inner(x) for x in value] if isinstance(value, list | tuple) else value


def _wrapped(value):
    if isinstance(value, Tensor):
        return value if isinstance(value, Pretend) else Pretend(value)
    return type(value)(_wrapped(x) for x in value) if isinstance(value, list | tuple) else value


def _tensors(values):
    for x in values:
        if isinstance(x, Tensor):
            yield x
        elif isinstance(x, list | tuple):
            yield from _tensors(x)


class _Rule(NamedTuple):
    """What is to be known of an operation, looked up once."""

    copies: bool
    indexes: bool
    numbers: bool
    """Whether it takes numbers without dimensions from the CPU."""
    writes: bool
    """Whether its first argument is written to."""
    aliases: bool
    """Whether what it returns shares memory with what it was given."""


@functools.cache
def _rule(func):
    schema = func._schema
    first = schema.arguments[0].alias_info if schema.arguments else None
    return _Rule(
        func in COPIES,
        func in INDEXING,
        torch.Tag.pointwise in func.tags or func in SCALARS,
        first is not None and first.is_write,
        any(r.alias_info is not None for r in schema.returns),
    )


def _run(func, args, kwargs):
    rule, kwargs = _rule(func), dict(kwargs)
    given = list(_tensors((*args, *kwargs.values())))
    if not rule.copies:
        _refuse_mixtures(func, rule, given, args, kwargs)
    whole = func in PRODUCTS and any(
        isinstance(t, Pretend) and not (t.is_floating_point() or t.is_complex()) for t in given
    )
    if whole or (func in ELSEWHERE and given):
        raise NotImplementedError(
            f"{func} is not implemented on CUDA for {[str(t.dtype) for t in given]}"
        )
    asked = kwargs.get("device")
    if asked is not None:
        kwargs["device"] = torch.device("cpu")
    if func is aten._fused_sdp_choice.default:
        # attention by products and a softmax, of which every part is seen here
        return 0
    if func is aten.copy_.default or func is aten._copy_from.default:
        to, source = (args[0], args[1]) if func is aten.copy_.default else (args[1], args[0])
        _inner(to).copy_(_inner(source))
        return to
    out = func(*_inner(args), **{name: _inner(x) for name, x in kwargs.items()})
    if asked is not None and torch.device(asked).type != NAME:
        return out
    out = _wrapped(out)
    if not rule.aliases:
        return out
    if any(isinstance(t, Pretend) for t in given):
        out = return_and_correct_aliasing(func, args, kwargs, out)
    assert all(t.shape == t.inner.shape for t in given if isinstance(t, Pretend)), (
        f"{func} resizes, which a wrapper cannot"
    )
    return out


def _refuse_mixtures(func, rule, given, args, kwargs):
    left = [t for t in given if not isinstance(t, Pretend)]
    if not left or len(left) == len(given):
        return
    if rule.indexes and isinstance(
        args[0], Pretend
    ):  # its indices may lie on the CPU; what is put there may not
        left = [t for t in _tensors((*args[2:], *kwargs.values())) if not isinstance(t, Pretend)]
    numbers = all(t.dim() == 0 for t in left) and not (
        rule.writes and not isinstance(args[0], Pretend)
    )
    if left and not (numbers and rule.numbers):
        shapes = ", ".join(str(tuple(t.shape)) for t in left)
        raise Mixed(
            f"Expected all tensors to be on the same device, but {func} got tensors of shape "
            f"{shapes} on cpu beside others on {NAME}:0"
        )


def _made(op, *args, **kwargs):
    """A factory on the device, or an operation that reached the backend without a tensor that stops
    it before."""
    return _run(op, args, kwargs)


@functools.cache
def install():
    """Give torch the device, once a process."""
    _setup_privateuseone_for_python_backend(NAME)
    getattr(torch, NAME).get_amp_supported_dtype = lambda: [torch.bfloat16]
    lib = torch.library.Library("_", "IMPL")
    lib.fallback(_made, "PrivateUse1")
    # autocast may be asked for, and leaves every product in float32
    lib.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    # torch.tensor(…, device=…) then makes its numbers on the CPU and moves them by `to`
    torch._C._set_only_lift_cpu_tensors(True)
    own = torch.library.Library("aten", "IMPL")
    for op in SIZED:
        own.impl(op, functools.partial(_made, op), "PrivateUse1")
    install.library = lib, own
    return torch.device(f"{NAME}:0")
