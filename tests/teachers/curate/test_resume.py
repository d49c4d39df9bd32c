"""A killed curation continues behind its last finished shard and makes the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from oger.teachers.curate import run as curate_module
from oger.teachers.curate.run import curate
from tests.support.planted import good_text, options, plain_row, planted, prompt_of, read_table, write_jsonl

FILES = ("table.parquet", "rejects.jsonl", "card.json", "card.md")
_START_S = 120.0

SCRIPT = """
import sys
from pathlib import Path
from oger.teachers.curate.run import curate
from tests.support.planted import options
if __name__ == "__main__":
    curate(options(f"mine=plain:{sys.argv[1]}", workers=2), sys.argv[2])
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows, _, _ = planted(3, num_prompts=900)
    return write_jsonl(tmp_path_factory.mktemp("data") / "data.jsonl", rows)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out"
    curate(options(f"mine=plain:{data}"), out)
    return {file: (out / file).read_bytes() for file in FILES}


def test_after_kill_9_the_finished_shards_are_not_redone_and_the_bytes_are_the_same(
    tmp_path: Path, data: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(("src", "."))}
    process = subprocess.Popen([sys.executable, script, data, tmp_path / "out"], env=environment)
    shards = tmp_path / "out.work" / "shards"
    children: list[psutil.Process] = []
    for _ in range(int(_START_S / 0.01)):
        if len(_finished(shards)) >= 3 or process.poll() is not None:
            break
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert children
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive, "workers outlived the curation that started them"
    done = _finished(shards)
    assert len(done) >= 3
    assert not (tmp_path / "out").exists()

    checked: list[int] = []
    check = curate_module._check_chunk
    monkeypatch.setattr(curate_module, "_check_chunk", lambda task: (checked.append(task[0]), check(task))[1])
    curate(options(f"mine=plain:{data}"), tmp_path / "out", resume=True)
    assert checked
    assert not done & set(checked)
    assert {file: (tmp_path / "out" / file).read_bytes() for file in FILES} == whole
    assert not (tmp_path / "out.work").exists()


def test_a_worker_that_is_killed_is_one_line_and_the_rest_is_kept(
    tmp_path: Path, data: Path, whole: dict[str, bytes]
) -> None:
    command = [sys.executable, "-m", "oger.cli.main", "teachers", "curate", "--source", f"mine=plain:{data}"]
    command += ["--tokenizer", "characters", "--workers", "2", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    shards = tmp_path / "out.work" / "shards"
    for _ in range(int(_START_S / 0.01)):
        if _finished(shards) or process.poll() is not None:
            break
        time.sleep(0.01)
    worker = next(
        child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())
    )
    worker.kill()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "error: a worker process was killed" in errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert _finished(shards)


