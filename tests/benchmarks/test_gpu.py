"""The GPU benchmark: what is done stays done, what failed is said, and every item runs without a GPU."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.gpu import ITEMS, LINES, read_lines, table


def run(out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu", "--out", str(out), "--device", "cpu", "--tiny", *more]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])


def test_a_line_that_a_kill_cut_off_is_none(tmp_path: Path) -> None:
    lines = [{"item": "versions", "error": "x"}, {"item": "versions", "result": {"torch": "2"}}]
    (tmp_path / LINES).write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"item": "equal')
    assert read_lines(tmp_path / LINES) == {"versions": lines[1]}
    assert read_lines(tmp_path / "none") == {}


def test_the_table_has_a_row_for_each_number_and_for_each_failure() -> None:
    lines: dict[str, dict[str, Any]] = {
        "equality": {"error": "ended after 3 s"},
        "versions": {"result": {"torch": "2", "peak": {"a": 0.123456, "b": 2}}},
    }
    assert table(lines).splitlines()[2:] == [
        "| versions | torch | 2 |",
        "| versions | peak | a 0.1235, b 2 |",
        "| equality | failed | ended after 3 s |",
    ]


def test_what_ran_is_not_run_again_and_what_failed_is(tmp_path: Path) -> None:
    lines = [{"item": "fsdp2", "result": {"kept": 1}}, {"item": "versions", "error": "x"}]
    (tmp_path / LINES).write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = run(tmp_path, "--only", "fsdp2", "--only", "versions")
    assert done.returncode == 0, done.stderr
    found = read_lines(tmp_path / LINES)
    assert found["fsdp2"] == lines[0]
    assert "torch" in found["versions"]["result"]


@pytest.mark.soak
@pytest.mark.parametrize("item", sorted(set(ITEMS) - {"versions", "word-problems"}))
def test_every_item_runs_on_a_cpu(tmp_path: Path, item: str) -> None:
    done = run(tmp_path, "--only", item, "--minutes", "20")
    assert done.returncode == 0, done.stderr
    assert read_lines(tmp_path / LINES)[item]["result"]
