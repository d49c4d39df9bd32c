r"""Hashed n-grams: an encoder without a download, quick on a CPU, that reads a text of any length.

Each text becomes the signed counts of its n-grams, hashed into a fixed number of places and scaled to length one; the
signs make collisions cancel on average, so texts without a common n-gram have a cosine near 0. It sees wording, not
meaning: enough to tell one worked style from another. Case counts.

"ngram" counts runs of 2 to 4 characters (a run of white space counts as one blank; a text of fewer than two characters
has none and gives the zero row). "ngram:word" counts runs of 1 to 2 words; a number is a word and so is each sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from oger.encoders.base import EncoderIdentity, checked_texts
from oger.words import choose

_LENGTHS = {"char": (2, 4), "word": (1, 2)}
_FEATURES = 4096
_WORD = r"\w+|[^\w\s]"  # scikit-learn's own pattern drops every sign and every one-digit number


class NgramEncoder:
    """`Encoder` over hashed n-grams.

    Args:
        analyzer: "char" or "word".
        lengths: Shortest and longest n-gram, in characters or words.
        features: E, the number of places that n-grams are hashed into.

    Raises:
        ValueError: a value that cannot be used.
    """

    def __init__(self, analyzer: str = "char", lengths: Sequence[int] | None = None, features: int = _FEATURES) -> None:
        default = choose(_LENGTHS, analyzer, "sort of n-gram")
        self._analyzer = analyzer
        self._lengths = default if lengths is None else _checked_lengths(lengths)
        if not _is_count(features):
            raise ValueError(f"features={features!r} must be a whole number above 0")
        self._features = features
        shortest, longest = self._lengths
        self.identity = EncoderIdentity(
            name="ngram",
            revision=f"{analyzer}-{shortest}-{longest}.signed.1",
            dimension=features,
            window=None,
            pooling="count",
        )

    @cached_property
    def _vectorizer(self) -> Any:
        from sklearn.feature_extraction.text import HashingVectorizer

        return HashingVectorizer(
            analyzer=self._analyzer,
            token_pattern=_WORD if self._analyzer == "word" else None,
            ngram_range=self._lengths,
            n_features=self._features,
            lowercase=False,
            norm="l2",
            alternate_sign=True,
            dtype=np.float32,
        )

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit rows of shape (N, E); see `Encoder.encode`."""
        texts = checked_texts(texts)
        if not texts:
            return torch.zeros(0, self._features)
        return torch.from_numpy(self._vectorizer.transform(texts).toarray())


def from_argument(argument: str, *, lengths: Sequence[int] | None = None, features: int = _FEATURES) -> NgramEncoder:
    """The encoder of the spec "ngram", "ngram:char" or "ngram:word"."""
    return NgramEncoder(argument or "char", lengths, features)


def _checked_lengths(lengths: Sequence[int]) -> tuple[int, int]:
    if not isinstance(lengths, Sequence) or len(lengths) != 2 or not all(_is_count(length) for length in lengths):
        raise ValueError(f"lengths={lengths!r} must be two whole numbers above 0: [shortest, longest]")
    shortest, longest = lengths
    if shortest > longest:
        raise ValueError(f"lengths={list(lengths)} must be [shortest, longest]")
    return shortest, longest


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
