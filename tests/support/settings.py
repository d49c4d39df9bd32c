"""A setting of a recipe on some GPUs, as `oger plan` makes it."""

from __future__ import annotations

from oger.planning.devices import parse_gpus
from oger.planning.from_recipe import make_setting
from oger.planning.setting import Assumptions, Setting
from oger.recipes import load_recipe


def setting_of(
    recipe: str, *overrides: str, gpus: str = "1x80", assumptions: Assumptions | None = None, **more
) -> Setting:
    number, device = parse_gpus(gpus)
    return make_setting(
        load_recipe(recipe, overrides), number, device, assumptions=assumptions or Assumptions(), **more
    )
