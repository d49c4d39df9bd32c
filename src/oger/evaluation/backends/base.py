"""Where responses come from: one protocol, which every backend of this folder follows.

Sampling is temperature and top-p alone with every backend: top-k and penalties of a model's own generation config are
not applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from oger.endpoint.reply import ended
from oger.evaluation.problems import Problem, Prompt
from oger.io.pretrained import positions

DEFAULT_BATCH_SIZE = 256
"""Responses generated at once where nobody says otherwise; another size draws other responses."""


@dataclass(frozen=True)
class SamplingSettings:
    """How responses are drawn."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int

    def __post_init__(self) -> None:
        if not self.temperature >= 0.0:
            raise ValueError(f"temperature must not be negative, got {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p must lie in (0, 1], got {self.top_p}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {self.max_tokens}")


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

    @property
    def truncated(self) -> bool:
        """Cut by the length limit, or ended by a server for a reason of its own."""
        return not ended(self.finish_reason)


class Generator(Protocol):
    """Draws responses. The same requests in the same batches with the same seed give the same ones, where the backend
    itself is deterministic."""

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


def room_for(model: Any, problem: str, length: int, max_tokens: int) -> int:
    """Tokens of a response: `max_tokens`, or what a prompt of `length` tokens leaves of the model's context.

    Raises:
        ValueError: it leaves nothing.
    """
    context = positions(model.config)
    if context is None:
        return max_tokens
    if length >= context:
        raise ValueError(f"the prompt of problem {problem} has {length} tokens; the model's context is {context}")
    return min(max_tokens, context - length)
