"""Means over rows and ranks, gathered with one collective per log call and no host synchronisation in between."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from transformers import TrainerCallback

UPDATE = "update"
"""What a training step spends outside the rollout stages."""


class MetricSums:
    """Sums and counts of named quantities since the last log call.

    Every rank must add the same names (a count may be zero), since the names order the one reduction.
    """

    def __init__(self) -> None:
        self._totals: dict[str, torch.Tensor] = {}

    def add(self, name: str, values: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        """Adds every entry of `values` where `mask` holds; entries outside the mask may be NaN."""
        values = _wide(values.detach())
        keep = torch.ones_like(values, dtype=torch.bool) if mask is None else mask.bool().expand_as(values)
        self.add_sum(name, torch.where(keep, values, 0.0).sum(), keep.sum())

    def add_sum(self, name: str, total: torch.Tensor, count: torch.Tensor | float) -> None:
        """Adds a sum over `count` entries that was made elsewhere."""
        entry = torch.stack([_wide(total.detach()), _wide(torch.as_tensor(count, device=total.device))])
        self._totals[name] = self._totals[name] + entry if name in self._totals else entry

    def means(self, accelerator: Accelerator) -> dict[str, float]:
        """Global means by name; a name without a single entry is left out. Empties the sums."""
        if not self._totals:
            return {}
        names = sorted(self._totals)
        stacked = torch.stack([self._totals[name].to(accelerator.device) for name in names])
        totals = accelerator.reduce(stacked, reduction="sum").tolist()
        self._totals = {}
        return {name: total / count for name, (total, count) in zip(names, totals, strict=True) if count > 0}

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The sums as they stand, for a checkpoint."""
        return dict(self._totals)

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Restores what `state_dict` gave."""
        self._totals = dict(state)


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    """In float64, where the device has it."""
    return tensor.float() if tensor.device.type == "mps" else tensor.double()


STAGE_MARK = "stage: "
"""Opens the name of a stage in a profile."""


class StageClock(TrainerCallback):
    """Seconds spent in each stage of the training step, as `time/<stage>` per optimiser step.

    On a GPU a stage's share is approximate, since work may still be queued when the stage returns; the step is not.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._flushed_at = 0
        self._step_began: float | None = None
        self.current = UPDATE
        """The stage in progress, after an exception the one that it came from."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A resumed run counts its steps from where it resumes."""
        self._flushed_at = state.global_step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Starts the optimiser step, its part of the rollout batch included."""
        self._step_began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ends it after the optimiser has stepped."""
        if self._step_began is not None:
            self._seconds["step"] += time.perf_counter() - self._step_began

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time spent inside to the stage."""
        started, self.current = time.perf_counter(), name
        with torch.profiler.record_function(STAGE_MARK + name):
            yield
        self._seconds[name] += time.perf_counter() - started
        self.current = UPDATE

    def flush(self, sums: MetricSums, global_step: int) -> None:
        """Adds the seconds since the last flush."""
        steps = max(global_step - self._flushed_at, 1)
        if self._seconds:
            rollout = sum(seconds for stage, seconds in self._seconds.items() if stage != "step")
            self._seconds[UPDATE] = max(self._seconds["step"] - rollout, 0.0)
        for stage, seconds in self._seconds.items():
            sums.add(f"time/{stage}", torch.tensor([seconds / steps]))
        self._seconds.clear()
        self._flushed_at = global_step
