"""What a stage of one rollout batch, or of one micro-batch, may ask of the run. Stages take this, never the trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from oger.teachers.table.turn import PolicyTurn
from oger.training.config import OGERConfig
from oger.training.metrics.sums import MetricSums

ScoreTokens = Callable[..., tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]]
"""(model, input_ids, attention_mask, completion width, ...) -> log-probabilities, entropies, auxiliary loss; TRL's
`_get_per_token_logps_and_entropies`."""


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """The run as it stands; made once per batch by the trainer."""

    args: OGERConfig
    tokenizer: Any
    turn: PolicyTurn  # what a teacher row is, in tokens
    answer_rules: Sequence[str] | None  # by which the outcome reads an answer; None = it does not say
    device: torch.device
    step: int  # optimiser steps taken
    progress: float  # part of the training that is done, in [0, 1]
    epoch: int  # passes over the prompts so far
    rank: int
    num_processes: int
    gather: Callable[[torch.Tensor], torch.Tensor]  # rows of all ranks, in their order
    reduce: Callable[[torch.Tensor], torch.Tensor]  # sum over the ranks
    sums: MetricSums  # takes the metrics of the step
    policy: Any
    unwrapped_policy: Any  # without the launcher's wrapping
    reference: Any  # None where there is none, or where it is the policy without its adapter
    score_tokens: ScoreTokens
    off_policy_mask: Callable[..., torch.Tensor]  # TRL's, of more than one rank or row; so is the next
    high_entropy_mask: Callable[..., torch.Tensor]

    @property
    def group_size(self) -> int:
        """G."""
        return self.args.num_generations
