"""Dictionaries as parts of a study: their numbers are those of `assay evaluate`, and what does not
fit is one line with its place."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

import tiny_models
from assay.cli.main import main
from assay.core.errors import ExperimentError
from assay.core.intervals import interval
from assay.core.reading import LEARNED
from assay.core.stats import ratio
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.evaluation import evaluate
from assay.lab import catalogue
from assay.lab.executors import Inline
from assay.lab.lab import Lab
from assay.studies.wording import renamed
from assay.verbs.unsaid import find_unsaid

SAELENS = Path(__file__).parents[1] / "evaluation" / "saelens"
SITE = "blocks.1.hook_resid_post"
HEAD = """
question = "Which reconstructs more?"

[[dictionary]]
label = "mine"
path = "mine.safetensors"
model = "./model"
text = "./texts"
fields = { tokens = 600, ablation_tokens = 300, context = 16, bos = true }

[[dictionary]]
label = "theirs"
path = "theirs.safetensors"

[[dictionary]]
label = "again"
path = "again.safetensors"
"""
CLAIM = """
[[claim]]
text = "Mine leaves less unexplained"
holds = "mine.fvu - theirs.fvu < -0.01"
control = ["again"]
threshold = "plan: a hundredth"
"""


def plain(seed, noise, f=48):
    """A dictionary that reconstructs more or less well: features of random directions, with a
    decoder that was disturbed."""
    draw = torch.Generator().manual_seed(seed)
    W = torch.nn.functional.normalize(torch.randn(1, f, 24, generator=draw), dim=-1)
    off = noise * torch.randn(1, f, 24, generator=draw)
    return Dictionary(
        0.6 * W.mT, torch.full((1, f), -0.2), W + off, torch.zeros(1, 24), ReLU(), sites=(SITE,)
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return tiny_models.make(
        tmp_path_factory.mktemp("studied") / "model",
        "llama",
        bos_token_id=3,
        max_position_embeddings=256,
    )


@pytest.fixture
def folder(tiny, tmp_path, monkeypatch):
    """A folder with a model, a text and three dictionaries."""
    shutil.copytree(tiny, tmp_path / "model")
    (tmp_path / "texts").mkdir()
    for i in range(24):
        (tmp_path / "texts" / f"t{i}.py").write_text(
            "".join(f"def f{i}_{j}(x):\n    return x + {i * j}\n" for j in range(2 + i % 3))
        )
    for name, seed, noise in (("mine", 0, 0.0), ("theirs", 0, 0.4), ("again", 1, 0.4)):
        plain(seed, noise).save(tmp_path / f"{name}.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, text, name="asks.toml"):
    path = folder / name
    path.write_text(text)
    return path


def run(folder, text):
    study = catalogue.find(str(write(folder, text)))
    result = Lab(folder / "store", Inline()).run(study)
    assert not result.failed, result.failed
    return result


def test_its_verdict_is_the_interval_over_documents_of_what_evaluate_measures(folder):
    result = run(folder, HEAD + CLAIM)
    ask = {
        "model": folder / "model",
        "text": folder / "texts",
        "tokens": 600,
        "ablation_tokens": 300,
        "context": 16,
        "bos": True,
    }
    found = evaluate("mine.safetensors", "theirs.safetensors", root=folder / "other", **ask)
    for arm, name in (("main", "mine"), ("theirs", "theirs")):
        data = result.arms[arm].isel(run=0)
        for quantity in ("fvu", "l0", "gamma", "ce_increase", "loss_recovered_mean"):
            from assay.studies.wording import QUANTITIES

            m = QUANTITIES[quantity]
            ours = float(m.of(*(np.nansum(data[t].values) for t in m.terms)))
            theirs = found[name][quantity]
            if theirs["estimate"] is None:  # of a model of random weights ablation costs nothing
                assert quantity == "loss_recovered_mean" and "not defined" in theirs["why"]
                continue
            assert ours == pytest.approx(theirs["estimate"], rel=1e-6), quantity
        terms = {t: data[t].values for t in ("error", "variance")}
        alone = interval(terms, ratio("error", "variance"))
        assert found[name]["fvu"]["low"] == pytest.approx(alone.low, rel=1e-6)
    verdict = result.judged[0].verdict
    assert verdict.estimate == pytest.approx(
        found["mine"]["fvu"]["estimate"] - found["theirs"]["fvu"]["estimate"], rel=1e-6
    )
    assert verdict.n == {"document": found["mine"]["fvu"]["n"]["document"]}
    assert verdict.outcome == "holds" and result.judged[0].controls["again"].outcome == "fails"


def test_a_quantity_is_no_mean_of_stored_sums_of_its_name(folder):
    """`ce_spliced` is the name of a sum and of a measure: a claim means the measure, nats per
    prediction."""
    claim = CLAIM.replace("mine.fvu - theirs.fvu < -0.01", "mine.ce_spliced < 100")
    result = run(folder, HEAD + claim)
    data = result.arms["main"].isel(run=0)
    assert result.judged[0].verdict.estimate == pytest.approx(
        float(data.ce_spliced.sum() / data.predictions.sum()), rel=1e-9
    )


def test_formats_of_others_and_several_trainings_of_one_kind(folder):
    several = (
        HEAD.replace('"mine.safetensors"', '["mine.safetensors", "again.safetensors"]')
        .replace('"theirs.safetensors"', f'["{SAELENS / "standard"}", "theirs.safetensors"]')
        .replace('"again.safetensors"\n', '["again.safetensors", "mine.safetensors"]\n')
    )
    found = catalogue.find(str(write(folder, several + CLAIM)))
    assert [s.seed for s in found.specs_of("main", found.default)] == [0, 1]
    assert found.claims[0].units == ("seed", "document")
    result = Lab(folder / "store", Inline()).run(found)
    assert result.judged[0].verdict.n["seed"] == 2
    assert result.judged[0].verdict.reason.startswith("too few units: 2 of 6 seeds")


def test_baselines_stand_beside_as_controls(folder):
    more = "".join(
        f'\n[[dictionary]]\nlabel = "{b}"\nbaseline = "{b}"\nlike = "mine"\n'
        for b in ("pca", "random", "rescaled")
    )
    result = run(folder, HEAD + more + CLAIM.replace('["again"]', '["pca", "random", "rescaled"]'))
    fvu = {a: float(d.error.sum() / d.variance.sum()) for a, d in result.arms.items()}
    l0 = {a: float(d.active.sum() / d.tokens.sum()) for a, d in result.arms.items()}
    assert (
        0 < l0["pca"] <= round(l0["main"]) + 2
    )  # as many components as are on; half of their signed codes are above 0
    assert l0["random"] == pytest.approx(l0["main"], rel=0.25)
    assert l0["rescaled"] <= l0["main"] + 1e-9
    assert fvu["rescaled"] < fvu["main"] and fvu["pca"] < 1
    assert set(result.judged[0].controls) == {"pca", "random", "rescaled"}
    # Only the decoder of random directions is fitted; nothing else is said to lack a part.
    learned = {a: d.attrs[LEARNED] for a, d in result.arms.items() if LEARNED in d.attrs}
    assert {a: tuple(parts) for a, parts in learned.items()} == {"random": ("model", "decoder")}


def test_principal_components_are_those_of_the_windows_that_are_not_measured(folder):
    """By hand: project the measured activations on the components of the spare ones."""
    from assay.evaluation import sources, texts
    from assay.lab.store.store import Store
    from assay.studies.composing import composed
    from assay.studies.text import read

    more = '\n[[dictionary]]\nlabel = "pca"\nbaseline = "pca"\nlike = "mine"\n'
    result = run(folder, HEAD + more + CLAIM.replace('["again"]', '["pca"]'))
    assert (
        composed(read(folder / "asks.toml"))
        .arms["pca"]
        .note.startswith("as many principal components as features are on")
    )
    store = Store(folder / "store")
    from assay.data import corpus
    from assay.evaluation.setting import Setting
    from assay.evaluation.text import plan
    from assay.subjects.folder import find

    model, words = find(str(folder / "model")), corpus.load(str(folder / "texts"))
    setting = Setting(tokens=600, ablation_tokens=300, context=16, bos=True)
    made = plan(sources.find(["mine.safetensors"], store)[0], setting, model, words)
    read_ = texts.windows(made, store, model, words)
    _, spare = tiny_models.naive(folder / "model", read_.spare)
    _, seen = tiny_models.naive(folder / "model", read_.tokens)
    limit = 6 * np.median(np.linalg.norm(spare[SITE][:, 1:], axis=-1))
    rows = lambda acts: acts[:, 1:][np.linalg.norm(acts[:, 1:], axis=-1) <= limit]  # noqa: E731
    x, y = rows(spare[SITE]), rows(seen[SITE])
    mine = sources.find(["mine.safetensors"], store)[0].dictionary
    k = round(float((mine.encode(torch.from_numpy(x).float())[0] > 0).sum(1).float().mean()))
    values, vectors = np.linalg.eigh(np.cov((x - x.mean(0)).T))
    V = vectors[:, np.argsort(values)[::-1][:k]]
    hat = (y - x.mean(0)) @ V @ V.T + x.mean(0)
    wanted = ((y - hat) ** 2).sum() / ((y - y.mean(0)) ** 2).sum()
    assert float(
        result.arms["pca"].error.sum() / result.arms["pca"].variance.sum()
    ) == pytest.approx(wanted, rel=1e-4)


def test_content_is_what_counts_not_the_name(folder):
    result = run(folder, HEAD + CLAIM)
    lab = Lab(folder / "store", Inline())
    study = catalogue.find("asks.toml")
    assert not lab.plan(study).missing
    plain(5, 0.1).save(folder / "mine.safetensors")
    [row] = lab.plan(catalogue.find("asks.toml")).missing
    assert row.why.startswith("other inputs: dictionary")
    again = lab.run(catalogue.find("asks.toml"))
    assert again.judged[0].verdict.estimate != result.judged[0].verdict.estimate


def test_its_path_may_be_a_stored_run_of_the_store_that_is_used(folder, capsys):
    text = HEAD.replace('path = "mine.safetensors"', 'path = "nothing/main"') + CLAIM
    assert main(["plan", str(write(folder, text)), "--root", "elsewhere"]) == 2
    told = capsys.readouterr().err
    assert (
        "asks.toml line 6 column 8: no file, folder or stored run 'nothing/main'" in told
        and "elsewhere" in told
    )


WRONG = [
    (
        'path = "mine.safetensors"',
        'path = "mine.safetensor"',
        "line 6 column 8: no file, folder or stored run",
    ),
    ('model = "./model"', 'model = "./modell"', "line 7 column 9: "),
    ('text = "./texts"', 'text = "./text"', "line 8 column 8: no corpus"),
    ('label = "theirs"\n', "", "line 11 column 1: a dictionary needs a label"),
    ('label = "theirs"', 'label = "mine"', "line 12 column 9: there is an arm mine already"),
    (
        'path = "theirs.safetensors"',
        'path = "theirs.safetensors"\nlike = "mine"',
        "line 14 column 8: like belongs to a baseline",
    ),
    (
        'path = "theirs.safetensors"',
        'baseline = "pcaa"\nlike = "mine"',
        "line 13 column 12: no baseline is called 'pcaa'; did you mean pca?",
    ),
    (
        'path = "theirs.safetensors"',
        'baseline = "pca"',
        "line 11 column 1: a baseline is like a dictionary above it",
    ),
    (
        'path = "theirs.safetensors"',
        'trained = "main"',
        "line 13 column 11: no arm 'main' trains dictionaries",
    ),
    (
        'path = "theirs.safetensors"',
        "",
        "line 12 column 9: say one of path, trained and baseline, got none of them",
    ),
    (
        "tokens = 600",
        "token = 600",
        "line 9 column 10: assay evaluate has no field token; did you mean tokens?",
    ),
    ("tokens = 600", "tokens = 0", "line 9 column 10: "),
    ("mine.fvu -", "mine.ce_recovered -", "has no measure 'ce_recovered'; "),
    ("mine.fvu -", "mime.fvu -", "the study has no arm 'mime'; did you mean mine?"),
    (
        'path = "theirs.safetensors"',
        'path = "theirs.safetensors"\nfields = { context = 12 }',
        "line 14 column 10: theirs would be measured on",
    ),
    (
        'path = "theirs.safetensors"',
        'path = "theirs.safetensors"\nsite = "blocks.9.hook_resid_post"',
        "line 14 column 8: theirs: blocks.9",
    ),
    (
        'path = "theirs.safetensors"',
        'paths = ["theirs.safetensors"]',
        "dictionary[2].paths is no field of a study; did you mean path?",
    ),
    (
        '["again"]',
        '["theirs"]',
        "line 22 column 11: theirs stands in the condition, where it would be compared with itself",
    ),
    ('model = "./model"\n', "", "line 4 column 1: model is not said"),
    (
        '"Which reconstructs more?"',
        '"Which?"\nbudget = "soon"',
        "line 3 column 10: a budget is a time here",
    ),
    ('"plan: a hundredth"', '"0.01"', 'write threshold = "plan: …" before anything was looked at'),
]


@pytest.mark.parametrize(("right", "wrong", "told"), WRONG, ids=[w[2][:40] for w in WRONG])
def test_what_is_wrong_is_one_line_with_its_place_before_anything_is_measured(
    folder, right, wrong, told
):
    text = HEAD + CLAIM
    assert right in text
    path = write(folder, text.replace(right, wrong, 1))
    with pytest.raises(ExperimentError) as caught:
        Lab(folder / "store", Inline()).plan(catalogue.find(str(path)))
    said = str(caught.value)
    assert told in said
    assert "\n" not in said
    assert "asks.toml line" in said


def test_what_is_not_said_is_listed(folder, capsys):
    text = (
        HEAD.replace(
            "fields = { tokens = 600, ablation_tokens = 300, context = 16, bos = true }\n", ""
        )
        + CLAIM
    )
    path = write(folder, text)
    assert main(["plan", str(path)]) == 0
    assert "dictionary: tokens" in capsys.readouterr().out
    unsaid = {u.where: u.default for u in find_unsaid(path, Lab(folder / "store", Inline())).unsaid}
    assert unsaid["dictionary: tokens"] == "110,000, as of assay evaluate"
    assert unsaid["dictionary: context"] == "what each dictionary's file says, else 128"
    assert "claim 1: units" in unsaid
    assert "seeds" not in unsaid  # it has none


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mine.fvu - theirs.fvu < -0.01", "main.fvu - theirs.fvu < -0.01"),
        ('"mine".fvu < other.mine', "main.fvu < other.mine"),
        ("mine2.fvu < 0.1 * mine.l0", "mine2.fvu < 0.1 * main.l0"),
        ('"not mine".fvu - mine["fvu"] < 0', '"not mine".fvu - main["fvu"] < 0'),
    ],
)
def test_the_first_dictionary_is_main_by_another_name(before, after):
    assert renamed(before, "mine", "main") == after


TRAINS = """
question = "Are dictionaries that the study trains measured as any other?"
seeds = "0:2"

