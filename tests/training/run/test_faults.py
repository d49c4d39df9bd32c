"""Runs through the command line that are signalled, starved, damaged and killed: nothing of them is lost."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from oger.faults import RunFaultError
from oger.runs.lock import run_lock
from oger.runs.metrics_log import read_metrics
from oger.runs.rollouts import read_rollouts
from oger.training.loop.checkpoint import newest_whole
from oger.training.run.faults import one_line_faults
from tests.support import processes
from tests.support.processes import OPTIONS, STEPS, finish, run, start, wait_for_step
from tests.support.run_folders import comparable

DISK_BYTES = 100_000  # metrics and rollouts of the run fit into files of this size, weights do not


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    status, output = run(folder / "log", folder / "run")
    assert status == 0, output
    return folder / "run"


def assert_same_run(folder: Path, whole: Path) -> None:
    """Metrics but for times, prompts and rollouts in order, and weights, to the last bit."""
    assert comparable(folder) == comparable(whole)
    assert read_rollouts(folder).to_pylist() == read_rollouts(whole).to_pylist()
    mine, theirs = (load_file(path / "model" / "model.safetensors") for path in (folder, whole))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    files = {path.relative_to(folder).parts[0] for path in folder.rglob("*")}
    assert files == {path.relative_to(whole).parts[0] for path in whole.rglob("*")}, "something was left behind"


def assert_resumes(log: Path, folder: Path, whole: Path) -> str:
    status, output = run(log, folder, "--resume")
    assert status == 0, output
    assert_same_run(folder, whole)
    return output


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [1, pytest.param(25, marks=pytest.mark.soak)])
def test_a_run_killed_at_random_moments_ends_as_if_it_never_was(whole: Path, tmp_path: Path, kills: int) -> None:
    seed = int(os.environ.get("KILL_SEED", random.randrange(2**32)))
    print(f"KILL_SEED={seed}")
    draw, folder, done = random.Random(seed), tmp_path / "run", 0
    while done < kills:
        resume = ["--resume"] if (folder / "config.yaml").is_file() else []
        began = time.monotonic()
        process = start(tmp_path / "log", folder, *resume)
        rows = len(read_metrics(folder / "metrics.jsonl"))
        # At any moment of its start, or at any moment of the steps after: the machine's speed must not decide.
        at_once = draw.random() < 0.3
        while process.is_alive() and (time.monotonic() - began < 0.5 if at_once else True):
            if not at_once and len(read_metrics(folder / "metrics.jsonl")) != rows:
                break
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.5))
        process.kill()
        status = finish(process)
        if status == 0:  # it had come to its end before
            shutil.rmtree(folder)
        elif status == -signal.SIGKILL:
            done += 1
        else:
            pytest.fail((tmp_path / "log").read_text())
        if (folder / "summary.json").is_file():
            shutil.rmtree(folder)
    if not (folder / "config.yaml").is_file():  # the last kill came before it began
        assert run(tmp_path / "log", folder)[0] == 0
    else:
        assert_resumes(tmp_path / "log", folder, whole)


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    status, _ = run(tmp_path / "log", folder, fault="die while writing a checkpoint")
    assert status == -signal.SIGKILL
    assert {path.name for path in (folder / "checkpoints").glob("checkpoint-*")} == {"checkpoint-2"}
    assert "resuming after step 2" in assert_resumes(tmp_path / "log", folder, whole)


def test_a_damaged_checkpoint_is_named_and_the_run_goes_on_from_the_one_before(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path / "log", folder)
    wait_for_step(process, folder, 5)
    process.kill()
    finish(process)
    newest = newest_whole(folder / "checkpoints", print)
    assert newest is not None
    os.truncate(newest / "optimizer.pt", 1000)
    output = assert_resumes(tmp_path / "log", folder, whole)
    assert f"{newest} is damaged and passed over: optimizer.pt has 1000 of" in output
    assert f"resuming after step {int(newest.name.removeprefix('checkpoint-')) - 2}" in output


# --- stopped ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.soak), signal.SIGINT])
def test_a_signal_saves_the_last_finished_step(whole: Path, tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path / "log", folder)
    wait_for_step(process, folder, 1)
    assert process.pid is not None
    os.kill(process.pid, number)
    began = time.monotonic()
    status = finish(process)
    assert time.monotonic() - began < 10
    assert status == 128 + number
    step = read_metrics(folder / "metrics.jsonl")[-1]["step"]
    assert 1 <= step < STEPS
    last_line = (tmp_path / "log").read_text().splitlines()[-1]
    assert last_line.startswith(f"stopped by {number.name} after step {step}, which is saved")
    assert not (folder / "summary.json").exists()
    assert not (folder / "lock").exists()
    assert f"resuming after step {step}\n" in assert_resumes(tmp_path / "log", folder, whole)


def test_a_second_signal_ends_at_once_and_so_does_one_before_the_first_step(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path / "log", folder)
    assert process.pid is not None
    while not (folder / "config.yaml").is_file():
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGTERM)  # still building the trainer
    assert finish(process) == 128 + signal.SIGTERM
    assert "stopped at once by SIGTERM" in (tmp_path / "log").read_text()
    process = start(tmp_path / "log", folder, "--resume")
    wait_for_step(process, folder, 1)
    assert process.pid is not None
    for _ in range(2):
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.02)
    assert finish(process) == 128 + signal.SIGINT
    assert_resumes(tmp_path / "log", folder, whole)


# --- one at a time ----------------------------------------------------------------------------------------------------


def test_a_second_process_is_refused_while_the_first_one_lives(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = start(tmp_path / "log", folder)
    wait_for_step(first, folder, 1)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGSTOP)
    for extra, words in (["--resume"], f"error: process {first.pid} on"), ([], "not empty"):
        status, output = run(tmp_path / "second", folder, *extra)
        assert status == 2
        assert words in output
        assert len(output.splitlines()) == 1
    first.kill()
    finish(first)
    assert (folder / "lock").is_file(), "SIGKILL leaves the file, and the file means nothing"
    assert_resumes(tmp_path / "log", folder, whole)


HOLDER = """
import sys, time
from pathlib import Path
from oger.runs.lock import run_lock
with run_lock(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ValueError, match=rf"process {holder.pid} on .* trains in {folder}"), run_lock(folder, print):
        pass
    holder.kill()
    holder.wait()
    with (
        run_lock(folder, pytest.fail),
        pytest.raises(ValueError, match=f"process {os.getpid()} on"),
        run_lock(folder, print),
    ):
        pass
    assert not folder.exists(), "an empty folder is not left behind"


