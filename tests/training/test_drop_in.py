"""What users of GRPOTrainer bring along keeps working: adapters, chats, asynchronous rewards, streams, other losses."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl import TrlParser

from oger import OGERConfig, OGERTrainer
from tests.support.tiny import (
    CHAT_TEMPLATE,
    contains_answer,
    quiet_options,
    tiny_policy,
    tiny_tokenizer,
    toy_dataset,
    toy_rows,
)


def train(tmp_path: Path, dataset: Any = None, reward: Any = None, tokenizer: Any = None, **options: Any) -> Any:
    trainer_options = options.pop("trainer_options", {})
    trainer = OGERTrainer(
        model=tiny_policy(),
        reward_funcs=reward or contains_answer,
        args=OGERConfig(**quiet_options(tmp_path, **{"max_steps": 2, **options})),
        train_dataset=toy_dataset() if dataset is None else dataset,
        processing_class=tokenizer or tiny_tokenizer(),
        **trainer_options,
    )
    stored: list[dict[str, Any]] = []
    trainer.rollout_sinks.append(lambda step, rows: stored.extend(rows))
    trainer.train()
    logged = [row for row in trainer.state.log_history if "loss" in row]
    assert all(math.isfinite(row["loss"]) for row in logged)
    return trainer, stored, logged


def test_an_adapter_is_trained_and_its_reference_is_the_base_policy(tmp_path: Path) -> None:
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    options = {"peft_config": lora}
    trainer, stored, logged = train(tmp_path, beta=0.1, trainer_options=options, learning_rate=1e-2)
    trainable = [name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad]
    assert trainable
    assert all("lora_" in name for name in trainable)
    assert logged[0]["objective/kl"] == pytest.approx(0, abs=1e-6)  # the fresh adapter is the base policy
    assert logged[1]["objective/kl"] > 0
    assert any(row["origin"] == "teacher" for row in stored)


def test_chats_take_a_teachers_text_as_the_assistants_turn(tmp_path: Path) -> None:
    rows = [{**row, "prompt": [{"role": "user", "content": row["prompt"]}]} for row in toy_rows()]
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE

    def reward(completions: list[Any], answer: list[str], **_: Any) -> list[float]:
        assert all(message["role"] == "assistant" for completion in completions for message in completion)
        return contains_answer([completion[0]["content"] for completion in completions], answer)

    for row in rows:
        for teacher in row["teachers"]:
            teacher["verdict"] = None
    _, stored, _ = train(tmp_path, Dataset.from_list(rows), reward, tokenizer)
    teachers = [row for row in stored if row["origin"] == "teacher"]
    assert teachers
    assert all(row["outcome"] == 1.0 for row in teachers)
    assert {row["text"] for row in teachers} <= {teacher["text"] for row in rows for teacher in row["teachers"]}


def test_an_asynchronous_outcome_judges_rollouts_and_teachers(tmp_path: Path) -> None:
    steps: list[int] = []

    async def outcome(completions: list[str], answer: list[str], trainer_state: Any, **_: Any) -> list[float]:
        steps.append(trainer_state.global_step)
        return contains_answer(completions, answer)

    rows = toy_rows()
    for row in rows:
        row["teachers"] = [teacher["text"] for teacher in row["teachers"]]
    _, stored, _ = train(tmp_path, Dataset.from_list(rows), outcome)
    assert set(steps) == {0, 1}, "a judged teacher sees the state of the training, as every rollout does"
    assert {row["outcome"] for row in stored if row["origin"] == "teacher"} == {1.0}


def test_a_judged_trajectory_is_judged_with_its_own_rows_columns(tmp_path: Path) -> None:
    rows = [{"prompt": "1+1=?", "answer": answer, "teachers": ["ad"]} for answer in "ab" for _ in range(4)]
    _, stored, _ = train(tmp_path, Dataset.from_list(rows))
    assert {row["outcome"] for row in stored if row["origin"] == "teacher"} == {0.0, 1.0}


def test_groups_of_one_prompt_draw_their_teachers_apart(tmp_path: Path) -> None:
    [row] = toy_rows(num_prompts=1, num_teachers=2)
    _, stored, _ = train(tmp_path, Dataset.from_list([row] * 16), max_steps=3)
    drawn = [[r["teacher"] for r in stored if r["origin"] == "teacher" and r["step"] == step] for step in (1, 2, 3)]
    assert any(len(set(teachers)) == 2 for teachers in drawn)


def test_completion_log_and_validation_go_together(tmp_path: Path) -> None:
    trainer_options = {"eval_dataset": toy_dataset(4)}
    options = {"eval_strategy": "steps", "eval_steps": 1, "per_device_eval_batch_size": 4, "log_completions": True}
    train(tmp_path, trainer_options=trainer_options, **options)
    assert len(list((tmp_path / "completions").glob("*.parquet"))) == 2


def test_arguments_may_be_positional_as_in_grpo_trainer(tmp_path: Path) -> None:
    args = OGERConfig(**quiet_options(tmp_path))
    callback = TrainerCallback()
    trainer = OGERTrainer(tiny_policy(), contains_answer, args, toy_dataset(), None, tiny_tokenizer(), None, [callback])
    assert callback in trainer.callback_handler.callbacks


def test_the_configuration_can_be_parsed_from_a_command_line(tmp_path: Path) -> None:
    parser = TrlParser((OGERConfig,))
    words = ["--output_dir", str(tmp_path), "--clip", "0.2", "--exploration_weight", "0.5", "--bf16", "false"]
    [args] = parser.parse_args_and_config(words)
    assert args.clip_range == (0.2, 0.2)
    assert args.exploration_weight == 0.5


def test_times_count_the_optimiser_and_start_anew_after_a_resume(tmp_path: Path) -> None:
    class Slow(TrainerCallback):
        def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
            time.sleep(0.3)

    options = {"max_steps": 3, "save_strategy": "steps", "save_steps": 1, "trainer_options": {"callbacks": [Slow()]}}
    _, _, logged = train(tmp_path, **options)
    for row in logged:
        assert row["time/update"] >= 0.3
        parts = sum(row[f"time/{stage}"] for stage in ("generate", "score", "logprob", "update"))
        assert row["time/step"] == pytest.approx(parts, rel=1e-6)
    trainer = OGERTrainer(
        model=tiny_policy(),
        reward_funcs=contains_answer,
        args=OGERConfig(**quiet_options(tmp_path, max_steps=3, save_strategy="steps", save_steps=1)),
        train_dataset=toy_dataset(),
        processing_class=tiny_tokenizer(),
        callbacks=[Slow()],
    )
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    [resumed] = [row for row in trainer.state.log_history if row.get("step") == 3 and "loss" in row]
    assert resumed["time/step"] >= 0.3


def test_what_reward_functions_log_reaches_the_metrics_and_teachers_add_nothing_to_it(tmp_path: Path) -> None:
    def outcome(completions: list[str], answer: list[str], log_metric: Any, log_extra: Any, **_: Any) -> list[float]:
        log_metric("rows_seen", float(len(completions)))
        log_extra("length", [len(text) for text in completions])
        return contains_answer(completions, answer)

    rows = toy_rows()
    for row in rows:
        row["teachers"] = [teacher["text"] for teacher in row["teachers"]]
    _, _, logged = train(tmp_path, Dataset.from_list(rows), outcome, log_completions=True)
    assert [row["rows_seen"] for row in logged] == [16.0, 16.0]
    assert list((tmp_path / "completions").glob("*.parquet"))


def test_a_stream_trains_plain_groups(tmp_path: Path) -> None:
    stream = toy_dataset().to_iterable_dataset()
    options = {"teacher_rows": 0, "exploration_weight": 0.0}
    trainer, stored, _ = train(tmp_path, stream, **options)
    assert {row["origin"] for row in stored} == {"online"}
    assert trainer.teacher_counts.seen == 0


def test_unused_columns_may_be_removed_without_losing_the_teachers(tmp_path: Path) -> None:
    rows = toy_rows()

    def fixed(completions: list[str], **_: Any) -> list[float]:
        return [float("a" in text) for text in completions]

    _, stored, _ = train(tmp_path, Dataset.from_list(rows), fixed, remove_unused_columns=True)
    assert any(row["origin"] == "teacher" for row in stored)


@pytest.mark.parametrize("loss_type", ["bnpo", "cispo", "sapo"])
def test_other_losses_of_trl_train_plain_groups_through_trls_own_code(tmp_path: Path, loss_type: str) -> None:
    options = {"preset": "none", "teacher_rows": 0, "exploration_weight": 0.0, "loss_type": loss_type}
    if loss_type == "cispo":
        options["epsilon_high"] = 5.0
    trainer, stored, logged = train(tmp_path, toy_dataset(), **options)
    assert trainer._stock
    assert stored == []
    assert "reward" in logged[0]


def test_plain_groups_still_log_their_divergence_from_the_teachers(
    tmp_path: Path,
) -> None:
    _, stored, logged = train(tmp_path, toy_dataset(), teacher_rows=0, exploration_weight=0.0)
    assert {row["origin"] for row in stored} == {"online"}
    assert 0 < logged[0]["divergence/mean"] <= 1
    assert "reward/exploration" not in logged[0]
