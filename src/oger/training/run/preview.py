"""Rollouts of the untrained policy, scored as training would: shown by `oger preview`, counted by the warm start."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from oger.recipes.recipe import Recipe
from oger.reporting.tables import alternatives_table, preview_table
from oger.terminal.console import Terminal
from oger.training.batch import ScoredBatch
from oger.training.metrics.records import rollout_rows
from oger.training.run.build import build_trainer
from oger.training.run.options import check_training
from oger.training.run.show import quiet_libraries
from oger.training.scores.alternatives import WHY_REPLACED, alternatives
from oger.training.trainer import OGERTrainer


@contextmanager
def untrained(
    recipe: Recipe, say: Callable[[str], None] = lambda line: None, **training: Any
) -> Iterator[tuple[OGERTrainer, list[ScoredBatch]]]:
    """The trainer of a recipe in training mode, and a list that gets each batch it scores; no file of it stays.

    Args:
        training: options that replace the recipe's.
    """
    batches: list[ScoredBatch] = []
    with tempfile.TemporaryDirectory() as scratch:  # transformers makes the output folder of any trainer
        options = {**recipe.training, "output_dir": scratch, **training}
        trainer = build_trainer(dataclasses.replace(recipe, rollouts_every=0, training=options), say=say)
        trainer.batch_sinks[:] = [lambda _, batch: batches.append(batch)]  # and no histograms
        trainer.model.train()
        yield trainer, batches


def preview_recipe(recipe: Recipe, *, console: Console | None = None) -> list[dict[str, Any]]:
    """Scores one rollout batch of the untrained policy and prints one group of it; trains and writes nothing.

    Beside the accounting of the group it prints what other aggregations, scales and entropies would have given.
    """
    quiet_libraries()
    recipe = check_training(recipe)
    console = console or Terminal()
    with untrained(recipe, lambda line: console.print(line, highlight=False, soft_wrap=True)) as (trainer, batches):
        trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    if not batches:
        raise ValueError("this recipe trains with TRL's own objective alone: it has no hybrid group to show.")
    [batch] = batches
    rows = _telling_group(rollout_rows(1, batch))
    args = trainer.args
    console.print(preview_table(rows, WHY_REPLACED[args.replacement]))
    others = alternatives(batch, rows[0]["group"], args, trainer.processing_class, trainer.answer_rules)
    if others:
        console.print(alternatives_table(others))
    return rows


def _telling_group(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The group to show: with a teacher and a correct online row, and a wrong one too where there is such a group."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)

    def telling(group: Sequence[Mapping[str, Any]]) -> tuple[bool, bool]:
        outcomes = {row["outcome"] for row in group if row["origin"] == "online"}
        has_teacher = any(row["origin"] == "teacher" for row in group)
        return has_teacher and 1.0 in outcomes, has_teacher and len(outcomes) > 1

    return max(groups.values(), key=telling)  # the first of the most telling ones
