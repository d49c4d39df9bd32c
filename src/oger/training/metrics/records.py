"""From the tensors of a rollout batch to metrics and stored rows; the names are those of `oger.reporting.glossary`."""

from __future__ import annotations

import math
from typing import Any

import torch

from oger.evaluation.statistics.diversity import correct_variety
from oger.method.confidence import reduce_entropy
from oger.method.objective import MixedPolicyLoss
from oger.teachers.table.column import COLUMN
from oger.training.batch import ScoredBatch, online_tokens
from oger.training.metrics.sums import MetricSums

_RATIO_BAND = (0.9, 1.1)  # outside it a token counts as off-policy (log-prob mismatch)


def add_rollout_metrics(sums: MetricSums, batch: ScoredBatch) -> None:
    """Metrics of one rollout batch. Online quantities are taken before the replacement wherever they exist there."""
    rollouts, tensors, scores = batch.rollouts, batch.tensors, batch.scores
    device = scores.reward_N.device
    outcome_N, divergence_N = batch.verdicts.outcome_N, batch.divergence_N
    decided_N = ~outcome_N.isnan()
    correct_N = outcome_N == 1
    offline_N = tensors.offline_N
    online_N = ~offline_N
    guided_N = torch.tensor([bool(example.get(COLUMN)) for example in batch.inputs], device=device)
    given_N = torch.zeros_like(outcome_N, dtype=torch.long) if rollouts.given_N is None else rollouts.given_N
    alone_N = given_N == 0
    lengths_N = torch.tensor([len(ids) for ids in rollouts.completion_ids], device=device) - given_N

    sums.add("reward/outcome", outcome_N, decided_N & alone_N)
    if rollouts.given_N is not None:
        sums.add("guided/outcome", outcome_N, decided_N & ~alone_N)
        sums.add("guided/share", ~alone_N)
        sums.add("guided/given_tokens", given_N, ~alone_N)
    sums.add("outcome/undecided_share", outcome_N.isnan())
    sums.add("reward/total", scores.reward_N, online_N & ~scores.reward_N.isnan())
    sums.add("reward/exploration", scores.bonus_N, online_N & ~scores.bonus_N.isnan())
    for name, value_N in scores.shaping.items():
        sums.add(f"shaping/{name}", value_N, online_N & ~scores.outcome_N.isnan())
    sums.add("divergence/mean", divergence_N, guided_N)
    sums.add("divergence/correct_mean", divergence_N, guided_N & correct_N)
    sums.add("confidence/mean", scores.confidence_N, online_N & ~scores.entropy_last_N.isnan())
    sums.add("length/online", lengths_N)
    sums.add("length/truncated_share", rollouts.truncated_N)
    sums.add("length/teacher", tensors.completion_mask_NT.sum(dim=1), offline_N)

    _add_variety(sums, batch, correct_N, guided_N)
    paid_N = online_N & correct_N & ~scores.bonus_N.isnan()
    sums.add_sum("reward/bonus_length_correlation", *_correlation(scores.bonus_N[paid_N], lengths_N[paid_N]))
    outcome_PG = outcome_N.view(-1, batch.group_size)
    reward_PG = scores.reward_N.view(-1, batch.group_size)
    spread_P = torch.where(reward_PG.isnan(), -math.inf, reward_PG).amax(1) - torch.where(
        reward_PG.isnan(), math.inf, reward_PG
    ).amin(1)
    sums.add("group/solve_none", ~(outcome_PG == 1).any(dim=1))
    sums.add("group/solve_all", (outcome_PG == 1).all(dim=1))
    sums.add("group/plain_share", ~offline_N.view(-1, batch.group_size).any(dim=1))
    sums.add("group/zero_variance_share", spread_P <= 0)
    sums.add("group/replaced_correct_share", correct_N, offline_N)
    sums.add("advantage/teacher_mean", scores.advantage_N, offline_N)
    sums.add("advantage/teacher_negative_share", scores.advantage_N < 0, offline_N)


def _add_variety(sums: MetricSums, batch: ScoredBatch, correct_N: torch.Tensor, guided_N: torch.Tensor) -> None:
    """What the exploration reward can tell apart: texts and D of the correct rollouts of one group."""
    distinct, spread = [], []
    for start in range(0, len(correct_N), batch.group_size):
        right = (correct_N[start : start + batch.group_size].nonzero().squeeze(1) + start).tolist()
        if len(right) > 1:
            texts = [batch.rollouts.texts[row] for row in right]
            share, deviation = correct_variety(texts, batch.divergence_N[right])
            distinct.append(share)
            if guided_N[start]:
                spread.append(deviation)
    for name, values in (("group/distinct_correct_share", distinct), ("divergence/correct_spread", spread)):
        sums.add(name, torch.tensor(values, dtype=torch.double, device=correct_N.device))


