"""What can be known about a cell's recipe before hours are spent on it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from oger.recipes import Recipe, load_recipe
from oger.study.fields import StudyError
from oger.study.plan import Budget


def load_cell_recipe(path_or_name: str, overrides: Iterable[str]) -> Recipe:
    """A recipe of a study with every key checked, those of the training included."""
    from oger.training.run.options import check_training

    return check_training(load_recipe(path_or_name, overrides))


def check_recipe(recipe: Recipe, budget: Budget, label: str) -> None:
    """Whether the options of a method fit together, and its budget can end it.

    Raises:
        StudyError: they do not, or it cannot; says what to set.
    """
    from oger.training.run.warm_start import first_recipe

    _check_stage(recipe, budget, label)
    if recipe.first is None:
        return
    if budget.unit != "steps" and "max_steps" not in recipe.first:
        raise StudyError(
            f"{label}: its first stage would spend the whole budget of {budget.unit}, or never end: set max_steps in "
            "`first`"
        )
    _check_stage(first_recipe(recipe), budget, f"{label}, first stage", is_first=True)


def _check_stage(recipe: Recipe, budget: Budget, label: str, *, is_first: bool = False) -> None:
    from oger.training.run.build import run_options

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself will say them
        try:
            options = run_options(recipe)
        except ValueError as error:
            raise StudyError(f"{label}: {error}") from error
    if budget.unit == "steps" or is_first:  # a first stage has max_steps of its own
        return
    schedules = {
        "lr_scheduler_type": str(getattr(options.lr_scheduler_type, "value", options.lr_scheduler_type)),
        "exploration_schedule": options.exploration_schedule,
        "imitation_schedule": options.imitation_schedule,
    }
    for key, schedule in schedules.items():
        if not schedule.startswith("constant"):
            raise StudyError(
                f"{label}: a budget of {budget.unit} ends at a step that is not known before, and {key} {schedule} "
                f"depends on it: set {key}: constant, or a budget of steps"
            )
    if budget.unit == "generated_tokens" and not options.generates:
        raise StudyError(
            f"{label} generates nothing, so a budget of generated_tokens would never end it: give it a budget of its "
            "own in steps"
        )
