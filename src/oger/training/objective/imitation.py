"""The imitation stream: teacher trajectories that are learned by likelihood beside the rollout groups.

Each trajectory rides on a row of its prompt's group, so that TRL's shuffle and split carry it to the right micro-batch;
there it joins the policy's rows in one forward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from oger.method.schedule import schedule_factor
from oger.seeds import draw_seed
from oger.teachers.table.column import COLUMN
from oger.training.batch import groups, mask_rows, pad_rows
from oger.training.config import OGERConfig
from oger.training.step import StepContext


@dataclass(frozen=True, kw_only=True)
class Imitated:
    """Trajectories to imitate, at most one per row of the batch. L tokens."""

    ids_NL: torch.Tensor
    mask_NL: torch.Tensor
    prompts_N: torch.Tensor  # True on every row of a group whose prompt is imitated


def choose_imitated(
    context: StepContext, inputs: Sequence[Mapping[str, Any]], outcome_N: torch.Tensor | None
) -> Imitated:
    """Draws up to `imitation_rows` trajectories for each group that qualifies; none that the table calls wrong or
    undecided.

    Args:
        context: its step, the seed and the prompt fix every draw.
        outcome_N: outcomes of the online rows; None where nothing was generated, then every prompt qualifies.
    """
    args, device = context.args, context.device
    rows: list[list[int]] = [[] for _ in inputs]
    prompts_N = torch.zeros(len(inputs), dtype=torch.bool, device=device)
    for group, visit in groups(inputs, context.group_size):
        cell = inputs[group.start].get(COLUMN) or []
        teachers = [teacher for teacher in cell if teacher["verdict"] is None or teacher["verdict"] >= 1]
        solved = 0.0 if outcome_N is None else float((outcome_N[group] == 1).double().mean())
        if not teachers or solved > args.imitation_max_success:
            continue
        prompts_N[group] = True
        seed = draw_seed(args.seed, context.step, ("imitation", inputs[group.start]["prompt"]), visit)
        order = torch.randperm(len(teachers), generator=torch.Generator().manual_seed(seed)).tolist()
        for row, index in enumerate(order[: args.imitation_rows or context.group_size]):
            rows[group.start + row] = context.turn.token_ids(teachers[index]["text"])
    return Imitated(
        ids_NL=pad_rows(rows, context.tokenizer.pad_token_id, device=device),
        mask_NL=mask_rows(rows, device=device),
        prompts_N=prompts_N,
    )


@dataclass(frozen=True, kw_only=True)
class JointRows:
    """Policy rows of a micro-batch and, below them, its imitated trajectories, padded to one width W."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    num_policy: int
    width: int
    imitated_mask_KW: torch.Tensor
    idle_R: torch.Tensor | None
    """True on rows that no loss reads; None where there are none by design."""


def join_rows(inputs: Mapping[str, Any]) -> JointRows:
    """The rows of one forward: of the policy objective, if there are any, then of imitation.

    A micro-batch without either keeps one row that no loss reads, so that every rank takes part in every forward.
    """
    prompt_ids, prompt_mask = inputs["prompt_ids"], inputs["prompt_mask"]
    parts = []
    if "completion_ids" in inputs:
        parts.append((prompt_ids, prompt_mask, inputs["completion_ids"], inputs["completion_mask"]))
    if "imitated_ids" in inputs:
        mask_NL = inputs["imitated_mask"]
        rows_K = mask_NL.any(dim=1).nonzero().flatten()
        if not len(rows_K) and not parts:
            rows_K = torch.zeros(1, dtype=torch.long, device=mask_NL.device)
        length = int(mask_NL[rows_K].sum(dim=1).amax()) if len(rows_K) else 0
        parts.append(
            (prompt_ids[rows_K], prompt_mask[rows_K], inputs["imitated_ids"][rows_K, :length], mask_NL[rows_K, :length])
        )
    width = max(1, *(part[2].size(1) for part in parts))
    ids = [torch.cat([prompt, _widened(completion, width)], dim=1) for prompt, _, completion, _ in parts]
    masks = [torch.cat([prompt, _widened(completion, width)], dim=1) for _, prompt, _, completion in parts]
    num_policy = len(prompt_ids) if "completion_ids" in inputs else 0
    return JointRows(
        input_ids=torch.cat(ids),
        attention_mask=torch.cat(masks),
        num_policy=num_policy,
        width=width,
        imitated_mask_KW=torch.cat(masks)[num_policy:, -width:],
        idle_R=None if "idle" not in inputs else _widened(inputs["idle"][None], sum(map(len, ids)))[0],
    )


def stream_weights(args: OGERConfig, progress: float) -> tuple[float, float]:
    """(a, b) of L = a L_policy + b L_imitation at a part of the training in [0, 1]."""
    factor = schedule_factor(progress, schedule=args.imitation_schedule, end=args.imitation_schedule_end or 0.0)
    imitation = args.imitation_weight * factor
    return (1.0 - imitation if args.imitation_blend == "mix" else args.policy_weight), imitation


def _widened(tensor_BT: torch.Tensor, width: int) -> torch.Tensor:
    """Padded on the right with 0; where the mask is 0 too, the token does not matter."""
    return torch.nn.functional.pad(tensor_BT, (0, width - tensor_BT.size(1)))
