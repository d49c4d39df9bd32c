"""Recipes: one YAML file describes one run."""

from oger.recipes.recipe import (
    Recipe,
    RecipeError,
    dump_recipe,
    load_recipe,
    make_recipe,
    recipe_names,
    recipe_text,
)

__all__ = [
    "Recipe",
    "RecipeError",
    "dump_recipe",
    "load_recipe",
    "make_recipe",
    "recipe_names",
    "recipe_text",
]
