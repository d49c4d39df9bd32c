"""Reading texts that are longer than a model's window: cut on token boundaries, encode the pieces, average.

The model's own tokenizer turns the whole text into token ids; these are dealt out to as few pieces as possible, all of
nearly the same length, each wrapped into the tokenizer's special tokens (and the prompt's tokens, where there is a
prompt). No piece exceeds the window, and no token is left out. A text's vector is the mean of its pieces' vectors,
weighted by the number of the text's own tokens in them, then scaled to length one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import torch

from oger.encoders.base import checked_texts
from oger.method.checks import all_finite
from oger.method.divergence import unit_rows

_NO_LIMIT = 10**9  # tokenizers say 1e30 where they know no limit
_TOGETHER = 256  # texts that are tokenised and sorted by length together


@dataclass(frozen=True)
class Piece:
    """What a model reads at once."""

    text: int
    """Index of the text it comes from."""
    ids: list[int]
    """Token ids: special tokens, prompt, the text's own tokens, special tokens."""
    own_tokens: int
    """How many of the ids are the text's own."""


class TokenWindow:
    """Cuts texts into pieces of at most `size` tokens.

    Args:
        tokenizer: The model's own, of transformers.
        size: Window in tokens, special tokens and prompt included; None = no limit.
        prompt: Text that stands before every piece.

    Raises:
        ValueError: special tokens and prompt leave no room in the window.
    """

    def __init__(self, tokenizer: Any, size: int | None, prompt: str = "") -> None:
        self._tokenizer = tokenizer
        self._prompt = prompt
        self.prefix, self.suffix = self._special_tokens()
        # Tokens that every text begins with, whatever follows the prompt; one that straddles the two is the text's.
        self.prompt_tokens = self._shared_tokens(prompt) if prompt else 0
        taken = len(self.prefix) + len(self.suffix) + self.prompt_tokens
        if size is not None and size <= taken:
            raise ValueError(f"special tokens and prompt take {taken} tokens: no room in a window of {size}")
        self._room = None if size is None else size - taken

    def pieces(self, texts: Sequence[str]) -> list[Piece]:
        """The pieces of all texts, in order; a text of white space alone has none."""
        full = [index for index, text in enumerate(texts) if text.strip()]
        if not full:
            return []
        pieces = []
        for index, ids in zip(full, self._ids([self._prompt + texts[index] for index in full]), strict=True):
            prompt, own = ids[: self.prompt_tokens], ids[self.prompt_tokens :]
            for chunk in _even_chunks(own, self._room):
                pieces.append(Piece(index, [*self.prefix, *prompt, *chunk, *self.suffix], len(chunk)))
        return pieces

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by itself, special tokens and prompt left out."""
        return [len(ids) for ids in self._ids(list(texts))] if texts else []

    def _shared_tokens(self, prompt: str) -> int:
        one, other = self._ids([prompt + "a", prompt + "7"])
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))

    def _ids(self, texts: list[str], *, special: bool = False) -> list[list[int]]:
        return self._tokenizer(
            texts,
            add_special_tokens=special,
            truncation=False,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]

    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """Ids that the tokenizer puts before and after a text."""
        [bare], [wrapped] = self._ids(["a"]), self._ids(["a"], special=True)
        for start in range(len(wrapped) - len(bare) + 1):
            if wrapped[start : start + len(bare)] == bare:
                return wrapped[:start], wrapped[start + len(bare) :]
        raise ValueError("the tokenizer does not put its special tokens round a text: its texts cannot be cut")


def _even_chunks(ids: list[int], room: int | None) -> Iterator[list[int]]:
    if not ids:
        return
    count = 1 if room is None else math.ceil(len(ids) / room)
    for number in range(count):
        yield ids[len(ids) * number // count : len(ids) * (number + 1) // count]


def encode_in_pieces(
    texts: Sequence[str],
    window: TokenWindow,
    forward: Callable[[list[Piece]], torch.Tensor],
    *,
    dimension: int,
    batch_tokens: int,
) -> torch.Tensor:
    """Unit rows of shape (N, E), float32 on the CPU.

    Args:
        texts: N texts; equal ones are read once, so that their rows are equal.
        window: Cuts them.
        forward: Pieces of one batch to their vectors (B, E).
        dimension: E.
        batch_tokens: Most tokens of one batch, padding included; a piece that is longer goes alone.

    Raises:
        ValueError: one text instead of a sequence, or a vector that is not finite.
    """
    texts = checked_texts(texts)
    unique = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    # Summed in float64, so that the order of batches, which depends on the other texts, does not show.
    sum_UE = torch.zeros(len(unique), dimension, dtype=torch.float64)
    for batch in _all_batches(list(unique), window, batch_tokens):
        vector_BE = forward(batch).to("cpu", torch.float64)
        if not all_finite(vector_BE):
            raise ValueError("the encoder gave a vector that is not finite; dtype float32 may help")
        weight_B = torch.tensor([piece.own_tokens for piece in batch], dtype=torch.float64)
        sum_UE.index_add_(0, torch.tensor([piece.text for piece in batch]), vector_BE * weight_B[:, None])
    return unit_rows(sum_UE).to(torch.float32)[[unique[text] for text in texts]]


def _all_batches(texts: list[str], window: TokenWindow, batch_tokens: int) -> Iterator[list[Piece]]:
    """Batches of a few texts at a time: the token ids of thousands of long texts would fill the memory."""
    for start in range(0, len(texts), _TOGETHER):
        for batch in _batches(window.pieces(texts[start : start + _TOGETHER]), batch_tokens):
            yield [replace(piece, text=start + piece.text) for piece in batch]


def _batches(pieces: list[Piece], batch_tokens: int) -> Iterator[list[Piece]]:
    """Batches of pieces of similar length, longest first: little padding, and the largest batch fails first."""
    batch: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: len(piece.ids), reverse=True):
        if batch and (len(batch) + 1) * len(batch[0].ids) > batch_tokens:
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def window_size(limits: Sequence[float | None], asked: int | None) -> int | None:
    """The smallest known limit, or the smaller one asked for.

    Raises:
        ValueError: more tokens are asked for than the model reads.
    """
    known = [int(limit) for limit in limits if limit is not None and limit <= _NO_LIMIT]
    largest = min(known, default=None)
    if asked is None:
        return largest
    if asked < 1 or (largest is not None and asked > largest):
        raise ValueError(f"window={asked} must be at least 1" + (f" and at most {largest}" if largest else ""))
    return asked
