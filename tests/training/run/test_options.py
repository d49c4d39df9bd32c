"""Keys of a recipe that are the trainer's: unknown ones and wrong types are refused before anything is loaded."""

from __future__ import annotations

import re
from typing import Any

import pytest

from oger.recipes import Recipe, RecipeError, load_recipe, recipe_names
from oger.recipes.recipe import make_recipe
from oger.training.run.options import check_training, training_keys
from oger.training.run.preview import preview_recipe
from oger.training.run.train import train_recipe


def recipe(**keys: Any) -> Recipe:
    return make_recipe({"model": "world:arithmetic", "train": "world:arithmetic/train", **keys}, name="mine")


def test_a_whole_number_may_be_written_as_a_float_where_one_is_needed() -> None:
    checked = check_training(recipe(max_steps=1e3, learning_rate=1))
    assert checked.training["max_steps"] == 1000
    assert isinstance(checked.training["max_steps"], int)
    assert checked.training["learning_rate"] == 1


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"learning_rat": 1}, "unknown key 'learning_rat'; did you mean 'learning_rate'"),
        ({"exploration-weight": 1}, "did you mean 'exploration_weight'"),
        ({"modle": "x"}, "unknown key 'modle'; did you mean 'model'"),
        ({"zzz": 1}, "unknown key 'zzz' (oger recipes keys lists them)"),
        ({1: 2}, "unknown key '1'"),
        ({"learning_rate": "fast"}, "learning_rate must be a number, got 'fast'"),
        ({"max_steps": 1.5}, "max_steps must be a whole number, got 1.5"),
        ({"max_steps": True}, "max_steps must be a whole number, got True"),
        ({"bf16": 1}, "bf16 must be true or false or null, got 1"),
        ({"alarms": {"truncatd": 0.5}}, "unknown alarm 'truncatd'; did you mean 'truncated'"),
        ({"alarms": {"truncated": "x"}}, "alarms: the threshold of truncated must be a number or null, got 'x'"),
    ],
)
def test_what_the_trainer_does_not_know_is_refused_in_one_line_that_names_it(
    keys: dict[Any, Any], message: str
) -> None:
    document = {"model": "world:arithmetic", "train": "world:arithmetic/train", **keys}
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        check_training(make_recipe(document, name="mine"))
    assert "\n" not in str(caught.value)


def test_a_run_and_a_preview_refuse_an_unknown_key_before_they_read_anything() -> None:
    wrong = recipe(model="/no/such/folder", train="/no/such/rows.jsonl", learning_rat=1)
    for start in (train_recipe, preview_recipe):
        with pytest.raises(RecipeError, match="did you mean 'learning_rate'"):
            start(wrong)


@pytest.mark.parametrize("name", recipe_names())
def test_every_key_of_a_shipped_recipe_is_known_to_the_trainer(name: str) -> None:
    loaded = load_recipe(name)
    assert set(loaded.training) <= set(training_keys())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"max_steps": 0}, "max_steps=0 must be at least 1, or -1."),
        ({"max_steps": -5}, "max_steps=-5 must be at least 1, or -1."),
        ({"num_train_epochs": 0.0}, "num_train_epochs=0.0 must be above 0."),
        ({"learning_rate": 0}, "learning_rate=0 trains nothing"),
        ({"learning_rate": -1e-4}, "learning_rate=-0.0001 must be at least 0 and at most 1."),
        ({"learning_rate": float("nan")}, "learning_rate=nan must be"),
        ({"learning_rate": float("inf")}, "learning_rate=inf must be"),
        ({"learning_rate": 30}, "learning_rate=30 must be"),
        ({"max_steps": 1e30}, "max_steps=1e+30 is too large"),
        ({"neftune_noise_alpha": float("nan")}, "neftune_noise_alpha=nan must be"),
        ({"reward_weights": [0]}, "reward_weights=[0] must not all be 0"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1 must be at least 0."),
        ({"exploration_weight": float("inf")}, "exploration_weight=inf must be at least 0."),
        ({"imitation_weight": float("nan")}, "imitation_weight=nan must be"),
        ({"entropy_coef": float("nan")}, "entropy_coef=nan must be a finite number."),
        ({"reward_weights": [float("nan")]}, "reward_weights=[nan] must be a list of finite numbers."),
        *(
            ({"reward_weights": wrong}, f"reward_weights={wrong!r} must be a list of finite numbers.")
            for wrong in (False, 0, "1", {}, [None], ["1"], [[1]], [{}], [10**400], [1, float("inf")])
        ),
        ({"temperature": 0.0}, "temperature=0.0 must be above 0."),
        ({"top_p": 1.5}, "top_p=1.5 must be above 0 and at most 1."),
        ({"adam_beta2": 1.0}, "adam_beta2=1.0 must be"),
        ({"max_grad_norm": -1.0}, "max_grad_norm=-1.0 must be at least 0."),
        ({"num_generations": 0}, "num_generations=0 must be at least 1."),
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size=0 must be at least 1."),
        ({"gradient_accumulation_steps": -1}, "gradient_accumulation_steps=-1 must be at least 1."),
        ({"max_completion_length": 0}, "max_completion_length=0 must be at least 1."),
        ({"seed": -1}, "seed=-1 must be at least 0."),
        ({"max_train_seconds": -1.0}, "max_train_seconds must be a number of seconds above 0"),
        ({"eval_samples": 0}, "eval_samples must be a whole number of at least 1"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_by_name(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_training(recipe(**keys))
