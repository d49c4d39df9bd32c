"""What each run answers, its cost, configuration and environment, and in what runs differ."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from oger.reporting.report.run_folder import RunFolder, number
from oger.runs.card import SET_TITLES

COSTS = {"time/generate": "generation", "time/score": "scoring", "time/logprob": "log-probs", "time/update": "update"}
"""Parts of an optimiser step; what they leave of time/step is "other"."""
STEP_TIME = "time/step"

AT = ("pass@1", "pass@8")
_INTERVALS = {"pass@1": "ci95", "pass@8": "pass@8_ci95"}
_SHOWN_OPTIONS = ("preset", "teacher_rows", "exploration_weight", "replacement", "seed")


def headline(run: RunFolder) -> dict[str, Any]:
    """What the run answers: method, model, how far accuracy moved on each test set, best validation, and the cost."""
    after = _summaries(run.summary.get("after"))
    before = _summaries(run.summary.get("before")) or _summaries(run.before)
    stored = _mapping(run.summary.get("change"))
    best = number(run.best.get("eval/outcome"))
    held_out = [(row["step"], value) for row in run.metrics if (value := number(row.get("eval/outcome"))) is not None]
    return {
        "method": _text(run.config.get("method")) or _text(run.config.get("preset")),
        "model": _text(run.config.get("model")),
        "options": {name: run.config.get(name) for name in _SHOWN_OPTIONS},
        "steps": run.last_step,
        "max_steps": run.max_steps,
        "seconds": number(run.summary.get("wall_seconds")),
        "training_seconds": sum(number(row.get(STEP_TIME)) or 0 for row in run.metrics) or None,
        "tokens": number(run.summary.get("generated_tokens")),
        "machine": _machine(run.environment),
        "sets": {
            name: {
                "title": SET_TITLES.get(name, name),
                "before": before.get(name),
                "after": after.get(name),
                "change": _changes(before.get(name), after.get(name), _mapping(stored.get(name))),
            }
            for name in [*before, *(name for name in after if name not in before)]
        },
        "held_out": [list(held_out[0]), list(held_out[-1])] if held_out else None,
        "best": None if best is None else {"outcome": best, "step": number(run.best.get("step"))},
    }


def _machine(environment: Mapping[str, Any]) -> str | None:
    """What it ran on, in a few words."""
    devices = environment.get("devices")
    if isinstance(devices, list) and devices and isinstance(devices[0], Mapping):
        return f"{len(devices)} x {devices[0].get('name')}"
    cores = number(environment.get("cpu_count"))
    return f"{cores} CPU cores" if cores else None


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, stored: Mapping[str, Any]
) -> dict[str, dict[str, Any] | None]:
    return {name: _change(name, before, after, stored.get(name)) for name in AT} if before and after else {}


def _change(name: str, before: Mapping[str, Any], after: Mapping[str, Any], stored: Any) -> dict[str, Any] | None:
    """Difference and interval: the paired one that the run stored, else one from both intervals, as if unpaired.

    The latter is Newcombe's (1998, method 10): each side contributes the half of its own interval that matters. Results
    of the same problems go together, so it is wider than the paired one.
    """
    old, new = before[name], after[name]
    if old is None or new is None:
        return None
    if isinstance(stored, list) and len(stored) == 3 and all(number(value) is not None for value in stored):
        return {"value": stored[0], "low": stored[1], "high": stored[2], "paired": True}
    value = new - old
    was, now = before[_INTERVALS[name]], after[_INTERVALS[name]]
    if not was or not now:
        return {"value": value, "low": None, "high": None, "paired": False}
    low = value - math.hypot(new - now[0], was[1] - old)
    return {"value": value, "low": low, "high": value + math.hypot(now[1] - new, old - was[0]), "paired": False}


def cost(run: RunFolder) -> dict[str, float] | None:
    """Part -> mean seconds of an optimiser step, "other" included; None where no time was recorded."""
    timed = [row for row in run.metrics if number(row.get(STEP_TIME)) is not None]
    if not timed:
        return None
    parts = {title: sum(number(row.get(name)) or 0 for row in timed) / len(timed) for name, title in COSTS.items()}
    whole = sum(row[STEP_TIME] for row in timed) / len(timed)
    return {**parts, "other": max(whole - sum(parts.values()), 0.0)}


def alarms(run: RunFolder) -> list[dict[str, Any]]:
    """`{"step", "name", "message"}` in the order of steps."""
    return [
        {"step": row["step"], "name": name, "message": message}
        for row in run.alarms
        for name, message in row.items()
        if name != "step" and isinstance(message, str)
    ]


def flat(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mappings as "key.key" -> value; text as it is, anything else as JSON.

    >>> flat({"test": {"id": "a"}, "seed": 1, "peft": None})
    {'test.id': 'a', 'seed': '1', 'peft': 'null'}
    """
    found: dict[str, str] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value, default=str)
    return found


def differences(tables: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Keys whose values differ between the tables, `{"key", "values"}`; None where a table lacks the key."""
    keys = dict.fromkeys(key for table in tables for key in table)
    rows = [{"key": key, "values": [table.get(key) for table in tables]} for key in keys]
    return [row for row in rows if len(set(row["values"])) > 1]


def _summaries(value: Any) -> dict[str, dict[str, Any]]:
    """Test set -> the numbers of an evaluation that the page shows."""
    return {str(name): _summary(entry) for name, entry in _mapping(value).items() if isinstance(entry, Mapping)}


def _summary(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: number(entry.get(name)) for name in AT},
        **{name: _interval(entry.get(name)) for name in _INTERVALS.values()},
        "problems": number(entry.get("problems")),
        "samples": number(entry.get("samples")),
    }


def _interval(value: Any) -> list[float] | None:
    whole = isinstance(value, list) and len(value) == 2 and all(number(bound) is not None for bound in value)
    return value if whole else None
