"""`oger preview`: one real rollout group before any training."""

from __future__ import annotations

from oger.cli.options import OverridesArgument, RecipeArgument, look_at_files, read_recipe


def preview(recipe: RecipeArgument, overrides: OverridesArgument = None) -> None:
    """Show one group of a recipe: origin, outcome, divergence, entropy, reward and advantage of each row."""
    loaded = read_recipe(recipe, overrides)
    look_at_files(loaded)
    from oger.training.run.preview import preview_recipe

    preview_recipe(loaded)
