"""`sentence-transformers:MODEL`: any sentence encoder of that library, from a folder or from the hub.

A text that fits into the model's window gets the vector that the library gives it; a longer one, which the library
would silently cut, is read in pieces (`oger.encoders.window`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from oger.encoders.base import EncoderIdentity, checked_texts
from oger.encoders.hardware import BATCH_TOKENS, chosen_device, chosen_dtype, positive
from oger.encoders.source import find_model, require
from oger.encoders.window import Piece, TokenWindow, encode_in_pieces, window_size
from oger.method.divergence import unit_rows
from oger.terminal.errors import one_line
from oger.words import choose

_NAME = "sentence-transformers"


class SentenceEncoder:
    """`Encoder` over a `sentence_transformers.SentenceTransformer`.

    Args:
        model: The loaded model; put into evaluation mode and frozen.
        fingerprint: What changes when the model's files change.
        prompt: Text before every piece; "" = none.
        window: Tokens read at once; None = as many as the model reads.
        batch_tokens: Most tokens of a batch.

    Raises:
        ValueError: the model's texts cannot be cut, or the window has no room.
    """

    def __init__(self, model: Any, fingerprint: str, *, prompt: str, window: int | None, batch_tokens: int) -> None:
        self._model = model.eval().requires_grad_(False)
        self._prompt = prompt
        self._batch_tokens = batch_tokens
        limit = window_size([model.max_seq_length, _positions(model.transformers_model)], window)
        self._window = _token_window(model, limit, prompt)
        self.identity = EncoderIdentity(
            name=_NAME,
            revision=f"{fingerprint} dtype={str(model.dtype).removeprefix('torch.')} prompt={prompt!r}",
            dimension=model.get_embedding_dimension() or self._direct(["a"]).shape[1],
            window=limit if self._window else None,
            pooling="unit vectors of pieces, mean weighted by tokens",
        )

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit rows of shape (N, E); see `Encoder.encode`."""
        if self._window is None:
            return self._encode_whole(checked_texts(texts))
        return encode_in_pieces(
            texts, self._window, self._forward, dimension=self.identity.dimension, batch_tokens=self._batch_tokens
        )

    def num_tokens(self, texts: Sequence[str]) -> list[int] | None:
        """Tokens of each text; compare with `identity.window`. None for a model that reads texts of any length."""
        return None if self._window is None else self._window.count(texts)

    @torch.no_grad()
    def _forward(self, pieces: list[Piece]) -> torch.Tensor:
        assert self._window is not None
        features: dict[str, Any] = dict(
            self._model.tokenizer.pad({"input_ids": [piece.ids for piece in pieces]}, return_tensors="pt")
        )
        features = {name: tensor.to(self._model.device) for name, tensor in features.items()}
        if self._prompt:  # some models leave the prompt out of their pooling
            features["prompt_length"] = len(self._window.prefix) + self._window.prompt_tokens
        return unit_rows(self._model(features)["sentence_embedding"].to(torch.float32))

    def _encode_whole(self, texts: list[str]) -> torch.Tensor:
        """For models that read a text of any length, such as static ones."""
        unique = {text: index for index, text in enumerate(dict.fromkeys(text for text in texts if text.strip()))}
        vectors_NE = torch.zeros(len(texts), self.identity.dimension)
        if unique:
            rows = [index for index, text in enumerate(texts) if text in unique]
            vectors_NE[rows] = self._direct(list(unique))[[unique[texts[row]] for row in rows]]
        return vectors_NE

    def _direct(self, texts: list[str]) -> torch.Tensor:
        vectors_NE = self._model.encode(texts, prompt=self._prompt or None, convert_to_tensor=True)
        return unit_rows(vectors_NE.to("cpu", torch.float32))


def from_argument(
    argument: str,
    *,
    prompt: str | None = None,
    prompt_name: str | None = None,
    dtype: str = "float32",
    device: str | None = None,
    batch_tokens: int = BATCH_TOKENS,
    window: int | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> SentenceEncoder:
    """The encoder of the spec "sentence-transformers:FOLDER" or "sentence-transformers:HUB_ID".

    Raises:
        ValueError: the library is not installed, there is no such model, or an option cannot be used.
        FileNotFoundError: no such folder.
    """
    if prompt is not None and prompt_name is not None:
        raise ValueError("prompt and prompt_name contradict each other: give one")
    model_kwargs = {"dtype": chosen_dtype(dtype)}
    where, batch_tokens = chosen_device(device), positive("batch_tokens", batch_tokens)
    library = require("sentence_transformers", encoder=_NAME)
    source = find_model(argument, encoder=_NAME, revision=revision)
    try:
        model = library.SentenceTransformer(
            source.location,
            device=str(where),
            revision=source.commit,
            model_kwargs=model_kwargs,
            trust_remote_code=trust_remote_code,
        )
    except (OSError, ValueError, KeyError) as error:  # fault boundary: the files of a model
        raise ValueError(f"{argument} holds no sentence encoder: {one_line(error)}") from error
    model.to(model_kwargs["dtype"])  # modules behind the transformer too
    text = _prompt_text(model, prompt, prompt_name)
    return SentenceEncoder(model, source.fingerprint, prompt=text, window=window, batch_tokens=batch_tokens)


def _prompt_text(model: Any, prompt: str | None, prompt_name: str | None) -> str:
    """The prompt asked for, else the one that the model uses unasked."""
    if prompt is not None:
        return prompt
    name = prompt_name or model.default_prompt_name
    return choose(model.prompts, name, "prompt of the model") if name else ""


def _token_window(model: Any, limit: int | None, prompt: str) -> TokenWindow | None:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

    if "message" in model.modalities:
        raise ValueError("the model reads chat messages, not texts: it cannot encode trajectories")
    if isinstance(model.tokenizer, PreTrainedTokenizerBase):
        return TokenWindow(model.tokenizer, limit, prompt)
    if isinstance(model.tokenizer, Tokenizer):
        model.tokenizer.no_truncation()  # files of static models carry a limit that their library heeds silently
    if limit is not None:
        raise ValueError(f"the model reads {limit} tokens at once and has no tokenizer of transformers to cut texts by")
    return None


def _positions(model: Any) -> int | None:
    """Positions of the transformer, less those that models of RoBERTa's family keep for padding."""
    if model is None:
        return None
    for module in model.modules():
        table, padding = getattr(module, "position_embeddings", None), getattr(module, "padding_idx", None)
        if isinstance(table, torch.nn.Embedding) and isinstance(padding, int):
            return table.num_embeddings - padding - 1
    return getattr(model.config, "max_position_embeddings", None)
