"""Trackers get every metric and the histograms, and a resumed run goes on in the tracker's run that it began."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter
from transformers.integrations import TensorBoardCallback

from oger.reporting.glossary import GLOSSARY
from oger.runs.metrics_log import read_metrics
from oger.training.metrics.histograms import NUM_BINS, RANGES
from oger.training.metrics.trackers import PendingHistograms, add_histograms, tracker_id
from tests.support.tracked_run import KILLED, STEPS
from tests.support.trainers import make_trainer


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed one step behind its checkpoint and resumed."""
    folder = tmp_path_factory.mktemp("tracked") / "run"
    environment = {**os.environ, "TRACKIO_DIR": str(folder.parent / "trackio"), "HF_HUB_OFFLINE": "1"}
    for how, code in (("kill", -signal.SIGKILL), ("resume", 0)):
        command = [sys.executable, "-m", "tests.support.tracked_run", str(folder), how]
        process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert process.returncode == code, process.stderr
    return folder


@pytest.fixture(scope="module")
def trackio_rows(run: Path) -> list[dict[str, Any]]:
    [(name, rows)] = json.loads((run / "trackio.json").read_text()).items()  # one run, not two
    assert name == f"run-{tracker_id(run)}"
    return rows


@pytest.fixture(scope="module")
def events(run: Path) -> EventAccumulator:
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"histograms": 0, "scalars": 0})
    return events.Reload()


@pytest.fixture(scope="module")
def counted(run: Path) -> dict[int, dict[str, Any]]:
    return {row["step"]: row for row in read_metrics(run / "histograms.jsonl")}


def test_trackio_has_the_metrics_under_the_glossarys_names(trackio_rows: list[dict[str, Any]]) -> None:
    names = {name for row in trackio_rows for name in row}
    wanted = ("reward/total", "divergence/mean", "entropy/last", "advantage/teacher_mean", "objective/online_loss")
    assert set(wanted) <= set(GLOSSARY)
    assert {f"train/{name}" for name in wanted} | {"eval/outcome"} <= names


def test_trackio_has_the_histograms_of_every_step(
    trackio_rows: list[dict[str, Any]], counted: dict[int, dict[str, Any]]
) -> None:
    seen = set()
    for row in trackio_rows:
        for name, (low, high) in RANGES.items():
            if (drawn := row.get(f"train/histogram/{name}")) is not None:
                seen.add(row["train/global_step"])
                assert drawn["_type"] == "trackio.histogram"
                assert drawn["values"] == counted[row["train/global_step"]][name]["counts"]
                assert (drawn["bins"][0], drawn["bins"][-1], len(drawn["bins"])) == (low, high, NUM_BINS + 1)
    assert seen == {step for step, row in counted.items() if any(row["divergence"]["counts"])} != set()


def test_trackio_keeps_what_a_killed_run_had_logged_and_the_resumed_one_logs_the_same_again(
    trackio_rows: list[dict[str, Any]],
) -> None:
    rewards: dict[int, list[float]] = {}
    for row in trackio_rows:
        if "train/reward/total" in row:
            rewards.setdefault(row["train/global_step"], []).append(row["train/reward/total"])
    assert {step: len(values) for step, values in rewards.items()} == {1: 1, 2: 1, KILLED: 2, STEPS: 1}
    assert rewards[KILLED][0] == rewards[KILLED][1]


def test_tensorboard_shows_each_step_of_a_resumed_run_once(events: EventAccumulator) -> None:
    assert [event.step for event in events.Scalars("train/reward/total")] == list(range(1, STEPS + 1))
    assert [event.step for event in events.Scalars("eval/outcome")] == [2, 4]


def test_tensorboard_has_the_histograms(events: EventAccumulator, counted: dict[int, dict[str, Any]]) -> None:
    for name, (low, high) in RANGES.items():
        for event in events.Histograms(f"train/histogram/{name}"):
            drawn, counts = event.histogram_value, counted[event.step][name]["counts"]
            assert drawn.bucket == counts
            assert drawn.bucket_limit[-1] == high
            assert (drawn.min, drawn.num) == (low, sum(counts))


def test_histograms_are_summed_up_to_the_next_row_of_training() -> None:
    pending = PendingHistograms()
    one = [1] + [0] * (NUM_BINS - 1)
    nothing = {"range": [0.0, 1.0], "counts": [0] * NUM_BINS}
    for step in (1, 2):
        pending.add(step, {"divergence": {"range": [0.0, 1.0], "counts": one}, "bonus": nothing})
    assert pending.take({"eval_loss": 0.0}) == {}
    [(name, (counts, edges))] = pending.take({"loss": 0.0}).items()
    assert name == "histogram/divergence"
    assert counts.tolist() == [2] + [0] * (NUM_BINS - 1)
    assert edges.tolist() == pytest.approx([index / NUM_BINS for index in range(NUM_BINS + 1)])
    assert pending.take({"loss": 0.0}) == {}


def test_without_a_run_folder_histograms_reach_the_tracker_too_and_nothing_is_left_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    make_trainer(tmp_path / "out", report_to=["tensorboard"], max_steps=1).train()
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert "train/histogram/divergence" in events.Tags()["histograms"]
    assert {path.name for path in tmp_path.iterdir()} <= {"out", "events"}


def test_a_writer_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, report_to=["tensorboard"])
    mine = TensorBoardCallback(SummaryWriter(str(tmp_path / "mine")))
    trainer.pop_callback(TensorBoardCallback)
    trainer.add_callback(mine)
    assert add_histograms(trainer.callback_handler.callbacks) == []
    assert mine in trainer.callback_handler.callbacks


@pytest.mark.parametrize("content", [b"", b"0123", b"\xff\xfe", b"../../x\n", b"0123456g\n", b"01234567" * 1000])
def test_an_id_that_is_damaged_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tracker_id").write_bytes(content)
    made = tracker_id(tmp_path)
    assert len(made) == 8
    assert int(made, 16) >= 0
    assert tracker_id(tmp_path) == made
    assert (tmp_path / "tracker_id").read_text() == f"{made}\n"


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_an_id_is_never_waited_for(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "tracker_id")
    with pytest.raises(ValueError, match="no regular file"):
        tracker_id(tmp_path)
