"""The tokens that one optimiser step divides by, whatever part of its rollout batch the step is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from oger.training.batch import loss_tokens, online_tokens
from oger.training.step import StepContext


class StepCounts:
    """Counts the loss tokens of each optimiser step, over all ranks, once per step and rollout batch.

    A step that feeds on several rollout batches knows the rows of one at a time: each of them then counts as if the
    others had as many tokens, so that the step is a mean over its batches.
    """

    def __init__(self) -> None:
        self._step = -1
        self._first = 0  # micro-step with which the optimiser step began
        self._batch = -1
        self._counts: dict[str, torch.Tensor] = {}

    def of(
        self, context: StepContext, micro_step: int, accumulation: int, micro_batches: Sequence[Mapping[str, Any]]
    ) -> dict[str, torch.Tensor]:
        """What replaces the counts of the rollout batch in a micro-batch: those of its step, scaled to a whole batch.

        Args:
            context: of the step; every rank calls in the same order.
            micro_step: micro-batches before this one.
            accumulation: micro-batches of the optimiser step.
            micro_batches: of the rollout batch, in TRL's order.
        """
        per_batch = len(micro_batches)
        reused = per_batch * context.args.num_iterations
        batch = micro_step // reused
        begins = context.step != self._step or micro_step >= self._first + accumulation
        if begins:
            self._step, self._first = context.step, micro_step
        if begins or batch != self._batch:
            self._batch = batch
            steps = range(self._first, self._first + accumulation)
            parts = [micro_batches[step % per_batch] for step in steps if step // reused == batch]
            local = {name: torch.stack([count(part) for part in parts]).sum() for name, count in _counters(parts[0])}
            total = context.reduce(torch.stack(list(local.values())))
            self._counts = dict(zip(local, total * per_batch / len(parts), strict=True))
        return self._counts


def _counters(micro_batch: Mapping[str, Any]) -> list[tuple[str, Any]]:
    counters: list[tuple[str, Any]] = []
    if "completion_mask" in micro_batch:
        counters += [
            ("num_items_in_batch", lambda part: loss_tokens(part).sum()),
            ("num_online_items_in_batch", lambda part: online_tokens(part).sum()),
        ]
    if "imitated_mask" in micro_batch:
        counters.append(("num_imitated_in_batch", lambda part: part["imitated_mask"].sum()))
    return counters
