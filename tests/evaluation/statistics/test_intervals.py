"""Paired comparison: against theory, enumeration and planted differences."""

import itertools
import math

import numpy as np
import pytest

from oger.evaluation.statistics.intervals import Comparison, bootstrap_interval

GENERATOR = np.random.default_rng(0)
HARD = GENERATOR.random(200)


def one(values) -> np.ndarray:
    return np.asarray([values], dtype=float)


def test_the_interval_of_equal_values_has_no_width() -> None:
    assert bootstrap_interval([1.0] * 20) == (1.0, 1.0)
    assert bootstrap_interval([0.25]) == (0.25, 0.25)


def test_the_interval_is_reproducible_and_follows_the_seed() -> None:
    values = np.arange(30) / 30
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_the_interval_has_the_width_of_the_normal_approximation() -> None:
    values = np.repeat([0.0, 1.0], 200)
    low, high = bootstrap_interval(values, num_resamples=20_000)
    half = 1.959964 * 0.5 / math.sqrt(400)
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.004)


def test_the_interval_does_not_depend_on_the_size_of_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(7) / 7
    whole = bootstrap_interval(values)
    monkeypatch.setattr("oger.evaluation.statistics.intervals._INDICES_AT_ONCE", 50)
    assert bootstrap_interval(values) == whole


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    intervals = [bootstrap_interval(generator.random(60) < 0.4, num_resamples=400, seed=run) for run in range(200)]
    covered = sum(low <= 0.4 <= high for low, high in intervals) / len(intervals)
    assert 0.89 <= covered <= 0.99


@pytest.mark.parametrize("values", [[], [[1.0]], [float("nan"), 1.0]])
def test_values_that_have_no_mean_over_problems_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="values"):
        bootstrap_interval(values)


def test_one_system_on_one_benchmark_has_the_interval_of_the_mean() -> None:
    estimate = Comparison({"a": {"x": one(HARD)}}, num_resamples=20_000).mean("a", ["x"])
    low, high = bootstrap_interval(HARD, num_resamples=20_000)
    assert estimate.value == pytest.approx(HARD.mean())
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.003)


def test_the_interval_of_three_problems_is_that_of_all_27_resamples() -> None:
    values = [0.0, 0.25, 1.0]
    means = [np.mean(resample) for resample in itertools.product(values, repeat=3)]
    low, high = np.quantile(means, [0.1, 0.9])
    estimate = Comparison({"a": {"x": one(values)}}, confidence=0.8, num_resamples=40_000).mean("a", ["x"])
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-9)


def test_a_small_difference_on_the_same_problems_shows_where_the_means_overlap() -> None:
    better = np.clip(HARD + 0.02, 0, 1)
    comparison = Comparison({"a": {"x": one(better)}, "b": {"x": one(HARD)}})
    assert comparison.mean("a", ["x"]).low < comparison.mean("b", ["x"]).high
    difference = comparison.difference("a", "b", ["x"])
    assert difference.value == pytest.approx(better.mean() - HARD.mean())
    assert difference.low > 0.0
    assert comparison.best(["x"]) == "a"


def test_noise_has_no_best_system() -> None:
    noisy = GENERATOR.permutation(HARD) + 0.01
    comparison = Comparison({"a": {"x": one(noisy)}, "b": {"x": one(HARD)}})
    found = comparison.difference("a", "b", ["x"])
    assert found.low < 0.0 < found.high
    assert comparison.best(["x"]) is None


def test_the_best_is_ahead_of_every_other_and_not_only_of_the_next() -> None:
    half = np.full(40, 0.5)
    other = np.where(np.arange(40) < 18, 1.0, 0.0)  # lower on average than the next best, and too noisy to say so
    sets = {"a": {"x": one(half)}, "b": {"x": one(half - 0.02)}, "c": {"x": one(other)}}
    comparison = Comparison(sets)
    assert comparison.difference("a", "b", ["x"]).low > 0
    assert comparison.difference("a", "c", ["x"]).low < 0 < comparison.difference("a", "c", ["x"]).value
    assert comparison.best(["x"]) is None
    assert Comparison({name: sets[name] for name in "ab"}).best(["x"]) == "a"


def test_a_tie_and_a_single_system_have_no_best() -> None:
    assert Comparison({"a": {"x": one(HARD)}, "b": {"x": one(HARD)}}).best(["x"]) is None
    assert Comparison({"a": {"x": one(HARD)}}).best(["x"]) is None


def test_an_average_weighs_benchmarks_alike_and_resamples_them_apart() -> None:
    values = np.repeat([0.0, 1.0], 50)
    sets = {"x": one(values), "y": one(values), "z": one([1.0])}
    comparison = Comparison({"a": sets}, num_resamples=20_000)
    assert comparison.mean("a", ["x", "z"]).value == pytest.approx(0.75)
    single, double = comparison.mean("a", ["x"]), comparison.mean("a", ["x", "y"])
    # Two independent halves: the interval shrinks by sqrt(2). Resampled alike, it would not shrink at all.
    assert (double.high - double.low) / (single.high - single.low) == pytest.approx(1 / np.sqrt(2), abs=0.05)


def test_seeds_that_differ_widen_the_interval() -> None:
    alike = Comparison({"a": {"x": np.stack([HARD, HARD])}}).mean("a", ["x"])
    apart = Comparison({"a": {"x": np.stack([np.clip(HARD - 0.3, 0, 1), np.clip(HARD + 0.3, 0, 1)])}}).mean("a", ["x"])
    assert apart.high - apart.low > 2 * (alike.high - alike.low)


def test_the_intervals_of_seeds_and_problems_are_those_of_the_enumeration() -> None:
    matrix = np.array([[0.0, 1.0], [0.5, 0.5]])
    means = [
        np.mean([matrix[seed][problem] for seed in seeds for problem in problems])
        for seeds in itertools.product(range(2), repeat=2)
        for problems in itertools.product(range(2), repeat=2)
    ]
    low, high = np.quantile(means, [0.1, 0.9])
    estimate = Comparison({"a": {"x": matrix}}, confidence=0.8, num_resamples=40_000).mean("a", ["x"])
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.02)


def test_the_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for run in range(150):
        generator = np.random.default_rng(run)
        hardness = generator.random(60)
        a, b = ((generator.random((60, 8)) < hardness[:, None]).mean(axis=1) for _ in range(2))
        difference = Comparison({"a": {"x": one(a)}, "b": {"x": one(b)}}, num_resamples=400, seed=run).difference(
            "a", "b", ["x"]
        )
        covered += difference.low <= 0.0 <= difference.high
    assert 0.89 <= covered / 150 <= 0.99


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="b was asked 3 problems, a 200"):
        Comparison({"a": {"x": one(HARD)}, "b": {"x": one([1, 0, 1])}})
    with pytest.raises(ValueError, match="different benchmarks"):
        Comparison({"a": {"x": one(HARD)}, "b": {"y": one(HARD)}})
    with pytest.raises(ValueError, match="at least one system"):
        Comparison({})
