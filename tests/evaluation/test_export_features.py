"""`assay export` of features: which are chosen, what is refused, and that nothing half-written
stays."""

from dataclasses import replace

import pytest
from test_evaluating import plain

from assay.cli import main
from assay.core.errors import AssayError, DataError
from assay.evaluation import indexing
from assay.verbs.export import Which, choose, export_features
from forks import typed


@pytest.fixture(scope="module")
def at(tmp_path_factory, model, texts):
    folder = tmp_path_factory.mktemp("export")
    made = plain()
    replace(made, b_enc=made.b_enc - 0.8).save(folder / "one.safetensors")
    plain(seed=3).save(folder / "none.safetensors")
    return folder, indexing.index(
        folder / "one.safetensors",
        model=model,
        text=texts,
        root=folder / "store",
        tokens=600,
        context=24,
        ablate=4,
        ablate_windows=4,
    )


def test_features_by_number_and_by_a_column(at):
    _, index = at
    assert choose(index, Which(features="1, 2,5-9,7"))[0] == [1, 2, 5, 6, 7, 8, 9]
    density = index.columns(("density",))["density"]
    numbers, words = choose(index, Which(top=5, by="density"))
    assert density[numbers].tolist() == sorted(density, reverse=True)[:5]
    assert words == "those with the largest density"
    numbers, _ = choose(index, Which(top=30))
    assert len(numbers) == 4, "only features that were taken out have an importance"


@pytest.mark.parametrize(
    "which",
    [*(Which(features=f) for f in ("48", "3-1", "a", "1,,2")), Which(by="nonsense"), Which(top=0)],
)
def test_what_is_no_feature_is_refused(at, which):
    with pytest.raises(AssayError):
        choose(at[1], which)
    with pytest.raises(AssayError, match="both choose"):
        choose(at[1], Which(features="1", top=3))


def test_pages_are_written_whole_and_over_nothing(at, tmp_path):
    folder, index = at
    out = tmp_path / "made" / "out"
    done = export_features(index.about.address, out, Which(features="3,9"), root=folder / "store")
    assert done.features == (3, 9)
    assert done.written.is_file()
    assert done.bytes > 1000
    assert sorted(p.name for p in out.parent.iterdir()) == ["out"]
    with pytest.raises(AssayError, match="exists already"):
        export_features(index.about.address, out, root=folder / "store")


def test_from_the_command_line(at, tmp_path, capsys):
    folder, _ = at
    words = typed(
        f"export {folder / 'one.safetensors'} --root {folder / 'store'} --out {tmp_path / 'd'}"
    )
    assert main.main([*words, "--format", "html", "--features", "0-4"]) == 0
    assert "5 features of" in capsys.readouterr().out
    assert (tmp_path / "d").is_file()
    assert main.main([*words, "--format", "html", "--run", "0"]) == 2
    assert "--run does not go with --format html" in capsys.readouterr().err
    assert main.main([*words, "--top", "3"]) == 2
    assert "it is for pages" in capsys.readouterr().err


def test_a_dictionary_without_an_index_says_what_to_type(at, tmp_path):
    folder, _ = at
    with pytest.raises(DataError, match=r"make one with: assay export .* --format index"):
        export_features(str(folder / "none.safetensors"), tmp_path / "x", root=folder / "store")
