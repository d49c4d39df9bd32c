"""Exploration reward: a correct rollout is paid for leaving the teachers' paths, as far as the policy was confident.

    R^OGER = D * c * [R^m >= 1]        R^total = R^m + weight * R^OGER + ...    (teacher rows: R^total = R^m)

Source: OGER (arXiv 2604.18530), exploration reward and total reward; weight is the paper's lambda, 1 there. With 0/1
outcomes a wrong rollout gets 0, a correct one between 1 and 1 + weight, a verified teacher 1.
"""

import math
from collections.abc import Mapping

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


def weighted_bonus(shaping: Mapping[str, Tensor], weights: Mapping[str, float], offline_G: Tensor) -> Tensor:
    """Sum over the shaping rewards of weight times value; OGER's exploration reward is one of them. 0 on teacher rows.

    Args:
        shaping: Name -> values, each of the shape of offline_G; unread on offline rows.
        weights: Name -> weight (lambda of the exploration reward), finite.
        offline_G: True on teacher rows, (..., G).

    Returns:
        Bonuses, same shape, in float32 or wider; 0 where there is no shaping reward.

    Raises:
        ValueError: A weight that is missing or not finite, or unequal shapes.

    >>> offline_G = torch.tensor([False, False, True])
    >>> weighted_bonus({"oger": torch.tensor([0.2, 0.0, 0.2])}, {"oger": 2.0}, offline_G)
    tensor([0.4000, 0.0000, 0.0000])
    """
    bonus_G = torch.zeros(offline_G.shape, device=offline_G.device)
    for name, value_G in shaping.items():
        weight = weights.get(name, math.nan)
        if not math.isfinite(weight):
            raise ValueError(f"the weight of {name!r} must be finite, got {weight}")
        require_shape(name, value_G, offline_G.shape)
        bonus_G = bonus_G + weight * at_least_float32(value_G)
    return torch.where(offline_G.bool(), 0.0, bonus_G)


def total_reward(outcome_G: Tensor, bonus_G: Tensor) -> Tensor:
    """Outcome reward plus bonus.

    Args:
        outcome_G: Reward before any shaping, (..., G): the verifier's outcome, or the weighted sum of several reward
            functions; on an offline row the teacher trajectory's own. NaN marks an undecided row, which has no reward.
        bonus_G: What `weighted_bonus` gives, same shape.

    Returns:
        Total rewards, same shape, in float32 or wider; NaN where undecided.

    Raises:
        ValueError: Unequal shapes.

    >>> total_reward(torch.tensor([1.0, 0.0, 1.0]), torch.tensor([0.4, 0.0, 0.0]))
    tensor([1.4000, 0.0000, 1.0000])
    """
    require_shape("bonus_G", bonus_G, outcome_G.shape)
    return at_least_float32(outcome_G) + bonus_G
