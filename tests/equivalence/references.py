"""Reference numbers of a replayed run, and how far another run is from them.

A gradient of half a million numbers is kept as its norm and as projections on fixed vectors of signs: two gradients
that differ by a vector d differ in each projection by about |d|, so that no difference hides from all of them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tests.equivalence.runs import REFERENCES, Trace

PROJECTIONS = 32
_NOT_COMPARED = ("time/", "step_time")


@dataclass(frozen=True, kw_only=True)
class Residuals:
    """Differences from a reference: of gradients over the norm of the gradient, of weights over that of all updates."""

    gradient_max: float
    gradient_mean: float
    weights_max: float
    loss_max: float  # over the largest loss of the reference
    norm_max: float  # of grad_norm, relative
    metrics: dict[str, float]  # name -> difference over its largest value, where that is above 1e-5

    def __str__(self) -> str:
        return (
            f"gradient: max {self.gradient_max:.1e}, mean {self.gradient_mean:.1e}; weights {self.weights_max:.1e}; "
            f"loss {self.loss_max:.1e}; grad_norm {self.norm_max:.1e}; metrics beyond 1e-5: {self.metrics or 'none'}"
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
        AssertionError: if it logged other metrics, or other steps.
    """
    wanted = json.loads(REFERENCES.read_text())["scenarios"][scenario]
    found = reference(trace)
    rows = list(zip(found["metrics"], wanted["metrics"], strict=True))
    for mine, theirs in rows:
        assert list(mine) == list(theirs), "another set of metrics was logged"

    def apart(name: str) -> float:
        scale = max(abs(theirs[name]) for _, theirs in rows if name in theirs)
        differences = [abs(mine[name] - theirs[name]) for mine, theirs in rows if name in theirs]
        return max(differences) / (scale or 1.0)

    norm_S1 = torch.tensor(wanted["gradient_norm"], dtype=torch.float64)[:, None]
    gradient_SK = (_tensor(found["gradient"]) - _tensor(wanted["gradient"])).abs() / norm_S1
    weights_K = (_tensor(found["weights"]) - _tensor(wanted["weights"])).abs() / norm_S1.sum()
    names = sorted({name for _, theirs in rows for name in theirs})
    return Residuals(
        gradient_max=gradient_SK.max().item(),
        gradient_mean=gradient_SK.mean().item(),
        weights_max=weights_K.max().item(),
        loss_max=apart("loss"),
        norm_max=apart("grad_norm"),
        metrics={name: apart(name) for name in names if apart(name) > 1e-5},
    )


def _tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _signs(size: int) -> torch.Tensor:
    """(K, size) numbers +1 and -1, the same on every machine and with every version of a library."""
    rows = []
    for index in range(PROJECTIONS):
        bits = np.frombuffer(hashlib.shake_256(str(index).encode()).digest(-(-size // 8)), dtype=np.uint8)
        rows.append(torch.from_numpy(np.unpackbits(bits)[:size].astype(np.float64)) * 2 - 1)
    return torch.stack(rows)
