"""Arguments and options that several commands share."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oger.io.secrets import find_secrets
from oger.io.whole import check_place
from oger.terminal.errors import UserError

if TYPE_CHECKING:
    from oger.recipes import Recipe

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped one.")]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Values that replace those of the recipe.")
]
TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN_OR_MODEL", help="A run folder (also RUN@best, RUN@STEP), a model folder, a hub id, or world:NAME."
    ),
]
CheckpointOption = Annotated[
    str, typer.Option("--checkpoint", metavar="last|best|N", help="Which policy of a run; N is a step.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
BodyOption = Annotated[
    str, typer.Option("--body", metavar="JSON", help="More fields of every request; null leaves one out.")
]


def finite(value: float | None) -> float | None:
    """Callback of an option that is a number: nan and infinity are none."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def can_be_written(path: Path | None) -> Path | None:
    """Callback of an option that names what is to be made: said before the work, not after it."""
    if path is None:
        return None
    parent = Path(os.path.abspath(path)).parent
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    if not parent.is_dir():
        raise typer.BadParameter(f"{path} cannot be made: {parent} is no folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise typer.BadParameter(f"{path} cannot be made: {parent} may not be written into")
    try:
        check_place(path, makes_folders=True)
    except OSError as error:  # by the place that was named, not by what is written beside it
        raise typer.BadParameter(f"{path} cannot be made: {error.strerror or error}") from error
    return path


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def parsed_body(text: str) -> dict[str, Any]:
    """--body as a mapping.

    Raises:
        UserError: no JSON object, or a secret in it, which would be saved.
    """
    try:
        body = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise UserError(f"--body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise UserError('--body must be a JSON object, such as {"top_k": 20}')
    if found := next(find_secrets(body), None):
        raise UserError(f"--body has {found}, which looks like a secret and would be saved: use --api-key-env")
    return body


def read_recipe(recipe: str, overrides: list[str] | None) -> Recipe:
    """A recipe whose keys all exist, before anything heavy is loaded; their values are checked later.

    Raises:
        RecipeError: it cannot be used.
    """
    from oger.recipes import load_recipe
    from oger.recipes.option_names import check_option_names

    loaded = load_recipe(recipe, overrides or [])
    check_option_names(loaded)
    return loaded


def look_at_model(recipe: Recipe) -> None:
    """Whether a recipe's model is there, where it is written as a path, before anything heavy is loaded.

    Raises:
        FileNotFoundError: no such folder.
        UserError: a run without that policy.
    """
    from oger.io.rows import WORLD_PREFIX
    from oger.runs.policy import model_source

    if not recipe.model.startswith(WORLD_PREFIX):  # which may have to make its policy first
        model_source(recipe.model)


def look_at_files(recipe: Recipe) -> None:
    """`look_at_model`, and the first row of each data set of a recipe that is a local file.

    Raises:
        FileNotFoundError, ValueError: no such model, or a data set that cannot be read, or has no prompt.
    """
    from oger.io.answers import readable_rows
    from oger.io.local import looks_local
    from oger.io.rows import FILE_FORMATS, load_rows

    look_at_model(recipe)

    for source in (recipe.train, *filter(None, [recipe.validation]), *recipe.test.values()):
        if looks_local(source) or source.endswith(FILE_FORMATS):
            readable_rows(load_rows(source, 1), ["prompt"], source)
