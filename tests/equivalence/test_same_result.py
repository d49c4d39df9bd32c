"""One recipe, one result: however its rows are dealt out, padded, killed and resumed.

Every run goes through the command line on the embedded world, in float64, and is compared with committed numbers;
`python -m tests.equivalence.record` writes those. Differences are printed (-s).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from tests.equivalence import record
from tests.equivalence.references import residuals
from tests.equivalence.runs import (
    COMMAND,
    EXACT,
    ONE_FORWARD,
    ONE_PROCESS,
    REFERENCES,
    SCENARIOS,
    STEPS,
    Layout,
    make_inputs,
    metrics_without_times,
    num_processes,
    options,
    replayed,
    train,
)

TOLERANCE = 1e-6
SINGLE_PRECISION = 1e-4
"""Tolerance of the command as it is, parts of which compute in float32; see tests/equivalence/exact.py."""

ACCUMULATED = {
    "8 x 1": ONE_FORWARD,
    "2 x 4": Layout(micro_batch=2, accumulation=4),
    "1 x 8": Layout(micro_batch=1, accumulation=8),
}
TWO_PROCESSES = {
    "DDP": Layout(micro_batch=4, accumulation=1, processes=2),
    "DDP, accumulated": Layout(micro_batch=1, accumulation=4, processes=2),
    "FSDP2": Layout(micro_batch=4, accumulation=1, processes=2, fsdp=True),
}
PADDED = {
    "one forward, padded": ["length_chunks=1"],
    "one forward, padded to a multiple of 64": ["length_chunks=1", "pad_to_multiple_of=64"],
    "two chunks": ["length_chunks=2"],
}
TWO_STEPS_PER_BATCH = ["method=oger_paper_text", "steps_per_generation=2"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


def check_same(
    inputs: Path,
    run: Path,
    scenario: str,
    layout: Layout,
    *more: str,
    program: str | None = EXACT,
    tolerance: float = TOLERANCE,
) -> None:
    trace = replayed(inputs, run, scenario, layout, *more, program=program)
    assert num_processes(run) == layout.processes, "the launcher started another number of processes"
    found = residuals(trace, scenario)
    print(f"\n{scenario}, {layout} {' '.join(more)}: {found}")
    assert max(found.gradient_max, found.weights, found.loss, found.grad_norm) < tolerance, f"{found}"
    assert not found.metrics, f"{found}"


# --- quick ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_accumulation_does_not_matter(inputs: Path, tmp_path: Path, scenario: str) -> None:
    check_same(inputs, tmp_path / "run", scenario, ACCUMULATED["2 x 4"], program=None)


def test_padding_does_not_matter(inputs: Path, tmp_path: Path) -> None:
    more = PADDED["one forward, padded to a multiple of 64"]
    check_same(inputs, tmp_path / "run", "uneven", ONE_FORWARD, *more, program=None)


@pytest.mark.soak
def test_two_processes_agree_where_one_has_short_rollouts_and_no_teachers(inputs: Path, tmp_path: Path) -> None:
    check_same(inputs, tmp_path / "run", "uneven", TWO_PROCESSES["DDP"])


def test_two_runs_of_one_seed_are_the_same_bytes(inputs: Path, tmp_path: Path) -> None:
    runs = []
    for name, seed in (("first", 0), ("second", 0), ("other", 1)):
        runs.append(tmp_path / name)
        more = [*TWO_STEPS_PER_BATCH, f"seed={seed}", "rollouts=record", "rollouts_every=1"]
        train(options(inputs, runs[-1], "oger", ONE_FORWARD, *more), ONE_FORWARD, program=None)
    first, second, other = runs
    assert metrics_without_times(first) == metrics_without_times(second)
    assert metrics_without_times(first) != metrics_without_times(other)
    check_same_files(first, second)


def test_the_reference_is_not_met_by_another_run(inputs: Path, tmp_path: Path) -> None:
    """The comparison sees a change of one part in a thousand of one option."""
    trace = replayed(inputs, tmp_path / "run", "oger", ONE_FORWARD, "shaping_gamma=0.1001", program=None)
    found = residuals(trace, "oger")
    assert 1e-5 < found.gradient_max < 1e-2
    assert found.metrics


def test_recording_refuses_a_tree_with_changes(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert record.changes(tmp_path) == ""
    before = REFERENCES.read_bytes()
    (tmp_path / "new.py").write_text("")
    with pytest.raises(SystemExit, match=r"new\.py"):
        record.main(root=tmp_path)
    assert REFERENCES.read_bytes() == before


# --- long -------------------------------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("layout", ACCUMULATED.values(), ids=ACCUMULATED)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_accumulation_matters(inputs: Path, tmp_path: Path, scenario: str, layout: Layout) -> None:
    check_same(inputs, tmp_path / "run", scenario, layout, program=None)


@pytest.mark.soak
@pytest.mark.parametrize("layout", TWO_PROCESSES.values(), ids=TWO_PROCESSES)
@pytest.mark.parametrize("scenario", sorted(SCENARIOS.keys() - ONE_PROCESS))
def test_the_number_of_processes_does_not_matter(inputs: Path, tmp_path: Path, scenario: str, layout: Layout) -> None:
    check_same(inputs, tmp_path / "run", scenario, layout)


@pytest.mark.soak
@pytest.mark.parametrize("more", PADDED.values(), ids=PADDED)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_padding_matters(inputs: Path, tmp_path: Path, scenario: str, more: list[str]) -> None:
    check_same(inputs, tmp_path / "run", scenario, ONE_FORWARD, *more, program=None)


@pytest.mark.soak
@pytest.mark.parametrize("more", PADDED.values(), ids=PADDED)
def test_padding_does_not_matter_where_processes_have_different_lengths(
    inputs: Path, tmp_path: Path, more: list[str]
) -> None:
    check_same(inputs, tmp_path / "run", "uneven", TWO_PROCESSES["DDP"], *more)


@pytest.mark.soak
@pytest.mark.parametrize("layout", [ACCUMULATED["1 x 8"], TWO_PROCESSES["DDP"]], ids=["1 x 8", "DDP"])
@pytest.mark.parametrize("scenario", ["oger", "grpo"])
def test_the_command_as_it_is_agrees_to_single_precision(
    inputs: Path, tmp_path: Path, scenario: str, layout: Layout
) -> None:
    check_same(inputs, tmp_path / "run", scenario, layout, program=COMMAND, tolerance=SINGLE_PRECISION)


@pytest.mark.soak
@pytest.mark.parametrize("layout", [ONE_FORWARD, TWO_PROCESSES["DDP"]], ids=["one process", "DDP"])
@pytest.mark.parametrize("more", [[], TWO_STEPS_PER_BATCH], ids=["one step per batch", "two steps per batch"])
def test_a_run_resumed_at_any_step_is_the_whole_run(
    inputs: Path, tmp_path: Path, layout: Layout, more: list[str]
) -> None:
    """Sampled rollouts, not replayed ones: random states are part of the promise."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    asked = options(inputs, run, "oger", layout, "rollouts=record", "rollouts_every=1", *more)
    train(asked, layout)
    assert num_processes(run) == layout.processes, "the launcher started another number of processes"
    run.rename(whole)
    for step in range(1, STEPS):
        shutil.copytree(whole, run)
        (run / "summary.json").unlink()
        shutil.rmtree(run / "model")
        for later in range(step + 1, STEPS + 1):
            shutil.rmtree(run / "checkpoints" / f"checkpoint-{later}")
        train(asked, layout, "--resume")
        assert metrics_without_times(run) == metrics_without_times(whole), f"resumed after step {step}"
        check_same_files(run, whole)
        shutil.rmtree(run)


def check_same_files(run: Path, other: Path) -> None:
    """Last policy, stored rollouts and recorded batches, bit by bit."""
    mine, theirs = (load_file(folder / "model" / "model.safetensors") for folder in (run, other))
    assert all(mine[name].equal(theirs[name]) for name in theirs)
    for kind in ("rollouts", "batches"):
        files = sorted(path.name for path in (other / kind).iterdir())
        assert files
        assert [path.name for path in sorted((run / kind).iterdir())] == files
        for name in files:
            assert pq.read_table(run / kind / name).equals(pq.read_table(other / kind / name)), name


@pytest.mark.soak
def test_two_processes_of_one_seed_leave_the_same_bytes(inputs: Path, tmp_path: Path) -> None:
    layout = TWO_PROCESSES["DDP"]
    runs = tmp_path / "first", tmp_path / "second"
    for run in runs:
        train(options(inputs, run, "oger", layout, "rollouts=record", "rollouts_every=1"), layout)
        assert num_processes(run) == layout.processes, "the launcher started another number of processes"
    assert metrics_without_times(runs[0]) == metrics_without_times(runs[1])
    check_same_files(*runs)
