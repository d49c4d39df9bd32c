"""A misspelt key is said before the libraries are loaded, by the names that the options really have."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from oger.recipes.option_names import UnknownSourceError, _fields, check_option_names, may_be_told, option_names
from oger.recipes.recipe import load_recipe
from oger.training.config import OGERConfig
from oger.training.run.keys import recipe_keys

HEAVY = ("torch", "transformers", "trl", "datasets", "peft", "accelerate")
_RUN = f"""
import sys
from oger.cli.main import main
try:
    main()
finally:
    print([name for name in {HEAVY} if name in sys.modules])
"""


def test_the_names_are_those_of_the_class() -> None:
    assert option_names() == {field.name for field in dataclasses.fields(OGERConfig) if field.init}


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "smoke", "learning_ratee=1"),
        ("preview", "smoke", "learning_ratee=1"),
        ("plan", "smoke", "learning_ratee=1"),
        ("doctor", "--data", "smoke", "learning_ratee=1"),
        ("train", "smoke", "first={max_steps: 3, learning_ratee: 1}"),
    ],
)
def test_a_misspelt_key_is_said_without_loading_a_library(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _RUN, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    said = "error: unknown key 'learning_ratee'; did you mean 'learning_rate'? (oger recipes keys lists them)\n"
    assert (done.stderr, done.stdout) == (said, "[]\n")
    assert not list(tmp_path.iterdir())


def test_a_word_that_no_key_has_is_said_without_loading_a_library(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _RUN, "recipes", "keys", "zzz"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    said = "error: no key has 'zzz' in its name or meaning; oger recipes keys lists all\n"
    assert (done.returncode, done.stderr, done.stdout) == (2, said, "[]\n")


def test_every_word_of_every_key_is_found_in_the_sources() -> None:
    words = {word for key in recipe_keys() for word in (key.name, key.meaning, *key.meaning.split())}
    assert [word for word in words if not may_be_told(word)] == []


def test_every_shipped_recipe_passes() -> None:
    for name in ("smoke", "quickstart"):
        check_option_names(load_recipe(name))


def test_fields_are_followed_through_bases_and_lazy_packages_without_importing_them(
    tmp_path: Path, monkeypatch
) -> None:
    package = tmp_path / "packaged"
    package.mkdir()
    (package / "__init__.py").write_text("if False:\n    from .inside import Mine\n    from .inside import Lost\n")
    (package / "inside.py").write_text(
        "from .above import Above as Base\n"
        "from package_of_nobody import Nobody\n"
        "class Mine(Base):\n    second: int = 2\n    left_out: int = field(init=False)\n"
        "class Lost(Nobody):\n    third: int = 3\n"
    )
    (package / "above.py").write_text(
        "class Above:\n    first: int\n    left_out: int = 1\n    shared: ClassVar[int] = 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert set(_fields("packaged", "Mine")) == {"first", "second"}
    with pytest.raises(UnknownSourceError, match="package_of_nobody"):
        _fields("packaged", "Lost")
    assert "packaged" not in sys.modules
