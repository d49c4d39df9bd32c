"""`policy-init:FOLDER`: what the untrained policy itself makes of a text.

A text's vector is the mean of the policy's last hidden states over the text's own tokens; special tokens, whose states
are alike in all texts, are left out. The encoder holds its own frozen copy of the policy as it was before training: the
identity carries a digest of its files, so that a resumed run cannot go on with a trained policy in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from oger.encoders.base import EncoderIdentity
from oger.encoders.hardware import BATCH_TOKENS, chosen_device, chosen_dtype, positive
from oger.encoders.source import find_model
from oger.encoders.window import Piece, TokenWindow, encode_in_pieces, window_size
from oger.io.pretrained import load_tokenizer
from oger.terminal.errors import one_line

_NAME = "policy-init"


class PolicyInitEncoder:
    """`Encoder` over the hidden states of a causal language model.

    Args:
        model: The model without its head; put into evaluation mode and frozen.
        tokenizer: Its tokenizer.
        fingerprint: What changes when the model's files change.
        window: Tokens read at once; None = as many as the model has positions.
        batch_tokens: Most tokens of a batch.
    """

    def __init__(self, model: Any, tokenizer: Any, fingerprint: str, *, window: int | None, batch_tokens: int) -> None:
        self._model = model.eval().requires_grad_(False)
        config = model.config.get_text_config()
        limit = window_size([getattr(config, "max_position_embeddings", None)], window)
        self._window = TokenWindow(tokenizer, limit)
        self._batch_tokens = batch_tokens
        self.identity = EncoderIdentity(
            name=_NAME,
            revision=f"{fingerprint} dtype={str(model.dtype).removeprefix('torch.')}",
            dimension=config.hidden_size,
            window=limit,
            pooling="mean of last hidden states",
        )

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit rows of shape (N, E); see `Encoder.encode`."""
        return encode_in_pieces(
            texts, self._window, self._forward, dimension=self.identity.dimension, batch_tokens=self._batch_tokens
        )

    def num_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; compare with `identity.window`."""
        return self._window.count(texts)

    @torch.no_grad()
    def _forward(self, pieces: list[Piece]) -> torch.Tensor:
        """Mean hidden states of each piece, (B, E)."""
        longest = max(len(piece.ids) for piece in pieces)
        # Padded on the right, where a causal model cannot see it from the tokens that count.
        ids_BT = torch.tensor([piece.ids + [0] * (longest - len(piece.ids)) for piece in pieces])
        length_B = torch.tensor([len(piece.ids) for piece in pieces])
        position_T = torch.arange(longest)
        attention_BT = position_T < length_B[:, None]
        first, last_B = len(self._window.prefix), length_B - len(self._window.suffix)
        own_BT = (position_T >= first) & (position_T < last_B[:, None])
        device = self._model.device
        hidden_BTE = self._model(
            input_ids=ids_BT.to(device), attention_mask=attention_BT.long().to(device), use_cache=False
        ).last_hidden_state.to(torch.float32)
        own_BT = own_BT.to(device)
        sum_BE = (hidden_BTE * own_BT[:, :, None]).sum(dim=1)
        return sum_BE / own_BT.sum(dim=1, keepdim=True)


def from_argument(
    argument: str,
    *,
    dtype: str = "float32",
    device: str | None = None,
    batch_tokens: int = BATCH_TOKENS,
    window: int | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> PolicyInitEncoder:
    """The encoder of the spec "policy-init:FOLDER" or "policy-init:HUB_ID".

    Raises:
        ValueError: there is no such model, or an option cannot be used.
        FileNotFoundError: no such folder.
    """
    where, batch_tokens = chosen_device(device), positive("batch_tokens", batch_tokens)
    options = {"trust_remote_code": trust_remote_code}
    precision = chosen_dtype(dtype)
    source = find_model(argument, encoder=_NAME, revision=revision)
    from transformers import AutoModel

    try:
        tokenizer = load_tokenizer(source.location, label=argument, revision=source.commit or "main", **options)
        model = AutoModel.from_pretrained(
            source.location, revision=source.commit or "main", dtype=precision, **options
        ).to(where)
    except (OSError, ValueError, KeyError) as error:  # fault boundary: the files of a model
        raise ValueError(f"{argument} holds no policy: {one_line(error)}") from error
    return PolicyInitEncoder(model, tokenizer, source.fingerprint, window=window, batch_tokens=batch_tokens)
