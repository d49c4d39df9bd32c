"""What every encoder of trajectories promises.

An encoder is frozen: the same text gives the same vector in every process and in every batch. It reads the whole
text, however long: an encoder with a window cuts the text into chunks, averages the chunk vectors and renormalises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch


@dataclass(frozen=True, kw_only=True)
class EncoderIdentity:
    """Enough to tell whether two runs, or a cache and a run, speak of the same vectors."""

    name: str
    """Registered name, such as "ngram"."""
    revision: str
    """Changes whenever the vectors change."""
    dimension: int
    """E, the length of a vector."""
    window: int | None
    """Tokens read at once; None means that a text of any length is read in one piece."""
    pooling: str
    """How the pieces of a text become one vector."""
    part: str = "full"
    """What of a text is encoded; see `oger.encoders.parts`."""


@runtime_checkable
class Encoder(Protocol):
    """Texts in, unit rows out."""

    @property
    def identity(self) -> EncoderIdentity:
        """What these vectors are."""

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Vectors of shape (N, E), float32 on the CPU, one unit row per text.

        A text with nothing to encode (the empty text) gives the zero row: its cosine with everything is 0, so its
        divergence from every teacher is 1.
        """


def count_tokens(encoder: Encoder, texts: Sequence[str]) -> list[int] | None:
    """Tokens of each text by the encoder's own tokenizer; None for an encoder that has none (no `num_tokens`)."""
    count = getattr(encoder, "num_tokens", None)
    return None if count is None else count(texts)


def checked_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list, with lone surrogates (which JSON can hold and UTF-8 cannot) replaced by U+FFFD.

    Raises:
        ValueError: one text was given instead of a sequence.
    """
    if isinstance(texts, str):
        raise ValueError("encode takes a sequence of texts, not one text")
    return [text if text.isascii() else _well_formed(text) for text in texts]


def _well_formed(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
