"""The stage before a run, in RUN/first: trained where the recipe has one and the policy needs it.

RUN/first/...         its run folder
RUN/warm_start.json   what was measured and decided, where `first_above` asks
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console

from oger.evaluation.store import write_json
from oger.recipes.recipe import Recipe, apply_overrides, make_recipe
from oger.training.batch import ScoredBatch
from oger.training.build import build_trainer

CONFIG, SUMMARY, DECISION = "config.yaml", "summary.json", "warm_start.json"

_PROMPTS = 64
"""Least number of prompts that the decision is taken on."""


def warm_start(recipe: Recipe, train: Callable[..., Any], console: Console) -> str:
    """Model that the run starts from: the best policy of the first stage (the last one where nothing chose a best), or
    the recipe's own model where `first_above` finds no need of it.

    Args:
        recipe: with `first`.
        train: `train_recipe`, which trains the first stage or continues it.
        console: for progress.
    """
    first = first_recipe(recipe)
    if recipe.first_above is not None and not _is_needed(recipe, console):
        return recipe.model
    if not (first.output_dir / SUMMARY).is_file():
        train(first, resume=(first.output_dir / CONFIG).is_file(), console=console)
    best = first.output_dir / "best"
    return str(best if best.is_dir() else first.output_dir / "model")


def first_recipe(recipe: Recipe) -> Recipe:
    """The recipe of the stage before: this one with the keys of `first` changed, in RUN/first."""
    assert recipe.first is not None, "asked only of recipes with a first stage"
    document = {key: value for key, value in recipe.document.items() if key not in ("first", "first_above", "rollouts")}
    overrides = {**recipe.first, "output_dir": str(recipe.output_dir / "first")}
    return make_recipe(apply_overrides(document, overrides), name=f"{recipe.name}, first stage")


def _is_needed(recipe: Recipe, console: Console) -> bool:
    """Whether the untrained policy leaves more than `first_above` of the training prompts without a correct rollout."""
    assert recipe.first_above is not None
    path = recipe.output_dir / DECISION
    if not path.is_file():
        unsolved = unsolved_share(recipe)
        if int(os.environ.get("RANK", 0)) == 0:
            write_json(path, {"unsolved_share": unsolved, "first_above": recipe.first_above})
    else:
        unsolved = json.loads(path.read_text(encoding="utf-8"))["unsolved_share"]
    needed = unsolved > recipe.first_above
    console.print(
        f"{unsolved:.0%} of the prompts have no correct rollout: "
        + ("the first stage is trained" if needed else "no first stage"),
        highlight=False,
    )
    return needed


def unsolved_share(recipe: Recipe) -> float:
    """Share of training prompts (64 of them or a little more) that the untrained policy never solves in G rollouts."""
    batches: list[ScoredBatch] = []
    with tempfile.TemporaryDirectory() as scratch:  # transformers makes the output folder of any trainer
        options = {**recipe.training, "output_dir": scratch, "rollouts": "generate"}
        trainer = build_trainer(dataclasses.replace(recipe, rollouts_every=0, training=options))
        trainer.batch_sinks[:] = [lambda _, batch: batches.append(batch)]
        trainer.model.train()
        group = trainer.num_generations
        prompts = 0
        for inputs in trainer.get_train_dataloader():
            trainer._generate_and_score_completions(inputs)
            prompts += len(inputs) // group * trainer.accelerator.num_processes
            if prompts >= _PROMPTS:
                break
        failed = [~(batch.verdicts.outcome_N.view(-1, group) == 1).any(dim=1) for batch in batches]
        return float(trainer.accelerator.gather(torch.cat(failed)).double().mean())
