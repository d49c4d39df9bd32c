"""What an OpenAI-compatible server's reply says: an `Answer`, an error message, a time to wait."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_details")
"""Where servers with a reasoning parser put the thoughts: DeepSeek and older vLLM, newer vLLM, OpenRouter."""
_THOUGHTS = ("thinking", "reasoning", "redacted_thinking")
"""Beginnings of the types of parts that are thoughts."""
_NATURAL_ENDS = ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "completed")
_UNSUPPORTED = re.compile(
    r"unsupported|n[o']t support|unrecogni[sz]ed|unknown|unexpected|not (?:permitted|allowed)|extra_forbidden"
    r"|deprecated|only the default|only \S+ is (?:allowed|supported)|not (?:yet )?implemented|not accept"
    r"|must be (?:omitted|unset|null|[\d.]+ (?:for|with))|cannot (?:both )?be (?:both )?(?:set|specified|used)",
    re.IGNORECASE,
)
UNSAID = "unknown"
"""Finish reason of an answer whose server gives none."""
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
    left_out: tuple[str, ...] = ()
    """Fields of the request that the server refuses, so that they were not sent as asked."""
    seconds: float = 0.0
    """From sending to the last byte, of the attempt that succeeded."""
    attempts: int = 1

    @property
    def truncated(self) -> bool:
        """Whether the answer did not come to its own end: cut by a limit, filtered, refused, or nothing is said."""
        return not ended(self.finish_reason)


@dataclass(frozen=True)
class ReplyError:
    """What a server says beside an error status; empty where it says nothing."""

    message: str
    code: str
    param: str = ""
    """The field that it is about."""


def is_count(value: Any) -> bool:
    """Whether it can be a number of tokens or of a sample, which tables store with 32 bits.

    >>> [is_count(value) for value in (0, 7, -1, 2**31, True, 7.0, None)]
    [True, True, False, False, False, False, False]
    """
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def ended(finish_reason: str) -> bool:
    """Whether an answer with this finish reason came to its own end.

    >>> [ended(reason) for reason in ("stop", "END_TURN", "length", "content_filter", "tool_calls", "unknown")]
    [True, True, False, False, False, False]
    """
    return finish_reason.lower() in _NATURAL_ENDS


def error_status(content: bytes) -> int | None:
    """The status that a reply with status 200 should have had, where it holds an error; None where it holds none."""
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(reply, dict):
        return None
    error = _error_in(reply)
    if error is None:
        return None
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    if isinstance(code, int) and 400 <= code < 600:
        return code
    kind = str(error.get("type") or "") if isinstance(error, dict) else ""
    return 400 if "invalid" in kind.lower() or "badrequest" in kind.lower() else 500


def _error_in(reply: Mapping[str, Any]) -> Any:
    """What a reply says went wrong, beside its choices, in place of them, or in the first one; None = nothing."""
    choices = reply.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    flat = reply if reply.get("object") == "error" else None
    return reply.get("error") or first.get("error") or flat


def refused_field(error: ReplyError, fields: Iterable[str]) -> str | None:
    """Which of the fields of a request a server says that it does not support; None where it says something else.

    Of temperature and top_p, of which some models take one alone, top_p is the one to go without.
    """
    if not _UNSUPPORTED.search(f"{error.message} {error.code}"):
        return None
    named = [name for name in fields if name == error.param]
    named += [name for name in fields if re.search(rf"\b{re.escape(name)}\b", error.message)]
    if {"temperature", "top_p"} <= set(named):
        return "top_p"
    return named[0] if named else None


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
    finish_reason = finish_reason if isinstance(finish_reason, str) and finish_reason else UNSAID
    field = None
    if completions:
        text = choice.get("text")
        if not isinstance(text, str):
            raise BrokenReplyError("the reply's choice has no text")
    else:
        text, field, refused = _message_text(choice.get("message"), finish_reason)
        finish_reason = "refusal" if refused else finish_reason
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
    error = (_error_in(reply) or reply) if isinstance(reply, dict) else reply
    if not isinstance(error, dict):
        return ReplyError(_short(str(error)), "")
    said = next((error[name] for name in ("message", "detail", "errors", "msg") if error.get(name)), "")
    return ReplyError(_short(str(said)), str(error.get("code") or ""), str(error.get("param") or ""))


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


def _message_text(message: Any, finish_reason: str) -> tuple[str, str | None, bool]:
    """Text of a chat message, the field its thoughts came in, and whether it is a refusal."""
    if not isinstance(message, dict):
        raise BrokenReplyError("the reply's choice has no message")
    content, thoughts_inside = _texts_of(message.get("content"))
    if not content and isinstance(refusal := message.get("refusal"), str) and refusal:
        return refusal, None, True
    if "</think>" in content and "<think>" not in content:  # the chat template had opened the thoughts
        content = f"<think>\n{content.lstrip()}"
    found = [("content", thoughts_inside)]
    found += [(name, "".join(_texts_of(message.get(name)))) for name in _REASONING_FIELDS]
    for field, thoughts in found:
        if thoughts and not content.lstrip().startswith("<think>"):
            if not content and not ended(finish_reason):  # cut while thinking: nothing closed the thoughts
                return f"<think>\n{thoughts}", field, False
            return f"<think>\n{thoughts.strip()}\n</think>\n{content.lstrip()}", field, False
    return content, None, False


def _texts_of(content: Any) -> tuple[str, str]:
    """What a message's content says and what it thinks: a text, or parts of both, which may hold parts themselves."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list) or not all(isinstance(part, str | dict) for part in content):
        raise BrokenReplyError("the reply's message is not text")
    said, thought = [], []
    for part in content:
        if isinstance(part, str):
            said.append(part)
            continue
        is_thought = str(part.get("type") or "").startswith(_THOUGHTS)
        inside = next((part[key] for key in ("thinking", "text", "content", "summary") if part.get(key)), "")
        text, thoughts = _texts_of(inside)
        said.append("" if is_thought else text)
        thought.append(thoughts + (text if is_thought else ""))
    return "".join(said), "".join(thought)


def _encodable(text: str) -> str:
    """Half a surrogate pair, which JSON can carry and UTF-8 cannot, becomes U+FFFD."""
    return text.encode("utf-16", errors="surrogatepass").decode("utf-16", errors="replace")


def _count(value: Any) -> int | None:
    """A number of tokens; what no answer can have is none."""
    return value if is_count(value) else None


def _short(text: str) -> str:
    text = _encodable(" ".join(text.split()))
    return text if len(text) <= _MAX_MESSAGE_CHARACTERS else text[:_MAX_MESSAGE_CHARACTERS] + " ..."