def _correlation(first_N: torch.Tensor, second_N: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Pearson's correlation times the number of rows, and that number; 0 rows where it is not defined."""
    pair_2N = torch.stack([first_N.double(), second_N.double()])
    if pair_2N.shape[1] < 3 or (pair_2N.amax(dim=1) == pair_2N.amin(dim=1)).any():
        return torch.zeros((), dtype=torch.double, device=first_N.device), 0
    return torch.corrcoef(pair_2N)[0, 1] * len(first_N), len(first_N)


def add_loss_metrics(
    sums: MetricSums,
    policy: MixedPolicyLoss,
    kl_BT: torch.Tensor | None,
    logps_BT: torch.Tensor,
    old_logps_BT: torch.Tensor,
    online_BT: torch.Tensor,
) -> None:
    """Metrics of one micro-batch; every mean is over tokens of its kind that took part in the forward."""
    online, teacher = policy.online_token_count, policy.offline_token_count
    for name, total, count in (
        ("objective/online_loss", policy.online_loss_sum, online),
        ("objective/teacher_loss", policy.offline_loss_sum, teacher),
        ("objective/clip_low_share", policy.clip_low_count, online),
        ("objective/clip_high_share", policy.clip_high_count, online),
        ("objective/ratio_mean", policy.ratio_sum, online),
        ("objective/teacher_prob", policy.teacher_prob_sum, teacher),
        ("objective/teacher_weight", policy.teacher_weight_sum, teacher),
    ):
        sums.add_sum(name, total, count)
    log_ratio_BT = (logps_BT - old_logps_BT).detach()
    low, high = math.log(_RATIO_BAND[0]), math.log(_RATIO_BAND[1])
    sums.add("objective/ratio_outside_share", (log_ratio_BT < low) | (log_ratio_BT > high), online_BT)
    if kl_BT is not None:
        sums.add("objective/kl", kl_BT, online_BT)


def add_entropy_metrics(sums: MetricSums, entropy_BT: torch.Tensor, online_BT: torch.Tensor) -> None:
    """Entropies of one micro-batch, those of rollouts that took no part in the forward included."""
    sums.add("entropy/mean", entropy_BT, online_BT)
    known_BT = online_BT * ~entropy_BT.isnan()  # a step with NaN is skipped, and its metrics are still written
    last_B = reduce_entropy(entropy_BT.detach(), known_BT, reduction="last_token")
    sums.add("entropy/last", last_B, online_BT.any(dim=1))


def add_imitation_metrics(sums: MetricSums, logps_KW: torch.Tensor, mask_KW: torch.Tensor, weight: float) -> None:
    """Metrics of the imitated trajectories of one micro-batch."""
    sums.add("imitation/nll", -logps_KW, mask_KW)
    sums.add("imitation/weight", torch.tensor([weight], device=logps_KW.device))


def add_mismatch(sums: MetricSums, batch: dict[str, Any]) -> None:
    """Difference between the engine's and the policy's log-probabilities of the sampled tokens."""
    mask_BT = online_tokens(batch)
    delta_BT = (batch["old_per_token_logps"] - batch["sampling_per_token_logps"]).abs()
    sums.add("sampling/logp_difference", delta_BT, mask_BT.bool() & ~delta_BT.isnan())
    ratio = batch["importance_sampling_ratio"]
    sums.add("sampling/importance_ratio", ratio, mask_BT if ratio.size(1) > 1 else ~batch["offline"][:, None])


def rollout_rows(step: int, batch: ScoredBatch, *, first_group: int = 0) -> list[dict[str, Any]]:
    """Rows of `oger.runs.rollouts.SCHEMA`: every trained row, then every online row that a teacher replaced."""
    rollouts, verdicts, scores = batch.rollouts, batch.verdicts, batch.scores
    by_row = {teacher.row: teacher for teacher in batch.teacher_rows}
    columns = {
        "outcome": scores.outcome_N,
        "divergence": scores.divergence_N,
        "entropy_last": scores.entropy_last_N,
        "entropy_mean": scores.entropy_mean_N,
        "confidence": scores.confidence_N,
        "bonus": scores.bonus_N,
        "reward": scores.reward_N,
        "advantage": scores.advantage_N,
    }
    values = {name: [_or_none(value) for value in column.tolist()] for name, column in columns.items()}
    shaping_values = {name: column.tolist() for name, column in scores.shaping.items()}
    online_outcome, online_divergence = verdicts.outcome_N.tolist(), batch.divergence_N.tolist()
    base_reward, truncated = verdicts.base_reward_N.tolist(), rollouts.truncated_N.tolist()
    given = [None] * len(rollouts.texts) if rollouts.given_N is None else rollouts.given_N.tolist()

    def common(index: int) -> dict[str, Any]:
        return {
            "step": step,
            "group": first_group + index // batch.group_size,
            "row": index % batch.group_size,
            "prompt": batch.inputs[index]["prompt"],
        }

    rows = []
    for index, online_text in enumerate(rollouts.texts):
        teacher = by_row.get(index)
        trained = {name: column[index] for name, column in values.items()}
        if teacher is None:
            origin = {"origin": "online", "teacher": None, "text": online_text, "truncated": truncated[index],
                      "num_tokens": len(rollouts.completion_ids[index]), "given_tokens": given[index]}  # fmt: skip
            shaping = {name: column[index] for name, column in shaping_values.items()} or None
        else:
            trained["confidence"] = trained["bonus"] = None
            origin = {"origin": "teacher", "teacher": teacher.teacher, "text": teacher.text, "truncated": False,
                      "num_tokens": len(teacher.token_ids)}  # fmt: skip
            shaping = None
        rows.append({**common(index), **origin, **trained, "shaping": shaping})
    for index in by_row:
        rows.append(
            {
                **common(index),
                **dict.fromkeys(columns),
                "origin": "replaced",
                "teacher": None,
                "text": rollouts.texts[index],
                "truncated": truncated[index],
                "num_tokens": len(rollouts.completion_ids[index]),
                "outcome": _or_none(online_outcome[index]),
                "divergence": online_divergence[index],
                "reward": _or_none(base_reward[index]),
            }
        )
    return rows


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
