"""Recipes: what is read, what is refused and in which words."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from oger.recipes import RecipeError, dump_recipe, load_recipe, recipe_names, recipe_text
from oger.verification import accuracy_with

MINIMAL = "model: world:arithmetic\ntrain: world:arithmetic/train\n"


@pytest.fixture
def load(tmp_path: Path):
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


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("save_total_limit: 3", "save_total_limit cannot be set in a recipe: use keep_last"),
        ("hub_token: abc", "HF_TOKEN"),
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
        ("verify_timeout: 0", "verify_timeout must be a number of seconds above 0, got 0"),
        ("answer_rules: [boxed]", "unknown answer rule 'boxed'; did you mean 'last_boxed'"),
        ("answer_rules: {}", "answer_rules must be a list of answer rules, got {}"),
        ("kinds: grader.py:grade", "kinds must be a list of package.module:function, got 'grader.py:grade'"),
        ("teachers: 0", "teachers must be a list of teachers' names or how many of them, got 0"),
        ("teachers: []", "teachers must be a list of teachers' names or how many of them, got []"),
        ("first: {}", "first must map recipe keys to values, as in {method: sft, max_steps: 60}; got {}"),
        ("first_above: 1", "first_above must be a share of at least 0 and below 1, got 1"),
        ("first_above: 0.5", "first_above has no effect without a first stage"),
        ("alarms: [truncated]", "alarms must map alarms to thresholds, as in {truncated: 0.5}; got ['truncated']"),
        ("method: grop", "unknown method 'grop'; did you mean 'grpo'"),
        ("method: 3", "method must be a text, got 3"),
        ("profile: 1", "profile must be true or false, got 1"),
        ("rollouts_every: -1", "rollouts_every must be a whole number of at least 0, got -1"),
        ("description: 3", "description must be a text, got 3"),
        ("train: x", "line 3, column 1: the key 'train' is given twice"),
        ("a: [", "mine.yaml: line"),
    ],
)
def test_a_wrong_line_is_refused_in_one_line_that_names_it(load, lines: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load(MINIMAL + lines + "\n")
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


def test_training_keys_pass_as_they_are(load) -> None:
    loaded = load(MINIMAL + "from_a_later_version: 1\n")
    assert loaded.training == {"from_a_later_version": 1, "output_dir": "runs/mine"}


def test_recipes_are_read_without_torch() -> None:
    code = (
        "import sys; from oger.recipes import load_recipe; load_recipe('quickstart');"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_shipped_recipe_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match="did you mean 'quickstart'"):
        recipe_text("quickstrat")


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_have_a_description_and_comments(name: str) -> None:
    assert load_recipe(name).description
    assert recipe_text(name).startswith("# ")


LANGUAGE_MODELS = [name for name in recipe_names() if name not in ("arithmetic", "quickstart", "smoke")]
"""The others train a world's own small policy, which does not think aloud."""


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_a_recipe_for_a_language_model_reads_the_answer_behind_the_thoughts_if_there_are_any(name: str) -> None:
    texts = [
        "<think>\n3 x 4 = \\boxed{12}?\n</think>\nIt is \\boxed{13}.",
        "<think>\n3 x 4 = \\boxed{13}?\n</think>\nIt is \\boxed{12}.",
        "I add up: \\boxed{13}",
        "<think>\nit is \\boxed{13}\n</think>\nSo it is.",
        "thoughts that the template opened: \\boxed{12}\n</think>\n\\boxed{13}",
    ]
    reward = accuracy_with(load_recipe(name).answer_rules)
    assert reward(prompts=texts, completions=texts, answer=["13"] * len(texts)) == [1.0, 0.0, 1.0, 0.0, 1.0]
