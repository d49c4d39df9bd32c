"""Correction of the mismatch between the engine that sampled the tokens and the policy that is trained."""

from __future__ import annotations

import math

import torch

MODES = ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask")


def sampling_importance_ratio(
    old_logp_BT: torch.Tensor,
    sampling_logp_BT: torch.Tensor,
    mask_BT: torch.Tensor,
    offline_B: torch.Tensor,
    *,
    mode: str,
    clip_min: float | None,
    clip_max: float | None,
) -> torch.Tensor:
    """π_old / π_engine of the sampled tokens, bounded, as TRL 1.16 defines it; exactly 1 on teacher rows.

    Args:
        old_logp_BT: log-probabilities by the trained policy.
        sampling_logp_BT: log-probabilities by the engine; NaN where it reported none (ratio 1).
        mask_BT: 1 on sampled tokens.
        offline_B: True on teacher rows, which no engine sampled.
        mode: one of MODES; truncate bounds the ratio, mask sets a ratio outside the bounds to 0.
        clip_min: lower bound or None.
        clip_max: upper bound or None.

    Returns:
        (B, T) for the token modes, (B, 1) for the sequence modes.

    Raises:
        ValueError: on an unknown mode.
    """
    if mode not in MODES:
        raise ValueError(f"unknown importance sampling mode {mode!r}: use one of {', '.join(MODES)}.")
    log_ratio = torch.nan_to_num((old_logp_BT - sampling_logp_BT) * mask_BT, nan=0.0)
    if mode.startswith("sequence"):
        log_ratio = log_ratio.sum(dim=-1, keepdim=True)
    ratio = torch.exp(log_ratio)
    if mode.endswith("truncate"):
        ratio = torch.clamp(ratio, min=clip_min, max=clip_max)
    else:
        low = clip_min if clip_min is not None else -math.inf
        high = clip_max if clip_max is not None else math.inf
        ratio = ratio.masked_fill((ratio < low) | (ratio > high), 0.0)
    return torch.where(offline_B[:, None], torch.ones_like(ratio), ratio)
