"""The hybrid rows as padded tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch

from oger.training.batch import HybridTensors, Rollouts, TeacherRow, mask_rows, pad_rows
from oger.training.step import StepContext


def tensorise(context: StepContext, rollouts: Rollouts, teacher_rows: Sequence[TeacherRow]) -> HybridTensors:
    """Pads prompts on the left and completions on the right, with the teacher rows in place."""
    device = context.device
    completion_ids = list(rollouts.completion_ids)
    token_masks = None if rollouts.token_masks is None else list(rollouts.token_masks)
    sampling_logps = None if rollouts.sampling_logps is None else list(rollouts.sampling_logps)
    offline_N = torch.zeros(len(completion_ids), dtype=torch.bool, device=device)
    for teacher in teacher_rows:
        completion_ids[teacher.row] = teacher.token_ids
        offline_N[teacher.row] = True
        if token_masks is not None:
            token_masks[teacher.row] = [1] * len(teacher.token_ids)
        if sampling_logps is not None:
            sampling_logps[teacher.row] = [None] * len(teacher.token_ids)  # no engine sampled them: ratio 1

    multiple = int(context.args.pad_to_multiple_of or 1)
    padded = partial(pad_rows, multiple=multiple, device=device)
    mask = partial(mask_rows, multiple=multiple, device=device)
    completion_mask_NT = mask(completion_ids)
    if context.args.mask_truncated_completions:
        completion_mask_NT = completion_mask_NT * (~rollouts.truncated_N | offline_N)[:, None].long()
    pad_id = context.tokenizer.pad_token_id
    return HybridTensors(
        prompt_ids_NP=padded(rollouts.prompt_ids, pad_id, left=True),
        prompt_mask_NP=mask(rollouts.prompt_ids, left=True),
        completion_ids_NT=padded(completion_ids, pad_id),
        completion_mask_NT=completion_mask_NT,
        token_mask_NT=None if token_masks is None else padded(token_masks, 1),
        sampling_logps_NT=None
        if sampling_logps is None
        else padded([[math.nan if x is None else x for x in row] for row in sampling_logps], 0, dtype=torch.float),
        offline_N=offline_N,
        given_N=rollouts.given_N,
    )
