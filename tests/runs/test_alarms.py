"""Each alarm on runs that are made to go wrong in exactly its way."""

from typing import Any

import pytest

from oger.runs.alarms import ALARMS, WINDOW, AlarmWatch

LONG = 3 * WINDOW


def rung(rows: list[dict[str, Any]], **thresholds: Any) -> list[tuple[int, str]]:
    """(step, alarm) of every alarm that begins."""
    watch = AlarmWatch(thresholds)
    return [(row["step"], name) for row in rows for name in watch.update(row)]


def steps(metric: str, values: list[float]) -> list[dict[str, Any]]:
    return [{"step": step, metric: value} for step, value in enumerate(values, start=1)]


@pytest.mark.parametrize(
    ("alarm", "metric", "values", "begins"),
    [
        # The newest window is all collapsed 10 steps after the fall; 9 of 10 at 0.1 average 0.19 at step 29.
        ("entropy_collapse", "entropy/mean", [1.0] * 20 + [0.1] * 10, 29),
        ("entropy_explosion", "entropy/mean", [0.1] * 20 + [1.0] * 10, 25),
        ("divergence_saturated", "divergence/correct_mean", [0.01] * LONG, WINDOW),
        ("divergence_saturated", "divergence/correct_mean", [0.99] * LONG, WINDOW),
        ("teacher_pushed_down", "advantage/teacher_negative_share", [0.95] * LONG, WINDOW),
        ("length_bias", "reward/bonus_length_correlation", [0.7] * LONG, WINDOW),
        ("length_bias", "reward/bonus_length_correlation", [-0.7] * LONG, WINDOW),
        ("undecided", "outcome/undecided_share", [0.06] * LONG, WINDOW),
        ("truncated", "length/truncated_share", [0.3] * LONG, WINDOW),
    ],
)
def test_an_alarm_begins_once_its_window_holds_the_fault(alarm, metric, values, begins) -> None:
    assert rung(steps(metric, values)) == [(begins, alarm)]


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("entropy/mean", [1.0] * 10 + [0.5] * 20),
        ("divergence/correct_mean", [0.3] * LONG),
        ("advantage/teacher_negative_share", [0.5] * LONG),
        ("reward/bonus_length_correlation", [0.2] * LONG),
        ("outcome/undecided_share", [0.01] * LONG),
        ("length/truncated_share", [0.1] * LONG),
    ],
)
def test_a_healthy_run_is_silent(metric, values) -> None:
    assert rung(steps(metric, values)) == []


def test_a_bonus_that_rises_while_held_out_accuracy_falls_is_hacking() -> None:
    rows = [{"step": step, "reward/exploration": 0.01 * step} for step in range(1, 41)]
    for step, accuracy in ((10, 0.5), (20, 0.6), (30, 0.56), (40, 0.5)):
        rows[step - 1]["eval/outcome"] = accuracy
    assert rung(rows) == [(40, "bonus_hacking")]  # 0.04 below the best at step 30, 0.10 at step 40
    falling = [{**row, "reward/exploration": 0.5 - row["reward/exploration"]} for row in rows]
    assert rung(falling) == []


def test_a_bonus_between_copies_of_one_text_has_nothing_to_tell_apart() -> None:
    alike = {"divergence/correct_spread": 0.01, "group/distinct_correct_share": 0.3, "reward/exploration": 0.2}
    rows = [{"step": step, **alike} for step in range(1, LONG)]
    assert rung(rows) == [(WINDOW, "nothing_to_tell_apart")]
    assert rung([{**row, "divergence/correct_spread": 0.05} for row in rows]) == []
    assert rung([{**row, "reward/exploration": 0.0} for row in rows]) == []  # a run that pays no bonus


def test_an_alarm_rings_again_only_after_it_has_ceased() -> None:
    values = [0.5] * 12 + [0.0] * 12 + [0.5] * 12
    assert [name for _, name in rung(steps("length/truncated_share", values))] == ["truncated", "truncated"]


def test_thresholds_can_be_moved_and_alarms_silenced() -> None:
    rows = steps("length/truncated_share", [0.3] * LONG)
    assert rung(rows, truncated=0.5) == []
    assert rung(rows, truncated=None) == []
    assert rung(steps("length/truncated_share", [0.1] * LONG), truncated=0.05) == [(WINDOW, "truncated")]


def test_a_validation_logged_after_its_step_joins_the_row_of_that_step() -> None:
    watch = AlarmWatch()
    for step in range(1, WINDOW):
        watch.update({"step": step, "length/truncated_share": 0.3})
    watch.update({"step": WINDOW - 1, "eval/outcome": 0.5})
    assert watch.update({"step": WINDOW, "length/truncated_share": 0.3}).keys() == {"truncated"}


def test_rows_without_the_metric_are_no_fault() -> None:
    assert rung([{"step": step} for step in range(1, LONG)]) == []
    assert rung(steps("entropy/mean", [0.0] * LONG)) == []  # nothing to compare with


@pytest.mark.parametrize("thresholds", [{"truncted": 0.1}, {"truncated": "much"}, {"truncated": True}])
def test_unknown_alarms_and_thresholds_are_refused(thresholds) -> None:
    with pytest.raises(ValueError, match="truncated"):
        AlarmWatch(thresholds)


def test_every_alarm_has_a_case_above() -> None:
    assert len(ALARMS) == 9
