"""A rollout batch in TRL's layout: what its buffer shuffles, splits into micro-batches and hands to the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from oger.method.importance import sampling_importance_ratio
from oger.training.batch import ForwardPass, HybridTensors, Scores, loss_tokens, mask_rows, online_tokens, pad_rows
from oger.training.metrics import records
from oger.training.objective.imitation import Imitated
from oger.training.step import StepContext


def trl_batch(
    context: StepContext,
    tensors: HybridTensors,
    forward: ForwardPass,
    scores: Scores,
    imitated: Imitated | None,
    *,
    aux_loss: bool,
) -> dict[str, Any]:
    """The batch in TRL's layout, plus `offline`, the online token count and the imitated trajectories.

    Args:
        tensors: the hybrid rows; of what was dropped nothing is left.
        imitated: None where nothing is imitated.
        aux_loss: whether the policy has an auxiliary loss, in which every row takes part.
    """
    args = context.args
    if imitated is not None and args.imitation_instead:
        kept_N1 = ~imitated.prompts_N[:, None]
        tensors = dataclasses.replace(tensors, completion_mask_NT=tensors.completion_mask_NT * kept_N1)
    mask_NT = tensors.loss_mask_NT
    output = {
        "prompt_ids": tensors.prompt_ids_NP,
        "prompt_mask": tensors.prompt_mask_NP,
        "completion_ids": tensors.completion_ids_NT,
        "completion_mask": tensors.completion_mask_NT,
        "advantages": scores.advantage_N,
        "offline": tensors.offline_N,
    }
    optional = {
        "old_per_token_logps": forward.old_logps_NT,
        "ref_per_token_logps": forward.ref_logps_NT,
        "sampling_per_token_logps": tensors.sampling_logps_NT,
        "tool_mask": tensors.token_mask_NT,
        "given": tensors.given_NT if args.guided_loss == "shaped" else None,
    }
    output.update({name: tensor for name, tensor in optional.items() if tensor is not None})
    counts = context.reduce(torch.stack([loss_tokens(output).sum(), online_tokens(output).sum()]))
    output["num_items_in_batch"], output["num_online_items_in_batch"] = counts
    # A rollout of advantage 0 then adds nothing to the loss, and is not compared with others there.
    apart = args.beta == 0 and not args.entropy_coef and args.top_entropy_quantile == 1 and not aux_loss
    if args.skip_idle_rows and apart and forward.entropy_NT is not None:
        output["idle"] = ~tensors.offline_N & (scores.advantage_N == 0)
        output["sampled_entropy"] = forward.entropy_NT
        context.sums.add("advantage/idle_share", output["idle"])
    if imitated is not None:
        output |= _imitated(context, imitated)
    if args.corrects_for_engine:
        assert forward.old_logps_NT is not None
        assert tensors.sampling_logps_NT is not None
        output["importance_sampling_ratio"] = sampling_importance_ratio(
            forward.old_logps_NT,
            tensors.sampling_logps_NT,
            mask_NT,
            tensors.offline_N,
            mode=args.vllm_importance_sampling_mode,
            clip_min=args.vllm_importance_sampling_clip_min,
            clip_max=args.vllm_importance_sampling_clip_max,
        )
        records.add_mismatch(context.sums, output)
    return output


def supervised_batch(context: StepContext, prompt_ids: Sequence[list[int]], imitated: Imitated) -> dict[str, Any]:
    """A batch without rollouts: prompts and imitated trajectories alone."""
    return {
        "prompt_ids": pad_rows(prompt_ids, context.tokenizer.pad_token_id, left=True, device=context.device),
        "prompt_mask": mask_rows(prompt_ids, left=True, device=context.device),
        "offline": torch.ones(len(prompt_ids), dtype=torch.bool, device=context.device),
        **_imitated(context, imitated),
    }


def _imitated(context: StepContext, imitated: Imitated) -> dict[str, torch.Tensor]:
    sums = context.sums
    sums.add("imitation/prompt_share", imitated.prompts_N)
    sums.add("imitation/length", imitated.mask_NL.sum(dim=1), imitated.mask_NL.any(dim=1))
    return {
        "imitated_ids": imitated.ids_NL,
        "imitated_mask": imitated.mask_NL,
        "num_imitated_in_batch": context.reduce(imitated.mask_NL.sum()),
    }
