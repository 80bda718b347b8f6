"""Other people's files, broken in every way: `assay export` ends with 2 and one line, writes
nothing, and runs nothing of theirs.

Each case has a folder that holds one file or folder to import, called `it`
or by the name given. A hostile file would make a folder named `ran`.
"""

import io
import json
import os
import pickle
import pickletools
import re
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

DATA = Path(__file__).parents[1] / "fixtures/formats"


@dataclass(frozen=True)
class Case:
    """What lies in the folder, what the one line must say, and further words after `assay export
    PATH --format assay --out new.safetensors`."""

    given: Callable[[Path], object]
    says: str
    words: tuple[str, ...] = ()
    path: str = "it"
    more: dict[str, Any] = field(default_factory=dict)


def copied(name, config=None, weights=None, lose=""):
    """A fixture's folder with other settings, other tensors, or one file less."""

    def given(it):
        shutil.copytree(DATA / name, it)
        settings = next((it / n for n in ("cfg.json", "config.json") if (it / n).exists()), None)
        if config is not None and settings is not None:
            old = json.loads(settings.read_text())
            inner = old.get("trainer", old)
            inner.update(config)
            settings.write_text(json.dumps({k: v for k, v in old.items() if v != "GONE"}))
        file = next((p for p in it.iterdir() if p.suffix in (".safetensors", ".pt")), None)
        if weights is not None and file is not None:
            if file.suffix == ".pt":
                torch.save(weights(torch.load(file, weights_only=True)), file)
            else:
                save_file(weights(load_file(file)), file)
        if lose:
            (it / lose).unlink()

    return given


def changed(**tensors):
    """Tensors put in, replaced, or (None) taken out."""

    def change(old):
        new = {k: (v(old[k]) if callable(v) else v) for k, v in tensors.items()}
        return {k: v for k, v in (old | new).items() if v is not None}

    return change


def cut(name, file, keep):
    """A fixture of which only the first part of a file is there."""

    def given(it):
        shutil.copytree(DATA / name, it)
        data = (it / file).read_bytes()
        (it / file).write_bytes(data[: int(keep * len(data))])

    return given


def written(data, name="sae_weights.safetensors", beside="saelens/standard/cfg.json"):
    """A folder with these bytes as its weights."""

    def given(it):
        it.mkdir()
        (it / name).write_bytes(data() if callable(data) else data)
        if beside:
            shutil.copy(DATA / beside, it)

    return given


def alone(data):
    """A file with these bytes."""
    return lambda it: it.write_bytes(data() if callable(data) else data)


def nan(value):
    value = value.clone()
    value.flatten()[3] = torch.nan
    return value


def turned(value):
    return value.T.contiguous()


