"""Group advantage: a row's reward minus the mean of its group, teacher rows included.

    A_i = R_i - mean(R)        with scale "std": A_i = (R_i - mean(R)) / (std(R) + eps)
                               with scale "batch": the standard deviation is that of the whole batch

Source: OGER (arXiv 2604.18530), advantage of the hybrid group; without the standard deviation it is Dr. GRPO's
(arXiv 2503.20783), with it GRPO's (arXiv 2402.03300). The arithmetic is TRL's, operation for operation.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from oger.method.checks import at_least_float32, require_group, require_shape
from oger.words import choose


def _sample_std(reward_NG: Tensor) -> Tensor:
    """Sample standard deviation of each row's decided entries, (N, 1); NaN for fewer than two."""
    mean_N1 = torch.nanmean(reward_NG, dim=1, keepdim=True)
    variance_N1 = torch.nanmean((reward_NG - mean_N1) ** 2, dim=1, keepdim=True)
    count_N1 = torch.sum(~torch.isnan(reward_NG), dim=1, keepdim=True).to(reward_NG.dtype)
    return torch.sqrt(variance_N1 * (count_N1 / (count_N1 - 1)))


# (centred, rewards of the groups, rewards of the whole batch (1, X), eps) -> advantage
ADVANTAGE_SCALES: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "none": lambda centred_NG, reward_NG, batch_1X, eps: centred_NG,
    "std": lambda centred_NG, reward_NG, batch_1X, eps: centred_NG / (_sample_std(reward_NG) + eps),
    "batch": lambda centred_NG, reward_NG, batch_1X, eps: centred_NG / (_sample_std(batch_1X) + eps),
}


def group_advantage(
    reward_G: Tensor,
    *,
    scale: str = "none",
    eps: float = 1e-6,
    batch_reward: Tensor | None = None,
    part_G: Tensor | None = None,
) -> Tensor:
    """Reward relative to the group. The group is the last dimension; leading ones are separate groups.

    Args:
        reward_G: Total rewards, (..., G); NaN marks an undecided row, which is left out of the mean and the standard
            deviation and gets advantage 0.
        scale: `none` (mean only), `std` (divide by the sample standard deviation of the group plus eps) or `batch`
            (by that of the whole batch plus eps).
        eps: Added to the standard deviation, finite and above 0. Equal rewards whose float32 mean is rounded come out
            as rounding / eps: up to about 0.3 with 1e-6, 0.005 with TRL's 1e-4 (0 exactly for 0/1 rewards).
        batch_reward: Rewards of the batch of all ranks, any shape, for `batch`; None = `reward_G` is the whole batch.
        part_G: True on the rows of a group that are compared with each other alone, and the others with each other, as
            guided and unguided rollouts; same shape. None = all rows of a group are compared.

    Returns:
        Advantages, same shape, in float32 or wider; all 0 in a group with fewer than two decided rows.

    Raises:
        ValueError: Unknown scale, no or an empty group dimension, an infinite reward, or eps not above 0.

    >>> group_advantage(torch.tensor([2.0, 0.0, 1.0, float("nan")]))
    tensor([ 1., -1.,  0.,  0.])
    >>> group_advantage(torch.tensor([4.0, 0.0, 2.0]), scale="std")
    tensor([ 1.0000, -1.0000,  0.0000])
    """
    rescale = choose(ADVANTAGE_SCALES, scale, "advantage scale")
    require_group("reward_G", reward_G)
    if not (eps > 0 and math.isfinite(eps)):
        raise ValueError(f"eps must be finite and above 0, got {eps}")
    if bool(torch.isinf(reward_G).any()):
        raise ValueError("reward_G holds an infinite value")
    if part_G is not None:
        require_shape("part_G", part_G, reward_G.shape)
        batch_reward = reward_G if batch_reward is None else batch_reward
        parts = (torch.where(part, reward_G, math.nan) for part in (part_G, ~part_G))
        return sum(group_advantage(part, scale=scale, eps=eps, batch_reward=batch_reward) for part in parts)  # type: ignore[return-value]
    reward_NG = at_least_float32(reward_G).reshape(-1, reward_G.shape[-1])
    centred_NG = reward_NG - torch.nanmean(reward_NG, dim=1, keepdim=True)
    batch_1X = reward_NG.reshape(1, -1) if batch_reward is None else at_least_float32(batch_reward).reshape(1, -1)
    advantage_NG = rescale(centred_NG, reward_NG, batch_1X, eps)
    comparable_NG = ~torch.isnan(reward_NG)
    comparable_NG &= comparable_NG.sum(dim=1, keepdim=True) > 1
    return torch.where(comparable_NG, advantage_NG, 0.0).reshape(reward_G.shape)


