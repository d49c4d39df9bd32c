"""What listens to a run: the metrics file, the best policy, and the live progress line."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import TrainerCallback

from oger.io.objects import NUMBER, read_object
from oger.io.whole import settle
from oger.reporting.glossary import canonical
from oger.runs.alarms import AlarmWatch
from oger.runs.card import run_card
from oger.runs.metrics_log import MetricsLog, read_metrics
from oger.runs.paths import ALARMS, BEST, METRICS, VALIDATION
from oger.terminal.bar import Bars, clock
from oger.training.loop.checkpoint import save_policy
from oger.training.run.ranks import by_owner
from oger.training.run.show import tell
from oger.training.trainer import OGERTrainer

BEST_METRIC = "eval/outcome"
_SHOWN = {
    "reward": "reward/total",
    "outcome": "reward/outcome",
    "D": "divergence/mean",
    "entropy": "entropy/mean",
}
_NARROW = 100  # columns; a longer bar would take the place of the step and the time left
_PLAIN_LINES = 12  # progress lines of a run whose output is not a terminal


def _step_row(state: Any, logs: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the main process logs of a step, by the glossary's names; the summary of the whole training is no step."""
    if not state.is_world_process_zero or not logs or "train_runtime" in logs:
        return None
    return {canonical(name): value for name, value in logs.items()}


class MetricsFile(TrainerCallback):
    """metrics.jsonl: one row per optimiser step; a validation joins the row of its step."""

    def __init__(self, path: Path) -> None:
        self._log = MetricsLog(path)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Writes what was logged."""
        if row := _step_row(state, logs):
            self._log.log(state.global_step, row)


class AlarmBell(TrainerCallback):
    """alarms.jsonl and a line on the terminal for each alarm that begins; see `oger.runs.alarms`.

    Args:
        run: the run folder; its metrics so far are what a resumed run compares with.
        thresholds: as of `AlarmWatch`.
    """

    def __init__(self, run: Path, thresholds: Mapping[str, float | None], console: Console) -> None:
        self._watch = AlarmWatch(thresholds)
        self._path = run / ALARMS
        self._console = console
        for row in read_metrics(run / METRICS):
            self._watch.update(row)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Shows this step's metrics to the watch."""
        row = _step_row(state, logs)
        began = self._watch.update({"step": state.global_step} | row) if row else {}
        if began:
            MetricsLog(self._path).log(state.global_step, began)
        for name, message in began.items():
            tell(self._console, f"alarm at step {state.global_step}, {name}: {message}", "yellow")


class BestPolicy(TrainerCallback):
    """Keeps the policy with the highest validation accuracy, and says in which step and by what it was chosen."""

    def __init__(self, folder: Path, trainer: OGERTrainer) -> None:
        if trainer.accelerator.is_main_process:
            settle(folder)
        self._folder = folder
        self._trainer = trainer
        self._record = folder / VALIDATION

    @property
    def record(self) -> dict[str, Any] | None:
        """{"step", "eval/outcome"} of the best policy so far.

        Raises:
            ValueError: the file is damaged.
        """
        return read_object(self._record, {"step": int, BEST_METRIC: NUMBER}) if self._record.exists() else None

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Saves the policy if it is strictly better; every rank takes part, since a sharded model needs them all."""
        value = {canonical(name): number for name, number in (metrics or {}).items()}.get(BEST_METRIC)
        # The main process decides for all: on several machines only one of them may hold the record.
        if not by_owner(lambda: self._is_better(value)):
            return
        record = {"step": state.global_step, BEST_METRIC: value}
        save_policy(self._trainer, self._folder, record, card=run_card(self._folder.parent, BEST, validation=record))

    def _is_better(self, value: float | None) -> bool:
        best = self.record
        return value is not None and (best is None or value > best[BEST_METRIC])


class LiveProgress(TrainerCallback):
    """Step, reward, divergence, entropy and time left: a live bar on a terminal, a few lines elsewhere."""

    def __init__(self, console: Console) -> None:
        bar = "wide bar" if console.width > _NARROW else "short bar"
        self._bars = Bars(bar, "count", "note", "left", console=console)
        self._bar = self._bars.add()
        self._began, self._first_step = time.monotonic(), 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Starts the bar at the step of a resumed run."""
        self._began, self._first_step = time.monotonic(), state.global_step
        if state.is_world_process_zero:
            self._bar.update(total=state.max_steps, completed=state.global_step)
            self._bars.start()

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Shows the newest metrics."""
        if not state.is_world_process_zero or not logs or "reward/total" not in logs:
            return
        digits = 2 if self._bars.shown else 3
        shown = "  ".join(f"{label} {logs[name]:.{digits}f}" for label, name in _SHOWN.items() if name in logs)
        self._bar.update(completed=state.global_step, note=shown)
        if state.global_step % max(state.max_steps // _PLAIN_LINES, 1) == 0:
            self._bars.tell(f"step {state.global_step}/{state.max_steps}  {shown}{self._left(state)}")

    def _left(self, state: Any) -> str:
        done, left = state.global_step - self._first_step, state.max_steps - state.global_step
        if done < 1 or left < 1:
            return ""
        return f"  about {clock((time.monotonic() - self._began) / done * left)} left"

    def close(self) -> None:
        """Stops the bar and gives the cursor back."""
        self._bars.close()
