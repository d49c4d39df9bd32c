"""Intervals with problems and seeds both random: against numbers worked by hand, and against simulated truth."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import stats

from oger.evaluation.statistics.crossed import (
    Interval,
    crossed_p,
    difference_interval,
    holm,
    mean_interval,
    permutation_p,
    seed_record,
)

# Row means 0.5, 0.3; column means 0.7, 0.1. Row variance 0.02, column variance 0.18; the residuals are all 0.
ADDITIVE = np.array([[0.8, 0.2], [0.6, 0.0]])


def test_mean_interval_by_hand() -> None:
    found = mean_interval(ADDITIVE)
    variance = 0.02 / 2 + 0.18 / 2
    degrees = variance**2 / ((0.02 / 2) ** 2 / 1 + (0.18 / 2) ** 2 / 1)
    assert found.value == pytest.approx(0.4)
    assert found.standard_error == pytest.approx(variance**0.5)
    assert found.degrees == pytest.approx(degrees)
    assert (found.low, found.high) == (0.0, 1.0)  # t times the error goes beyond what an accuracy can be


def test_residual_variance_is_taken_off_once_by_hand() -> None:
    # As ADDITIVE, with residuals of ±0.05: their mean square is 4 * 0.0025 / 1 = 0.01.
    found = mean_interval(np.array([[0.85, 0.15], [0.55, 0.05]]))
    assert found.standard_error == pytest.approx((0.02 / 2 + 0.18 / 2 - 0.01 / 4) ** 0.5)


def test_standard_error_is_never_below_its_largest_part() -> None:
    # Row means 0.55, 0.45, column means 0.6, 0.4; residuals ±0.15 would take more off than the rows bring.
    found = mean_interval(np.array([[0.8, 0.3], [0.4, 0.5]]))
    assert found.standard_error == pytest.approx((0.02 / 2) ** 0.5)


def test_difference_of_constant_shift_has_no_problem_variance() -> None:
    base = np.array([[0.2, 0.4, 0.6], [0.3, 0.5, 0.7]])
    found = difference_interval(base + 0.1, base)
    assert found.value == pytest.approx(0.1)
    assert found.standard_error == pytest.approx((2 * 0.005 / 2) ** 0.5)  # two methods, seed variance 0.005 each
    assert found.degrees == pytest.approx(2.0)


def test_one_seed_speaks_of_problems_alone() -> None:
    first, second = np.array([[0.6, 0.5, 0.3, 0.7]]), np.array([[0.5, 0.5, 0.5, 0.4]])
    paired = stats.ttest_rel(first[0], second[0]).confidence_interval()
    found = difference_interval(first, second)
    assert (found.low, found.high) == pytest.approx((paired.low, paired.high))
    assert crossed_p(found) == pytest.approx(stats.ttest_rel(first[0], second[0]).pvalue)


def test_detectable_difference_is_found_with_the_stated_power() -> None:
    error, degrees = 0.02, 400.0
    detectable = Interval(0.0, 0.0, 0.0, error, degrees).detectable()
    assert detectable == pytest.approx((1.966 + 0.843) * error, rel=1e-3)
    draws = detectable + error * np.random.default_rng(0).standard_t(degrees, 20_000)
    power = np.mean(draws / error > stats.t.ppf(0.975, degrees))
    assert power == pytest.approx(0.8, abs=0.01)


def simulate(generator: np.random.Generator, seeds: int, problems: int, seed_spread: float, gain: float) -> list:
    """Two methods on the same problems, `gain` apart; each has its own strengths, seeds and samples."""
    difficulty = generator.normal(0.5, 0.25, problems)
    matrices = []
    for shift in (gain, 0.0):
        strength = generator.normal(0.0, 0.1, problems)
        runs = generator.normal(0.0, seed_spread, (seeds, 1))
        chance = np.clip(difficulty + strength + runs + shift, 0.0, 1.0)
        matrices.append(generator.binomial(8, chance) / 8)
    return matrices


@pytest.mark.parametrize(("seeds", "spread"), [(5, 0.0), (5, 0.03), (3, 0.03), (2, 0.03)])
def test_interval_covers_the_truth_as_often_as_it_says(seeds: int, spread: float) -> None:
    generator = np.random.default_rng(1)
    intervals = [difference_interval(*simulate(generator, seeds, 200, spread, 0.0)) for _ in range(600)]
    covered = np.mean([found.low <= 0.0 <= found.high for found in intervals])
    assert 0.915 <= covered <= 0.985
    wrong = np.mean([crossed_p(found) < 0.05 for found in intervals])
    assert wrong == pytest.approx(1.0 - covered, abs=1e-9)  # the test inverts the interval


def test_tests_find_a_real_difference_and_not_an_absent_one() -> None:
    generator = np.random.default_rng(2)
    real, none = simulate(generator, 5, 300, 0.01, 0.08), simulate(generator, 5, 300, 0.01, 0.0)
    assert permutation_p(*real) < 0.001
    assert crossed_p(difference_interval(*real)) < 0.01
    assert permutation_p(*none) > 0.05
    assert crossed_p(difference_interval(*none)) > 0.05


def test_permutation_p_by_hand() -> None:
    # Differences 1, 1, 1, 1: of the 16 sign patterns 2 are as extreme, p = 1/8.
    first, second = np.ones((1, 4)), np.zeros((1, 4))
    assert permutation_p(first, second) == pytest.approx(1 / 8, abs=0.01)
    assert permutation_p(first, first) == 1.0


def test_permutation_p_of_many_problems_keeps_a_byte_of_each_sign() -> None:
    generator, problems = np.random.default_rng(4), 2_000
    pair = generator.random((2, problems)), generator.random((2, problems))
    tracemalloc.start()
    permutation_p(*pair)
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10_000 * problems * 1.5
    assert most < 10_000 * problems * 3


def test_permutation_p_is_uniform_without_a_difference() -> None:
    generator = np.random.default_rng(3)
    found = [permutation_p(generator.normal(0, 1, (1, 40)) / 9 + 0.5, np.full((1, 40), 0.5)) for _ in range(60)]
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_seed_record_counts_common_seeds() -> None:
    assert seed_record({0: 0.1, 1: 0.5, 2: 0.9}, {1: 0.6, 2: 0.9, 4: 0.0}) == (0, 1, 1)


@pytest.mark.parametrize("matrix", [np.zeros((2, 1)), np.zeros((0, 4)), np.array([[0.5, np.nan]]), np.zeros(4)])
def test_unusable_matrices_are_refused(matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite matrix"):
        mean_interval(matrix)


def test_different_problems_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="3 and 4 problems"):
        difference_interval(np.zeros((2, 3)), np.zeros((2, 4)))
