"""The one forward without gradient over a rollout batch: old and reference log-probabilities, entropies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import is_peft_model
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import use_adapter

from oger.method.confidence import REDUCTIONS
from oger.training.batch import ForwardPass, HybridTensors
from oger.training.logprobs.trimmed import trimmed_log_probs
from oger.training.loop.nonfinite import RowFaults

if TYPE_CHECKING:
    from oger.training.rollouts.entropy import EntropyRecorder
    from oger.training.trainer import OGERTrainer


def forward_without_gradient(
    trainer: OGERTrainer, tensors: HybridTensors, entropies: EntropyRecorder | None, faults: RowFaults
) -> ForwardPass:
    """At most one forward of the policy: old log-probs where TRL would take them, and what shaping rewards see.

    None at all where entropies are all that is asked for and generation has recorded them.
    """
    args = trainer.args
    corrects = trainer.use_vllm and trainer.vllm_importance_sampling_correction
    every = args.steps_per_generation * trainer.num_iterations
    need_old = args.gradient_accumulation_steps % every != 0 or corrects
    pays_by_entropy = args.exploration_weight != 0 and REDUCTIONS[args.entropy_reduction].needs_entropy
    need_entropy = bool(args.shaping_rewards) or pays_by_entropy or args.positive_row_weight != "one"
    logps_NT = entropy_NT = ref_logps_NT = None
    known_N = torch.ones_like(tensors.offline_N)
    if entropies is not None and not need_old and not args.shaping_rewards:
        need_entropy, known_N = False, ~tensors.offline_N
        entropy_NT = entropies.entropy_NT(tensors.loss_mask_NT * known_N[:, None])
    with torch.no_grad(), disable_gradient_checkpointing(trainer.model, args.gradient_checkpointing_kwargs):
        if need_old or need_entropy:
            logps_NT, entropy_NT = _log_probs(trainer, trainer.model, tensors, compute_entropy=True)
        if trainer.beta != 0.0:
            ref_logps_NT = _reference_log_probs(trainer, tensors)
    if entropy_NT is not None:
        entropy_NT = faults.take_out("probability", entropy_NT, inside=tensors.loss_mask_NT)
    return ForwardPass(
        logps_NT=logps_NT,
        old_logps_NT=logps_NT if need_old else None,
        entropy_NT=entropy_NT,
        entropy_known_N=known_N,
        ref_logps_NT=ref_logps_NT,
    )


def _reference_log_probs(trainer: OGERTrainer, tensors: HybridTensors) -> torch.Tensor:
    if trainer.ref_model is not None:
        return _log_probs(trainer, trainer.ref_model, tensors)[0]
    policy = trainer.accelerator.unwrap_model(trainer.model)
    assert is_peft_model(policy), "TRL keeps a reference model unless the policy is an adapter"
    with use_adapter(policy, adapter_name="ref" if "ref" in policy.peft_config else None):
        return _log_probs(trainer, trainer.model, tensors)[0]


def _log_probs(
    trainer: OGERTrainer, model: Any, tensors: HybridTensors, compute_entropy: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    args, width = trainer.args, tensors.completion_ids_NT.size(1)
    input_ids = torch.cat([tensors.prompt_ids_NP, tensors.completion_ids_NT], dim=1)
    attention_mask = torch.cat([tensors.prompt_mask_NP, tensors.completion_mask_NT], dim=1)
    if args.length_chunks == 1:
        logps_NT, entropy_NT, _ = trainer._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, width, batch_size=args.per_device_train_batch_size,
            compute_entropy=compute_entropy,
        )  # fmt: skip
        return logps_NT, entropy_NT
    micro_batches = -(-len(input_ids) // args.per_device_train_batch_size)
    return trimmed_log_probs(
        trainer, model, input_ids, attention_mask, width, num_chunks=micro_batches * args.length_chunks,
        compute_entropy=compute_entropy,
    )  # fmt: skip
