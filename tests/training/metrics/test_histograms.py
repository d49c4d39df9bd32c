from __future__ import annotations

from pathlib import Path
from typing import Any

from oger.runs.metrics_log import read_metrics
from oger.training.metrics.histograms import NUM_BINS, RANGES
from tests.support.trainers import first_batch, make_trainer


def expected_counts(values: list[float], low: float, high: float) -> list[int]:
    counts = [0] * NUM_BINS
    for value in values:
        place = int((min(max(value, low), high) - low) / (high - low) * NUM_BINS)
        counts[min(place, NUM_BINS - 1)] += 1
    return counts


def test_histograms_count_the_correct_online_rows_of_a_batch(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, record_dir=str(tmp_path / "run"))
    _, rows = first_batch(trainer)
    [stored] = read_metrics(tmp_path / "run" / "histograms.jsonl")
    assert stored["step"] == 1
    correct: list[dict[str, Any]] = [row for row in rows if row["origin"] == "online" and row["outcome"] == 1]
    assert correct, "the toy task must pay some rows"
    for name, (low, high) in RANGES.items():
        assert stored[name] == {
            "range": [low, high],
            "counts": expected_counts([row[name] for row in correct], low, high),
        }, name


def test_the_correlation_of_bonus_and_length_is_pearsons(tmp_path: Path) -> None:
    import numpy as np

    trainer = make_trainer(tmp_path)
    _, rows = first_batch(trainer)
    correct = [row for row in rows if row["origin"] == "online" and row["outcome"] == 1]
    means = trainer._sums["train"].means(trainer.accelerator)
    pairs = np.array([[row["bonus"], row["num_tokens"]] for row in correct]).T
    if len(set(pairs[0])) > 1 and len(set(pairs[1])) > 1 and len(correct) > 2:
        assert abs(means["reward/bonus_length_correlation"] - np.corrcoef(pairs)[0, 1]) < 1e-6
    else:
        assert "reward/bonus_length_correlation" not in means
