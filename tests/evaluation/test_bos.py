"""Whether a BOS comes first: as is said, else as the dictionary's file says, else as the model's
family has it; one answer wherever a text is read."""

import pytest
from test_evaluating import plain

import tiny_models
from assay.core.errors import ModelError
from assay.evaluation import evaluate, file_statements, look
from assay.evaluation.indexing import index
from assay.subjects.folder import find

TOLD = "whether windows began with a BOS in training; they do here, with $, as in the model's tok"
TEXT = "def f(x):\n    return x + 1"
GEMMA = {"sliding_window": 4, "head_dim": 8, "query_pre_attn_scalar": 8, "bos_token_id": 3}


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("gemma") / "model", "gemma3_text", **GEMMA)


def of_a_file(says=None, form="saelens"):
    config = {} if says is None else {"prepend_bos": says}
    return {"format": form, "config": config}


def test_who_decides(model, gemma):
    llama, family = find(str(model)), find(str(gemma))
    for folder, usual in ((llama, False), (family, True)):
        for form in ("saelens", "assay"):
            for says in (None, False, True):
                for said in (None, False, True):
                    bos, notes = file_statements.choose_bos(said, of_a_file(says, form), folder)
                    stated = says if said is None else said
                    assert bos == (usual if stated is None else stated)
                    told = stated is None and (usual or form == "saelens")
                    assert len(notes) == told, (notes, said, says)
                    assert all(("--no-bos" in note) == usual for note in notes)
    trained = {"trained_on": {"prepend_bos": False}}
    assert file_statements.choose_bos(None, trained, family) == (False, [])


def test_a_bos_that_the_model_lacks_is_refused_before_anything_is_read(tmp_path):
    lacking = {**GEMMA, "bos_token_id": None}
    folder = find(str(tiny_models.make(tmp_path / "model", "gemma3_text", **lacking)))
    with pytest.raises(ModelError, match=r"has no BOS token .*; read texts without one: --no-bos"):
        file_statements.choose_bos(True, {}, folder)
    stated = r"the dictionary's file says .*prepend_bos: true.* has no BOS token .*; read texts"
    with pytest.raises(ModelError, match=stated):
        file_statements.choose_bos(None, of_a_file(True), folder)
    for said in (None, False):
        for silent in ({}, of_a_file()):  # nothing else could have been done
            assert file_statements.choose_bos(said, silent, folder) == (False, [])


def test_whatever_reads_a_text_for_gemma_begins_it_with_bos_and_says_so(gemma, texts, tmp_path):
    ask = {"model": gemma, "text": texts, "root": tmp_path, "tokens": 200, "ablation_tokens": 60}
    usual, said, without = (
        evaluate(plain(), context=16, **ask, **bos).dictionaries[0]
        for bos in ({}, {"bos": True}, {"bos": False})
    )
    assert usual["bos"] and usual["measures"] == said["measures"] != without["measures"]
    told = [[note for note in e["warnings"] if TOLD in note] for e in (usual, said, without)]
    assert [*map(len, told)] == [1, 0, 0], "what was assumed is said above the tables"

    looked = look(TEXT, plain(), model=gemma, features=1, root=tmp_path)
    plainly = look(TEXT, plain(), model=gemma, features=1, root=tmp_path, bos=False)
    assert looked.bos and looked.tokens[1:] == plainly.tokens
    assert [any(TOLD in n for n in x.notes) for x in (looked, plainly)] == [True, False]

    plain().save(tmp_path / "one.safetensors")
    small = {"tokens": 80, "context": 16, "ablate": 0, "gradients": False}
    file = tmp_path / "one.safetensors"
    found = index(file, model=gemma, text=texts, root=tmp_path, **small)
    assert found.about.bos and any(TOLD in note for note in found.about.notes)
    assert {int(row[0]) for row in found.windows} == {3}
