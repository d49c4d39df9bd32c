"""Responses of a policy in this process: seeded, and without a trace left on the caller's random state or model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from transformers import GenerationConfig

from oger.evaluation.backends.base import DEFAULT_BATCH_SIZE, Generated, Request, SamplingSettings, room_for
from oger.evaluation.problems import Prompt
from oger.faults import broken_policies_named
from oger.seeds import derived_seed


class TransformersGenerator:
    """A policy in this process. The same requests in the same calls give the same responses.

    Args:
        batch_size: responses generated at once.
        one_stream: random numbers. False: each call is a batch with a seed of what is in it, so that a stored
            evaluation goes on where it ended, and a response ends at the latest where the model's context ends.
            True: a call takes all requests and cuts batches itself, longest prompt first, with one stream of random
            numbers through all of them; so does a training run measure itself.
        chat_template_kwargs: as in training.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch_size: int,
        one_stream: bool = False,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self._at_once = batch_size
        self._model = model
        self._tokenizer = tokenizer
        self._one_stream = one_stream
        self._chat_template_kwargs = chat_template_kwargs

    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[list[Generated]]:
        """Batch after batch. The global random state, the model's training mode and the tokenizer are left as found.

        Raises:
            ValueError: a prompt without tokens or one that leaves no room in the context, a tokenizer and model without
                an end of sequence.
        """
        prompts = {request.problem: request.prompt for request in requests}
        ids = {
            problem: encode_prompt(self._tokenizer, prompt, self._chat_template_kwargs, index)
            for index, (problem, prompt) in enumerate(prompts.items())
        }
        seed, limit = settings.seed, settings.max_tokens
        if not self._one_stream:
            seed = derived_seed(seed, [(request.problem, request.sample) for request in requests])
            limit = min(room_for(self._model, problem, len(encoded), limit) for problem, encoded in ids.items())
        eos_ids = end_token_ids(self._model, self._tokenizer)
        config = generation_config(self._tokenizer, eos_ids, replace(settings, max_tokens=limit))
        # Rows of a batch have similar lengths, and too large a batch fails at once instead of at the end.
        ordered = sorted(requests, key=lambda request: -len(ids[request.problem]))
        with seeded(self._model, seed), evaluation_mode(self._model):
            for start in range(0, len(ordered), self._at_once):
                batch = ordered[start : start + self._at_once]
                completions = _generate(self._model, [ids[request.problem] for request in batch], config)
                yield [
                    as_response(self._tokenizer, request.problem, request.sample, completion, eos_ids)
                    for request, completion in zip(batch, completions, strict=True)
                ]


def sample_responses(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], num_samples: int, settings: SamplingSettings
) -> list[list[Generated]]:
    """`num_samples` responses to each prompt, in the order of the prompts; see `TransformersGenerator`."""
    generator = TransformersGenerator(model, tokenizer, batch_size=DEFAULT_BATCH_SIZE, one_stream=True)
    requests = [
        Request(str(index), sample, prompt) for index, prompt in enumerate(prompts) for sample in range(num_samples)
    ]
    responses: list[list[Generated]] = [[] for _ in prompts]
    for batch in generator.generate(requests, settings):
        for response in batch:  # the samples of a prompt come in their order
            responses[int(response.problem)].append(response)
    return responses


def end_token_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every token that ends a response: those of the model's generation config and the tokenizer's own."""
    own = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    candidates = own if isinstance(own, (list, tuple)) else [own]
    eos_ids = sorted({int(token) for token in [*candidates, tokenizer.eos_token_id] if token is not None})
    if not eos_ids:
        raise ValueError("the tokenizer has no eos_token and the model's generation config no eos_token_id: set one")
    return eos_ids


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


def generation_config(tokenizer: Any, eos_ids: list[int], settings: SamplingSettings) -> GenerationConfig:
    """Temperature and top-p alone; temperature 0 is greedy."""
    # Every option that a model's own generation config could otherwise fill in is given a neutral value.
    sampling = {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
    return GenerationConfig(
        max_new_tokens=settings.max_tokens,
        eos_token_id=eos_ids,
        pad_token_id=eos_ids[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
        num_beams=1,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        use_cache=True,
        **(sampling if settings.temperature > 0.0 else {"do_sample": False}),
    )


@torch.no_grad()
def _generate(model: Any, prompt_ids: list[list[int]], config: GenerationConfig) -> list[list[int]]:
    """Completions (without the prompt) of one batch, padded on the left."""
    width = max(map(len, prompt_ids))
    input_BT = torch.full((len(prompt_ids), width), int(config.pad_token_id))
    mask_BT = torch.zeros_like(input_BT)
    for row, ids in enumerate(prompt_ids):
        input_BT[row, width - len(ids) :] = torch.tensor(ids)
        mask_BT[row, width - len(ids) :] = 1
    with broken_policies_named():
        output_BT = model.generate(
            input_ids=input_BT.to(model.device), attention_mask=mask_BT.to(model.device), generation_config=config
        )
    return output_BT[:, width:].tolist()


def as_response(tokenizer: Any, problem: str, sample: int, completion: list[int], eos_ids: list[int]) -> Generated:
    """The response of sampled tokens up to the end of sequence, decoded without special tokens."""
    end = next((place for place, token in enumerate(completion) if token in eos_ids), None)
    text = tokenizer.decode(completion[:end], skip_special_tokens=True)
    if end is None:
        return Generated(problem, sample, text, len(completion), "length")
    return Generated(problem, sample, text, end + 1, "stop")


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
