"""The one forward without gradient over a rollout batch: old and reference log-probabilities, entropies."""

from __future__ import annotations

from typing import Any

import torch
from accelerate.utils import is_peft_model
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import use_adapter

from oger.training.batch import ForwardPass, HybridTensors
from oger.training.logprobs.trimmed import trimmed_log_probs
from oger.training.loop.nonfinite import RowFaults
from oger.training.rollouts.entropy import EntropyRecorder
from oger.training.step import StepContext


def forward_without_gradient(
    context: StepContext, tensors: HybridTensors, entropies: EntropyRecorder | None, faults: RowFaults
) -> ForwardPass:
    """At most one forward of the policy: old log-probs where TRL would take them, and what shaping rewards see.

    None at all where entropies are all that is asked for and generation has recorded them.
    """
    args, policy = context.args, context.policy
    need_old, need_entropy = args.needs_old_logps, args.needs_entropies
    logps_NT = entropy_NT = ref_logps_NT = None
    known_N = torch.ones_like(tensors.offline_N)
    if entropies is not None and not need_old and not args.shaping_rewards:
        need_entropy, known_N = False, ~tensors.offline_N
        entropy_NT = entropies.entropy_NT(tensors.loss_mask_NT * known_N[:, None], tensors.given_N)
    with torch.no_grad(), disable_gradient_checkpointing(policy, args.gradient_checkpointing_kwargs):
        if need_old or need_entropy:
            logps_NT, entropy_NT = _log_probs(context, policy, tensors, compute_entropy=True)
        if args.beta != 0.0:
            ref_logps_NT = _reference_log_probs(context, tensors)
    if entropy_NT is not None:
        entropy_NT = faults.take_out("probability", entropy_NT, inside=tensors.loss_mask_NT)
    return ForwardPass(
        logps_NT=logps_NT,
        old_logps_NT=logps_NT if need_old else None,
        entropy_NT=entropy_NT,
        entropy_known_N=known_N,
        ref_logps_NT=ref_logps_NT,
    )


def _reference_log_probs(context: StepContext, tensors: HybridTensors) -> torch.Tensor:
    if context.reference is not None:
        return _log_probs(context, context.reference, tensors)[0]
    adapted = context.unwrapped_policy
    assert is_peft_model(adapted), "TRL keeps a reference model unless the policy is an adapter"
    with use_adapter(adapted, adapter_name="ref" if "ref" in adapted.peft_config else None):
        return _log_probs(context, context.policy, tensors)[0]


def _log_probs(
    context: StepContext, model: Any, tensors: HybridTensors, compute_entropy: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    args, width = context.args, tensors.completion_ids_NT.size(1)
    input_ids = torch.cat([tensors.prompt_ids_NP, tensors.completion_ids_NT], dim=1)
    attention_mask = torch.cat([tensors.prompt_mask_NP, tensors.completion_mask_NT], dim=1)
    if args.length_chunks == 1:
        logps_NT, entropy_NT, _ = context.score_tokens(
            model, input_ids, attention_mask, width, batch_size=args.per_device_train_batch_size,
            compute_entropy=compute_entropy,
        )  # fmt: skip
        return logps_NT, entropy_NT
    micro_batches = -(-len(input_ids) // args.per_device_train_batch_size)
    return trimmed_log_probs(
        context.score_tokens, model, input_ids, attention_mask, width, num_chunks=micro_batches * args.length_chunks,
        compute_entropy=compute_entropy,
    )  # fmt: skip
