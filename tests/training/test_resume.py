"""A killed and resumed run is the uninterrupted run: metrics, rollouts and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from oger import OGERConfig, OGERTrainer
from oger.training.checkpoint import newest_complete
from tests.training.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset

STEPS = 6


def run(folder: Path, *, resume: Path | None = None, **options: Any) -> tuple[list[dict[str, Any]], list[Any], Any]:
    """Trains to the end; returns metrics without times, stored rows, and the trainer. 3 steps are one epoch."""
    trainer = OGERTrainer(
        model=tiny_policy(),
        reward_funcs=contains_answer,
        args=OGERConfig(
            **quiet_options(folder, max_steps=STEPS, save_strategy="steps", save_steps=1, **options),
        ),
        train_dataset=toy_dataset(12),
        processing_class=tiny_tokenizer(),
    )
    stored: list[Any] = []
    trainer.rollout_sinks.append(lambda step, rows: stored.extend(rows))
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    metrics = [
        {name: value for name, value in row.items() if "time" not in name and "per_second" not in name}
        for row in trainer.state.log_history
        if "loss" in row
    ]
    return metrics, stored, trainer


@pytest.mark.parametrize(
    "options",
    [{}, {"steps_per_generation": 4}, {"num_iterations": 2, "preset": "paper_text"}],
    ids=["aligned", "two steps per rollout batch", "rollout batch reused"],
)
def test_resumed_run_equals_the_uninterrupted_one_from_every_step(tmp_path: Path, options: dict[str, Any]) -> None:
    metrics, stored, trainer = run(tmp_path, **options)
    assert [row["step"] for row in metrics] == list(range(1, STEPS + 1))
    for step in range(1, STEPS):
        resumed_metrics, resumed_stored, resumed = run(tmp_path, resume=tmp_path / f"checkpoint-{step}", **options)
        assert resumed_metrics == metrics, f"resumed after step {step}"
        assert resumed_stored == [row for row in stored if row["step"] > step], f"resumed after step {step}"
        for mine, whole in zip(resumed.model.parameters(), trainer.model.parameters(), strict=True):
            assert torch.equal(mine, whole), f"resumed after step {step}"


def test_two_runs_of_one_seed_are_the_same_run_and_another_seed_is_another(tmp_path: Path) -> None:
    first, second, other = run(tmp_path / "a"), run(tmp_path / "b"), run(tmp_path / "c", seed=7)
    assert first[0] == second[0]
    assert first[1] == second[1]
    assert first[1] != other[1]


def test_newest_complete_checkpoint_passes_over_a_damaged_one(tmp_path: Path) -> None:
    for step, content in ((2, "{}"), (10, '{"global'), (9, "{}")):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(content)
    (tmp_path / "checkpoint-11").mkdir()
    found = newest_complete(tmp_path)
    assert found is not None
    assert found.name == "checkpoint-9"
    assert newest_complete(tmp_path / "nothing") is None


def test_resuming_without_the_loop_state_is_one_clear_error(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "checkpoint-3" / "oger_loop_state_0.pt").unlink()
    with pytest.raises(FileNotFoundError, match="as many processes"):
        run(tmp_path, resume=tmp_path / "checkpoint-3")
