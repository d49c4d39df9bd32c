r"""TRL-style reward functions: lists in, one number per completion out; None = undecided.

They work in a stock `trl.GRPOTrainer`: extra columns of the data set arrive as keyword arguments, repeated per rollout.
"""

from collections.abc import Sequence
from typing import Any

from oger.verification.formats import last_boxed
from oger.verification.verify import DEFAULT_KIND, verify

Completion = str | Sequence[dict[str, Any]]  # plain text, or the chat messages of the assistant's turn


def completion_text(completion: Completion) -> str:
    """The text of a completion: itself, or the contents of its messages."""
    if isinstance(completion, str):
        return completion
    return "".join(_content_text(message.get("content")) for message in completion)


def _content_text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)  # multi-part content


def accuracy_reward(
    prompts: Sequence[Any],
    completions: Sequence[Completion],
    answer: Sequence[str],
    kind: Sequence[str | None] | None = None,
    metadata: Sequence[Any] | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """Outcome reward R^m: 1.0 correct, 0.0 wrong, None undecided. Without a `kind`, answers are graded as "math"."""
    kinds = kind if kind is not None else [None] * len(completions)
    entries = metadata if metadata is not None else [None] * len(completions)
    return [
        verify(gold, completion_text(completion), kind=name or DEFAULT_KIND, metadata=entry).outcome
        for completion, gold, name, entry in zip(completions, answer, kinds, entries, strict=True)
    ]


def format_reward(completions: Sequence[Completion], **kwargs: Any) -> list[float]:
    r"""1.0 if the completion holds a complete \boxed{...}, else 0.0."""
    return [float(last_boxed(completion_text(completion)) is not None) for completion in completions]