def clamp_teacher_advantage(advantage_G: Tensor, offline_G: Tensor, *, minimum: float | None = None) -> Tensor:
    """Keep a teacher row's advantage from falling below a floor; online rows are untouched.

    Once most rollouts are correct and paid for exploring, the teacher's advantage turns negative and its tokens are
    pushed down; a floor of 0 stops that.

    Args:
        advantage_G: Advantages, any shape.
        offline_G: True on teacher rows, same shape.
        minimum: The floor; None is faithful to the paper and changes nothing.

    Returns:
        Advantages, same shape.

    Raises:
        ValueError: Unequal shapes, or a floor that is NaN.

    >>> clamp_teacher_advantage(torch.tensor([-0.5, -0.5]), torch.tensor([False, True]), minimum=0.0)
    tensor([-0.5000,  0.0000])
    """
    require_shape("offline_G", offline_G, advantage_G.shape)
    if minimum is None:
        return advantage_G
    if math.isnan(minimum):
        raise ValueError("minimum must be a number, got NaN")
    return torch.where(offline_G.bool(), advantage_G.clamp(min=minimum), advantage_G)


def spare_failed_groups(advantage_NG: Tensor, outcome_NG: Tensor, offline_NG: Tensor) -> Tensor:
    """No advantage for the online rows of groups in which none of them is correct; teacher rows keep theirs.

    In such a group only the teacher row sets the rollouts apart from the mean: all are pushed down alike, whatever they
    say, which raises the entropy of the policy and teaches nothing about the problem.

    Args:
        advantage_NG: Advantages, one group a row, (N, G).
        outcome_NG: Outcomes, same shape; correct from 1 up, NaN (undecided) is not correct.
        offline_NG: True on teacher rows, same shape.

    Returns:
        Advantages, same shape.

    Raises:
        ValueError: Unequal shapes.

    >>> advantage_NG = torch.tensor([[-0.5, 0.5], [-0.5, 0.5]])
    >>> offline_NG = torch.tensor([[False, True], [False, False]])
    >>> spare_failed_groups(advantage_NG, torch.tensor([[0.0, 1.0], [0.0, 1.0]]), offline_NG)
    tensor([[ 0.0000,  0.5000],
            [-0.5000,  0.5000]])
    """
    require_shape("outcome_NG", outcome_NG, advantage_NG.shape)
    require_shape("offline_NG", offline_NG, advantage_NG.shape)
    solved_N1 = ((outcome_NG >= 1) & ~offline_NG).any(dim=1, keepdim=True)
    return torch.where(solved_N1 | offline_NG, advantage_NG, 0.0)


POSITIVE_WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {  # mean entropy of the row, nats -> w
    "one": torch.ones_like,
    "exp_entropy": torch.exp,
}


def weigh_positive(
    advantage: Tensor,
    outcome: Tensor,
    offline: Tensor,
    entropy: Tensor,
    *,
    weight: float = 1.0,
    row_weight: str = "one",
) -> Tensor:
    """Advantages of correct online rows times weight * w(H); all others are untouched.

    With weight 0.1 and w = exp(H) it is SRFT's weight of positive rollouts (arXiv 2506.19767): the surer the policy is
    of a right answer, the less it is pushed there.

    Args:
        advantage: Advantages, any shape.
        outcome: Outcomes, same shape; correct from 1 up, NaN (undecided) is not correct.
        offline: True on teacher rows, same shape.
        entropy: Mean entropy of the policy over the row, nats, same shape; read on correct online rows alone.
        weight: Factor of all of them.
        row_weight: w: `one` or `exp_entropy`.

    Returns:
        Advantages, same shape.

    Raises:
        ValueError: Unknown weight or unequal shapes.

    >>> advantage, outcome = torch.tensor([0.5, -0.5, 0.5]), torch.tensor([1.0, 0.0, 1.0])
    >>> offline, entropy = torch.tensor([False, False, True]), torch.tensor([0.2, 0.2, 0.2])
    >>> weigh_positive(advantage, outcome, offline, entropy, weight=0.1, row_weight="exp_entropy")
    tensor([ 0.0611, -0.5000,  0.5000])
    """
    of_row = choose(POSITIVE_WEIGHTS, row_weight, "weight of positive rows")
    for name, tensor in (("outcome", outcome), ("offline", offline), ("entropy", entropy)):
        require_shape(name, tensor, advantage.shape)
    return torch.where((outcome >= 1) & ~offline, advantage * weight * of_row(entropy), advantage)
