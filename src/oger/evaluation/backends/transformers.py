"""Responses of a policy in this process: seeded, and without a trace left on the caller's random state or model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from oger.evaluation.backends.base import Generated, Request, SamplingSettings, room_for
from oger.evaluation.problems import Prompt
from oger.seeds import derived_seed


@dataclass(frozen=True, slots=True)
class Response:
    """One sampled response."""

    text: str
    """Decoded without special tokens."""
    truncated: bool
    """No end-of-sequence token within the allowed length."""
    num_tokens: int
    """Sampled tokens, the end of sequence included."""

    @property
    def finish_reason(self) -> str:
        """As of `Generated`."""
        return "length" if self.truncated else "stop"


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
        self.batch_size: int | None = None if one_stream else batch_size
        self._at_once = batch_size
        self._model = model
        self._tokenizer = tokenizer
        self._one_stream = one_stream
        self._chat_template_kwargs = chat_template_kwargs

    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[list[Generated]]:
        """Batch after batch.

        Raises:
            ValueError: a prompt that leaves no room in the context, or what `sample_responses` refuses.
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
        batches = _draw(
            self._model,
            self._tokenizer,
            [ids[request.problem] for request in requests],
            max_new_tokens=limit,
            temperature=settings.temperature,
            top_p=settings.top_p,
            batch_size=self._at_once,
            seed=seed,
        )
        for batch in batches:
            yield [
                Generated(request.problem, request.sample, drawn.text, drawn.num_tokens, drawn.finish_reason)
                for request, drawn in ((requests[place], drawn) for place, drawn in batch.items())
            ]


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
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> list[list[Response]]:
    """`num_samples` responses to each prompt, in the order of the prompts.

    Sampling is temperature and top-p alone: top-k and repetition penalties of the model's own generation config are
    not applied. Temperature 0 is greedy. The same seed and the same batch size give the same responses; the
    global random state, the model's training mode and the tokenizer are left as found.

    Args:
        batch_size: rows generated at once, a row being one sample of one prompt.
        chat_template_kwargs: of chat prompts, as in training (TRL's option of this name).

    Raises:
        ValueError: an option out of range, a prompt without tokens, a tokenizer and model without an end of sequence.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, got {num_samples}")
    prompt_ids = [encode_prompt(tokenizer, prompt, chat_template_kwargs, index) for index, prompt in enumerate(prompts)]
    batches = _draw(
        model,
        tokenizer,
        [ids for ids in prompt_ids for _ in range(num_samples)],
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        batch_size=batch_size,
        seed=seed,
    )
    rows = {place: response for batch in batches for place, response in batch.items()}
    return [[rows[num_samples * index + sample] for sample in range(num_samples)] for index in range(len(prompts))]


def _draw(
    model: Any,
    tokenizer: Any,
    prompt_ids: Sequence[list[int]],
    *,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    batch_size: int,
    seed: int,
) -> Iterator[dict[int, Response]]:
    """Place of a prompt -> the response to it, one mapping per batch."""
    _check_options(max_new_tokens, temperature, top_p, batch_size)
    eos_ids = end_token_ids(model, tokenizer)
    config = generation_config(tokenizer, eos_ids, max_new_tokens, temperature, top_p)
    # Longest first: rows of a batch have similar lengths, and too large a batch fails at once instead of at the end.
    order = sorted(range(len(prompt_ids)), key=lambda place: -len(prompt_ids[place]))
    with seeded(model, seed), evaluation_mode(model):
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            completions = _generate(model, [prompt_ids[place] for place in places], config)
            responses = (as_response(tokenizer, completion, eos_ids) for completion in completions)
            yield dict(sorted(zip(places, responses, strict=True)))


def end_token_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every token that ends a response: those of the model's generation config and the tokenizer's own."""
    own = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    candidates = own if isinstance(own, (list, tuple)) else [own]
    eos_ids = sorted({int(token) for token in [*candidates, tokenizer.eos_token_id] if token is not None})
    if not eos_ids:
        raise ValueError("the tokenizer has no eos_token and the model's generation config no eos_token_id: set one")
    return eos_ids


def _check_options(max_new_tokens: int, temperature: float, top_p: float, batch_size: int) -> None:
    for name, value in (("max_new_tokens", max_new_tokens), ("batch_size", batch_size)):
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


@torch.no_grad()
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
