"""Models whose blocks change places, against transformers with the blocks in another order, and the
controls of a change of weights."""

import numpy as np
import pytest
import torch
import xarray as xr
from naive_asking import READS, Naive, make, rows_of
from safetensors.torch import load_file, save_file

from assay.ask.measure import damage, measuring, models
from assay.ask.measure.tasks import Task
from assay.ask.tables import Model, Weights
from assay.core.errors import AssayError, DataError
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab
from assay.subjects.folder import find

KINDS = ["llama", "gemma3_text"]


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    more = {"layer_types": ["full_attention"] * 5} if request.param == "gemma3_text" else {}
    path = tmp_path_factory.mktemp("moved") / request.param
    return make(path, request.param, num_hidden_layers=5, **more)


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        ({"swap": (1, 3)}, [0, 3, 2, 1, 4]),
        ({"blocks": (0, 2, 1, 4, 3)}, [0, 2, 1, 4, 3]),
        # once more in the place of block 2
        ({"blocks": (0, 1, 1, 3, 4)}, [0, 1, 1, 3, 4]),
        ({"scale": 0, "of": "layers.2."}, [0, 1, 3, 4]),  # a block that is skipped
    ],
)
def test_blocks_run_in_the_order_that_is_written(folder, weights, order):
    shown = rows_of({"t": "a b"}, {"t": "sum of all"}, text="{t} is")
    table = Model(name=str(folder), weights=Weights(**weights))
    models.check(table)
    models.check_weights(table, find(str(folder)))
    task = Task(table, shown, READS)
    numbers, _ = measuring.measure(task, np.array([0]), folder, "cpu", False, lambda *_: None)
    naive = Naive(folder)
    blocks = naive.model.model.layers
    naive.model.model.layers = torch.nn.ModuleList([blocks[n] for n in order])
    naive.model.config.use_cache = False
    naive.model.config.num_hidden_layers = len(order)
    for i, row in enumerate(shown.rows):
        for read, number in zip(READS, naive.reads(row.text), strict=True):
            assert numbers[read.name][1][0, i] == pytest.approx(number, abs=2e-4)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"swap": (1, 1)}, "two different blocks"),
        ({"swap": (1, 2), "blocks": (0, 1, 2, 3, 4)}, "two different blocks"),
        ({"swap": (1, 5)}, "blocks 0 to 4"),
        ({"blocks": (0, 1, 2)}, "blocks 0 to 4"),
        ({"blocks": (0, 1, 2, 3, 7)}, "blocks 0 to 4"),
    ],
)
def test_an_order_that_the_model_cannot_have_is_refused(folder, weights, told):
    table = Model(name=str(folder), weights=Weights(**weights))
    with pytest.raises(DataError, match=told):
        models.check(table)
        models.check_weights(table, find(str(folder)))


@pytest.mark.parametrize(
    ("weights", "layers", "there"),
    [
        ({"scale": 0.5, "of": "layers.9"}, 30, {"of": "layers.19"}),
        ({"scale": 0.5, "of": "layers.25.mlp"}, 30, {"of": "layers.15.mlp"}),
        ({"swap": (10, 11)}, 30, {"swap": (20, 21)}),
        ({"swap": (24, 25)}, 30, {"swap": (14, 15)}),
        # a third away 15 would be one of its own
        ({"swap": (5, 15)}, 30, {"swap": (14, 24)}),
        ({"swap": (0, 4)}, 5, None),
        ({"scale": 0.5, "of": "mlp"}, 30, None),
    ],
)
def test_the_control_makes_the_same_change_in_other_blocks(weights, layers, there):
    table = Model(name="x", weights=Weights(**weights))
    other = models.elsewhere(table, layers)
    assert other == (there and Model(name="x", weights=Weights(**weights | there)))


def test_layers_1_is_block_1_and_not_block_10(tmp_path):
    folder = make(tmp_path / "deep", "llama", num_hidden_layers=11)
    plain, changed = (
        models.as_it_is(str(folder), "cpu", Model(name=str(folder), weights=w)).model
        for w in (None, Weights(scale=0.5, of="layers.1"))
    )
    old, new = dict(plain.named_parameters()), dict(changed.named_parameters())
    moved = {name.split(".")[2] for name in old if not torch.equal(old[name], new[name])}
    assert moved == {"1"}


@pytest.mark.parametrize(("lost", "left"), [(0.5, 1.5), (2.0, 0.0), (7.0, 0.0)])
def test_damage_takes_a_lead_to_0_and_no_further(lost, left):
    base = xr.DataArray([[1.0, 2.0, 3.0]], dims=("run", "prompt"))
    loss = -lost * xr.DataArray([[0.5, 1.0, 1.5]], dims=("run", "prompt"))
    short = damage._short_of_zero(loss, base.mean("prompt"), "prompt")
    assert float((base + short).mean()) == pytest.approx(left)
    more = damage._short_of_zero(-loss, base.mean("prompt"), "prompt")  # which grows
    assert float((base + more).mean()) == pytest.approx(2 + lost)


STUDY = """
question = "Which neighbours can change places?"

[[model]]
name = "./base"

[[model]]
name = "./base"
label = "swapped"
weights = { swap = ["{block}", "{block+1}"] }
sweep = { block = "0:4" }

[[model]]
name = "./base"
label = "scaled"
weights = { scale = "{s}", of = "layers.{n}." }
sweep = { s = [0, 0.5, 1.0], n = [1, 3] }

[[prompts]]
rows = [{rows}]

[[read]]
name = "says"
log_prob = [" a", " b"]

[[claim]]
text = "Blocks 1 and 2 can change places"
holds = "abs(swapped.says[block=1] - main.says) < 2"
threshold = "plan: two nats"

[[claim]]
text = "No swap of neighbours costs ten nats"
holds = "max(mean(main.says) - mean(swapped.says), over=block) < 10"
threshold = "plan: ten nats"

[[estimate]]
text = "What scaling does"
value = "scaled.says - main.says"
over = ["s", "n"]
""".replace("{rows}", ", ".join(f'{{ text = "a b {n} is" }}' for n in range(20)))


