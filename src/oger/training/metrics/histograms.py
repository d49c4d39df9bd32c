"""Histograms of what the exploration reward is made of, among the correct online rows of each rollout batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from oger.runs.metrics_log import MetricsLog
from oger.runs.paths import HISTOGRAMS
from oger.training.batch import ScoredBatch

NUM_BINS = 20
RANGES = {
    "divergence": (0.0, 1.0),
    "entropy_last": (0.0, 2.0),  # nats
    "entropy_mean": (0.0, 2.0),  # nats
    "confidence": (0.0, 1.0),
    "bonus": (0.0, 1.0),
}
"""First and last edge of the equal bins; what lies beyond is counted in the outermost bin."""


Taker = Callable[[int, dict[str, Any]], Any]
"""Gets the optimiser step that a rollout batch feeds, and what `histograms` returns."""


class HistogramSink:
    """Counts each rollout batch; every rank calls it, and the main one hands the counts to every taker."""

    def __init__(self, takers: Sequence[Taker], accelerator: Accelerator) -> None:
        self._takers = takers
        self._accelerator = accelerator

    def __call__(self, step: int, batch: ScoredBatch) -> None:
        counted = histograms(batch, self._accelerator)
        if self._accelerator.is_main_process:
            for take in self._takers:
                take(step, counted)


class HistogramFile:
    """histograms.jsonl of a run folder, one row per rollout batch."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / HISTOGRAMS
        self._log: MetricsLog | None = None  # opened at the first batch, once a resumed run has cut the file

    def __call__(self, step: int, counted: dict[str, Any]) -> None:
        self._log = self._log or MetricsLog(self._path)
        self._log.log(step, counted)


def histograms(batch: ScoredBatch, accelerator: Accelerator) -> dict[str, dict[str, Any]]:
    """Name -> {"range": [low, high], "counts": [...]}, over all ranks; rows without the quantity are left out."""
    scores = batch.scores
    chosen_N = (scores.outcome_N == 1) & ~batch.tensors.offline_N
    counts = []
    for name, (low, high) in RANGES.items():
        value_N = getattr(scores, f"{name}_N").float()
        value_N = value_N[chosen_N & ~value_N.isnan()].clamp(low, high)
        place_N = ((value_N - low) / (high - low) * NUM_BINS).long().clamp(max=NUM_BINS - 1)
        counts.append(torch.bincount(place_N, minlength=NUM_BINS))
    total = accelerator.reduce(torch.stack(counts), reduction="sum").tolist()
    return {
        name: {"range": list(edges), "counts": row} for (name, edges), row in zip(RANGES.items(), total, strict=True)
    }
