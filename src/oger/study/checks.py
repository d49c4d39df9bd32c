"""What can be known about a cell's recipe before hours are spent on it."""

from __future__ import annotations

import warnings

from oger.recipes import Recipe
from oger.study.fields import StudyError
from oger.study.plan import Budget


def check_recipe(recipe: Recipe, budget: Budget, label: str) -> None:
    """Whether the options of a method fit together, and its budget can end it.

    Raises:
        StudyError: they do not, or it cannot; says what to set.
    """
    from oger.training.warm_start import first_recipe

    _check_stage(recipe, budget, label)
    if recipe.first is not None:
        _check_stage(first_recipe(recipe), budget, f"{label}, first stage", own_end="max_steps" in recipe.first)


def _check_stage(recipe: Recipe, budget: Budget, label: str, *, own_end: bool = False) -> None:
    from oger.training.build import run_options

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself will say them
        try:
            options = run_options(recipe)
        except ValueError as error:
            raise StudyError(f"{label}: {error}") from error
    if budget.unit == "steps":
        return
    schedule = str(getattr(options.lr_scheduler_type, "value", options.lr_scheduler_type))
    if not own_end and not schedule.startswith("constant"):
        raise StudyError(
            f"{label}: a budget of {budget.unit} ends at a step that is not known before, and the learning rate of "
            f"lr_scheduler_type {schedule} depends on it: set lr_scheduler_type: constant, or a budget of steps"
        )
    if budget.unit == "generated_tokens" and not options.generates and not own_end:
        where = "set max_steps in `first`" if label.endswith("first stage") else "give it a budget of its own in steps"
        raise StudyError(f"{label} generates nothing, so a budget of generated_tokens would never end it: {where}")
