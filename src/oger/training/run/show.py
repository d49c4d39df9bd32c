"""What a run says on the terminal before its training, and what the libraries do not."""

from __future__ import annotations

import os
import warnings

from accelerate import PartialState
from datasets import disable_progress_bars
from rich.console import Console
from transformers.utils import logging as transformers_logging

from oger.recipes.recipe import Recipe
from oger.training.trainer import OGERTrainer


def quiet_libraries() -> None:
    """Their warnings and bars would bury the run's own lines; errors still show."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    disable_progress_bars()


def tell(console: Console, line: str, style: str | None = None) -> None:
    """A line of the run, by its main process alone."""
    if PartialState().is_main_process:
        console.print(line, style=style, highlight=False, soft_wrap=True)


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
