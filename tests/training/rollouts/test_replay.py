"""A recorded run is trained again without generating: the same rollouts, exactly; anything else is one clear error."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset

from oger import OGERConfig, OGERTrainer
from oger.training.batch import ScoredBatch
from tests.support.tiny import CHAT_TEMPLATE, contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_rows

BATCHES = 3


def make(folder: Path, *, chat: bool = False, rollout_func: Any = None, **options: Any) -> Any:
    rows, tokenizer, reward = toy_rows(), tiny_tokenizer(), contains_answer
    if chat:
        rows = [{**row, "prompt": [{"role": "user", "content": row["prompt"]}]} for row in rows]
        tokenizer.chat_template = CHAT_TEMPLATE

        def reward(completions: list[Any], answer: list[str], **_: Any) -> list[float]:
            return contains_answer([completion[0]["content"] for completion in completions], answer)

    return OGERTrainer(
        model=tiny_policy(),
        reward_funcs=reward,
        args=OGERConfig(**quiet_options(folder, **{"max_steps": BATCHES, **options})),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        rollout_func=rollout_func,
    )


def run(folder: Path, *, resume: str | None = None, **options: Any) -> tuple[Any, list[ScoredBatch]]:
    trainer = make(folder, **options)
    batches: list[ScoredBatch] = []
    trainer.batch_sinks.append(lambda step, batch: batches.append(batch))
    trainer.train(resume_from_checkpoint=resume)
    return trainer, batches


def masked_and_scored(prompts: list[str], trainer: Any) -> dict[str, Any]:
    """A rollout function that inserts a token of its own and reports log-probabilities, one of them unknown."""
    ids = [[5 + index % 3, 7, 1] for index in range(len(prompts))]
    return {
        "prompt_ids": trainer.processing_class(prompts)["input_ids"],
        "completion_ids": ids,
        "logprobs": [[-0.1 / 3, None, -2.5] for _ in ids],
        "env_mask": [[1, 0, 1] for _ in ids],
    }


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    run(folder, rollouts="record")
    return folder


def losses(trainer: Any) -> list[float]:
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


@pytest.mark.parametrize("options", [{}, {"chat": True}, {"steps_per_generation": 4}, {"lean_generation": True}])
def test_a_replayed_run_trains_on_the_recorded_rollouts(tmp_path: Path, options: dict[str, Any]) -> None:
    first, batches = run(tmp_path / "first", rollouts="record", **options)
    again, batches_again = run(tmp_path / "again", rollouts=f"replay:{tmp_path / 'first'}", **options)
    assert len(batches) == (2 if "steps_per_generation" in options else BATCHES)
    for batch, replayed in zip(batches, batches_again, strict=True):
        for name in ("prompts", "prompt_ids", "completion_ids", "completions", "texts", "sampling_logps"):
            assert getattr(replayed.rollouts, name) == getattr(batch.rollouts, name), name
        assert [row.text for row in replayed.teacher_rows] == [row.text for row in batch.teacher_rows]
    if "steps_per_generation" not in options:  # there TRL draws which rows feed which of the two steps
        assert losses(again) == pytest.approx(losses(first), rel=1e-4, abs=1e-7)


def test_guided_rollouts_are_recorded_and_replayed(tmp_path: Path) -> None:
    options = {"guided_prompts": "where_all_failed", "guided_cut": "tokens", "max_steps": 6}
    first, batches = run(tmp_path / "first", rollouts="record", **options)
    again, batches_again = run(tmp_path / "again", rollouts=f"replay:{tmp_path / 'first'}", **options)
    assert any(batch.rollouts.given_N.any() for batch in batches)
    for batch, replayed in zip(batches, batches_again, strict=True):
        assert replayed.rollouts.given_N.tolist() == batch.rollouts.given_N.tolist()
        assert replayed.rollouts.completion_ids == batch.rollouts.completion_ids
        assert replayed.rollouts.texts == batch.rollouts.texts
    assert losses(again) == pytest.approx(losses(first), rel=1e-4, abs=1e-7)


def test_guided_rollouts_and_a_rollout_function_are_refused_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leave rollout_func or them out"):
        run(tmp_path, rollout_func=masked_and_scored, guided_prompts="always")


def test_what_a_rollout_function_masks_and_reports_is_kept(tmp_path: Path) -> None:
    options = {"off_policy_mask_threshold": 1.0}
    first, batches = run(tmp_path / "first", rollouts="record", rollout_func=masked_and_scored, **options)
    again, batches_again = run(tmp_path / "again", rollouts=f"replay:{tmp_path / 'first'}", **options)
    assert batches_again[0].rollouts.token_masks == batches[0].rollouts.token_masks == [[1, 0, 1]] * 16
    assert batches_again[0].rollouts.sampling_logps == batches[0].rollouts.sampling_logps
    assert batches[0].rollouts.sampling_logps[0][:2] == [-0.1 / 3, None]
    assert losses(again) == pytest.approx(losses(first), rel=1e-4, abs=1e-7)


def test_one_file_of_all_batches_is_the_same_as_their_folder(recorded: Path, tmp_path: Path) -> None:
    pq.write_table(pq.read_table(recorded / "batches"), tmp_path / "all.parquet")
    folder, _ = run(tmp_path / "a", rollouts=f"replay:{recorded}")
    file, _ = run(tmp_path / "b", rollouts=f"replay:{tmp_path / 'all.parquet'}")
    for mine, other in zip(file.model.parameters(), folder.model.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_trls_own_objective_records_and_replays(tmp_path: Path) -> None:
    options = {"preset": "none", "teacher_rows": 0, "exploration_weight": 0.0, "importance_sampling_level": "sequence"}
    assert not OGERConfig(**quiet_options(tmp_path, **options)).needs_own_objective
    first, _ = run(tmp_path / "first", rollouts="record", **options)
    again, _ = run(tmp_path / "again", rollouts=f"replay:{tmp_path / 'first'}", **options)
    assert losses(again) == pytest.approx(losses(first), rel=1e-4, abs=1e-7)


def test_a_resumed_recording_is_the_whole_recording(tmp_path: Path) -> None:
    options = {"rollouts": "record", "save_strategy": "steps", "save_steps": 1}
    run(tmp_path, **options)
    files = sorted((tmp_path / "batches").iterdir())
    assert [file.name for file in files] == [f"batch-{number:06d}.parquet" for number in (1, 2, 3)]
    tables = [pq.read_table(file) for file in files]
    for file in files[1:]:
        file.unlink()
    run(tmp_path, resume=str(tmp_path / "checkpoint-1"), **options)
    assert [pq.read_table(file) for file in sorted((tmp_path / "batches").iterdir())] == tables


def test_evaluation_generates_although_the_training_replays(recorded: Path, tmp_path: Path) -> None:
    trainer, _ = run(tmp_path, rollouts=f"replay:{recorded}")
    assert trainer.rollout_func is None
    metrics = trainer.evaluate(trainer.train_dataset.select(range(4)))
    assert 0 <= metrics["eval_outcome"] <= 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": 1}, ["row 0 of batch 1", "seed"]),
        ({"num_generations": 8}, ["num_generations 4", "this run has 8"]),
        ({"max_steps": 4}, ["batch 4", "lower max_steps"]),
        ({"gradient_accumulation_steps": 3}, ["16 rollouts", "asks for 24"]),
        ({"num_iterations": 2, "max_steps": 7}, ["batch 4", "lower max_steps"]),
        ({"rollout_func": masked_and_scored}, ["rollout_func"]),
        ({"chat": True}, ["row 0 of batch 1"]),
    ],
)
def test_a_record_of_another_run_is_refused(
    recorded: Path, tmp_path: Path, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the words are checked below
        make(tmp_path, rollouts=f"replay:{recorded}", **options)
    assert "\n" not in str(raised.value)
    for word in words:
        assert word in str(raised.value)


def test_a_run_of_epochs_says_when_the_record_ends(recorded: Path, tmp_path: Path) -> None:
    trainer = make(tmp_path, rollouts=f"replay:{recorded}", max_steps=-1, num_train_epochs=4)
    with pytest.raises(ValueError, match="does not hold batch 4"):
        trainer.train()


def test_another_tokenizer_is_refused(recorded: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(recorded / "batches", tmp_path / "copy" / "batches")
    for file in copy.iterdir():
        table = pq.read_table(file)
        pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"tokenizer": b"0"}), file)
    with pytest.raises(ValueError, match="recorded with tokenizer 0"):
        make(tmp_path / "run", rollouts=f"replay:{copy.parent}")


def flip_a_byte(file: Path) -> None:
    """One that Parquet alone would read as other rollouts, without complaint."""
    whole, table = file.read_bytes(), pq.read_table(file)
    for index in range(4, len(whole)):
        file.write_bytes(whole[:index] + bytes([whole[index] ^ 0xFF]) + whole[index + 1 :])
        with contextlib.suppress(OSError, pa.ArrowInvalid):
            if not pq.read_table(file).equals(table):
                return
    raise AssertionError("no such byte")


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def lose_a_row(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(table.take([*range(1, len(table)), 1]), file)


@pytest.mark.parametrize("damage", [flip_a_byte, cut_off, lose_a_row])
def test_a_damaged_file_is_named(recorded: Path, tmp_path: Path, damage: Any) -> None:
    copy = shutil.copytree(recorded / "batches", tmp_path / "copy" / "batches")
    damage(copy / "batch-000001.parquet")
    with pytest.raises(ValueError, match=r"batch-000001\.parquet.*record it again"):
        make(tmp_path / "run", rollouts=f"replay:{copy.parent}")


@pytest.mark.parametrize(
    ("value", "words"),
    [("replay", "unknown"), ("recrd", "did you mean 'record'"), ("replay:", "PATH"), (None, "PATH"), (3, "PATH")],
)
def test_an_unknown_source_of_rollouts_is_refused(tmp_path: Path, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OGERConfig(**quiet_options(tmp_path, rollouts=value))


def test_nothing_recorded_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="rollouts=record"):
        make(tmp_path, rollouts=f"replay:{tmp_path / 'nowhere'}")


def test_a_run_without_rollouts_has_none_to_record(tmp_path: Path) -> None:
    options = {"policy_weight": 0, "imitation_weight": 1.0, "teacher_rows": 0, "exploration_weight": 0.0}
    with pytest.raises(ValueError, match="set rollouts=generate"):
        OGERConfig(**quiet_options(tmp_path, rollouts="record", entropy_coef=0.0, **options))


def test_fields_for_rewards_cannot_be_recorded(tmp_path: Path) -> None:
    def with_field(prompts: list[str], trainer: Any) -> dict[str, Any]:
        return {**masked_and_scored(prompts, trainer), "turns": [1] * len(prompts)}

    with pytest.raises(ValueError, match=r"\(turns\)"):
        run(tmp_path, rollouts="record", rollout_func=with_field)
