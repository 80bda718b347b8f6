"""A study as values: its text is read back to the same values, and it plans and runs as its file
does."""

from pathlib import Path

import pytest
from test_study_asks import folder  # noqa: F401 (a fixture)

from assay.ask import Block, Claim, Intervention, Model, Prompts, Read, Study, Top
from assay.ask.text import read
from assay.core.errors import ExperimentError

ROOT = Path(__file__).parents[2]
STUDIES = sorted(
    path
    for where in ("examples", "studies", "replications", "benchmarks")
    for path in (ROOT / where).rglob("*.toml")
    if "[[model]]" in path.read_text() or "[[experiment]]" in path.read_text()
)


def as_values(text):
    return Study(**{f: getattr(text.study, f) for f in Study.__struct_fields__})


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_every_study_of_the_repository_is_read_back_from_its_values(path, tmp_path):
    text = read(path)
    again = as_values(text).save(tmp_path / "again.toml")
    assert read(again).study == text.study


def test_signs_of_all_kinds_survive(tmp_path):
    said = 'two\nlines, "quotes", \\ a tab\t, \x7f, é and 😀'
    study = Study(
        question=said,
        model=[Model(name="a", bos=False)],
        intervene=Intervention(
            name="cut",
            ablate="zero",
            block=Block(from_="{a}", to=-2, layers=(1, "{n}")),
            top=Top(n=3, of="heads", by=(1, "x")),
            sweep={"a b": (1, 2.5, 1e-7, "x", True)},
        ),
        prompts=Prompts(rows=({"a": 1, "b.c": "x"},)),
    )
    again = read(study.save(tmp_path / "s.toml")).study
    assert again.question == said and again.model == (Model(name="a", bos=False),)
    assert again.intervene == (study.intervene,) and again.prompts == (study.prompts,)


def test_it_runs_as_its_file_does(folder):  # noqa: F811
    study = Study(
        question="Is the city known?",
        model=Model(name="./planted"),
        prompts=Prompts(text="the {a} was", slots={"a": ("room", "meal", "film", "town")}),
        read=Read(name="good", log_prob=(" good", " bad")),
        claim=Claim(text="It is", holds="main.good > 0"),
    )
    path = folder / "values.toml"
    before = study.plan(path, folder / "store")
    to_do = len(before.missing)
    assert to_do > 0
    assert repr(before).startswith(f"values: {to_do} run") and "to do, 0 stored" in repr(before)
    result = study.run(path, root=folder / "store")
    after = study.plan(path, folder / "store")
    assert not after.missing and f"values: 0 runs to do, {to_do} stored" in repr(after)
    assert result.judged[0].claim.text == "It is"


def test_what_is_no_study_is_refused_before_anything_is_written(tmp_path):
    study = Study(question="?", model=Model(name="a", bos="yes"))
    with pytest.raises(ExperimentError, match=r"line 5 column .* model\[1\].bos"):
        study.save(tmp_path / "s.toml")
    assert not [*tmp_path.iterdir()]
    with pytest.raises(ExperimentError, match="no place for PosixPath"):
        Study(question="?", model=Model(name=Path("a"))).to_toml()
