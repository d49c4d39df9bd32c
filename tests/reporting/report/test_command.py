"""`oger report` as a person calls it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from oger.cli.main import main
from oger.cli.report import report
from oger.reporting.report.build import GROUPS
from tests.support.report_page import read_data
from tests.support.run_folders import make_run


def oger(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


def test_the_command_makes_a_page_and_says_what_was_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", steps=3, groups=2)
    (run / "environment.json").unlink()
    out = tmp_path / "page.html"
    assert oger("report", run, "-o", out, "--groups", 4) == 0
    said = capsys.readouterr()
    assert "1 run" in said.out
    assert "note: run: environment.json is missing" in said.err
    assert len(read_data(out.read_text(encoding="utf-8"))["runs"][0]["groups"]) == 4


def test_the_command_and_the_function_show_as_many_groups() -> None:
    assert inspect.signature(report).parameters["groups"].default == GROUPS


@pytest.mark.parametrize(("target", "expected"), [("nowhere", "is not a folder"), (".", "is not a run folder")])
def test_no_run_folder_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str, expected: str
) -> None:
    assert oger("report", tmp_path / target, "-o", tmp_path / "page.html") == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert line.startswith("error: ")
    assert expected in line
    assert not (tmp_path / "page.html").exists()


def test_an_existing_file_is_kept_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", steps=1)
    out = tmp_path / "page.html"
    out.write_text("mine")
    assert oger("report", run, "-o", out) == 2
    assert oger("report", run, "-o", out, "--force") == 2
    assert out.read_text() == "mine"
    assert "was not made by oger report" in capsys.readouterr().err


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_a_folder_is_no_place_for_the_page_and_one_says_what_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    assert oger("report", make_run(tmp_path / "run", steps=1), "-o", tmp_path, *more) == 2
    said = capsys.readouterr().err
    assert said == f"error: {tmp_path} is a folder: name a file in it, such as {tmp_path / 'report.html'}\n"