class Hostile:
    """Unpickled, it makes the folder `ran`."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


STATE = {
    "bias": torch.zeros(8),
    "encoder.weight": torch.zeros(32, 8),
    "encoder.bias": torch.zeros(32),
    "decoder.weight": torch.zeros(8, 32),
}


def saved(values, **more):
    buffer = io.BytesIO()
    torch.save(values, buffer, **more)
    return buffer.getvalue()


def zip_with(files, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def last_pickle():
    """The old format, with the hostile one behind four harmless pickles."""
    good = saved(STATE, _use_new_zipfile_serialization=False)
    stream, ends = io.BytesIO(good), []
    for _ in range(5):
        list(pickletools.genops(stream))
        ends.append(stream.tell())
    return good[: ends[3]] + pickle.dumps([Hostile()], 2) + good[ends[4] :]


STACKED = b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c\x03ran\x85R."
INSTANCE = b"\x80\x02(U\x03ranios\nmkdir\n."
# an entry of torch's own list of what may be called, which is longer than what a dictionary needs
ARRAY = b"\x80\x02cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR."


def strided():
    """A tensor of a trillion numbers, all of them the same four bytes."""
    return saved(STATE | {"encoder.weight": torch.zeros(1).as_strided((10**6, 10**6), (0, 0))})


def deep():
    """A dictionary in a dictionary, a hundred thousand times."""
    return b"\x80\x02" + b"}U\x01a" * 100_000 + b"}" + b"s" * 100_000 + b"."


def shared():
    """A list that holds another one twice, sixty times over: 2⁶⁰ values to whoever visits each of
    them."""
    values = []
    for _ in range(60):
        values = [values, values]
    return saved({"a": values})


def flipped():
    """A torch file in which one bit of a weight is another, so that its checksum no longer fits."""
    whole = bytearray(saved(STATE))
    with zipfile.ZipFile(io.BytesIO(bytes(whole))) as archive:
        at = max(
            archive.infolist(), key=lambda entry: entry.file_size * ("/data/" in entry.filename)
        ).header_offset
    name, extra = struct.unpack_from("<HH", whole, at + 26)
    whole[at + 30 + name + extra + 8] ^= 1
    return bytes(whole)


def object_array():
    buffer = io.BytesIO()
    np.savez(buffer, W_enc=np.array([Hostile()], dtype=object))
    return buffer.getvalue()


def arrays(**tensors):
    buffer = io.BytesIO()
    np.savez(buffer, **tensors)
    return buffer.getvalue()


def gemma(d=8, n=32, **other):
    g = np.random.default_rng(0)
    tensors = {
        "W_enc": g.normal(size=(d, n)),
        "W_dec": g.normal(size=(n, d)),
        "b_enc": np.zeros(n),
        "b_dec": np.zeros(d),
    }
    return arrays(
        **(
            {k: v.astype(np.float32) for k, v in tensors.items()}
            | {"threshold": np.ones(n, np.float32)}
            | other
        )
    )


STANDARD = "saelens/standard"
DL = "dictionary_learning/standard"
SPARSIFY = "sparsify/topk/layers.3"


def tensors(says, **changes):
    """A case of the standard dictionary with other tensors."""
    return Case(copied(STANDARD, weights=changed(**changes)), says)


def torch_file(data, says):
    return Case(alone(data), says, path="it.pt")


def npz(data, says):
    return Case(alone(data), says, path="params.npz")


HEADER = struct.pack("<Q", 2**62) + b"{}"

CASES = {
    # nothing there, or nothing of the kind
    "no such path": Case(lambda it: None, "no file, folder or stored run"),
    "empty folder": Case(
        lambda it: it.mkdir(),
        "is an empty folder; expected a dictionary: a weights file, or a folder with one",
    ),
    "the folder above": Case(
        lambda it: shutil.copytree(DATA / "sparsify/topk", it), "layers.3 below it do; name one"
    ),
    "settings alone": Case(
        copied(STANDARD, lose="sae_weights.safetensors"), "has cfg.json but no weights"
    ),
    "weights alone": Case(copied(STANDARD, lose="cfg.json"), "cfg.json is missing"),
    "unknown ending": Case(alone(b"x"), "read by none of assay, .*saelens"),
    "unknown names": Case(
        lambda it: save_file({"A": torch.zeros(2, 2)}, it),
        "holds A, names that no known format has; call the tensors W_enc",
        path="it.safetensors",
    ),
    "unknown format": Case(copied(STANDARD), "did you mean saelens", ("--hint", "format=saelense")),
    "the wrong format": Case(
        copied(STANDARD),
        "no weights; expected sae.safetensors next to",
        ("--hint", "format=sparsify"),
    ),
    "two dictionaries": Case(
        lambda it: (copied(STANDARD)(it), shutil.copy(DATA / SPARSIFY / "sae.safetensors", it)),
        "sae_weights.safetensors and sae.safetensors",
    ),
    # settings
    "settings that are no JSON": Case(
        lambda it: (copied(STANDARD)(it), (it / "cfg.json").write_text("{")),
        "cfg.json is not readable JSON",
    ),
    "unknown architecture": Case(
        copied(STANDARD, {"architecture": "standart"}), "did you mean standard"
    ),
    "matching pursuit": Case(
        copied("saelens/matching_pursuit"), "goes on until the residual is small"
    ),
    "temporal": Case(copied("saelens/temporal"), "attends to earlier tokens"),
    "unknown normalisation": Case(
        copied(STANDARD, {"normalize_activations": "batch_norm"}),
        "normalize_activations 'batch_norm' is not known",
    ),
    "a scale of 0": Case(
        copied("saelens/checkpoint_standard"), "must be a positive number", ("--hint", "scale=0")
    ),
    "k of 0": Case(
        copied("saelens/topk", {"k": 0}), "k must be a whole number from 1 to 32, got 0"
    ),
    "a width that is text": Case(
        copied(STANDARD, {"d_sae": "32"}), "d_sae = '32'; a size is a whole number"
    ),
    "metadata that is text": Case(
        copied(STANDARD, {"metadata": "x"}), "metadata must be an object"
    ),
    "groups that do not divide": Case(
        copied("sparsify/groupmax/layers.3", {"k": 5}), "a width that k divides"
    ),
    "unknown class": Case(copied(DL, {"dict_class": "AutoEncode"}), "did you mean AutoEncoder"),
    "trainer that is text": Case(
        lambda it: (copied(DL)(it), (it / "config.json").write_text('{"trainer": "x"}')),
        "trainer must be an object",
    ),
    # tensors
    "missing tensor": tensors("lacks the tensor b_enc; it holds W_dec, W_enc, b_dec", b_enc=None),
    "extra tensor": tensors(
        "tensors that a SAELens standard file does not have: b_extra", b_extra=torch.zeros(3)
    ),
    "wrong shape": tensors(r"b_enc is \[31\], expected \[d_sae 32\]", b_enc=torch.zeros(31)),
    "swapped encoder": tensors(
        r"W_enc is \[32, 8\], expected .* it looks transposed", W_enc=turned
    ),
    "NaN": tensors("1 of 256 numbers of W_dec are NaN or infinite", W_dec=nan),
    "whole numbers": tensors(
        "floating-point numbers, got int64", b_enc=torch.zeros(32, dtype=torch.int64)
    ),
    "scaling factor": tensors(
        "its settings say that there is none", scaling_factor=torch.full((32,), 2.0)
    ),
    "no decoder": Case(copied(SPARSIFY, weights=changed(W_dec=None)), "saved without its decoder"),
    "threshold without end": Case(
        copied("dictionary_learning/batchtopk", weights=changed(threshold=torch.tensor(torch.inf))),
        "threshold must be one number, got",
    ),
    "square npz": npz(lambda: gemma(8, 8), "W_enc is square, so both orientations fit"),
    # broken files
    "huge header": Case(written(HEADER), "is not a readable safetensors file"),
    "truncated pickle": Case(cut(DL, "ae.pt", 0.5), "is not a readable torch file"),
    "zip without a pickle": torch_file(zip_with({"a": b"x"}), "is not a readable torch file"),
    "compressed zip": torch_file(
        zip_with({"a/data.pkl": b"\0" * 10**6}, zipfile.ZIP_DEFLATED),
        "is compressed, which torch never",
    ),
    "a program in TorchScript": torch_file(
        zip_with(
            {
                "a/data.pkl": b"\x80\x02}.",
                "a/code/__torch__.py": b"x",
                "a/constants.pkl": b"\x80\x02}.",
            }
        ),
        "is not a readable torch file|TorchScript",
    ),
    "a tensor larger than what is stored": torch_file(strided, "encoder.weight claims shape"),
    "values without end": torch_file(deep, "nests its values too deep|not a readable torch file"),
    "values that are shared": torch_file(
        shared, "holds a, names that no known format has|only tensors, numbers"
    ),
    "a wrong checksum": torch_file(flipped, "differs from its checksum"),
    "a swollen npz": npz(
        lambda: zip_with({"W_enc.npy": b"\0" * 10**8}, zipfile.ZIP_DEFLATED),
        "has 100,000,000 bytes unpacked, .* times its size; at most 67,108,864 are read: "
        "ASSAY_LIMITS=2 raises that",
    ),
    "truncated npz": npz(lambda: gemma()[:900], "is not a readable npz file"),
    "own file without its header": Case(
        lambda it: save_file({"A": torch.zeros(1)}, it),
        "was not written by it",
        ("--hint", "format=assay"),
        "it.safetensors",
    ),
    "own file of something else": Case(
        lambda it: save_file({"A": torch.zeros(1)}, it, {"assay": '{"header": {}}'}),
        "holds no dictionary",
        path="it.safetensors",
    ),
    # hostile files: none of them may make a folder called `ran`
    "hostile pickle in a zip": torch_file(
        saved(STATE | {"x": Hostile()}), r"would call (posix|nt|os)\.mkdir; nothing was run"
    ),
    "hostile legacy pickle": torch_file(
        saved(STATE | {"x": Hostile()}, _use_new_zipfile_serialization=False),
        r"would call (posix|nt|os)\.mkdir",
    ),
    "hostile pickle behind harmless ones": torch_file(
        last_pickle, r"would call (posix|nt|os)\.mkdir"
    ),
    "hostile pickle by names from its stack": torch_file(
        STACKED, r"would call os\.mkdir|is not a readable torch file"
    ),
    "hostile pickle by an old opcode": torch_file(INSTANCE, r"is not a readable torch file"),
    "a pickle that torch would allow": torch_file(
        ARRAY, r"would call numpy\._core\.multiarray\._reconstruct"
    ),
    "hostile npz": npz(object_array, "it holds Python objects"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_line_and_nothing_written(name, commands, tmp_path):
    case = CASES[name]
    env = {key: value for key, value in os.environ.items() if not key.startswith("ASSAY_")} | {
        "OMP_NUM_THREADS": "1"
    }
    case.given(tmp_path / case.path)
    before = {*tmp_path.rglob("*")}
    done = commands.run(
        ("export", case.path, "--format", "assay", "--out", "new.safetensors", *case.words),
        tmp_path,
        env,
    )
    assert done.code == 2, f"exit code {done.code}\n{done.err}"
    assert len(done.err.splitlines()) == 1 and "Traceback" not in done.err, done.err
    assert re.search(case.says, done.err), done.err
    assert done.out == "" and {*tmp_path.rglob("*")} == before


def test_a_hostile_pickle_is_hostile(tmp_path, monkeypatch):
    """The control: read in the ordinary way, these files do make the folder."""
    monkeypatch.chdir(tmp_path)
    for data in (pickle.dumps(Hostile(), 2), STACKED, INSTANCE):
        pickle.loads(data)
        (tmp_path / "ran").rmdir()
    with pytest.raises(AssertionError):  # after it has run
        torch.load(io.BytesIO(last_pickle()), weights_only=False)
    assert (tmp_path / "ran").is_dir()
