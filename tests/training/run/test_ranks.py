"""The processes of a run prove that they are one group; an environment variable opens no lock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oger.runs.lock import run_lock
from tests.support.command import save_policy
from tests.support.planted import write_jsonl
from tests.support.tiny import toy_rows

ROOT = Path(__file__).parents[3]
LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def train(
    folder: Path, *more: str, launcher: list[str] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    save_policy(folder / "policy", 0)
    write_jsonl(folder / "rows.jsonl", toy_rows())
    command = [
        sys.executable,
        *(launcher or []),
        "-m",
        "oger.cli.main",
        "train",
        "smoke",
        "model=policy",
        "validation=null",
    ]
    command += ["train=rows.jsonl", "test={}", "eval_strategy=no", "output_dir=run", "max_completion_length=12", *more]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(
    "variables", [{"RANK": "1"}, pytest.param({"RANK": "1", "WORLD_SIZE": "1"}, marks=pytest.mark.soak)]
)
def test_a_rank_in_the_environment_opens_no_lock(tmp_path: Path, variables: dict[str, str]) -> None:
    with run_lock(tmp_path / "run", print):
        done = train(tmp_path, "use_cpu=true", **variables)
        assert {path.name for path in (tmp_path / "run").iterdir()} == {"lock"}
    assert done.returncode == 2
    assert f"process {os.getpid()} on" in done.stderr
    assert "trains in run" in done.stderr


@pytest.mark.soak
def test_a_local_rank_without_a_launcher_writes_nothing(tmp_path: Path) -> None:
    done = train(tmp_path, "use_cpu=true", RANK="1", LOCAL_RANK="1")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.soak
def test_a_world_size_without_a_group_ends_with_one_line(tmp_path: Path) -> None:
    done = train(tmp_path, WORLD_SIZE="2")
    assert done.returncode == 2
    assert "the launcher announced WORLD_SIZE=2 processes, and this run has 1" in done.stderr
    assert not (tmp_path / "run").exists()


def test_two_processes_without_a_cpu_flag_are_no_two_runs_in_one_folder(tmp_path: Path) -> None:
    done = train(tmp_path, launcher=LAUNCHER)
    assert done.returncode != 0
    assert "the launcher announced WORLD_SIZE=2 processes, and this run has 1" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.soak
def test_the_second_process_ends_with_the_error_that_the_first_one_met(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("kept")
    done = train(tmp_path, "use_cpu=true", "ddp_backend=gloo", launcher=LAUNCHER)
    assert done.returncode != 0
    assert done.stderr.count("error: run is not empty") == 2
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]
