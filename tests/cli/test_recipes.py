"""`oger recipes`: listing and copying."""

import json

import pytest

from oger.io import yaml as yaml_dialect
from oger.recipes import load_recipe, recipe_names, recipe_text
from oger.recipes.recipe import MANAGED, OWN_KEYS
from oger.training.run.keys import recipe_keys, recipe_schema
from oger.training.run.options import training_keys


def test_every_shipped_recipe_is_listed_with_its_description(oger) -> None:
    lines = oger("recipes").out.splitlines()
    assert len(lines) == len(recipe_names())
    for name, line in zip(recipe_names(), lines, strict=True):
        assert line.startswith(name)
        assert load_recipe(name).description in line


@pytest.mark.parametrize(("path", "file"), [([], "smoke.yaml"), (["mine.yaml"], "mine.yaml"), (["."], "smoke.yaml")])
def test_a_recipe_is_copied_as_it_stands(oger, tmp_path, monkeypatch, path: list[str], file: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert oger("recipes", "copy", "smoke", *path).code == 0
    assert (tmp_path / file).read_text() == recipe_text("smoke")


def test_nothing_is_overwritten(oger, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smoke.yaml").write_text("mine")
    result = oger("recipes", "copy", "smoke")
    assert result.code == 2
    assert "smoke.yaml exists already" in result.err
    assert (tmp_path / "smoke.yaml").read_text() == "mine"


def test_a_missing_folder_is_named(oger, tmp_path) -> None:
    result = oger("recipes", "copy", "smoke", tmp_path / "no" / "x.yaml")
    assert result.code == 2
    assert "does not exist" in result.err


def test_every_key_is_listed_with_type_default_and_meaning(oger) -> None:
    keys = recipe_keys()
    assert {key.name for key in keys} == {*OWN_KEYS, *training_keys()}
    assert not [key.name for key in keys if not key.meaning or key.name in MANAGED]
    by_name = {key.name: key for key in keys}
    assert (by_name["model"].kinds, by_name["model"].shown_default) == ("text", "must be set")
    assert (by_name["teacher_rows"].kinds, by_name["teacher_rows"].origin) == ("whole number or null", "OGER")
    assert by_name["validation"].kinds == "text or null"
    assert by_name["learning_rate"].origin == "transformers"
    shown = oger("recipes", "keys", "exploration_weight").out
    assert shown.splitlines()[0].startswith("exploration_weight  (number")
    nothing = oger("recipes", "keys", "zzzz")
    assert nothing.code == 2
    assert "no key has 'zzzz'" in nothing.err


def fits(value: object, schema: dict) -> bool:
    """As much of JSON schema as ours uses."""
    if "anyOf" in schema:
        return any(fits(value, part) for part in schema["anyOf"])
    kinds = {"string": str, "integer": int, "boolean": bool, "null": type(None), "array": list, "object": dict}
    kind = schema.get("type")
    if kind is None:
        return True
    if kind in ("integer", "number") and isinstance(value, bool):
        return False
    if not isinstance(value, (int, float) if kind == "number" else kinds[kind]):
        return False
    return kind != "array" or all(fits(item, schema.get("items", {})) for item in value)


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_fits_the_schema(name: str) -> None:
    schema = recipe_schema()
    document = yaml_dialect.load(recipe_text(name))
    assert set(schema["required"]) <= set(document)
    for key, value in document.items():
        assert fits(value, schema["properties"][key]), key


def test_the_schema_is_json(oger) -> None:
    schema = json.loads(oger("recipes", "schema").out)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["max_steps"]["description"]
    assert "sft_one" in schema["properties"]["method"]["examples"]
