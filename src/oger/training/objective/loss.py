"""The mixed objective on one micro-batch: per-token losses, what multiplies them, and their aggregation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from oger.method.aggregation import aggregate_loss
from oger.method.objective import MixedPolicyLoss, mixed_policy_loss
from oger.training.config import OGERConfig


@dataclass(frozen=True, kw_only=True)
class StepShare:
    """What a micro-batch is of its optimiser step, on this rank. Gradients of ranks are averaged by the launcher."""

    accumulation: int
    steps_per_generation: int
    num_processes: int

    def tokens(self, count_of_rollout_batch: torch.Tensor) -> torch.Tensor:
        """A token count of the whole rollout batch, as TRL makes it, brought to one optimiser step and one rank."""
        per_rank = count_of_rollout_batch.clamp(min=1.0) / self.num_processes
        return per_rank * self.accumulation / self.steps_per_generation


@dataclass(frozen=True, kw_only=True)
class HybridLoss:
    """Loss of a micro-batch (add up over the step) and the parts that metrics report."""

    loss: torch.Tensor
    policy: MixedPolicyLoss
    kl_BT: torch.Tensor | None


def hybrid_loss(
    inputs: Mapping[str, Any],
    logps_BT: torch.Tensor,
    old_logps_BT: torch.Tensor,
    entropy_BT: torch.Tensor,
    args: OGERConfig,
    share: StepShare,
    *,
    token_gate_BT: torch.Tensor | None = None,
    entropy_mask_BT: torch.Tensor | None = None,
) -> HybridLoss:
    """Mixed objective (OGER, section 5) with the inherited options that act on it.

        loss = Σ_t w_t (g_t ℓ_t + β KL_t)  -  entropy_coef * mean over online tokens of H_t

    ℓ is the mixed policy loss, w the weight by the aggregation, g a gate (importance correction, masks). Teacher
    tokens have g = 1, no KL (its estimate needs sampled tokens) and no entropy bonus.

    Args:
        inputs: micro-batch of `OGERTrainer` (TRL's layout plus `offline` and `num_online_items_in_batch`).
        logps_BT: log-probabilities by the policy, with gradient.
        old_logps_BT: log-probabilities at rollout time.
        entropy_BT: entropies of the policy, nats, with gradient.
        args: the run's options.
        share: the micro-batch's part of the optimiser step.
        token_gate_BT: factor on online tokens, (B, T) or (B, 1), or None.
        entropy_mask_BT: online tokens that get a policy gradient, or None for all. The bonus is on all online tokens.
    """
    offline_B = inputs["offline"]
    mask_BT = inputs["completion_mask"] * inputs.get("tool_mask", 1)
    online_BT = (mask_BT * ~offline_B[:, None]).bool()
    policy = mixed_policy_loss(
        logps_BT,
        old_logps_BT,
        inputs["advantages"],
        mask_BT,
        offline_B,
        shaping=args.shaping,
        gamma=args.shaping_gamma,
        clip=args.clip_range,
        delta=args.delta,
    )
    token_loss_BT = policy.token_loss_BT
    if entropy_mask_BT is not None:
        token_loss_BT = token_loss_BT * torch.where(offline_B[:, None], 1, entropy_mask_BT)
    if token_gate_BT is not None:
        token_loss_BT = token_loss_BT * torch.where(offline_B[:, None], 1, token_gate_BT)
    kl_BT = None
    if args.beta != 0.0:
        # Masked before exp: a teacher token may be all but impossible under the policy, and inf * 0 is NaN.
        log_ratio_BT = torch.where(online_BT, inputs["ref_per_token_logps"] - logps_BT, 0.0)
        kl_BT = torch.exp(log_ratio_BT) - log_ratio_BT - 1  # k3 estimate, as in TRL
        if args.use_bias_correction_kl:
            kl_BT = kl_BT * torch.exp(torch.where(online_BT, logps_BT - old_logps_BT, 0.0))
        token_loss_BT = token_loss_BT + args.beta * kl_BT
    loss = aggregate_loss(
        token_loss_BT,
        mask_BT,
        aggregation=args.loss_type,
        max_length=args.max_completion_length,
        num_micro_batches=share.accumulation,
        num_tokens=share.tokens(inputs["num_items_in_batch"]),
    )
    if args.entropy_coef:
        num_online = share.tokens(inputs["num_online_items_in_batch"])
        loss = loss - args.entropy_coef * (torch.where(online_BT, entropy_BT, 0.0).sum() / num_online)
    return HybridLoss(loss=loss, policy=policy, kl_BT=kl_BT)
