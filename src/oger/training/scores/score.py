"""Outcomes, total rewards and advantages of the hybrid rows; the equations are in `oger.method`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import torch

from oger.method.advantage import clamp_teacher_advantage, group_advantage, spare_failed_groups, weigh_positive
from oger.method.reward import total_reward, weighted_bonus
from oger.method.undecided import settle_undecided
from oger.training.batch import Hesitation, HybridTensors, Scores, TeacherRow, Verdicts
from oger.training.config import OGERConfig
from oger.training.step import StepContext

_TRL_ADVANTAGE_EPS = 1e-4  # TRL's guard of the standard deviation, so that a plain group equals stock GRPO
_SCALES = {"group": "std", "batch": "batch", "none": "none"}
"""TRL's word for the scale of rewards -> ours."""


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


def score(
    context: StepContext,
    settled: Verdicts,
    divergence_N: torch.Tensor,
    unsure: Hesitation,
    shaping: Mapping[str, torch.Tensor],
    weights: Mapping[str, float],
    tensors: HybridTensors,
) -> Scores:
    """Total reward, R plus the weighted shaping rewards, and group advantage of the hybrid rows."""
    args, group_size = context.args, context.group_size
    offline_N = tensors.offline_N
    nan_N = torch.full_like(settled.outcome_N, math.nan)
    bonus_N = weighted_bonus(shaping, weights, offline_N)
    reward_N = total_reward(settled.base_reward_N, bonus_N)
    part_PG = None
    if tensors.given_N is not None and args.guided_baseline == "own":
        part_PG = tensors.given_N.view(-1, group_size) > 0
    advantage_N = group_advantage(
        reward_N.view(-1, group_size),
        part_G=part_PG,
        scale=_SCALES[args.scale_rewards],
        eps=_TRL_ADVANTAGE_EPS,
        batch_reward=context.gather(reward_N) if args.scale_rewards == "batch" else None,
    ).flatten()
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
