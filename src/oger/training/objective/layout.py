"""A rollout batch in TRL's layout: what its buffer shuffles, splits into micro-batches and hands to the loss."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import torch
from trl.trainer.utils import pad

from oger.method.importance import sampling_importance_ratio
from oger.training.batch import ForwardPass, HybridTensors, Scores
from oger.training.metrics import records
from oger.training.objective.imitation import Imitated

if TYPE_CHECKING:
    from oger.training.trainer import OGERTrainer


def trl_batch(
    trainer: OGERTrainer, tensors: HybridTensors, forward: ForwardPass, scores: Scores, imitated: Imitated | None
) -> dict[str, Any]:
    """The batch in TRL's layout, plus `offline`, the online token count and the imitated trajectories."""
    if imitated is not None and trainer.args.imitation_instead:
        kept_N1 = ~imitated.prompts_N[:, None]
        tensors = dataclasses.replace(tensors, completion_mask_NT=tensors.completion_mask_NT * kept_N1)
    mask_NT = tensors.loss_mask_NT
    online_tokens = (mask_NT * ~tensors.offline_N[:, None]).sum()
    counts = trainer.accelerator.reduce(torch.stack([mask_NT.sum(), online_tokens]), reduction="sum")
    output = {
        "prompt_ids": tensors.prompt_ids_NP,
        "prompt_mask": tensors.prompt_mask_NP,
        "completion_ids": tensors.completion_ids_NT,
        "completion_mask": tensors.completion_mask_NT,
        "advantages": scores.advantage_N,
        "num_items_in_batch": counts[0],
        "num_online_items_in_batch": counts[1],
        "offline": tensors.offline_N,
    }
    optional = {
        "old_per_token_logps": forward.old_logps_NT,
        "ref_per_token_logps": forward.ref_logps_NT,
        "sampling_per_token_logps": tensors.sampling_logps_NT,
        "tool_mask": tensors.token_mask_NT,
    }
    output.update({name: tensor for name, tensor in optional.items() if tensor is not None})
    if _idle_rows_have_no_gradient(trainer) and forward.entropy_NT is not None:
        output["idle"] = ~tensors.offline_N & (scores.advantage_N == 0)
        output["sampled_entropy"] = forward.entropy_NT
        trainer._sums["train"].add("advantage/idle_share", output["idle"])
    if imitated is not None:
        output |= _imitated(trainer, imitated)
    if trainer.use_vllm and trainer.vllm_importance_sampling_correction:
        assert forward.old_logps_NT is not None
        assert tensors.sampling_logps_NT is not None
        output["importance_sampling_ratio"] = sampling_importance_ratio(
            forward.old_logps_NT,
            tensors.sampling_logps_NT,
            mask_NT,
            tensors.offline_N,
            mode=trainer.vllm_importance_sampling_mode,
            clip_min=trainer.vllm_importance_sampling_clip_min,
            clip_max=trainer.vllm_importance_sampling_clip_max,
        )
        records.add_mismatch(trainer._sums["train"], output)
    return output


def _idle_rows_have_no_gradient(trainer: OGERTrainer) -> bool:
    """Whether a rollout of advantage 0 adds nothing to the loss, and is not compared with others there."""
    args = trainer.args
    apart = args.beta == 0 and not args.entropy_coef and trainer.top_entropy_quantile == 1
    return args.skip_idle_rows and apart and not trainer.aux_loss_enabled


def supervised_batch(trainer: OGERTrainer, inputs: list[dict[str, Any]], imitated: Imitated) -> dict[str, Any]:
    """A batch without rollouts: prompts and imitated trajectories alone."""
    prompt_ids, *_ = trainer._tokenize_prompts([example["prompt"] for example in inputs])

    def padded(rows: list[list[int]], value: int) -> torch.Tensor:
        tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
        return pad(tensors, padding_value=value, padding_side="left").to(trainer.accelerator.device)

    return {
        "prompt_ids": padded(prompt_ids, trainer._tokenizer.pad_token_id),
        "prompt_mask": padded([[1] * len(ids) for ids in prompt_ids], 0),
        "offline": torch.ones(len(inputs), dtype=torch.bool, device=trainer.accelerator.device),
        **_imitated(trainer, imitated),
    }


def _imitated(trainer: OGERTrainer, imitated: Imitated) -> dict[str, torch.Tensor]:
    sums = trainer._sums["train"]
    sums.add("imitation/prompt_share", imitated.prompts_N)
    sums.add("imitation/length", imitated.mask_NL.sum(dim=1), imitated.mask_NL.any(dim=1))
    return {
        "imitated_ids": imitated.ids_NL,
        "imitated_mask": imitated.mask_NL,
        "num_imitated_in_batch": trainer.accelerator.reduce(imitated.mask_NL.sum(), reduction="sum"),
    }
