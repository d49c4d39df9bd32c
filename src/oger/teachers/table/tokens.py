"""Lengths in tokens of the policy, end of sequence included."""

from __future__ import annotations

from collections.abc import Callable, Sequence

TokenCounter = Callable[[Sequence[str]], list[int]]

WITHOUT_TOKENIZER: dict[str, TokenCounter] = {
    "words": lambda texts: [len(text.split()) + 1 for text in texts],
    "characters": lambda texts: [len(text) + 1 for text in texts],
}
"""Counters for a look at data before the policy is chosen, and for policies that read characters."""


def token_counter(tokenizer: str) -> TokenCounter:
    """The counter of a tokenizer: a folder in transformers format, a hub id, "words" or "characters".

    Raises:
        ValueError: the tokenizer cannot be loaded; one line.
    """
    if tokenizer in WITHOUT_TOKENIZER:
        return WITHOUT_TOKENIZER[tokenizer]
    from oger.io.pretrained import load_tokenizer
    from oger.teachers.table.turn import plain_turn

    loaded = load_tokenizer(tokenizer)
    if loaded.eos_token_id is None:
        raise ValueError(f"the tokenizer {tokenizer!r} has no end-of-sequence token")
    turn = plain_turn(loaded)
    return lambda texts: [len(turn.token_ids(text)) for text in texts]
