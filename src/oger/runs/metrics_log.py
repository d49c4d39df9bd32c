"""metrics.jsonl: one JSON object per optimiser step, in the order of the steps.

A row reaches the file as soon as it is logged, so a killed run loses at most the line it was writing; such a torn last
line is ignored by the reader and dropped by the writer. NaN and infinity become null: strict JSON has neither.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from oger.io.lines import Line, LineFile, read_lines
from oger.io.whole import whole_file

LENGTH = "completions/mean_length"
"""TRL's mean length of the rollouts of a batch; absent from steps that made none."""


class MetricsLog:
    """Writer of one metrics file; an existing file is continued."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._last: dict[str, Any] | None = None
        self._last_start = 0
        self._recover()

    @property
    def last_step(self) -> int | None:
        """Step of the last row, None while there is none."""
        return None if self._last is None else int(self._last["step"])

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Append the row of `step`; a second call with the same step adds its metrics to that row.

        Raises:
            ValueError: `step` lies before the last row (`cut_after` goes back).
        """
        if self.last_step is not None and step < self.last_step:
            raise ValueError(f"step {step} comes after step {self.last_step} in {self.path}; cut_after({step}) first")
        merging = step == self.last_step
        row = {**(self._last or {} if merging else {}), "step": step, **_strict({**metrics, "step": step})}
        with LineFile(self.path) as file:
            if merging:
                file.cut(self._last_start)
            self._last, self._last_start = row, file.size
            file.append([row])

    def cut_after(self, step: int) -> None:
        """Drop every row whose step lies after `step`, atomically: the file is either the old or the new one."""
        kept = [row for row in read_metrics(self.path) if row["step"] <= step]
        with whole_file(self.path) as beside, LineFile(beside) as file:
            file.append(kept)
        self._recover()

    def _recover(self) -> None:
        """Find the last row of an existing file and drop a torn line behind it."""
        self._last, self._last_start, end = None, 0, 0
        for line, row in _rows(self.path):
            self._last, self._last_start, end = row, line.start, line.end
        if self.path.exists() and end < self.path.stat().st_size:
            os.truncate(self.path, end)


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Rows of a metrics file; a missing file has none, a torn last line is left out.

    Raises:
        ValueError: a line before the last is not a row.
    """
    return [row for _, row in _rows(Path(path))]


def metrics_row(line: Line) -> dict[str, Any] | None:
    """The row of a whole line: an object with a step; None where it holds none."""
    try:
        row = line.row() if line.is_whole else {}
    except ValueError:
        return None
    step = row.get("step")
    return row if isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 2**53 else None


def generated_tokens(row: Mapping[str, Any], rollouts: int) -> int:
    """Tokens that the policy generated for the rollout batch that a metrics row belongs to; 0 where it made none.

    Args:
        row: of metrics.jsonl.
        rollouts: rows of one rollout batch over all processes (`OGERConfig.generation_batch_size`).

    >>> generated_tokens({"step": 1, "completions/mean_length": 17.5}, 8), generated_tokens({"step": 2}, 8)
    (140, 0)
    """
    return round((row.get(LENGTH) or 0.0) * rollouts)


def _rows(path: Path) -> Iterator[tuple[Line, dict[str, Any]]]:
    torn: Line | None = None
    for line in read_lines(path):
        if torn is not None:
            raise ValueError(f"{path} line {torn.number} is not a metrics row (a JSON object with a step)")
        row = metrics_row(line)
        if row is None:
            torn = line
        else:
            yield line, row


def _strict(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in metrics.items()
    }