[[experiment]]
name = "gated-sae"
preset = "smoke"
arms = ["main", "wide-rescaled"]
fields = { subject = "./model", corpus = "./texts", layer = 1, penalty = 0.1 }

[[dictionary]]
label = "gated"
trained = "main"
model = "./model"
text = "./texts"
fields = { tokens = 600, ablation_tokens = 300, context = 16 }

[[dictionary]]
label = "mended"
trained = "wide-rescaled"

[[dictionary]]
label = "pca"
baseline = "pca"
like = "gated"

[[claim]]
text = "Gated harms the model less"
holds = "gated.ce_increase - mended.ce_increase < -0.01"
control = ["pca"]
"""


def test_dictionaries_that_the_study_trains_are_measured_as_their_files_would_be(folder):
    """Export what an arm trained and evaluate it: the same numbers, on the part of the text that
    nothing was trained on."""
    words = [f"def f{j}(x):\n    return x + {j}\n" * 20 for j in range(40)]
    for j, text in enumerate(words):
        (folder / "texts" / f"long{j}.py").write_text(text)
    result = run(folder, TRAINS)
    ask = {
        "model": folder / "model",
        "text": folder / "texts",
        "tokens": 600,
        "ablation_tokens": 300,
        "context": 16,
    }
    names = {
        arm: sorted(p.name for p in (folder / "store/runs/asks").glob(f"*-{arm}-*"))
        for arm in ("main", "wide-rescaled")
    }
    for arm, label in (("main", "gated"), ("wide-rescaled", "mended")):
        found = evaluate(*(f"asks/{name}" for name in names[arm]), root=folder / "store", **ask)
        theirs = sorted(found[d["name"]]["ce_increase"]["estimate"] for d in found.dictionaries)
        data = result.arms[label]
        assert data.seed.values.tolist() == [0, 1]
        assert [d["part"] for d in found.dictionaries] == ["test", "test"]
        ours = (data.ce_spliced - data.ce_clean).sum("document") / data.predictions.sum("document")
        assert sorted(ours.values) == pytest.approx(theirs, rel=1e-6)
    assert result.judged[0].verdict.n["seed"] == 2


def test_seeds_that_a_study_trains_together_have_the_numbers_of_each_alone(folder):
    for j in range(40):
        (folder / "texts" / f"long{j}.py").write_text(f"def f{j}(x):\n    return x + {j}\n" * 20)
    bare = TRAINS.replace("ablation_tokens = 300", "ablation_tokens = 0")
    apart = run(folder, bare)
    study = catalogue.find(
        str(
            write(
                folder, bare.replace('seeds = "0:2"', 'seeds = "0:2"\ntogether = 2'), "joined.toml"
            )
        )
    )
    joined = Lab(folder / "store", Inline()).run(study)
    assert study.seeds_per_group == 2
    for arm in ("gated", "mended"):
        for term in ("error", "active", "ce_spliced"):
            assert joined.arms[arm][term].values == pytest.approx(
                apart.arms[arm][term].values, rel=1e-5
            )
        assert np.isnan(joined.arms[arm].a_predictions.values).all()  # no ablation was asked for


def test_other_fields_of_what_is_trained_are_other_dictionaries(folder):
    """A dictionary is known by what trained it: with another width nothing of the old one
    counts."""
    first = catalogue.find(str(write(folder, TRAINS)))
    second = catalogue.find(
        str(write(folder, TRAINS.replace("layer = 1,", "layer = 1, width = 24,"), "other.toml"))
    )
    assert {s.to_json() for s in first.specs_of("gated", first.default)}.isdisjoint(
        s.to_json() for s in second.specs_of("gated", second.default)
    )


def test_a_study_of_a_model_that_needs_bos_reads_windows_with_one(folder):
    window = {"sliding_window": 4, "head_dim": 8, "query_pre_attn_scalar": 8}
    tiny_models.make(folder / "gemma", "gemma3_text", bos_token_id=3, **window)
    silent = HEAD.replace(", bos = true", "") + CLAIM
    for model, text, first in (
        ("gemma", silent, ", BOS"),
        ("gemma", HEAD.replace("bos = true", "bos = false") + CLAIM, ""),
        ("model", silent, ""),
    ):
        path = write(folder, text.replace("./model", f"./{model}"), f"{model}{len(text)}.toml")
        study = catalogue.find(str(path))
        reads = {study.inputs(s)["windows"] for arm in study.arms.values() for s in arm.specs(())}
        assert reads == {f"all, 16 tokens{first}"}
