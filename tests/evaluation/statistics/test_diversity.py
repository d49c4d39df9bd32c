"""Distinct solutions on texts whose number of solutions is plain to see."""

import pytest

from oger.evaluation.statistics.diversity import distinct_solutions, similarity

DIRECT = "First add 17 and 25 to get 42. Then divide 42 by 6, which gives 7. The answer is 7."
DIRECT_AGAIN = "first add 17 and 25 to get 42. Then divide 42 by 6, which gives 7! The answer is 7."
OTHER = "Let x be the number we want. Six times x is the sum of both, so x = (17 + 25) / 6 = 7."


def test_case_spacing_and_a_changed_sign_make_no_new_solution() -> None:
    assert distinct_solutions([DIRECT, DIRECT_AGAIN, DIRECT.replace(" ", "  \n")]) == 1


def test_another_way_is_another_solution_whatever_the_order() -> None:
    assert distinct_solutions([DIRECT, OTHER, DIRECT_AGAIN]) == distinct_solutions([OTHER, DIRECT_AGAIN, DIRECT]) == 2


def test_short_and_empty_texts_count() -> None:
    assert distinct_solutions([]) == 0
    assert distinct_solutions(["", " "]) == 1
    assert distinct_solutions(["7", "7", "8"]) == 2


def test_the_beginning_of_a_long_text_is_not_the_same_solution() -> None:
    assert distinct_solutions([DIRECT + " " + OTHER, DIRECT]) == 2


def test_the_similarity_is_that_of_jaccard() -> None:
    assert similarity(frozenset({1, 2, 3, 4}), frozenset({2, 3, 4, 5})) == pytest.approx(3 / 5)
    assert similarity(frozenset(), frozenset()) == 1.0
    assert similarity(frozenset(), frozenset({1})) == 0.0