def test_the_stage_before_is_locked_too(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path / "log", folder, "first={method: sft, max_steps: 100}")
    wait_for_step(process, folder / "first", 1)
    for locked in (folder, folder / "first"):
        with pytest.raises(ValueError, match=f"process {process.pid} on"), run_lock(locked, print):
            pass
    process.kill()
    finish(process)


# --- starved ----------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_one_line_and_costs_no_checkpoint(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path / "log", folder)
    wait_for_step(process, folder, 3)  # checkpoint-2 is there
    assert process.pid is not None
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (DISK_BYTES, DISK_BYTES))
    assert finish(process) == 2
    error = (tmp_path / "log").read_text().splitlines()[-1]
    assert error.startswith("error: cannot write ")
    assert "make room" in error
    assert newest_whole(folder / "checkpoints", pytest.fail) is not None
    assert not list(folder.rglob(".writing")), "what it had written of the next one is given back"
    assert_resumes(tmp_path / "log", folder, whole)


@pytest.mark.soak
def test_a_device_without_space_is_one_line(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path / "log", folder)
    wait_for_step(process, folder, 1)
    beside = folder / "rollouts" / f".step-000005.parquet.{process.pid}.tmp"  # what the file is written to first
    beside.symlink_to("/dev/full")
    assert finish(process) == 2
    error = (tmp_path / "log").read_text().splitlines()[-1]
    assert error.startswith("error: cannot write into the run folder")
    assert "No space left on device" in error
    assert not beside.is_symlink()
    assert_resumes(tmp_path / "log", folder, whole)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    command = [sys.executable, "-m", "oger.cli.main", "train", "smoke", *OPTIONS, f"output_dir={tmp_path / 'run'}"]
    if os.geteuid() == 0:  # root may write anywhere, unless it gives that up
        command = ["setpriv", "--bounding-set", "-dac_override", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=processes.DEADLINE_S, check=False)
    tmp_path.chmod(0o755)
    assert done.returncode == 2
    [error] = done.stderr.splitlines()
    assert error.startswith(f"error: cannot write into {tmp_path / 'run'} (Permission denied)")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "stage", "advice"),
    [
        ("memory in the update", "update", "raise length_chunks (now 4) or set gradient_checkpointing=true"),
        pytest.param(
            *("memory in generation", "generate", "lower steps_per_generation (now 2)"), marks=pytest.mark.soak
        ),
    ],
)
def test_running_out_of_memory_says_what_to_lower_and_costs_no_checkpoint(
    whole: Path, tmp_path: Path, fault: str, stage: str, advice: str
) -> None:
    folder = tmp_path / "run"
    status, output = run(tmp_path / "log", folder, fault=fault)
    assert status == 2
    error = output.splitlines()[-1]
    assert error.startswith(f"error: out of memory in step 3 ({stage}): ")
    assert advice in error
    assert newest_whole(folder / "checkpoints", pytest.fail) == folder / "checkpoints" / "checkpoint-2"
    if stage == "update":  # the advice can be followed
        status, output = run(tmp_path / "log", folder, "--resume", "length_chunks=8")
        assert status == 0, output
        assert [row["step"] for row in read_metrics(folder / "metrics.jsonl")] == list(range(1, STEPS + 1))
    else:
        assert_resumes(tmp_path / "log", folder, whole)


