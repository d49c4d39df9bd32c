"""OGER's head in the place of TRL's where there is no GPU.

TRL's fused head scores tokens without holding all their logits, 4,096 tokens by 32,768 entries of the vocabulary at a
time. On a GPU a Triton kernel works on that tile. On a CPU every step of the softmax writes another array of that size,
and prompts and padding are projected too, only to be masked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from trl.kernels import ChunkedLogProbFunction
from trl.trainer import utils

from oger.method.chunked_head import chunked_log_probs


@contextmanager
def fused_head_for(device: torch.device) -> Iterator[None]:
    """While it lasts, forwards with `fused_lm_head=True` go through `chunked_log_probs` if the device is a CPU.

    Tokens without a label are then left out. Values are those of TRL's head up to rounding. Heads with a bias, capped
    logits and other types than float32 and float64 keep TRL's. Sets two names of `trl.trainer.utils` and puts them
    back, so only one thread at a time may be inside; the backward pass may come later.

    Raises:
        AttributeError: if TRL no longer has these names.
    """
    if device.type != "cpu":
        yield
        return
    names: Any = utils
    head, leaves_out = names._ChunkedLogProbFunction, names._use_triton
    names._ChunkedLogProbFunction, names._use_triton = _Head, lambda device: True
    try:
        yield
    finally:
        names._ChunkedLogProbFunction, names._use_triton = head, leaves_out


class _Head:
    """What TRL's fused forward calls, with its arguments and results."""

    @staticmethod
    def apply(
        hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, temperature: float, chunk_size: int,
        softcap: float | None, logit_scale: float, outputs: tuple[str, ...],
    ) -> tuple[Any, ...]:  # fmt: skip
        exact = hidden.dtype == weight.dtype and hidden.dtype in (torch.float32, torch.float64)
        if bias is not None or softcap is not None or not exact or torch.is_autocast_enabled("cpu"):
            return ChunkedLogProbFunction.apply(
                hidden, weight, bias, targets, temperature, chunk_size, softcap, logit_scale, outputs
            )
        logps, entropy = chunked_log_probs(
            hidden, weight, targets, temperature=temperature / logit_scale, with_entropy="entropy" in outputs
        )
        return logps, entropy, None, None, None
