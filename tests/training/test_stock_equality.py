"""Without teachers and with weight 0 the trainer is stock GRPO: losses, gradients and weights, step for step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen2ForCausalLM, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from oger import OGERConfig, OGERTrainer
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset
from tests.support.trainers import FLOAT32, FLOAT64, STOCK_PATHS


class _Gradients(TrainerCallback):
    """Keeps the gradient of every optimiser step, after accumulation and before clipping changes nothing small."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.steps.append(torch.cat([p.grad.flatten().clone() for p in model.parameters()]))


def _run(trainer_class: Any, config: Any, dtype: torch.dtype, dataset: Any) -> tuple[torch.Tensor, _Gradients, Any]:
    gradients = _Gradients()
    folder = Path(config.output_dir) / "policy"
    if not folder.exists():
        tiny_policy(dtype=dtype).save_pretrained(folder)  # a reference policy is loaded from where the policy was
    policy = Qwen2ForCausalLM.from_pretrained(folder, dtype=dtype)
    trainer = trainer_class(
        model=policy,
        reward_funcs=[contains_answer, _length_reward],
        args=config,
        train_dataset=dataset,
        processing_class=tiny_tokenizer(),
        callbacks=[gradients],
    )
    losses: list[torch.Tensor] = []  # of micro-batches: the logged loss is accumulated in float32 by transformers
    compute_loss = trainer._compute_loss

    def record(model: Any, inputs: Any) -> torch.Tensor:
        losses.append(compute_loss(model, inputs))
        return losses[-1]

    trainer._compute_loss = record
    trainer.train()
    return torch.stack(losses).detach(), gradients, trainer


class _CountingSteps(GRPOTrainer):
    """Stock, but for the tokens that `dapo` divides by: those of the optimiser step, not the rollout batch's scaled."""

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        inputs = super()._prepare_inputs(generation_batch)
        parts, accumulation = self._buffered_inputs, self.current_gradient_accumulation_steps
        if len(parts) <= accumulation:
            return inputs
        begins = self._step % len(parts) // accumulation * accumulation
        tokens = torch.stack([part["completion_mask"].sum() for part in parts[begins : begins + accumulation]]).sum()
        return {**inputs, "num_items_in_batch": tokens * len(parts) / accumulation}


def _length_reward(completions: list[str], **_: Any) -> list[float | None]:
    return [None if len(text) % 7 == 0 else 0.01 * len(text) for text in completions]


# TRL's log-prob kernel gives float32 whatever the policy's dtype; float64 keeps the rest of the arithmetic sharp.
@pytest.mark.parametrize("loss_type", ["dr_grpo", "grpo", "dapo"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("aligned", {}),
        ("several optimiser steps per batch", {"steps_per_generation": 4}),
        ("batch reused", {"num_iterations": 2}),
        ("no standard deviation", {"scale_rewards": "none"}),
        ("batch standard deviation, weights", {"scale_rewards": "batch", "reward_weights": [0.7, 2.0]}),
        ("masks and clips", {"mask_truncated_completions": True, "epsilon": 0.1, "epsilon_high": 0.3, "delta": 1.5}),
        ("reference policy", {"beta": 0.1, "num_iterations": 2}),
        ("entropy bonus", {"entropy_coef": 0.05, "gradient_accumulation_steps": 1, "per_device_train_batch_size": 16}),
        ("quantile", {"top_entropy_quantile": 0.5, "off_policy_mask_threshold": 0.01, "num_iterations": 2}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize(
    "precision", [FLOAT64, pytest.param(FLOAT32, marks=pytest.mark.soak)], ids=["float64", "float32"]
)
def test_losses_gradients_and_weights_equal_stock_grpo(
    tmp_path: Path, loss_type: str, name: str, options: dict[str, Any], precision: tuple[torch.dtype, float]
) -> None:
    dtype, tolerance = precision
    if "beta" in options:  # TRL's KL shares a term with its loss, so gradients add up in another order: float32 noise
        tolerance = max(tolerance, 1e-6)
    options = quiet_options(tmp_path, loss_type=loss_type, **options)
    dataset = toy_dataset(num_teachers=0)
    ours = OGERConfig(preset="none", exploration_weight=0.0, **STOCK_PATHS, **options)
    losses, gradients, trainer = _run(OGERTrainer, ours, dtype, dataset)
    stock = _run(_CountingSteps, GRPOConfig(**options), dtype, dataset.remove_columns("teachers"))

    assert not trainer._stock, "the comparison must run through OGER's own stages and objective"
    torch.testing.assert_close(losses, stock[0], rtol=tolerance, atol=tolerance * stock[0].abs().max().item())
    assert len(gradients.steps) == 3
    assert gradients.steps[0].abs().max() > 1e-6
    for mine, theirs in zip(gradients.steps, stock[1].steps, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance * theirs.abs().max().item())
    for mine, theirs in zip(trainer.model.parameters(), stock[2].model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)
