"""Mixed-policy objective: clipped or plain importance ratio on online tokens, shaped probability on teacher tokens.

    online token   -A r,  r = pi / pi_old          or  -min(r A, clip(r, 1 - eps_low, 1 + eps_high) A)
    teacher token  -A f(pi),  f(p) = p / (p + gamma), never clipped, no importance ratio

Beside it stand the KL estimate and the entropy bonus, on online tokens alone.

Source: LUFFY (arXiv 2504.14945), mixed-policy objective with policy shaping, which OGER (arXiv 2604.18530) inherits.
Token losses are summed here; the caller divides, once, over the whole optimiser step (see `aggregation`).
One value is read back per call: NaN under the mask is an error, never a silent loss.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from oger.method.checks import require_rank, require_shape
from oger.method.shaping import SHAPINGS
from oger.words import choose

# A log-ratio beyond this is a broken token (another tokenizer, a lost mask), not a policy update: exp(20) = 4.9e8.
# The ratio stays there, finite in float32, and the token stops contributing gradient. Smaller values are unchanged.
_MAX_LOG_RATIO = 20.0


@dataclass(frozen=True, kw_only=True)
class MixedPolicyLoss:
    """Loss of one batch and what it was made of: 0-d sums and counts of tokens, the sums detached but for the loss."""

    loss_sum: Tensor  # sum of token_loss_BT; differentiable
    token_loss_BT: Tensor  # (B, T), 0 outside the mask; differentiable
    token_count: Tensor  # tokens under the mask, int64
    online_loss_sum: Tensor
    offline_loss_sum: Tensor
    online_token_count: Tensor
    offline_token_count: Tensor
    clip_low_count: Tensor  # online tokens with r < 1 - eps_low while A < 0; 0 without clip
    clip_high_count: Tensor  # online tokens with r > 1 + eps_high while A > 0; 0 without clip
    ratio_sum: Tensor  # r over online tokens, before any clip
    teacher_prob_sum: Tensor  # pi over teacher tokens
    teacher_weight_sum: Tensor  # df/d(log pi) over teacher tokens


def online_token_loss(
    ratio_BT: Tensor, advantage_BT: Tensor, *, clip: tuple[float, float] | None = None, delta: float | None = None
) -> Tensor:
    """-A r, or PPO's clipped form -min(r A, clip(r) A).

    Args:
        ratio_BT: Importance ratios pi / pi_old, (B, T).
        advantage_BT: Advantages, (B, T) or broadcastable to it.
        clip: (eps_low, eps_high): the ratio is held to [1 - eps_low, 1 + eps_high]; None for no clip.
        delta: Upper bound of the unclipped ratio, which otherwise grows without limit where A < 0 (two-sided clip of
            arXiv 2505.07291); only with `clip`.

    Returns:
        Token losses, (B, T).

    Raises:
        ValueError: A negative or NaN eps, a delta not above 0, or a delta without `clip`.

    >>> online_token_loss(torch.tensor([[1.5, 0.5, 3.0]]), torch.tensor([[1.0, 1.0, -1.0]]))
    tensor([[-1.5000, -0.5000,  3.0000]])
    >>> online_token_loss(torch.tensor([[1.5, 0.5, 3.0]]), torch.tensor([[1.0, 1.0, -1.0]]), clip=(0.2, 0.2), delta=2.0)
    tensor([[-1.2000, -0.5000,  2.0000]])
    """
    if clip is None:
        if delta is not None:
            raise ValueError("delta bounds the unclipped ratio of the clipped objective: it needs clip")
        return -(ratio_BT * advantage_BT)
    eps_low, eps_high = clip
    if not (eps_low >= 0 and eps_high >= 0):
        raise ValueError(f"clip must be (eps_low, eps_high), both at least 0, got {clip}")
    if delta is not None and not delta > 0:
        raise ValueError(f"delta must be above 0, got {delta}")
    clipped_BT = torch.clamp(ratio_BT, 1 - eps_low, 1 + eps_high)
    if delta is not None:
        ratio_BT = torch.clamp(ratio_BT, max=delta)
    return -torch.min(ratio_BT * advantage_BT, clipped_BT * advantage_BT)


def teacher_token_loss(
    logp_BT: Tensor, advantage_BT: Tensor, *, shaping: str = "p_over_p_plus_gamma", gamma: float = 0.1
) -> Tensor:
    """-A f(pi) on the tokens of a teacher trajectory.

    Args:
        logp_BT: The policy's log-probabilities of the teacher's tokens, (B, T).
        advantage_BT: Advantages, (B, T) or broadcastable to it.
        shaping: f: `p_over_p_plus_gamma`, `p` or `sqrt_p`.
        gamma: The gamma of p / (p + gamma), finite and above 0; unread by the other shapings.

    Returns:
        Token losses, (B, T).

    Raises:
        ValueError: Unknown shaping, or a gamma that is not finite and above 0.

    >>> teacher_token_loss(torch.log(torch.tensor([[0.1, 0.4]])), torch.tensor([[2.0, 2.0]]))
    tensor([[-1.0000, -1.6000]])
    """
    shape = choose(SHAPINGS, shaping, "shaping")
    if not (gamma > 0 and math.isfinite(gamma)):
        raise ValueError(f"gamma must be finite and above 0, got {gamma}")
    return -(shape.value(logp_BT, gamma) * advantage_BT)


def mixed_policy_loss(
    logp_BT: Tensor,
    old_logp_BT: Tensor,
    advantage_B: Tensor,
    mask_BT: Tensor,
    offline: Tensor,
    *,
    shaping: str = "p_over_p_plus_gamma",
    gamma: float = 0.1,
    clip: tuple[float, float] | None = None,
    delta: float | None = None,
) -> MixedPolicyLoss:
    """Sum of token losses over online and teacher rows, with what it was made of.

    Outside the mask tensors may hold anything, NaN included: it reaches neither loss nor gradient. Under the mask NaN
    makes the loss NaN. With `clip` and no offline row, the token loss is TRL's GRPO loss exactly.

    Args:
        logp_BT: The policy's log-probabilities in nats, (B, T); the one argument that gets a gradient.
        old_logp_BT: Those of the policy that drew the rollouts, (B, T); unread on offline rows.
        advantage_B: Advantages, (B,) or one per token (B, T).
        mask_BT: Non-zero on the tokens that carry loss, (B, T); no such token gives loss 0 with zero gradients.
        offline: True on teacher rows, (B,), or on teacher tokens, (B, T).
        shaping: Shaping of teacher probabilities, see `teacher_token_loss`.
        gamma: Its parameter.
        clip: (eps_low, eps_high) of online ratios or None, see `online_token_loss`.
        delta: Upper bound of the unclipped online ratio, only with `clip`.

    Returns:
        A `MixedPolicyLoss`.

    Raises:
        ValueError: Unknown shaping, unequal or wrong shapes, or an invalid gamma, clip or delta.

    >>> logp_BT = torch.log(torch.tensor([[0.5, 0.3], [0.1, 0.4]]))
    >>> old_logp_BT = torch.log(torch.tensor([[0.4, 0.3], [0.9, 0.9]]))
    >>> advantage_B, offline_B = torch.tensor([-1.0, 2.0]), torch.tensor([False, True])
    >>> loss = mixed_policy_loss(logp_BT, old_logp_BT, advantage_B, torch.ones(2, 2), offline_B)
    >>> loss.token_loss_BT
    tensor([[ 1.2500,  1.0000],
            [-1.0000, -1.6000]])
    >>> round(loss.loss_sum.item(), 4), loss.token_count.item(), round(loss.teacher_weight_sum.item(), 4)
    (-0.35, 4, 0.41)
    """
    require_rank("logp_BT", logp_BT, 2)
    require_shape("old_logp_BT", old_logp_BT, logp_BT.shape)
    require_shape("mask_BT", mask_BT, logp_BT.shape)
    require_shape("offline", offline, logp_BT.shape[: 2 if offline.ndim == 2 else 1])
    require_shape("advantage_B", advantage_B, logp_BT.shape[: 2 if advantage_B.ndim == 2 else 1])

    mask_BT = mask_BT.bool()
    offline_BT = mask_BT & (offline if offline.ndim == 2 else offline.unsqueeze(1)).bool()
    online_BT = mask_BT & ~offline_BT
    advantage = advantage_B if advantage_B.ndim == 2 else advantage_B.unsqueeze(1)
    advantage_BT = torch.where(mask_BT, advantage.detach(), 0.0)

    # Mask before any arithmetic: 0 * NaN would be NaN, in the gradient as well.
    log_ratio_BT = torch.where(online_BT, logp_BT - old_logp_BT.detach(), 0.0)
    ratio_BT = torch.exp(log_ratio_BT.clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO))
    teacher_logp_BT = torch.where(offline_BT, logp_BT, 0.0)
    token_loss_BT = torch.where(
        offline_BT,
        teacher_token_loss(teacher_logp_BT, advantage_BT, shaping=shaping, gamma=gamma),
        online_token_loss(ratio_BT, advantage_BT, clip=clip, delta=delta),
    )

    with torch.no_grad():
        eps_low, eps_high = (math.inf, math.inf) if clip is None else clip
        statistics = {
            "online_loss_sum": torch.where(online_BT, token_loss_BT, 0.0).sum(),
            "offline_loss_sum": torch.where(offline_BT, token_loss_BT, 0.0).sum(),
            "clip_low_count": (online_BT & (ratio_BT < 1 - eps_low) & (advantage_BT < 0)).sum(),
            "clip_high_count": (online_BT & (ratio_BT > 1 + eps_high) & (advantage_BT > 0)).sum(),
            "ratio_sum": torch.where(online_BT, ratio_BT, 0.0).sum(),
            "teacher_prob_sum": torch.where(offline_BT, torch.exp(teacher_logp_BT), 0.0).sum(),
            "teacher_weight_sum": torch.where(offline_BT, SHAPINGS[shaping].weight(teacher_logp_BT, gamma), 0.0).sum(),
        }
    return MixedPolicyLoss(
        loss_sum=token_loss_BT.sum(),
        token_loss_BT=token_loss_BT,
        token_count=mask_BT.sum(),
        online_token_count=online_BT.sum(),
        offline_token_count=offline_BT.sum(),
        **statistics,
    )


def kl_estimate(
    logp_BT: Tensor, ref_logp_BT: Tensor, online_BT: Tensor, *, old_logp_BT: Tensor | None = None
) -> Tensor:
    """Estimate of KL(pi || reference) per sampled token: exp(x) - x - 1 with x = log ref - log pi (k3, as in TRL).

    Teacher tokens have none: the estimate needs tokens that the policy sampled.

    Args:
        logp_BT: The policy's log-probabilities, nats, (B, T); gets a gradient.
        ref_logp_BT: The reference's, same shape.
        online_BT: True on sampled tokens; elsewhere the others may hold anything and the estimate is 0.
        old_logp_BT: Those of the policy that sampled; then the estimate is weighted by pi / pi_old (arXiv 2512.02556).

    Returns:
        KL per token, nats, (B, T).

    >>> logp_BT, ref_logp_BT = torch.tensor([[-1.0, -1.0]]), torch.tensor([[-2.0, -1.0]])
    >>> kl_estimate(logp_BT, ref_logp_BT, torch.tensor([[True, True]]))  # exp(-1) + 1 - 1
    tensor([[0.3679, 0.0000]])
    """
    # Masked before exp: a teacher token may be all but impossible under the policy, and inf * 0 is NaN.
    log_ratio_BT = torch.where(online_BT, ref_logp_BT - logp_BT, 0.0)
    kl_BT = torch.exp(log_ratio_BT) - log_ratio_BT - 1
    if old_logp_BT is not None:
        kl_BT = kl_BT * torch.exp(torch.where(online_BT, logp_BT - old_logp_BT, 0.0))
    return kl_BT


def entropy_bonus(entropy_BT: Tensor, online_BT: Tensor, *, num_tokens: Tensor | float) -> Tensor:
    """This micro-batch's summand of the mean entropy over the online tokens of the optimiser step.

    Args:
        entropy_BT: Entropies of the policy, nats, (B, T); gets a gradient.
        online_BT: True on sampled tokens; elsewhere the entropies may hold anything.
        num_tokens: Online tokens of the whole optimiser step, taken as at least 1.

    Returns:
        The summand, nats, 0-d.

    >>> entropy_bonus(torch.tensor([[0.5, 1.5, 9.0]]), torch.tensor([[True, True, False]]), num_tokens=4)
    tensor(0.5000)
    """
    num_tokens = torch.as_tensor(num_tokens, device=entropy_BT.device).clamp(min=1)
    return torch.where(online_BT, entropy_BT, 0.0).sum() / num_tokens
