"""`oger recipes`: listing and copying."""

import pytest

from oger.recipes import load_recipe, recipe_names, recipe_text


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
