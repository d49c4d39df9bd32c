"""Where responses come from: one protocol and four backends, of which transformers is here (see `*_generator`).

Sampling is temperature and top-p alone with every backend: top-k and penalties of a model's own generation config are
not applied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from oger.evaluation.problems import Problem

Prompt = str | list[dict[str, Any]]


@dataclass(frozen=True)
class SamplingSettings:
    """How responses are drawn."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int


@dataclass(frozen=True)
class Request:
    """One sample of one problem, still to be drawn."""

    problem: str
    sample: int
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Generated:
    """One drawn response."""

    problem: str
    sample: int
    text: str
    num_tokens: int | None
    """With the end of sequence; None where a server does not count."""
    finish_reason: str
    """"stop", "length" (cut by the limit), or what else a server says."""


class Generator(Protocol):
    """Draws responses. The same requests in the same batches with the same seed give the same ones, where the backend
    itself is deterministic."""

    batch_size: int | None
    """Requests of one `generate` call; None = as many as there are."""

    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[list[Generated]]:
        """Draw each request; yields lists, in any order, as soon as they are there. A list is stored as one.

        Raises:
            ValueError: no response can be had as things are; one line.
        """
        ...


@dataclass(frozen=True)
class PromptForm:
    """How a problem's text becomes what the policy reads."""

    chat: bool
    """A chat of one user message, through the chat template; else the text itself."""
    system: str | None = None
    """System message of the chat."""

    def prompt(self, problem: Problem) -> Prompt:
        """The prompt of one problem; one that is asked as it stands is left alone."""
        if problem.verbatim or not self.chat:
            return problem.prompt
        system = [{"role": "system", "content": self.system}] if self.system is not None else []
        return [*system, {"role": "user", "content": problem.prompt}]


def derived_seed(seed: int, *parts: object) -> int:
    """A seed in [0, 2^31) made from a seed and what it is for."""
    digest = hashlib.blake2b(repr((seed, *parts)).encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


class TransformersGenerator:
    """A policy in this process, sampled as during training's own evaluations.

    Args:
        batch_size: responses generated at once.
        chat_template_kwargs: as in training.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, batch_size: int, chat_template_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self.batch_size: int | None = batch_size
        self._model = model
        self._tokenizer = tokenizer
        self._chat_template_kwargs = chat_template_kwargs

    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[list[Generated]]:
        """One batch. A response ends at the latest where the model's context ends, and is then cut ("length").

        Raises:
            ValueError: a prompt that leaves no room in the context, or what `sample_responses` refuses.
        """
        from oger.evaluation.backends.transformers import sample_responses

        keys = [(request.problem, request.sample) for request in requests]
        responses = sample_responses(
            self._model,
            self._tokenizer,
            [request.prompt for request in requests],
            num_samples=1,
            max_new_tokens=self._room(requests, settings.max_tokens),
            temperature=settings.temperature,
            top_p=settings.top_p,
            batch_size=len(requests),
            seed=derived_seed(settings.seed, keys),
            chat_template_kwargs=self._chat_template_kwargs,
        )
        yield [
            Generated(*key, response.text, response.num_tokens, "length" if response.truncated else "stop")
            for key, [response] in zip(keys, responses, strict=True)
        ]

    def _room(self, requests: Sequence[Request], max_tokens: int) -> int:
        from oger.evaluation.backends.transformers import encode_prompt

        lengths = {
            request.problem: len(encode_prompt(self._tokenizer, request.prompt, self._chat_template_kwargs))
            for request in requests
        }
        return min(room_for(self._model, name, length, max_tokens) for name, length in lengths.items())


def room_for(model: Any, problem: str, length: int, max_tokens: int) -> int:
    """Tokens of a response: `max_tokens`, or what a prompt of `length` tokens leaves of the model's context.

    Raises:
        ValueError: it leaves nothing.
    """
    context = getattr(model.config, "max_position_embeddings", None)
    if context is None:
        return max_tokens
    if length >= context:
        raise ValueError(f"the prompt of problem {problem} has {length} tokens; the model's context is {context}")
    return min(max_tokens, int(context) - length)
