"""Shaping rewards of a rollout batch: every active function on every hybrid group, weighted and added up."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from oger.method.schedule import schedule_factor
from oger.rewards.group import RewardGroup
from oger.rewards.registry import ShapingReward, load_shaping_reward
from oger.training.batch import ForwardPass, Hesitation, HybridTensors, TeacherRow, Verdicts
from oger.training.config import OGERConfig
from oger.training.groups.vectors import BatchVectors
from oger.training.step import StepContext


@dataclass(frozen=True)
class WeightedReward:
    """A shaping reward of a run."""

    name: str
    function: ShapingReward
    weight: float


def active_rewards(args: OGERConfig) -> list[WeightedReward]:
    """The run's shaping rewards whose weight is not 0, OGER's first.

    Raises:
        ValueError: a name or a file that is not there, or two rewards of one name.
    """
    asked = {"oger": args.exploration_weight, **args.shaping_rewards}
    rewards = [WeightedReward(*load_shaping_reward(spec), weight) for spec, weight in asked.items() if weight != 0]
    names = [reward.name for reward in rewards]
    if len(set(names)) < len(names):
        raise ValueError(f"two shaping rewards of this run have one name: {', '.join(names)}")
    return rewards


def shaping_weights(context: StepContext, rewards: Sequence[WeightedReward]) -> dict[str, float]:
    """Name -> weight of each shaping reward at this step of their schedule."""
    args = context.args
    factor = schedule_factor(
        context.progress,
        schedule=args.exploration_schedule,
        end=args.exploration_schedule_end or 0.0,
    )
    if args.exploration_schedule != "constant":
        context.sums.add("reward/schedule", torch.tensor([factor]))
    return {reward.name: factor * reward.weight for reward in rewards}


def shape(
    context: StepContext,
    rewards: Sequence[WeightedReward],
    inputs: Sequence[Mapping[str, Any]],
    texts: Sequence[str],
    settled: Verdicts,
    divergence_N: torch.Tensor,
    unsure: Hesitation,
    teacher_rows: Sequence[TeacherRow],
    tensors: HybridTensors,
    forward: ForwardPass,
    vectors: BatchVectors,
) -> dict[str, torch.Tensor]:
    """Name -> (N,) rewards before their weights; 0 on teacher rows and undecided ones.

    Raises:
        ValueError: a reward function returns something else than G numbers; names the function.
    """
    group_size = context.group_size
    values: dict[str, list[torch.Tensor]] = {reward.name: [] for reward in rewards}
    for group, start in enumerate(range(0, len(texts), group_size) if rewards else ()):
        rows = slice(start, start + group_size)
        replaced = {teacher.row - start: teacher for teacher in teacher_rows if start <= teacher.row < rows.stop}
        outcome_G, offline_G = settled.outcome_N[rows], tensors.offline_N[rows]
        view = RewardGroup(
            prompt=inputs[start]["prompt"],
            step=context.step,
            texts=[replaced[i].text if i in replaced else text for i, text in enumerate(texts[rows])],
            origin=["teacher" if i in replaced else "online" for i in range(group_size)],
            outcome=outcome_G,
            divergence=torch.where(offline_G, 0.0, divergence_N[rows]),
            confidence=unsure.confidence_N[rows],
            token_entropy=None if forward.entropy_NT is None else forward.entropy_NT[rows],
            token_logprob=None if forward.logps_NT is None else forward.logps_NT[rows],
            mask=tensors.loss_mask_NT[rows].bool(),
            correctness_gate=context.args.correctness_gate,
            encode=functools.partial(vectors.of_group, group, [(row, t.index) for row, t in replaced.items()]),
        )
        for reward in rewards:
            values[reward.name].append(_checked(reward, view, ~offline_G & ~outcome_G.isnan()))
    return {name: torch.cat(parts).to(settled.outcome_N) for name, parts in values.items()}


def _checked(reward: WeightedReward, view: RewardGroup, paid_G: torch.Tensor) -> torch.Tensor:
    value_G = torch.as_tensor(reward.function(view), device=paid_G.device)
    if value_G.shape != paid_G.shape:
        raise ValueError(
            f"the shaping reward {reward.name!r} must return {len(paid_G)} numbers, one per row of the group, "
            f"got {value_G}"
        )
    return torch.where(paid_G, value_G, 0.0).detach()
