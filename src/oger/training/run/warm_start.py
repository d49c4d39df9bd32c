"""The stage before a run, in RUN/first: trained where the recipe has one and the policy needs it.

RUN/first/...         its run folder
RUN/warm_start.json   what was measured and what that cost, where `first_above` asks
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from oger.evaluation.store import write_json
from oger.recipes.recipe import Recipe, apply_overrides, make_recipe
from oger.training.batch import ScoredBatch
from oger.training.run.build import build_trainer
from oger.training.run.options import check_training

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
    return check_training(make_recipe(apply_overrides(document, overrides), name=f"{recipe.name}, first stage"))


def _is_needed(recipe: Recipe, console: Console) -> bool:
    """Whether the untrained policy leaves more than `first_above` of the training prompts without a correct rollout."""
    assert recipe.first_above is not None
    path = recipe.output_dir / DECISION
    if not path.is_file():
        found = _measure(recipe)
        unsolved = found["unsolved_share"]
        if int(os.environ.get("RANK", 0)) == 0:
            write_json(path, {**found, "first_above": recipe.first_above})
    else:
        unsolved = json.loads(path.read_text(encoding="utf-8"))["unsolved_share"]
    needed = unsolved > recipe.first_above
    console.print(
        f"{unsolved:.0%} of the prompts have no correct rollout: "
        + ("the first stage is trained" if needed else "no first stage"),
        highlight=False,
    )
    return needed


def cost_before(run: Path) -> tuple[int, float]:
    """(generated tokens, seconds) of the stages before a run, and of deciding on them."""
    tokens, seconds = 0, 0.0
    if (run / DECISION).is_file():
        found = json.loads((run / DECISION).read_text(encoding="utf-8"))
        tokens, seconds = found.get("generated_tokens", 0), found.get("seconds", 0.0)
    first = run / "first"
    if (first / SUMMARY).is_file():
        summary, earlier = json.loads((first / SUMMARY).read_text(encoding="utf-8")), cost_before(first)
        tokens += summary["generated_tokens"] + earlier[0]
        seconds += summary["train_seconds"] + earlier[1]
    return tokens, seconds


def _measure(recipe: Recipe) -> dict[str, Any]:
    """Share of training prompts (64 of them or a little more) that the untrained policy never solves in G rollouts,
    and what it cost to find out.
    """
    batches: list[ScoredBatch] = []
    with tempfile.TemporaryDirectory() as scratch:  # transformers makes the output folder of any trainer
        options = {**recipe.training, "output_dir": scratch, "rollouts": "generate"}
        trainer = build_trainer(dataclasses.replace(recipe, rollouts_every=0, training=options))
        trainer.batch_sinks[:] = [lambda _, batch: batches.append(batch)]
        trainer.model.train()
        group = trainer.num_generations
        prompts, started = 0, time.perf_counter()
        for inputs in trainer.get_train_dataloader():
            trainer._generate_and_score_completions(inputs)
            prompts += len(inputs) // group * trainer.accelerator.num_processes
            if prompts >= _PROMPTS:
                break
        seconds = time.perf_counter() - started
        failed = torch.cat([~(batch.verdicts.outcome_N.view(-1, group) == 1).any(dim=1) for batch in batches])
        tokens = sum(len(ids) for batch in batches for ids in batch.rollouts.completion_ids)
        all_tokens = trainer.accelerator.reduce(torch.tensor(tokens, device=failed.device), reduction="sum")
        return {
            "unsolved_share": float(trainer.accelerator.gather(failed).double().mean()),
            "generated_tokens": int(all_tokens),
            "seconds": round(seconds, 3),
        }
