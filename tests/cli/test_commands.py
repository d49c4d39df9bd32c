"""train, preview and quickstart hand over to the runner."""

import sys
import types
from pathlib import Path

import pytest


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """A runner that notes its calls."""
    calls: list[tuple] = []
    for module_name, names in (("train", ("train_recipe", "quickstart")), ("preview", ("preview_recipe",))):
        module = types.ModuleType(f"oger.training.run.{module_name}")
        for name in names:
            setattr(module, name, lambda *a, _name=name, **k: calls.append((_name, a, k)))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


def test_train_hands_over_the_recipe_with_its_overrides(oger, runner) -> None:
    assert oger("train", "smoke", "learning_rate=1e-5", "--resume", "max_steps=7").code == 0
    [(name, (recipe,), options)] = runner
    assert options.pop("imports") >= 0
    assert (name, recipe.name, options) == ("train_recipe", "smoke", {"resume": True})
    assert (recipe.training["learning_rate"], recipe.training["max_steps"]) == (1e-5, 7)


def test_preview_hands_over_the_recipe(oger, runner) -> None:
    assert oger("preview", "smoke", "seed=3").code == 0
    [(name, (recipe,), options)] = runner
    assert (name, recipe.training["seed"], options) == ("preview_recipe", 3, {})


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {"steps": None, "seed": 0, "out": None}),
        (["--steps", "5", "--seed", "2", "--out", "x/y"], {"steps": 5, "seed": 2, "out": Path("x/y")}),
    ],
)
def test_quickstart_hands_over_its_options(oger, runner, arguments: list[str], options: dict) -> None:
    assert oger("quickstart", *arguments).code == 0
    [(name, nothing, handed)] = runner
    assert handed.pop("imports") >= 0
    assert (name, nothing, handed) == ("quickstart", (), options)
