"""What a run shows on the terminal before and after its training."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers.utils import logging as transformers_logging

from oger.evaluation.evaluate import Evaluation
from oger.recipes.recipe import Recipe
from oger.reporting.tables import comparison_table, sample_panel
from oger.training.trainer import OGERTrainer


def quiet_libraries() -> None:
    """Their warnings and bars would bury the run's own lines; errors still show."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import datasets

    datasets.disable_progress_bars()


def describe(recipe: Recipe, trainer: OGERTrainer) -> str:
    """What is about to be trained, in one line."""
    args = trainer.args
    policy = sum(parameter.numel() for parameter in trainer.accelerator.unwrap_model(trainer.model).parameters())
    rows = args.generation_batch_size
    return (
        f"{recipe.name}: {recipe.model}, {policy / 1e6:.2f} M parameters, preset {args.preset}; "
        f"{rows} rollouts per batch in groups of {args.num_generations}, {args.teacher_rows} teacher row(s) per group; "
        f"{trainer.teacher_counts.describe()}; run folder {recipe.output_dir}"
    )


def show_result(
    console: Console,
    run: Path,
    summary: Mapping[str, Any],
    before: Mapping[str, Mapping[str, Any]],
    after: Mapping[str, Evaluation],
    tests: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    """Accuracies before and after, one problem with its solutions, and where everything lies."""
    if summary["after"]:
        console.print(comparison_table(summary["before"], summary["after"]))
    for name, evaluation in after.items():
        index = _telling_problem(before[name]["outcomes"], evaluation)
        row = tests[name][index]
        teachers = row.get("teachers") or []
        console.print(
            sample_panel(
                str(row["prompt"]),
                teacher=teachers[0]["text"] if teachers else None,
                before=before[name]["texts"][index],
                after=evaluation.responses[index][0].text,
            )
        )
        break
    console.print(
        f"{summary['steps']} steps in {summary['wall_seconds']:.0f} s; everything is in {run} "
        f"(oger evaluate {run}, oger sample {run} PROBLEM)",
        highlight=False,
        soft_wrap=True,
    )


def _telling_problem(outcomes_before: Sequence[float | None], after: Evaluation) -> int:
    """A problem whose first sample was wrong before and is right after, else the first."""
    for index, outcome in enumerate(outcomes_before):
        if outcome == 0 and after.outcomes[index][0] == 1:
            return index
    return 0
