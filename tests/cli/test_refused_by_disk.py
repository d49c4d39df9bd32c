"""Full disks, forbidden places and targets that cannot be: one line, exit 2, nothing half written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oger.cli.main import main
from oger.io.disk import disk_fault
from oger.io.whole import check_place
from tests.support.command import save_policy
from tests.support.run_folders import make_run


def beside(path: Path) -> Path:
    """What `path` is written to first, by this process."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def assert_full(outcome: Any, folder: Path, before: set[str]) -> None:
    assert outcome.code == 2
    [error] = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert "No space left on device: make room there" in error
    assert {path.name for path in folder.iterdir()} == before


def test_a_report_on_a_full_disk_leaves_the_one_before(oger: Any, tmp_path: Path) -> None:
    run, page = make_run(tmp_path / "run"), tmp_path / "pages" / "report.html"
    assert oger("report", run, "--out", page).code == 0
    before = page.read_text()
    beside(page).symlink_to("/dev/full")
    assert_full(oger("report", run, "--out", page, "--force"), page.parent, {"report.html"})
    assert page.read_text() == before


def test_an_evaluation_on_a_full_disk_leaves_no_half_file(oger: Any, tmp_path: Path) -> None:
    save_policy(tmp_path / "policy", 0)
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out" / "own.json"
    rows.write_text('{"prompt": "1+1=?", "answer": "2", "kind": "exact"}\n')
    out.parent.mkdir()
    beside(out).symlink_to("/dev/full")
    more = ("--data", rows, "--samples", 2, "--max-tokens", 4, "--out", out)
    assert_full(oger("evaluate", tmp_path / "policy", *more), out.parent, set())


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "world:arithmetic", "--limit", "1"),
        ("inspect", "world:arithmetic/test", "--limit", "2"),
    ],
    ids=["evaluate", "inspect"],
)
@pytest.mark.parametrize("place", ["a file/out.json", "/proc/none/out.json", "/proc/out.json"])
def test_a_place_that_cannot_be_is_refused_before_the_work(
    oger: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], place: str
) -> None:
    (tmp_path / "a file").write_text("mine")
    monkeypatch.setattr("oger.io.rows.load_rows", pytest.fail)
    outcome = oger(*command, "--out", tmp_path / place)
    assert outcome.code == 2, outcome.out
    [error] = outcome.err.splitlines()
    assert error.startswith("error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


@pytest.mark.parametrize("command", ["report", "curate", "collect", "export", "merge", "compare"])
def test_a_refused_place_is_named_as_it_was_asked_for(oger: Any, tmp_path: Path, command: str) -> None:
    run = make_run(tmp_path / "run")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "1+1=?", "answer": "2"}\n')
    arguments: dict[str, tuple[object, ...]] = {
        "report": ("report", run), "curate": ("teachers", "curate", rows), "collect": ("teachers", "collect", rows),
        "export": ("teachers", "export", rows), "merge": ("merge", run), "compare": ("compare", "studies/numbers.yaml"),
    }  # fmt: skip
    outcome = oger(*arguments[command], "--out", "/proc/t")
    assert outcome.code == 2
    [error] = outcome.err.splitlines()
    assert "/proc/t cannot be made: No such file or directory" in error
    assert not [word for word in (".tmp", ".work", "Errno") if word in error]


def test_what_a_file_system_refuses_names_the_place_that_was_asked_for() -> None:
    with pytest.raises(OSError, match=r"'/proc/out\.json'"):
        check_place(Path("/proc/out.json"))


def test_a_place_is_asked_and_left_as_it_is(tmp_path: Path) -> None:
    check_place(tmp_path / "a" / "b" / "c", makes_folders=True)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        check_place(tmp_path / "a" / "c")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    for path in (tmp_path / "dangling" / "x", tmp_path / "dangling" / "x" / "y"):
        with pytest.raises(FileNotFoundError):
            check_place(path, makes_folders=True)
    assert [path.name for path in tmp_path.iterdir()] == ["dangling"]


@pytest.mark.parametrize(
    "number",
    [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EMFILE],
)
@pytest.mark.parametrize("kind", [OSError, RuntimeError])
def test_what_a_disk_refuses_in_any_command_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    said = os.strerror(number)
    error = OSError(number, said, "/a/b") if kind is OSError else RuntimeError(f"IO Error: {said}")
    monkeypatch.setattr("oger.cli.main.app", lambda *_, **__: (_ for _ in ()).throw(error))
    with pytest.raises(SystemExit) as ended:
        main(["version"])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {'/a/b' if kind is OSError else 'IO Error'}: {said}: ")


def test_a_defect_is_no_fault_of_a_disk() -> None:
    for error in (RuntimeError("x"), KeyError("No"), OSError(errno.EBADF, os.strerror(errno.EBADF)), ValueError()):
        assert disk_fault(error) is None


@pytest.mark.parametrize(("command", "stream"), [("version", 1), ("methods", 1), ("train", 2)])
def test_a_terminal_that_takes_nothing_gives_no_traceback(command: str, stream: int) -> None:
    with open("/dev/full", "w") as full:
        streams = {1: subprocess.PIPE, 2: subprocess.PIPE} | {stream: full}
        done = subprocess.run(
            [sys.executable, "-m", "oger.cli.main", command],
            stdout=streams[1],
            stderr=streams[2],
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert (done.stderr or "").count("\n") <= 1
