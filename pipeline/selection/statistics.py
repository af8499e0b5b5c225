"""Computes standard errors, intervals and tests from per-example results.

Cross-entropies come as ``nll`` arrays (nats, an entry per example), accuracies as counts of hits.
Every standard deviation uses ddof=1. One example says nothing about the spread: its standard error
is infinite, its interval the whole line. No records and no library but numpy and scipy, so that
training and report share the same formulas; a new one is a new function with its source.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Z_95 = 1.959963984540054
"""Two-sided 95% quantile of the normal distribution."""

BOOTSTRAP_BELOW = 200
"""Below this many examples a mean's interval comes from the bootstrap, not the normal formula."""

NUM_RESAMPLES = 2000
"""Resamples of a bootstrap interval."""

NUM_BINS = 15
"""Equal-mass bins of the calibration error."""

CALIBRATION_FROM = 1000
"""Fewest examples for a calibration error: below, the bins' own noise dominates it."""


class Interval(NamedTuple):
    """A 95% interval, both ends included."""

    low: float
    high: float


def standard_error(values: ArrayLike) -> float:
    """Standard error of the mean of ``values`` [num_examples]: s / sqrt(n), ddof=1.

    Infinite for a single value, NaN where a value is not finite.

    Raises:
        ValueError: There are no values.
    """
    return float(np.sqrt(_variance_of_mean(_examples(values))))


def gap_standard_error(nll_val: ArrayLike, nll_train: ArrayLike, num_train: int) -> float:
    """Standard error of mean(nll_val) - mean(nll_train), nats.

    SE^2 = s^2_val / n_val + (1 - m / n_train) * s^2_train / m, where m training examples were
    measured: the training part is a finite population, and measuring all of it leaves no error.

    Args:
        nll_val: [n_val], cross-entropy of each validation example.
        nll_train: [m], the same of the measured training examples.
        num_train: Examples in the training part, at least m.

    Raises:
        ValueError: A part is empty, or more training examples were measured than there are.

    Source: Cochran, Sampling Techniques, 1977, ch. 2 (finite population correction).
    """
    val, train = _examples(nll_val), _examples(nll_train)
    return float(np.sqrt(_variance_of_mean(val) + _train_variance(train, num_train)))


def seeds_gap_standard_error(nll_val: ArrayLike, gaps: ArrayLike, errors: ArrayLike) -> float:
    """Standard error of a gap averaged over seeds, nats: examples and seeds both vary.

    SE^2 = s^2_val / n_val, of the cross-entropies averaged over seeds, + the train term, + s^2 of
    the seeds' gaps / K. The train term is the mean over seeds of what :func:`gap_standard_error`
    adds to each for its training examples: they are the same ones for all seeds, so averaging over
    seeds cannot be counted on to shrink it.

    Args:
        nll_val: [num_seeds, n_val], cross-entropy of each validation example, of each seed.
        gaps: [num_seeds], the seeds' gaps.
        errors: [num_seeds], their standard errors by :func:`gap_standard_error`.

    Raises:
        ValueError: The lengths differ, or there are no examples.
    """
    nll, gap = np.atleast_2d(np.asarray(nll_val, float)), np.asarray(gaps, float)
    error = np.asarray(errors, float)
    if not len(nll) == len(gap) == len(error):
        raise ValueError(f"expected one per seed, got {len(nll)}, {len(gap)} and {len(error)}")
    of_each = [_variance_of_mean(_examples(row)) for row in nll]
    train = np.maximum(error**2 - of_each, 0.0).mean()
    variance = _variance_of_mean(_examples(nll.mean(axis=0))) + train
    if len(nll) > 1:
        variance += _variance_of_mean(gap)
    return float(np.sqrt(variance))


def variance_over_seeds(values: ArrayLike) -> float:
    """Variance of the mean of K seeds' values: s^2 / K, ddof=1; 0 for one seed, which tells none.

    Raises:
        ValueError: There are no values.
    """
    array = _examples(values)
    return _variance_of_mean(array) if array.size > 1 else 0.0


def paired_standard_error(first: ArrayLike, second: ArrayLike) -> float:
    """Standard error of mean(first - second) on the same examples, optionally over seeds.

    SE^2 = s^2_examples / n, of the difference averaged over seeds, + s^2_seeds / K for K > 1.

    Args:
        first: [num_examples] or [num_seeds, num_examples], one model's results.
        second: The same shape, the other model's results on the same examples and seeds.

    Raises:
        ValueError: The shapes differ, or there are no examples.
    """
    a, b = np.atleast_2d(np.asarray(first, float)), np.atleast_2d(np.asarray(second, float))
    if a.shape != b.shape:
        raise ValueError(f"paired results need one shape, got {a.shape} and {b.shape}")
    difference = a - b
    variance = _variance_of_mean(_examples(difference.mean(axis=0)))
    if len(difference) > 1:
        variance += _variance_of_mean(difference.mean(axis=1))
    return float(np.sqrt(variance))


