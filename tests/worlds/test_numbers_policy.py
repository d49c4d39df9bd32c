"""The shipped policy of the numbers world: correct rollouts that differ, and room to explore."""

from __future__ import annotations

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from oger.worlds import load_world
from oger.worlds.numbers.measure import Measures, measure
from oger.worlds.world import strategy_rule


def measured(split: str, problems: int, samples: int) -> Measures:
    world = load_world("numbers")
    folder = world.base_policy()
    return measure(
        AutoModelForCausalLM.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
        world.raw_trajectories(split, limit=problems),
        num_samples=samples,
        max_new_tokens=world.max_completion_length_of(split),
        seed=7,
    )


def test_correct_rollouts_of_a_group_differ_in_text_and_in_bonus() -> None:
    found = measured("test", 60, 16)
    assert 0.10 <= found.pass_at["1"] <= 0.21
    assert 0.45 <= found.pass_at["8"] <= 0.67
    assert found.distinct > 0.6
    assert found.bonus_std >= 0.05
    assert found.unboxed <= 0.02
    assert found.sorts["own"] > 0.85
    assert sum(found.sorts[name] for name in ("products", "pairs", "backward")) < 0.05


def test_a_study_asks_the_world_how_a_text_solves_a_row() -> None:
    world = load_world("numbers")
    [row] = world.rows("validation", limit=1)
    teachers = {teacher["teacher"]: teacher["text"] for teacher in row["teachers"]}
    taught = {"methodical": "products", "brisk": "pairs", "hasty": "backward"}
    assert teachers
    for name, text in teachers.items():
        assert strategy_rule("world:numbers/validation")(row, text) == taught[name]
    assert strategy_rule("world:arithmetic/test") is None


def test_the_policy_is_small() -> None:
    assert (load_world("numbers").base_policy() / "model.safetensors").stat().st_size <= 4_000_000


@pytest.mark.soak
def test_no_family_out_of_distribution_is_hopeless_or_solved() -> None:
    for split in ("ood_more", "ood_larger", "ood_fixed"):
        assert 0.03 <= measured(split, 130, 16).pass_at["1"] <= 0.40


@pytest.mark.soak
def test_hard_problems_are_seldom_solved() -> None:
    found = measured("hard_test", 200, 16)
    assert found.pass_at["1"] < 0.08
    assert found.pass_at["8"] > 2 * found.pass_at["1"]
