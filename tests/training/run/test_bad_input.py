"""Bad data and contradictory arguments: one clear line, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from transformers import AutoConfig, AutoModelForSequenceClassification, GPT2Config
from trl import GRPOConfig

from oger import OGERConfig, OGERTrainer
from oger.verification import accuracy_reward
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset, toy_rows


def make(tmp_path: Path, dataset: Any, tokenizer: Any = None, trainer_options: Any = None, **options: Any) -> Any:
    return OGERTrainer(
        model=tiny_policy(),
        reward_funcs=contains_answer,
        args=OGERConfig(**quiet_options(tmp_path, **options)),
        train_dataset=dataset,
        processing_class=tokenizer or tiny_tokenizer(),
        **(trainer_options or {}),
    )


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (toy_dataset().rename_column("teachers", "teacher"), ["rename 'teacher' to 'teachers'"]),
        (toy_dataset().remove_columns("teachers"), ["'teachers'", "teacher_rows=0"]),
        (toy_dataset().rename_column("prompt", "promt"), ["prompt"]),
        (toy_dataset(num_teachers=0), ["no usable teacher", "teacher_rows=0"]),
        (toy_dataset().select([]), ["empty"]),
        (toy_dataset().to_iterable_dataset(), ["Dataset", "teacher_rows=0"]),
    ],
)
def test_unusable_training_set_is_named(tmp_path: Path, dataset: Any, words: list[str]) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the words are checked below
        make(tmp_path, dataset)
    assert "\n" not in str(raised.value)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ([3], "neither a text"),
        ([{"teacher": "t"}], "neither a text"),
        ([{"text": "a", "verdict": "maybe"}], "verdict"),
        ([{"text": "a", "verdct": "wrong"}], "did you mean 'verdict'"),
        ([{"text": "a", "teachr": "t"}], "did you mean 'teacher'"),
        ("one text, not in a list", "put it into a list"),
        ({"text": "a"}, "put it into a list"),
    ],
)
def test_unreadable_teacher_names_its_row(tmp_path: Path, cell: Any, words: str) -> None:
    rows = [{"prompt": f"{index}=?", "answer": "a", "teachers": cell if index == 1 else None} for index in range(8)]
    with pytest.raises(ValueError, match=f"row 1: .*{words}"):
        make(tmp_path, Dataset.from_list(rows))


def test_a_missing_verdict_is_missing_however_the_table_writes_it(tmp_path: Path) -> None:
    verdicts = [None, float("nan")]
    rows = [
        {"prompt": f"{i}=?", "answer": "a", "teachers": [{"text": "a", "verdict": verdicts[i % 2]}]} for i in range(8)
    ]
    assert make(tmp_path, Dataset.from_list(rows)).teacher_counts.kept_without_verdict == 8


def test_a_reward_model_as_outcome_needs_verdicts(tmp_path: Path) -> None:
    rows = [{**row, "teachers": [teacher["text"] for teacher in row["teachers"]]} for row in toy_rows()]
    tiny_policy().save_pretrained(tmp_path / "policy")
    config = AutoConfig.from_pretrained(tmp_path / "policy", num_labels=1)
    judge = AutoModelForSequenceClassification.from_config(config)
    judge.config._name_or_path = str(tmp_path / "policy")
    with pytest.raises(ValueError, match="16 teacher trajectories have no verdict"):
        OGERTrainer(
            model=tiny_policy(),
            reward_funcs=judge,
            args=OGERConfig(**quiet_options(tmp_path)),
            train_dataset=Dataset.from_list(rows),
            processing_class=tiny_tokenizer(),
            reward_processing_classes=tiny_tokenizer(),
        )


def test_an_unknown_option_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"exploration_weigth.*did you mean 'exploration_weight'"):
        OGERConfig(output_dir=str(tmp_path), exploration_weigth=1.0)


def test_all_teachers_over_long_is_an_error_that_says_so(tmp_path: Path) -> None:
    rows = toy_rows()
    for row in rows:
        row["teachers"] = ["d" * 50]
    with pytest.raises(ValueError, match=r"8 over-long.*max_completion_length"):
        make(tmp_path, Dataset.from_list(rows))


def test_groups_split_over_ranks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"split over ranks|divisible"):
        make(tmp_path, toy_dataset(), per_device_train_batch_size=6, gradient_accumulation_steps=1)


def test_groups_split_over_two_ranks_are_refused_though_the_whole_batch_would_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OGERConfig, "world_size", 2)  # 2 ranks x 6 rows = 3 whole groups, none whole on a rank
    with pytest.raises(ValueError, match="split over ranks"):
        make(tmp_path, toy_dataset(), per_device_train_batch_size=6, gradient_accumulation_steps=1)


def test_tokenizer_without_end_of_sequence_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="end-of-sequence"):
        make(tmp_path, toy_dataset(), tokenizer)


def test_tools_are_refused_by_name_with_teachers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tools"):
        make(tmp_path, toy_dataset(), trainer_options={"tools": [max]})


def test_a_plain_grpo_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="OGERConfig"):
        OGERTrainer(
            model=tiny_policy(),
            reward_funcs=contains_answer,
            args=GRPOConfig(**quiet_options(tmp_path)),
            train_dataset=toy_dataset(),
            processing_class=tiny_tokenizer(),
        )


@pytest.mark.parametrize("dataset", [toy_dataset(num_teachers=0), toy_dataset().remove_columns("teachers")])
def test_without_guidance_no_teachers_are_needed(tmp_path: Path, dataset: Dataset) -> None:
    trainer = make(tmp_path, dataset, exploration_weight=0.0, max_steps=1)
    assert trainer.args.teacher_rows == 0
    trainer.train()


def test_asking_for_teacher_rows_needs_teachers_even_with_weight_zero(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no usable teacher"):
        make(tmp_path, toy_dataset(num_teachers=0), exploration_weight=0.0, teacher_rows=1)


def with_answers(tmp_path: Path, answers: list[Any], model: Any) -> OGERTrainer:
    rows = [{"prompt": f"{index}=?", "answer": answers[index % len(answers)]} for index in range(8)]
    args = OGERConfig(**quiet_options(tmp_path, teacher_rows=0, exploration_weight=0.0, max_steps=1))
    return OGERTrainer(model, accuracy_reward, args, Dataset.from_list(rows), processing_class=tiny_tokenizer())


def test_gold_answers_that_are_numbers_are_read_as_text(tmp_path: Path) -> None:
    trainer = with_answers(tmp_path, [1.0, 2.5], tiny_policy())
    assert trainer.train_dataset["answer"][:2] == ["1", "2.5"]
    trainer.train()
    assert trainer.state.global_step == 1


def test_a_gold_answer_that_is_none_is_refused_before_the_policy_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the training set, row 1: the answer is missing"):
        with_answers(tmp_path, ["1", None], "no/such-model")


def test_fewer_prompts_than_a_batch_are_refused_before_the_policy_is_loaded(tmp_path: Path) -> None:
    args = OGERConfig(**quiet_options(tmp_path))
    with pytest.raises(ValueError, match="has 3 prompts, and one rollout batch takes 4 "):
        OGERTrainer("no/such-model", contains_answer, args, toy_dataset(3), processing_class=tiny_tokenizer())


def test_a_prompt_too_long_for_the_policy_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    GPT2Config(n_positions=16, n_embd=8, n_layer=1, n_head=1, vocab_size=32).save_pretrained(tmp_path / "no-weights")
    args = OGERConfig(**quiet_options(tmp_path))
    model = str(tmp_path / "no-weights")
    with pytest.raises(ValueError, match="row 0: a prompt of 5 tokens and max_completion_length=12 exceed the 16"):
        OGERTrainer(model, contains_answer, args, toy_dataset(), processing_class=tiny_tokenizer())
