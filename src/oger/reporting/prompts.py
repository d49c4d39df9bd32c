"""Prompts for people: a chat as its turns, and what the user asked in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def readable_prompt(prompt: Any) -> str:
    """A chat, a list of messages or that list stored as JSON, as "role: content" lines; any other prompt as it is.

    >>> readable_prompt([{"role": "user", "content": "1 + 1?"}])
    'user: 1 + 1?'
    """
    messages = _messages(prompt)
    if messages is None:
        return str(prompt)
    return "\n".join(f"{message.get('role', 'message')}: {message['content']}" for message in messages)


def question(prompt: Any) -> str:
    """What the user asked, in one line: the last message of a chat that is the user's; any other prompt as it is.

    >>> question('[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}]')
    '1 + 1?'
    """
    messages = _messages(prompt) or [{"content": prompt}]
    asked = [message for message in messages if message.get("role") == "user"] or messages
    return " ".join(str(asked[-1]["content"]).split())


def _messages(prompt: Any) -> Sequence[dict[str, Any]] | None:
    """The messages of a chat, None for any other prompt."""
    messages = prompt
    if isinstance(prompt, str):
        if not prompt.startswith("["):
            return None
        try:
            messages = json.loads(prompt)
        except (ValueError, RecursionError):
            return None
    whole = isinstance(messages, list) and messages
    if not whole or not all(isinstance(message, dict) and "content" in message for message in messages):
        return None
    return messages
