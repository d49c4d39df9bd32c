"""Prompts that the policy cannot read are found before training, and named by their row."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from transformers import GPT2Config, Qwen2Config

from oger import OGERConfig
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


def test_a_chat_is_measured_as_its_template_renders_it(tmp_path: Path) -> None:
    tokenizer = POLICIES["chatml"].turn().tokenizer
    tokens = len(tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True)["input_ids"])
    check(tmp_path, [QUESTION], tokenizer, GPT2Config(n_positions=tokens + 12))
    with pytest.raises(ValueError, match=f"row 0: a prompt of {tokens} tokens"):
        check(tmp_path, [QUESTION], tokenizer, GPT2Config(n_positions=tokens + 11))
