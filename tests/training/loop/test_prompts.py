"""Prompts that the policy cannot read are found before training, and named by their row."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from transformers import Gemma3Config, GPT2Config, GPT2LMHeadModel, Qwen2Config

from oger import OGERConfig, OGERTrainer
from oger.training.loop.data import check_prompts
from tests.support.chat import POLICIES, QUESTION
from tests.support.tiny import quiet_options, tiny_tokenizer

SMALL = {"max_position_embeddings": 20}


def check(folder: Path, prompts: list[Any], tokenizer: Any, config: Any) -> None:
    args = OGERConfig(**quiet_options(folder, max_completion_length=12))
    check_prompts(Dataset.from_dict({"prompt": prompts}), tokenizer, args, config)


def test_a_second_begin_of_sequence_is_refused(tmp_path: Path) -> None:
    class Beginning:
        bos_token, bos_token_id = "<s>", 7

        def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
            return {"input_ids": [7, *range(len(text))]}

    check(tmp_path, ["a", "b"], Beginning(), Qwen2Config(**SMALL))
    with pytest.raises(ValueError, match="row 1: the prompt begins with <s>, and the tokenizer puts another"):
        check(tmp_path, ["a", "<s>b"], Beginning(), Qwen2Config(**SMALL))


def test_prompts_without_room_for_a_response_are_refused_where_positions_are_learned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fitting, longer, longest = "12345678", "123456789", "1234567890"
    said = r"row 2: a prompt of 10 tokens and max_completion_length=12 exceed the 20 positions .* so do 1 other rows"
    check(tmp_path, [fitting], tiny_tokenizer(), GPT2Config(n_positions=20))
    with pytest.raises(ValueError, match=said):
        check(tmp_path, [fitting, longer, longest], tiny_tokenizer(), GPT2Config(n_positions=20))
    with caplog.at_level(logging.WARNING):
        check(tmp_path, [fitting, longer, longest], tiny_tokenizer(), Qwen2Config(**SMALL))
    assert "row 2: a prompt of 10 tokens" in caplog.text


def test_the_positions_of_a_policy_of_images_are_those_of_its_language_part(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        check(tmp_path, ["123456789"], tiny_tokenizer(), Gemma3Config(text_config=SMALL))
    assert "row 0: a prompt of 9 tokens and max_completion_length=12 exceed the 20 positions" in caplog.text


def test_validation_prompts_are_read_before_training_too(tmp_path: Path) -> None:
    sets = {"easy": Dataset.from_dict({"prompt": ["1"]}), "hard": Dataset.from_dict({"prompt": ["1", "2" * 9]})}
    policy = GPT2LMHeadModel(GPT2Config(n_positions=20, n_embd=8, n_layer=1, n_head=1, vocab_size=64))
    args = OGERConfig(**quiet_options(tmp_path, max_completion_length=12, teacher_rows=0, exploration_weight=0))
    with pytest.raises(ValueError, match=r"validation set hard, row 1: a prompt of 9 tokens"):
        OGERTrainer(
            policy, lambda completions, **_: [0.0] * len(completions), args,
            Dataset.from_dict({"prompt": ["1"] * 8}), sets, tiny_tokenizer(),
        )  # fmt: skip


def test_a_chat_is_measured_as_its_template_renders_it(tmp_path: Path) -> None:
    tokenizer = POLICIES["chatml"].turn().tokenizer
    tokens = len(tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True)["input_ids"])
    check(tmp_path, [QUESTION], tokenizer, GPT2Config(n_positions=tokens + 12))
    with pytest.raises(ValueError, match=f"row 0: a prompt of {tokens} tokens"):
        check(tmp_path, [QUESTION], tokenizer, GPT2Config(n_positions=tokens + 11))
