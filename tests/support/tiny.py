"""A tiny random policy, a character tokenizer and a toy task: enough to run every path of the trainer for real."""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

ALPHABET = "0123456789+=abcdefgh?. \n"


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    vocab = {token: index for index, token in enumerate(["<pad>", "<eos>", "<unk>", *ALPHABET])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )


def tiny_policy(seed: int = 0, dtype: torch.dtype = torch.float32) -> Qwen2ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(ALPHABET) + 3,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config).to(dtype)


def toy_rows(num_prompts: int = 8, num_teachers: int = 2) -> list[dict[str, Any]]:
    """Prompts whose outcome a random policy reaches now and then: the answer is one of three letters, anywhere."""
    return [
        {
            "prompt": f"{index}+{index}=?",
            "answer": "abc"[index % 3],
            "teachers": [
                {
                    "text": f"{index}+{index} {'abc'[index % 3]}." + "d" * teacher,
                    "teacher": f"t{teacher}",
                    "verdict": 1.0,
                }
                for teacher in range(num_teachers)
            ],
        }
        for index in range(num_prompts)
    ]


def toy_dataset(num_prompts: int = 8, num_teachers: int = 2) -> Dataset:
    return Dataset.from_list(toy_rows(num_prompts, num_teachers))


def contains_answer(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    return [float(gold in completion) for completion, gold in zip(completions, answer, strict=True)]


def quiet_options(output_dir: Any, **options: Any) -> dict[str, Any]:
    """Options of a small, silent CPU run; two whole groups per micro-batch."""
    defaults = {
        "output_dir": str(output_dir),
        "max_steps": 3,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 2,
        "num_generations": 4,
        "max_completion_length": 12,
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "bf16": False,
        "gradient_checkpointing": False,
        "use_cpu": True,
        "disable_tqdm": True,
    }
    return {**defaults, **options}


CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['content'] }}{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}=.{% endif %}"
)
