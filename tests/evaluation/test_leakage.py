"""What a dictionary has seen goes with it: through training, files, another library's format and a
store; and decides what is measured."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import tiny_models
from assay.core.errors import DataError
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.data import corpus
from assay.data.harvest import HarvestSpec, harvest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats import load, write
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training import losses
from assay.dictionaries.training.train import Method, fit_dictionaries
from assay.evaluation import evaluate, sources
from assay.evaluation.file_statements import get_training_text
from assay.lab.store.runs import Job
from assay.lab.store.store import Store
from stored_bytes import put

SITE = "blocks.1.hook_resid_pre"


@dataclass(frozen=True, kw_only=True)
class Trial(Spec):
    """One run."""


@pytest.fixture
def trained(model, texts, bench):
    spec = HarvestSpec(
        subject=str(model), corpus=str(texts), site=SITE, windows=12, context=12, dtype="float32"
    )
    data = harvest(spec, bench)
    runs = Runs([Trial(seed=1)])
    method = Method(ReLU(), losses.l1, 30, lr=np.array([1e-2]), penalty=np.array([0.1]))
    return data, fit_dictionaries(
        [(runs, method)],
        data.batches(runs.seeds, 16),
        d=data.d,
        steps=5,
        bench=bench,
        mean=data.mean,
        scale=data.scale,
        sites=(SITE,),
        trained_on=data.trained_on,
    )[0]


def test_training_records_the_documents_it_has_seen(trained, texts):
    data, one = trained
    there = corpus.load(str(texts))
    known = get_training_text(Dictionary.of(one).origin)
    assert known["corpus"] == there.fingerprint
    assert known["part"] == "train"
    assert known["context_size"] == 12
    used = {there.documents[i].sha256[:12] for i in data.windows.document}
    assert (
        set(known["documents"])
        == used
        <= {there.documents[i].sha256[:12] for i in there.part("train")}
    )


def test_it_stays_with_the_dictionary_wherever_that_goes(trained, model, texts, tmp_path):
    dictionary = Dictionary.of(trained[1])
    dictionary.save(tmp_path / "ours.safetensors")
    write(dictionary, tmp_path / "theirs", "saelens")
    assert (
        get_training_text(load(tmp_path / "theirs").origin)
        == get_training_text(load(tmp_path / "ours.safetensors").origin)
        == get_training_text(dictionary.origin)
    )
    write(load(tmp_path / "theirs"), tmp_path / "again", "saelens")
    put(Store(tmp_path / "store"), Job("own", 1, "main", Trial(seed=1)), _measures(), trained[1])
    ask = {"model": model, "text": texts, "root": tmp_path / "store", "tokens": 200}
    found = evaluate(
        dictionary,
        tmp_path / "ours.safetensors",
        tmp_path / "theirs",
        tmp_path / "again",
        "own/main",
        **ask,
    )
    for entry in found.dictionaries:
        assert entry["part"] == "test" and entry["context"] == 12 and not entry["bos"], entry[
            "name"
        ]
        assert entry["measures"]["fvu"]["estimate"] == pytest.approx(
            found["dictionary 1"]["fvu"]["estimate"], rel=1e-4
        )
    with pytest.raises(DataError, match="documents of this text"):
        evaluate("own/main", part="all", **ask)


def _measures():
    import xarray as xr

    return xr.Dataset({"loss": ((), 1.0, {"units": "1"})})


def test_a_stored_run_without_a_list_is_known_by_its_inputs(trained, model, texts, tmp_path):
    there = corpus.load(str(texts))
    bare = replace(trained[1], header={k: v for k, v in trained[1].header.items() if k != "origin"})
    store = Store(tmp_path / "store")
    put(
        store,
        Job("own", 1, "main", Trial(seed=1)),
        _measures(),
        bare,
        {"model": "m", "corpus": there.fingerprint},
    )
    ask = {"model": model, "text": texts, "root": tmp_path / "store", "tokens": 200, "context": 12}
    assert evaluate("own/main", **ask).dictionaries[0]["part"] == "test"
    with pytest.raises(DataError, match="--part train would evaluate it on its training"):
        evaluate("own/main", part="train", **ask)
    put(store, Job("own", 1, "main", Trial(seed=2)), _measures(), bare)
    with pytest.raises(
        DataError, match="own/main has 2 stored dictionaries, name one of them: own/"
    ):
        evaluate("own/main", **ask)
    with pytest.raises(DataError, match="did you mean own/main"):
        evaluate("own/mian", **ask)


@dataclass(frozen=True, kw_only=True)
class Reads(Spec):
    """One run that names its model."""

    subject: str


def test_a_stored_run_began_its_text_as_its_models_family_does(trained, model, tmp_path):
    window = {"sliding_window": 4, "head_dim": 8, "query_pre_attn_scalar": 8}
    gemma = tiny_models.make(tmp_path / "gemma", "gemma3_text", bos_token_id=3, **window)
    bare = replace(trained[1], header={k: v for k, v in trained[1].header.items() if k != "origin"})
    store, inputs = Store(tmp_path / "store"), {"model": "m", "corpus": "c"}
    for arm, subject in (("llama", model), ("gemma", gemma), ("gone", tmp_path / "nowhere")):
        job = Job("own", 1, arm, Reads(seed=1, subject=str(subject)))
        put(store, job, _measures(), bare, inputs)
    began = {
        arm: sources.find([f"own/{arm}"], store)[0].dictionary.origin["trained_on"]
        for arm in ("llama", "gemma", "gone")
    }
    assert {arm: x.get("prepend_bos") for arm, x in began.items()} == {
        "llama": False,
        "gemma": True,
        "gone": None,
    }


def test_what_was_trained_on_a_whole_text_is_not_measured_on_any_part_of_it(texts):
    from assay.evaluation.file_statements import choose

    there = corpus.load(str(texts))
    # of which nobody says a part
    for known in ({"corpus": there.fingerprint, "part": "all"}, {"corpus": there.fingerprint}):
        for part in ("auto", "test", "all"):
            with pytest.raises(DataError, match="trained on this text, all of it"):
                choose("one", known, there, part)
    seen = [there.documents[there.part("test")[0]].sha256[:12]]
    for known in ({"documents": seen}, {"corpus": "another", "part": "all", "documents": seen}):
        with pytest.raises(DataError, match="trained on 1 of the"):
            choose("one", known, there, "test")
    for empty in (None, "f" * 12, 3):  # what a damaged file may have in place of a list
        assert (
            "not recorded"
            in choose("one", {"corpus": "another", "documents": empty}, there, "auto")[1]
        )


def test_of_a_text_that_the_file_names_the_test_part_is_read(texts):
    from assay.evaluation.file_statements import choose

    there = corpus.load(str(texts))
    part, why = choose("one", None, there, "auto", there.name)
    assert part == "test"
    assert f"its file says that it was trained on {there.name}, but not on which part; if " in why
    assert "the test part, where it is evaluated, the numbers are too good" in why
    part, why = choose("one", None, there, "all", there.name)
    assert part == "all" and "on all of which it is evaluated" in why
    for stated, read in (("train", "test"), ("test", "validation")):
        part, why = choose("one", None, there, "auto", there.name, stated)
        assert part == read and f"trained on the {stated} part of this text" in why
        for seen in ("all", stated):
            with pytest.raises(DataError, match=f"use --part {read}"):
                choose("one", None, there, seen, there.name, stated)
    assert choose("one", None, there, "auto", "another")[0] == "all"
