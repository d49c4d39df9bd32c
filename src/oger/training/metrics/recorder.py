"""What becomes of a scored rollout batch: metrics, TRL's logs, and whoever listens to batches and stored rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from accelerate.utils import gather_object

from oger.training.batch import ScoredBatch
from oger.training.metrics.records import add_rollout_metrics, rollout_rows
from oger.training.metrics.trl_logs import TrlLogs
from oger.training.step import StepContext

BatchSink = Callable[[int, ScoredBatch], Any]
"""Gets the optimiser step that a batch feeds, and this rank's batch."""

RowSink = Callable[[int, list[dict[str, Any]]], Any]
"""Gets the optimiser step, and the stored rows of all ranks; called on the main process."""


@dataclass(frozen=True)
class Recorder:
    """Hands every rollout batch on."""

    logs: TrlLogs
    batch_sinks: Sequence[BatchSink]
    """Get every batch, on every rank."""
    row_sinks: Sequence[RowSink]
    """Get the rows of every `rows_every`-th optimiser step."""
    rows_every: int
    """Steps; 0 where nobody asks for rows."""
    log_completions: bool
    """Whether TRL's table of completions is filled."""

    def record(self, context: StepContext, batch: ScoredBatch) -> None:
        """Takes a batch; every rank must call it."""
        self.logs.add_rewards(context.gather(batch.verdicts.per_function_NF))
        add_rollout_metrics(context.sums, batch)
        self.logs.take_user_logs(context.sums, len(batch.inputs), context.device)
        step = context.step + 1  # the optimiser step that this batch feeds
        for sink in self.batch_sinks:
            sink(step, batch)
        due = bool(self.row_sinks) and (step == 1 or step % max(self.rows_every, 1) == 0)
        if not (due or self.log_completions):
            return
        first_group = context.rank * len(batch.inputs) // batch.group_size
        rows = gather_object(rollout_rows(step, batch, first_group=first_group))
        if self.log_completions:
            self.logs.add_completions(rows)
        if due and context.rank == 0:
            for write in self.row_sinks:
                write(step, rows)
