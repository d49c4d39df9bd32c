"""Responses of a policy to prompts: seeded, and without a trace left on the caller's random state or model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

Prompt = str | list[dict[str, Any]]
"""A text, or a chat: a list of {"role", "content"} messages."""


@dataclass(frozen=True, slots=True)
class Response:
    """One sampled response."""

    text: str
    """Decoded without special tokens."""
    truncated: bool
    """No end-of-sequence token within the allowed length."""
    num_tokens: int
    """Sampled tokens, the end of sequence included."""


def sample_responses(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    *,
    num_samples: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    batch_size: int = 256,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> list[list[Response]]:
    """`num_samples` responses to each prompt, in the order of the prompts.

    Sampling is temperature and top-p alone: top-k and repetition penalties of the model's own generation config are
    not applied. Temperature 0 is greedy. The same seed and the same batch size give the same responses; the
    global random state, the model's training mode and the tokenizer are left as found.

    Args:
        batch_size: rows generated at once, a row being one sample of one prompt.
        progress: called with (rows done, rows in all) after each batch.
        chat_template_kwargs: of chat prompts, as in training (TRL's option of this name).

    Raises:
        ValueError: an option out of range, a prompt without tokens, a tokenizer and model without an end of sequence.
    """
    _check_options(num_samples, max_new_tokens, temperature, top_p, batch_size)
    prompt_ids = [encode_prompt(tokenizer, prompt, chat_template_kwargs, index) for index, prompt in enumerate(prompts)]
    eos_ids = end_token_ids(model, tokenizer)
    config = generation_config(tokenizer, eos_ids, max_new_tokens, temperature, top_p)

    # Longest first: rows of a batch have similar lengths, and too large a batch fails at once instead of at the end.
    order = sorted(range(len(prompts)), key=lambda index: -len(prompt_ids[index]))
    rows = [index for index in order for _ in range(num_samples)]
    responses: list[list[Response]] = [[] for _ in prompts]
    with seeded(model, seed), evaluation_mode(model), torch.no_grad():
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            completions = _generate(model, [prompt_ids[index] for index in batch], config)
            for index, completion in zip(batch, completions, strict=True):
                responses[index].append(as_response(tokenizer, completion, eos_ids))
            if progress is not None:
                progress(min(start + batch_size, len(rows)), len(rows))
    return responses


def end_token_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every token that ends a response: those of the model's generation config and the tokenizer's own."""
    own = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    candidates = own if isinstance(own, (list, tuple)) else [own]
    eos_ids = sorted({int(token) for token in [*candidates, tokenizer.eos_token_id] if token is not None})
    if not eos_ids:
        raise ValueError("the tokenizer has no eos_token and the model's generation config no eos_token_id: set one")
    return eos_ids


def _check_options(num_samples: int, max_new_tokens: int, temperature: float, top_p: float, batch_size: int) -> None:
    for name, value in (("num_samples", num_samples), ("max_new_tokens", max_new_tokens), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not temperature >= 0.0:
        raise ValueError(f"temperature must not be negative, got {temperature}")
    if not 0.0 < top_p <= 1.0:
        raise ValueError(f"top_p must lie in (0, 1], got {top_p}")


def encode_prompt(
    tokenizer: Any, prompt: Prompt, chat_template_kwargs: Mapping[str, Any] | None = None, index: int = 0
) -> list[int]:
    """Token ids as TRL's GRPOTrainer makes them: a text as the tokenizer reads it, a chat through the chat template.

    Raises:
        ValueError: a chat without a chat template, or a prompt without tokens.
    """
    if isinstance(prompt, str):
        ids = tokenizer(prompt)["input_ids"]
    elif not tokenizer.chat_template:
        raise ValueError(f"prompt {index} is a chat, and the tokenizer has no chat template: ask in plain text")
    else:
        ids = tokenizer.apply_chat_template(
            prompt, add_generation_prompt=True, tokenize=True, return_dict=True, **(chat_template_kwargs or {})
        )["input_ids"]
    if not ids:
        raise ValueError(f"prompt {index} has no tokens")
    return list(ids)


def generation_config(
    tokenizer: Any, eos_ids: list[int], max_new_tokens: int, temperature: float, top_p: float
) -> GenerationConfig:
    """Temperature and top-p alone; temperature 0 is greedy."""
    # Every option that a model's own generation config could otherwise fill in is given a neutral value.
    sampling = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        eos_token_id=eos_ids,
        pad_token_id=eos_ids[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
        num_beams=1,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        use_cache=True,
        **(sampling if temperature > 0.0 else {"do_sample": False}),
    )


def _generate(model: Any, prompt_ids: list[list[int]], config: GenerationConfig) -> list[list[int]]:
    """Completions (without the prompt) of one batch, padded on the left."""
    width = max(map(len, prompt_ids))
    input_BT = torch.full((len(prompt_ids), width), int(config.pad_token_id))
    mask_BT = torch.zeros_like(input_BT)
    for row, ids in enumerate(prompt_ids):
        input_BT[row, width - len(ids) :] = torch.tensor(ids)
        mask_BT[row, width - len(ids) :] = 1
    output_BT = model.generate(
        input_ids=input_BT.to(model.device), attention_mask=mask_BT.to(model.device), generation_config=config
    )
    return output_BT[:, width:].tolist()


def as_response(tokenizer: Any, completion: list[int], eos_ids: list[int]) -> Response:
    """The text of sampled tokens up to the end of sequence."""
    end = next((place for place, token in enumerate(completion) if token in eos_ids), None)
    text = tokenizer.decode(completion[:end], skip_special_tokens=True)
    return Response(text=text, truncated=end is None, num_tokens=len(completion) if end is None else end + 1)


@contextmanager
def seeded(model: Any, seed: int) -> Iterator[None]:
    """The random state that generation draws from, seeded inside and put back outside."""
    on_cuda = model.device.type == "cuda"
    with torch.random.fork_rng(devices=[model.device] if on_cuda else []):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed: that one reseeds every GPU of the machine
        if on_cuda:
            with torch.cuda.device(model.device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def evaluation_mode(model: Any) -> Iterator[None]:
    """Evaluation mode inside, each module's own mode again outside."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
