"""`oger train`: one run from one recipe."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from oger.cli.options import OverridesArgument, RecipeArgument, look_at_files, read_recipe


def train(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in output_dir.")] = False,
) -> None:
    """Train a policy as a recipe says."""
    loaded = read_recipe(recipe, overrides)
    look_at_files(loaded)  # torch takes seconds to load, and a wrong path none to find
    began = time.perf_counter()
    from oger.training.run.train import train_recipe

    train_recipe(loaded, resume=resume, imports=time.perf_counter() - began)
