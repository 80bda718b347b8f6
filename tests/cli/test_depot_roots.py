"""A root that is a URL: verbs that share work take it, others refuse it in a line."""

from pathlib import Path

import pytest

from assay.cli.main import main

WALK = str(Path(__file__).parents[1] / "lab" / "walk.py")
pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))


def test_what_one_machine_ran_another_shows_and_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"file://{tmp_path}/share"
    assert main(["run", WALK, "--preset", "smoke", "--executor", "inline", "--root", url]) == 0
    assert f"--root {url}" in capsys.readouterr().out  # what to type next
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "other"))
    assert main(["show", WALK, "--preset", "smoke", "--root", url]) == 0
    assert "The walk ends above 0.5" in capsys.readouterr().out
    assert main(["list", "--root", url]) == 0
    assert main(["doctor", "--root", url]) in (0, 1)
    assert f"{url}: 6 runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["remove", "superposition", "--yes", "--root", "s3://bucket/x"], "take a URL"),
        (["plan", "superposition", "--root", "nope://bucket/x"], "cannot be a depot"),
        (["list", "--root", "sftp://me:secret@host/x"], "holds a password"),
        (["show", "superposition", "--root", "s3://"], "names no bucket"),
        (["run", "superposition", "--root", "memory://x"], "ends with this process"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1
    assert "secret" not in told
    assert [path.name for path in tmp_path.iterdir()] in ([], ["cache"])
