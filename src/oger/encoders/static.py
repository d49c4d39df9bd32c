"""`static:FOLDER`: static embeddings of model2vec; one vector per token, averaged over the whole text.

About as quick as n-grams, and it knows that different words can mean the same. Order does not count. The model's own
limit of tokens is lifted: a text of any length is read to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from oger.encoders.base import EncoderIdentity, checked_texts
from oger.encoders.source import ModelSource, find_model, require
from oger.method.divergence import unit_rows
from oger.terminal.errors import one_line

_NAME = "static"
_FILES = ["*.json", "*.safetensors"]


class StaticEncoder:
    """`Encoder` over a model2vec `StaticModel`."""

    def __init__(self, model: Any, fingerprint: str) -> None:
        self._model = model
        self.identity = EncoderIdentity(
            name=_NAME, revision=fingerprint, dimension=int(model.dim), window=None, pooling="mean of token vectors"
        )

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit rows of shape (N, E); see `Encoder.encode`. A text without a known token gives the zero row."""
        texts = checked_texts(texts)
        if not texts:
            return torch.zeros(0, self.identity.dimension)
        vectors_NE = self._model.encode(texts, max_length=None, normalize=False, use_multiprocessing=False)
        return unit_rows(torch.from_numpy(vectors_NE).to(torch.float64)).to(torch.float32)


def from_argument(argument: str, *, revision: str | None = None) -> StaticEncoder:
    """The encoder of the spec "static:FOLDER" or "static:HUB_ID".

    Raises:
        ValueError: model2vec is not installed, or there is no such model.
        FileNotFoundError: no such folder.
    """
    model2vec = require("model2vec", encoder=_NAME)
    source = find_model(argument, encoder=_NAME, revision=revision)
    try:
        model = model2vec.StaticModel.from_pretrained(_folder(source), force_download=False)
    except (OSError, ValueError, KeyError) as error:  # fault boundary: the files of a model
        raise ValueError(f"{argument} holds no static model: {one_line(error)}") from error
    return StaticEncoder(model, source.fingerprint)


def _folder(source: ModelSource) -> str:
    if source.commit is None:
        return source.location
    from huggingface_hub import snapshot_download

    return snapshot_download(source.location, revision=source.commit, allow_patterns=_FILES)
