"""Metrics as curves, and which runs differ only in their seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Any

from oger.reporting.glossary import GLOSSARY
from oger.reporting.report.facts import STEP_TIME
from oger.reporting.report.run_folder import Row, RunFolder, number
from oger.runs.metrics_log import LENGTH, generated_tokens

MAX_POINTS = 600
"""Points of a curve; a longer run is shown by means over equally many consecutive rows."""

SEED_KEYS = ("seed", "data_seed", "output_dir", "run_name", "logging_dir", "description", "encoder_cache")
"""Keys of a configuration in which the runs of one family may differ: the seed, and where a run lies."""

PANELS = {
    "eval/outcome": "Held-out accuracy",
    "reward/outcome": "Outcome: correct online rollouts",
    "reward/total": "Reward, bonus included",
    "reward/exploration": "Bonus",
    "divergence/mean": "Divergence D, all rollouts",
    "divergence/correct_mean": "Divergence D, correct rollouts",
    "confidence/mean": "Confidence c",
    "entropy/mean": "Entropy, mean over tokens",
    "entropy/last": "Entropy at the last token",
    "loss": "Loss",
    "grad_norm": "Gradient norm, before clipping",
    "objective/kl": "KL to the reference policy",
    "group/solve_none": "Groups with no correct rollout",
    "group/solve_all": "Groups with only correct rollouts",
    "group/replaced_correct_share": "Replaced rollouts that were correct",
    "advantage/teacher_mean": "Advantage of teacher rows",
    "advantage/teacher_negative_share": "Teacher rows with a negative advantage",
    "length/online": "Length of online rollouts",
    "length/teacher": "Length of teacher rows",
    "length/truncated_share": "Rollouts cut by the length limit",
    "outcome/undecided_share": "Rollouts that could not be judged",
}
"""Metrics that are always looked for, with the titles of their plots, in the order of the page."""


def curves(run: RunFolder) -> dict[str, Any]:
    """`{"step", "tokens", "hours": [...], "values": {metric: [...]}, "rows_per_point": n}`.

    Tokens are those generated so far, hours those of the optimiser steps so far; a list of None where the run does not
    say. None is a point that has no value.
    """
    rows = run.metrics
    per_point = -(-len(rows) // MAX_POINTS) or 1
    starts = range(0, len(rows), per_point)
    windows = [rows[start : start + per_point] for start in starts]
    names = sorted({name for row in rows for name, value in row.items() if number(value) is not None})
    hours = _so_far([(number(row.get(STEP_TIME)) or 0.0) / 3600 for row in rows])
    tokens = _tokens_so_far(run)
    ends = [min(start + per_point, len(rows)) - 1 for start in starts]
    return {
        "step": [window[-1]["step"] for window in windows],
        "tokens": [tokens[end] for end in ends],
        "hours": [hours[end] for end in ends],
        "values": {name: [_mean(window, name) for window in windows] for name in names if name != "step"},
        "rows_per_point": per_point,
    }


def _so_far(values: Sequence[float]) -> list[float | None]:
    """Sums up to each row; no row has one where nothing was counted in any."""
    sums = list(accumulate(values))
    return list(sums) if sums and sums[-1] > 0 else [None] * len(sums)


def _tokens_so_far(run: RunFolder) -> list[float | None]:
    rollouts = run.rollouts_per_batch
    if rollouts is None:
        return [None] * len(run.metrics)
    lengths = [{LENGTH: number(row.get(LENGTH))} for row in run.metrics]
    return _so_far([generated_tokens(row, rollouts) for row in lengths])


def panels(runs: Sequence[RunFolder]) -> list[dict[str, Any]]:
    """Plots of the page: those of PANELS, then every other metric of the glossary that a run recorded."""
    recorded = {name for run in runs for row in run.metrics for name, value in row.items() if number(value) is not None}
    others = sorted(name for name in recorded if name not in (*PANELS, "step") and _definition(name))
    return [
        {
            "metric": name,
            "title": PANELS.get(name, name),
            "main": name in PANELS,
            "recorded": name in recorded,
            "bounded": name == "confidence/mean",  # between 0 and 1, as shares are, and no share
            **_definition(name),
        }
        for name in [*PANELS, *others]
    ]


def families(runs: Sequence[RunFolder]) -> list[int]:
    """A number for each run; runs whose configurations differ only in SEED_KEYS have the same one.

    A run without a readable configuration is a family of its own.
    """
    found: dict[str, int] = {}
    numbers = []
    for index, run in enumerate(runs):
        alike = {key: value for key, value in run.config.items() if key not in SEED_KEYS}
        key = json.dumps(alike, sort_keys=True, default=str) if run.config else f"run {index}"
        numbers.append(found.setdefault(key, len(found)))
    return numbers


def _mean(rows: Sequence[Row], name: str) -> float | None:
    values = [value for value in (number(row.get(name)) for row in rows) if value is not None]
    return sum(values) / len(values) if values else None


def _definition(name: str) -> Mapping[str, str]:
    for form in (name, name.removeprefix("eval/")):
        for pattern, metric in GLOSSARY.items():
            if fnmatchcase(form, pattern):
                return {"unit": metric.unit, "definition": metric.definition}
    return {}
