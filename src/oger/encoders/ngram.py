"""Hashed character n-grams: an encoder without a download, quick on a CPU, that reads a text of any length.

Each text becomes the signed counts of its character n-grams (lengths 2 to 4), hashed into 4,096 places and scaled to
length one; the signs make collisions cancel on average, so texts without a common n-gram have a cosine near 0. It sees
wording, not meaning: enough to tell one worked style from another. Case counts; a run of white space counts as one
blank; a text of fewer than two characters has no n-gram and gives the zero row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

from oger.encoders.base import EncoderIdentity

_NGRAM_LENGTHS = (2, 4)
_NUM_FEATURES = 4096


class NgramEncoder:
    """`Encoder` over hashed character n-grams."""

    identity = EncoderIdentity(
        name="ngram", revision="char-2-4.signed.1", dimension=_NUM_FEATURES, window=None, pooling="count"
    )

    @cached_property
    def _vectorizer(self) -> Any:
        import numpy as np
        from sklearn.feature_extraction.text import HashingVectorizer

        return HashingVectorizer(
            analyzer="char",
            ngram_range=_NGRAM_LENGTHS,
            n_features=_NUM_FEATURES,
            lowercase=False,
            norm="l2",
            alternate_sign=True,
            dtype=np.float32,
        )

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit rows of shape (N, 4096); see `Encoder.encode`."""
        if isinstance(texts, str):
            raise ValueError("encode takes a sequence of texts, not one text")
        if not texts:
            return torch.zeros(0, _NUM_FEATURES)
        return torch.from_numpy(self._vectorizer.transform(texts).toarray())


def from_argument(argument: str) -> NgramEncoder:
    """The encoder of the spec "ngram", which takes no argument."""
    if argument:
        raise ValueError(f"the encoder 'ngram' takes no argument, got {argument!r}")
    return NgramEncoder()
