"""What a collection asks: prompts, settings, and the identity of every request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oger.endpoint.client import PROMPT_FIELDS, with_body
from oger.io.answers import answer_text
from oger.teachers.table.schema import messages_of

Messages = list[dict[str, Any]]

_LENGTH_FIELDS = ("max_tokens", "max_completion_tokens")
_CHARACTERS_PER_TOKEN = 4


class CollectError(ValueError):
    """A collection that cannot be made as asked; the message is one line that says what to do."""


@dataclass(frozen=True)
class Prompt:
    """One row to ask about."""

    prompt: str | Messages
    answer: str | None
    kind: str
    metadata: Any


@dataclass(frozen=True)
class Prompts:
    """The rows, each prompt once."""

    rows: Sequence[Prompt]
    repeated: int
    """Rows left out because their prompt came before."""
    conflicting: int
    """Those among them that have another answer than the first."""


@dataclass(frozen=True)
class Settings:
    """Everything but the prompt that decides an answer, and the teacher's name. One file has one of it."""

    model: str
    teacher: str
    api: str
    """ "chat" or "completions"."""
    temperature: float = 0.6
    top_p: float = 0.95
    max_tokens: int = 8192
    seed: int = 0
    system: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every request; None leaves out one that would be sent."""

    def __post_init__(self) -> None:
        for name in PROMPT_FIELDS:
            if name in self.body:
                raise CollectError(f"--body cannot set {name!r}: that is the collector's own")
        if self.system is not None and self.api == "completions":
            raise CollectError("--system needs chat: raw completions have no system message")

    def sampling(self) -> dict[str, Any]:
        """What every line of the file says about them."""
        return {
            "api": self.api,
            "temperature": float(self.temperature),
            "top_p": float(self.top_p),
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "system": self.system,
            "body": dict(self.body),
        }

    def request_fields(self, seed: int) -> dict[str, Any]:
        """Fields of a request beside prompt and model."""
        fields = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens, "seed": seed}
        return with_body(fields, self.body)

    def longest_answer(self) -> int | None:
        """Most tokens an answer may have, None without a limit."""
        fields = self.request_fields(0)
        limits = [fields[name] for name in _LENGTH_FIELDS if isinstance(fields.get(name), int)]
        return min(limits) if limits else None


@dataclass(frozen=True)
class Request:
    """One sample of one prompt."""

    id: str
    """Hash of the prompt, the sample's number, the model and the sampling."""
    sample: int
    row: Prompt
    prompt: str | Messages
    """What is sent: with the system message."""
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """Every request of a collection: `samples` of each prompt."""

    rows: Sequence[Prompt]
    samples: int
    settings: Settings

    @property
    def size(self) -> int:
        """Requests of the whole collection, answered or not."""
        return len(self.rows) * self.samples

    def requests(self, answered: Collection[str] = ()) -> Iterator[Request]:
        """The requests without an answer: the first sample of every prompt, then the second, and so on.

        One by one, since a large collection should not lie in memory as requests. Each has a seed of its own, made
        from its identity.
        """
        settings = self.settings
        start = hashlib.blake2b(canonical([settings.model, settings.sampling()]), digest_size=16)
        for sample in range(self.samples):
            for row in self.rows:
                identity = start.copy()
                identity.update(canonical([row.prompt, sample]))
                id = identity.hexdigest()
                if id not in answered:
                    seed = int(id[:8], 16) & 0x7FFFFFFF
                    yield Request(id, sample, row, with_system(row.prompt, settings), settings.request_fields(seed))


def read_prompts(rows: Sequence[Mapping[str, Any]], settings: Settings, source: str) -> Prompts:
    """Check the rows of `source`: columns prompt and, optionally, answer, kind ("math") and metadata.

    Raises:
        CollectError: a row that cannot be asked about or written down; the message names it, counted from 1.
    """
    kept: list[Prompt] = []
    first_answers: dict[bytes, str | None] = {}
    repeated = conflicting = 0
    for number, row in enumerate(rows, start=1):
        try:
            prompt = _checked_row(row, settings)
            key = hashlib.blake2b(canonical(prompt.prompt), digest_size=16).digest()
            json.dumps([prompt.prompt, prompt.answer, prompt.metadata], allow_nan=False, ensure_ascii=False).encode()
        except (CollectError, TypeError, ValueError, RecursionError) as error:
            raise CollectError(f"{source} row {number}: {error}") from None
        if key in first_answers:
            repeated += 1
            conflicting += first_answers[key] != prompt.answer
            continue
        first_answers[key] = prompt.answer
        kept.append(prompt)
    return Prompts(kept, repeated, conflicting)


def with_system(prompt: str | Messages, settings: Settings) -> str | Messages:
    """What is sent for a prompt: text for completions, messages for chat."""
    if settings.api == "completions":
        return prompt
    messages = messages_of(prompt)
    return [{"role": "system", "content": settings.system}, *messages] if settings.system is not None else messages


def about_tokens(prompt: str | Messages) -> int:
    """Tokens of a prompt, guessed as a quarter of its characters."""
    texts = [prompt] if isinstance(prompt, str) else [message["content"] for message in prompt]
    return -(-sum(map(len, texts)) // _CHARACTERS_PER_TOKEN)


@dataclass(frozen=True)
class Estimate:
    """Size of the requests that are still to be made."""

    requests: int
    prompt_tokens: int
    answer_tokens_most: int | None
    """If every answer reaches the length limit; None without one."""

    def cost(self, price_in: float, price_out: float, answer_tokens: float) -> float:
        """USD, with prices in USD per million tokens, if the answers have `answer_tokens` in all."""
        return (self.prompt_tokens * price_in + answer_tokens * price_out) / 1e6


def estimate(
    plan: Plan, answered: Collection[str], count_tokens: Callable[[str | Messages], int] = about_tokens
) -> Estimate:
    """Estimate the requests of `plan` that have no answer yet, without making one."""
    requests = prompt_tokens = 0
    for request in plan.requests(answered):
        requests += 1
        prompt_tokens += count_tokens(request.prompt)
    longest = plan.settings.longest_answer()
    return Estimate(requests, prompt_tokens, None if longest is None else requests * longest)


def _checked_row(row: Mapping[str, Any], settings: Settings) -> Prompt:
    if "prompt" not in row:
        raise CollectError(f"no column 'prompt'; it has {', '.join(map(str, row)) or 'none'}")
    prompt, answer, kind = row["prompt"], row.get("answer"), row.get("kind")
    if isinstance(prompt, str):
        if not prompt.strip():
            raise CollectError("the prompt is empty")
    else:
        _check_messages(prompt, settings)
    if answer is not None:
        answer = answer_text(answer)
    if kind is not None and not isinstance(kind, str):
        raise CollectError(f"the kind must be a text, got {type(kind).__name__}")
    return Prompt(prompt, answer, kind or "math", row.get("metadata"))


def _check_messages(prompt: Any, settings: Settings) -> None:
    if not isinstance(prompt, list) or not prompt:
        raise CollectError("the prompt must be a text or a list of messages")
    for message in prompt:
        if not isinstance(message, dict) or not all(isinstance(message.get(key), str) for key in ("role", "content")):
            raise CollectError("every message of a prompt needs a role and a content that are texts")
    if settings.api == "completions":
        raise CollectError("raw completions need prompts that are texts; this one is a list of messages")
    if settings.system is not None and prompt[0]["role"] == "system":
        raise CollectError("the prompt has a system message of its own: leave --system out")


def canonical(value: Any) -> bytes:
    """The same bytes for the same JSON value."""
    return json.dumps(value, sort_keys=True, allow_nan=False).encode() + b"\n"
