"""`oger compare`: what is refused, in one line and with nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from oger.cli.main import main
from tests.support.tiny_study import write_study


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(["compare", *arguments])
    assert exit_.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.yaml"], "none.yaml does not exist"),
        (["study.yaml", "--tables"], "holds no results of tiny yet"),
        (["study.yaml", "--tables", "--workers", "2"], "--workers has no effect with --tables"),
        (["study.yaml", "--tables", "--nice", "2"], "--nice has no effect with --tables"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path)
    assert words in error_of(capsys, *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_a_misspelt_recipe_key_stops_the_study_before_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, set={"learning_rat": 1e-3})
    assert "learning_rate" in error_of(capsys, "study.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_a_method_that_waits_for_tuning_is_checked_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    methods = {"grpo": {}, "oger": {}, "odd": {"like": "oger", "set": {"teacher_rows": 99}}}
    tuning = {"key": "learning_rate", "values": [1e-4, 1e-3], "seeds": [100]}
    write_study(tmp_path, methods=methods, tuning=tuning)
    assert "teacher_rows" in error_of(capsys, "study.yaml")
    assert not list(tmp_path.rglob("cell.json"))


def test_a_damaged_result_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path)
    results = tmp_path / "studies" / "tiny" / "results"
    results.mkdir(parents=True)
    (results / "results.parquet").write_bytes(b"no table")
    assert "results.parquet holds no results of a study" in error_of(capsys, "study.yaml", "--tables")
    assert (results / "results.parquet").read_bytes() == b"no table"
