"""A run folder as far as it can be read: whatever is missing or damaged is one line in `problems`, the rest is there.

A file may be cut off in the middle of a line (the run was killed, or is writing it); that is no damage.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oger.io import yaml as yaml_dialect
from oger.io.lines import Line, read_lines
from oger.io.whole import regular
from oger.runs import paths
from oger.runs.metrics_log import metrics_row
from oger.terminal.errors import one_line

Row = Mapping[str, Any]

_LARGEST = 2**53
_LONGEST_REASON = 300  # characters
_LONGEST_LINE = 1000


@dataclass(kw_only=True)
class RunFolder:
    """What was read of a run; a part that could not be read is empty."""

    path: Path
    label: str
    """Unique among the runs of a report."""
    config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    encoder: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)
    """Test set -> summary of the untrained policy."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    best: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Row] = ()
    histograms: Sequence[Row] = ()
    alarms: Sequence[Row] = ()
    started: Mapping[str, Any] = field(default_factory=dict)
    finished: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def last_step(self) -> int:
        """Step of the newest row of metrics; 0 before the first."""
        return self.metrics[-1]["step"] if self.metrics else 0

    @property
    def max_steps(self) -> int | None:
        """Steps that the run was asked for, where its configuration says so."""
        steps = self.config.get("max_steps")
        return steps if isinstance(steps, int) and steps > 0 else None

    @property
    def rollouts_per_batch(self) -> int | None:
        """Rows of one rollout batch over all processes, where configuration and start say so."""
        if isinstance(whole := self.config.get("generation_batch_size"), int):
            return whole
        steps = self.config.get("steps_per_generation") or self.config.get("gradient_accumulation_steps", 1)
        factors = (self.config.get("per_device_train_batch_size"), steps, self.started.get("processes", 1))
        return math.prod(factors) if all(isinstance(factor, int) and factor > 0 for factor in factors) else None

    @property
    def state(self) -> str:
        """One line: finished, or how far an unfinished run has come."""
        of = f" of {self.max_steps}" if self.max_steps else ""
        if self.finished:
            return f"finished after {self.summary.get('steps', self.last_step)} steps"
        metrics = self.path / paths.METRICS
        written = ""
        if metrics.is_file():
            ago = _ago(time.time() - metrics.stat().st_mtime)
            written = f"; {paths.METRICS} was last written {ago} before this report"
        return f"not finished: step {self.last_step}{of}, still going or stopped (no {paths.SUMMARY}){written}"

    def add_problem(self, line: str) -> None:
        """Says it once, without the run's own folder in every name."""
        line = line.replace(f"{self.path}/", "")
        line = line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..."
        if line not in self.problems:
            self.problems.append(line)

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Fault boundary: what another program cut or wrote over costs its own part of the page, and says so."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever a library makes of what it was never meant to read
            self.add_problem(f"{what} cannot be read: {one_line(error, _LONGEST_REASON)}")


def read_run(path: Path, label: str) -> RunFolder:
    """Everything of a run folder but its rollouts.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is not the folder of a run.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder: name a run folder, as `oger train` makes it")
    if not (path / paths.CONFIG).is_file() and not (path / paths.METRICS).is_file():
        raise ValueError(f"{path} is not a run folder: it holds neither {paths.CONFIG} nor {paths.METRICS}")
    run = RunFolder(path=path, label=label, finished=(path / paths.SUMMARY).is_file())
    run.config = _mapping(run, paths.CONFIG, yaml_dialect.load)
    run.started = _mapping(run, paths.STARTED, yaml_dialect.load, required=False)
    run.environment = _mapping(run, paths.ENVIRONMENT, json.loads)
    run.encoder = _mapping(run, paths.ENCODER, json.loads)
    run.summary = _mapping(run, paths.SUMMARY, json.loads, required=False)
    before = _mapping(run, paths.BEFORE, json.loads, required=False)
    run.before = {name: entry["summary"] for name, entry in before.items() if _has_summary(entry)}
    run.best = _mapping(run, f"{paths.BEST}/{paths.VALIDATION}", json.loads, required=False)
    run.metrics = _lines(run, paths.METRICS, required=True)
    run.histograms = _lines(run, paths.HISTOGRAMS, required=bool(run.metrics))
    run.alarms = _lines(run, paths.ALARMS, required=False)
    return run


def labels(folders: Sequence[Path]) -> list[str]:
    """A short unique name for each folder: its last part, with as many parents as it takes.

    >>> labels([Path("runs/a"), Path("runs/b"), Path("old/a")])
    ['runs/a', 'b', 'old/a']

    Raises:
        ValueError: a folder is given twice.
    """
    whole = [folder.resolve().parts for folder in folders]
    names = []
    for index, parts in enumerate(whole):
        if parts in whole[:index]:
            raise ValueError(f"{folders[index]} is given twice")
        length = 1
        while sum(other[-length:] == parts[-length:] for other in whole) > 1 and length < len(parts):
            length += 1
        names.append("/".join(parts[-length:]))
    return names


def number(value: Any) -> float | None:
    """A finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) > _LARGEST:  # no float, and the page's script has no other numbers
        return None
    return value if math.isfinite(value) else None


def _has_summary(entry: Any) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("summary"), Mapping)


def _is_there(run: RunFolder, name: str, required: bool) -> bool:
    there = (run.path / name).exists()
    if required and not there:
        run.add_problem(f"{name} is missing")
    return there


def _mapping(run: RunFolder, name: str, parse: Callable[[str], Any], *, required: bool = True) -> Mapping[str, Any]:
    if _is_there(run, name, required):
        with run.reading(name):
            content = parse(regular(run.path / name).read_text(encoding="utf-8"))
            if not isinstance(content, Mapping):
                raise ValueError("it holds no mapping")
            return {str(key): value for key, value in content.items()}
    return {}


def _lines(run: RunFolder, name: str, *, required: bool) -> list[dict[str, Any]]:
    """Whole rows of a file of JSON lines in the order of their steps."""
    lines: list[Line] = []
    if _is_there(run, name, required):
        with run.reading(name):
            lines = [line for line in read_lines(run.path / name) if line.is_whole]  # the rest is being written
    rows: list[dict[str, Any]] = []
    damaged: list[int] = []
    for line in lines:
        row = metrics_row(line)
        if row is None or (rows and row["step"] < rows[-1]["step"]):
            damaged.append(line.number)
        else:
            rows.append(row)
    if damaged:
        were = "line is" if len(damaged) == 1 else "lines are"
        run.add_problem(
            f"{name}: {len(damaged)} of {len(lines)} {were} damaged and left out, the first is line {damaged[0]}"
        )
    return rows


def _ago(seconds: float) -> str:
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // size)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{max(int(seconds), 0)} s"
