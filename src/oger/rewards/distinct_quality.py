"""Quality times distinctness, after DARLING (arXiv 2509.02534): a correct answer counts by how few other correct ones
resemble it.

    bonus_i = [R_i = 1] * (d_i - 1),   d_i = share of the other correct rows j with cos(i, j) < 0.9; 1 without any

Added with weight 1 to the outcome it gives R_i * d_i, DARLING's product. DARLING partitions the group by a learned
classifier of equal meaning; a cosine threshold stands in for it here. Its code never pays a correct row less than 0.1,
and one that is alone exactly that.
"""

import torch
from torch import Tensor

from oger.rewards.group import RewardGroup
from oger.rewards.registry import shaping_reward

_SAME = 0.9  # cosine from which on two responses count as the same


@shaping_reward("distinct_quality")
def distinct_quality(group: RewardGroup) -> Tensor:
    """Between -1 (every other correct row says the same) and 0 (none does) on correct rows: (G,)."""
    correct_G = group.outcome == 1
    same_GG = (group.embeddings @ group.embeddings.T >= _SAME).fill_diagonal_(False) & correct_G
    others = max(int(correct_G.sum()) - 1, 1)
    return torch.where(correct_G, -same_GG.sum(dim=1) / others, 0.0)
