"""The rows of a batch become tensors at once, and these are TRL's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from trl.trainer.utils import pad

from oger.training.batch import Rollouts, TeacherRow
from oger.training.groups.tensors import tensorise
from tests.support.trainers import step_context

PROMPTS, COMPLETIONS, TEACHER = [[5, 6, 7], [8], [9, 9]], [[3, 4], [5], [6, 7, 8, 9, 2]], [4, 4, 4, 2]
LOGPS = [[-0.5, -1.0], [-2.0], [-0.1, -0.2, -0.3, -0.4, -0.5]]


@pytest.mark.parametrize("multiple", [None, 4])
def test_batch_is_padded_as_trl_pads(multiple: int | None, tmp_path: Path) -> None:
    rollouts = Rollouts(
        prompts=["p"] * 3, prompt_ids=PROMPTS, completion_ids=COMPLETIONS, completions=["c"] * 3, texts=["c"] * 3,
        truncated_N=torch.tensor([True, False, False]), sampling_logps=LOGPS, entropies=None,
        token_masks=[[1, 0], [1], [1] * 5],
    )  # fmt: skip
    teacher = TeacherRow(row=1, index=0, teacher="t", text="t", token_ids=TEACHER, outcome=1.0)
    context = step_context(tmp_path, pad_to_multiple_of=multiple, mask_truncated_completions=True)
    found = tensorise(context, rollouts, [teacher])

    def padded(rows: list[list[Any]], side: str, value: int) -> torch.Tensor:
        return pad([torch.tensor(row) for row in rows], value, side, multiple)

    hybrid = [COMPLETIONS[0], TEACHER, COMPLETIONS[2]]
    expected = {
        "prompt_ids_NP": padded(PROMPTS, "left", 0),
        "prompt_mask_NP": padded([[1] * len(row) for row in PROMPTS], "left", 0),
        "completion_ids_NT": padded(hybrid, "right", 0),
        "completion_mask_NT": padded([[0] * 2, [1] * 4, [1] * 5], "right", 0),  # the first one was cut off
        "token_mask_NT": padded([[1, 0], [1] * 4, [1] * 5], "right", 1),
        "sampling_logps_NT": padded([LOGPS[0], [torch.nan] * 4, LOGPS[2]], "right", 0),
        "offline_N": torch.tensor([False, True, False]),
    }
    for name, tensor in expected.items():
        torch.testing.assert_close(getattr(found, name), tensor, rtol=0, atol=0, equal_nan=True, msg=name)
