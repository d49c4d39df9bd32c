"""Statistics against enumeration and hand-computed values."""

import itertools
import math

import pytest

from oger.evaluation.statistics.accuracy import (
    change,
    outcome_matrix,
    pass_at_k,
    pass_curve,
    powers_of_two,
    summarize,
)


@pytest.mark.parametrize("num_samples", range(1, 8))
def test_pass_at_k_equals_the_share_of_all_subsets_that_hold_a_correct_sample(num_samples: int) -> None:
    for num_correct in range(num_samples + 1):
        correct = [1] * num_correct + [0] * (num_samples - num_correct)
        for k in range(1, num_samples + 1):
            subsets = list(itertools.combinations(correct, k))
            expected = sum(any(subset) for subset in subsets) / len(subsets)
            assert pass_at_k(num_samples, num_correct, k) == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_stays_exact_where_the_binomials_overflow_a_float() -> None:
    expected = 1 - math.comb(4990, 2000) / math.comb(5000, 2000)  # exact integers
    assert pass_at_k(5000, 10, 2000) == pytest.approx(expected, rel=1e-12)


def test_pass_at_k_of_more_samples_than_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="number of samples"):
        pass_at_k(4, 1, 5)
    with pytest.raises(ValueError, match="num_correct"):
        pass_at_k(4, 5, 1)


def test_a_summary_by_hand() -> None:
    outcomes = [[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    summary = summarize(outcomes, ks=(2,))
    assert summary["pass@1"] == pytest.approx((0.25 + 1 + 0) / 3)
    assert summary["pass@2"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert (summary["problems"], summary["samples"], summary["undecided"]) == (3, 4, 0.0)
    low, high = summary["ci95"]
    assert 0.0 <= low <= summary["pass@1"] <= high <= 1.0


def test_an_undecided_sample_counts_as_wrong_and_is_reported() -> None:
    with_undecided = summarize([[1, None], [0, float("nan")]], ks=(2,))
    as_wrong = summarize([[1, 0], [0, 0]], ks=(2,))
    assert with_undecided["undecided"] == 0.5
    assert {**with_undecided, "undecided": 0.0} == as_wrong


def test_pass_at_8_of_fewer_samples_is_unknown() -> None:
    found = summarize([[1, 0]])
    assert found["pass@8"] is None
    assert "pass@32" not in found


@pytest.mark.parametrize("outcomes", [[], [[]], [[1, 0], [1]], [1, 0], [[0.5]], [["a"]]])
def test_what_is_no_matrix_of_outcomes_is_refused(outcomes: list) -> None:
    with pytest.raises(ValueError, match="outcomes"):
        outcome_matrix(outcomes)


def test_the_curve_of_pass_at_k_by_hand() -> None:
    curve = pass_curve([[1, 0, 0], [None, 0, 0]])
    assert curve == pytest.approx({1: 1 / 6, 2: (2 / 3) / 2, 3: 0.5})


@pytest.mark.parametrize(("n", "ks"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (32, [1, 2, 4, 8, 16, 32])])
def test_the_ks_of_a_curve_end_with_all_samples(n: int, ks: list[int]) -> None:
    assert powers_of_two(n) == ks


def test_a_change_is_paired_by_problem() -> None:
    before, after = [0, 4, 8, 2] * 25, [2, 6, 8, 4] * 25  # of 8 samples: two more each, where there was room
    found = change(before, after, 8)
    value, low, high = found["pass@1"]
    assert value == pytest.approx(3 * 0.25 / 4)
    assert low < value < high
    assert high - low < 0.06, "as if unpaired it would be 0.2: problems differ far more than their changes"
    assert change(before, after, 4)["pass@8"] is None
    with pytest.raises(ValueError, match="the same problems twice"):
        change([1], [1, 2], 8)
