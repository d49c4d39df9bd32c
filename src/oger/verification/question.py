"""The text of the problem beside an answer: what it counts may stand behind the number."""

from collections.abc import Mapping
from typing import Any


def with_question(kind: str, metadata: Any, prompt: Any) -> Any:
    """The metadata of a row of kind "math" with what its prompt asks as "question"; of another kind as they are.

    Args:
        kind: The row's kind.
        metadata: The row's; a question that it states stays, and what is no mapping is left alone.
        prompt: A text, or the messages of a chat, the last of which asks.

    >>> with_question("math", None, "How many coins?")
    {'question': 'How many coins?'}
    >>> with_question("choice", None, "How many coins?") is None
    True
    """
    if kind != "math" or not (metadata is None or isinstance(metadata, Mapping)):
        return metadata
    text = prompt
    if isinstance(prompt, list | tuple) and prompt:
        text = prompt[-1].get("content") if isinstance(prompt[-1], Mapping) else None
    if isinstance(text, list):
        text = " ".join(str(part.get("text", "")) for part in text if isinstance(part, Mapping))
    if not isinstance(text, str) or not text.strip():
        return metadata
    return {"question": text, **(metadata or {})}
