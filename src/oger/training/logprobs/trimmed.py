"""Forward passes without the padding: rows of similar length run together, each chunk cut to its own longest row.

A batch of rollouts is as wide as its longest one, and with lengths as uneven as reasoning models write them most of
that is padding. Values and gradients are those of the one padded forward, up to the order of floating-point sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from oger.training.logprobs.fused_head import fused_head_for
from oger.training.step import ScoreTokens


def length_chunks(
    attention_mask: Tensor, prompt_width: int, num_chunks: int, *, idle_R: Tensor | None = None
) -> Iterator[tuple[Tensor, slice]]:
    """(rows, columns) of each chunk: as many chunks as are asked for, about equally large, by length of the completion.

    Every rank makes the same number of chunks for the same number of rows, as sharded models need.

    Args:
        attention_mask: (R, P + T), prompts padded on the left, completions on the right.
        prompt_width: P.
        num_chunks: at least 1; where there are fewer rows, one per row.
        idle_R: True on rows that may be left out. Some of them stay where there would be fewer rows than chunks.
    """
    prompt_mask, completion_mask = attention_mask[:, :prompt_width], attention_mask[:, prompt_width:]
    prompt_R, completion_R = prompt_mask.sum(dim=1), completion_mask.sum(dim=1)
    order_R = completion_R.argsort(stable=True)
    num_chunks = min(num_chunks, len(order_R))
    if idle_R is not None:
        idle, busy = order_R[idle_R[order_R]], order_R[~idle_R[order_R]]
        order_R = torch.cat([idle[: max(0, num_chunks - len(busy))], busy])
    chunks = order_R.tensor_split(num_chunks)
    widths = [(rows, prompt_R[rows].amax(), completion_R[rows].amax().clamp(min=1)) for rows in chunks]
    # One transfer for all chunks; a tensor's number on the host waits for the device.
    bounds = torch.stack([torch.stack([prompt, completion]) for _, prompt, completion in widths]).tolist()
    for (rows, _, _), (prompt, completion) in zip(widths, bounds, strict=True):
        yield rows, slice(prompt_width - int(prompt), prompt_width + int(completion))


def trimmed_log_probs(
    score_tokens: ScoreTokens,
    model: Any,
    input_ids: Tensor,
    attention_mask: Tensor,
    width: int,
    *,
    num_chunks: int,
    compute_entropy: bool,
    idle_R: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities and entropies of the last `width` tokens of every row, (R, width); 0 where a row is padding.

    Args:
        score_tokens: runs each chunk.
        input_ids: (R, P + width), prompts padded on the left, completions on the right.
        attention_mask: same shape.
        width: completion columns.
        num_chunks: chunks at most; 1 is one padded forward with TRL's own head.
        idle_R: True on rows that may be left out; their values are not to be read.
    """
    if num_chunks == 1 and idle_R is None:
        logps_RW, entropy_RW, _ = score_tokens(model, input_ids, attention_mask, width, compute_entropy=compute_entropy)
        return logps_RW, entropy_RW
    prompt_width = input_ids.size(1) - width
    order, logps, entropies = [], [], []
    for rows, columns in length_chunks(attention_mask, prompt_width, num_chunks, idle_R=idle_R):
        kept = columns.stop - prompt_width
        with fused_head_for(input_ids.device) if num_chunks > 1 else nullcontext():
            logps_CK, entropy_CK, _ = score_tokens(
                model, input_ids[rows, columns], attention_mask[rows, columns], kept, compute_entropy=compute_entropy
            )
        pad = (0, width - kept)
        order.append(rows)
        logps.append(torch.nn.functional.pad(logps_CK, pad))
        if entropy_CK is not None:
            entropies.append(torch.nn.functional.pad(entropy_CK, pad))
    computed = torch.cat(order)

    def in_order(values: list[Tensor]) -> Tensor:
        rows = torch.cat(values)
        return rows.new_zeros(len(input_ids), width).index_copy(0, computed, rows)

    return in_order(logps), in_order(entropies) if entropies else None
