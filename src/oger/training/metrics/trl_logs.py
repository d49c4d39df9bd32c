"""What TRL logs on the side and OGER's own stages must keep alive: users' extra logs and the table of completions."""

from __future__ import annotations

from typing import Any

import torch
from accelerate.utils import gather_object

from oger.training.metrics.sums import MetricSums


def flush_user_logs(trainer: Any, sums: MetricSums, num_rows: int) -> None:
    """Takes over what reward functions logged through `log_extra` and `log_metric`; sorted, to keep ranks in step."""
    for column in sorted(set(gather_object(list(trainer._pending_extra_logs)))):
        values = trainer._pending_extra_logs.get(column, [None] * num_rows)
        trainer._logs["extra"][column].extend(gather_object(values))
    trainer._pending_extra_logs.clear()
    for name in sorted(set(gather_object(list(trainer._pending_metrics)))):
        values = torch.tensor(trainer._pending_metrics.get(name, []), dtype=torch.float64)
        sums.add(name, values.to(trainer.accelerator.device))
    trainer._pending_metrics.clear()


def feed_completion_log(trainer: Any, rows: list[dict[str, Any]]) -> None:
    """Fills TRL's table of completions (`log_completions`) with the rows that are trained on, teacher rows included.

    The reward columns are TRL's, one per reward function, since evaluation fills the same ones; in training the column
    of the outcome holds the outcome, and the others nothing (the total is in the stored rollouts).
    """
    trained = [row for row in rows if row["origin"] != "replaced"]
    trainer._logs["prompt"].extend(row["prompt"] for row in trained)
    trainer._logs["completion"].extend(row["text"] for row in trained)
    for index, name in enumerate(trainer.reward_func_names):
        is_outcome = index == trainer.outcome_index
        trainer._logs["rewards"][name].extend(row["outcome"] if is_outcome else None for row in trained)
    trainer._logs["advantages"].extend(row["advantage"] for row in trained)
