"""Policies that answer in a chat: character tokenizers with a template's special tokens, and policies for them."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any, NamedTuple

import torch
import trl
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from oger.teachers.table.turn import PolicyTurn, chat_turn

_TEMPLATES = Path(trl.__file__).parent / "chat_templates"
_TAGS = ("<think>", "</think>")  # tokens of their own, but not special, as in the models that think

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
THINK_WITHOUT_NEWLINE = CHATML.replace("assistant\n", "assistant\n<think>")


def shipped_template(name: str) -> str:
    """One of TRL's."""
    return (_TEMPLATES / f"{name}.jinja").read_text()


def chat_tokenizer(template: str | None, special: list[str], eos: str) -> PreTrainedTokenizerFast:
    vocab = {token: index for index, token in enumerate(["<pad>", "<unk>", *string.printable])}
    raw = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    raw.decoder = decoders.Fuse()
    raw.add_special_tokens(special)
    raw.add_tokens(list(_TAGS))
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", unk_token="<unk>", eos_token=eos, bos_token=special[0],
        chat_template=template, padding_side="left", clean_up_tokenization_spaces=False,
    )  # fmt: skip


def chat_policy(tokenizer: PreTrainedTokenizerFast, stops: list[str]) -> Any:
    """A tiny random policy whose generation configuration stops at these tokens."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    policy = Qwen2ForCausalLM(config)
    policy.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(stops)
    return policy


QUESTION = [{"role": "user", "content": "2+2?"}]
IM = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
R1 = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]
LLAMA = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]


class Policy(NamedTuple):
    template: str
    special: list[str]
    eos: str
    stops: list[str]
    options: dict[str, Any] = {}  # noqa: RUF012 - read only

    def turn(self) -> PolicyTurn:
        tokenizer = chat_tokenizer(self.template, self.special, self.eos)
        return chat_turn(tokenizer, tokenizer.convert_tokens_to_ids(self.stops), self.options)


POLICIES = {
    "deepseek_r1_distill": Policy(shipped_template("deepseek_r1_distill"), R1, R1[1], [R1[1]]),
    "qwen3": Policy(shipped_template("qwen3"), IM, "<|im_end|>", ["<|im_end|>", "<|endoftext|>"]),
    "qwen3_silent": Policy(shipped_template("qwen3"), IM, "<|im_end|>", [], {"enable_thinking": False}),
    "qwen3_5_nothink": Policy(shipped_template("qwen3_5_nothink"), IM, "<|im_end|>", []),
    "mistral": Policy(MISTRAL, ["<s>", "</s>", "[INST]", "[/INST]"], "</s>", []),
    "without_newline": Policy(THINK_WITHOUT_NEWLINE, IM, "<|im_end|>", []),
    "chatml": Policy(CHATML, IM, "<|endoftext|>", ["<|im_end|>", "<|endoftext|>"]),
    "chatml_of_a_base_policy": Policy(CHATML, IM, "<|endoftext|>", ["<|endoftext|>"]),
    "llama3": Policy(shipped_template("llama3"), LLAMA, "<|end_of_text|>", ["<|end_of_text|>", "<|eot_id|>"]),
    "cohere2": Policy(
        shipped_template("cohere2"),
        ["<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", "<|START_OF_TURN_TOKEN|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>"],
        "<|END_OF_TURN_TOKEN|>",
        [],
    ),
    "phi3": Policy(
        shipped_template("phi3"), ["<s>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"], "<|endoftext|>", []
    ),
}

UNOPENED = {  # their generation prompts leave it to the policy to open its answer
    "gptoss": Policy(
        shipped_template("gptoss"),
        ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>"],
        "<|return|>",
        [],
    ),
    "no_generation_prompt": Policy(CHATML.partition("{% if add")[0], IM, "<|im_end|>", []),
}

THOUGHT = "<think>\nTwo and two.\n</think>\n\nIt is 4."
