"""What makes a step faster changes neither its losses nor the weights that it leaves.

Rows without advantage, which stay out of the update, have their test in `test_trimmed`.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from oger.training.logprobs.fused_head import fused_head_for
from oger.training.rollouts import shrinking_generation
from tests.support.tiny import tiny_policy
from tests.support.trainers import FLOAT32, FLOAT64, STOCK_PATHS, make_trainer


def trained(folder: Path, dtype: torch.dtype, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses of the micro-batches of two steps, and the weights after them.

    TRL's head rounds log-probabilities to float32, so float64 runs go through OGER's with either option. Adam divides a
    gradient by its own size, which is rounding where a weight has no influence (the keys' biases): float32 runs use
    plain gradient descent.
    """
    optimiser = {} if dtype == torch.float64 else {"optim": "sgd", "learning_rate": 0.1}
    trainer = make_trainer(folder, model=tiny_policy(dtype=dtype), max_steps=2, **optimiser, **options)
    losses: list[torch.Tensor] = []
    compute_loss = trainer._compute_loss

    def recorded(model: Any, inputs: Any) -> torch.Tensor:
        losses.append(compute_loss(model, inputs))
        return losses[-1]

    trainer._compute_loss = recorded  # type: ignore[method-assign]
    before = torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])
    with fused_head_for(torch.device("cpu")) if dtype == torch.float64 else nullcontext():
        trainer.train()
    weights = torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])
    assert (weights - before).abs().max() > 1e-4, "nothing was learned"
    return torch.stack(losses).detach(), weights


@pytest.mark.parametrize(
    "precision", [FLOAT64, pytest.param(FLOAT32, marks=pytest.mark.soak)], ids=["float64", "float32"]
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"preset": "paper_text", "num_iterations": 2},
        {"imitation_weight": 0.5},
        {"teacher_rows": 0, "exploration_weight": 0.0, "entropy_coef": 0.0},
    ],
    ids=["usual", "batch reused", "imitation", "plain GRPO"],
)
@pytest.mark.parametrize(
    ("fast", "slow"),
    [
        ({"length_chunks": 4}, {"length_chunks": 1}),
        ({"lean_generation": True}, {"lean_generation": False}),
        ({}, STOCK_PATHS),
    ],
    ids=["length_chunks", "lean_generation", "all"],
)
def test_a_faster_run_is_the_same_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fast: dict[str, Any],
    slow: dict[str, Any],
    options: dict[str, Any],
    precision: tuple[torch.dtype, float],
) -> None:
    dtype, tolerance = precision
    # The random numbers of stock generation, so that the same tokens are drawn.
    monkeypatch.setattr(shrinking_generation, "draw_by_cumulative", shrinking_generation.draw_as_stock)
    found, expected = (trained(tmp_path / name, dtype, **own, **options) for name, own in (("f", fast), ("s", slow)))
    assert expected[0].abs().max() > 1e-3
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
