"""The loss of one micro-batch: both streams in one forward, each divided once over the whole optimiser step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from oger.method.aggregation import aggregate_loss
from oger.method.imitation import imitation_loss
from oger.method.objective import MixedPolicyLoss, entropy_bonus, kl_estimate, mixed_policy_loss
from oger.training.batch import loss_tokens, online_tokens
from oger.training.config import OGERConfig
from oger.training.logprobs.trimmed import trimmed_log_probs
from oger.training.metrics import records
from oger.training.objective.imitation import join_rows, stream_weights
from oger.training.step import StepContext


@dataclass(frozen=True, kw_only=True)
class StepShare:
    """What a micro-batch is of its optimiser step, on this rank. Gradients of ranks are averaged by the launcher."""

    accumulation: int
    steps_per_generation: int
    num_processes: int

    def tokens(self, count_of_rollout_batch: torch.Tensor) -> torch.Tensor:
        """A token count of the step, scaled to a rollout batch as `StepCounts` does, brought back and to one rank."""
        per_rank = count_of_rollout_batch.clamp(min=1.0) / self.num_processes
        return per_rank * self.accumulation / self.steps_per_generation


@dataclass(frozen=True, kw_only=True)
class HybridLoss:
    """Loss of a micro-batch (add up over the step) and the parts that metrics report."""

    loss: torch.Tensor
    policy: MixedPolicyLoss
    kl_BT: torch.Tensor | None


def micro_batch_loss(
    context: StepContext,
    model: Any,
    inputs: Mapping[str, Any],
    accumulation: int,
    *,
    aux_weight: float | None,
) -> torch.Tensor:
    """a L_policy + b L_imitation, and the auxiliary loss of a mixture of experts.

    Args:
        model: the policy, as the loop hands it over.
        inputs: micro-batch of `trl_batch` or `supervised_batch`.
        accumulation: micro-batches of the optimiser step.
        aux_weight: of the auxiliary loss; None where there is none.
    """
    args = context.args
    rows = join_rows(inputs)
    batch = rows.input_ids, rows.attention_mask, rows.width
    aux_loss = None
    if aux_weight is not None:  # a mean over all tokens of the forward, which cannot be made of chunks
        logps_RW, entropy_RW, aux_loss = context.score_tokens(
            model, *batch, compute_entropy=True, compute_aux_loss=True
        )
    else:
        # Ranks imitate different numbers of rows, and all must run the same number of forwards.
        uneven = "imitated_ids" in inputs and context.num_processes > 1
        logps_RW, entropy_RW = trimmed_log_probs(
            context.score_tokens, model, *batch, num_chunks=1 if uneven else args.length_chunks, compute_entropy=True,
            idle_R=None if uneven else rows.idle_R,
        )  # fmt: skip
    assert entropy_RW is not None
    share = StepShare(
        accumulation=accumulation,
        steps_per_generation=args.steps_per_generation,
        num_processes=context.num_processes,
    )
    policy_weight, imitation_weight = stream_weights(args, context.progress)
    loss = torch.zeros((), device=logps_RW.device)
    if rows.num_policy:
        width = inputs["completion_ids"].size(1)
        logps_BT, entropy_BT = logps_RW[: rows.num_policy, :width], entropy_RW[: rows.num_policy, :width]
        loss = policy_weight * _policy_loss(context, inputs, logps_BT, entropy_BT, share)
    if "imitated_ids" in inputs:
        logps_KW, entropy_KW = logps_RW[rows.num_policy :], entropy_RW[rows.num_policy :]
        imitation = imitation_loss(
            logps_KW, entropy_KW, rows.imitated_mask_KW, token_weight=args.imitation_token_weight,
            row_weight=args.imitation_row_weight, num_tokens=share.tokens(inputs["num_imitated_in_batch"]),
        )  # fmt: skip
        loss = loss + imitation_weight * imitation
        records.add_imitation_metrics(context.sums, logps_KW, rows.imitated_mask_KW, imitation_weight)
    return loss if aux_weight is None or aux_loss is None else loss + aux_weight * aux_loss / accumulation


def _policy_loss(
    context: StepContext,
    inputs: Mapping[str, Any],
    logps_BT: torch.Tensor,
    entropy_BT: torch.Tensor,
    share: StepShare,
) -> torch.Tensor:
    """Mixed objective of the policy rows."""
    args = context.args
    online_BT = online_tokens(inputs)
    known_entropy_BT = entropy_BT
    if "idle" in inputs:
        idle_B1 = inputs["idle"][:, None]
        known_entropy_BT = torch.where(idle_B1, inputs["sampled_entropy"].to(entropy_BT.dtype), entropy_BT)
        inputs = {**inputs, "completion_mask": inputs["completion_mask"] * ~idle_B1}
    records.add_entropy_metrics(context.sums, known_entropy_BT, online_BT)
    online_BT = online_BT * inputs["completion_mask"]
    old_logps_BT = inputs.get("old_per_token_logps")
    old_logps_BT = logps_BT.detach() if old_logps_BT is None else old_logps_BT

    token_gate_BT = inputs.get("importance_sampling_ratio")
    if args.off_policy_mask_threshold is not None:
        keep_B1 = context.off_policy_mask(
            advantages=inputs["advantages"][:, None],
            per_token_logps=logps_BT,
            sampling_per_token_logps=inputs.get("sampling_per_token_logps", old_logps_BT),
            mask=online_BT,
            off_policy_threshold=args.off_policy_mask_threshold,
        )
        token_gate_BT = keep_B1 if token_gate_BT is None else token_gate_BT * keep_B1
    entropy_mask_BT = None
    if args.top_entropy_quantile < 1.0:
        entropy_mask_BT = context.high_entropy_mask(entropy_BT, online_BT, 1 - args.top_entropy_quantile)
    result = hybrid_loss(
        inputs, logps_BT, old_logps_BT, entropy_BT, args, share,
        token_gate_BT=token_gate_BT, entropy_mask_BT=entropy_mask_BT,
    )  # fmt: skip
    records.add_loss_metrics(context.sums, result.policy, result.kl_BT, logps_BT, old_logps_BT, online_BT)
    return result.loss


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
    mask_BT = loss_tokens(inputs)
    online_BT = online_tokens(inputs).bool()
    teacher_BT = mask_BT.bool() & ~online_BT
    policy = mixed_policy_loss(
        logps_BT,
        old_logps_BT,
        inputs["advantages"],
        mask_BT,
        teacher_BT,
        shaping=args.shaping,
        gamma=args.shaping_gamma,
        clip=args.clip_range,
        delta=args.delta,
    )
    token_loss_BT = policy.token_loss_BT
    if entropy_mask_BT is not None:
        token_loss_BT = token_loss_BT * torch.where(teacher_BT, 1, entropy_mask_BT)
    if token_gate_BT is not None:
        token_loss_BT = token_loss_BT * torch.where(teacher_BT, 1, token_gate_BT)
    kl_BT = None
    if args.beta != 0.0:
        corrected_by = old_logps_BT if args.use_bias_correction_kl else None
        kl_BT = kl_estimate(logps_BT, inputs["ref_per_token_logps"], online_BT, old_logp_BT=corrected_by)
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
        loss = loss - args.entropy_coef * entropy_bonus(entropy_BT, online_BT, num_tokens=num_online)
    return HybridLoss(loss=loss, policy=policy, kl_BT=kl_BT)
