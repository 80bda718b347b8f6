"""One dictionary over many ranks: steps against autograd of the whole in float64, choices against a
naive sort, trainings against one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rank_scenarios as given
import torch
from safetensors.torch import load_file
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from assay.core.errors import DataError, RunError, SpecError, StoreError
from assay.data.planted import Mixture
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.metrics import fvu, l0
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import TopK
from assay.dictionaries.sharded import launch
from assay.dictionaries.sharded.__main__ import main
from assay.dictionaries.sharded.assembling import assemble
from assay.dictionaries.sharded.checkpoints import MANIFEST, newest, read
from assay.dictionaries.sharded.part import Part
from assay.dictionaries.sharded.ranks import Ranks, bounds, join_ranks
from assay.dictionaries.sharded.training import step_of, train_sharded
from assay.dictionaries.training import losses
from assay.dictionaries.training.dead import Resample
from assay.dictionaries.training.kernels import reference
from assay.dictionaries.training.quick import train_dictionary
from assay.dictionaries.training.train import Method

GRIDS = ["2-2", "3-3", "4-2", "4-4"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which ranks of one interpreter have done every scenario."""
    folder = tmp_path_factory.mktemp("ranks")
    x = 3 * Mixture(d=12, features=30, density=0.1).inputs([5], 800, "train")(0)[0] + torch.arange(
        12.0
    )
    np.save(folder / "acts.npy", x.numpy())
    env = os.environ | {"OMP_NUM_THREADS": "1"}  # a fork keeps one thread
    subprocess.run([sys.executable, given.__file__, str(folder)], env=env, check=True, timeout=300)
    yield folder


def ends(done: Path, scenario: str) -> list[int]:
    return json.loads((done / "ends.json").read_text())[scenario]


def found(done: Path, scenario: str) -> list[dict[str, torch.Tensor]]:
    """What each rank left."""
    size = given.SCENARIOS[scenario][0]
    assert ends(done, scenario) == [0] * size
    return [load_file(done / f"{scenario}-{rank}.safetensors") for rank in range(size)]


def whole(parts: list[dict[str, torch.Tensor]], name: str, shards: int, dim: int) -> torch.Tensor:
    """A tensor of all shards, by the ranks of the first replica; the other replicas have the
    same."""
    for rank, part in enumerate(parts):
        assert torch.equal(part[name], parts[rank % shards][name]), name
    return torch.cat([part[name] for part in parts[:shards]], dim)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", given.KINDS)
