"""Each optimiser step divides by its own tokens, however its rollout batch is cut into steps and micro-batches."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from oger.training.objective.counts import StepCounts
from tests.support.tiny import toy_dataset
from tests.support.trainers import make_trainer, step_context

STEPS = 4


def roll_out(prompts: list[Any], trainer: Any) -> dict[str, Any]:
    """Rows of very different lengths, so that no two steps of a batch hold equally many tokens."""
    prompt_ids, *_ = trainer._tokenize_prompts(prompts)
    texts = ["abc"[row % 3] * (1 + row * row % 11) for row in range(len(prompts))]
    ids = [[*trainer._tokenizer(text)["input_ids"], 1] for text in texts]
    return {"prompt_ids": prompt_ids, "completion_ids": ids, "logprobs": None}


def gradients(folder: Path, micro_batch: int, accumulation: int, **options: Any) -> torch.Tensor:
    """Of every optimiser step, (S, D): with plain descent, what the step did to the weights."""
    trainer = make_trainer(
        folder, toy_dataset(16), optim="sgd", learning_rate=0.01, max_grad_norm=0.0, max_steps=STEPS,
        lr_scheduler_type="constant", per_device_train_batch_size=micro_batch, length_chunks=1,
        gradient_accumulation_steps=accumulation, steps_per_generation=2 * accumulation, **options,
    )  # fmt: skip
    trainer.rollout_func = lambda prompts, _: roll_out(prompts, trainer)
    weights = []
    inner = trainer.training_step

    def watch(*args: Any) -> torch.Tensor:
        if trainer._step % accumulation == 0:
            weights.append(torch.cat([p.detach().flatten().clone() for p in trainer.model.parameters()]))
        return inner(*args)

    trainer.training_step = watch  # type: ignore[method-assign]
    trainer.train()
    weights.append(torch.cat([p.detach().flatten() for p in trainer.model.parameters()]))
    return torch.stack([after - before for before, after in itertools.pairwise(weights)])


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "paper_text"},
        {"preset": "luffy_code", "entropy_coef": 0.1},
        {"policy_weight": 1.0, "imitation_weight": 1.0, "teacher_rows": 0, "exploration_weight": 0.0},
    ],
    ids=["all tokens divide", "entropy bonus", "imitation"],
)
def test_two_steps_per_batch_give_one_result_in_every_layout(tmp_path: Path, options: dict[str, Any]) -> None:
    whole, cut = gradients(tmp_path, 16, 1, **options), gradients(tmp_path, 4, 4, **options)
    assert len(whole) == STEPS
    assert whole.norm(dim=1).min() > 0
    torch.testing.assert_close(cut, whole, rtol=1e-3, atol=1e-5 * whole.abs().max().item())


def test_the_counts_are_those_of_the_step(tmp_path: Path) -> None:
    context = step_context(tmp_path, gradient_accumulation_steps=2, steps_per_generation=4, num_generations=4)
    tokens = [[1, 0], [3, 2], [5, 0], [7, 4]]  # (online, teacher) tokens of the four micro-batches
    parts = [
        {
            "completion_mask": (torch.arange(9) < torch.tensor([[online], [taught]])).long(),
            "offline": torch.tensor([False, True]),
            "imitated_mask": (torch.arange(9) < taught)[None].long(),
        }
        for online, taught in tokens
    ]
    counts = StepCounts()

    def scaled(micro_step: int, accumulation: int = 2, step: int | None = None) -> list[float]:
        at = dataclasses.replace(context, step=micro_step // accumulation if step is None else step)
        found = counts.of(at, micro_step, accumulation, parts)
        return [number.item() * accumulation / len(parts) for number in found.values()]

    first, second = [6.0, 4.0, 2.0], [16.0, 12.0, 4.0]  # all, online, imitated
    assert [scaled(step) for step in range(4)] == [first, first, second, second]
    assert scaled(4, step=2) == first, "the next batch begins a step of its own"
    # A step that goes on into another batch counts what it knows: here 2 of its 8 micro-batches, then 4.
    counts = StepCounts()
    assert scaled(6, accumulation=8, step=0) == [64.0, 48.0, 16.0]
    assert scaled(8, accumulation=8, step=0) == [44.0, 32.0, 12.0]


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_counts_are_summed_over_the_ranks(tmp_path: Path, ranks: int) -> None:
    context = dataclasses.replace(step_context(tmp_path), reduce=lambda tensor: tensor * ranks)
    part = {"completion_mask": torch.ones(2, 3, dtype=torch.long), "offline": torch.tensor([True, False])}
    found = StepCounts().of(context, 0, 1, [part])
    assert [number.item() for number in found.values()] == [6.0 * ranks, 3.0 * ranks]
