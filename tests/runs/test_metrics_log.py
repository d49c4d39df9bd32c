"""metrics.jsonl survives kills, resumes and non-finite numbers."""

import json
import math

import pytest

from oger.runs.metrics_log import MetricsLog, read_metrics


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "metrics.jsonl"


def test_each_step_is_one_row_on_disk_at_once(path) -> None:
    log = MetricsLog(path)
    for step in (1, 2, 3):
        log.log(step, {"loss": step / 2})
        assert read_metrics(path)[-1] == {"step": step, "loss": step / 2}
    assert len(path.read_text().splitlines()) == 3
    assert log.last_step == 3


def test_metrics_of_the_same_step_join_its_row(path) -> None:
    log = MetricsLog(path)
    log.log(1, {"loss": 1.0})
    log.log(2, {"loss": 0.5})
    log.log(2, {"eval/outcome": 0.25})
    MetricsLog(path).log(2, {"eval/length": 7.0})
    assert read_metrics(path) == [
        {"step": 1, "loss": 1.0},
        {"step": 2, "loss": 0.5, "eval/outcome": 0.25, "eval/length": 7.0},
    ]


def test_joining_with_a_shorter_value_leaves_no_rest_of_the_old_row(path) -> None:
    log = MetricsLog(path)
    log.log(1, {"loss": 0.123456789012})
    log.log(1, {"loss": 1.0})
    assert path.read_text() == '{"step": 1, "loss": 1.0}\n'


def test_going_back_needs_a_cut(path) -> None:
    log = MetricsLog(path)
    log.log(5, {})
    with pytest.raises(ValueError, match="cut_after"):
        log.log(4, {})


def test_a_cut_drops_later_rows_and_writing_goes_on(path) -> None:
    log = MetricsLog(path)
    for step in range(1, 6):
        log.log(step, {"loss": float(step)})
    log.cut_after(3)
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3]
    log.log(4, {"loss": 40.0})
    assert read_metrics(path)[-1] == {"step": 4, "loss": 40.0}
    log.cut_after(0)
    assert read_metrics(path) == []
    assert log.last_step is None
    assert [entry.name for entry in path.parent.iterdir()] == ["metrics.jsonl"]


def test_a_file_cut_and_rewritten_equals_one_never_interrupted(path, tmp_path) -> None:
    straight = MetricsLog(tmp_path / "straight.jsonl")
    resumed = MetricsLog(path)
    for step in range(1, 8):
        straight.log(step, {"loss": 1 / step})
    for step in range(1, 6):
        resumed.log(step, {"loss": 1 / step})
    with open(path, "a") as file:
        file.write('{"step": 6, "lo')
    resumed = MetricsLog(path)
    resumed.cut_after(4)
    for step in range(5, 8):
        resumed.log(step, {"loss": 1 / step})
    assert path.read_bytes() == (tmp_path / "straight.jsonl").read_bytes()


@pytest.mark.parametrize("rest", ['{"step": 2, "lo', "[1, 2]\n", '{"loss": 1}\n', "{broken\n"])
def test_a_torn_last_line_is_ignored_and_then_dropped(path, rest: str) -> None:
    MetricsLog(path).log(1, {"loss": 1.0})
    with open(path, "a") as file:
        file.write(rest)
    assert read_metrics(path) == [{"step": 1, "loss": 1.0}]
    MetricsLog(path).log(2, {"loss": 2.0})
    assert [row["step"] for row in read_metrics(path)] == [1, 2]


def test_a_broken_line_in_the_middle_is_an_error_that_names_it(path) -> None:
    log = MetricsLog(path)
    log.log(1, {})
    log.log(2, {})
    path.write_text("junk\n" + path.read_text())
    with pytest.raises(ValueError, match="line 1"):
        read_metrics(path)


def test_what_is_no_number_in_json_becomes_null(path) -> None:
    MetricsLog(path).log(1, {"a": math.nan, "b": math.inf, "c": None, "d": 2})
    assert json.loads(path.read_text()) == {"step": 1, "a": None, "b": None, "c": None, "d": 2}


def test_a_missing_file_has_no_rows(path) -> None:
    assert read_metrics(path) == []
    log = MetricsLog(path)
    log.cut_after(3)
    assert read_metrics(path) == []
