"""The same batch on other numbers of GPUs: no rollout more or less, and shares that add up."""

from __future__ import annotations

import dataclasses

import pytest

from oger.planning.plan import make_plan
from oger.planning.scaling import NUMBERS, same_batch, same_batch_plans
from oger.planning.setting import Assumptions
from oger.planning.timing import stages, tokens_per_step
from tests.support.settings import setting_of

RECIPES = {"lora_24gb": "1x24", "single_80gb": "1x80", "paper_1p5b": "8x80", "paper_7b": "8x80", "multi_node": "32x80"}


@pytest.mark.parametrize(("name", "gpus"), RECIPES.items())
def test_the_batch_of_a_recipe_is_the_same_on_1_8_and_64_gpus(name: str, gpus: str) -> None:
    setting = setting_of(name, gpus=gpus)
    wanted = tokens_per_step(setting)
    for number in NUMBERS:
        changed = same_batch(setting, number)
        assert changed is not None
        assert changed.num_gpus == number
        found = tokens_per_step(changed)
        assert (found.generated, found.teacher, found.trained) == (wanted.generated, wanted.teacher, wanted.trained)
        assert changed.steps_per_batch == setting.steps_per_batch


def test_what_is_multiplied_is_shared_out_and_reading_the_weights_is_not() -> None:
    plans = same_batch_plans(setting_of("paper_7b", gpus="8x80"))
    seconds = {number: {stage.name: stage.seconds for stage in plan.stages} for number, plan in plans.items() if plan}
    assert list(seconds[8]) == ["generation", "reward", "log-probabilities, entropies", "update"]
    assert seconds[1]["update"] == pytest.approx(8 * seconds[8]["update"])
    assert seconds[8]["update"] == pytest.approx(8 * seconds[64]["update"])
    assert seconds[8]["generation"] < 2 * seconds[64]["generation"], "every GPU reads all weights for every token"


def test_rows_that_do_not_divide_are_no_plan() -> None:
    setting = dataclasses.replace(setting_of("lora_24gb", gpus="1x24"), rows=3, accumulation=8, steps_per_generation=8)
    assert same_batch(setting, 8) is not None
    assert same_batch(setting, 64) is None


def test_the_reward_is_graded_by_workers_and_encoded_by_the_gpu() -> None:
    setting = setting_of(
        "paper_7b", gpus="8x80", assumptions=Assumptions(mean_tokens=1000, verify_ms=20, verify_workers=4)
    )
    reward = next(stage for stage in stages(setting) if stage.name == "reward")
    graded = 128 * 0.020 / 4
    encoded = 2 * 109_486_464 * 128 * 1000 / (0.35 * 989e12)
    assert reward.seconds == pytest.approx((graded + encoded) / 2)
    on_cpu = dataclasses.replace(setting, encoder_parameters=0)
    assert next(stage for stage in stages(on_cpu) if stage.name == "reward").seconds == pytest.approx(graded / 2)


def test_a_number_of_gpus_that_the_recipe_refuses_is_warned_of() -> None:
    assert not make_plan(setting_of("paper_7b", gpus="8x80")).warnings
    assert "made for processes=8" in " ".join(make_plan(setting_of("paper_7b", gpus="16x80")).warnings)
