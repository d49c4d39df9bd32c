"""Novelty: a correct rollout is paid for differing from the teachers *and* from the other correct ones of its group.

    d_i = mean over the teachers and the other correct rows j of clip(1 - cos(i, j), 0, 1)
    bonus_i = [R_i = 1] * d_i / mean of d over the correct rows        (1 for all of them where d is 0)

OGER's divergence alone has one fixed point, the single correct way that is farthest from the teachers. Here a way loses
as it becomes common, so that several stay alive. Its mean over a group's correct rows is 1 with any encoder.
"""

import torch
from torch import Tensor

from oger.rewards.group import RewardGroup
from oger.rewards.registry import shaping_reward


@shaping_reward("novelty")
def novelty(group: RewardGroup) -> Tensor:
    """At least 0, 1 on average over the correct online rows: (G,)."""
    correct_G = (group.outcome == 1) & ~group.offline
    known_KE = torch.cat([group.embeddings[correct_G], group.teacher_embeddings])
    distance_GK = (1 - group.embeddings @ known_KE.T).clamp(0.0, 1.0)  # a row's distance from itself is 0
    d_G = distance_GK.sum(dim=1) * correct_G
    mean = d_G.sum() / correct_G.sum().clamp(min=1)
    return torch.where(correct_G, d_G / mean, 0.0) if mean > 1e-6 else correct_G.to(d_G)
