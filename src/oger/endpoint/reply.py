"""What an OpenAI-compatible server's reply says: an `Answer`, an error message, a time to wait."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_REASONING_FIELDS = ("reasoning_content", "reasoning")
"""Where servers with a reasoning parser put the thoughts: DeepSeek and older vLLM, newer vLLM."""
_MAX_MESSAGE_CHARACTERS = 300


class BrokenReplyError(Exception):
    """Not the JSON that the interface promises."""


@dataclass(frozen=True)
class Answer:
    """One sampled answer."""

    text: str
    """Thoughts that came in a field of their own are joined: "<think>\\n" thoughts "\\n</think>\\n" content."""
    finish_reason: str
    """As the server says ("stop", "length", "content_filter", ...), "unknown" where it says nothing."""
    prompt_tokens: int | None
    num_tokens: int | None
    """Tokens of the answer with its thoughts, by the server's count; None where it gives none."""
    reasoning_field: str | None = None
    """The field that the thoughts came in."""
    seconds: float = 0.0
    """From sending to the last byte, of the attempt that succeeded."""
    attempts: int = 1

    @property
    def truncated(self) -> bool:
        """Whether the length limit cut the answer."""
        return self.finish_reason == "length"


@dataclass(frozen=True)
class ReplyError:
    """What a server says beside an error status; empty where it says nothing."""

    message: str
    code: str


def read_reply(content: bytes, *, completions: bool) -> Answer:
    """The first choice of a reply.

    Raises:
        BrokenReplyError: not JSON, no choice, or a choice without text.
    """
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError):
        raise BrokenReplyError("the reply is not JSON") from None
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise BrokenReplyError("the reply has no choices")
    choice, usage = choices[0], reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    finish_reason = choice.get("finish_reason")
    finish_reason = finish_reason if isinstance(finish_reason, str) and finish_reason else "unknown"
    field = None
    if completions:
        text = choice.get("text")
        if not isinstance(text, str):
            raise BrokenReplyError("the reply's choice has no text")
    else:
        text, field = _message_text(choice.get("message"), finish_reason)
    return Answer(
        text=_encodable(text),
        finish_reason=_encodable(finish_reason),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        num_tokens=_count(usage.get("completion_tokens")),
        reasoning_field=field,
    )


def error_of_reply(content: bytes) -> ReplyError:
    """The error message and code, as OpenAI, vLLM (flat) and FastAPI (detail) write them, else the text's beginning."""
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError):
        return ReplyError(_short(content.decode("utf-8", errors="replace")), "")
    error = reply.get("error", reply) if isinstance(reply, dict) else reply
    if not isinstance(error, dict):
        return ReplyError(_short(str(error)), "")
    return ReplyError(_short(str(error.get("message") or error.get("detail") or "")), str(error.get("code") or ""))


def seconds_of_retry_after(header: str | None) -> float | None:
    """Seconds (0 or more) that a Retry-After header asks for, as a number or an HTTP date; None if it says nothing."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
            date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
            seconds = (date - datetime.now(UTC)).total_seconds()
        except (ValueError, OverflowError):  # no date, or none of the calendar
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _message_text(message: Any, finish_reason: str) -> tuple[str, str | None]:
    """Text of a chat message and the field its thoughts came in."""
    if not isinstance(message, dict):
        raise BrokenReplyError("the reply's choice has no message")
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        raise BrokenReplyError("the reply's message is not text")
    content = content or ""
    for field in _REASONING_FIELDS:
        thoughts = message.get(field)
        if isinstance(thoughts, str) and thoughts and not content.lstrip().startswith("<think>"):
            if not content and finish_reason == "length":  # cut while thinking: nothing closed the thoughts
                return f"<think>\n{thoughts}", field
            return f"<think>\n{thoughts.strip()}\n</think>\n{content.lstrip()}", field
    return content, None


def _encodable(text: str) -> str:
    """Half a surrogate pair, which JSON can carry and UTF-8 cannot, becomes U+FFFD."""
    return text.encode("utf-16", errors="surrogatepass").decode("utf-16", errors="replace")


def _count(value: Any) -> int | None:
    """A number of tokens; what no answer can have is none, and no table of 32-bit numbers takes it."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def _short(text: str) -> str:
    text = _encodable(" ".join(text.split()))
    return text if len(text) <= _MAX_MESSAGE_CHARACTERS else text[:_MAX_MESSAGE_CHARACTERS] + " ..."
