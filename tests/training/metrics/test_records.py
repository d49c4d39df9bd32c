"""Metrics of a rollout batch, from the rows that were stored of it."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.support.trainers import G, first_batch, make_trainer


def test_variety_is_that_of_the_correct_rollouts_of_a_group(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_completion_length=40, per_device_train_batch_size=16)
    _, rows = first_batch(trainer)
    distinct, spread = [], []
    for group in {row["group"] for row in rows}:
        online = [row for row in rows if row["group"] == group and row["origin"] != "teacher"]
        assert len(online) == G
        right = [row for row in online if row["outcome"] == 1]
        if len(right) > 1:
            distinct.append(len({row["text"] for row in right}) / len(right))
            spread.append(statistics.pstdev(row["divergence"] for row in right))
    assert len(distinct) > 1
    means = trainer._sums["train"].means(trainer.accelerator)
    assert means["group/distinct_correct_share"] == pytest.approx(statistics.mean(distinct))
    assert means["divergence/correct_spread"] == pytest.approx(statistics.mean(spread), abs=1e-6)
