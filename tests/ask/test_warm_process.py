"""In one process a study asks a model only for what it has not asked before, and of a model that
somebody has open no second one is opened."""

import shutil

import pytest

import assay
from assay.ask.measure import models, passes
from assay.subjects import pretrained
from assay.subjects.pretrained import Pretrained
from planted_folder import ASKED, folder  # noqa: F401 (a fixture)

MORE = '[[read]]\nname = "good_rank"\nrank = " good"\n\n[[claim]]'


@pytest.fixture
def place(folder, tmp_path):  # noqa: F811
    """A folder with a planted model and a study of it, in a process that has asked nothing."""
    shutil.copytree(folder, tmp_path / "study")
    (tmp_path / "study/carries.toml").write_text(ASKED)
    passes._known.cache_clear()
    models.opened.cache_clear()
    return tmp_path / "study"


@pytest.fixture
def counted(monkeypatch):
    """The passes of models so far, and how many models were opened."""
    counts = {"passes": 0, "opened": 0}
    run, of_folder = Pretrained.run, pretrained._of_folder

    def counting(name, function):
        def called(*args, **kwargs):
            counts[name] += 1
            return function(*args, **kwargs)

        return called

    monkeypatch.setattr(Pretrained, "run", counting("passes", run))
    monkeypatch.setattr(pretrained, "_of_folder", counting("opened", of_folder))
    return counts


def asked(place, counted, text, name="carries"):
    """Run a study, and give its numbers and how many passes it took."""
    (place / f"{name}.toml").write_text(text)
    before = counted["passes"]
    result = assay.run(place / f"{name}.toml", root=place / "s")
    return result, counted["passes"] - before


def test_another_threshold_and_another_read_of_the_same_tokens_pass_nothing(place, counted):
    first, count = asked(place, counted, ASKED)
    assert count > 0
    _, count = asked(place, counted, ASKED.replace("< -2", "< -3"))
    assert count == 0
    more, count = asked(place, counted, ASKED.replace("[[claim]]", MORE, 1))
    assert count == 0 and counted["opened"] == 1
    passes._known.cache_clear()
    shutil.rmtree(place / "s")
    anew, count = asked(place, counted, ASKED.replace("[[claim]]", MORE, 1))
    assert count > 0
    for arm, data in anew.arms.items():
        for name in data.data_vars:
            assert (more.arms[arm][name] == data[name]).all() or name == "diverged", (arm, name)
    assert {v.outcome for v in anew.data.verdicts} == {v.outcome for v in more.data.verdicts}
    assert first.data.verdicts[0].estimate == more.data.verdicts[0].estimate


@pytest.mark.parametrize(
    "change",
    [
        ("hook_attn_out", "hook_mlp_out"),
        pytest.param(("the capital", "the city"), marks=pytest.mark.thorough),
    ],
)
def test_other_edits_and_other_prompts_are_passed(change, place, counted):
    _, first = asked(place, counted, ASKED)
    _, then = asked(place, counted, ASKED.replace(*change))
    assert 0 < then <= first


def test_a_model_that_somebody_has_open_is_the_one_that_a_study_asks(place, counted):
    mine = assay.model(place / "planted")
    result, count = asked(place, counted, ASKED)
    assert count > 0 and counted["opened"] == 1
    with pretrained.torch.no_grad():
        next(mine.model.parameters()).mul_(2)
    again, _ = asked(place, counted, ASKED.replace("Block 1", "Block one"), "again")
    assert again.data.verdicts[0].estimate == result.data.verdicts[0].estimate
    shutil.rmtree(place / "s")
    again, count = asked(place, counted, ASKED)
    assert counted["opened"] == 2, "one whose weights were changed is not the folder's"
    assert again.data.verdicts[0].estimate == result.data.verdicts[0].estimate
