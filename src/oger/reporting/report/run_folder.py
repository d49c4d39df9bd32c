"""A run folder as far as it can be read: whatever is missing or damaged is one line in `problems`, the rest is there.

A file may be cut off in the middle of a line (the run was killed, or is writing it); that is no damage.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from oger.io import yaml as yaml_dialect
from oger.io.lines import read_lines
from oger.runs.metrics_log import metrics_row
from oger.runs.paths import (
    ALARMS,
    BEFORE,
    BEST,
    CONFIG,
    ENCODER,
    ENVIRONMENT,
    HISTOGRAMS,
    METRICS,
    SUMMARY,
    VALIDATION,
)  # fmt: skip
from oger.terminal.errors import one_line

Row = Mapping[str, Any]


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
    finished: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def last_step(self) -> int:
        """Step of the newest row of metrics; 0 before the first."""
        return int(self.metrics[-1]["step"]) if self.metrics else 0

    @property
    def max_steps(self) -> int | None:
        """Steps that the run was asked for, where its configuration says so."""
        steps = self.config.get("max_steps")
        return steps if isinstance(steps, int) and steps > 0 else None

    @property
    def state(self) -> str:
        """One line: finished, or how far an unfinished run has come."""
        of = f" of {self.max_steps}" if self.max_steps else ""
        if self.finished:
            return f"finished after {self.summary.get('steps', self.last_step)} steps"
        path = self.path / METRICS
        written = ""
        if path.is_file():
            written = f"; {METRICS} was last written {_ago(time.time() - path.stat().st_mtime)} before this report"
        return f"not finished: step {self.last_step}{of}, still going or stopped (no {SUMMARY}){written}"

    def add_problem(self, line: str) -> None:
        """Says it once, without the run's own folder in every name."""
        line = line.replace(f"{self.path}/", "")
        if line not in self.problems:
            self.problems.append(line)


def read_run(path: Path, label: str) -> RunFolder:
    """Everything of a run folder but its rollouts.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is not the folder of a run.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder: name a run folder, as `oger train` makes it")
    if not (path / CONFIG).is_file() and not (path / METRICS).is_file():
        raise ValueError(f"{path} is not a run folder: it holds neither {CONFIG} nor {METRICS}")
    run = RunFolder(path=path, label=label, finished=(path / SUMMARY).is_file())
    run.config = _mapping(run, CONFIG, yaml_dialect.load)
    run.environment = _mapping(run, ENVIRONMENT, json.loads)
    run.encoder = _mapping(run, ENCODER, json.loads)
    run.summary = _mapping(run, SUMMARY, json.loads, required=False)
    before = _mapping(run, BEFORE, json.loads, required=False)
    run.before = {name: entry["summary"] for name, entry in before.items() if _has_summary(entry)}
    run.best = _mapping(run, f"{BEST}/{VALIDATION}", json.loads, required=False)
    run.metrics = _lines(run, METRICS, required=True)
    run.histograms = _lines(run, HISTOGRAMS, required=bool(run.metrics))
    run.alarms = _lines(run, ALARMS, required=False)
    return run


def labels(paths: Sequence[Path]) -> list[str]:
    """A short unique name for each folder: its last part, with as many parents as it takes.

    >>> labels([Path("runs/a"), Path("runs/b"), Path("old/a")])
    ['runs/a', 'b', 'old/a']

    Raises:
        ValueError: a folder is given twice.
    """
    whole = [path.resolve() for path in paths]
    for index, path in enumerate(whole):
        if path in whole[:index]:
            raise ValueError(f"{paths[index]} is given twice")
    names = []
    for path in whole:
        parts = [other.parts for other in whole]
        length = 1
        while sum(other[-length:] == path.parts[-length:] for other in parts) > 1:
            length += 1
        names.append("/".join(path.parts[-length:]))
    return names


def number(value: Any) -> float | None:
    """A finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _has_summary(entry: Any) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("summary"), Mapping)


def _mapping(run: RunFolder, name: str, parse: Callable[[str], Any], *, required: bool = True) -> Mapping[str, Any]:
    """Fault boundary: a file that another program cut or wrote over costs its own part of the page."""
    path = run.path / name
    if not path.exists():
        if required:
            run.add_problem(f"{name} is missing")
        return {}
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        run.add_problem(f"{name} cannot be read: {one_line(error)}")
        return {}
    if not isinstance(content, Mapping):
        run.add_problem(f"{name} cannot be read: it holds no mapping")
        return {}
    return {str(key): value for key, value in content.items()}


def _lines(run: RunFolder, name: str, *, required: bool) -> list[dict[str, Any]]:
    """Whole rows of a file of JSON lines in the order of their steps; fault boundary as `_mapping`."""
    path = run.path / name
    if not path.exists():
        if required:
            run.add_problem(f"{name} is missing")
        return []
    try:
        lines = [line for line in read_lines(path) if line.is_whole]  # the rest is being written
    except OSError as error:
        run.add_problem(f"{name} cannot be read: {one_line(error)}")
        return []
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
