"""Majority votes against enumeration of every subset, and calibration by hand."""

import itertools
from collections import Counter
from fractions import Fraction

import pytest

from oger.evaluation.statistics.majority import (
    CORRECT,
    calibration,
    distinct_answers,
    majority_at_k,
    vote,
)

VOTES = [
    [CORRECT, "5", "5", None],
    [CORRECT, CORRECT, "5", "5", "7"],
    [None, None, CORRECT],
    ["1", "2", "3", CORRECT, CORRECT, None, "1"],
    [CORRECT] * 4,
    ["1", "1", "2", "2", CORRECT, CORRECT, None, None],
    [None, None],
    ["a"] * 5 + [CORRECT] * 3,
]


def enumerated(votes: list[str | None], k: int) -> float:
    """The definition, subset by subset."""
    won = Fraction(0)
    subsets = list(itertools.combinations(votes, k))
    for subset in subsets:
        counts = Counter(label for label in subset if label is not None)
        most = max(counts.values(), default=0)
        if most and counts[CORRECT] == most:
            won += Fraction(1, sum(count == most for count in counts.values()))
    return float(won / len(subsets))


@pytest.mark.parametrize("votes", VOTES, ids=str)
def test_majority_at_k_equals_the_enumeration_of_all_subsets(votes: list[str | None]) -> None:
    for k in range(1, len(votes) + 1):
        assert majority_at_k(votes, k) == pytest.approx(enumerated(votes, k), abs=1e-12)


def test_one_vote_is_the_share_of_correct_samples() -> None:
    assert majority_at_k([CORRECT, "5", None, None], 1) == pytest.approx(0.25)


def test_a_majority_of_more_samples_than_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="maj@3"):
        majority_at_k(["1", "2"], 3)


def test_sixty_four_samples_with_many_answers_take_no_time() -> None:
    votes = [CORRECT] * 20 + [str(index // 2) for index in range(44)]
    assert majority_at_k(votes, 64) == 1.0
    assert 0.9 < majority_at_k(votes, 32) <= 1.0


def test_spellings_of_one_wrong_answer_are_one_vote_and_correct_answers_are_one() -> None:
    assert vote(0.0, r"\dfrac{1}{2}") == vote(None, r"$\frac{1}{2}$.") != vote(0.0, r"\frac{1}{3}")
    assert vote(1.0, "0.5") == vote(1.0, r"\frac{1}{2}") == CORRECT
    assert vote(0.0, None) is None
    assert vote(0.0, CORRECT) != CORRECT  # a response cannot vote for the correct answer by writing the label


def test_distinct_answers_by_hand() -> None:
    assert distinct_answers([CORRECT, CORRECT, "5", None]) == 2


def test_calibration_by_hand() -> None:
    # Shares 1.0 (right), 1.0 (wrong), 0.5 (a tie, worth 1/2), 0.0 (no vote).
    votes = [[CORRECT] * 4, ["7"] * 4, [CORRECT, CORRECT, "7", "7"], [None] * 4]
    table = calibration(votes)
    assert [(entry["low"], entry["high"], entry["problems"]) for entry in table["bins"]] == [
        (0.0, 0.1, 1),
        (0.4, 0.5, 1),
        (0.9, 1.0, 2),
    ]
    assert [(entry["share"], entry["accuracy"]) for entry in table["bins"]] == [(0.0, 0.0), (0.5, 0.5), (1.0, 0.5)]
    assert table["ece"] == pytest.approx(2 * 0.5 / 4)


def test_a_share_on_the_edge_of_a_bin_lies_in_the_lower_bin_whatever_the_rounding() -> None:
    votes = [[CORRECT] * 3 + [None] * 7]  # 0.3, which is 3 * 0.1 > 0.3 in floats
    [entry] = calibration(votes)["bins"]
    assert (entry["low"], entry["high"]) == (0.2, 0.3)


def test_majorities_that_are_as_often_right_as_they_are_large_have_no_calibration_error() -> None:
    half_right = [[CORRECT] * 5 + list("abcde")] * 1 + [["z"] * 5 + list("abcde")] * 1
    assert calibration(half_right)["ece"] == pytest.approx(0.0)
