"""Reference numbers of a replayed run, and how far another run is from them.

A gradient of half a million numbers is kept as its norm and as projections on fixed vectors of signs: two gradients
that differ by a vector d differ in each projection by about |d|, so that no difference hides from all of them, and the
mean of the squares is about |d|².
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tests.equivalence.runs import LEARNING_RATE, REFERENCES, Trace

PROJECTIONS = 32
_NOT_COMPARED = ("time/", "step_time")


@dataclass(frozen=True, kw_only=True)
class Residuals:
    """Differences from a reference, over the size of what is compared: the norm of a gradient, all updates together,
    the largest value of a metric (at least 0.1)."""

    gradient_max: float  # of the steps
    gradient_mean: float
    weights: float
    loss: float
    grad_norm: float
    metrics: dict[str, float]  # name -> difference, where it is above 1e-5

    def __str__(self) -> str:
        return (
            f"gradient: max {self.gradient_max:.1e}, mean {self.gradient_mean:.1e}; weights {self.weights:.1e}; "
            f"loss {self.loss:.1e}; grad_norm {self.grad_norm:.1e}; metrics beyond 1e-5: {self.metrics or 'none'}"
        )


def reference(trace: Trace) -> dict[str, Any]:
    """What is committed of a run."""
    signs_KD = _signs(trace.weights_D.numel())
    return {
        "gradient_norm": trace.gradient_SD.norm(dim=1).tolist(),
        "gradient": (trace.gradient_SD @ signs_KD.T).tolist(),
        "weights": (signs_KD @ trace.weights_D).tolist(),
        "metrics": [compared(row) for row in trace.metrics],
    }


def compared(row: dict[str, Any]) -> dict[str, Any]:
    """A row of metrics.jsonl without times."""
    return {name: value for name, value in row.items() if not name.startswith(_NOT_COMPARED)}


def residuals(trace: Trace, scenario: str) -> Residuals:
    """Differences of a run from the committed reference of its scenario.

    Raises:
        AssertionError: if it lacks a metric or a step of the reference.
    """
    wanted = json.loads(REFERENCES.read_text())["scenarios"][scenario]
    found = reference(trace)
    rows = list(zip(found["metrics"], wanted["metrics"], strict=True))
    for mine, theirs in rows:
        assert not set(theirs) - set(mine), "metrics of the reference were not logged"

    def apart(name: str) -> float:
        scale = max(abs(theirs[name]) for _, theirs in rows if name in theirs)
        differences = [abs(mine[name] - theirs[name]) for mine, theirs in rows if name in theirs]
        return max(differences) / max(scale, 0.1)

    norm_S = _tensor(wanted["gradient_norm"])
    gradient_S = _size(_tensor(found["gradient"]) - _tensor(wanted["gradient"])) / norm_S
    updates = _size(_tensor(found["weights"]) - _tensor(wanted["weights"])) / (LEARNING_RATE * norm_S.sum())
    names = sorted({name for _, theirs in rows for name in theirs})
    return Residuals(
        gradient_max=gradient_S.max().item(),
        gradient_mean=gradient_S.mean().item(),
        weights=updates.item(),
        loss=apart("loss"),
        grad_norm=apart("grad_norm"),
        metrics={name: apart(name) for name in names if apart(name) > 1e-5},
    )


def _size(projected: torch.Tensor) -> torch.Tensor:
    """Norm of a vector, by its projections in the last dimension."""
    return projected.square().mean(dim=-1).sqrt()


def _tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _signs(size: int) -> torch.Tensor:
    """(K, size) numbers +1 and -1, the same on every machine and with every version of a library."""
    rows = []
    for index in range(PROJECTIONS):
        bits = np.frombuffer(hashlib.shake_256(str(index).encode()).digest(-(-size // 8)), dtype=np.uint8)
        rows.append(torch.from_numpy(np.unpackbits(bits)[:size].astype(np.float64)) * 2 - 1)
    return torch.stack(rows)
