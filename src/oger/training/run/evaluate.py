"""The policy of a run on its test sets, before and after training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from oger.evaluation.evaluate import Evaluation, evaluate_policy
from oger.io.whole import write_json
from oger.recipes.recipe import Recipe
from oger.training.config import OGERConfig
from oger.training.run.build import outcome_function
from oger.training.trainer import OGERTrainer


def evaluate(
    recipe: Recipe,
    args: OGERConfig,
    policy: tuple[Any, Any],
    rows: Sequence[Mapping[str, Any]],
    num_samples: int,
    seed: int,
) -> Evaluation:
    """A policy (model, tokenizer) on problems, asked and graded as the recipe says; `args` are its `run_options`."""
    return evaluate_policy(
        *policy,
        rows,
        num_samples=num_samples,
        max_new_tokens=args.max_completion_length,
        temperature=recipe.eval_temperature,
        seed=seed,
        outcome_reward=outcome_function(recipe),
        chat_template_kwargs=args.chat_template_kwargs,
    )


def can_evaluate(trainer: OGERTrainer) -> bool:
    """One process alone: it holds the whole policy, and no other waits for it."""
    return trainer.accelerator.num_processes == 1


def evaluate_now(
    recipe: Recipe,
    trainer: OGERTrainer,
    tests: Mapping[str, Sequence[Mapping[str, Any]]],
    when: str,
    console: Console,
) -> dict[str, Evaluation]:
    """Set name -> evaluation of the policy as it is now."""
    results = {}
    for name, rows in tests.items():
        with console.status(Text(f"evaluating {name} {when} training")):
            policy = trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class
            results[name] = evaluate(recipe, trainer.args, policy, rows, recipe.eval_samples, trainer.args.seed)
    return results


def evaluate_before(
    path: Path,
    recipe: Recipe,
    trainer: OGERTrainer,
    tests: Mapping[str, Sequence[Mapping[str, Any]]],
    console: Console,
) -> dict[str, dict[str, Any]]:
    """Name -> {"summary", "outcomes", "texts"} (first sample of each problem); stored, so a resumed run reads it."""
    if not tests:
        return {}
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    before = {
        name: {
            "summary": evaluation.summary(),
            "outcomes": [None if np.isnan(row[0]) else float(row[0]) for row in evaluation.outcomes],
            "texts": [row[0].text for row in evaluation.responses],
        }
        for name, evaluation in evaluate_now(recipe, trainer, tests, "before", console).items()
    }
    write_json(path, before)
    return before
