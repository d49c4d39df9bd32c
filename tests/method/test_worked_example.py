"""The worked example of the method (G = 8, weight 1), through the public functions alone."""

import pytest
import torch

from oger.method.advantage import group_advantage
from oger.method.confidence import confidence, reduce_entropy
from oger.method.divergence import teacher_divergence
from oger.method.hybrid_group import Teachers, plan_replacement
from oger.method.reward import exploration_reward, total_reward, weighted_bonus

SIMILARITY = [0.90, 0.80, 0.70, 0.85, 0.60, 0.95, 0.75, 0.65]
OUTCOME = [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
ENTROPY = [0.0, 0.5, 1.0, 0.2, 0.1, 0.0, 0.3, 2.0]


def group_after_replacement():
    """(outcome_G, divergence_G, confidence_G, offline_G) of the hybrid group, with its plan."""
    similarity_G = torch.tensor(SIMILARITY, dtype=torch.float64)
    online_GE = torch.stack([similarity_G, (1 - similarity_G**2).sqrt()], dim=1)  # unit vectors at these cosines
    divergence_G = teacher_divergence(online_GE, torch.tensor([[1.0, 0.0]], dtype=torch.float64))
    entropy_BT = torch.stack(
        [torch.full((8,), 9.0, dtype=torch.float64), torch.tensor(ENTROPY, dtype=torch.float64)], 1
    )
    confidence_G = confidence(reduce_entropy(entropy_BT, torch.ones(8, 2)))
    outcome_G = torch.tensor(OUTCOME, dtype=torch.float64)
    plan = plan_replacement(divergence_G, outcome_G, Teachers(num=1), generator=torch.Generator())
    offline_G = torch.zeros(8, dtype=torch.bool)
    for row, _ in plan:
        offline_G[row], outcome_G[row] = True, 1.0
    return (outcome_G, divergence_G, confidence_G, offline_G), plan


def total_of(group):
    outcome_G, _, _, offline_G = group
    return total_reward(outcome_G, weighted_bonus({"oger": exploration_reward(*group)}, {"oger": 1.0}, offline_G))


def assert_to_4_decimals(actual, expected):
    assert [round(value, 4) for value in actual.tolist()] == pytest.approx(expected, abs=1e-9)


def test_most_teacher_like_row_is_replaced():
    _, plan = group_after_replacement()
    assert plan == [(5, 0)]


def test_exploration_and_total_reward():
    group, _ = group_after_replacement()
    assert_to_4_decimals(exploration_reward(*group), [0.1, 0.1213, 0, 0.1228, 0, 0, 0, 0.0474])
    total_G = total_of(group)
    assert_to_4_decimals(total_G, [1.1, 1.1213, 0, 1.1228, 0, 1, 0, 1.0474])
    assert total_G.mean().item() == pytest.approx(0.673935, abs=5e-7)
    assert total_G.std().item() == pytest.approx(0.559527, abs=5e-7)


def test_advantages():
    group, _ = group_after_replacement()
    reward_G = total_of(group)
    assert_to_4_decimals(group_advantage(reward_G), [0.4261, 0.4474, -0.6739, 0.4489, -0.6739, 0.3261, -0.6739, 0.3734])
    assert_to_4_decimals(
        group_advantage(reward_G, scale="std"), [0.7615, 0.7995, -1.2045, 0.8022, -1.2045, 0.5827, -1.2045, 0.6674]
    )
