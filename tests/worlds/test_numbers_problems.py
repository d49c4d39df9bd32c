"""Problems of the numbers world: the same from the same seed, never in two splits, each with many solutions or few."""

from itertools import combinations, islice, permutations
from random import Random

import pytest

from oger.worlds.numbers.problems import (
    FIXED_TARGET,
    LARGER_TARGETS,
    SOURCES,
    TARGETS,
    Problem,
    draw_problems,
    is_taught,
    num_solutions,
)
from oger.worlds.numbers.terms import OPERATORS, operate

LIMIT = 300  # problems of each split that these tests look at
SMALLER = [split for split in SOURCES if not split.endswith("train_large")]


def drawn(split: str, seed: int = 0) -> list[Problem]:
    return list(islice(draw_problems(split, seed), LIMIT))


def values(numbers: tuple[int, ...]) -> set[int]:
    """Everything that can be made of all the numbers, by brute force over orders and shapes."""
    if len(numbers) == 1:
        return set(numbers)
    made = set()
    for order in set(permutations(numbers)):
        for cut in range(1, len(order)):
            for left in values(order[:cut]):
                for right in values(order[cut:]):
                    made |= {operate(left, operator, right) for operator in OPERATORS}
    return {value for value in made if value is not None}


@pytest.mark.parametrize(
    ("left", "operator", "right", "value"),
    [(90, "+", 9, 99), (90, "+", 10, None), (3, "-", 3, None), (3, "-", 4, None), (7, "/", 2, None), (8, "/", 2, 4)],
)
def test_values_stay_whole_positive_and_below_a_hundred(
    left: int, operator: str, right: int, value: int | None
) -> None:
    assert operate(left, operator, right) == value


def test_the_number_of_computations_is_right_by_hand() -> None:
    assert num_solutions((2, 3)) == {5: 1, 1: 1, 6: 1}
    # 1 2 3 -> 6: 1+2+3 in three orders of joining, 1*2*3 in three, and 3*2/1, 3/1*2, 2/1*3: the operand 1 divides too
    assert num_solutions((1, 2, 3))[6] == 3 + 3 + 3


def test_what_can_be_reached_is_what_brute_force_reaches() -> None:
    rng = Random(0)
    for _ in range(4):
        numbers = tuple(sorted(rng.randint(1, 12) for _ in range(4)))
        assert set(num_solutions(numbers)) == values(numbers)


def test_problems_depend_on_the_seed_and_on_nothing_else() -> None:
    assert drawn("validation", 3) == drawn("validation", 3)
    assert drawn("validation", 3) != drawn("validation", 4)


@pytest.mark.parametrize("split", SMALLER)
def test_problems_do_not_repeat_and_have_as_many_solutions_as_the_split_says(split: str) -> None:
    source, problems = SOURCES[split], drawn(split)
    assert len(set(problems)) == len(problems) == min(source.size, LIMIT)
    for problem in problems:
        assert num_solutions(tuple(sorted(problem.numbers)))[problem.target] in source.ways


def test_out_of_distribution_problems_differ_in_the_way_their_name_says() -> None:
    for prefix in ("", "hard_"):
        assert {len(problem.numbers) for problem in drawn(f"{prefix}ood_more")} == {5}
        assert all(problem.target in LARGER_TARGETS for problem in drawn(f"{prefix}ood_larger"))
        assert {problem.target for problem in drawn(f"{prefix}ood_fixed")} == {FIXED_TARGET}
        for problem in drawn(f"{prefix}train"):
            assert len(problem.numbers) == 4
            assert problem.target in TARGETS
            assert problem.target != FIXED_TARGET


def test_no_problem_is_in_two_splits_whatever_the_seed_and_the_order_of_the_numbers() -> None:
    keys = {split: {(*sorted(p.numbers), p.target) for seed in (0, 1) for p in drawn(split, seed)} for split in SMALLER}
    for left, right in combinations(keys, 2):
        assert not keys[left] & keys[right], (left, right)


def test_the_parts_that_splits_draw_from_hold_none_of_the_pretraining_problems() -> None:
    for split in ("train", "validation", "test", "hard_train", "hard_validation", "hard_test", "ood_more"):
        assert "pretraining" not in {problem.part for problem in drawn(split)}


def test_two_orders_of_the_same_numbers_are_in_the_same_part() -> None:
    parts = {Problem(order, 31).part for order in permutations((3, 7, 2, 5))}
    assert len(parts) == 1


def test_the_large_training_split_begins_with_the_small_one_and_is_large() -> None:
    assert drawn("train_large") == drawn("train")
    assert SOURCES["train_large"].size >= 20_000


def test_most_hard_problems_are_solved_by_a_teacher_and_some_are_left_to_be_found() -> None:
    problems = drawn("hard_train")
    assert 0.6 <= sum(map(is_taught, problems)) / len(problems) <= 0.9
