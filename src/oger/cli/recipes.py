"""`oger recipes`: the shipped recipes, listed or copied; every key of a recipe."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from oger.terminal.errors import UserError
from oger.terminal.plain import say

app = typer.Typer(help="List the shipped recipes, copy one to edit, or list every key.", invoke_without_command=True)


@app.callback()
def list_recipes(context: typer.Context) -> None:
    """List the shipped recipes, or copy one to edit."""
    if context.invoked_subcommand is not None:
        return
    from oger.recipes import load_recipe, recipe_names

    names = recipe_names()
    width = max(map(len, names))
    for name in names:
        say(f"{name:<{width}}  {load_recipe(name).description}")


@app.command("copy")
def copy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe.")],
    path: Annotated[Path | None, typer.Argument(metavar="[PATH]", help="File or folder; default: NAME.yaml.")] = None,
) -> None:
    """Copy a shipped recipe; an existing file is never overwritten."""
    from oger.recipes import recipe_text

    text = recipe_text(name)
    target = path or Path(f"{name}.yaml")
    if target.is_dir():
        target = target / f"{name}.yaml"
    if not target.parent.is_dir():
        raise UserError(f"the folder {target.parent} does not exist")
    try:
        with open(target, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UserError(f"{target} exists already; name another file") from error
    say(f"{target}: run it with  oger train {target}")


@app.command("keys")
def keys(
    word: Annotated[
        str, typer.Argument(metavar="[WORD]", help="Only keys with this word in their name or meaning.")
    ] = "",
) -> None:
    """List every key of a recipe with its type, its default and what it means."""
    from oger.recipes.option_names import may_be_told

    found = []
    if may_be_told(word):  # else nothing heavy is loaded
        from oger.training.run.keys import recipe_keys

        found = recipe_keys(word)
    if not found:
        raise UserError(f"no key has {word!r} in its name or meaning; oger recipes keys lists all")
    for key in found:
        say(f"{key.name}  ({key.kinds}; default: {key.shown_default}; {key.origin})")
        for line in textwrap.wrap(key.meaning, 96):
            say(f"    {line}")


@app.command("schema")
def schema() -> None:
    """Print a JSON schema of recipes, which editors check and complete YAML by."""
    from oger.training.run.keys import recipe_schema

    say(json.dumps(recipe_schema(), indent=1, ensure_ascii=False))