def paired_standard_errors(differences: np.ndarray) -> np.ndarray:
    """Returns :func:`paired_standard_error` of many models at once: float64 [num_models].

    Args:
        differences: [num_models, num_seeds, num_examples], of each model's results from those of
            the one that it is compared with. NaN where there is one example.
    """
    _, num_seeds, num_examples = differences.shape
    if num_examples < 2:
        return np.full(len(differences), np.nan)
    variance = differences.mean(axis=1).var(axis=1, ddof=1) / num_examples
    if num_seeds > 1:
        variance = variance + differences.mean(axis=2).var(axis=1, ddof=1) / num_seeds
    return np.asarray(np.sqrt(variance))


def normal_interval(mean: float, error: float) -> Interval:
    """The normal 95% interval, mean +- 1.96 standard errors."""
    return Interval(mean - Z_95 * error, mean + Z_95 * error)


def mean_interval(values: ArrayLike, seed: int = 0) -> Interval:
    """95% interval of a mean: normal from 200 examples on, percentile bootstrap below.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13.

    Raises:
        ValueError: There are no values.
    """
    array = _examples(values)
    if array.size >= BOOTSTRAP_BELOW or array.size == 1:
        return normal_interval(float(array.mean()), standard_error(array))
    return _percentiles(_resampled_means(array, np.random.default_rng(seed)))


def gap_interval(
    nll_val: ArrayLike, nll_train: ArrayLike, num_train: int, seed: int = 0
) -> Interval:
    """95% interval of mean(nll_val) - mean(nll_train); bootstrap below 200 validation examples.

    Only the validation side is resampled; the training side adds normal noise of its standard
    error, which is 0 where all of it was measured. The arguments are those of
    :func:`gap_standard_error`; for a test gap, pass the test part's ``nll`` as ``nll_val``.

    Raises:
        ValueError: As :func:`gap_standard_error`.
    """
    val, train = _examples(nll_val), _examples(nll_train)
    error = gap_standard_error(val, train, num_train)
    gap = float(val.mean() - train.mean())
    if val.size >= BOOTSTRAP_BELOW or not np.isfinite(error):
        return normal_interval(gap, error)
    rng = np.random.default_rng(seed)
    means = _resampled_means(val, rng) - train.mean()
    means -= np.sqrt(_train_variance(train, num_train)) * rng.standard_normal(means.size)
    return _percentiles(means)


def wilson_interval(hits: float, num_examples: int) -> Interval:
    """Wilson's 95% score interval of a proportion, within [0, 1].

    Source: Wilson, JASA 22, 1927; Newcombe, Stat. Med. 17:857, 1998 (method 3).

    Raises:
        ValueError: There are no examples, or hits are not within 0..num_examples.
    """
    if num_examples < 1 or not 0 <= hits <= num_examples:
        raise ValueError(f"expected 0 <= hits <= num_examples >= 1, got {hits} of {num_examples}")
    share, z2 = hits / num_examples, Z_95**2
    centre = share + z2 / (2 * num_examples)
    half = Z_95 * np.sqrt(share * (1 - share) / num_examples + z2 / (4 * num_examples**2))
    scale = 1 + z2 / num_examples
    low, high = (centre - half) / scale, (centre + half) / scale
    # Rounding may miss the exact ends by 1e-17.
    return Interval(
        0.0 if hits == 0 else max(0.0, float(low)),
        1.0 if hits == num_examples else min(1.0, float(high)),
    )


def binomial_tail(hits: int, num_examples: int, chance: float) -> float:
    """Exact P(X >= hits) for X ~ Binomial(num_examples, chance)."""
    # Here and not above: most reports do without SciPy.
    from scipy import special

    return float(special.bdtrc(hits - 1, num_examples, chance))


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike) -> float | None:
    """Mean |accuracy - confidence| over 15 equal-mass bins; None below 1,000 examples.

    Equal confidences share a bin, so the order of examples does not matter (and many equal ones
    leave fewer bins). Binned estimates are biased upwards: report it, never select on it.

    Args:
        confidence: [num_examples], probability of the predicted class.
        correct: [num_examples], whether that class is the true one.

    Source: Roelofs et al., AISTATS 2022 (equal-mass bins, L1 norm).
    """
    sure, right = np.asarray(confidence, float), np.asarray(correct, float)
    if sure.size < CALIBRATION_FROM or not np.isfinite(sure).all():
        return None
    edges = np.unique(np.quantile(sure, np.arange(1, NUM_BINS) / NUM_BINS))
    bins = np.searchsorted(edges, sure, side="right")
    return float(np.abs(np.bincount(bins, weights=right - sure)).sum() / sure.size)


def _examples(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64).ravel()
    if not array.size:
        raise ValueError("expected the results of at least one example, got none")
    return array


def _variance_of_mean(array: np.ndarray) -> float:
    if not np.isfinite(array).all():
        return float("nan")
    return float(array.var(ddof=1) / array.size) if array.size > 1 else float("inf")


def _train_variance(train: np.ndarray, num_train: int) -> float:
    if train.size > num_train:
        raise ValueError(f"{train.size} training examples measured, but there are {num_train}")
    if not np.isfinite(train).all():
        return float("nan")
    # Not a product: the variance of a single example is infinite.
    if train.size == num_train:
        return 0.0
    return (1 - train.size / num_train) * _variance_of_mean(train)


def _resampled_means(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return array[rng.integers(array.size, size=(NUM_RESAMPLES, array.size))].mean(axis=1)


def _percentiles(means: np.ndarray) -> Interval:
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(low), float(high))