@pytest.mark.parametrize(
    "folder", ["llama", pytest.param("gemma3_text", marks=pytest.mark.thorough)], indirect=True
)
def test_a_sweep_of_weights_is_each_change_by_itself(folder, tmp_path):
    (tmp_path / "base").symlink_to(folder)
    (tmp_path / "sweeps.toml").write_text(STUDY)
    result = Lab(tmp_path / "store", Inline()).run(catalogue.find(str(tmp_path / "sweeps.toml")))
    assert not result.failed, result.failed
    swapped, scaled = (result.arms[name].says for name in ("swapped", "scaled"))
    assert swapped.dims == ("run", "block", "prompt")
    assert scaled.sizes["s"] == 3 and scaled.n.values.tolist() == [1, 3]
    for block in range(4):
        naive = Naive(folder)
        blocks = [*naive.model.model.layers]
        blocks[block], blocks[block + 1] = blocks[block + 1], blocks[block]
        naive.model.model.layers = torch.nn.ModuleList(blocks)
        naive.model.config.use_cache = False
        number = naive.reads("a b 7 is")[0]
        assert float(swapped.sel(block=block)[0, 7]) == pytest.approx(number, abs=2e-4)
    for n in (1, 3):
        naive = Naive(folder)
        with torch.no_grad():
            for weight in naive.model.model.layers[n].parameters():
                weight *= 0.5
        number = naive.reads("a b 7 is")[0]
        assert float(scaled.sel(s=0.5, n=n)[0, 7]) == pytest.approx(number, abs=2e-4)
        assert np.array_equal(scaled.sel(s=1.0, n=n), result.arms["main"].says)
    # a claim that names a level has its controls at that level alone, the swap of another pair
    one, every = result.judged[0], result.judged[1]
    assert {"swapped/untrained", "swapped/layer"} <= {*one.claim.must_fail}
    # which has the pairs of the sweep again
    assert "swapped/layer" not in every.claim.must_fail


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('sweep = { block = "0:4" }', "", "sweep does not"),
        ('block = "0:4"', 'block = "0:4", other = [1]', "weights does not"),
        ('"{block}", "{block+1}"', '"{block}", "{next}"', "names block|names next"),
        ('block = "0:4"', 'block = "0:5"', "blocks 0 to 4"),
        ("s = [0, 0.5, 1.0]", 's = [0, "half"]', "expected a number"),
        ('[" a", " b"]', '[" a{n}", " b"]\nsweep = { n = [1] }', "dimension of that name"),
    ],
)
def test_a_sweep_that_no_model_can_have_is_refused(folder, tmp_path, old, new, told):
    (tmp_path / "base").symlink_to(folder)
    (tmp_path / "sweeps.toml").write_text(STUDY.replace(old, new))
    with pytest.raises(AssayError, match=told):
        catalogue.find(str(tmp_path / "sweeps.toml"))


def grafted(folder, other, of):
    """The model of transformers with the weights of another of which the names begin so."""
    naive, donor = Naive(folder), Naive(other)
    taken = {n: w for n, w in donor.model.state_dict().items() if n.startswith(of)}
    assert taken
    naive.model.load_state_dict(taken, strict=False)
    return naive


def test_weights_are_taken_from_another_model(folder, tmp_path):
    kind = folder.name
    more = {"layer_types": ["full_attention"] * 5} if kind == "gemma3_text" else {}
    other = make(tmp_path / "other", kind, num_hidden_layers=5, **more)
    state = load_file(other / "model.safetensors")
    draw = torch.Generator().manual_seed(1)
    save_file(
        {n: w + 0.2 * torch.randn(w.shape, generator=draw) for n, w in state.items()},
        other / "model.safetensors",
        metadata={"format": "pt"},
    )
    shown = rows_of({"t": "a b"}, {"t": "sum of all"}, text="{t} is")
    table = Model(name=str(folder), weights=Weights(from_=str(other), of="layers.1."))
    models.check(table)
    models.check_weights(table, find(str(folder)))
    numbers, _ = measuring.measure(
        Task(table, shown, READS), np.array([0]), folder, "cpu", False, lambda *_: None
    )
    naive, before = grafted(folder, other, "model.layers.1."), Naive(folder)
    for i, row in enumerate(shown.rows):
        for read, number, was in zip(
            READS, naive.reads(row.text), before.reads(row.text), strict=True
        ):
            assert numbers[read.name][1][0, i] == pytest.approx(number, abs=2e-4)
            assert abs(was - number) > 1e-3
    assert f"from other ({find(str(other)).content[:8]})" in models.reweighted_in_words(table)


def test_weights_of_another_shape_are_not_taken(folder, tmp_path):
    other = make(tmp_path / "wide", "llama", intermediate_size=48, num_hidden_layers=5)
    table = Model(name=str(folder), weights=Weights(from_=str(other), of="layers.1.mlp"))
    with pytest.raises(DataError, match="of the same shape"):
        models.check_weights(table, find(str(folder)))
    with pytest.raises(DataError, match="from takes some weights of another model"):
        models.check(Model(name="x", weights=Weights(from_="y")))
