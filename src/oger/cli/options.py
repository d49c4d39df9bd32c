"""Arguments and options that several commands share."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from oger.io.secrets import find_secrets
from oger.terminal.errors import UserError

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped one.")]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Values that replace those of the recipe.")
]
TargetArgument = Annotated[
    str, typer.Argument(metavar="RUN_OR_MODEL", help="A run folder, a model folder, a hub id, or world:NAME.")
]
CheckpointOption = Annotated[
    str, typer.Option("--checkpoint", metavar="last|best|N", help="Which policy of a run; N is a step.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
BodyOption = Annotated[
    str, typer.Option("--body", metavar="JSON", help="More fields of every request; null leaves one out.")
]


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
