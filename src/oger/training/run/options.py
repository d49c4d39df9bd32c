"""The keys of a recipe that are fields of `OGERConfig`: which there are, and whether a value fits one."""

from __future__ import annotations

import dataclasses
import types
import typing
from types import SimpleNamespace
from typing import Any

from oger.recipes.option_names import check_names
from oger.recipes.recipe import MANAGED, Recipe, RecipeError
from oger.runs.alarms import AlarmWatch
from oger.training.config import OGERConfig
from oger.training.ranges import RANGES, check_ranges


def check_training(recipe: Recipe) -> Recipe:
    """The recipe with whole numbers where `OGERConfig` needs them.

    Raises:
        RecipeError: an unknown key, a value of another type, or a run that could learn nothing.
        ValueError: an unknown alarm, or a number out of range.
    """
    AlarmWatch(recipe.alarms)
    known = training_fields()
    check_names(recipe.training, known)
    training = {key: _check_type(key, value, known[key]) for key, value in recipe.training.items()}
    for key, value in training.items():
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise RecipeError(f"{key}={value:g} is too large: a whole number has at most 64 bits")
    if training.get("learning_rate") == 0:
        raise RecipeError("learning_rate=0 trains nothing: set one above 0")
    check_ranges(SimpleNamespace(**{**dict.fromkeys((*RANGES, "reward_weights")), **training}))
    return dataclasses.replace(recipe, training=training)


def training_fields() -> dict[str, Any]:
    """Name -> type of every field of OGERConfig."""
    hints = typing.get_type_hints(OGERConfig)
    fields = [f for f in dataclasses.fields(OGERConfig) if f.init]
    return {f.name: hints[f.name] | None if f.default is None else hints[f.name] for f in fields}


def training_keys() -> list[str]:
    """Every key that a recipe may set beyond `OWN_KEYS`."""
    return [key for key in training_fields() if key not in MANAGED]


_LARGEST = 2**63 - 1
_TYPE_NAMES: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", type(None): "null"}


def _check_type(key: str, value: Any, hint: Any) -> Any:
    """`value`, where its type fits a field of numbers or truth values; other fields are left to OGERConfig."""
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if any(kind not in _TYPE_NAMES for kind in kinds) or type(value) in kinds:
        return value
    if float in kinds and type(value) is int:
        return value
    if int in kinds and isinstance(value, float) and value.is_integer():
        return int(value)  # max_steps: 1e3
    names = " or ".join(_TYPE_NAMES[kind] for kind in kinds)
    raise RecipeError(f"{key} must be {names}, got {value!r}")
