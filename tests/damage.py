"""Ways in which a stored or foreign file can come to harm, drawn by a seeded generator."""

import contextlib
import shutil
import signal
import traceback
from pathlib import Path

import numpy as np


def flip(path, rng):
    """One bit."""
    data = bytearray(path.read_bytes() or b"\0")
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(data))


def digit(path, rng):
    """One digit by another: what a hand would do to a number in a text."""
    data = bytearray(path.read_bytes())
    digits = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
    if digits:
        at = digits[int(rng.integers(len(digits)))]
        data[at] = 48 + (data[at] - 48 + int(rng.integers(1, 10))) % 10
        path.write_bytes(bytes(data))
    else:
        flip(path, rng)


def zeros(path, rng):
    """A block that a disk lost."""
    data = bytearray(path.read_bytes())
    start = int(rng.integers(max(1, len(data))))
    stop = min(len(data), start + int(rng.integers(1, 4097)))
    data[start:stop] = bytes(stop - start)
    path.write_bytes(bytes(data))


def cut(path, rng):
    """The end is missing."""
    data = path.read_bytes()
    path.write_bytes(data[: int(rng.integers(max(1, len(data))))])


def longer(path, rng):
    """Something follows."""
    path.write_bytes(path.read_bytes() + rng.bytes(int(rng.integers(1, 64))))


def garbage(path, rng):
    """Other bytes, as many."""
    path.write_bytes(rng.bytes(path.stat().st_size))


def gone(path, rng):
    """No file."""
    path.unlink()


def folder(path, rng):
    """A folder of the same name."""
    path.unlink()
    path.mkdir()


def swapped(path, rng):
    """Another file of the same name, from elsewhere in the same store."""
    others = sorted(
        p for p in path.parents[2].rglob(f"*{path.suffix}") if p.is_file() and p != path
    )
    if others:
        shutil.copyfile(others[int(rng.integers(len(others)))], path)
    else:
        cut(path, rng)


def odd(path, rng):
    """A text that is JSON, and not what is expected."""
    texts = [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"3",
        b'"a"',
        b"NaN",
        b"[" * 5000,
        b'{"a": 1e999}',
        b"\xff\xfe",
        b"{}\n{}\n",
    ]
    path.write_bytes(texts[int(rng.integers(len(texts)))])


WAYS = (flip, flip, digit, digit, zeros, cut, longer, garbage, gone, folder, swapped, odd)
"""Small harms are the ones that go unnoticed, so they come twice."""


def harm(path, rng):
    """Do one of them to a file; its name."""
    way = WAYS[int(rng.integers(len(WAYS)))]
    way(path, rng)
    return way.__name__


@contextlib.contextmanager
def limited(seconds):
    """Ends a case that hangs."""

    def stop(*_):
        raise TimeoutError(f"a case took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def told(kinds, folder, seeds, stream, *given):
    """What went wrong in cases of these kinds by turns, a line each; every case has a folder and
    random numbers of its own."""
    lines = []
    for seed in seeds:
        kind, here = kinds[seed % len(kinds)], folder / str(seed)
        here.mkdir()
        with limited(60):
            try:
                how, why = kind(here, np.random.default_rng([stream, seed]), *given)
            except Exception as error:
                at = traceback.extract_tb(error.__traceback__)[-1]
                what = f"{type(error).__name__} in {Path(at.filename).name} line {at.lineno}"
                how, why = "", f"{what}: {error}"[:400]
        if why:
            lines.append(f"seed {seed}: {kind.__name__}, {how}: {why}")
        shutil.rmtree(here, ignore_errors=True)
    return "\n".join(lines)
