"""What other options would have made of one group that was really sampled: for `oger preview`."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from oger.method.confidence import REDUCTIONS
from oger.method.divergence import AGGREGATIONS, SCALES
from oger.method.reward import exploration_reward
from oger.training.batch import ForwardPass, ScoredBatch
from oger.training.config import OGERConfig
from oger.training.scores.confidence import answer_spans, hesitation

WHY_REPLACED = {
    "argmin_divergence": "it is the most teacher-like row of the group (smallest D)",
    "argmin_wrong_first": "it is the most teacher-like of the wrong rows, or of all where every row is correct",
    "random": "it was drawn at random",
    "fixed_slot": "it has the fixed place at the end of the group",
    "all_failed": "no row is correct, and it is the most teacher-like",
}
"""Replacement strategy -> why a row gave way."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Alternative:
    """One group under one changed option."""

    option: str
    """ "as configured", or "NAME=VALUE"."""
    most_teacher_like: int
    """Row with the smallest D before the replacement."""
    bonus: Sequence[float | None]
    """D * c * R per row, before any weight; None in the teacher rows."""


def alternatives(
    batch: ScoredBatch, group: int, args: OGERConfig, tokenizer: Any, rules: Sequence[str] | None
) -> list[Alternative]:
    """OGER's bonus of every row as configured and with one option changed at a time; empty without teachers.

    `rules` are those by which the outcome reads the answer; None = it does not say.
    """
    vectors, forward = batch.vectors, batch.forward
    if not vectors.has_teachers(group):
        return []
    size = batch.group_size
    rows = slice(group * size, (group + 1) * size)
    offline_G = batch.tensors.offline_N[rows]
    found = []
    for option, changed in _changes(args, forward):
        divergence_N = vectors.divergence(aggregation=changed.divergence_aggregation, scale=changed.divergence_scale)
        spans = answer_spans(batch.rollouts, batch.tensors, tokenizer, changed, rules)
        confidence_N = hesitation(forward, batch.tensors, changed, span_NT=spans).confidence_N
        bonus_G = exploration_reward(
            batch.verdicts.outcome_N[rows],
            divergence_N[rows],
            confidence_N[rows],
            offline_G,
            gate=args.correctness_gate,
        )
        bonus = torch.where(offline_G, math.nan, bonus_G).tolist()
        found.append(
            Alternative(
                option=option,
                most_teacher_like=int(divergence_N[rows].argmin()),
                bonus=[None if math.isnan(value) else value for value in bonus],
            )
        )
    return found


def _changes(args: OGERConfig, forward: ForwardPass) -> Iterator[tuple[str, OGERConfig]]:
    yield "as configured", args
    for name, table in (
        ("divergence_aggregation", AGGREGATIONS),
        ("divergence_scale", SCALES),
        ("entropy_reduction", REDUCTIONS if forward.entropy_NT is not None else ()),
    ):
        for value in table:
            if value != getattr(args, name):
                changed = copy.copy(args)  # constructing the options anew would set up devices again
                setattr(changed, name, value)
                yield f"{name}={value}", changed
