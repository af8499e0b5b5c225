"""Statistics against published values, scipy's own distributions and simulation."""

import numpy as np
import pytest
from scipy import stats

from pipeline.selection import statistics
from pipeline.selection.statistics import (
    binomial_tail,
    expected_calibration_error,
    gap_interval,
    gap_standard_error,
    mean_interval,
    normal_interval,
    paired_standard_error,
    paired_standard_errors,
    standard_error,
    wilson_interval,
)


def test_standard_error_uses_one_degree_of_freedom():
    values = [1.0, 2.0, 4.0, 7.0]
    assert standard_error(values) == pytest.approx(stats.sem(values, ddof=1))


def test_one_example_says_nothing_about_the_spread():
    assert standard_error([0.3]) == np.inf
    assert mean_interval([0.3]) == (-np.inf, np.inf)
    assert paired_standard_error([0.3], [0.2]) == np.inf
    assert gap_standard_error([0.3], [0.2, 0.4], 2) == np.inf


def test_no_example_is_an_error():
    with pytest.raises(ValueError, match="at least one example, got none"):
        standard_error([])


def test_values_that_are_not_finite_give_nan_without_a_warning():
    assert np.isnan(standard_error([1.0, np.inf]))
    assert np.isnan(gap_standard_error([1.0, 2.0], [np.nan, 2.0], 2))


def test_gap_standard_error_has_the_finite_population_correction():
    rng = np.random.default_rng(1)
    val, train = rng.normal(size=50), rng.normal(size=80)
    expected = np.sqrt(val.var(ddof=1) / 50 + (1 - 80 / 100) * train.var(ddof=1) / 80)
    assert gap_standard_error(val, train, 100) == pytest.approx(expected)


@pytest.mark.parametrize("num_train", [1, 60])
def test_a_training_part_measured_as_a_whole_adds_no_error(num_train):
    val, train = np.arange(40.0), 100 * np.arange(float(num_train))
    assert gap_standard_error(val, train, num_train) == pytest.approx(standard_error(val))


def test_more_measured_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="3 training examples measured, but there are 2"):
        gap_standard_error([1.0, 2.0], [1.0, 2.0, 3.0], 2)


def test_paired_standard_error_ignores_what_both_share():
    shared = np.random.default_rng(0).exponential(size=500)
    other = shared + np.tile([0.01, -0.01], 250)
    assert paired_standard_error(other, shared) == pytest.approx(0.01 / np.sqrt(499))


def test_paired_standard_error_adds_the_variance_between_seeds():
    base = np.random.default_rng(0).normal(size=(3, 100))
    shifts = np.array([[0.1], [0.2], [0.6]])
    between = np.array([0.1, 0.2, 0.6]).var(ddof=1) / 3
    assert paired_standard_error(base + shifts, base) == pytest.approx(np.sqrt(between))


def test_paired_results_need_one_shape():
    with pytest.raises(ValueError, match="need one shape"):
        paired_standard_error([1.0, 2.0], [1.0])


def test_normal_interval():
    assert normal_interval(1.0, 0.5) == pytest.approx((0.0200180, 1.9799820))
    assert stats.norm.ppf(0.975) == pytest.approx(statistics.Z_95, abs=1e-15)


@pytest.mark.parametrize(
    ("hits", "num", "low", "high"),
    # Newcombe 1998 (Stat. Med. 17:857), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)],
)
def test_wilson_interval_as_published(hits, num, low, high):
    assert wilson_interval(hits, num) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("num", [1, 3, 7, 10_000])
def test_wilson_interval_stays_within_0_and_1(num):
    for hits in {0, 1, num - 1, num}:
        low, high = wilson_interval(hits, num)
        assert 0 <= low <= hits / num <= high <= 1


def test_wilson_interval_of_impossible_counts_is_an_error():
    with pytest.raises(ValueError, match="got 5 of 4"):
        wilson_interval(5, 4)


@pytest.mark.parametrize(("hits", "num", "p"), [(0, 10, 0.3), (7, 10, 0.3), (140, 200, 0.7)])
def test_binomial_tail_is_exact(hits, num, p):
    assert binomial_tail(hits, num, p) == pytest.approx(stats.binom.sf(hits - 1, num, p))


def test_binomial_tail_counts_the_hits_themselves():
    assert binomial_tail(2, 2, 0.5) == pytest.approx(0.25)


def test_mean_interval_is_normal_for_many_and_bootstrap_for_few():
    values = np.random.default_rng(0).exponential(size=200)
    expected = normal_interval(values.mean(), standard_error(values))
    assert mean_interval(values) == pytest.approx(expected)
    few = values[:199]
    assert mean_interval(few) == mean_interval(few)
    low, high = mean_interval(few)
    assert high - few.mean() > few.mean() - low  # skewed, as the values are


def test_the_bootstrap_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    covered = [
        low <= 1.0 <= high
        for low, high in (mean_interval(rng.exponential(size=100), seed) for seed in range(200))
    ]
    assert 0.88 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize("num", [100, 400])
def test_gap_interval_has_the_width_of_its_standard_error(num):
    rng = np.random.default_rng(0)
    val, train = rng.normal(1.0, 1.0, num), rng.normal(0.2, 1.0, 150)
    low, high = gap_interval(val, train, num_train=300)
    expected = normal_interval(val.mean() - train.mean(), gap_standard_error(val, train, 300))
    assert (low, high) == pytest.approx(expected, abs=0.02)


def test_calibration_error_of_honest_and_boasting_confidence():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.1, 1.0, 60_000)
    honest = rng.uniform(size=60_000) < confidence
    assert expected_calibration_error(confidence, honest) < 0.01
    assert expected_calibration_error(np.full(2000, 0.9), np.arange(2000) % 2 == 0) == (
        pytest.approx(0.4)
    )


def test_calibration_error_by_hand_over_equal_mass_bins():
    confidence = np.repeat(np.linspace(0.3, 0.9, 15), 100)
    correct = np.tile(np.arange(100) < 50, 15)
    expected = np.abs(np.linspace(0.3, 0.9, 15) - 0.5).mean()
    order = np.random.default_rng(0).permutation(1500)
    assert expected_calibration_error(confidence, correct) == pytest.approx(expected)
    assert expected_calibration_error(confidence[order], correct[order]) == pytest.approx(expected)


def test_calibration_error_needs_a_thousand_examples():
    assert expected_calibration_error(np.full(999, 0.9), np.ones(999)) is None
    assert expected_calibration_error(np.full(1000, 0.9), np.ones(1000)) == pytest.approx(0.1)


@pytest.mark.parametrize(("num_seeds", "num_examples"), [(1, 50), (3, 50), (1, 2), (3, 1)])
def test_paired_errors_of_many_models_are_those_of_each(num_seeds, num_examples):
    values = np.random.default_rng(0).normal(size=(5, num_seeds, num_examples))
    found = paired_standard_errors(values - values[2])
    alone = [paired_standard_error(one, values[2]) for one in values]
    if num_examples == 1:  # unknown either way
        assert not np.isfinite(found).any()
        assert not np.isfinite(alone).any()
    else:
        assert found == pytest.approx(alone, rel=1e-12, abs=1e-15)
        assert found[2] == 0.0
