"""The stages between generation and the loss, in OGER's order: replace -> pad -> entropy -> reward.

Each stage is a function of what the earlier ones made; the trainer only calls them in turn. Equations live in
`oger.method`; here they are applied group by group.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from trl.trainer.utils import nanstd

from oger.method.advantage import clamp_teacher_advantage, group_advantage, spare_failed_groups, weigh_positive
from oger.method.confidence import confidence, reduce_entropy
from oger.method.hybrid_group import CHOICES, Teachers, plan_replacement
from oger.method.undecided import settle_undecided
from oger.teachers.table.column import COLUMN, teacher_token_ids
from oger.training.batch import ForwardPass, Hesitation, HybridTensors, Rollouts, Scores, TeacherRow, Verdicts
from oger.training.config import OGERConfig

_TRL_ADVANTAGE_EPS = 1e-4  # TRL's guard of the standard deviation, so that a plain group equals stock GRPO


def draw_seed(seed: int, step: int, prompt: Any, occurrence: int = 0) -> int:
    """Seed of the draws of one group, from the run's seed, the rollout step and the prompt: the same after a resume.

    `occurrence` tells groups of one prompt in one batch apart.
    """
    digest = hashlib.blake2b(f"{seed}\x1f{step}\x1f{occurrence}\x1f{prompt!r}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def replace(
    inputs: Sequence[dict[str, Any]],
    outcome_N: torch.Tensor,
    divergence_N: torch.Tensor,
    args: OGERConfig,
    group_size: int,
    step: int,
    epoch: int,
    tokenizer: Any,
    judge: Callable[[dict[str, Any], str, list[int]], float],
    answer_logps: Sequence[torch.Tensor] | None,
) -> list[TeacherRow]:
    """Decides which online rows give way to which teacher trajectories.

    Args:
        inputs: rows of the batch, groups together.
        outcome_N: outcomes of the online rows.
        divergence_N: their divergences.
        args: the run's options.
        group_size: G.
        step: optimiser steps taken; with the seed and the prompt it fixes every draw.
        epoch: passes over the prompts so far; `round_robin` goes one teacher further at each.
        tokenizer: the policy's.
        judge: gives the outcome of a drawn trajectory whose table holds no verdict.
        answer_logps: per group, (M,): log-probability of the gold answer after each teacher's reasoning; None where
            the teacher choice needs none.
    """
    reads_lengths = "num_tokens_M" in CHOICES[args.teacher_choice].needs
    teacher_rows = []
    occurrences: Counter[str] = Counter()
    for start in range(0, len(inputs), group_size):
        teachers = inputs[start].get(COLUMN) or []
        rows = slice(start, start + group_size)
        prompt = inputs[start]["prompt"]
        visit = occurrences[repr(prompt)]
        occurrences[repr(prompt)] += 1
        plan = plan_replacement(
            divergence_N[rows],
            outcome_N[rows],
            Teachers(
                num=len(teachers),
                turn=draw_seed(args.seed, 0, prompt) % max(len(teachers), 1) + epoch + visit,
                num_tokens_M=_num_tokens(teachers, tokenizer) if reads_lengths else None,
                answer_logp_M=None if answer_logps is None else answer_logps[start // group_size],
            ),
            strategy=args.replacement,
            num_rows=args.teacher_rows,
            choice=args.teacher_choice,
            generator=torch.Generator().manual_seed(draw_seed(args.seed, step, prompt, visit)),
        )
        for row, index in plan:
            teacher = teachers[index]
            token_ids = teacher_token_ids(teacher["text"], tokenizer)
            verdict = teacher["verdict"]
            teacher_rows.append(
                TeacherRow(
                    row=start + row,
                    index=index,
                    teacher=teacher["teacher"],
                    text=teacher["text"],
                    token_ids=token_ids,
                    outcome=judge(inputs[start], teacher["text"], token_ids) if verdict is None else verdict,
                )
            )
    return teacher_rows


def _num_tokens(teachers: Sequence[Mapping[str, Any]], tokenizer: Any) -> torch.Tensor:
    return torch.tensor([len(teacher_token_ids(teacher["text"], tokenizer)) for teacher in teachers])


def tensorise(
    rollouts: Rollouts,
    teacher_rows: Sequence[TeacherRow],
    *,
    pad_token_id: int,
    pad_to_multiple_of: int | None,
    mask_truncated: bool,
    device: torch.device,
) -> HybridTensors:
    """Pads prompts on the left and completions on the right, with the teacher rows in place."""
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

    def width_of(rows: Sequence[Sequence[Any]]) -> int:
        multiple = pad_to_multiple_of or 1
        return -(-max(map(len, rows)) // multiple) * multiple

    def padded(rows: Sequence[Sequence[Any]], value: int, side: str, dtype: torch.dtype) -> torch.Tensor:
        width = width_of(rows)
        gaps = [[value] * (width - len(row)) for row in rows]
        full = [[*gap, *row] if side == "left" else [*row, *gap] for row, gap in zip(rows, gaps, strict=True)]
        return torch.tensor(full, dtype=dtype, device=device)  # at once: a tensor of each row takes thrice as long

    def mask_of(rows: Sequence[Sequence[Any]], side: str) -> torch.Tensor:
        length_N1 = torch.tensor([[len(row)] for row in rows], device=device)
        position_T = torch.arange(width_of(rows), device=device)
        return ((position_T.flip(0) if side == "left" else position_T) < length_N1).long()

    completion_mask_NT = mask_of(completion_ids, "right")
    if mask_truncated:
        completion_mask_NT = completion_mask_NT * (~rollouts.truncated_N | offline_N)[:, None].long()
    return HybridTensors(
        prompt_ids_NP=padded(rollouts.prompt_ids, pad_token_id, "left", torch.long),
        prompt_mask_NP=mask_of(rollouts.prompt_ids, "left"),
        completion_ids_NT=padded(completion_ids, pad_token_id, "right", torch.long),
        completion_mask_NT=completion_mask_NT,
        token_mask_NT=None if token_masks is None else padded(token_masks, 1, "right", torch.long),
        sampling_logps_NT=None
        if sampling_logps is None
        else padded([[math.nan if x is None else x for x in row] for row in sampling_logps], 0, "right", torch.float),
        offline_N=offline_N,
    )


def settle(
    verdicts: Verdicts, teacher_rows: Sequence[TeacherRow], args: OGERConfig, *, outcome_weight: float
) -> Verdicts:
    """Outcomes and rewards of the hybrid rows before any shaping.

    A teacher row's reward is its outcome times the weight of the outcome function (paper: R_total = R_m). A reward of
    NaN marks a row that is left out, of its group by `score` and of the loss by `without_dropped`.
    """
    outcome_N, base_N = verdicts.outcome_N.clone(), verdicts.base_reward_N.clone()
    for teacher in teacher_rows:
        outcome_N[teacher.row] = teacher.outcome
        base_N[teacher.row] = teacher.outcome * outcome_weight
    base_N = settle_undecided(outcome_N, base_N, policy=args.undecided)
    return dataclasses.replace(verdicts, outcome_N=outcome_N, base_reward_N=base_N)


def hesitation(
    forward: ForwardPass, tensors: HybridTensors, args: OGERConfig, *, span_NT: torch.Tensor | None
) -> Hesitation:
    """Entropies of the rows and the confidence that the run's options make of them."""
    mask_NT = tensors.loss_mask_NT
    seen_N = mask_NT.any(dim=1)
    entropy_NT = forward.entropy_NT
    if entropy_NT is None:
        nan_N = torch.full(seen_N.shape, math.nan, device=seen_N.device)
        return Hesitation(entropy_last_N=nan_N, entropy_mean_N=nan_N, confidence_N=seen_N.to(nan_N))

    def reduced(reduction: str) -> torch.Tensor:
        return reduce_entropy(entropy_NT, mask_NT, reduction=reduction, k=args.entropy_last_k, span_BT=span_NT).float()

    def where_known(value_N: torch.Tensor) -> torch.Tensor:
        return torch.where(forward.entropy_known_N, value_N, math.nan)

    # A row that the loss does not see (a masked truncated one) has no entropy to be confident by.
    confidence_N = confidence(reduced(args.entropy_reduction), scale=args.entropy_scale)
    return Hesitation(
        entropy_last_N=where_known(reduced("last_token")),
        entropy_mean_N=where_known(reduced("mean")),
        confidence_N=torch.where(seen_N, confidence_N, 0.0),
    )


