"""What a run folder may be used for: a new run, or the one whose recipe stands in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oger.io.whole import is_leftover, remove_leftovers
from oger.recipes.paths import absolute_paths
from oger.recipes.recipe import Recipe, load_recipe, make_recipe
from oger.runs import paths
from oger.training.loop.checkpoint import STAGING
from oger.training.run.build import run_options
from oger.training.run.options import check_training
from oger.training.run.start import started_recipe

_MAY_CHANGE = (
    "description",
    "profile",
    "logging_dir",
    "length_chunks",
    "gradient_checkpointing",
    "gradient_checkpointing_kwargs",
)
"""Options that a resumed run may have otherwise: they say how a step is computed, not what it is."""

_MADE_AT_THE_START = (paths.CONFIG, paths.ENVIRONMENT, paths.ENCODER, paths.DATA, paths.STARTED)
"""In the order in which they are removed: `STARTED`, by which they are known as ours, last."""


def check_folder(run: Path, recipe: Recipe, *, resume: bool) -> None:
    """Whether a run may begin in a folder, or be resumed there.

    Raises:
        FileExistsError: it holds something, or the run to resume has finished.
        FileNotFoundError: there is no run to resume.
        ValueError: the run to resume was started with another recipe.
    """
    if resume:
        if not (run / paths.CONFIG).is_file():
            raise FileNotFoundError(f"{run} holds no run to resume (no {paths.CONFIG}): start it without --resume.")
        if (run / paths.SUMMARY).is_file():
            raise FileExistsError(f"the run in {run} has finished ({paths.SUMMARY} is there): nothing to resume.")
        kept = as_saved(load_recipe(run / paths.CONFIG))
        known = started_recipe(run)
        started = kept if known is None else as_saved(known)
        if changed := _differences(started, kept):
            raise ValueError(
                f"{', '.join(changed)}: changed in {run / paths.CONFIG} since the run was started: put it back as "
                f"{paths.STARTED} has it, or start a new run with another output_dir."
            )
        if changed := _differences(started, as_saved(recipe)):
            raise ValueError(
                f"{', '.join(changed)}: not as in {run / paths.CONFIG}; resume with the recipe that the run was "
                "started with."
            )
    elif run.exists() and not (run.is_dir() and _holds_no_step(run)):
        raise FileExistsError(
            f"{run} is not empty: set another output_dir, or continue the run in it with oger train --resume."
        )


def as_saved(recipe: Recipe) -> Recipe:
    """The recipe with its paths from the root, so that the run's folder can be used from anywhere."""
    return check_training(make_recipe(absolute_paths(recipe.document), name=recipe.name))


def _differences(started: Recipe, asked: Recipe) -> list[str]:
    """Keys whose resolved values differ between the recipe that a run was started with and the one asked for."""
    own = [key for key, value in started.own.items() if asked.own[key] != value and key not in _MAY_CHANGE]
    options = [run_options(recipe).to_dict() for recipe in (started, asked)]
    return own + [key for key, value in options[0].items() if options[1][key] != value and key not in _MAY_CHANGE]


def tidy(run: Path) -> None:
    """Removes what is half written in a run folder; nothing else. The lock must be held."""
    for folder in (run, *(run / name for name in paths.WRITTEN_INTO)):
        remove_leftovers(folder)
        shutil.rmtree(folder / STAGING, ignore_errors=True)


def clear(run: Path) -> None:
    """Removes what an earlier start left half written, and all of one that ended before its first step; nothing else.
    The lock must be held."""
    tidy(run)
    if _holds_no_step(run):
        shutil.rmtree(run / paths.CHECKPOINTS, ignore_errors=True)
        shutil.rmtree(run / paths.SENT_IN, ignore_errors=True)
        for name in _MADE_AT_THE_START:
            (run / name).unlink(missing_ok=True)


def _holds_no_step(run: Path) -> bool:
    """Whether a folder holds nothing, or only what a run makes before its first step; `STARTED` tells that from files
    of the user's own of such names."""
    names = {path.name for path in run.iterdir() if path.name != paths.LOCK and not is_leftover(path)}
    if paths.CHECKPOINTS in names and {path.name for path in (run / paths.CHECKPOINTS).iterdir()} <= {STAGING}:
        names.remove(paths.CHECKPOINTS)
    return not names or (paths.STARTED in names and names <= {*_MADE_AT_THE_START, paths.SENT_IN})


@contextmanager
def no_trace_of_failure(run: Path) -> Iterator[None]:
    """Empties the folder of a new run that fails before its first step, so that the corrected recipe can use it."""
    try:
        yield
    except Exception:
        clear(run)
        raise


def free_folder(folder: Path) -> Path:
    """`folder`, or the first of FOLDER-2, FOLDER-3, ... that is not there."""
    candidate, number = folder, 2
    while candidate.exists():
        candidate, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return candidate
