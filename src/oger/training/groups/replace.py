"""Which online rows give way to which teacher trajectories; the equation is `oger.method.hybrid_group`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from oger.method.hybrid_group import CHOICES, Teachers, plan_replacement
from oger.seeds import draw_seed
from oger.teachers.table.column import COLUMN
from oger.training.batch import TeacherRow, groups
from oger.training.step import StepContext


def replace(
    context: StepContext,
    inputs: Sequence[dict[str, Any]],
    outcome_N: torch.Tensor,
    divergence_N: torch.Tensor,
    judge: Callable[[dict[str, Any], str, list[int]], float],
    answer_logps: Sequence[torch.Tensor] | None,
    given_N: torch.Tensor | None,
) -> list[TeacherRow]:
    """Draws the teacher rows of every group; the step, the seed and the prompt fix each draw.

    Args:
        context: `round_robin` goes one teacher further at each of its epochs.
        judge: gives the outcome of a drawn trajectory whose table holds no verdict.
        answer_logps: per group, (M,): log-probability of the gold answer after each teacher's reasoning; None where
            the teacher choice needs none.
        given_N: tokens that guided rows were given: a group with one of them has no teacher row; None without any.
    """
    args = context.args
    reads_lengths = "num_tokens_M" in CHOICES[args.teacher_choice].needs
    teacher_rows = []
    for group, (rows, visit) in enumerate(groups(inputs, context.group_size)):
        if given_N is not None and bool(given_N[rows].any()):
            continue
        example = inputs[rows.start]
        teachers, prompt = example.get(COLUMN) or [], example["prompt"]
        plan = plan_replacement(
            divergence_N[rows],
            outcome_N[rows],
            Teachers(
                num=len(teachers),
                turn=draw_seed(args.seed, 0, prompt) % max(len(teachers), 1) + context.epoch + visit,
                num_tokens_M=torch.tensor([t["num_tokens"] for t in teachers]) if reads_lengths else None,
                answer_logp_M=None if answer_logps is None else answer_logps[group],
            ),
            strategy=args.replacement,
            num_rows=args.teacher_rows,
            choice=args.teacher_choice,
            generator=torch.Generator().manual_seed(draw_seed(args.seed, context.step, prompt, visit)),
        )
        for row, index in plan:
            teacher = teachers[index]
            token_ids = context.turn.token_ids(teacher["text"])
            verdict = teacher["verdict"]
            teacher_rows.append(
                TeacherRow(
                    row=rows.start + row,
                    index=index,
                    teacher=teacher["teacher"],
                    text=teacher["text"],
                    token_ids=token_ids,
                    outcome=judge(example, teacher["text"], token_ids) if verdict is None else verdict,
                )
            )
    return teacher_rows
