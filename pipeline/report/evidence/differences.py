"""Measures by how much two models differ on the same examples: cross-entropy, accuracy and gap.

The examples are those of validation or of the test part. Differences are paired by example, which
is much sharper than two intervals side by side. The training sides of two gaps are not paired:
their errors add up, which is the cautious way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.records import PerExample, TestExamples, TrialRecord
from pipeline.selection.statistics import Z_95, paired_standard_error, standard_error


@dataclass(frozen=True)
class Difference:
    """A difference of two models with its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def proven(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Differences:
    """One model minus another.

    Attributes:
        ce: Cross-entropy, nats: below 0 the first one is better.
        accuracy: Accuracy: above 0 the first one is better.
        gap_ce: Generalization gap, nats: below 0 the first one overfits less.
    """

    ce: Difference
    accuracy: Difference
    gap_ce: Difference


def on_validation(first: TrialRecord, second: TrialRecord) -> Differences | None:
    """Returns how two models differ on validation; None where their examples are not known."""
    if first.validation is None or second.validation is None:
        return None
    return _differences(first, second, first.validation, second.validation)


def on_test(
    first: TrialRecord, second: TrialRecord, test: TestExamples | None
) -> Differences | None:
    """Returns how two models differ on the test part; None where one was not measured there."""
    results = test.results if test is not None else {}
    if first.number not in results or second.number not in results:
        return None
    return _differences(first, second, results[first.number], results[second.number])


def _differences(
    first: TrialRecord, second: TrialRecord, mine: PerExample, its: PerExample
) -> Differences | None:
    sides = _train_side(first), _train_side(second)
    if mine.nll.size != its.nll.size or sides[0] is None or sides[1] is None:
        return None
    ce, error = _paired(mine.nll, its.nll)
    gap = ce - (sides[0][0] - sides[1][0])
    return Differences(
        ce=_interval(ce, error),
        accuracy=_interval(*_paired(mine.correct, its.correct)),
        gap_ce=_interval(gap, float(np.sqrt(error**2 + sides[0][1] + sides[1][1]))),
    )


def _paired(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    mean = float(np.mean(first, dtype=float) - np.mean(second, dtype=float))
    return mean, paired_standard_error(first, second)


def _train_side(trial: TrialRecord) -> tuple[float, float] | None:
    """Returns train_ce and the part of the gap's variance that comes from it (0 if all of it)."""
    measured, validation = trial.measurement, trial.validation
    if measured is None or validation is None:
        return None
    rest = measured.gap_ce_se**2 - standard_error(validation.nll) ** 2
    # Stored single precision leaves dust of either sign.
    return measured.train_ce, rest if rest > 1e-3 * measured.gap_ce_se**2 else 0.0


def _interval(value: float, error: float) -> Difference:
    return Difference(value, value - Z_95 * error, value + Z_95 * error)
