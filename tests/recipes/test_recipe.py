"""Recipes: what is read, what is refused and in which words."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oger.recipes import RecipeError, dump_recipe, load_recipe, recipe, recipe_names, recipe_text, training_keys

MINIMAL = "model: world:arithmetic\ntrain: world:arithmetic/train\n"
FIELDS = {
    "output_dir": str | None,
    "learning_rate": float,
    "max_steps": int,
    "bf16": bool | None,
    "exploration_weight": float,
    "loss_type": str,
    "clip": Any,
    "save_total_limit": int,
}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recipe, "training_fields", lambda: FIELDS)

    def load_text(text: str, *overrides: str, name: str = "mine.yaml"):
        (tmp_path / name).write_text(text)
        return load_recipe(tmp_path / name, overrides)

    return load_text


def test_own_keys_become_fields_and_the_rest_goes_to_training(load) -> None:
    loaded = load(MINIMAL + "rewards: [accuracy, my.module:shaping]\nlearning_rate: 1e-4\nkeep_last: 3\n")
    assert (loaded.name, loaded.model, loaded.train) == ("mine", "world:arithmetic", "world:arithmetic/train")
    assert loaded.rewards == ("accuracy", "my.module:shaping")
    assert loaded.keep_last == 3
    assert loaded.training == {"learning_rate": 1e-4, "output_dir": "runs/mine"}
    assert loaded.output_dir == Path("runs/mine")


def test_defaults_of_a_minimal_recipe(load) -> None:
    loaded = load(MINIMAL)
    assert loaded.rewards == ("accuracy",)
    assert (loaded.validation, loaded.peft, loaded.test, loaded.eval_limit) == (None, None, {}, None)
    assert loaded.own["eval_samples"] == 8


def test_overrides_win_and_read_as_yaml(load) -> None:
    loaded = load(
        MINIMAL + "learning_rate: 1\n",
        *("learning_rate=3e-5", "eval_limit=7", "test={id: a.jsonl}"),
        *("output_dir=runs/x=y", "bf16=", "learning_rate=2e-5"),
    )
    assert loaded.training == {"learning_rate": 2e-5, "output_dir": "runs/x=y", "bf16": None}
    assert (loaded.eval_limit, loaded.test) == (7, {"id": "a.jsonl"})


def test_a_whole_number_may_be_written_as_a_float_where_one_is_needed(load) -> None:
    loaded = load(MINIMAL + "max_steps: 1e3\nlearning_rate: 1\n")
    assert loaded.training["max_steps"] == 1000
    assert isinstance(loaded.training["max_steps"], int)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("learning_rat: 1", "unknown key 'learning_rat'; did you mean 'learning_rate'"),
        ("exploration-weight: 1", "did you mean 'exploration_weight'"),
        ("modle: x", "unknown key 'modle'; did you mean 'model'"),
        ("zzz: 1", "unknown key 'zzz'; did you mean"),
        ("1: 2", "unknown key '1'"),
        ("save_total_limit: 3", "save_total_limit cannot be set in a recipe: use keep_last"),
        ("hub_token: abc", "HF_TOKEN"),
        ("learning_rate: fast", "learning_rate must be a number, got 'fast'"),
        ("max_steps: 1.5", "max_steps must be a whole number, got 1.5"),
        ("max_steps: true", "max_steps must be a whole number, got True"),
        ("bf16: 1", "bf16 must be true or false or null, got 1"),
        ("keep_last: 0", "keep_last must be a whole number of at least 1, got 0"),
        ("eval_samples: many", "eval_samples must be a whole number"),
        ("eval_temperature: -1", "eval_temperature must be a number of at least 0"),
        ("eval_temperature: .nan", "eval_temperature must be a number"),
        ("rewards: []", "rewards must be a list"),
        ("rewards: [1]", "rewards must be a text"),
        ("test: a.jsonl", "test must map names to sources"),
        ("test: {id: 3}", "test.id must be a text"),
        ("peft: lora", "peft must map arguments of LoraConfig"),
        ("validation: 3", "validation must be a text"),
        ("train: x", "line 3, column 1: the key 'train' is given twice"),
        ("a: [", "mine.yaml: line"),
    ],
)
def test_a_wrong_line_is_refused_in_one_line_that_names_it(load, lines: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(MINIMAL + lines + "\n")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text"])
def test_what_is_no_mapping_is_refused(load, text: str) -> None:
    with pytest.raises(RecipeError, match="not a recipe"):
        load(text)


@pytest.mark.parametrize(("text", "missing"), [("model: x", "lacks train"), ("{}", "lacks model and train")])
def test_a_recipe_needs_a_model_and_training_rows(load, text: str, missing: str) -> None:
    with pytest.raises(RecipeError, match=missing):
        load(text)


@pytest.mark.parametrize("override", ["learning_rate", "=3", "learning_rate=[1"])
def test_a_broken_override_is_refused(load, override: str) -> None:
    with pytest.raises(RecipeError, match=r"key=value|not YAML"):
        load(MINIMAL, override)


def test_a_missing_file_lists_the_shipped_recipes(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"does not exist; shipped recipes: .*quickstart"):
        load_recipe("no_such_recipe")
    with pytest.raises(RecipeError, match="is a folder"):
        load_recipe(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not a text file"):
        load_recipe(tmp_path / "x.yaml")


def test_a_dumped_recipe_is_read_back_the_same(load, tmp_path: Path) -> None:
    loaded = load(MINIMAL + "learning_rate: 1e-6\npeft: {r: 8, target_modules: [q_proj]}\ntest: {id: a.jsonl}\n")
    dump_recipe(loaded, tmp_path / "mine.yaml")
    assert load_recipe(tmp_path / "mine.yaml") == loaded


def test_without_the_training_check_any_training_key_passes(load, tmp_path: Path) -> None:
    load(MINIMAL)
    (tmp_path / "mine.yaml").write_text(MINIMAL + "from_a_later_version: 1\n")
    loaded = load_recipe(tmp_path / "mine.yaml", check_training=False)
    assert loaded.training["from_a_later_version"] == 1


def test_recipes_are_read_without_torch() -> None:
    code = (
        "import sys; from oger.recipes import load_recipe; load_recipe('quickstart', check_training=False);"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_shipped_recipe_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match="did you mean 'quickstart'"):
        recipe_text("quickstrat")


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_have_a_description_and_comments(name: str) -> None:
    assert load_recipe(name, check_training=False).description
    assert recipe_text(name).startswith("# ")


@pytest.mark.parametrize("name", recipe_names())
def test_every_key_of_a_shipped_recipe_is_known_to_the_trainer(name: str) -> None:
    loaded = load_recipe(name)
    assert set(loaded.training) <= set(training_keys())
