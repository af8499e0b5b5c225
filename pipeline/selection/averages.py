"""Averages the probabilities of several trainings, and measures that mean as one model.

In: what each training says about every class (``Probabilities``). Out: an :class:`Average`, the
results per example of the model that would be delivered, and its :class:`Measurement`. Pure numpy:
no model is restored for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.records import Measurement, PerExample, Probabilities
from pipeline.selection.statistics import (
    expected_calibration_error,
    gap_standard_error,
    variance_over_seeds,
)


@dataclass(frozen=True)
class Average:
    """The mean of several trainings' probabilities, as the results of one model.

    Attributes:
        validation: Its results per validation example.
        train: The same per measured training example.
        num_train: Examples in the training part.
    """

    validation: PerExample
    train: PerExample
    num_train: int


def average(members: Sequence[Probabilities]) -> Average:
    """Returns the mean of these trainings' probabilities, measured.

    Raises:
        ValueError: There is none, or they were not measured on the same examples.
    """
    if not members:
        raise ValueError("expected the probabilities of one training at least, got none")
    first = members[0]
    for name in ("validation_labels", "train_labels"):
        if any(not np.array_equal(getattr(first, name), getattr(m, name)) for m in members):
            raise ValueError("the trainings were measured on different examples")
    return Average(
        per_example(mean_log([m.validation for m in members]), first.validation_labels),
        per_example(mean_log([m.train for m in members]), first.train_labels),
        first.num_train,
    )


def mean_log(logs: Sequence[np.ndarray]) -> np.ndarray:
    """Returns log of the mean of probabilities, float64, of their logarithms: nats.

    Stable where all of them are tiny: the largest is taken out of the sum before.
    """
    stacked = np.stack([np.asarray(one, np.float64) for one in logs])
    largest = stacked.max(axis=0)
    # Where no training gives the class anything, the logarithm is that of 0.
    shift = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        total: np.ndarray = np.log(np.exp(stacked - shift).mean(axis=0)) + shift
    return total


def per_example(logs: np.ndarray, labels: np.ndarray) -> PerExample:
    """Returns a model's results, in float64.

    Args:
        logs: [num_examples, num_classes], log p of every class.
        labels: [num_examples], the true classes.
    """
    predicted = logs.argmax(axis=1)
    return PerExample(
        nll=-logs[np.arange(len(labels)), labels],
        correct=predicted == labels,
        predicted=predicted.astype(np.int32),
        confidence=np.exp(logs.max(axis=1)),
    )


def measure_average(mean: Average, seeds: Sequence[Measurement], like: Measurement) -> Measurement:
    """Returns the measurement of the mean.

    The standard error of its gap is that of one model on these examples, plus the seeds' part: the
    variance of the single trainings' gaps / K. The cross-entropy of the mean is, to first order, a
    mean of K contributions, one per seed; a single training's gap varies no less than such a
    contribution, so this errs to the cautious side.

    Args:
        mean: The mean of the seeds' probabilities.
        seeds: The measurement of every single training.
        like: Gives what a mean has no number for: its epochs.
    """
    val_ce, train_ce = float(mean.validation.nll.mean()), float(mean.train.nll.mean())
    val_accuracy = float(mean.validation.correct.mean())
    train_accuracy = float(mean.train.correct.mean())
    alone = gap_standard_error(mean.validation.nll, mean.train.nll, mean.num_train)
    between = variance_over_seeds([one.gap_ce for one in seeds])
    guessing = [one.log10_p_guessing for one in seeds if one.log10_p_guessing is not None]
    return replace(
        like,
        val_ce=val_ce,
        val_accuracy=val_accuracy,
        train_ce=train_ce,
        train_accuracy=train_accuracy,
        gap_ce=val_ce - train_ce,
        gap_ce_se=float(np.sqrt(alone**2 + between)),
        gap_accuracy=train_accuracy - val_accuracy,
        penalty=float(np.mean([one.penalty for one in seeds])),
        history_gap=float(np.mean([one.history_gap for one in seeds])),
        num_parameters=sum(one.num_parameters for one in seeds),
        diverged=any(one.diverged for one in seeds),
        ece=expected_calibration_error(mean.validation.confidence, mean.validation.correct),
        # The least convincing seed's: a bound for each is one for the largest.
        log10_p_guessing=max(guessing) if len(guessing) == len(seeds) else None,
    )
