"""Confidence of a rollout from the policy's own entropy: c = exp(-H), near 1 where the policy is sure.

Source: OGER (arXiv 2604.18530), entropy-aware modulation of the exploration reward. Its preset takes H at the last
token of the rollout; the other reductions are options.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from oger.method.checks import at_least_float32, require_rank, require_shape
from oger.words import choose

# Entropies are non-negative; a sum of float32 (or a log-softmax in half precision) may fall this far below 0.
_MAX_ROUNDING = 1e-4


def _last_k(mask_BT: Tensor, k: int, span_BT: Tensor | None) -> Tensor:
    """The last k tokens under the mask, which need not be contiguous."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    place_from_end_BT = mask_BT.flip(1).cumsum(dim=1).flip(1)  # 1 at the last token under the mask
    return mask_BT & (place_from_end_BT <= k)


def _answer_span(mask_BT: Tensor, k: int, span_BT: Tensor | None) -> Tensor:
    """The tokens of the answer; the whole rollout where no answer was found."""
    if span_BT is None:
        raise ValueError("reduction 'answer_span' needs span_BT")
    require_shape("span_BT", span_BT, mask_BT.shape)
    answer_BT = span_BT.bool() & mask_BT
    return torch.where(answer_BT.any(dim=1, keepdim=True), answer_BT, mask_BT)


@dataclass(frozen=True)
class Reduction:
    """Which tokens an entropy is averaged over."""

    select: Callable[[Tensor, int, Tensor | None], Tensor]  # (mask, k, span) -> mask
    needs_span: bool = False
    needs_entropy: bool = True


REDUCTIONS: dict[str, Reduction] = {
    "last_token": Reduction(lambda mask_BT, k, span_BT: _last_k(mask_BT, 1, span_BT)),
    "mean": Reduction(lambda mask_BT, k, span_BT: mask_BT),
    "last_k": Reduction(_last_k),
    "answer_span": Reduction(_answer_span, needs_span=True),
    "none": Reduction(lambda mask_BT, k, span_BT: torch.zeros_like(mask_BT), needs_entropy=False),
}


def reduce_entropy(
    entropy_BT: Tensor,
    mask_BT: Tensor,
    *,
    reduction: str = "last_token",
    k: int = 16,
    span_BT: Tensor | None = None,
) -> Tensor:
    """One entropy per rollout: the mean over the tokens that the reduction selects.

    Args:
        entropy_BT: Entropy in nats of the distribution each token was drawn from, (B, T); anything outside the mask.
        mask_BT: Non-zero on the rollout's own tokens, (B, T).
        reduction: `last_token`, `mean` (all tokens), `last_k`, `answer_span` (tokens in span_BT; a row without one
            takes the mean over its mask) or `none` (0, so that confidence is 1).
        k: How many tokens `last_k` takes, at least 1; fewer where the row is shorter.
        span_BT: Non-zero on the tokens of the answer, (B, T); needed by `answer_span`, else unread.

    Returns:
        Entropies in nats, (B,), in float32 or wider; 0 for a row with no token under the mask.

    Raises:
        ValueError: Unknown reduction, unequal shapes, NaN under the mask, k < 1 for `last_k`, or no span_BT for
            `answer_span`.

    >>> entropy_BT = torch.tensor([[0.5, 1.5, 4.0, 9.0]])
    >>> mask_BT = torch.tensor([[1, 1, 1, 0]])
    >>> reduce_entropy(entropy_BT, mask_BT), reduce_entropy(entropy_BT, mask_BT, reduction="mean")
    (tensor([4.]), tensor([2.]))
    """
    chosen = choose(REDUCTIONS, reduction, "entropy reduction")
    require_rank("entropy_BT", entropy_BT, 2)
    require_shape("mask_BT", mask_BT, entropy_BT.shape)
    mask_BT = mask_BT.bool()
    if bool((torch.isnan(entropy_BT) & mask_BT).any()):
        raise ValueError("entropy_BT holds NaN under the mask")
    selected_BT = chosen.select(mask_BT, k, span_BT)
    total_B = torch.where(selected_BT, at_least_float32(entropy_BT), 0.0).sum(dim=1)
    return total_B / selected_BT.sum(dim=1).clamp(min=1)


def confidence(entropy: Tensor, *, scale: float = 1.0) -> Tensor:
    """exp(-scale * H): 1 where the policy is certain, towards 0 as it hesitates.

    Args:
        entropy: Entropies in nats, any shape. Rounding below 0 (down to -1e-4) counts as 0; +inf gives 0.
        scale: Sharpness, finite and >= 0; 1 in the paper, 0 makes every confidence of a finite entropy 1.

    Returns:
        Confidences in [0, 1], same shape, in float32 or wider.

    Raises:
        ValueError: An entropy is NaN or below -1e-4, or the scale is negative or not finite.

    >>> confidence(torch.tensor([0.0, 0.5, float("inf")]))
    tensor([1.0000, 0.6065, 0.0000])
    """
    if not (scale >= 0 and math.isfinite(scale)):
        raise ValueError(f"scale must be finite and at least 0, got {scale}")
    entropy = at_least_float32(entropy)
    if not bool((entropy >= -_MAX_ROUNDING).all()):  # false for NaN as well
        raise ValueError("entropy holds NaN or a negative value")
    return torch.where(torch.isinf(entropy), 0.0, torch.exp(-scale * entropy.clamp(min=0.0)))
