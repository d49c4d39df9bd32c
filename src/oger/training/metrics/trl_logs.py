"""What TRL logs on the side and OGER's own stages must keep alive: rewards, users' logs, the table of completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from trl.trainer.utils import nanstd

from oger.training.metrics.sums import MetricSums


class TrlLogs:
    """The places where a `trl.GRPOTrainer` collects what it logs beside the loss."""

    def __init__(self, trainer: Any, outcome_index: int) -> None:
        self._metrics = trainer._metrics["train"]
        self._logs = trainer._logs
        self._extra_logs = trainer._pending_extra_logs
        self._extra_metrics = trainer._pending_metrics
        self._names: Sequence[str] = trainer.reward_func_names
        self._outcome_index = outcome_index

    def add_rewards(self, per_function_AF: torch.Tensor) -> None:
        """Mean and spread of each reward function over the rows of all ranks."""
        for index, name in enumerate(self._names):
            self._metrics[f"rewards/{name}/mean"].append(torch.nanmean(per_function_AF[:, index]).item())
            self._metrics[f"rewards/{name}/std"].append(nanstd(per_function_AF[:, index]).item())

    def take_user_logs(self, sums: MetricSums, num_rows: int, device: torch.device) -> None:
        """Takes over what reward functions logged by `log_extra` and `log_metric`; sorted, to keep ranks in step."""
        for column in sorted(set(gather_object(list(self._extra_logs)))):
            values = self._extra_logs.get(column, [None] * num_rows)
            self._logs["extra"][column].extend(gather_object(values))
        self._extra_logs.clear()
        for name in sorted(set(gather_object(list(self._extra_metrics)))):
            values = torch.tensor(self._extra_metrics.get(name, []), dtype=torch.float64)
            sums.add(name, values.to(device))
        self._extra_metrics.clear()

    def add_completions(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Fills TRL's table of completions (`log_completions`) with the rows that are trained on, teacher rows too.

        The reward columns are TRL's, one per reward function, since evaluation fills the same ones; in training the
        column of the outcome holds the outcome, and the others nothing (the total is in the stored rollouts).
        """
        trained = [row for row in rows if row["origin"] != "replaced"]
        self._logs["prompt"].extend(row["prompt"] for row in trained)
        self._logs["completion"].extend(row["text"] for row in trained)
        for index, name in enumerate(self._names):
            is_outcome = index == self._outcome_index
            self._logs["rewards"][name].extend(row["outcome"] if is_outcome else None for row in trained)
        self._logs["advantages"].extend(row["advantage"] for row in trained)
