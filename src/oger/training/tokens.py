"""Where the tokens of a text end among its characters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any


def token_ends(ids: Sequence[int], tokenizer: Any) -> list[int]:
    """For each token, the number of characters of the decoded text that it and the tokens before it make."""
    text = tokenizer.decode(ids, skip_special_tokens=True)
    pieces = tokenizer.batch_decode([[token] for token in ids], skip_special_tokens=True)
    if "".join(pieces) == text:
        return list(accumulate(len(piece) for piece in pieces))
    # Characters that are split over tokens, or blanks that a decoder adds: ask for every prefix.
    return [len(tokenizer.decode(ids[: count + 1], skip_special_tokens=True)) for count in range(len(ids))]
