"""What passes between the stages of one rollout batch. N rows = prompts x G; the G rows of a group stand together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from oger.training.groups.vectors import BatchVectors
from oger.training.rollouts.entropy import EntropyRecorder


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """The online rollouts of this rank. Made by `sample`; read by every later stage."""

    prompts: list[Any]
    prompt_ids: list[list[int]]
    completion_ids: list[list[int]]
    completions: list[Any]  # as TRL hands them to reward functions: texts, or lists with one assistant message
    texts: list[str]
    truncated_N: torch.Tensor
    sampling_logps: list[list[float | None]] | None  # what vLLM reports for the sampled tokens
    entropies: EntropyRecorder | None  # of the tokens, taken while they were drawn
    token_masks: list[list[int]] | None  # 0 on tokens that the policy did not sample: inserted, or given to it
    given_N: torch.Tensor | None = None  # of a teacher, that a rollout begins with; None: none ever does


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """Rewards before the exploration reward. Made by `verify`."""

    outcome_N: torch.Tensor  # 1 correct, 0 wrong, NaN undecided
    base_reward_N: torch.Tensor  # Σ weight x reward function, NaN where every function returned None
    per_function_NF: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class TeacherRow:
    """A teacher trajectory that takes the place of an online row. Made by `replace`."""

    row: int
    index: int  # place among the prompt's teachers
    teacher: str
    text: str
    token_ids: list[int]
    outcome: float


@dataclass(frozen=True, kw_only=True)
class HybridTensors:
    """Padded tokens of the hybrid groups. P prompt, T completion tokens."""

    prompt_ids_NP: torch.Tensor
    prompt_mask_NP: torch.Tensor
    completion_ids_NT: torch.Tensor
    completion_mask_NT: torch.Tensor
    token_mask_NT: torch.Tensor | None
    sampling_logps_NT: torch.Tensor | None
    offline_N: torch.Tensor
    given_N: torch.Tensor | None = None

    @property
    def given_NT(self) -> torch.Tensor | None:
        """True on the tokens that guided rollouts were given, where the loss may see their row."""
        if self.given_N is None:
            return None
        width = self.completion_ids_NT.shape[1]
        position_T = torch.arange(width, device=self.given_N.device)
        return (position_T < self.given_N[:, None]) & self.completion_mask_NT.bool()

    @property
    def loss_mask_NT(self) -> torch.Tensor:
        """1 on sampled and teacher tokens that the loss may see."""
        return self.completion_mask_NT if self.token_mask_NT is None else self.completion_mask_NT * self.token_mask_NT


@dataclass(frozen=True, kw_only=True)
class ForwardPass:
    """What the no-gradient forward over the rollout batch gave; None where nothing asked for it."""

    logps_NT: torch.Tensor | None
    old_logps_NT: torch.Tensor | None  # the same, where the objective takes its ratios from them
    entropy_NT: torch.Tensor | None
    entropy_known_N: torch.Tensor  # False on rows without entropies: of teachers, where they come from generation
    ref_logps_NT: torch.Tensor | None


@dataclass(frozen=True, kw_only=True)
class Hesitation:
    """How unsure the policy was of each row. Made by `hesitation`."""

    entropy_last_N: torch.Tensor  # nats; NaN where there was no forward
    entropy_mean_N: torch.Tensor
    confidence_N: torch.Tensor  # c in [0, 1]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Every factor of every row's reward. A value that has no meaning on a row (a teacher's divergence) is NaN."""

    outcome_N: torch.Tensor
    divergence_N: torch.Tensor
    entropy_last_N: torch.Tensor
    entropy_mean_N: torch.Tensor
    confidence_N: torch.Tensor
    shaping: Mapping[str, torch.Tensor]  # name -> (N,), before the weight; 0 on teacher rows
    bonus_N: torch.Tensor  # their weighted sum
    reward_N: torch.Tensor
    advantage_N: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class ScoredBatch:
    """Everything known of one rollout batch, for metrics, stored rows and previews."""

    inputs: Sequence[Mapping[str, Any]]
    rollouts: Rollouts
    verdicts: Verdicts
    divergence_N: torch.Tensor  # of the online rows, before any was replaced
    teacher_rows: Sequence[TeacherRow]
    tensors: HybridTensors
    scores: Scores
    forward: ForwardPass
    vectors: BatchVectors
    group_size: int


def groups(inputs: Sequence[Mapping[str, Any]], group_size: int) -> Iterator[tuple[slice, int]]:
    """Rows of each group, and how many groups of the same prompt stand before it in the batch."""
    seen: Counter[str] = Counter()
    for start in range(0, len(inputs), group_size):
        prompt = repr(inputs[start]["prompt"])
        yield slice(start, start + group_size), seen[prompt]
        seen[prompt] += 1


def loss_tokens(batch: Mapping[str, Any]) -> torch.Tensor:
    """1 on the tokens of a batch in TRL's layout that the loss may see: sampled, a teacher row's, given; (B, T)."""
    seen_BT = batch.get("tool_mask", 1)
    if "given" in batch:
        seen_BT = seen_BT | batch["given"]
    return batch["completion_mask"] * seen_BT


def online_tokens(batch: Mapping[str, Any]) -> torch.Tensor:
    """1 on the tokens of a batch in TRL's layout that the policy sampled and the loss may see, (B, T)."""
    return batch["completion_mask"] * batch.get("tool_mask", 1) * ~batch["offline"][:, None]


def pad_rows(
    rows: Sequence[Sequence[Any]],
    value: int,
    *,
    left: bool = False,
    multiple: int = 1,
    dtype: torch.dtype = torch.long,
    device: torch.device,
) -> torch.Tensor:
    """(N, longest row), the width rounded up to a multiple; rows are filled up with `value`."""
    width = -(-max(map(len, rows)) // multiple) * multiple
    gaps = [[value] * (width - len(row)) for row in rows]
    full = [[*gap, *row] if left else [*row, *gap] for row, gap in zip(rows, gaps, strict=True)]
    return torch.tensor(full, dtype=dtype, device=device)  # at once: a tensor of each row takes thrice as long


def mask_rows(
    rows: Sequence[Sequence[Any]], *, left: bool = False, multiple: int = 1, device: torch.device
) -> torch.Tensor:
    """1 where `pad_rows` puts a row's own entries, 0 on the padding."""
    length_N1 = torch.tensor([[len(row)] for row in rows], device=device)
    width = -(-max(map(len, rows)) // multiple) * multiple
    position_T = torch.arange(width, device=device)
    return ((position_T.flip(0) if left else position_T) < length_N1).long()
