"""One run: from a recipe to a run folder, whose names `oger.runs.paths` lists."""

from __future__ import annotations

import dataclasses
import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import PartialState
from rich.console import Console

from oger.recipes.recipe import Recipe, load_recipe
from oger.terminal.console import Terminal
from oger.training.run.build import build_trainer, run_options
from oger.training.run.conduct import claim, conduct
from oger.training.run.folder import free_folder
from oger.training.run.options import check_training
from oger.training.run.parts import DATA, FIRST_STAGE, Parts
from oger.training.run.ranks import by_owner, check_group, group_line
from oger.training.run.rows import checked_rows, read_data
from oger.training.run.show import quiet_libraries, tell
from oger.training.run.start import same_start
from oger.training.run.stop_signals import StopSignals
from oger.training.run.warm_start import warm_start


def train_recipe(
    recipe: Recipe, *, resume: bool = False, console: Console | None = None, imports: float | None = None
) -> dict[str, Any]:
    """Trains as a recipe says and returns what summary.json holds.

    Args:
        recipe: of the run.
        resume: go on with the run in its folder.
        console: where the run tells how it goes.
        imports: seconds that loading the libraries took, for the run's own account of its time.

    Raises:
        FileExistsError: if the run folder holds a run and `resume` is not asked for.
        FileNotFoundError: if there is no run to resume.
        ValueError: if the recipe cannot be used, is not the one that the resumed run was started with, or another
            process trains in the run folder.
        RunFaultError: if memory, disk or numbers that are not finite end the run; what was saved is whole.
        RunStopped: if SIGTERM or SIGINT ends it.
    """
    parts = Parts(imports)
    quiet_libraries()
    recipe = check_training(recipe)
    console = console or Terminal()
    with StopSignals() as signals, ExitStack() as owned:
        run_options(recipe).device  # noqa: B018 - makes the process group
        check_group(recipe.processes)
        if (line := group_line()) is not None:
            tell(console, line)
        by_owner(lambda: claim(recipe, resume, owned, console))
        return _train(recipe, resume, console, signals, parts)


def _train(recipe: Recipe, resume: bool, console: Console, signals: StopSignals, parts: Parts) -> dict[str, Any]:
    run = recipe.output_dir
    tests = {name: checked_rows(recipe, source, recipe.eval_limit) for name, source in recipe.test.items()}
    data = read_data(recipe)
    by_owner(lambda: same_start(run, recipe, data, tests, PartialState().num_processes))
    parts.end(DATA)
    model = recipe.model if recipe.first is None else warm_start(recipe, train_recipe, console)
    if recipe.first is not None:
        parts.end(FIRST_STAGE)
    trainer = build_trainer(dataclasses.replace(recipe, model=model), data, say=partial(tell, console))
    return conduct(recipe, trainer, tests, console, signals, trainer.train, resume=resume, parts=parts)


def quickstart(
    *,
    steps: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    console: Console | None = None,
    imports: float | None = None,
) -> dict[str, Any]:
    """The shipped quickstart recipe; without `out`, in the first free folder runs/quickstart, runs/quickstart-2, ..."""
    overrides = [f"seed={seed}"]
    if steps is not None:
        overrides.append(f"max_steps={steps}")
    overrides.append(f"output_dir={json.dumps(str(out or free_folder(Path('runs') / 'quickstart')))}")
    return train_recipe(load_recipe("quickstart", overrides), console=console, imports=imports)
