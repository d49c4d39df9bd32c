"""`oger preview`: one real rollout group before any training."""

from __future__ import annotations

from oger.cli.options import OverridesArgument, RecipeArgument


def preview(recipe: RecipeArgument, overrides: OverridesArgument = None) -> None:
    """Show one group of a recipe: origin, outcome, divergence, entropy, reward and advantage of each row."""
    from oger.recipes import load_recipe

    loaded = load_recipe(recipe, overrides or [])
    from oger.training.run.preview import preview_recipe

    preview_recipe(loaded)
