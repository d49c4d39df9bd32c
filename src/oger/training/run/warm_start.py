"""The stage before a run, in RUN/first: trained where the recipe has one and the policy needs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from rich.console import Console

from oger.io.objects import NUMBER, read_object
from oger.io.whole import write_json
from oger.recipes.recipe import Recipe, apply_overrides, make_recipe
from oger.runs.paths import BEST, CONFIG, FIRST, MODEL, SUMMARY, WARM_START
from oger.training.run.adapters import check_stages
from oger.training.run.options import check_training
from oger.training.run.preview import untrained
from oger.training.run.show import tell

_PROMPTS = 64
"""Least number of prompts that the decision is taken on."""


def warm_start(recipe: Recipe, train: Callable[..., Any], console: Console) -> str:
    """Model that the run starts from: the best policy of the first stage (the last one where nothing chose a best), or
    the recipe's own model where `first_above` finds no need of it.

    Args:
        recipe: with `first`.
        train: `train_recipe`, which trains the first stage or continues it.

    Raises:
        ValueError: the two stages do not fit together; nothing was trained yet.
    """
    first = first_recipe(recipe)
    check_stages(first.peft, recipe.peft)
    if recipe.first_above is not None and not _is_needed(recipe, console):
        return recipe.model
    if not (first.output_dir / SUMMARY).is_file():
        resume = (first.output_dir / CONFIG).is_file()
        PartialState().wait_for_everyone()  # before the first process writes it
        train(first, resume=resume, console=console)
    best = first.output_dir / BEST
    return str(best if best.is_dir() else first.output_dir / MODEL)


def first_recipe(recipe: Recipe) -> Recipe:
    """The recipe of the stage before: this one with the keys of `first` changed, in RUN/first."""
    assert recipe.first is not None, "asked only of recipes with a first stage"
    document = {key: value for key, value in recipe.document.items() if key not in ("first", "first_above", "rollouts")}
    overrides = {**recipe.first, "output_dir": str(recipe.output_dir / FIRST)}
    return check_training(make_recipe(apply_overrides(document, overrides), name=f"{recipe.name}, first stage"))


def _is_needed(recipe: Recipe, console: Console) -> bool:
    """Whether the untrained policy leaves more than `first_above` of the training prompts without a correct rollout."""
    assert recipe.first_above is not None
    path = recipe.output_dir / WARM_START
    if not path.is_file():
        found = _measure(recipe)
        unsolved = found["unsolved_share"]
        if PartialState().is_main_process:
            write_json(path, {**found, "first_above": recipe.first_above})
    else:
        unsolved = read_object(path, {"unsolved_share": NUMBER})["unsolved_share"]
    needed = unsolved > recipe.first_above
    then = "the first stage is trained" if needed else "no first stage"
    tell(console, f"{unsolved:.0%} of the prompts have no correct rollout: {then}")
    return needed


def cost_before(run: Path) -> tuple[int, float]:
    """(generated tokens, seconds) of the stages before a run, and of deciding on them."""
    tokens, seconds = 0, 0.0
    if (run / WARM_START).is_file():
        found = read_object(run / WARM_START)
        tokens, seconds = found.get("generated_tokens", 0), found.get("seconds", 0.0)
    first = run / FIRST
    if (first / SUMMARY).is_file():
        summary = read_object(first / SUMMARY, {"generated_tokens": NUMBER, "train_seconds": NUMBER})
        earlier = cost_before(first)
        tokens += summary["generated_tokens"] + earlier[0]
        seconds += summary["train_seconds"] + earlier[1]
    return tokens, seconds


def _measure(recipe: Recipe) -> dict[str, Any]:
    """Share of training prompts (64 of them or a little more) that the untrained policy never solves in G rollouts,
    and what it cost to find out.
    """
    with untrained(recipe, rollouts="generate") as (trainer, batches):
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
