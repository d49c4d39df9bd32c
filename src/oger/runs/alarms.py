"""Alarms: what goes wrong slowly in a run, read from its metrics, with one threshold each.

An alarm looks at the newest `WINDOW` rows of metrics.jsonl (and, where it compares, at the first ones or at the
validations). It speaks when its condition begins to hold, and again only after it has ceased.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oger.words import choose

WINDOW = 10
"""Optimiser steps that an alarm averages over."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Alarm:
    """A condition on the rows of a run; it returns what to say, or None while all is well."""

    threshold: float
    meaning: str
    """What the threshold is."""
    check: Callable[[Rows, float], str | None]


def _mean(rows: Rows, metric: str) -> float | None:
    values = [row[metric] for row in rows if row.get(metric) is not None]
    return sum(values) / len(values) if values else None


def _change(rows: Rows, metric: str) -> float | None:
    """Newest window relative to the first one; None before the two are apart or where the first is 0."""
    if len(rows) < 2 * WINDOW:
        return None
    first, last = _mean(rows[:WINDOW], metric), _mean(rows[-WINDOW:], metric)
    return None if not first or last is None else last / first


def _recent(rows: Rows, metric: str) -> float | None:
    return None if len(rows) < WINDOW else _mean(rows[-WINDOW:], metric)


def _share_above(metric: str, meaning: str) -> Callable[[Rows, float], str | None]:
    """Rings while the newest mean of a share lies above the threshold."""

    def check(rows: Rows, threshold: float) -> str | None:
        share = _recent(rows, metric)
        return None if share is None or share <= threshold else f"{share:.0%} of the {meaning}"

    return check


_teacher_pushed_down = _share_above(
    "advantage/teacher_negative_share",
    "teacher rows have a negative advantage and are unlearned: set teacher_advantage_min=0",
)
_undecided = _share_above(
    "outcome/undecided_share",
    "rollouts could not be judged: look at their texts (oger preview) and at the verifier",
)
_truncated = _share_above(
    "length/truncated_share",
    "rollouts are cut by the length limit and cannot be right: raise max_completion_length",
)


def _entropy_collapse(rows: Rows, threshold: float) -> str | None:
    change = _change(rows, "entropy/mean")
    advice = "of what it was at the start: raise entropy_coef, temperature or clip"
    return None if change is None or change >= threshold else f"token entropy fell to {change:.0%} {advice}"


def _entropy_explosion(rows: Rows, threshold: float) -> str | None:
    change = _change(rows, "entropy/mean")
    advice = "times what it was at the start: lower entropy_coef or the learning rate"
    return None if change is None or change <= threshold else f"token entropy is {change:.1f} {advice}"


def _divergence_saturated(rows: Rows, threshold: float) -> str | None:
    mean = _recent(rows, "divergence/correct_mean")
    if mean is None or threshold <= mean <= 1 - threshold:
        return None
    return (
        f"D of correct rollouts is {mean:.3f} on average, so it hardly tells them apart: try "
        "divergence_scale=whitened or another encoder (oger inspect)"
    )


def _nothing_to_tell_apart(rows: Rows, threshold: float) -> str | None:
    spread, distinct = _recent(rows, "divergence/correct_spread"), _recent(rows, "group/distinct_correct_share")
    if spread is None or distinct is None or spread >= threshold or not _recent(rows, "reward/exploration"):
        return None
    return (
        f"correct rollouts of a group are nearly the same text ({distinct:.0%} distinct, D differs by {spread:.3f}): "
        "the exploration reward has nothing to tell apart. Raise temperature, or see docs/exploration-reward.md"
    )


def _length_bias(rows: Rows, threshold: float) -> str | None:
    correlation = _recent(rows, "reward/bonus_length_correlation")
    if correlation is None or abs(correlation) <= threshold:
        return None
    longer = "longer" if correlation > 0 else "shorter"
    return (
        f"the bonus pays {longer} responses (correlation {correlation:+.2f} with the length): change the encoder's part"
    )


def _bonus_hacking(rows: Rows, threshold: float) -> str | None:
    evaluated = [index for index, row in enumerate(rows) if row.get("eval/outcome") is not None]
    if len(evaluated) < 2 or len(rows) < WINDOW:
        return None
    best = max(evaluated, key=lambda index: rows[index]["eval/outcome"])
    fall = rows[best]["eval/outcome"] - rows[evaluated[-1]]["eval/outcome"]
    then = _mean(rows[max(0, best + 1 - WINDOW) : best + 1], "reward/exploration")
    now = _mean(rows[-WINDOW:], "reward/exploration")
    if fall <= threshold or then is None or now is None or now <= then:
        return None
    return (
        f"validation accuracy fell by {fall:.3f} since its best while the bonus rose from {then:.3f} to {now:.3f}: "
        "lower exploration_weight or let it fall with exploration_schedule"
    )


ALARMS: dict[str, Alarm] = {
    "entropy_collapse": Alarm(0.2, "entropy/mean relative to the first steps, lower bound", _entropy_collapse),
    "entropy_explosion": Alarm(5.0, "entropy/mean relative to the first steps, upper bound", _entropy_explosion),
    "divergence_saturated": Alarm(0.02, "distance of mean D of correct rows from 0 and 1", _divergence_saturated),
    "nothing_to_tell_apart": Alarm(
        0.02, "standard deviation of D among the correct rows of a group, lower bound", _nothing_to_tell_apart
    ),
    "teacher_pushed_down": Alarm(0.9, "share of teacher rows with a negative advantage", _teacher_pushed_down),
    "length_bias": Alarm(0.6, "absolute correlation of bonus and length among correct rows", _length_bias),
    "bonus_hacking": Alarm(0.05, "fall of validation accuracy since its best, while the bonus rose", _bonus_hacking),
    "undecided": Alarm(0.05, "share of rollouts that could not be judged", _undecided),
    "truncated": Alarm(0.2, "share of rollouts cut by the length limit", _truncated),
}


class AlarmWatch:
    """Follows a run row by row.

    Args:
        thresholds: name -> another threshold, or None to silence the alarm.

    Raises:
        ValueError: an unknown alarm, or a threshold that is no number.
    """

    def __init__(self, thresholds: Mapping[str, float | None] | None = None) -> None:
        self._thresholds: dict[str, float | None] = {name: alarm.threshold for name, alarm in ALARMS.items()}
        for name, threshold in (thresholds or {}).items():
            choose(ALARMS, name, "alarm")
            if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, int | float)):
                raise ValueError(f"alarms: the threshold of {name} must be a number or null, got {threshold!r}")
            self._thresholds[name] = threshold
        self._rows: list[Mapping[str, Any]] = []
        self._ringing: set[str] = set()

    def update(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Name -> message of the alarms that begin with this row; a second row of one step adds to the first."""
        if self._rows and self._rows[-1].get("step") == row.get("step"):
            self._rows[-1] = {**self._rows[-1], **row}
        else:
            self._rows.append(row)
        began = {}
        for name, alarm in ALARMS.items():
            threshold = self._thresholds[name]
            message = None if threshold is None else alarm.check(self._rows, threshold)
            if message and name not in self._ringing:
                began[name] = message
            (self._ringing.add if message else self._ringing.discard)(name)
        return began