@pytest.mark.parametrize("grid", GRIDS)
def test_a_step_over_ranks_is_the_step_of_the_whole(done, grid, kind):
    """Loss, curves and every gradient to 1e-12 in float64, with rows on two replicas or on one of
    two."""
    nonlinearity, loss = given.KINDS[kind]
    params, x, idle = given.world(kind)
    more = (
        {"idle": idle}
        if "idle" in losses.wants(loss)
        else {"progress": 0.5}
        if kind == "p_anneal"
        else {}
    )
    fired = []
    series, grads = reference.autograd(
        loss,
        params,
        x,
        nonlinearity,
        torch.full((1,), 0.3, dtype=torch.float64),
        torch.float64,
        more,
        lambda features: fired.append((features != 0).any(1)) or {},
    )
    shards = int(grid[-1])
    parts = found(done, f"steps-{grid}")
    for division in given.divisions(len(parts) // shards):
        for name, wanted in {**series, **grads}.items():
            if name in ("b_dec", "loss", "l0"):
                got = [part[f"{division}/{kind}/{name}"] for part in parts]
                assert all(torch.equal(one, got[0]) for one in got), f"ranks differ in {name}"
                assert torch.allclose(
                    got[0].double(),
                    wanted.double(),
                    rtol=1e-6 if name == "l0" else 1e-12,
                    atol=1e-12,
                ), (division, name)
            else:
                got = whole(parts, f"{division}/{kind}/{name}", shards, 1)
                assert torch.allclose(got, wanted, rtol=1e-12, atol=1e-12), (division, name)
        assert torch.equal(whole(parts, f"{division}/{kind}/fired", shards, -1), fired[0])
        if "batch" in kind:
            features = nonlinearity(
                x @ params["W_enc"].mT - params["b_dec"] @ params["W_enc"].mT,
                params["b_enc"],
                params,
            )
            least = (
                features[features > 0].min()
                if (features > 0).sum() >= nonlinearity.k * len(x)
                else 0
            )
            assert parts[0][f"{division}/{kind}/least"].item() == pytest.approx(
                float(least), rel=1e-12
            )


@pytest.mark.thorough
@pytest.mark.parametrize("grid", GRIDS)
def test_of_equal_numbers_the_first_are_chosen(done, grid):
    """Choices among numbers of which many are equal: those that a stable sort of the whole puts
    first, as far as they are above 0."""
    shards = int(grid[-1])
    parts = found(done, f"steps-{grid}")
    for division in given.divisions(len(parts) // shards):
        for seed in range(4):
            batch = given.tied(seed)
            wanted = {
                "row": first(batch, 4),
                "batch": first(batch.flatten(), 4 * given.ROWS).view_as(batch),
                "half": first(batch.bfloat16().flatten(), 4 * given.ROWS).view_as(batch),
                "strong": first(batch, 4),
            }
            for name, mask in wanted.items():
                ranks = [part[f"{division}/{name}{seed}"] for part in parts]
                got = torch.cat(
                    [torch.cat(ranks[i : i + shards], 1) for i in range(0, len(ranks), shards)]
                )
                assert torch.equal(got, mask), (division, name, seed)


def first(batch: torch.Tensor, count: int) -> torch.Tensor:
    order = batch.sort(dim=-1, descending=True, stable=True).indices[..., :count]
    return torch.zeros_like(batch, dtype=torch.bool).scatter(-1, order, True) & (batch > 0)


@pytest.mark.thorough
@pytest.mark.parametrize("name", given.TRAINED)
def test_a_training_over_ranks_is_that_of_one_process(done, name):
    """30 steps in float32: parameters of order 1 agree to 1e-5, and so does what is measured; the
    file is an ordinary one."""
    acts = np.load(done / "acts.npy")
    nonlinearity, penalty, loss = given.TRAINED[name]
    single = train_dictionary(nonlinearity, acts, penalty=penalty, loss=loss, **given.TRAINING)
    for grid in ("2-2", "4-2") if name in ("topk", "batch") else ("4-2",):
        file = Dictionary.load(done / f"{name}-{grid}" / "dictionary.safetensors")
        header = single.header()
        origin = {
            k: v for k, v in header.get("origin", {}).items() if k != "curve"
        }  # of one process
        header = {k: v for k, v in header.items() if k != "origin"}
        header |= {"origin": origin} if origin else {}
        assert file.header() == header and file.tensors().keys() == single.tensors().keys()
        for key, value in single.tensors().items():
            assert torch.allclose(file.tensors()[key], value, rtol=1e-5, atol=1e-5), (grid, key)
        features = file.encode(torch.from_numpy(acts))
        truth = [
            fvu(acts, file.reconstruct(acts)).item(),
            l0(features).item(),
            int((~(features != 0).any(1)).sum()),
            len(acts),
        ]
        for rank in found(done, f"trainings-{grid}"):
            assert rank[name].tolist() == pytest.approx(truth, rel=1e-5)


@pytest.mark.thorough
def test_a_training_cut_short_goes_on_with_other_ranks(done):
    """Saved by 2 ranks after step 20 of 30: 1 rank, 3 and 4 go on from there, and end where one
    process does."""
    assert ends(done, "cut") == [-9, 3]
    single = train_dictionary(given.BatchTopK(3), np.load(done / "acts.npy"), **given.CUT)
    for size in (1, 3, 4):
        assert found(done, f"gone-on-{size}")[0]["taken"].tolist() == list(range(21, 31))
        file = Dictionary.load(done / f"cut-{size}-{size}" / "dictionary.safetensors")
        for key, value in single.tensors().items():
            assert torch.allclose(file.tensors()[key], value, rtol=1e-5, atol=1e-5), (size, key)


@pytest.mark.thorough
def test_what_was_saved_is_read_bit_for_bit_in_any_division(done):
    place = newest(done / "cut")
    assert place is not None and place.name == "step-00000020"
    everything = read(place, slice(0, 37))
    assert {
        "0.state.W_enc",
        "0.state.adam.v.W_dec",
        "0.state.threshold",
        "0.state.idle.rows",
    } <= everything.keys()
    for shards in (1, 3, 5):
        parts = [read(place, bounds(37, shards, part)) for part in range(shards)]
        assert all(
            torch.equal(torch.cat([part[name] for part in parts], 1), value)
            for name, value in everything.items()
        )


@pytest.mark.thorough
def test_ranks_end_in_one_line_when_another_is_gone_or_hangs(done):
    assert ends(done, "killed") == [3, 3, 3, -9]
    assert ends(done, "hanging")[0] == 3
    lost = [("cut", 1), ("killed", 0), ("killed", 1), ("killed", 2), ("hanging", 0), ("waited", 0)]
    for scenario, rank in lost:
        told = (done / f"{scenario}-{rank}.txt").read_text()
        assert (
            told.startswith(f"rank {rank}: no answer in ")
            and "another rank has ended" in told
            and "\n" not in told
        )
        assert "start again with the same folder" in told


@pytest.mark.thorough
def test_a_sum_goes_on_while_its_rank_does_and_raises_where_it_is_waited_for(done):
    """The second rank gives its part only after the first has gone on from its start, and is dead
    at the next. Tensors of two types go together, and counts above 2²⁴ stay exact."""
    assert ends(done, "waited") == [3, -9]
    sums = load_file(done / "sums.safetensors")
    assert torch.equal(sums["numbers"], torch.full((3, 2), 2.0))
    assert torch.equal(sums["count"], torch.tensor([2**41 + 1]))


@pytest.mark.thorough
def test_a_step_takes_few_collectives(done):
    """Over shards: the reconstruction, what the encoder takes away, and the curves; the choice of
    TopK is one more, that of BatchTopK two, or three where numbers are equal and four with
    replicas. Replicas besides count rows and add up squares, each matrix, and all vectors."""
    parts = {"topk": 1, "batchtopk": 2, "relu": 0, "weighted": 0, "p_anneal": 0, "jumprelu": 0}
    # The gate has a reconstruction of its own, and AuxK asks whether latents are dead.
    parts |= {"gated": 1, "topk_aux": 2, "batchtopk_aux": 3, "matryoshka": 3}
    for grid, more in (("2-2", 3), ("4-2", 8)):
        for rank in found(done, f"rounds-{grid}"):
            counts = {name: int(count) for name, count in rank.items()}
            assert counts.pop("ties") == 4 - (grid == "2-2")
            assert counts == {kind: more + its for kind, its in parts.items()}


def test_nccl_raises_where_it_is_waited_for_and_has_no_watchdog(monkeypatch):
    """It reads so from the environment when a group is made."""
    monkeypatch.setattr(os, "environ", {"RANK": "0", "WORLD_SIZE": "2"})
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)

    def init(backend, **settings):
        assert backend == "nccl" and os.environ["TORCH_NCCL_BLOCKING_WAIT"] == "1"
        raise RuntimeError("nobody came")

    monkeypatch.setattr(torch.distributed, "init_process_group", init)
    with pytest.raises(RunError, match="nobody came"), join_ranks(device="cuda"):
        pass


FEW = {"width": 12, "steps": 3, "batch": 50}


@pytest.mark.thorough
def test_one_process_is_a_grid_of_one_and_its_bits_are_those_of_train_dictionary(tmp_path, done):
    """At a size at which train_dictionary takes the sparse step as well."""
    x = np.random.default_rng(0).normal(size=(400, 64)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    size = {"width": 256, "steps": 8, "batch": 300}
    train_sharded(Ranks.alone(), TopK(2), tmp_path / "x.npy", tmp_path / "run", **size)
    file, single = (
        Dictionary.load(tmp_path / "run/dictionary.safetensors"),
        train_dictionary(TopK(2), x, **size),
    )
    assert all(torch.equal(file.tensors()[name], value) for name, value in single.tensors().items())
    pieces = assemble(tmp_path / "run", tmp_path / "again.safetensors", few=7).read_bytes()
    assert pieces == (tmp_path / "run/dictionary.safetensors").read_bytes()


@pytest.mark.thorough
def test_the_command_trains_and_refuses_in_one_line(tmp_path, done, capsys):
    words = [
        str(done / "acts.npy"),
        str(tmp_path / "run"),
        "--width",
        "12",
        "--steps",
        "3",
        "--batch",
        "50",
    ]
    assert main([*words, "--k", "2"]) == 0
    assert "2.00, " in capsys.readouterr().out
    assert main([*words, "--k", "3"]) == 2  # another training in the same folder
    assert main(words) == 2
    assert main([*words, "--kind", "TpK", "--k", "2"]) == 2
    assert main([str(tmp_path / "no.npy"), *words[1:], "--k", "2"]) == 2
    errors = capsys.readouterr().err.splitlines()
    told = [line for line in errors if line.startswith("error: ")]
    assert (
        "another training (nonlinearity" in told[0]
        and "need --k" in told[1]
        and "did you mean TopK?" in told[2]
        and "no.npy" in told[3]
    )
    assert all(line.startswith(("error: ", "step ")) for line in errors)


@pytest.mark.thorough
def test_a_launch_refuses_in_one_line_and_ends_with_the_exit_code_of_the_rank_that_failed(
    tmp_path, done, capsys, monkeypatch
):
    np.save(tmp_path / "acts.npy", np.zeros((10, 4, 4), np.float16))
    started = []
    monkeypatch.setattr(launch.torchrun, "run", started.append)
    words = [
        "--nproc-per-node",
        "2",
        str(tmp_path / "acts.npy"),
        str(tmp_path / "run"),
        "--width",
        "12",
        "--k",
        "2",
    ]
    assert launch.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "[10, 4, 4]" in line
    good = [*words[:2], str(done / "acts.npy"), *words[3:]]
    for bad in (good[:-2], [*good, "--width", "0"], [*good, "--kind", "TpK"]):
        assert launch.main(bad) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert not started
    assert launch.main(good) == 0
    assert started[0].training_script == "assay.dictionaries.sharded"
    for code, shown in ((2, 2), (3, 3), (-9, 137)):

        def fail(asked, code=code):
            failure = ProcessFailure(0, 1, code, str(tmp_path / "no error file"))
            raise ChildFailedError("assay", {0: failure})

        monkeypatch.setattr(launch.torchrun, "run", fail)
        assert launch.main(good) == shown
    assert not capsys.readouterr().err


def test_what_cannot_be_sharded_is_refused(tmp_path, monkeypatch):
    part = Part(Ranks.alone(), 12)
    one = np.ones(1)
    with pytest.raises(SpecError, match="does not resample"):
        step_of(part, Method(TopK(2), losses.mse, 12, lr=one, penalty=one, dead=Resample((2,))))
    with pytest.raises(SpecError, match="no step that can be sharded"):
        step_of(part, Method(ReLU(), losses.gated, 12, lr=one, penalty=one))
    with pytest.raises(SpecError, match="at least k = 13"):
        step_of(part, Method(TopK(13), losses.mse, 12, lr=one, penalty=one))
    monkeypatch.setenv("WORLD_SIZE", "6")
    with pytest.raises(SpecError, match="6 ranks do not make 4 shards"), join_ranks(4):
        pass
    np.save(tmp_path / "x.npy", np.full((4, 3), np.inf))
    with pytest.raises(DataError, match="finite"):
        train_sharded(Ranks.alone(), TopK(2), tmp_path / "x.npy", tmp_path / "run", **FEW)


@pytest.mark.thorough
@pytest.mark.parametrize("harm", ["cut", "manifest", "gone", "unfinished"])
def test_a_damaged_checkpoint_is_refused_and_an_unfinished_one_is_none(tmp_path, done, harm):
    folder = tmp_path / "run"
    train_sharded(Ranks.alone(), TopK(2), done / "acts.npy", folder, **FEW)
    place = newest(folder)
    assert place is not None
    if harm == "cut":
        shard = place / "shard-0000.safetensors"
        shard.write_bytes(shard.read_bytes()[:-4])
    elif harm == "manifest":
        (place / MANIFEST).write_text(
            (place / MANIFEST).read_text().replace('"end": 12', '"end": 11')
        )
    elif harm == "gone":
        (place / "shared.safetensors").unlink()
    else:
        (place / MANIFEST).unlink()
        with pytest.raises(StoreError, match="no whole checkpoint"):
            assemble(folder, tmp_path / "d.safetensors")
        assert train_sharded(Ranks.alone(), TopK(2), done / "acts.npy", folder, **FEW).rows == 800
        return
    with pytest.raises(StoreError, match="and train again"):
        train_sharded(Ranks.alone(), TopK(2), done / "acts.npy", folder, **FEW)