def score(
    settled: Verdicts,
    divergence_N: torch.Tensor,
    unsure: Hesitation,
    shaping: Mapping[str, torch.Tensor],
    weights: Mapping[str, float],
    tensors: HybridTensors,
    args: OGERConfig,
    *,
    group_size: int,
    gather: Callable[[torch.Tensor], torch.Tensor],
) -> Scores:
    """Total reward, R plus the weighted shaping rewards, and group advantage of the hybrid rows."""
    offline_N = tensors.offline_N
    nan_N = torch.full_like(settled.outcome_N, math.nan)
    bonus_N = sum((weights[name] * value_N for name, value_N in shaping.items()), torch.zeros_like(nan_N))
    reward_N = settled.base_reward_N + bonus_N
    advantage_N = _advantage(reward_N, args, group_size, gather)
    if args.failed_groups == "spare":
        groups = (tensor.view(-1, group_size) for tensor in (advantage_N, settled.outcome_N, offline_N))
        advantage_N = spare_failed_groups(*groups).flatten()
    advantage_N = weigh_positive(
        advantage_N,
        settled.outcome_N,
        offline_N,
        unsure.entropy_mean_N,
        weight=args.positive_weight,
        row_weight=args.positive_row_weight,
    )
    return Scores(
        outcome_N=settled.outcome_N,
        divergence_N=torch.where(offline_N, nan_N, divergence_N.to(nan_N)),
        entropy_last_N=unsure.entropy_last_N.to(nan_N),
        entropy_mean_N=unsure.entropy_mean_N.to(nan_N),
        confidence_N=torch.where(offline_N, nan_N, unsure.confidence_N.to(nan_N)),
        shaping=shaping,
        bonus_N=torch.where(offline_N, nan_N, bonus_N) if shaping else nan_N,
        reward_N=reward_N,
        advantage_N=clamp_teacher_advantage(advantage_N, offline_N, minimum=args.teacher_advantage_min),
    )


def without_dropped(tensors: HybridTensors, scores: Scores) -> HybridTensors:
    """The tensors with no loss on rows that have no reward: no gradient, no entropy bonus, no token counted."""
    kept_N1 = ~scores.reward_N.isnan()[:, None]
    return dataclasses.replace(tensors, completion_mask_NT=tensors.completion_mask_NT * kept_N1)


def _advantage(
    reward_N: torch.Tensor, args: OGERConfig, group_size: int, gather: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    scale = "std" if args.scale_rewards == "group" else "none"
    advantage_N = group_advantage(reward_N.view(-1, group_size), scale=scale, eps=_TRL_ADVANTAGE_EPS).flatten()
    if args.scale_rewards == "batch":
        advantage_N = advantage_N / (nanstd(gather(reward_N)) + _TRL_ADVANTAGE_EPS)
    return advantage_N
