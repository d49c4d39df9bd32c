"""`profile: true`: where the time of two training steps goes, as a Chrome trace and a table of the largest costs.

RUN/profile/trace.json.gz   for chrome://tracing or ui.perfetto.dev
RUN/profile/costs.md        the stages of a step, then the ten operations that take most of it
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch.profiler import ProfilerActivity, profile, schedule
from transformers import TrainerCallback

from oger.io.whole import write_text
from oger.runs.paths import PROFILE
from oger.training.metrics.sums import STAGE_MARK

SKIPPED, WARM_UP, RECORDED = 1, 1, 2
LARGEST = 10


class Profile(TrainerCallback):
    """Records the third and fourth step of a training, of the main process.

    Args:
        console: where the table goes too.
    """

    def __init__(self, run: Path, console: Console) -> None:
        self._folder = run / PROFILE
        self._console = console
        self._profile: profile | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Starts to count the steps."""
        if state.is_world_process_zero:
            self._profile = profile(
                activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])],
                schedule=schedule(wait=SKIPPED, warmup=WARM_UP, active=RECORDED, repeat=1),
                on_trace_ready=self._write,
            )
            self._profile.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Goes on to the next step; the last recorded one writes the files."""
        if self._profile is not None:
            self._profile.step()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A training with too few steps writes what it has."""
        if self._profile is not None:
            self._profile.stop()
            self._profile = None

    def _write(self, recorded: profile) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        recorded.export_chrome_trace(str(self._folder / "trace.json.gz"))
        text = costs_table(recorded)
        write_text(self._folder / "costs.md", text)
        self._console.print(text, markup=False, highlight=False)


def costs_table(recorded: profile) -> str:
    """Markdown: milliseconds per step of each stage, then of the operations that take most time by themselves."""
    on_gpu = torch.cuda.is_available()
    averages = recorded.key_averages()
    events = [event for event in averages if not event.key.startswith(("ProfilerStep", STAGE_MARK))]
    operations = [(e.key, e.count, e.self_device_time_total if on_gpu else e.self_cpu_time_total) for e in events]
    total = sum(microseconds for *_, microseconds in operations)
    lines = [f"Of {'the GPU' if on_gpu else 'the processor'}, per step, mean of {RECORDED} steps.", ""]
    lines += ["| stage | ms |", "|---|---:|"]
    lines += [
        f"| {event.key.removeprefix(STAGE_MARK)} | {event.cpu_time_total / RECORDED / 1e3:.1f} |"
        for event in sorted(averages, key=lambda event: -event.cpu_time_total)
        if event.key.startswith(STAGE_MARK)
    ]
    lines += ["", "| operation | calls | ms | share |", "|---|---:|---:|---:|"]
    lines += [
        f"| `{key}` | {count / RECORDED:,.0f} | {spent / RECORDED / 1e3:.1f} | {spent / total:.1%} |"
        for key, count, spent in sorted(operations, key=lambda operation: -operation[2])[:LARGEST]
    ]
    return "\n".join(lines) + "\n"
