"""Values of a source row in the form that the table needs, or why they have none."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from oger.io.answers import AnswerError, answer_text
from oger.teachers.curate.records import BadRowError
from oger.teachers.table.schema import Prompt


class DroppedError(ValueError):
    """A stage objects; `reason` is a key of REASONS."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def clean_prompt(value: Any) -> Prompt:
    """The prompt in Unicode's form C with line ends as \\n; its outer white space stays, since policies read it.

    Raises:
        BadRowError: neither a text nor chat messages.
    """
    if isinstance(value, str):
        return _clean_part(value, "the prompt")
    if not isinstance(value, list) or not value:
        raise BadRowError("the prompt is neither a text nor a list of messages")
    messages: list[dict[str, str]] = []
    for message in value:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRowError("a message of the prompt has no role")
        if not isinstance(message.get("content"), str):
            raise BadRowError("a message of the prompt has no text as its content")
        content = _clean_part(message["content"], "a message of the prompt", may_be_empty=message["role"] == "system")
        messages.append({"role": message["role"], "content": content})
    if not any(message["role"] != "system" for message in messages):
        raise BadRowError("the prompt is a system message alone")
    return messages


def _clean_part(text: str, what: str, *, may_be_empty: bool = False) -> str:
    if not is_unicode(text):
        raise BadRowError(f"{what} is not Unicode text")
    if not text.strip() and not may_be_empty:
        raise BadRowError(f"{what} is empty")
    return clean_text(text)


def clean_text(text: str) -> str:
    """Unicode's form C with line ends as \\n."""
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")


def clean_gold(value: Any) -> str:
    try:
        text = answer_text(value).strip()
    except AnswerError as error:
        raise DroppedError("no gold", str(error)) from None
    if not text or not is_unicode(text):
        raise DroppedError("no gold", "the gold answer is empty or not Unicode text")
    return text


def clean_metadata(value: Any) -> str | None:
    """JSON text; a text that is no JSON becomes a JSON string."""
    if value is None:
        return None
    try:
        if isinstance(value, str):
            try:
                json.loads(value)
            except ValueError:
                value = json.dumps(value, ensure_ascii=False)
            text = value
        else:
            text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DroppedError("bad metadata", f"the metadata cannot be written as JSON: {error}") from error
    if not is_unicode(text):
        raise DroppedError("bad metadata", "the metadata is not Unicode text")
    return str(text)


def is_unicode(text: str) -> bool:
    """Whether it can be stored: JSON can smuggle in half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