def test_a_curation_stopped_while_grouping_continues_too(
    tmp_path: Path, data: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(curate_module, "validate_table", stop)
        with pytest.raises(KeyboardInterrupt):
            curate(options(f"mine=plain:{data}"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    curate(options(f"mine=plain:{data}"), tmp_path / "out", resume=True)
    assert {file: (tmp_path / "out" / file).read_bytes() for file in FILES} == whole


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small curation that stopped before its end; its source is tmp_path/data.jsonl."""
    rows = [plain_row(prompt_of(1), "3", text) for text in (good_text(1, "a"), r"wrong: \boxed{4}")]
    write_jsonl(tmp_path / "data.jsonl", rows)
    with monkeypatch.context() as patch:
        patch.setattr(curate_module, "validate_table", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            curate(options(f"mine=plain:{tmp_path / 'data.jsonl'}"), tmp_path / "out")
    return tmp_path


def test_an_unfinished_curation_is_not_overwritten(stopped: Path) -> None:
    with pytest.raises(FileExistsError, match="unfinished curation: continue it with --resume"):
        curate(options(f"mine=plain:{stopped / 'data.jsonl'}"), stopped / "out")


def test_other_options_are_refused_and_named(stopped: Path) -> None:
    with pytest.raises(ValueError, match="started with max_tokens 8192, not 4096"):
        curate(options(f"mine=plain:{stopped / 'data.jsonl'}", max_tokens=4096), stopped / "out", resume=True)
    curate(options(f"mine=plain:{stopped / 'data.jsonl'}", workers=2), stopped / "out", resume=True)


def test_changed_sources_are_refused(stopped: Path) -> None:
    write_jsonl(stopped / "data.jsonl", [plain_row(prompt_of(2), "5", good_text(2, "a"))] * 2)
    with pytest.raises(ValueError, match="they have changed"):
        curate(options(f"mine=plain:{stopped / 'data.jsonl'}"), stopped / "out", resume=True)


def _finished(shards: Path) -> set[int]:
    return {int(path.name) for path in shards.glob("*") if path.name.isdecimal()} if shards.exists() else set()


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("left", ["nothing", "a lock", "half a start"])
def test_what_is_left_of_a_folder_of_work_is_in_no_ones_way(stopped: Path, left: str, resume: bool) -> None:
    """As a kill leaves it before it has begun, or while it is removed."""
    work = stopped / "out.work"
    shutil.rmtree(work)
    work.mkdir()
    if left == "a lock":
        (work / "lock").write_text("process 1 on elsewhere")
    if left == "half a start":
        (work / ".started.json.12.tmp").write_text("{")
    curate(options(f"mine=plain:{stopped / 'data.jsonl'}"), stopped / "out", resume=resume)
    assert (stopped / "out" / "table.parquet").is_file()
    assert not work.exists()


def test_shards_that_nobody_can_say_the_options_of_are_not_taken(stopped: Path) -> None:
    (stopped / "out.work" / "started.json").unlink()
    curate(options(f"mine=plain:{stopped / 'data.jsonl'}", max_tokens=1), stopped / "out", resume=True)
    assert [row["teachers"] for row in read_table(stopped / "out")] == [[]]  # too long now


_DAMAGE: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "null": lambda path: path.write_text("null"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize(
    "file", ["counts.json", "oger_files.json", "passed.parquet", "prompts.parquet", "rejects.jsonl"]
)
@pytest.mark.parametrize("damage", _DAMAGE)
def test_rows_of_a_damaged_shard_are_checked_again(
    stopped: Path, file: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _DAMAGE[damage](stopped / "out.work" / "shards" / "00000000" / file)
    curate(options(f"mine=plain:{stopped / 'data.jsonl'}", workers=1), stopped / "out", resume=True)
    said = capsys.readouterr().err
    assert "shard 00000000 is damaged" in said
    assert file in said
    assert [len(row["teachers"]) for row in read_table(stopped / "out")] == [1]
    assert not (stopped / "out.work").exists()


def test_what_lies_in_the_place_of_a_shard_is_not_taken_for_one(stopped: Path) -> None:
    shards = stopped / "out.work" / "shards"
    shutil.rmtree(shards / "00000000")
    (shards / "00000000").write_text("a file")
    (shards / "notes").mkdir()
    curate(options(f"mine=plain:{stopped / 'data.jsonl'}", workers=1), stopped / "out", resume=True)
    assert [len(row["teachers"]) for row in read_table(stopped / "out")] == [1]


def test_a_folder_of_someone_else_is_not_worked_in(stopped: Path) -> None:
    work, source = stopped / "out.work", f"mine=plain:{stopped / 'data.jsonl'}"
    shutil.rmtree(work)
    work.mkdir()
    (work / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(FileExistsError, match=r"notes\.txt"):
            curate(options(source), stopped / "out", resume=resume)
    assert [path.name for path in work.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("content", ["null", "[]", "{", "[" * 100_000, ""])
def test_a_damaged_record_of_the_start_is_named(stopped: Path, content: str) -> None:
    (stopped / "out.work" / "started.json").write_text(content)
    with pytest.raises(ValueError, match=r"started\.json is damaged"):
        curate(options(f"mine=plain:{stopped / 'data.jsonl'}"), stopped / "out", resume=True)
