"""Trainers on the toy data, their first batch, and steps that break."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from oger import OGERConfig, OGERTrainer
from oger.teachers.table.turn import plain_turn
from oger.training.metrics.sums import MetricSums
from oger.training.step import StepContext
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset

FLOAT64 = (torch.float64, 1e-9)
FLOAT32 = (torch.float32, 1e-5)

# TRL's random numbers, and its one padded forward over all rows.
STOCK_PATHS: dict[str, Any] = {"lean_generation": False, "length_chunks": 1, "skip_idle_rows": False}

G = 4


class CountingReward:
    """The outcome function, with a record of what it was asked."""

    __name__ = "contains_answer"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, completions: list[str], answer: list[str], **columns: Any) -> list[float]:
        self.calls.append(list(completions))
        return contains_answer(completions, answer)


def make_trainer(
    tmp_path: Path, dataset: Any = None, reward: Any = None, model: Any = None, **options: Any
) -> OGERTrainer:
    return OGERTrainer(
        model=model or tiny_policy(),
        reward_funcs=reward or contains_answer,
        args=OGERConfig(**quiet_options(tmp_path, **options)),
        train_dataset=toy_dataset() if dataset is None else dataset,
        processing_class=tiny_tokenizer(),
    )


def step_context(folder: Path, tokenizer: Any = None, **options: Any) -> StepContext:
    """The context of a first step with these options, for stages that ask nothing of a policy."""
    tokenizer = tokenizer or tiny_tokenizer()
    return StepContext(
        args=OGERConfig(**quiet_options(folder, **options)),
        tokenizer=tokenizer,
        turn=plain_turn(tokenizer),
        answer_rules=None,
        device=torch.device("cpu"),
        step=0,
        progress=0.0,
        epoch=0,
        rank=0,
        num_processes=1,
        gather=lambda tensor: tensor,
        reduce=lambda tensor: tensor,
        sums=MetricSums(),
        policy=None,
        unwrapped_policy=None,
        reference=None,
        score_tokens=lambda *_, **__: pytest.fail("this stage must not run the policy"),
        off_policy_mask=lambda *_, **__: pytest.fail("this stage must not mask tokens"),
        high_entropy_mask=lambda *_, **__: pytest.fail("this stage must not mask tokens"),
    )


def first_batch(trainer: OGERTrainer) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The first rollout batch as the loss gets it, and its stored rows."""
    stored: list[dict[str, Any]] = []
    trainer.rollout_sinks.append(lambda step, rows: stored.extend(rows))
    trainer.model.train()
    inputs = next(iter(trainer.get_train_dataloader()))
    return trainer._generate_and_score_completions(inputs), stored


def groups_of(rows: list[dict[str, Any]], *origins: str) -> list[list[dict[str, Any]]]:
    numbers = sorted({row["group"] for row in rows})
    return [
        sorted((r for r in rows if r["group"] == n and r["origin"] in origins), key=lambda r: r["row"]) for n in numbers
    ]


BROKEN_STEPS = 4
Plant = Callable[[OGERTrainer, Callable[[], bool]], None]


class Weights(TrainerCallback):
    """The weights after every step, by step; step 0 is before the first."""

    def __init__(self) -> None:
        self.after: dict[int, list[torch.Tensor]] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.after.setdefault(state.global_step, [parameter.detach().clone() for parameter in model.parameters()])

    on_step_end = on_train_begin

    def moved(self, step: int) -> bool:
        pairs = zip(self.after[step - 1], self.after[step], strict=True)
        return any(not torch.equal(before, after) for before, after in pairs)


def make_breaking_trainer(
    folder: Path, plant: Plant, when: Callable[[int], bool], **options: Any
) -> tuple[OGERTrainer, Weights]:
    """A trainer in which `plant` breaks something during the steps that `when` names (1 is the first)."""
    weights = Weights()
    settings = {"max_steps": BROKEN_STEPS, "record_dir": str(folder), **options}
    trainer = OGERTrainer(
        model=tiny_policy(),
        reward_funcs=contains_answer,
        args=OGERConfig(**quiet_options(folder / "checkpoints", **settings)),
        train_dataset=toy_dataset(12),
        processing_class=tiny_tokenizer(),
        callbacks=[weights],
    )
    plant(trainer, lambda: when(trainer.state.global_step + 1))
    return trainer, weights


def replace_reward(trainer: OGERTrainer, is_due: Callable[[], bool], value: float | None) -> None:
    function = trainer.reward_funcs[0]

    def planted(**arguments: Any) -> list[float | None]:
        rewards = function(**arguments)
        return [value, *rewards[1:]] if is_due() else rewards

    from oger.training.loop.nonfinite import tell_none_from_nan

    trainer.reward_funcs[0] = tell_none_from_nan(planted)
