"""Numbers that are not finite: the step is skipped, counted and stored; undecided outcomes are none of them."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from oger import OGERTrainer
from oger.faults import RunFaultError
from oger.runs.faulty_steps import SCHEMA
from oger.training.loop.nonfinite import check_trained
from tests.support.metric_names import is_listed
from tests.support.trainers import BROKEN_STEPS as STEPS
from tests.support.trainers import Plant, replace_reward
from tests.support.trainers import make_breaking_trainer as make_trainer

ROOT = Path(__file__).parents[3]
BROKEN_STEP = 2


def rows_of(trainer: OGERTrainer) -> dict[int, dict[str, Any]]:
    return {row["step"]: row for row in trainer.state.log_history if "loss" in row}


def in_a_reward(value: float) -> Plant:
    return lambda trainer, is_due: replace_reward(trainer, is_due, value)


class BrokenEncoder:
    def __init__(self, encoder: Any, is_due: Callable[[], bool], value: float) -> None:
        self._encoder, self._is_due, self._value = encoder, is_due, value
        self.identity = encoder.identity

    def encode(self, texts: Any) -> torch.Tensor:
        vectors = self._encoder.encode(texts).clone()
        if self._is_due():
            vectors[0, 0] = self._value
        return vectors


def in_an_embedding(trainer: OGERTrainer, is_due: Callable[[], bool]) -> None:
    trainer.encoder = BrokenEncoder(trainer.encoder, is_due, math.nan)  # type: ignore[assignment]


def in_a_gradient(trainer: OGERTrainer, is_due: Callable[[], bool]) -> None:
    weight = next(trainer.model.parameters())
    weight.register_hook(lambda gradient: gradient * math.inf if is_due() else gradient)


def in_a_forward_pass(trainer: OGERTrainer, is_due: Callable[[], bool]) -> None:
    def planted(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        # While tokens are drawn, transformers itself refuses them; here the scoring and the update meet them.
        if is_due() and trainer.stage_in_progress != "generate":
            output = output.clone()
            output[0] = math.nan
        return output

    trainer.model.model.norm.register_forward_hook(planted)


@pytest.mark.parametrize(
    ("plant", "fault", "options"),
    [
        (in_a_reward(math.nan), "reward", {}),
        (in_a_reward(-math.inf), "reward", {}),
        (in_an_embedding, "embedding", {}),
        (in_a_forward_pass, "probability", {"lean_generation": False}),  # which has a forward before the update
        (in_a_forward_pass, None, {"lean_generation": True}),
        (in_a_gradient, None, {}),
    ],
    ids=["NaN reward", "infinite reward", "embedding", "probability", "probability in the update", "gradient"],
)
def test_the_step_is_skipped_counted_and_stored(
    tmp_path: Path, plant: Plant, fault: str | None, options: dict[str, Any]
) -> None:
    trainer, weights = make_trainer(tmp_path, plant, lambda step: step == BROKEN_STEP, **options)
    trainer.train()
    assert [step for step in range(1, STEPS + 1) if not weights.moved(step)] == [BROKEN_STEP]
    assert all(parameter.isfinite().all() for parameter in trainer.model.parameters())
    rows = rows_of(trainer)
    assert [rows[step].get("skipped_steps") for step in range(1, STEPS + 1)] == [None, 1, 1, 1]
    assert [name for name in {name for row in rows.values() for name in row} if not is_listed(name)] == []
    [path] = (tmp_path / "faults").iterdir()
    assert path.name == f"step-{BROKEN_STEP:06d}.parquet"
    table = pq.read_table(path)
    assert table.schema.equals(SCHEMA)
    stored = table.to_pylist()
    assert len(stored) == 16, "both micro-batches of the step"
    assert {row["origin"] for row in stored} == {"online", "teacher"}
    assert {row["fault"] for row in stored} == ({None, fault} if fault else {None})
    assert all(row["prompt"] and row["num_tokens"] > 0 for row in stored)
    assert any(not math.isfinite(row["loss"]) for row in stored) == (plant is not in_a_gradient)


@pytest.mark.parametrize("undecided", ["drop", "zero"])
def test_an_undecided_outcome_is_no_fault(tmp_path: Path, undecided: str) -> None:
    def plant(trainer: OGERTrainer, is_due: Callable[[], bool]) -> None:
        replace_reward(trainer, is_due, None)

    trainer, weights = make_trainer(tmp_path, plant, lambda step: True, undecided=undecided)
    trainer.train()
    assert all(weights.moved(step) for step in range(1, STEPS + 1))
    assert all("skipped_steps" not in row for row in rows_of(trainer).values())
    assert rows_of(trainer)[1]["outcome/undecided_share"] > 0
    assert not (tmp_path / "faults").exists()


def test_a_broken_reward_is_a_fault_in_trls_own_objective_too(tmp_path: Path) -> None:
    options = {"teacher_rows": 0, "exploration_weight": 0.0, "importance_sampling_level": "sequence", "clip": 0.2}
    trainer, weights = make_trainer(tmp_path, in_a_reward(math.nan), lambda step: step == BROKEN_STEP, **options)
    assert trainer._stock
    trainer.train()
    assert not weights.moved(BROKEN_STEP)
    assert trainer.step_guard.skipped == 1


def test_three_in_a_row_end_the_run_with_the_reason(tmp_path: Path) -> None:
    trainer, weights = make_trainer(tmp_path, in_an_embedding, lambda step: step >= BROKEN_STEP, max_steps=10)
    with pytest.raises(RunFaultError, match=r"step 4: of some rollouts the embedding is not finite.*number 3 in a row"):
        trainer.train()
    assert sorted(weights.after) == [0, 1, 2, 3]
    assert not weights.moved(2)
    assert len(list((tmp_path / "faults").iterdir())) == 3


def test_faults_that_come_and_go_do_not_end_the_run(tmp_path: Path) -> None:
    trainer, _ = make_trainer(tmp_path, in_a_gradient, lambda step: step % 3 != 0, max_steps=9)
    trainer.train()
    assert trainer.step_guard.skipped == 6


def test_both_counts_survive_a_resume(tmp_path: Path) -> None:
    options = {"save_strategy": "steps", "save_steps": 1, "max_steps": 6}
    trainer, _ = make_trainer(tmp_path, in_a_gradient, lambda step: step in (1, 3, 4), **options)
    trainer.train()
    assert trainer.step_guard.skipped == 3
    again, _ = make_trainer(tmp_path / "again", in_a_gradient, lambda step: step == 5, **options)
    with pytest.raises(RunFaultError, match=r"step 5: the gradient is not finite.*number 3 in a row"):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoints" / "checkpoint-4"))
    assert again.step_guard.skipped == 4


@pytest.mark.soak
def test_a_fault_on_one_of_two_ranks_skips_the_step_on_both(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "tests.support.faulty_ranks", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first["world_size"] == 2, "the launcher started one process only"
    assert first["moved"] == second["moved"] == [True, False, True]
    assert first["skipped"] == second["skipped"] == 1
    assert first["weights"] == second["weights"], "every weight, bit by bit"
    [path] = (tmp_path / "faults").iterdir()
    stored = pq.read_table(path).to_pylist()
    assert {row["rank"] for row in stored} == {0, 1}
    assert {row["rank"] for row in stored if row["fault"]} == {1}


def test_a_training_whose_every_step_was_skipped_has_trained_nothing(tmp_path: Path) -> None:
    trainer, _ = make_trainer(tmp_path, in_a_reward(math.nan), lambda step: True, max_steps=2)
    trainer.train()
    assert trainer.state.global_step == 2
    with pytest.raises(RunFaultError, match="nothing was trained: in each of the 2 steps"):
        check_trained(trainer, trainer.step_guard)


def test_a_training_that_took_a_step_has_trained(tmp_path: Path) -> None:
    trainer, _ = make_trainer(tmp_path, in_a_reward(math.nan), lambda step: step == 1, max_steps=2)
    with pytest.raises(RunFaultError, match="before its first step"):
        check_trained(trainer, trainer.step_guard)
    trainer.train()
    check_trained(trainer, trainer.step_guard)
    with torch.no_grad():
        next(trainer.model.parameters())[0, 0] = math.inf
    with pytest.raises(RunFaultError, match="after step 2 its weights are not all finite"):
        check_trained(trainer, trainer.step_guard)
