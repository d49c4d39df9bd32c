"""Vectors that are computed once and kept: for teacher trajectories, which return in every epoch and every run.

The cache of an encoder is a folder named by the digest of its identity, so that another encoder, revision, window or
part never meets these vectors. A hit gives the stored vector bit for bit.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from oger.encoders.base import Encoder, EncoderIdentity, checked_texts
from oger.encoders.identity import identity_digest, identity_record
from oger.encoders.vector_store import KEY_BYTES, VectorStore
from oger.io.whole import write_json
from oger.method.checks import all_finite
from oger.terminal.console import Terminal

_IDENTITY = "identity.json"
_STORED_TOGETHER = 256  # texts computed before they are on disk: what a killed process loses at most


class CachedEncoder:
    """An encoder that looks on disk first.

    Args:
        encoder: Computes what is not there.
        folder: Caches of any number of encoders; safe to share between processes and runs.
    """

    def __init__(self, encoder: Encoder, folder: str | Path) -> None:
        self._encoder = encoder
        digest = identity_digest(encoder.identity)
        self.computed = 0
        """Vectors that this object had to compute."""
        own = Path(folder).expanduser() / f"{encoder.identity.name}-{digest[:16]}"
        self._store = VectorStore(own, encoder.identity.dimension, bytes.fromhex(digest))
        if not (own / _IDENTITY).exists():  # for people: the digest in the folder's name tells them nothing
            write_json(own / _IDENTITY, identity_record(encoder))

    @property
    def identity(self) -> EncoderIdentity:
        """The identity of the encoder behind the cache: the vectors are the same."""
        return self._encoder.identity

    def __len__(self) -> int:
        """Vectors at hand."""
        return len(self._store)

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit rows of shape (N, E); see `Encoder.encode`.

        Raises:
            ValueError: the encoder gave a vector that is not finite.
        """
        texts = checked_texts(texts)
        if not texts:
            return torch.zeros(0, self.identity.dimension)
        keys = [_key(text) for text in texts]
        found = self._store.read(keys)
        if len(found) < len(set(keys)):
            self._store.refresh()
            found |= self._store.read(key for key in keys if key not in found)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        for start in range(0, len(missing), _STORED_TOGETHER):
            found |= self._compute(dict(list(missing.items())[start : start + _STORED_TOGETHER]))
        return torch.from_numpy(np.stack([found[key] for key in keys]).astype(np.float32, copy=False))

    def fill(self, texts: Sequence[str]) -> int:
        """Compute what is missing, with a progress bar on a terminal; returns the number of texts computed."""
        before = self.computed
        texts = list(dict.fromkeys(checked_texts(texts)))
        console = Terminal(stderr=True)
        starts = range(0, len(texts), _STORED_TOGETHER)
        for start in track(starts, "encoding", console=console, disable=not sys.stderr.isatty()):
            self.encode(texts[start : start + _STORED_TOGETHER])
        return self.computed - before

    def _compute(self, texts: dict[bytes, str]) -> dict[bytes, np.ndarray]:
        vectors_NE = self._encoder.encode(list(texts.values()))
        if not all_finite(vectors_NE):
            raise ValueError(f"the encoder {self.identity.name!r} gave a vector that is not finite")
        rows_NE = vectors_NE.float().numpy()
        self._store.add(list(texts), rows_NE)
        self.computed += len(texts)
        return dict(zip(texts, rows_NE, strict=True))


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=KEY_BYTES).digest()
