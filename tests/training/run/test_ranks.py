"""The processes of a run prove that they are one group; an environment variable opens no lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oger.recipes import load_recipe
from oger.runs.lock import run_lock
from oger.training.run.ranks import check_group
from oger.training.run.train import train_recipe
from tests.support.command import save_policy
from tests.support.planted import write_jsonl
from tests.support.tiny import toy_rows

ROOT = Path(__file__).parents[3]
LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch"]


def train(
    folder: Path, *more: str, launcher: list[str] | None = None, program: list[str] | None = None, **variables: str
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
    if program is not None:
        command = [*program, *command[1:]]
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


@pytest.mark.soak
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


def test_a_launcher_that_started_one_process_where_two_were_asked_for_is_refused(tmp_path: Path) -> None:
    done = train(tmp_path, "use_cpu=true", program=[*ACCELERATE, "--cpu", "--num_processes", "2"])
    assert done.returncode != 0
    assert "accelerate launch was asked for several processes and started one" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("variable", ["SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_processes_that_a_cluster_started_beside_one_another_are_no_group(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    check_group()
    monkeypatch.setenv(variable, "4")
    with pytest.raises(ValueError, match=rf"started 4 processes \({variable}\)"):
        check_group()


def test_a_recipe_made_for_eight_processes_is_refused_in_one(tmp_path: Path) -> None:
    check_group(1)
    with pytest.raises(ValueError, match=r"made for processes=8, and this run has 1"):
        train_recipe(load_recipe("smoke", ["processes=8", f"output_dir={tmp_path / 'run'}"]))
    assert not (tmp_path / "run").exists()


def test_two_processes_say_so_and_measure_the_run_together(tmp_path: Path) -> None:
    """Three problems, so that one process fills its share up; every problem counts once."""
    write_jsonl(tmp_path / "test.jsonl", toy_rows(3))
    launch = [*ACCELERATE, "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    options = ["use_cpu=true", "ddp_backend=gloo", "processes=2", "test={id: test.jsonl}", "eval_samples=4"]
    options += ["first={max_steps: 1, test: {}}", "first_above=0.999"]
    done = train(tmp_path, *options, program=launch)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("of the prompts have no correct rollout") == 1
    assert "world size 2 on 1 machine, MULTI_CPU over gloo, devices cpu" in done.stdout
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    for when in ("before", "after"):
        measured = summary[when]["id"]
        assert (measured["problems"], measured["samples"]) == (3, 4)
    stored = json.loads((tmp_path / "run" / "before.json").read_text())["id"]
    assert len(stored["texts"]) == 3
    assert len(summary["change"]["id"]["pass@1"]) == 3
