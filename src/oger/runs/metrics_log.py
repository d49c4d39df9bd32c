"""metrics.jsonl: one JSON object per optimiser step, in the order of the steps.

A row reaches the file as soon as it is logged, so a killed run loses at most the line it was writing; such a torn last
line is ignored by the reader and dropped by the writer. NaN and infinity become null: strict JSON has neither.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE_NAME = "metrics.jsonl"


class MetricsLog:
    """Writer of one metrics file; an existing file is continued."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._last: dict[str, Any] | None = None
        self._last_offset = 0
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
        with open(self.path, "r+b" if self.path.exists() else "w+b") as file:
            file.seek(self._last_offset if merging else 0, os.SEEK_SET if merging else os.SEEK_END)
            offset = file.tell()
            file.write(_line(row))
            file.truncate()
        self._last, self._last_offset = row, offset

    def cut_after(self, step: int) -> None:
        """Drop every row whose step lies after `step`, atomically: the file is either the old or the new one."""
        kept = b"".join(_line(row) for row in read_metrics(self.path) if row["step"] <= step)
        temporary = self.path.with_name(self.path.name + ".tmp")
        with open(temporary, "wb") as file:
            file.write(kept)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)
        self._recover()

    def _recover(self) -> None:
        """Find the last row of an existing file and drop a torn line behind it."""
        self._last, self._last_offset = None, 0
        if not self.path.exists():
            return
        rows, offsets, end = _parse(self.path)
        if rows:
            self._last, self._last_offset = rows[-1], offsets[-1]
        if end < self.path.stat().st_size:
            os.truncate(self.path, end)


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Rows of a metrics file; a missing file has none, a torn last line is left out.

    Raises:
        ValueError: a line before the last is not a row.
    """
    path = Path(path)
    return _parse(path)[0] if path.exists() else []


def _parse(path: Path) -> tuple[list[dict[str, Any]], list[int], int]:
    """Rows, the byte offset of each, and the offset behind the last whole one."""
    rows: list[dict[str, Any]] = []
    offsets: list[int] = []
    offset = 0
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        row = _row(line)
        if row is None:
            if number < len(lines):
                raise ValueError(f"{path} line {number} is not a metrics row (a JSON object with a step)")
            break
        rows.append(row)
        offsets.append(offset)
        offset += len(line)
    return rows, offsets, offset


def _row(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def _line(row: Mapping[str, Any]) -> bytes:
    return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _strict(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in metrics.items()
    }
