"""Problems: the same from the same seed, and never in two splits."""

from itertools import combinations

import pytest

from oger.worlds import load_world, world_names
from oger.worlds.arithmetic.families import FAMILIES, HELD_OUT_FAMILIES, TRAINED_FAMILIES
from oger.worlds.arithmetic.problems import SOURCES, draw_problems, draw_split, pretraining_problems

COLUMNS = {"prompt", "answer", "kind", "family", "metadata", "teachers"}


def keys_of(split: str, seed: int = 0) -> set[str]:
    return {draw.family.key(draw.problem) for draw in draw_split(split, seed)}


def test_the_registry_lists_the_world_and_helps_with_typing_errors() -> None:
    assert "arithmetic" in world_names()
    with pytest.raises(ValueError, match="did you mean 'arithmetic'"):
        load_world("arithmetics")
    with pytest.raises(ValueError, match="did you mean 'validation'"):
        load_world("arithmetic").rows("valid")


def test_rows_depend_on_the_seed_and_on_nothing_else() -> None:
    first, again = (load_world("arithmetic").rows("validation", seed=3) for _ in range(2))
    assert first == again
    assert first != load_world("arithmetic").rows("validation", seed=4)


def test_rows_have_the_promised_columns_and_sizes() -> None:
    world = load_world("arithmetic")
    sizes = {split: len(world.rows(split)) for split in world.splits}
    assert sizes["train"] == 2660
    assert sizes["validation"] == 256
    assert sizes["test"] == 400
    assert sizes["ood"] == sizes["ood_longer"] + sizes["ood_larger"] + sizes["ood_family"] == 400
    hard = ("hard_train", "hard_validation", "hard_test", "hard_ood")
    assert [sizes[split] for split in hard] == [1830, 200, 400, 400]
    assert all(set(row) >= COLUMNS for row in world.rows("ood"))


def test_a_limit_keeps_the_first_rows_and_all_families() -> None:
    world = load_world("arithmetic")
    rows = world.rows("train", limit=8)
    assert rows == world.rows("train")[:8]
    assert {row["family"] for row in rows} == {family.name for family in TRAINED_FAMILIES}


def test_no_problem_is_in_two_splits_or_in_pretraining_whatever_the_seed() -> None:
    problems = {split: keys_of(split) | keys_of(split, seed=1) for split in SOURCES}
    problems["pretraining"] = {
        d.family.key(d.problem) for family in FAMILIES.values() for d in pretraining_problems(family)
    }
    for left, right in combinations(problems, 2):
        assert not problems[left] & problems[right], (left, right)


def test_prompts_do_not_repeat_within_a_split() -> None:
    for split in load_world("arithmetic").splits:
        prompts = [row["prompt"] for row in load_world("arithmetic").raw_trajectories(split)]
        assert len(set(prompts)) == len(prompts)


def test_two_orders_of_the_same_numbers_are_one_problem_where_order_does_not_matter() -> None:
    assert FAMILIES["gcd"].key((48, 36)) == FAMILIES["gcd"].key((36, 48))
    assert FAMILIES["chain_sum"].key((9, -3)) != FAMILIES["chain_sum"].key((-3, 9))


def test_neighbouring_seeds_draw_different_problems() -> None:
    family = FAMILIES["chain_sum"]
    drawn = [
        {
            draw.prompt
            for draw, _ in zip(draw_problems(family, family.in_distribution, None, seed), range(50), strict=False)
        }
        for seed in ("0", "1")
    ]
    assert len(drawn[0] & drawn[1]) < 5


def test_hard_problems_come_from_options_of_their_own() -> None:
    shapes = {
        split: {
            (d.family.name, len(d.problem)) for d in draw_split(split, 0) if d.family.name in ("chain_sum", "products")
        }
        for split in ("train", "ood_longer", "hard_test", "hard_ood")
    }
    assert shapes["hard_test"] == {("chain_sum", 7), ("products", 5)}
    assert not (shapes["train"] | shapes["ood_longer"]) & (shapes["hard_test"] | shapes["hard_ood"])


def test_out_of_distribution_splits_differ_in_the_way_their_name_says() -> None:
    trained = {family.name for family in TRAINED_FAMILIES}
    assert {draw.family.name for draw in draw_split("ood_family", 0)} == {f.name for f in HELD_OUT_FAMILIES}
    assert not trained & {f.name for f in HELD_OUT_FAMILIES}
    longer = [d for d in draw_split("ood_longer", 0) if d.family.name in ("chain_sum", "gcd")]
    for draw in longer:
        usual = draw.family.in_distribution.get("max_terms") or draw.family.in_distribution["max_numbers"]
        assert len(draw.problem) > usual
    for draw in draw_split("ood_larger", 0):
        values = draw.problem[:1] if draw.family.name == "base_conversion" else draw.problem
        assert min(values) > draw.family.in_distribution["max_value"]
