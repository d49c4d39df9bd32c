"""A random policy that ends its responses at different steps, and a call of its `generate`."""

from __future__ import annotations

from typing import Any

import torch
from transformers import GenerationConfig

from tests.support.tiny import tiny_policy, tiny_tokenizer

PADDED = ["1+1=?", "2+2=?", "a", "12+34=? abc", "h.\n", "fg"] * 4
UNPADDED = ["1+1=?", "2+2=?", "a+b=c", "hhhhh"] * 6
ENDS = [1, 3, 5, 7, 9, 11]  # six of 28 tokens end a response, so that rows finish at different steps


def sharp_policy(dtype: torch.dtype = torch.float64) -> Any:
    """A random policy whose responses differ and end at different steps."""
    policy: Any = tiny_policy(dtype=dtype)
    # A head of its own: with tied embeddings, a random policy of sharp logits repeats its last token for ever.
    policy.lm_head.weight = torch.nn.Parameter(torch.randn_like(policy.lm_head.weight) * 0.3)
    return policy


def generate(policy: Any, prompts: list[str] = PADDED, processors: list[Any] | None = None, **options: Any) -> Any:
    inputs = tiny_tokenizer()(prompts, return_tensors="pt", padding=True)
    config = GenerationConfig(
        **{"max_new_tokens": 24, "do_sample": True, "pad_token_id": 0, "eos_token_id": ENDS, "top_k": 0, **options},
        disable_compile=True,
    )
    torch.manual_seed(0)
    return policy.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        generation_config=config,
        logits_processor=processors,
    )


def batch_sizes(policy: Any, **arguments: Any) -> tuple[list[int], torch.Tensor]:
    """Rows in each forward of a generation, and its tokens."""
    sizes: list[int] = []
    handle = policy.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    ids = generate(policy, **arguments)
    handle.remove()
    return sizes, ids
