"""Exploration reward: a correct rollout is paid for leaving the teachers' paths, as far as the policy was confident.

    R^OGER = D * c * [R^m >= 1]        R^total = R^m + weight * R^OGER    (teacher rows: R^total = R^m)

Source: OGER (arXiv 2604.18530), exploration reward and total reward; weight is the paper's lambda, 1 there. With 0/1
outcomes a wrong rollout gets 0, a correct one between 1 and 1 + weight, a verified teacher 1.
"""

import math

import torch
from torch import Tensor

from oger.method.checks import at_least_float32, require_finite, require_group, require_shape


def exploration_reward(
    outcome_G: Tensor, divergence_G: Tensor, confidence_G: Tensor, offline_G: Tensor, *, gate: bool = True
) -> Tensor:
    """D * c on correct online rows, 0 elsewhere. The equation is per row: a leading batch shape is welcome.

    Args:
        outcome_G: Verifier's outcome, (..., G); correct from 1 up, NaN where undecided (earns 0, gate or not).
        divergence_G: Divergence from the teachers in [0, 1], same shape; unread on offline rows.
        confidence_G: Confidence in [0, 1], same shape; unread on offline rows.
        offline_G: True on teacher rows, same shape.
        gate: Pay correct rows only; False pays every decided online row.

    Returns:
        Exploration rewards, same shape, in float32 or wider.

    Raises:
        ValueError: Unequal shapes, an empty group, or a divergence or confidence of an online row that is not finite.

    >>> outcome_G, offline_G = torch.tensor([1.0, 0.0, 1.0]), torch.tensor([False, False, True])
    >>> exploration_reward(outcome_G, torch.tensor([0.4, 0.4, 0.4]), torch.tensor([0.5, 0.5, 0.5]), offline_G)
    tensor([0.2000, 0.0000, 0.0000])
    """
    require_group("outcome_G", outcome_G)
    require_shape("divergence_G", divergence_G, outcome_G.shape)
    require_shape("confidence_G", confidence_G, outcome_G.shape)
    require_shape("offline_G", offline_G, outcome_G.shape)
    online_G = ~offline_G.bool()
    require_finite("divergence_G, on online rows,", divergence_G[online_G])
    require_finite("confidence_G, on online rows,", confidence_G[online_G])
    paid_G = online_G & (outcome_G >= 1 if gate else ~torch.isnan(outcome_G))
    return torch.where(paid_G, at_least_float32(divergence_G) * at_least_float32(confidence_G), 0.0)


def total_reward(
    outcome_G: Tensor,
    divergence_G: Tensor,
    confidence_G: Tensor,
    offline_G: Tensor,
    *,
    weight: float = 1.0,
    gate: bool = True,
) -> Tensor:
    """Outcome plus weighted exploration reward; an offline row returns its entry of outcome_G.

    Args:
        outcome_G: Verifier's outcome, (..., G); on an offline row the teacher trajectory's own, set by the caller.
            Decided on every row: what an undecided one is worth is the caller's choice.
        divergence_G: Divergence from the teachers in [0, 1], same shape; unread on offline rows.
        confidence_G: Confidence in [0, 1], same shape; unread on offline rows.
        offline_G: True on teacher rows, same shape.
        weight: Weight of the exploration reward (lambda), finite.
        gate: Pay correct rows only.

    Returns:
        Total rewards, same shape, in float32 or wider.

    Raises:
        ValueError: As `exploration_reward`, an undecided outcome (NaN), or a weight that is not finite.

    >>> outcome_G, offline_G = torch.tensor([1.0, 0.0, 1.0]), torch.tensor([False, False, True])
    >>> total_reward(outcome_G, torch.tensor([0.4, 0.4, 0.4]), torch.tensor([0.5, 0.5, 0.5]), offline_G, weight=2.0)
    tensor([1.4000, 0.0000, 1.0000])
    """
    if not math.isfinite(weight):
        raise ValueError(f"weight must be finite, got {weight}")
    bonus_G = exploration_reward(outcome_G, divergence_G, confidence_G, offline_G, gate=gate)
    if outcome_G.isnan().any():
        raise ValueError(
            "outcome_G holds an undecided row (NaN): leave it out of the group, or decide what it is worth"
        )
    return at_least_float32(outcome_G) + weight * bonus_G
