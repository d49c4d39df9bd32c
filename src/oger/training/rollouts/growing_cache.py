"""A key-value cache with room to grow: a new token is written in place instead of copying all that came before it."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

_ROOM = 8
"""A full buffer grows by one part in `_ROOM`: each token is copied about `_ROOM` times over a whole generation, and at
most that share of the memory stands empty."""

_MIN_ROOM = 16  # tokens


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, (rows, heads, tokens, head size), as views of buffers that are longer.

    Args:
        layer: a filled layer of a `transformers.DynamicCache`, whose rows are taken over.
        rows: (N,) indices of the layer's rows, with repeats if wanted.
    """

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, layer: DynamicLayer, rows: torch.Tensor) -> None:
        assert layer.keys is not None, "a layer is taken over after the prefill"
        assert layer.values is not None, "a layer is taken over after the prefill"
        super().__init__()
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, True
        self._keys, self._values = layer.keys.index_select(0, rows), layer.values.index_select(0, rows)
        self._show(self._keys.shape[-2])

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Appends the new tokens; returns all keys and values."""
        length = self.get_seq_length()
        end = length + key_states.shape[-2]
        if end > self._keys.shape[-2]:
            self._keys, self._values = _with_room(self.keys, end), _with_room(self.values, end)
        self._keys[:, :, length:end] = key_states
        self._values[:, :, length:end] = value_states
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keeps the rows `indices`."""
        self._keys, self._values = self._keys.index_select(0, indices), self._values.index_select(0, indices)
        self._show(self.get_seq_length())

    def _show(self, num_tokens: int) -> None:
        self.keys, self.values = self._keys[:, :, :num_tokens], self._values[:, :, :num_tokens]


def _with_room(part: torch.Tensor, num_tokens: int) -> torch.Tensor:
    """A buffer that begins with `part` and has room for more than `num_tokens` tokens."""
    rows, heads, length, size = part.shape
    buffer = part.new_empty(rows, heads, num_tokens + max(num_tokens // _ROOM, _MIN_ROOM), size)
    buffer[:, :, :length] = part
    return buffer