@pytest.mark.parametrize(
    ("mode", "stage", "error", "said"),
    [
        (
            "server",
            "generate",
            ConnectionError("Max\nretries"),
            r"gpu:1 does not answer in step 3 \(Max retries\): start",
        ),
        ("server", "generate", Exception("Request failed: 400"), r"gpu:1 refused a request of step 3 \(Request failed"),
        ("server", "generate", KeyError("a defect"), None),
        ("server", "score", ConnectionError("a reward's"), None),
        ("server", "score", Exception("a reward's"), None),
        ("colocate", "generate", ConnectionError("nobody's"), None),
        ("server", "generate", OSError(errno.ENOSPC, "No space left on device"), "cannot write into the run folder"),
    ],
)
def test_a_server_that_is_gone_or_refuses_is_one_line_that_says_how_to_go_on(
    mode: str, stage: str, error: Exception, said: str | None
) -> None:
    args = SimpleNamespace(use_vllm=True, vllm_mode=mode, vllm_server_base_url="http://gpu:1")
    trainer: Any = SimpleNamespace(
        args=args, stage_in_progress=stage, model=SimpleNamespace(training=True), state=SimpleNamespace(global_step=2)
    )
    with pytest.raises(type(error) if said is None else RunFaultError, match=said), one_line_faults(trainer):
        raise error


def test_killed_verifier_workers_are_replaced_and_the_run_goes_on(tmp_path: Path) -> None:
    import psutil

    folder = tmp_path / "run"
    process = start(tmp_path / "log", folder)
    killed: set[int] = set()
    for step in (1, 3):
        wait_for_step(process, folder, step)
        for child in psutil.Process(process.pid).children(recursive=True):
            if child.status() != psutil.STATUS_ZOMBIE and "oger.verification.pool.worker" in child.cmdline():
                child.kill()
                killed.add(child.pid)
    assert finish(process) == 0, (tmp_path / "log").read_text()
    assert len(killed) >= 2, "workers of both moments"
    assert [row["step"] for row in read_metrics(folder / "metrics.jsonl")] == list(range(1, STEPS + 1))


# --- clocks and long runs ---------------------------------------------------------------------------------------------


@pytest.mark.soak
def test_a_clock_that_runs_backwards_gives_no_negative_time(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    validation = ["validation=world:arithmetic/validation", "eval_steps=3", "keep_last=1"]
    status, output = run(tmp_path / "log", folder, *validation, fault="clock runs backwards")
    assert status == 0, output
    rows = read_metrics(folder / "metrics.jsonl")
    assert [row["step"] for row in rows if "eval/outcome" in row] == [3, 6]
    clocks = {name for row in rows for name in row if "time" in name or "per_second" in name}
    assert {"time/step", "time/generate", "step_time"} <= clocks
    assert all(row[name] >= 0 for row in rows for name in clocks & row.keys())
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["wall_seconds"] > 0
    assert [path.name for path in (folder / "checkpoints").glob("checkpoint-*")] == ["checkpoint-6"]


def watch(folder: Path, steps: int) -> list[dict[str, Any]]:
    """Step, resident memory, open files and children of a long run, a sample whenever metrics.jsonl has grown."""
    import psutil

    process = start(folder / "log", folder / "run", f"max_steps={steps}", "save_steps=20", "rollouts_every=10")
    watched, samples = psutil.Process(process.pid), []
    while process.is_alive():
        rows = (folder / "run" / "metrics.jsonl").read_bytes().count(b"\n") if (folder / "run").is_dir() and (
            folder / "run" / "metrics.jsonl").is_file() else 0  # fmt: skip
        if rows and (not samples or samples[-1]["step"] != rows):
            try:
                samples.append(
                    {
                        "step": rows,
                        "memory": watched.memory_info().rss,
                        "files": watched.num_fds(),
                        "children": len(watched.children(recursive=True)),
                    }
                )
            except psutil.NoSuchProcess:
                break
        time.sleep(0.05)
    assert finish(process) == 0, (folder / "log").read_text()
    return samples


@pytest.mark.parametrize(("steps", "settled"), [(40, 10), pytest.param(2000, 200, marks=pytest.mark.timeout(7200))])
@pytest.mark.soak
def test_memory_files_and_processes_do_not_grow(tmp_path: Path, steps: int, settled: int) -> None:
    samples = watch(tmp_path, steps)
    after = [sample for sample in samples if sample["step"] >= settled]
    assert len(after) > steps // 4
    first = after[: len(after) // 10 + 1]
    print(json.dumps({"first": first[0], "last": after[-1]}))
    for name in ("files", "children"):  # a file that is being written is open for a moment: that is no growth
        assert min(sample[name] for sample in after[-10:]) <= max(sample[name] for sample in first), name
    assert max(sample["memory"] for sample in after) <= 1.10 * max(sample["memory"] for sample in first)
