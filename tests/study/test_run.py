"""A real study from end to end: killed in the middle, resumed, with a cell that fails, and its tables."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from oger.runs.metrics_log import read_metrics
from oger.study.cell_folder import SIGNALS
from tests.support.tiny_study import command, run, write_data, write_study

pytestmark = pytest.mark.soak  # a dozen starts of Python with torch

METHODS = {"grpo": {}, "oger": {}, "broken": {"method": "oger", "set": {"train": "missing.jsonl"}}}


def cell_processes(folder: Path) -> list[psutil.Process]:
    """Every live process that belongs to a cell of the study in `folder`."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        words = process.info["cmdline"] or []
        if "oger.study.worker" in words and process.info["cwd"] == str(folder):
            found.append(process)
    return found


def results(folder: Path) -> list[dict]:
    return pq.read_table(folder / "studies" / "tiny" / "results" / "results.parquet").to_pylist()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A study that was killed while its first run trained, and then run to its end."""
    folder = tmp_path_factory.mktemp("study")
    write_data(folder)
    write_study(folder, methods=METHODS, budget={"steps": 4})
    process = subprocess.Popen(
        command("--workers", "1"), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    cells = folder / "studies" / "tiny" / "cells"
    metrics = cells / "easy" / "grpo" / "seed-0" / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 500
    while not read_metrics(metrics):
        assert process.poll() is None, "the study ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while orphans := cell_processes(folder):
        assert time.monotonic() < deadline, f"left behind: {orphans}"
        time.sleep(0.1)
    seen = {
        "stored": [row["cell"] for row in results(folder)],
        "base": (cells / "easy" / "base" / "result.json").stat().st_mtime_ns,
        "steps": [row["step"] for row in read_metrics(metrics)],
        "done": run(folder, "--workers", "1", "--nice", "1"),
    }
    return folder, seen


def test_killed_study_keeps_what_is_finished_and_resumes_the_rest(study: tuple[Path, dict]) -> None:
    folder, seen = study
    assert seen["stored"] == ["easy/base"]
    cells = folder / "studies" / "tiny" / "cells" / "easy"
    assert (cells / "base" / "result.json").stat().st_mtime_ns == seen["base"]  # never run again
    log = (cells / "grpo" / "seed-0" / "log.txt").read_text()
    assert "resuming after step" in log
    assert [row["step"] for row in read_metrics(cells / "grpo" / "seed-0" / "run" / "metrics.jsonl")] == [1, 2, 3, 4]
    assert 1 <= len(seen["steps"]) < 4
    assert sorted({row["cell"] for row in results(folder)}) == ["easy/base", "easy/grpo/seed-0", "easy/oger/seed-0"]


def test_failing_cell_is_reported_and_the_others_go_on(study: tuple[Path, dict]) -> None:
    done = study[1]["done"]
    assert done.returncode == 1
    assert "failed: easy/broken/seed-0" in done.stderr
    assert "missing.jsonl does not exist" in done.stderr
    assert "easy/oger/seed-0: id" in done.stdout


def test_a_row_holds_the_numbers_their_cost_and_what_they_were_made_with(study: tuple[Path, dict]) -> None:
    rows = {(row["cell"], row["policy"]): row for row in results(study[0])}
    row = rows["easy/oger/seed-0", "last"]
    assert (row["problems"], row["samples"], row["steps"], row["kind"]) == (8, 4, 4, "main")
    assert set(json.loads(row["pass_at"])) == {"1", "2", "4"}
    assert row["accuracy"] == json.loads(row["pass_at"])["1"]
    assert row["generated_tokens"] > 4 * 8
    assert 0 < row["train_seconds"] < row["wall_seconds"] * 1.01 + 1
    assert 0 < row["teacher_divergence"] < 1
    assert {"torch", "trl", "oger", "python"} <= set(json.loads(row["versions"]))
    assert row["command"] == "oger compare study.yaml --workers 1 --nice 1"
    assert ("easy/oger/seed-0", "best") in rows
    assert (rows["easy/base", "last"]["steps"], rows["easy/base", "last"]["generated_tokens"]) == (0, 0)


def test_outcomes_and_curves_belong_to_the_rows(study: tuple[Path, dict]) -> None:
    folder = study[0] / "studies" / "tiny" / "results"
    outcomes = pq.read_table(folder / "outcomes.parquet").to_pylist()
    for row in results(study[0]):
        mine = [o for o in outcomes if all(o[key] == row[key] for key in ("cell", "evaluation", "policy", "split"))]
        assert [o["problem"] for o in mine] == list(range(8))
        assert all(o["correct"] == o["outcomes"].count("1") and len(o["outcomes"]) == 4 for o in mine)
        assert sum(o["correct"] for o in mine) / 32 == pytest.approx(row["accuracy"])
    curves = pq.read_table(folder / "curves.parquet").to_pylist()
    curve = [row for row in curves if row["cell"] == "easy/grpo/seed-0"]
    assert [row["step"] for row in curve] == [1, 2, 3, 4]
    assert all(row["validation"] is not None and row["entropy"] > 0 for row in curve)
    [total] = {row["generated_tokens"] for row in results(study[0]) if row["cell"] == "easy/grpo/seed-0"}
    assert curve[-1]["generated_tokens"] == total
    assert all(0 < row["divergence"] < 1 for row in curve)  # measured without teacher rows, too
    assert all(row[signal] is None for row in curve for signal in ("exploration", "replaced_correct", "teacher_prob"))
    hybrid = [row for row in curves if row["cell"] == "easy/oger/seed-0"]
    means = {signal: [row[signal] for row in hybrid if row[signal] is not None] for signal in SIGNALS}
    assert all(0 < value <= 1 for signal in ("confidence", "teacher_prob") for value in means[signal])
    assert all(means[signal] for signal in ("confidence", "teacher_prob", "plain", "solve_none", "replaced_correct"))


def test_heavy_folders_of_finished_cells_are_gone(study: tuple[Path, dict]) -> None:
    run_folder = study[0] / "studies" / "tiny" / "cells" / "easy" / "oger" / "seed-0" / "run"
    assert not (run_folder / "checkpoints").exists()
    assert (run_folder / "metrics.jsonl").is_file()
    assert (run_folder / "best" / "model.safetensors").is_file()


def test_tables_come_from_the_stored_results_alone_byte_for_byte(study: tuple[Path, dict], tmp_path: Path) -> None:
    made = study[0] / "studies" / "tiny" / "results"
    names = ["leaderboard.md", "leaderboard.csv", "curves-easy.svg", "forest-easy.svg"]
    kept = {name: (made / name).read_bytes() for name in names}
    again = tmp_path / "studies" / "tiny" / "results"
    again.mkdir(parents=True)
    for path in made.glob("*.parquet"):
        shutil.copy(path, again)
    shutil.copy(study[0] / "study.yaml", tmp_path)
    done = run(tmp_path, "--tables")
    assert done.returncode == 0, done.stderr
    assert {name: (again / name).read_bytes() for name in names} == kept
    text = kept["leaderboard.md"].decode()
    assert "`oger compare study.yaml --workers 1; oger compare study.yaml --workers 1 --nice 1`" in text
    assert "seeds: 0;" in text
    rows = list(csv.DictReader(kept["leaderboard.csv"].decode().splitlines()))
    assert {row["method"] for row in rows} == {"base", "grpo", "oger"}
    assert "\u25b2" not in text.split("\n## easy\n")[1]  # with one seed nothing is marked


def test_changed_study_is_refused_before_anything_runs(study: tuple[Path, dict], tmp_path: Path) -> None:
    shutil.copytree(study[0] / "studies" / "tiny" / "results", tmp_path / "studies" / "tiny" / "results")
    write_study(tmp_path, methods=METHODS, budget={"steps": 5})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    done = run(tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "max_steps: 4 -> 5" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_tuned_study_by_tokens_over_two_sessions(tmp_path: Path) -> None:
    write_data(tmp_path)
    methods = {"grpo": {}, "oger": {}, "sft_then_rl": {"set": {"first": {"method": "sft", "max_steps": 2}}}}
    write_study(
        tmp_path,
        methods=methods,
        seeds=[0, 1],
        budget={"generated_tokens": 400},
        grid=[{"methods": ["grpo", "oger"]}, {"methods": ["sft_then_rl"], "seeds": [0]}],
        tuning={"key": "learning_rate", "values": [1e-5, 1e-3], "seeds": [100], "methods": ["oger"], "samples": 2},
        evaluation={"samples": 2, "wide": {"samples": 8, "limit": 4, "methods": ["grpo", "oger"]}},
    )
    first = run(tmp_path, "--limit-hours", "0.0001", timeout=1500)
    assert first.returncode == 0, first.stderr
    assert "left for another session" in first.stdout
    done = run(tmp_path, timeout=1500)
    assert done.returncode == 0, done.stderr
    rows = results(tmp_path)
    assert {row["kind"] for row in rows} == {"main", "tuning", "base"}
    for row in rows:
        if row["kind"] == "main":
            assert 400 <= row["generated_tokens"] < 400 + 8 * 64
            assert row["tuned"].startswith("learning_rate=") == (row["method"] == "oger")
    [hybrid] = [row for row in rows if row["method"] == "sft_then_rl" and row["policy"] == "last"]
    assert hybrid["steps"] > 2
    text = (tmp_path / "studies" / "tiny" / "results" / "leaderboard.md").read_text()
    assert "chosen on the validation split" in text
    assert "k = 8" in text


def test_interrupted_study_ends_its_cells(tmp_path: Path) -> None:
    write_data(tmp_path)
    write_study(tmp_path)
    process = subprocess.Popen(command("--workers", "2"), cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while len(cell_processes(tmp_path)) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("interrupted\n")
    assert cell_processes(tmp_path) == []
