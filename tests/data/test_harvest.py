"""Harvest: equal to running the model directly, traceable, resumable, and the same batches alone
and in a group."""

from collections import Counter
from threading import Lock

import numpy as np
import pytest
import torch

import tiny_models
from assay.core.errors import DataError, ModelError, StoreError
from assay.data import corpus
from assay.data.harvest import HarvestSpec, harvest, harvests, inputs
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from killed import Killed

SITE = "blocks.2.hook_resid_pre"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny model and forty short texts."""
    root = tmp_path_factory.mktemp("world")
    texts = root / "texts"
    texts.mkdir()
    for i in range(40):
        lines = [
            f"def f{i}_{j}(x):\n    return x + {j * i}  # {chr(97 + (i + j) % 26) * 3}\n"
            for j in range(8)
        ]
        (texts / f"t{i}.py").write_text("".join(lines))
    return tiny_models.make(root / "llama", "llama"), texts


def spec(world, **changes):
    model, texts = world
    common = {
        "subject": str(model),
        "site": SITE,
        "corpus": str(texts),
        "windows": 50,
        "context": 16,
        "shard": 8,
        "dtype": "float32",
    }
    return HarvestSpec(**(common | changes))


@pytest.fixture
def made(world, bench):
    return harvest(spec(world), bench)


def direct(world, tokens):
    """The activations of these windows, one window at a time, without a harvest."""
    subject, site = load(str(world[0])), Site.parse(SITE)
    rows = [
        subject.run(torch.from_numpy(t[None].astype(np.int64)), capture=[site], logits=False).acts[
            site
        ][0]
        for t in tokens
    ]
    return torch.stack(rows).numpy()


def test_it_holds_what_the_model_gives_in_half_precision(world, made):
    expected = direct(world, made.tokens)
    assert made.tokens.shape == (50, 16)
    assert np.array_equal(
        made.raw(np.arange(50)).numpy(), expected.astype(np.float16).astype(np.float32)
    )
    assert np.allclose(made.norms, np.linalg.norm(expected, axis=-1), rtol=1e-3)


def test_rows_are_centred_and_scaled_to_mean_square_d_over_what_is_kept(made):
    x = made.raw(np.arange(50)).numpy().astype(np.float64).reshape(-1, 24)
    norm = np.linalg.norm(x, axis=-1)
    position = np.arange(len(x)) % 16
    median = np.median(norm[position > 0])
    kept = np.flatnonzero((position > 0) & (norm <= 6 * median))
    assert np.array_equal(made.kept, kept)
    assert made.median == pytest.approx(median)
    mean = x[kept].mean(0)
    scale = np.sqrt(24 / ((x[kept] - mean) ** 2).sum(-1).mean())
    assert np.allclose(made.mean, mean, atol=1e-6)
    assert made.scale == pytest.approx(scale, rel=1e-6)
    rows = made.rows(kept)
    assert np.allclose(rows.numpy(), (x[kept] - mean) * scale, atol=1e-5)
    assert float(rows.square().sum(-1).mean()) == pytest.approx(24, rel=1e-5)
    assert torch.allclose(made.restore(rows), torch.from_numpy(x[kept]).float(), atol=1e-5)
    assert torch.allclose(made.normalise(made.restore(rows)), rows, atol=1e-5)


def test_massive_activations_are_left_out_but_not_deleted(world, bench, tmp_path):
    """One token's embedding is made a hundred times as long; its rows are masked, and mean and
    scale are as without them."""
    from safetensors.numpy import load_file, save_file

    folder = tiny_models.make(tmp_path / "outlier", "llama")
    plain = harvest(spec(world, subject=str(folder), site="blocks.0.hook_resid_pre"), bench)
    values, counts = np.unique(plain.tokens[:, 1:], return_counts=True)
    token = values[np.argsort(counts)[len(counts) // 2]]
    w = load_file(folder / "model.safetensors")
    w["model.embed_tokens.weight"][token] *= 100
    save_file(w, folder / "model.safetensors", metadata={"format": "pt"})
    import assay.subjects.folder as models

    models._hash.cache_clear()
    massive = harvest(spec(world, subject=str(folder), site="blocks.0.hook_resid_pre"), bench)
    hit = massive.tokens == token
    hit[:, 0] = True
    assert np.array_equal(~massive.keep, hit)
    assert (~massive.keep[:, 1:]).sum() > 0
    x = plain.raw(np.arange(50)).numpy()[massive.keep].astype(np.float64)
    assert np.allclose(massive.mean, x.mean(0), atol=1e-4)
    assert massive.scale == pytest.approx(
        np.sqrt(24 / ((x - x.mean(0)) ** 2).sum(-1).mean()), rel=1e-4
    )
    assert len(massive) == 800


def test_what_float16_cannot_hold_is_kept_to_its_precision(world, bench, tmp_path):
    """An embedding times 2¹⁶ passes 65,504 and changes nothing else, since it is a power of two."""
    from safetensors.numpy import load_file, save_file

    small = tiny_models.make(tmp_path / "small", "llama", num_hidden_layers=1)
    large = tiny_models.make(tmp_path / "large", "llama", num_hidden_layers=1)
    w = load_file(large / "model.safetensors")
    w["model.embed_tokens.weight"][::3] *= 2.0**18
    save_file(w, large / "model.safetensors", metadata={"format": "pt"})
    site = "blocks.0.hook_resid_pre"
    plain, scaled = (harvest(spec(world, subject=str(m), site=site), bench) for m in (small, large))
    rows = np.random.default_rng(0).permutation(800)
    factor = np.where(scaled.tokens.ravel()[rows] % 3 == 0, 2.0**18, 1)[:, None]
    x, y = plain.gather(rows), scaled.gather(rows)
    assert y.max() > 65504
    np.testing.assert_allclose(y, x * factor, rtol=2**-11, atol=2.0**18 * 2**-24)
    np.testing.assert_allclose(
        scaled.norms.ravel()[rows], np.linalg.norm(y.astype(float), axis=-1), rtol=1e-6
    )
    assert not any((shard / "powers.npy").exists() for shard in plain.shards)


def test_a_bfloat16_number_just_past_what_float16_holds_is_kept(world, bench, tmp_path):
    """65,536, the least of them: in bfloat16 the limit of 65,504 is rounded up to it."""
    from safetensors.numpy import load_file, save_file

    large = tiny_models.make(tmp_path / "large", "llama", num_hidden_layers=1)
    w = load_file(large / "model.safetensors")
    w["model.embed_tokens.weight"][:, 0] = 65536
    save_file(w, large / "model.safetensors", metadata={"format": "pt"})
    site = "blocks.0.hook_resid_pre"
    data = harvest(spec(world, subject=str(large), site=site, dtype="bfloat16"), bench)
    assert (data.gather(np.arange(800))[:, 0] == 65536).all() and data.mean[0] == 65536


def test_windows_of_a_family_that_needs_bos_begin_with_it(world, bench, tmp_path):
    gemma = tiny_models.make(tmp_path / "gemma", "gemma3_text", head_dim=8, bos_token_id=2)
    acts = harvest(spec(world, subject=str(gemma)), bench)
    assert (acts.tokens[:, 0] == 2).all() and acts.trained_on["prepend_bos"]
    text = corpus.load(str(world[1]))
    encode = load(str(gemma)).encode
    for row in (1, 17, 333, 799):
        path, position = acts.where(row)
        ids = encode(text.text([d.path for d in text.documents].index(path)))
        assert acts.tokens.ravel()[row] == ids[position]
    assert not harvest(spec(world), bench).trained_on["prepend_bos"]


def test_every_row_leads_back_to_its_file_position_and_text(world, made):
    text = corpus.load(str(world[1]))
    encode = load(str(world[0])).encode
    for row in (0, 17, 333, 799, int(made.kept[100])):
        path, position = made.where(row)
        number = [d.path for d in text.documents].index(path)
        assert text.documents[number].part == "train"
        assert made.document[row] == number
        assert encode(text.text(number))[position] == made.tokens.ravel()[row]


def test_other_parts_take_centre_scale_and_limit_from_training(world, bench, made):
    test = harvest(spec(world, part="test", windows=10), bench, like=made)
    assert np.array_equal(test.mean, made.mean)
    assert (test.scale, test.median) == (made.scale, made.median)
    assert not set(test.document) & set(made.document)
    x = test.raw(np.arange(10)).numpy().reshape(-1, 24)
    assert np.allclose(test.rows(np.arange(160)).numpy(), (x - made.mean) * made.scale, atol=1e-5)
    with pytest.raises(DataError, match=r"test part is normalised as the training part is.*like="):
        harvest(spec(world, part="test", windows=10), bench)


MORE = (SITE, "blocks.0.attn.hook_z", "blocks.2.mlp.hook_post", "ln_final.hook_normalized")


@pytest.fixture
def passes(monkeypatch):
    """The sites that each pass of a model captured."""
    from assay.subjects.pretrained import Pretrained

    found, run, one_at_a_time = [], Pretrained.run, Lock()

    def noted(self, tokens, *, capture=(), **others):
        found.append({*map(str, capture)})
        with one_at_a_time:  # threads share a model, as processes do not
            return run(self, tokens, capture=capture, **others)

    monkeypatch.setattr(Pretrained, "run", noted)
    return found


def test_several_sites_are_filled_in_one_pass_with_the_bytes_of_one_each(
    world, plain_bench, tmp_path, passes
):
    # one site twice, as two targets may ask for it
    several = [spec(world, site=site) for site in (*MORE, SITE)]
    # a model is checked when it is opened
    harvest(spec(world), plain_bench(tmp_path / "opened"))
    passes.clear()
    together = harvests(several, plain_bench(tmp_path / "together"))
    assert passes == [set(MORE)] * 7  # 50 windows in shards of 8
    for one, made in zip(several, together, strict=True):
        alone = harvest(one, plain_bench(tmp_path / one.site))
        assert made.spec == alone.spec == one
        for mine, other in zip(made.shards, alone.shards, strict=True):
            assert mine.name == other.name
            assert {f.name: f.read_bytes() for f in mine.iterdir()} == {
                f.name: f.read_bytes() for f in other.iterdir()
            }


def test_one_pass_fills_what_is_missing_alone(world, bench, passes):
    import shutil

    known = {site: harvest(spec(world, site=site), bench) for site in MORE[1:3]}
    gone = known[MORE[1]].shards[4]
    shutil.rmtree(gone)
    passes.clear()
    found = harvests([spec(world, site=site) for site in MORE], bench)
    missing = {MORE[0], MORE[3]}
    assert sorted(map(sorted, passes)) == sorted(map(sorted, [missing] * 6 + [missing | {MORE[1]}]))
    assert gone.exists()
    assert found[1].shards == known[MORE[1]].shards
    passes.clear()
    harvests([spec(world, site=site) for site in MORE], bench)
    assert passes == []


def test_processes_that_want_the_sites_in_another_order_share_the_passes_and_never_wait_for_each_other(  # noqa: E501
    world, tmp_path, passes
):
    from concurrent.futures import ThreadPoolExecutor

    from assay.lab.store.store import Store

    class Bench:
        device = torch.device("cpu")

        def __init__(self):
            self.root, store = tmp_path / "store", Store(tmp_path / "store")
            self.artefact, self.artefacts = store.artefact, store.artefacts

        def report(self, *told, **numbers):
            pass

    harvest(spec(world, windows=1), Bench())  # the model, once
    passes.clear()
    orders = MORE, MORE[::-1], MORE[1:], MORE[:1]
    with ThreadPoolExecutor(4) as threads:
        found = [
            *threads.map(
                lambda sites: harvests([spec(world, site=site) for site in sites], Bench()),
                orders,
                timeout=120,
            )
        ]
    # no shard twice
    assert Counter(site for sites in passes for site in sites) == dict.fromkeys(MORE, 7)
    assert {made.spec.site: made.shards for made in found[0]} == {
        made.spec.site: made.shards for made in found[1]
    }


def test_what_shares_a_pass_differs_in_its_site_alone(world, bench):
    with pytest.raises(DataError, match="differs in its site alone"):
        harvests([spec(world), spec(world, site=MORE[1], windows=20)], bench)


def test_a_killed_harvest_continues_and_ends_with_the_same_bytes(world, plain_bench, tmp_path):
    class Dying(plain_bench):
        def report(self, done, total, **numbers):
            super().report(done, total, **numbers)
            if done >= 24:
                raise Killed

    whole = harvest(spec(world), plain_bench(tmp_path / "a"))
    dying = Dying(tmp_path / "b")
    with pytest.raises(Killed):
        harvest(spec(world), dying)
    assert [done for done, *_ in dying.reports] == [0, 8, 16, 24]
    again = plain_bench(tmp_path / "b")
    resumed = harvest(spec(world), again)
    assert [done for done, *_ in again.reports] == [24, 32, 40, 48, 50]
    for one, two in zip(whole.shards, resumed.shards, strict=True):
        assert one.name == two.name
        for file in one.iterdir():
            assert file.read_bytes() == (two / file.name).read_bytes()


def test_the_size_of_a_shard_changes_no_number(world, plain_bench, tmp_path, made):
    other = harvest(spec(world, shard=50), plain_bench(tmp_path / "one"))
    assert len(other.shards) == 1
    # batched products of other sizes round differently, in the last bit of what is stored
    assert np.allclose(other.raw(np.arange(50)).numpy(), made.raw(np.arange(50)).numpy(), atol=1e-3)
    assert np.array_equal(other.tokens, made.tokens)
    assert np.array_equal(other.kept, made.kept)


def test_another_model_or_text_is_another_harvest(world, bench, made, tmp_path):
    other = tiny_models.make(tmp_path / "other", "llama", rms_norm_eps=1e-3)
    assert not set(harvest(spec(world, subject=str(other)), bench).shards) & set(made.shards)


def test_the_disk_use_is_the_size_of_the_files(world, made):
    files = sum(
        (p / name).stat().st_size - 128 for p in made.shards for name in ("acts.npy", "norms.npy")
    )
    assert spec(world).bytes() == files == 50 * 16 * (24 * 2 + 4)


def test_no_room_is_said_before_the_model_runs(world, bench, monkeypatch):
    import shutil

    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10_000_000})()
    )
    with pytest.raises(StoreError, match=r"the harvest needs another 0 MB in .*, 10 MB are free"):
        harvest(spec(world), bench)
    assert bench.reports == []


def test_batches_cover_each_kept_row_once_in_an_epoch_in_another_order_each_time(made):
    # equal contexts, equal rows
    rows = Counter(tuple(x) for x in made.rows(made.kept).tolist())
    batches, n = made.batches(np.array([5]), 50), len(made.kept) // 50
    epochs = [torch.cat([batches(e * n + i) for i in range(n)]) for e in range(2)]
    for epoch in epochs:
        assert epoch.shape == (50 * n, 24)
        assert Counter(tuple(x) for x in epoch.tolist()) <= rows  # none twice
    assert not torch.equal(epochs[0], epochs[1])
    index = {tuple(x): i for i, x in enumerate(made.rows(made.kept).tolist())}
    documents = [made.document[made.kept[index[tuple(x)]]] for x in batches(0).tolist()]
    assert len(set(documents)) > 10  # shuffled across documents


def test_a_run_gets_the_same_batches_alone_and_in_any_group(made):
    alone = {s: made.batches(np.array([s]), 20) for s in (1, 2, 9)}
    group = made.batches(np.array([9, 1, 1, 2]), 20)
    shared = made.batches(np.array([2, 2, 2]), 20)
    per_epoch = len(made.kept) // 20
    for step in (0, 3, per_epoch - 1, per_epoch, 5 * per_epoch + 2):
        assert group(step).shape == (4, 20, 24)
        assert shared(step).shape == (20, 24)
        for row, seed in enumerate((9, 1, 1, 2)):
            assert torch.equal(group(step)[row], alone[seed](step))
        assert torch.equal(shared(step), alone[2](step))
    with pytest.raises(DataError, match=r"a batch of 100000 is larger than the \d+ vectors"):
        made.batches(np.array([1]), 100_000)


def test_zero_windows_are_all_there_are(world, bench):
    made = harvest(spec(world, windows=0, per_file=2), bench)
    assert len(made.tokens) == 2 * len(np.unique(made.windows.document))
    assert made.raw(np.array([len(made.tokens) - 1])).shape == (1, 16, 24)


def test_inputs_name_model_and_text_by_content(world):
    model, texts = world
    assert inputs(spec(world)) == {
        "model": load(str(model)).fingerprint,
        "corpus": corpus.load(str(texts)).fingerprint,
    }


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"site": "blocks.1.hook_resid"}, ModelError, "no site 'blocks.1.hook_resid'"),
        ({"site": "blocks.3.hook_resid_pre"}, ModelError, "3 blocks, 0 to 2"),
        ({"subject": "/nowhere"}, ModelError, "no model '/nowhere'"),
        ({"corpus": "/nowhere"}, DataError, "no corpus '/nowhere'"),
        ({"windows": -1}, DataError, "windows must be at least 0, got -1"),
        ({"context": 1}, DataError, "context must be at least 2, got 1"),
        ({"windows": 5000}, DataError, "requested: 5000"),
        ({"context": 100}, ModelError, "at most 64 positions, got 100"),
    ],
)
def test_an_impossible_harvest_is_one_clear_line(world, bench, changes, error, message):
    with pytest.raises(error, match=message):
        harvest(spec(world, **({"windows": 5} | changes)), bench)


@pytest.mark.parametrize("name", ["acts", "norms", "sums"])
def test_a_damaged_shard_is_named(world, bench, name):
    made = harvest(spec(world), bench)
    file = made.shards[2] / f"{name}.npy"
    file.write_bytes(file.read_bytes()[:-100] if name == "acts" else b"")
    with pytest.raises(
        StoreError,
        match=(
            rf"{made.shards[2].name}/{name}\.npy is missing or damaged; `assay doctor --clean` "
            rf"removes"
        ),
    ):
        harvest(spec(world), bench).rows(made.kept[:1])
